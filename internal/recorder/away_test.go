package recorder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/disk"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// answer is a store's refusal, as the S3 client returns it.
func answer(status int, code string) error {
	return &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}},
		Err:      &smithy.GenericAPIError{Code: code, Message: "so it is"},
	}
}

// outage is a store that is away, in one of many ways, for a time.
type outage struct {
	*world
	// fails answers a Put. store makes the change that was asked for.
	fails func(ctx context.Context, store func() error) error

	mu       sync.Mutex
	from, to time.Time
	tries    []string // what was asked for meanwhile
	under    int      // calls under way
	most     int      // and the most at a time
}

func (o *outage) begin(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.from, o.to = time.Now(), time.Now().Add(d)
}

func (o *outage) now(what string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	away := !now.Before(o.from) && now.Before(o.to)
	if away {
		o.tries = append(o.tries, what)
	}
	return away
}

func (o *outage) Put(ctx context.Context, bucket, key, contentType string, body io.ReadSeeker) error {
	o.mu.Lock()
	o.under++
	o.most = max(o.most, o.under)
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		o.under--
		o.mu.Unlock()
	}()
	store := func() error { return o.world.Put(ctx, bucket, key, contentType, body) }
	if o.now(key) {
		return o.fails(ctx, store)
	}
	return store()
}

func (o *outage) Check(ctx context.Context, bucket string) error {
	if o.now("check") {
		return o.fails(ctx, func() error { return nil })
	}
	return o.world.Check(ctx, bucket)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ways are how a store can be away.
var ways = map[string]func(ctx context.Context, store func() error) error{
	"refuses connections": func(context.Context, func() error) error { return errNetwork },
	"answers 500":         func(context.Context, func() error) error { return answer(500, "InternalError") },
	"answers SlowDown":    func(context.Context, func() error) error { return answer(503, "SlowDown") },
	"answers 403":         func(context.Context, func() error) error { return answer(403, "AccessDenied") },
	"has no bucket":       func(context.Context, func() error) error { return answer(404, "NoSuchBucket") },
	"sees other bytes":    func(context.Context, func() error) error { return answer(400, "BadDigest") },
	"sees other hashes":   func(context.Context, func() error) error { return answer(400, "XAmzContentSHA256Mismatch") },
	"sees other clocks":   func(context.Context, func() error) error { return answer(403, "RequestTimeTooSkewed") },
	"hangs": func(ctx context.Context, _ func() error) error {
		if err := wait(ctx, time.Minute); err != nil {
			return err
		}
		return errors.New("no progress")
	},
	"is slow": func(ctx context.Context, store func() error) error {
		if err := wait(ctx, 25*time.Second); err != nil {
			return err
		}
		return store()
	},
	"loses its answers": func(_ context.Context, store func() error) error {
		store()
		return io.ErrUnexpectedEOF
	},
}

// openOn opens a recorder with a store and a bound of its spool.
func openOn(t *testing.T, w *world, dir string, objects Objects, bound int64) *Recorder {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	r, err := Open(t.Context(), Config{Dir: dir, FS: disk.OS, SpoolMax: bound, Objects: objects, Ledger: w, Place: place, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// live is a stream that must not notice anything: its Writes take no time.
func (c *camera) live(t *testing.T, take *Take, n int) error {
	t.Helper()
	for range n {
		ch := c.chunk()
		all := c.render(t, ch)
		begun := time.Now()
		if err := take.Write(ch, all); err != nil {
			return err
		}
		if took := time.Since(begun); took > 0 {
			t.Fatalf("a write took %v", took)
		}
		time.Sleep(ch.Duration.Duration(90_000))
	}
	return nil
}

// A store may be away in any way, at any time, for any time: the stream does
// not notice, all is stored when it is back, and each event is told once.
func TestAway(t *testing.T) {
	// Two streams of 30 s with a gap of 20 s, and a window of 60 s.
	moments := map[string]time.Duration{"at the start": 0, "in the middle": 14 * time.Second, "in the gap": 35 * time.Second, "at the end": 75 * time.Second}
	for way, fails := range ways {
		for moment, from := range moments {
			for _, tt := range []struct {
				name   string
				camera func(window int) *camera
				d      time.Duration
			}{
				{"a channel", newCamera, 50 * time.Second},
				{"a channel", newCamera, 3 * time.Hour},
				{"a participant", newPublisher, 50 * time.Second},
			} {
				d := tt.d
				t.Run(fmt.Sprintf("%s %s for %v, %s", way, moment, d, tt.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld()
						o := &outage{world: w, fails: fails}
						r := openOn(t, w, t.TempDir(), o, 0)
						defer run(t, r)()
						time.AfterFunc(from, func() { o.begin(d) })
						synctest.Wait()

						c := tt.camera(60)
						first := c.stream.ID
						take := c.begin(r)
						err := c.live(t, take, 90)
						take.End()
						if refused := moment == "at the start" && (way == "answers 403" || way == "has no bucket"); refused {
							synctest.Wait()
							if told := w.told(); err == nil || len(told) != 1 || !strings.HasPrefix(told[0], "Recording Start Failure "+first) {
								t.Errorf("write: %v; told %q", err, told)
							}
							return
						}
						if err != nil {
							t.Fatalf("write: %v", err)
						}
						time.Sleep(20 * time.Second)
						// What waits for its broadcaster ends with its bucket.
						gone := way == "has no bucket"
						second := first
						if !gone || moment == "at the end" {
							c = c.again()
							second = c.stream.ID
							take := c.begin(r)
							if err := c.live(t, take, 90); err != nil {
								t.Fatalf("write: %v", err)
							}
							take.End()
						}
						time.Sleep(from + d + 10*time.Minute)
						synctest.Wait()

						both := strings.Join(slices.Compact([]string{first, second}), " ")
						started, ended := "Recording Start "+first, "Recording End "+both
						if gone {
							ended = "Recording End Failure " + both
						}
						if moment == "at the start" && way != "is slow" {
							started = "Recording Start " + both // it starts late
						}
						wantTold(t, w, started, ended)
						rec := w.recordings()[0]
						if want := time.Duration(1+strings.Count(both, " ")) * 30 * time.Second; rec.Duration != want {
							t.Errorf("recorded %v, want %v", rec.Duration, want)
						}
						if gone {
							if got := w.object(rec, "events/recording-failed.json"); !strings.Contains(got, "bucket clips does not exist any more") {
								t.Errorf("recording-failed.json: %s", got)
							}
						} else {
							wantWhole(t, w, rec)
						}
						if left := spooled(t, r.Dir); len(left) > 0 || r.room.used.Load() != 0 {
							t.Errorf("the spool has %q, %d bytes", left, r.room.used.Load())
						}
						if most := int(d/(15*time.Second)) + 12; len(o.tries) > most {
							t.Errorf("%d attempts in %v, want at most %d", len(o.tries), d, most)
						}
					})
				})
			}
		}
	}
}

// The bucket of a recording that waits for its broadcaster is looked at: if
// it is deleted the recording ends, well before its window has passed.
func TestBucketDeletedInGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		o := &outage{world: w, fails: ways["has no bucket"]}
		r := openOn(t, w, t.TempDir(), o, 0)
		defer run(t, r)()
		c := newCamera(300)
		c.broadcast(t, r, 90)
		time.Sleep(30 * time.Second)
		wantTold(t, w, "Recording Start "+c.stream.ID)
		o.begin(time.Hour)
		deleted := time.Now()
		time.Sleep(11 * time.Second)
		synctest.Wait()
		wantTold(t, w, "Recording Start "+c.stream.ID, "Recording End Failure "+c.stream.ID)
		rec := w.recordings()[0]
		if after := rec.EndedAt.Sub(deleted); after < 0 || after > checkInterval || rec.StatusMessage != "bucket clips does not exist any more" {
			t.Errorf("ended %v after the bucket was deleted: %q", after, rec.StatusMessage)
		}
		c = c.again()
		take := r.Begin(c.stream)
		_ = c.shoot(t, take, 30)
		take.End()
		synctest.Wait()
		if told := w.told(); len(told) != 3 || !strings.HasPrefix(told[2], "Recording Start Failure "+c.stream.ID) {
			t.Errorf("told %q", told)
		}
	})
}

// A store that takes media more slowly than it comes gets the playlists all the
// same: what is in the bucket can be played.
func TestPlaylistsBeforeBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		o := &outage{world: w, fails: ways["is slow"]}
		r := openOn(t, w, t.TempDir(), o, 0)
		defer run(t, r)()
		c := newCamera(60)
		take := r.Begin(c.stream)
		o.begin(time.Hour)
		if err := c.live(t, take, 3*600); err != nil {
			t.Fatal(err)
		}
		rec := w.recordings()[0]
		stored := 0
		for _, name := range w.names(rec) {
			if strings.HasSuffix(name, ".ts") {
				stored++
			}
		}
		playlist := w.object(rec, "media/hls/720p30/playlist.m3u8")
		if listed := strings.Count(playlist, "#EXTINF"); stored < 5 || stored > 20 || listed < stored-2 {
			t.Errorf("after ten minutes %d objects are stored, %d listed", stored, listed)
		}
		take.End()
	})
}

// A bucket that turns a recording away is believed at once; but when there is
// media to lose, because it could not be reached before, its mind may change.
func TestLateRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		begun := time.Now()
		w.fault = func(_ int, call string) error {
			switch at := time.Since(begun); {
			case !strings.HasPrefix(call, "put") && !strings.HasPrefix(call, "check"), at > 5*time.Minute:
				return nil
			case at > 30*time.Second:
				return errDenied()
			}
			return errNetwork
		}
		r := open(t, w, t.TempDir())
		defer run(t, r)()
		c := newCamera(60)
		take := r.Begin(c.stream)
		if err := c.live(t, take, 3*120); err != nil {
			t.Fatal(err)
		}
		take.End()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		wantTold(t, w, "Recording Start "+c.stream.ID, "Recording End "+c.stream.ID)
		wantWhole(t, w, w.recordings()[0])
	})
}
