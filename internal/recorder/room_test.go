package recorder

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/resource"
)

// The spool has a bound. Beyond it, recordings whose store does not keep up
// fail, at once; those of other stores go on; new ones are refused. What was
// spooled is stored when the store is back, and the room is given back.
func TestSpoolMax(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		o := &outage{world: w, fails: ways["hangs"]}
		each := stores{"clips": o, "other": w}
		const bound = 2_000_000
		dir := t.TempDir()
		r := openOn(t, w, dir, each, bound)
		defer run(t, r)()
		begun := time.Now()
		o.begin(48 * time.Hour)

		other := newCamera(60)
		other.stream.Channel.ARN = place.ARN(resource.KindChannel, "other")
		other.stream.Configuration.Destination.S3.BucketName = "other"
		beside := make(chan struct{})
		go func() {
			defer close(beside)
			take := r.Begin(other.stream)
			if err := other.live(t, take, 3*600); err != nil {
				t.Errorf("a recording whose store keeps up: %v", err)
			}
			take.End()
		}()

		c := newCamera(60)
		take := r.Begin(c.stream)
		err := c.live(t, take, 3*3600)
		full := time.Since(begun)
		take.End()
		reason := regexp.MustCompile(`^the spool is full: 2(\.\d+)? MB of media wait for upload, and bucket clips does not keep up$`)
		if err == nil || !reason.MatchString(err.Error()) {
			t.Fatalf("write in a full spool: %v", err)
		}
		// It is told within the same instant, long before anything is stored.
		synctest.Wait()
		failed := "Recording End Failure " + c.stream.ID
		if got := w.told(); !slices.Contains(got, failed) || slices.Index(got, "Recording Start "+c.stream.ID) < 0 {
			t.Errorf("told %q after %v", got, full)
		}
		if used := r.room.used.Load(); used < bound || used > bound+500_000 || used != mediaIn(t, dir) {
			t.Errorf("%d bytes are spooled, the bound is %d, on the disk are %d", used, bound, mediaIn(t, dir))
		}
		// The next stream is refused, that of another store is not.
		late := c.again()
		take = r.Begin(late.stream)
		if err := late.live(t, take, 3); err == nil || !strings.HasPrefix(err.Error(), "the spool is full") {
			t.Errorf("write of a new stream: %v", err)
		}
		take.End()
		<-beside
		time.Sleep(2 * time.Minute)
		third := newCamera(0)
		third.stream.Channel.ARN = place.ARN(resource.KindChannel, "third")
		third.stream.Configuration.Destination.S3.BucketName = "other"
		r.room.add("clips", bound) // the others' objects have left
		third.broadcast(t, r, 90)
		r.room.add("clips", -bound)
		time.Sleep(time.Minute)
		synctest.Wait()
		told := w.told()
		refused := slices.IndexFunc(told, func(s string) bool {
			return strings.HasPrefix(s, "Recording Start Failure "+late.stream.ID+": the spool is full")
		})
		if refused < 0 || !slices.Contains(told, "Recording End "+other.stream.ID) || !slices.Contains(told, "Recording End "+third.stream.ID) {
			t.Errorf("told %q", told)
		}
		if len(spooled(t, dir)) != 1 {
			t.Errorf("the spool has %q", spooled(t, dir))
		}

		o.begin(0) // it is back
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := len(w.told()); n != len(told) {
			t.Errorf("told more: %q", w.told()[len(told):])
		}
		all := w.recordings() // in any order, for two began at once
		rec := all[slices.IndexFunc(all, func(r resource.Recording) bool { return r.Bucket == "clips" })]
		playlist := w.object(rec, "media/hls/720p30/playlist.m3u8")
		if !strings.HasSuffix(playlist, "#EXT-X-ENDLIST\n") || !strings.Contains(w.object(rec, "events/recording-failed.json"), "the spool is full") {
			t.Errorf("playlist:\n%s", playlist)
		}
		if rec.State != resource.RecordingFailed || (rec.Duration-full).Abs() > time.Millisecond {
			t.Errorf("recorded %v of %v: %+v", rec.Duration, full, rec)
		}
		if used := r.room.used.Load(); used != 0 || len(spooled(t, dir)) != 0 {
			t.Errorf("%d bytes are spooled, %q", used, spooled(t, dir))
		}
		again := late.again()
		again.broadcast(t, r, 30)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if told := w.told(); told[len(told)-1] != "Recording End "+again.stream.ID {
			t.Errorf("told last %q", told[len(told)-1])
		}
	})
}

// What a full spool ended is counted, and told no more, after a restart; and
// stored when the store is back.
func TestSpoolMaxAfterRestart(t *testing.T) {
	outer := t
	w := newWorld()
	w.fault = func(_ int, call string) error {
		if strings.HasPrefix(call, "put") {
			return errNetwork
		}
		return nil
	}
	var spool string
	var used int64
	var c *camera
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := openOn(t, w, dir, w, 1_000_000)
		defer run(t, r)()
		c = newCamera(60)
		take := r.Begin(c.stream)
		for c.live(t, take, 1) == nil {
		}
		synctest.Wait()
		used = r.room.used.Load()
		spool = copyTree(outer, dir) // as a kill leaves it
	})
	want := []string{"Recording Start " + c.stream.ID, "Recording End Failure " + c.stream.ID}
	wantTold(t, w, want...)
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			r := openOn(t, w, spool, w, 1_000_000)
			stop := run(t, r)
			late := c.again()
			if err := late.live(t, r.Begin(late.stream), 1); err == nil {
				t.Error("a full spool is not full after a restart")
			}
			time.Sleep(time.Minute)
			if got := r.room.used.Load(); got != used || used < 1_000_000 {
				t.Errorf("%d bytes are spooled, %d before the restart", got, used)
			}
			stop()
		})
	}
	w.fault = nil
	synctest.Test(t, func(t *testing.T) {
		r := openOn(t, w, spool, w, 1_000_000)
		stop := run(t, r)
		time.Sleep(time.Minute)
		stop()
		if got := r.room.used.Load(); got != 0 || len(spooled(t, spool)) > 0 {
			t.Errorf("%d bytes are spooled, %q", got, spooled(t, spool))
		}
	})
	if got := w.told(); !slices.Equal(got[:2], want) || len(got) != 4 {
		t.Errorf("told %q", got)
	}
	if got := w.object(w.recordings()[0], "events/recording-failed.json"); !strings.Contains(got, "the spool is full") {
		t.Errorf("recording-failed.json: %s", got)
	}
}

// What is left of a bucket that is gone for good does not fail the recordings of
// another, which is away for a minute.
func TestSpoolMaxOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		gone, other := &outage{world: w, fails: ways["answers 403"]}, &outage{world: w, fails: ways["refuses connections"]}
		const bound = 8_000_000
		r := openOn(t, w, t.TempDir(), stores{"clips": gone, "other": other}, bound)
		defer run(t, r)()
		c := newCamera(0)
		take := r.Begin(c.stream)
		_ = c.live(t, take, 60)
		gone.begin(1000 * time.Hour)
		for c.live(t, take, 1) == nil {
		}
		take.End()
		time.Sleep(24 * time.Hour)
		c = newCamera(60)
		c.stream.Channel.ARN = place.ARN(resource.KindChannel, "other")
		c.stream.Configuration.Destination.S3.BucketName = "other"
		take = r.Begin(c.stream)
		_ = c.live(t, take, 3*60)
		other.begin(time.Minute)
		if err := c.live(t, take, 3*120); err != nil {
			t.Errorf("a bucket that is away for a minute: %v", err)
		}
		other.begin(time.Hour)
		for c.live(t, take, 1) == nil {
		}
		take.End()
		if used := r.room.used.Load(); used < bound || used > bound*5/4+100_000 {
			t.Errorf("%d bytes are spooled, the bound is %d", used, bound)
		}
	})
}

// stores has a store for each bucket.
type stores map[string]Objects

func (s stores) Put(ctx context.Context, bucket, key, contentType string, body io.ReadSeeker) error {
	return s[bucket].Put(ctx, bucket, key, contentType, body)
}

func (s stores) Check(ctx context.Context, bucket string) error { return s[bucket].Check(ctx, bucket) }

// mediaIn is how much media a spool has.
func mediaIn(t *testing.T, dir string) (sum int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.ts"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	return sum
}
