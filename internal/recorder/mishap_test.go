package recorder

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/disk/disktest"
	"anabranch/internal/resource"
)

// mishap runs f on virtual time, with a recorder that runs on a disk that fails.
func mishap(t *testing.T, f func(t *testing.T, w *world, d *disktest.Disk, r *Recorder)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, d := newWorld(), disktest.New(1)
		r, err := Open(t.Context(), Config{Dir: "/spool", FS: d, Objects: w, Ledger: w, Place: place, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer run(t, r)()
		f(t, w, d, r)
	})
}

// A disk that is full before the frame rate was measured leaves a rendition that
// has a name all the same.
func TestDiskFullInFirstGroup(t *testing.T) {
	mishap(t, func(t *testing.T, w *world, d *disktest.Disk, r *Recorder) {
		c := newCamera(60)
		c.stream.Description.FrameRate = 0
		take := r.Begin(c.stream)
		c.shoot(t, take, 3)
		d.SetRoom(0)
		if err := c.shoot(t, take, 1); err == nil {
			t.Error("a full disk goes unnoticed")
		}
		take.End()
		d.SetRoom(1 << 40)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		names := w.names(w.recordings()[0])
		if all := strings.Join(names, " "); strings.Contains(all, "//") || !strings.Contains(all, "media/hls/720p/0.ts") ||
			!strings.Contains(all, "recording-started.json") {
			t.Errorf("stored are %q", names)
		}
	})
}

// EXT-X-TARGETDURATION never changes (RFC 8216 §4.3.3.1), also where a full disk
// ends the recording amid a longer group of pictures.
func TestTargetDurationStays(t *testing.T) {
	mishap(t, func(t *testing.T, w *world, d *disktest.Disk, r *Recorder) {
		c := newCamera(60)
		take := r.Begin(c.stream)
		c.shoot(t, take, 30)
		c.gop = 24
		c.shoot(t, take, 20)
		synctest.Wait()
		told := func() string {
			return regexp.MustCompile(`#EXT-X-TARGETDURATION:\d+`).FindString(w.object(w.recordings()[0], "media/hls/720p30/playlist.m3u8"))
		}
		before := told()
		d.SetRoom(0)
		if err := c.shoot(t, take, 1); err == nil {
			t.Error("a full disk goes unnoticed")
		}
		take.End()
		d.SetRoom(1 << 40)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if after := told(); before == "" || after != before {
			t.Errorf("%q, then %q", before, after)
		}
	})
}

// A broadcaster who comes and goes while the store is away does not fill the
// disk, though no stream is long enough to be behind.
func TestSpoolMaxOfShortStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		o := &outage{world: w, fails: ways["refuses connections"]}
		const bound = 1_000_000
		r := openOn(t, w, t.TempDir(), o, bound)
		defer run(t, r)()
		o.begin(48 * time.Hour)
		c := newCamera(0)
		for range 50 {
			take := r.Begin(c.stream)
			_ = c.live(t, take, 50)
			take.End()
			c = c.again()
		}
		synctest.Wait()
		if used := r.room.used.Load(); used < bound || used > bound+500_000 {
			t.Errorf("%d bytes are spooled, the bound is %d", used, bound)
		}
	})
}

// The journal that a stream left is synced after the one it went to, whoever
// syncs: the syncer, or the driver before an upload.
func TestSyncAfterHeir(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := newWorld(), disktest.New(1)
		r, err := Open(t.Context(), Config{Dir: "/spool", FS: d, Objects: w, Ledger: w, Place: place, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		c := newCamera(60)
		c.stream.Description.VideoBitrate = 0
		take := r.Begin(c.stream)
		old := take.rec
		c.shoot(t, take, 12)
		take.End()
		c = c.again()
		c.size = 1000
		take = r.Begin(c.stream)
		c.shoot(t, take, 7)
		if take.rec == old {
			t.Fatal("the stream did not move")
		}
		var mu sync.Mutex
		var synced []string
		d.SetFault(func(op disktest.Op) error {
			if strings.HasPrefix(op.Path, take.rec.dir) {
				time.Sleep(time.Minute) // while the other syncs
			}
			if mu.Lock(); op.Name == "sync" && strings.HasSuffix(op.Path, journalName) {
				synced = append(synced, op.Path)
			}
			mu.Unlock()
			return nil
		})
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				if err := old.sync(); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		if len(synced) == 0 || !strings.HasPrefix(synced[0], take.rec.dir) {
			t.Errorf("synced %q", synced)
		}
		d.SetFault(nil)
		run(t, r)()
	})
}

// An object that cannot be read any more is left out in the end: what comes
// behind it is stored, and the end is told.
func TestBadSector(t *testing.T) {
	mishap(t, func(t *testing.T, w *world, d *disktest.Disk, r *Recorder) {
		d.SetFault(func(op disktest.Op) error {
			if op.Name == "read" && strings.HasSuffix(op.Path, "/1.ts") {
				return syscall.EIO
			}
			return nil
		})
		c := newCamera(0)
		c.broadcast(t, r, 90)
		time.Sleep(readPatience - time.Minute)
		wantTold(t, w, "Recording Start "+c.stream.ID)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		rec := w.recordings()[0]
		if got := fmt.Sprint(rec.State, " ", rec.Duration); got != fmt.Sprint(resource.RecordingEnded, " 20s") {
			t.Errorf("recording: %s", got)
		}
		if playlist := wantWhole(t, w, rec); strings.Contains(playlist, "1.ts") || !strings.Contains(playlist, "#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2000-01-01T00:00:19.999Z\n") {
			t.Errorf("playlist:\n%s", playlist)
		}
	})
}
