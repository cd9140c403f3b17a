package recorder

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/resource"
)

// A publisher who comes back inside the reconnect window continues the same
// recording; one who comes later begins a new one.
func TestReconnectWindow(t *testing.T) {
	for _, tt := range []struct {
		name   string
		window int
		gap    time.Duration
		merged bool
	}{
		{"at once", 60, 0, true},
		{"just inside", 60, 60*time.Second - 1, true},
		{"just outside", 60, 60*time.Second + 1, false},
		{"no window", 0, time.Second, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, func(t *testing.T, w *world, r *Recorder) {
				c := newCamera(tt.window)
				first := c.stream.ID
				c.broadcast(t, r, 45) // 15 s
				time.Sleep(tt.gap)
				c = c.again()
				c.broadcast(t, r, 45)
				time.Sleep(2 * time.Minute)
				synctest.Wait()

				if !tt.merged {
					wantTold(t, w, "Recording Start "+first, "Recording End "+first, "Recording Start "+c.stream.ID, "Recording End "+c.stream.ID)
					return
				}
				wantTold(t, w, "Recording Start "+first, "Recording End "+first+" "+c.stream.ID)
				rec := w.recordings()[0]
				if rec.Duration != 30*time.Second {
					t.Errorf("duration %v, want 30s", rec.Duration)
				}
				playlist := wantWhole(t, w, rec)
				if n := strings.Count(playlist, "#EXT-X-DISCONTINUITY\n"); n != 1 {
					t.Errorf("%d discontinuities, want 1:\n%s", n, playlist)
				}
				if got := strings.Count(playlist, "#EXTINF:"); got != 4 {
					t.Errorf("%d objects, want 4: each stream 10 s and 5 s\n%s", got, playlist)
				}
				if dirs := spooled(t, r.Dir); len(dirs) != 0 {
					t.Errorf("spool still has %q", dirs)
				}
			})
		})
	}
}

// What must match for a stream to join the recording that waits.
func TestMatch(t *testing.T) {
	type change func(c *camera)
	for _, tt := range []struct {
		name          string
		first, second change
		merged        bool
	}{
		{"same", nil, nil, true},
		{"width", nil, func(c *camera) { c.video().Width = 1278 }, false},
		{"height", nil, func(c *camera) { c.video().Height = 718 }, false},
		{"profile", nil, func(c *camera) { c.video().Profile = 0x64 }, true},
		{"no audio", nil, func(c *camera) { c.stream.Description.Audio = nil }, false},
		{"frame rate", nil, func(c *camera) { c.stream.Description.FrameRate = 25 }, false},
		{"frame rate nearly", nil, func(c *camera) { c.stream.Description.FrameRate = 29.97 }, true},
		{"container", nil, func(c *camera) { c.stream.Channel.ContainerFormat = resource.FragmentedMP4 }, false},
		{"ladder", func(c *camera) { c.climb() }, nil, true},
		{"ladder that was not there", nil, func(c *camera) { c.climb() }, false},
		{"no ladder any more", func(c *camera) { c.climb() }, func(c *camera) { c.rungs, c.stream.Renditions = nil, nil }, false},
		{"a rung less", func(c *camera) { c.climb() }, func(c *camera) { c.rungs, c.stream.Renditions = c.rungs[:1], c.stream.Renditions[:2] }, false},
		{"a rung of another size", func(c *camera) { c.climb() }, func(c *camera) { c.climb().stream.Renditions[1].Width = 640 }, false},
		{"a rung less that is not recorded", func(c *camera) { c.climb().custom("HD") },
			func(c *camera) { c.rungs, c.stream.Renditions = c.rungs[:1], c.stream.Renditions[:2] }, true},
		{"ladder in doubt", func(c *camera) { c.climb() }, func(c *camera) { c.stream.Description.VideoBitrate = 0 }, true},
		{"ladder in doubt, measured high", func(c *camera) { c.climb() }, func(c *camera) { c.stream.Description.VideoBitrate, c.size = 0, 310 }, false},
		{"bitrate half", nil, func(c *camera) { c.stream.Description.VideoBitrate = 1_000_000 }, true},
		{"bitrate less", nil, func(c *camera) { c.stream.Description.VideoBitrate = 999_999 }, false},
		{"bitrate half more", nil, func(c *camera) { c.stream.Description.VideoBitrate = 3_000_000 }, true},
		{"bitrate more", nil, func(c *camera) { c.stream.Description.VideoBitrate = 3_000_001 }, false},
		{"bitrate not told, measured alike", nil, func(c *camera) { c.stream.Description.VideoBitrate = 0 }, true},
		{"bitrate not told, measured low", nil, func(c *camera) { c.stream.Description.VideoBitrate, c.size = 0, 90 }, false},
		{"bitrate not told, measured high", nil, func(c *camera) { c.stream.Description.VideoBitrate, c.size = 0, 310 }, false},
		{"first bitrate not told", func(c *camera) { c.stream.Description.VideoBitrate = 0 },
			func(c *camera) { c.stream.Description.VideoBitrate = 9_000_000 }, true},
		{"frame rates not told", func(c *camera) { c.stream.Description.FrameRate = 0 },
			func(c *camera) { c.stream.Description.FrameRate = 0 }, true},
		{"frame rate told wrong the second time", func(c *camera) { c.stream.Description.FrameRate = 0 },
			func(c *camera) { c.stream.Description.FrameRate = 60 }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, func(t *testing.T, w *world, r *Recorder) {
				c := newCamera(60)
				if tt.first != nil {
					tt.first(c)
				}
				c.broadcast(t, r, 36)
				time.Sleep(time.Second)
				c = c.again()
				if tt.second != nil {
					tt.second(c)
				}
				c.broadcast(t, r, 36)
				time.Sleep(2 * time.Minute)
				synctest.Wait()

				recs := w.recordings()
				if merged := len(recs) == 1; merged != tt.merged {
					t.Fatalf("merged = %v, want %v", merged, tt.merged)
				}
				var sum time.Duration
				for _, rec := range recs {
					if rec.State != resource.RecordingEnded {
						t.Errorf("recording is %s", rec.State)
					}
					sum += rec.Duration
				}
				if sum != 24*time.Second {
					t.Errorf("%v recorded in all, want 24s", sum)
				}
				if !tt.merged {
					return
				}
				wantWhole(t, w, recs[0])
			})
		})
	}
}

// video gives the camera a video track of its own to change.
func (c *camera) video() *media.VideoParams {
	v := *c.stream.Description.Video
	c.stream.Description.Video = &v
	return &v
}

// A recording that a stream did not match ends when its window has passed, not
// before.
func TestMismatchKeepsWindow(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		c := newCamera(60)
		first := c.stream.ID
		c.broadcast(t, r, 30)
		time.Sleep(time.Second)
		c = c.again()
		c.stream.Description.VideoBitrate, c.size = 0, 1000
		take := r.Begin(c.stream)
		if err := c.shoot(t, take, 3*58); err != nil { // 59 s after the first ended
			t.Fatal(err)
		}
		synctest.Wait()
		wantTold(t, w, "Recording Start "+first, "Recording Start "+c.stream.ID)
		if err := c.shoot(t, take, 6); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wantTold(t, w, "Recording Start "+first, "Recording Start "+c.stream.ID, "Recording End "+first)
		take.End()
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		recs := w.recordings()
		if d := recs[1].Duration; d != 60*time.Second {
			t.Errorf("second recording has %v, want 1m", d)
		}
		if gap := recs[1].StartedAt.Sub(recs[0].StartedAt); gap > 11*time.Second {
			t.Errorf("second recording started %v after the first, want 11s: with its stream", gap)
		}
		wantWhole(t, w, recs[0])
		wantWhole(t, w, recs[1])
	})
}

// A recording takes 20 streams, and none that begins after 48 hours.
func TestMergeLimits(t *testing.T) {
	t.Run("streams", func(t *testing.T) {
		virtual(t, func(t *testing.T, w *world, r *Recorder) {
			c := newCamera(60)
			for range 21 {
				c.broadcast(t, r, 6)
				c = c.again()
			}
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			recs := w.recordings()
			if len(recs) != 2 || len(recs[0].StreamIDs) != 20 || len(recs[1].StreamIDs) != 1 {
				t.Errorf("recordings: %+v", recs)
			}
			if playlist := wantWhole(t, w, recs[0]); strings.Count(playlist, "#EXT-X-DISCONTINUITY\n") != 19 {
				t.Errorf("playlist:\n%s", playlist)
			}
		})
	})
	t.Run("age", func(t *testing.T) {
		virtual(t, func(t *testing.T, w *world, r *Recorder) {
			c := newCamera(300)
			take := r.Begin(c.stream)
			c.shoot(t, take, 6)
			time.Sleep(48*time.Hour - 3*time.Second) // a publisher who sends little
			take.End()
			c = c.again()
			c.broadcast(t, r, 6) // the last that may join
			time.Sleep(time.Minute)
			c = c.again()
			c.broadcast(t, r, 6)
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			recs := w.recordings()
			if len(recs) != 2 || len(recs[0].StreamIDs) != 2 {
				t.Errorf("recordings: %+v", recs)
			}
		})
	})
}

// Of two takes on one channel the newer one records, and goes on with what the
// older one recorded.
func TestTwoTakes(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		a := newCamera(60)
		older := r.Begin(a.stream)
		if err := a.shoot(t, older, 9); err != nil {
			t.Fatal(err)
		}
		b := a.again()
		newer := r.Begin(b.stream)
		if err := b.shoot(t, newer, 9); err != nil {
			t.Fatal(err)
		}
		if err := a.shoot(t, older, 1); err == nil {
			t.Error("the older take still records")
		}
		older.End()
		if err := b.shoot(t, newer, 9); err != nil {
			t.Errorf("the older take's end stopped the newer: %v", err)
		}
		newer.End()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		wantTold(t, w, "Recording Start "+a.stream.ID, "Recording End "+a.stream.ID+" "+b.stream.ID)
		if d := w.recordings()[0].Duration; d != 9*time.Second {
			t.Errorf("duration %v, want 9s", d)
		}
	})
}

func TestRelease(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		c := newCamera(300)
		c.broadcast(t, r, 30)
		channel, configuration := c.stream.Channel.ARN, c.stream.Configuration.ARN
		if at, ok := r.Position(channel); !ok || at != c.now {
			t.Errorf("position %d, %v; want %d", at, ok, c.now)
		}
		r.Release(channel, configuration) // nothing has changed
		synctest.Wait()
		wantTold(t, w, "Recording Start "+c.stream.ID)
		r.Release(channel, "")
		synctest.Wait()
		wantTold(t, w, "Recording Start "+c.stream.ID, "Recording End "+c.stream.ID)
		if _, ok := r.Position(channel); ok {
			t.Error("an ended recording has a position")
		}
	})
}

// A stream under another recording configuration ends the recording at once.
func TestOtherConfiguration(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		c := newCamera(300)
		first := c.stream.ID
		c.broadcast(t, r, 30)
		c = c.again()
		c.stream.Configuration.ARN = place.ARN(resource.KindRecordingConfiguration, "other")
		take := r.Begin(c.stream)
		synctest.Wait()
		wantTold(t, w, "Recording Start "+first, "Recording End "+first)
		c.shoot(t, take, 6)
		take.End()
	})
}
