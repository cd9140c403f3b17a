package e2e

import (
	"testing"
	"time"
)

// A publisher with a hundred subscribers, and six publishers who see each other:
// what is sent comes to everybody, whole. A machine that is too slow for it may
// try again in slow motion: the same packets, over a longer time.
func TestStageLoad(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for _, tt := range []struct {
		name                 string
		publishers, audience int
	}{{"1 to 100", 1, 100}, {"6 to 6", 6, 0}} {
		t.Run(tt.name, func(t *testing.T) {
			var err error
			for _, speed := range []float64{1, .5, .25} {
				if err = loadStage(s.in(t), tt.publishers, tt.audience, speed); err == nil {
					return
				}
				t.Logf("at a speed of %v: %v", speed, err)
			}
			t.Error(err)
		})
	}
}

func loadStage(s *server, publishers, audience int, speed float64) error {
	s.t.Helper()
	r := s.newRoom()
	g, err := assemble(small, speed, r.guests(publishers), r.guests(audience), peerOptions{lean: true})
	if err != nil {
		return err
	}
	defer g.end()
	g.sendOn(5 * time.Second)
	began := time.Now()
	if err := g.check(); err != nil {
		return err
	}
	d, err := g.in[0].compare("video", g.of[0].layers...)
	s.t.Logf("%d subscriptions at a speed of %v, whole after %v; the first has %v", len(g.in), speed, time.Since(began).Round(time.Millisecond), d)
	return err
}
