package broadcast

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"anabranch/internal/media"
)

// A stream starves when more than five of the last ten seconds of video are
// missing, and has recovered when four of the last five came.
func TestPulse(t *testing.T) {
	// A stretch is some seconds of the server's time in which video arrives
	// at so many seconds a second; with every above 0 it comes all at once,
	// every so many seconds.
	type stretch struct {
		seconds int
		speed   float64
		every   int
	}
	good := stretch{seconds: 20, speed: 1}
	for _, tt := range []struct {
		name  string
		beats []stretch
		want  []string
	}{
		{"nothing special", []stretch{good}, nil},
		{"a pause of 5 s", []stretch{good, {seconds: 5}, good}, nil},
		{"a pause of 6 s", []stretch{good, {seconds: 6}, good}, []string{"starves at 26", "recovers at 31"}},
		{"a pause of 12 s", []stretch{good, {seconds: 12}, good}, []string{"starves at 26", "recovers at 36"}},
		{"a pause of 6 s right at the start", []stretch{{1, 1, 0}, {seconds: 6}, good}, []string{"starves at 7", "recovers at 12"}},
		{"a pause made up for by a burst", []stretch{good, {seconds: 5}, {1, 6, 0}, good}, nil},
		{"a third of the rate", []stretch{good, {30, 1. / 3, 0}}, []string{"starves at 28"}},
		{"six tenths of the rate", []stretch{good, {30, .6, 0}, good}, nil},
		{"a third, then six tenths: no recovery yet", []stretch{good, {20, 1. / 3, 0}, {20, .6, 0}, good}, []string{"starves at 28", "recovers at 63"}},
		{"a segment every 6 s", []stretch{{60, 1, 6}}, nil},
		{"twice as fast", []stretch{{60, 2, 0}}, nil},
		{"on and off: far fewer changes than seconds", []stretch{good, {6, 0, 0}, {6, 1, 0}, {6, 0, 0}, {6, 1, 0}, {6, 0, 0}, {6, 1, 0}},
			[]string{"starves at 26", "recovers at 31", "starves at 38", "recovers at 43", "starves at 50", "recovers at 55"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p pulse
			var got []string
			var arrived float64
			second := 0
			for _, b := range tt.beats {
				for i := range b.seconds {
					switch {
					case b.every == 0:
						arrived += b.speed
					case i%b.every == 0:
						arrived += b.speed * float64(b.every)
					}
					second++
					before := p.starving
					p.beat(time.Duration(second)*time.Second, media.Ticks(arrived*media.SourceRate))
					switch {
					case p.starving && !before:
						got = append(got, fmt.Sprintf("starves at %d", second))
					case !p.starving && before:
						got = append(got, fmt.Sprintf("recovers at %d", second))
					}
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("the server was held up", func(t *testing.T) {
		var p pulse
		at := time.Duration(0)
		for i := range media.Ticks(30) {
			if at += time.Second; i == 20 {
				at += 20 * time.Second
			}
			if p.beat(at, i*media.SourceRate); p.starving {
				t.Fatalf("starves at %v", at)
			}
		}
	})
}
