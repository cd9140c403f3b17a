package e2e

import (
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"
)

// A server that is killed or stopped, and started again: clients come back with
// their tokens, and the session goes on.
func TestStageRestart(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r := s.newRoom()
	ana, ben := r.guest(), r.guest()
	dead := r.guest()
	dead.disconnect()
	listener := ben.listen()
	listener.waitState(5*time.Second, ben.id)
	session := r.session()
	join := func() (*outgoing, *incoming) {
		t.Helper()
		out := ana.publish(small)
		in := ben.subscribe(ana)
		in.waitGot("video", 60)
		return out, in
	}
	for _, name := range []string{"kill", "stop"} {
		out, in := join()
		if name == "kill" {
			s.kill()
		} else {
			s.stop()
			in.waitGone(10 * time.Second)
			listener.waitClosed(10 * time.Second)
		}
		out.stop()
		s.start()
		if got := r.session(); got != session {
			t.Errorf("%s: session %q follows %q", name, got, session)
		}
		listener = ben.listen()
		listener.waitState(10*time.Second, ben.id)
		out, in = join()
		listener.waitState(5*time.Second, ana.id+"!", ben.id)
		if p := ana.participant(session); p.State != types.ParticipantStateConnected {
			t.Errorf("%s: the API tells of the participant: %+v", name, *p)
		}
		out.stop()
		in.waitWhole("video", out)
		dead.refused(t)
		out.close()
		in.close()
	}
	listener.close()
	for _, g := range []*guest{ana, ben} {
		names := g.waitLeft(session)
		if names[0] != "JOINED" {
			t.Errorf("events are %v", names)
		}
		if n := count(names, "PUBLISH_STARTED") - count(names, "PUBLISH_STOPPED"); n != 0 {
			t.Errorf("%d of the publications have not stopped: %v", n, names)
		}
	}
}

func count(names []string, name string) int {
	return len(names) - len(slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s == name }))
}
