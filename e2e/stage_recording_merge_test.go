package e2e

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
)

// A participant that leaves, or is torn off, and comes back with its token in
// time goes on in the same recording, with its numbers. Another one of the same
// user is recorded apart.
func recordReturn(t *testing.T, s *server) {
	r := s.newRecordedRoom(settings{
		"recordingReconnectWindowSeconds": 12,
		"thumbnailConfiguration":          settings{"recordingMode": "INTERVAL", "targetIntervalSeconds": 1},
	})
	ana, other := r.guest(), r.guest()
	first := ana.publish(beats)
	first.waitSent(4 * time.Second)
	session := r.session()
	first.hangUp()
	first.stop()
	ana.waitLeft(session)
	beside := other.publish(beats)
	second := ana.publish(scene{width: 480, height: 270, bitrate: 300_000, beats: true})
	second.waitSent(4 * time.Second)
	second.hangUp()
	second.stop()
	beside.hangUp()
	beside.stop()
	left := time.Now()
	if got := ana.takes(); len(got) != 1 || got[0].ended() {
		t.Errorf("within the window there are %v", got)
	}
	one := ana.waitTakes(1)[0]
	if waited := time.Since(left); waited < 11*time.Second {
		t.Errorf("the recording ended %v after its participant left", waited)
	}
	pieces := one.stretches(t, one.check(t))
	if len(pieces) != 2 {
		t.Fatalf("it is in %d pieces", len(pieces))
	}
	pieces[0].of(t, first)
	pieces[1].of(t, second)
	if pieces[1].width != 480 {
		t.Errorf("the second piece is %v", &pieces[1].sight)
	}
	if n := len(one.stillsInSequence()); n < 6 {
		t.Errorf("%d thumbnails of 8 s", n)
	}
	other.waitTakes(1)[0].whole(t, beside)
}

// Without a window each publication is a recording of its own, however soon it
// comes.
func recordWithoutWindow(t *testing.T, s *server) {
	r := s.newRecordedRoom(nil)
	ana := r.guest()
	first := ana.publish(beats)
	first.waitSent(3 * time.Second)
	first.hangUp()
	first.stop()
	second := ana.publish(beats)
	all := second.leave(3*time.Second, 2)
	all[0].whole(t, first)
	all[1].whole(t, second)
}

// A connection that takes the place of another of the same token begins a piece
// of the same recording.
func recordTakeover(t *testing.T, s *server) {
	r := s.newRecordedRoom(nil)
	ana := r.guest()
	first := ana.publish(beats)
	first.waitSent(4 * time.Second)
	second := ana.publish(beats)
	first.stop()
	one := second.leave(4*time.Second, 1)[0]
	p := one.check(t)
	pieces := one.stretches(t, p)
	if len(pieces) != 2 {
		t.Fatalf("it is in %d pieces:\n%s", len(pieces), p.Text)
	}
	pieces[0].keepsTime(t, first) // what it sent later was not wanted any more
	pieces[1].of(t, second)
	checkDates(t, pieces)
}

// Where a stage is deleted its recordings end at once: that of who publishes,
// and that which waits for its participant.
func recordDeleted(t *testing.T, s *server) {
	r := s.newRecordedRoom(settings{"recordingReconnectWindowSeconds": 300})
	all := r.guests(2)
	gone, going := all[0].publish(beats), all[1].publish(beats)
	gone.waitSent(3 * time.Second)
	gone.hangUp()
	gone.stop()
	all[0].waitStored(1)
	if _, err := s.realtime().DeleteStage(t.Context(), &ivsrealtime.DeleteStageInput{Arn: r.Arn}); err != nil {
		t.Fatal(err)
	}
	going.waitGone(5 * time.Second)
	going.stop()
	for i, out := range []*outgoing{gone, going} {
		one := all[i].waitTakes(1)[0]
		pieces := one.stretches(t, one.check(t))
		r := pieces[0].rhythm()
		if t.Logf("%v", r); r.missing > 0 || r.pictures < len(out.shots())-2*tapeRate {
			t.Errorf("of %d pictures there are %v", len(out.shots()), r)
		}
	}
}
