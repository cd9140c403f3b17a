package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"
	"github.com/pion/rtcp"
	"github.com/pion/rtp/codecs"
)

// Two participants see and hear each other, and are told of each other: on the
// events socket, by the API and in EventBridge's events.
func TestStage(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r := s.newRoom()
	if got := r.session(); got != "" {
		t.Fatalf("nobody is there, and session %s is active", got)
	}
	ana, ben := r.guest(), r.guest()
	listener := ana.listen()
	listener.waitState(5*time.Second, ana.id)
	session := r.session()
	if session == "" {
		t.Fatal("somebody is there, and no session is active")
	}

	fromAna := ana.publish(small)
	listener.waitState(5*time.Second, ana.id+"!")
	fromBen := ben.publish(small)
	listener.waitState(5*time.Second, ana.id+"!", ben.id+"!")
	toBen, toAna := ben.subscribe(ana), ana.subscribe(ben)
	for _, out := range []*outgoing{fromAna, fromBen} {
		out.waitSent(4 * time.Second)
	}
	for _, g := range []*guest{ana, ben} {
		p := g.participant(session)
		if p.State != types.ParticipantStateConnected || !p.Published || p.Protocol != types.ParticipantProtocolWhip ||
			aws.ToString(p.UserId) != "somebody" || p.Attributes["role"] != "guest" {
			t.Errorf("the API tells of the participant: %+v", *p)
		}
	}
	checkFlow(t, s, map[string]float64{
		"anabranch_concurrent_publishers": 2, "anabranch_concurrent_subscriptions": 2,
		"anabranch_stage_publishers{": 2, "anabranch_stage_subscribers{": 2, "anabranch_rtc_sessions{": 4, "anabranch_signaling_sockets": 1,
	})
	fromAna.stop()
	fromBen.stop()
	for _, kind := range []string{"video", "audio"} {
		t.Logf("%s: %v; %v", kind, toBen.waitWhole(kind, fromAna), toAna.waitWhole(kind, fromBen))
		if d := toBen.waitWhole(kind, fromAna); d.duplicates > 0 || d.late > 0 || d.repaired > 0 {
			t.Errorf("%s over loopback: %v", kind, d)
		}
	}
	checkSync(t, toBen, fromAna)
	fromAna.hangUp()
	toBen.waitGot("audio", 0)
	listener.waitState(5*time.Second, ana.id, ben.id+"!")
	fromBen.close()
	listener.waitState(10*time.Second, ana.id, ben.id)
	toBen.hangUp()
	listener.waitState(10*time.Second, ana.id)
	toAna.close()
	listener.close()

	ana.waitLeft(session)
	wantEvents(t, ana.events(session), "JOINED", "PUBLISH_STARTED", "SUBSCRIBE_STARTED", "PUBLISH_STOPPED", "SUBSCRIBE_STOPPED", "LEFT")
	wantEvents(t, ben.events(session), "JOINED", "PUBLISH_STARTED", "SUBSCRIBE_STARTED", "PUBLISH_STOPPED", "SUBSCRIBE_STOPPED", "LEFT")
	if p := ana.participant(session); p.State != types.ParticipantStateDisconnected || !p.Published {
		t.Errorf("the API tells of the participant who left: %+v", *p)
	}
	if got := r.session(); got != session {
		t.Errorf("directly after the last has left, session %q is active, not %q", got, session)
	}
	s.stop()
	var told []string
	for _, e := range s.stored(*r.Arn) {
		if e.detail["session_id"] != session || e.detail["user_id"] != "somebody" {
			t.Errorf("event with the detail %v", e.detail)
		}
		told = append(told, fmt.Sprintf("%v %v", e.detail["event_name"], e.detail["participant_id"]))
	}
	wantEvents(t, told, "Participant Published "+ana.id, "Participant Published "+ben.id, "Participant Unpublished "+ana.id, "Participant Unpublished "+ben.id)
}

// wantEvents checks that events happened, in whatever order.
func wantEvents(t testing.TB, got []string, want ...string) {
	t.Helper()
	got = slices.Sorted(slices.Values(got))
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("events are\n\t%s, not\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// checkFlow checks metrics of the server's, by the beginning of their names.
func checkFlow(t testing.TB, s *server, want map[string]float64) {
	t.Helper()
	eventually(t, 15*time.Second, "the metrics tell of it", func() (err error) {
		for name, n := range want {
			if got := s.metric(name); got != n {
				err = errors.Join(err, fmt.Errorf("%s is %v, not %v", name, got, n))
			}
		}
		return err
	})
}

// checkSync checks that a subscriber who goes by the sender reports plays sound
// and pictures as far apart as they were sent. A publisher that is late when it
// makes a report takes its newest packet for as much later as it is: the earliest
// is the exact one.
func checkSync(t testing.TB, in *incoming, out *outgoing) {
	t.Helper()
	shown := make(map[string]time.Duration) // since the tape began, on the sender's clock
	for kind, clock := range map[string]float64{"video": 90_000, "audio": 48_000} {
		in.mu.Lock()
		reports := slices.Clone(in.tracks[kind].reports)
		in.mu.Unlock()
		if len(reports) == 0 {
			t.Errorf("no sender report has come for %s", kind)
			return
		}
		got, sent := in.list(kind), out.layers[0].list(kind)
		n, first, err := fit(got, sent)
		if err != nil || n == 0 {
			t.Fatal(err)
		}
		began := got[0].stamp - (sent[first].stamp - sent[0].stamp)
		for i, r := range reports {
			at := ntpTime(r) - time.Duration(float64(int32(r.RTPTime-began))/clock*float64(time.Second))
			if i == 0 || at < shown[kind] {
				shown[kind] = at
			}
		}
	}
	if apart := (shown["video"] - shown["audio"]).Abs(); apart > 30*time.Millisecond {
		t.Errorf("by the sender reports, sound and pictures are %v apart", apart)
	}
}

// ntpTime is the report's time, since some time in 1900 (RFC 3550 §4).
func ntpTime(r rtcp.SenderReport) time.Duration {
	return time.Duration(r.NTPTime>>32)*time.Second + time.Duration(r.NTPTime&0xffffffff*uint64(time.Second)>>32)
}

// What a subscriber gets can be decoded from its first picture on.
func stageDecodes(t *testing.T, s *server) {
	r := s.newRoom()
	ana, ben := r.guest(), r.guest()
	out := ana.publish(small)
	out.waitSent(1500 * time.Millisecond) // amid a group of pictures
	in := ben.subscribe(ana, peerOptions{keep: true})
	out.waitSent(5 * time.Second)
	out.stop()
	d := in.waitWhole("video", out)
	stream, pictures := in.annexB()
	path := filepath.Join(t.TempDir(), "got.h264")
	if err := os.WriteFile(path, stream, 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-v", "warning", "-f", "h264", "-i", path, "-f", "null", "-progress", "pipe:1", "-")
	cmd.Stderr = &stderr
	progress, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Errorf("ffmpeg decodes what came: %v\n%s", err, &stderr)
	}
	if want := fmt.Sprintf("frame=%d\n", pictures); !strings.Contains(string(progress), want) {
		t.Errorf("of %d pictures, ffmpeg shows\n%s", pictures, progress)
	}
	t.Logf("%d pictures in %v", pictures, d)
}

// annexB is what came of pictures, as a byte stream (H.264 annex B).
func (in *incoming) annexB() (stream []byte, pictures int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	track := in.tracks["video"]
	var depacketizer codecs.H264Packet
	for i, p := range track.packets {
		nal, err := depacketizer.Unmarshal(track.payloads[i])
		if err != nil {
			in.t.Fatal(err)
		}
		stream = append(stream, nal...)
		if p.last {
			pictures++
		}
	}
	return stream, pictures
}

// The URLs that a stage tells are those that work.
func stageEndpoints(t *testing.T, s *server) {
	r := s.newRoom()
	if got := aws.ToString(r.Endpoints.Whip); got != r.whip() {
		t.Errorf("endpoints.whip is %s, not %s", got, r.whip())
	}
	if got, want := aws.ToString(r.Endpoints.Events), "ws://"+s.at.HTTP+"/events"; got != want {
		t.Errorf("endpoints.events is %s, not %s", got, want)
	}
	a, err := call(t, http.MethodOptions, r.whip(), "", "", "", "Origin", "https://a.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type")
	if err != nil || a.status/100 != 2 || a.header.Get("Access-Control-Allow-Origin") == "" || !strings.Contains(strings.ToLower(a.header.Get("Access-Control-Allow-Headers")), "authorization") {
		t.Errorf("a page of elsewhere asks for leave: %v %v %v", a, a.header, err)
	}
}
