package recorder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/resource"
)

// While a stream goes on its recording can be played: playlists name stored
// objects only, have no end, and are refreshed as objects come.
func TestInterimPlaylists(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		var puts []string
		refreshes, ranges := make(map[time.Duration]int), 0
		begun := time.Now()
		w.fault = func(_ int, call string) error {
			_, name, _ := strings.Cut(call, "/media/hls/")
			if name == "" {
				_, name, _ = strings.Cut(call, "/events/")
			}
			if len(puts) < 12 && name != "" {
				puts = append(puts, name)
			}
			switch name {
			case "720p30/playlist.m3u8":
				refreshes[time.Since(begun).Truncate(time.Hour)]++
			case "720p30/byte-range-variant.m3u8":
				ranges++
			}
			return nil
		}
		c := newCamera(0)
		take := r.Begin(c.stream)
		c.shoot(t, take, 3*45)
		synctest.Wait()
		want := []string{
			"ivs-check", "recording-started.json", "720p30/0.ts", "720p30/playlist.m3u8", "master.m3u8",
			"720p30/byte-range-variant.m3u8", "byte-range-multivariant.m3u8",
			"720p30/1.ts", "720p30/playlist.m3u8", "720p30/byte-range-variant.m3u8",
			"720p30/2.ts", "720p30/playlist.m3u8",
		}
		if !slices.Equal(puts, want) {
			t.Errorf("stored %q\nwant %q", puts, want)
		}
		rec := w.recordings()[0]
		playlist := w.object(rec, "media/hls/720p30/playlist.m3u8")
		if strings.Contains(playlist, "#EXT-X-ENDLIST") || strings.Count(playlist, "#EXTINF:10.000,\n") != 4 {
			t.Errorf("playlist after 45 s:\n%s", playlist)
		}
		if left, _ := filepath.Glob(filepath.Join(r.Dir, rec.ID, "*.ts")); len(left) != 1 {
			t.Errorf("the spool keeps %q, want the open object only", left)
		}
		c.shoot(t, take, 3*(2*60*60-45))
		take.End()
		synctest.Wait()
		if refreshes[0] < 350 || refreshes[0] > 360 || refreshes[time.Hour] < 115 || refreshes[time.Hour] > 121 {
			t.Errorf("%d refreshes in the first hour, %d in the second; want one in 10 s, then one in 30 s", refreshes[0], refreshes[time.Hour])
		}
		// 720 objects, each time a tenth more: log 720 / log 1.1, and some at first.
		if ranges < 30 || ranges > 70 {
			t.Errorf("the byte-range playlist was stored %d times", ranges)
		}
		wantWhole(t, w, rec)
	})
}

// A bucket that cannot be reached loses nothing: the recording starts late and
// ends late, but whole.
func TestOutage(t *testing.T) {
	for _, tt := range []struct {
		name     string
		from, to time.Duration // of the outage
		ended    time.Duration // when the recording must have ended
	}{
		{"from the start", 0, time.Hour, time.Hour + time.Minute},
		{"in the middle", 15 * time.Second, 50 * time.Second, 3 * time.Minute},
		{"over the end", 15 * time.Second, 3 * time.Hour, 3*time.Hour + time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, func(t *testing.T, w *world, r *Recorder) {
				begun := time.Now()
				attempts := 0
				w.fault = func(int, string) error {
					if at := time.Since(begun); at >= tt.from && at < tt.to {
						attempts++
						return errNetwork
					}
					return nil
				}
				c := newCamera(30)
				c.broadcast(t, r, 3*60)
				time.Sleep(10 * time.Second)
				c = c.again()
				c.broadcast(t, r, 3*60)
				time.Sleep(tt.ended - time.Since(begun))
				synctest.Wait()
				rec := w.recordings()[0]
				if rec.State != resource.RecordingEnded || len(rec.StreamIDs) != 2 || rec.Duration != 2*time.Minute {
					t.Errorf("recording: %+v", rec)
				}
				if got, want := rec.EndedAt.Sub(begun), 160*time.Second; got < want-time.Second || got > want {
					t.Errorf("ended at %v, want %v: when the window had passed", got, want)
				}
				wantWhole(t, w, rec)
				if most := int((tt.to-tt.from)/(15*time.Second)) + 10; attempts > most {
					t.Errorf("%d attempts in an outage of %v, want at most %d", attempts, tt.to-tt.from, most)
				}
			})
		})
	}
}

// A bucket that turns the recording away leaves no trace but the event, and the
// next stream is tried anew.
func TestRefusal(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		w.fault = func(_ int, call string) error {
			if strings.HasPrefix(call, "put") || strings.HasPrefix(call, "check") {
				return errDenied()
			}
			return nil
		}
		c := newCamera(60)
		take := r.Begin(c.stream)
		err := c.shoot(t, take, 30)
		if err == nil || !strings.Contains(err.Error(), "access denied") {
			t.Errorf("write: %v, want access denied", err)
		}
		take.End()
		synctest.Wait()
		told := w.told()
		if len(told) != 1 || !strings.HasPrefix(told[0], "Recording Start Failure "+c.stream.ID+": bucket clips must not be written to, access denied") {
			t.Errorf("told %q", told)
		}
		if dirs := spooled(t, r.Dir); len(dirs) != 0 {
			t.Errorf("spool still has %q", dirs)
		}
		w.fault = nil
		c = c.again()
		c.broadcast(t, r, 30)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		wantTold(t, w, told[0], "Recording Start "+c.stream.ID, "Recording End "+c.stream.ID)
	})
}

// A full disk ends the recording, with what there is; the next stream begins a
// new one.
func TestFullDisk(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		c := newCamera(60)
		first := c.stream.ID
		take := r.Begin(c.stream)
		if err := c.shoot(t, take, 45); err != nil {
			t.Fatal(err)
		}
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		rec := take.rec
		rec.mu.Lock()
		file := rec.bundle.files[0]
		rec.bundle.files[0] = full
		rec.mu.Unlock()
		defer file.Close()
		if err := c.shoot(t, take, 1); err == nil {
			t.Error("a full disk goes unnoticed")
		}
		if err := c.shoot(t, take, 1); err == nil {
			t.Error("the take goes on after the error")
		}
		take.End()
		time.Sleep(time.Second)
		synctest.Wait()
		wantTold(t, w, "Recording Start "+first, "Recording End Failure "+first)
		row := w.recordings()[0]
		if row.Duration != 15*time.Second || row.StatusMessage != "the spool cannot be written: no space left on device" {
			t.Errorf("recording: %+v", row)
		}
		failed := w.object(row, "events/recording-failed.json")
		if !strings.Contains(failed, `"RECORDING_ENDED_WITH_FAILURE"`) || !strings.Contains(failed, `"duration_ms":15000`) {
			t.Errorf("recording-failed.json: %s", failed)
		}
		if got := w.object(row, "media/hls/720p30/playlist.m3u8"); strings.Count(got, "#EXTINF") != 2 {
			t.Errorf("playlist:\n%s", got)
		}
		c = c.again()
		c.broadcast(t, r, 45)
		synctest.Wait()
		if n := len(w.recordings()); n != 2 {
			t.Errorf("%d recordings, want 2", n)
		}
	})
}

// A spool that takes nothing at all is told as a failure to start.
func TestNoSpool(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		os.RemoveAll(r.Dir)
		os.WriteFile(r.Dir, nil, 0o600)
		c := newCamera(60)
		take := r.Begin(c.stream)
		if err := c.shoot(t, take, 1); err == nil {
			t.Error("write succeeds without a spool")
		}
		take.End()
		synctest.Wait()
		wantTold(t, w, "Recording Start Failure "+c.stream.ID+": the spool cannot be written: not a directory")
		if len(r.all) != 0 || len(r.takes) != 0 {
			t.Errorf("%d recordings are kept", len(r.all))
		}
	})
}

// A publisher who leaves before the first part leaves no recording.
func TestNoMedia(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		r.Begin(newCamera(60).stream).End()
		r.Begin(newCamera(0).stream).End()
		synctest.Wait()
		wantTold(t, w)
		if dirs := spooled(t, r.Dir); len(dirs) != 0 || len(r.takes) != 0 {
			t.Errorf("spool has %q, %d recordings are kept", dirs, len(r.takes))
		}
		// Nor does it change the one that waits, or how long that waits.
		c := newCamera(60)
		c.broadcast(t, r, 30)
		time.Sleep(59 * time.Second)
		r.Begin(newCamera(60).stream).End()
		time.Sleep(time.Second - 1)
		again := c.again()
		again.broadcast(t, r, 30)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		wantTold(t, w, "Recording Start "+c.stream.ID, "Recording End "+c.stream.ID+" "+again.stream.ID)
	})
	for _, gap := range []time.Duration{0, 2 * time.Second} { // to the stream's end
		virtual(t, func(t *testing.T, w *world, r *Recorder) {
			c := newCamera(60)
			c.broadcast(t, r, 30)
			left := time.Now()
			time.Sleep(59 * time.Second)
			take := r.Begin(c.again().stream)
			time.Sleep(gap)
			take.End()
			time.Sleep(time.Minute)
			synctest.Wait()
			wantTold(t, w, "Recording Start "+c.stream.ID, "Recording End "+c.stream.ID)
			if at := w.recordings()[0].EndedAt; !at.Equal(left.Add(time.Minute)) {
				t.Errorf("ended at %v, want %v", at, left.Add(time.Minute))
			}
		})
	}
}

// A media file that somebody takes away is left out; the recording goes on
// behind a discontinuity, and ends.
func TestMissingFile(t *testing.T) {
	for name, missing := range map[string]int{"first": 0, "middle": 1, "last": 2} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, w *world, r *Recorder) {
				c := newCamera(60)
				back := time.Now().Add(40 * time.Second)
				w.fault = func(_ int, call string) error {
					if strings.HasSuffix(call, ".ts") && time.Now().Before(back) {
						return errNetwork
					}
					return nil
				}
				c.broadcast(t, r, 90) // three objects
				id := spooled(t, r.Dir)[0]
				if err := os.Remove(filepath.Join(r.Dir, id, fmt.Sprint(missing, ".ts"))); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				rec := w.recordings()[0]
				if rec.State != resource.RecordingEnded || rec.Duration != 20*time.Second {
					t.Errorf("recording: %+v", rec)
				}
				playlist := wantWhole(t, w, rec)
				if got, want := strings.Count(playlist, "#EXT-X-DISCONTINUITY\n"), missing%2; got != want || strings.Contains(playlist, fmt.Sprint("\n", missing, ".ts")) {
					t.Errorf("%d discontinuities, want %d:\n%s", got, want, playlist)
				}
				if left := spooled(t, r.Dir); len(left) > 0 {
					t.Errorf("spool still has %q", left)
				}
			})
		})
	}
}

// Without renditions there is a recording, but no media in it.
func TestNoRenditions(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		c := newCamera(60)
		c.stream.Configuration.Rendition.Selection = "NONE"
		c.broadcast(t, r, 30)
		again := c.again()
		again.broadcast(t, r, 30)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		wantTold(t, w, "Recording Start "+c.stream.ID, "Recording End "+c.stream.ID+" "+again.stream.ID)
		rec := w.recordings()[0]
		if got := w.names(rec); !slices.Equal(got, []string{"events/ivs-check", "events/recording-ended.json", "events/recording-started.json"}) {
			t.Errorf("stored %q", got)
		}
		if got := w.object(rec, "events/recording-ended.json"); !strings.HasSuffix(got, `"media":{}}`) {
			t.Errorf("recording-ended.json: %s", got)
		}
	})
}

// A stop of the server ends what has no reconnect window, and leaves the rest
// to the next start.
func TestStop(t *testing.T) {
	for _, tt := range []struct {
		name   string
		window int
		slow   bool // the bucket does not answer any more
		ended  bool
	}{
		{"window", 60, false, false},
		{"no window", 0, false, true},
		{"no window, no network", 0, true, false},
	} {
		for _, of := range subjects {
			t.Run(tt.name+" "+of.name, func(t *testing.T) {
				c := of.camera(tt.window)
				outer := t
				w := newWorld()
				var spool string
				synctest.Test(t, func(t *testing.T) {
					dir := t.TempDir()
					r := open(t, w, dir)
					stop := run(t, r)
					take := c.begin(r)
					if err := c.shoot(t, take, 46); err != nil {
						t.Fatal(err)
					}
					if tt.slow {
						w.fault = func(int, string) error { return errNetwork }
					}
					begun := time.Now()
					stop()
					if took := time.Since(begun); took > 5*time.Second {
						t.Errorf("stopped after %v", took)
					}
					if err := c.shoot(t, take, 1); !errors.Is(err, errStopped) {
						t.Errorf("write after stop: %v", err)
					}
					take.End()
					late := c.again().begin(r)
					if err := c.shoot(t, late, 1); !errors.Is(err, errStopped) {
						t.Errorf("write of a new take after stop: %v", err)
					}
					late.End()
					if got := len(spooled(t, dir)) == 0; got != tt.ended {
						t.Errorf("spool empty = %v, want %v", got, tt.ended)
					}
					spool = copyTree(outer, dir)
				})
				if tt.ended {
					wantTold(t, w, "Recording Start "+c.stream.ID, "Recording End "+c.stream.ID)
					return
				}
				wantTold(t, w, "Recording Start "+c.stream.ID)
				w.fault = nil
				synctest.Test(t, func(t *testing.T) {
					r := open(t, w, spool)
					stop := run(t, r)
					defer stop()
					synctest.Wait()
					if tt.window > 0 {
						again := c.again()
						again.broadcast(t, r, 30)
						time.Sleep(2 * time.Minute)
						synctest.Wait()
						wantTold(t, w, "Recording Start "+c.stream.ID, "Recording End "+c.stream.ID+" "+again.stream.ID)
						return
					}
					wantTold(t, w, "Recording Start "+c.stream.ID, "Recording End "+c.stream.ID)
				})
				wantWhole(t, w, w.recordings()[0])
			})
		}
	}
}

// A journal that takes nothing any more ends the recording, too. All that is
// there is stored.
func TestFullJournal(t *testing.T) {
	w := newWorld()
	var c *camera
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := open(t, w, dir)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		c = newCamera(60)
		take := r.Begin(c.stream)
		if err := c.shoot(t, take, 40); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		take.rec.mu.Lock()
		take.rec.journal.Close()
		take.rec.mu.Unlock()
		if err := c.shoot(t, take, 1); err == nil {
			t.Error("a full journal goes unnoticed")
		}
		take.End()
		time.Sleep(time.Minute)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		if left := spooled(t, dir); len(left) > 0 {
			t.Errorf("spool still has %q", left)
		}
	})
	wantTold(t, w, "Recording Start "+c.stream.ID, "Recording End Failure "+c.stream.ID)
	rec := w.recordings()[0]
	if rec.Duration.Round(time.Millisecond) != 13333*time.Millisecond {
		t.Errorf("duration %v, want 13.333s", rec.Duration)
	}
	if failed := w.object(rec, "events/recording-failed.json"); !strings.Contains(failed, `"duration_ms":13333`) {
		t.Errorf("recording-failed.json: %s", failed)
	}
	if got := w.object(rec, "media/hls/720p30/playlist.m3u8"); strings.Count(got, "#EXTINF") != 2 || !strings.HasSuffix(got, "#EXT-X-ENDLIST\n") {
		t.Errorf("playlist:\n%s", got)
	}
}
