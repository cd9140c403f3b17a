package broadcast_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/broadcast"
	"anabranch/internal/media"
	"anabranch/internal/resource"
)

// picture is one of n bytes at a time of the publisher's clock.
func picture(at media.Ticks, key bool, n int) media.Frame {
	nal := make([]byte, n)
	nal[1], nal[2], nal[3] = byte((n-4)>>16), byte((n-4)>>8), byte(n-4)
	if nal[4] = 0x41; key {
		nal[4] = 0x65
	}
	return media.Frame{DTS: at, PTS: at, Key: key, Payload: nal, Captured: time.Now()}
}

// What media costs is bounded by its own clock, too, however slowly it arrives.
func TestMediaPace(t *testing.T) {
	const second = media.SourceRate
	tests := []struct {
		name  string
		every time.Duration           // by the server's clock
		stamp func(i int) media.Ticks // of picture i
		key   func(i int) bool
		size  int
		says  string // "" when the stream goes on
	}{
		{"real time", time.Second / 30, func(i int) media.Ticks { return media.Ticks(i) * second / 30 },
			func(i int) bool { return i%60 == 0 }, 30_000, ""},
		{"slides", 2 * time.Second, func(i int) media.Ticks { return media.Ticks(i) * 2 * second },
			func(int) bool { return true }, 1_000_000, ""},
		{"time stands still", time.Second, func(i int) media.Ticks { return media.Ticks(i) * 90 },
			func(i int) bool { return i == 0 }, 1_000_000, "by its own clock"},
		{"time runs", time.Millisecond, func(i int) media.Ticks { return media.Ticks(i) * 2 * second },
			func(int) bool { return true }, 30, "own pace"},
		{"time jumps", time.Millisecond, func(i int) media.Ticks { return media.Ticks(i%2) * 100 * second },
			func(int) bool { return true }, 30, "too often"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, t.TempDir()).withChannel(true, nil)
				defer s.stop()
				f := s.mustPublish()
				err := f.Describe(description(t))
				for i := 0; i < 1200 && err == nil; i++ {
					if err = f.Received(tt.size); err == nil {
						err = f.Write(picture(tt.stamp(i), tt.key(i), tt.size))
					}
					time.Sleep(tt.every)
				}
				f.Close(err)
				if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
					t.Errorf("%v, want %q", err, tt.says)
				}
			})
		})
	}
}

// A stream that becomes smaller is not measured by its new limit for what it
// sent before.
func TestIngestBitrateStepsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir()).withChannel(true, nil)
		defer s.stop()
		s.update(func(c *resource.Channel) { c.Type = resource.Basic })
		f := s.mustPublish()
		defer f.Close(nil)
		for _, step := range []struct{ width, height, rate int }{{1920, 1080, 3_400_000}, {854, 480, 1_400_000}, {1920, 1080, 3_400_000}} {
			if err := f.Describe(sized(t, step.width, step.height)); err != nil {
				t.Fatal(err)
			}
			for range 60 {
				if err := f.Received(step.rate / 8); err != nil {
					t.Fatalf("%dx%d at %d bit/s: %v", step.width, step.height, step.rate, err)
				}
				if err := still(f); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
			}
		}
	})
}

// Where the clock jumps and no key frame is to be expected, the stream goes on.
func TestJumpInEndlessGOP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir()).withChannel(true, nil)
		defer s.stop()
		f := s.mustPublish()
		defer f.Close(nil)
		if err := f.Describe(description(t)); err != nil {
			t.Fatal(err)
		}
		var jumped media.Ticks
		for i := range 30 * 30 {
			if i == 300 {
				jumped = 4 * media.SourceRate
			}
			if err := f.Write(picture(media.Ticks(i)*3000+jumped, i == 0, 100)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second / 30)
		}
		view, ok := s.m.Lookup(s.channel.ID())
		if !ok {
			t.Fatal("the channel is not on air")
		}
		if behind := time.Since(view.Window.Info().Until); behind > time.Second {
			t.Errorf("the playlist ends %v ago", behind)
		}
	})
}

// Refusals are told once a second at most: anybody with a key can have as many
// as they like.
func TestRefusalsToldOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir()).withChannel(true, nil)
		defer s.stop()
		s.update(func(c *resource.Channel) { c.InsecureIngest = false })
		for range 100 {
			_, err := s.m.Publish(t.Context(), broadcast.Request{Key: s.key.Value, Protocol: "RTMP"})
			if refusal(err) == nil {
				t.Fatalf("published: %v", err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		events, err := s.store.Events(t.Context(), 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		var told int
		for _, e := range events {
			if e.DetailType == resource.StreamStateChange && strings.Contains(string(e.Detail.(json.RawMessage)), resource.StreamFailure) {
				told++
			}
		}
		if told != 10 {
			t.Errorf("%d of 100 refusals within 10 s were told", told)
		}
	})
}
