package e2e

import (
	"testing"
	"time"
)

// Of a hundred packets three are lost, in both directions, and each is up to
// 80 ms late, so that they come in any order: what is recorded decodes without
// a complaint, at its pace, and what is missing of it is marked. Who does not
// send again what is lost leaves gaps, and they are marked too.
func TestStageRecordingLoss(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r := s.newRecordedRoom(nil)
	bad, rare := s.startBadNetwork(0.03, 80*time.Millisecond, 1), s.startBadNetwork(0.004, 20*time.Millisecond, 2)
	for _, tt := range []struct {
		name  string
		sends peerOptions
	}{
		{"repaired", peerOptions{relay: bad}},
		{"not repaired", peerOptions{relay: rare, deaf: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := r.guest()
			g.t = t
			out := g.publish(beats, tt.sends)
			one := out.leave(20*time.Second, 1)[0]
			t.Logf("%v; %d packets were asked for again", tt.sends.relay, out.resends.Load())
			p := one.check(t)
			losses := lossesOf(p)
			pieces := one.stretches(t, p)
			if len(pieces) != 1 {
				t.Fatalf("it is in %d pieces:\n%s", len(pieces), p.Text)
			}
			now := pieces[0].rhythm()
			t.Logf("%v; %v; losses %v", &pieces[0].sight, now, losses)
			now.inStep(t, 3)
			if now.jitter > skew.Seconds() {
				t.Errorf("pictures are not shown when they were made: %v", now)
			}
			pieces[0].checkLosses(t, losses)
			pieces[0].checkPace(t)
			if deaf := tt.sends.deaf; deaf == (now.missing == 0) {
				t.Errorf("%d pictures are missing", now.missing)
			}
		})
	}
}

// checkLosses checks that pictures are missing, and beeps are not heard, only
// where that is told.
func (s *stretch) checkLosses(t testing.TB, losses []loss) {
	t.Helper()
	marked := func(kind string, from, to int64) bool {
		const slack = 100 * time.Millisecond
		for _, l := range losses {
			if l.kind == kind && l.from.Before(s.at.Add(duration(from)+slack)) && l.to.After(s.at.Add(duration(to)-slack)) {
				return true
			}
		}
		return false
	}
	all := s.fresh()
	for i, p := range all[1:] {
		if n := between(all[i], p); n > 0 && !marked("video", all[i].end(), p.at) {
			t.Errorf("%d pictures are missing at %v, which is not marked", n, s.at.Add(duration(all[i].at)))
		}
	}
	for i, b := range s.beeps[1:] {
		for at := s.beeps[i] + ticks; at < b-ticks/2; at += ticks {
			if !marked("audio", at, at) {
				t.Errorf("no beep is heard at %v, which is not marked", s.at.Add(duration(at)))
			}
		}
	}
}

// checkPace checks that beeps, which came each second, are so.
func (s *stretch) checkPace(t testing.TB) {
	t.Helper()
	if len(s.beeps) < 3 {
		t.Errorf("%d beeps are heard", len(s.beeps))
		return
	}
	first, last := s.beeps[0], s.beeps[len(s.beeps)-1]
	took := duration(last - first)
	if off := (took - took.Round(time.Second)).Abs(); off > skew {
		t.Errorf("beeps of whole seconds are %v apart", took)
	}
	for i, b := range s.beeps[1:] {
		step := duration(b - s.beeps[i])
		if off := (step - step.Round(time.Second)).Abs(); off > 20*time.Millisecond {
			t.Errorf("two beeps are %v apart", step)
		}
	}
}
