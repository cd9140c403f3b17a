package recorder

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/disk"
	"anabranch/internal/journal"
	"anabranch/internal/media"
	"anabranch/internal/resource"
)

// killed runs a scenario on a recorder that is killed at the n-th call to the
// outside: before it is made, or after it is made but before the recorder
// knows. It returns the world, and the spool as the kill left it; empty when
// there were fewer calls.
func killed(t *testing.T, n int, made bool, scenario func(t *testing.T, r *Recorder)) (w *world, spool, at string) {
	t.Helper()
	outer := t
	synctest.Test(t, func(t *testing.T) {
		w = newWorld()
		dir := t.TempDir()
		dead := func(k int, call string) error {
			if k == n {
				spool, at = copyTree(outer, dir), call
			}
			if k >= n {
				return errNetwork
			}
			return nil
		}
		w.fault = dead
		if made {
			w.fault = func(k int, call string) error {
				if k > n {
					return errNetwork
				}
				return nil
			}
			w.after = dead
		}
		r := open(t, w, dir)
		stop := run(t, r)
		scenario(t, r)
		stop()
	})
	w.fault, w.after = nil, nil
	return w, spool, at
}

// A kill at any point leaves a recording that the next start ends as if
// nothing had been: told once, and whole in the bucket.
func TestKillAtEveryStep(t *testing.T) {
	for _, of := range subjects {
		for _, made := range []bool{false, true} {
			for n, more := 1, true; more; n++ {
				t.Run(fmt.Sprintf("%s/%v/%d", of.name, made, n), func(t *testing.T) {
					var first, second *camera
					w, spool, at := killed(t, n, made, func(t *testing.T, r *Recorder) {
						first = of.camera(30)
						first.broadcast(t, r, 36)
						time.Sleep(5 * time.Second)
						second = first.again()
						second.broadcast(t, r, 36)
						time.Sleep(5 * time.Minute)
					})
					if more = spool != ""; !more {
						return
					}
					synctest.Test(t, func(t *testing.T) {
						r := open(t, w, spool)
						stop := run(t, r)
						time.Sleep(5 * time.Minute)
						stop()
						recs := w.recordings()
						if len(recs) != 1 {
							t.Fatalf("killed at %s: %d recordings", at, len(recs))
						}
						rec := recs[0]
						ids := strings.Join(rec.StreamIDs, " ")
						told := w.told()
						if len(told) != 2 || !strings.HasPrefix(told[0], "Recording Start "+first.stream.ID) || told[1] != "Recording End "+ids {
							t.Errorf("killed at %s: told %q", at, told)
						}
						whole := time.Duration(len(rec.StreamIDs)) * 12 * time.Second
						if rec.Duration > whole || len(rec.StreamIDs) == 2 && rec.Duration <= 12*time.Second {
							t.Errorf("killed at %s: %d streams and %v of media", at, len(rec.StreamIDs), rec.Duration)
						}
						wantWhole(t, w, rec)
						if left := spooled(t, spool); len(left) > 0 {
							t.Errorf("killed at %s: spool still has %q", at, left)
						}
					})
				})
				if n > 100 {
					t.Fatal("the scenario does not end")
				}
			}
		}
	}
}

// After a kill in the middle of a stream the broadcaster goes on with the same
// recording.
func TestReturnAfterKill(t *testing.T) {
	for _, of := range subjects {
		for _, gap := range []time.Duration{time.Second, 29 * time.Second, 31 * time.Second} {
			t.Run(of.name+" "+gap.String(), func(t *testing.T) { returnAfterKill(t, of.camera(30), gap) })
		}
	}
}

func returnAfterKill(t *testing.T, c *camera, gap time.Duration) {
	outer := t
	var dir, spool string
	w := newWorld()
	synctest.Test(t, func(t *testing.T) {
		dir = t.TempDir()
		r := open(t, w, dir)
		stop := run(t, r)
		take := c.begin(r)
		c.shoot(t, take, 46)
		spool = copyTree(outer, dir)
		w.fault = func(int, string) error { return errNetwork }
		stop()
	})
	w.fault = nil
	synctest.Test(t, func(t *testing.T) {
		r := open(t, w, spool)
		stop := run(t, r)
		time.Sleep(gap)
		c = c.again()
		if at, ok := c.position(r); ok != (gap < 30*time.Second) || ok && at != c.now {
			t.Errorf("position %d, %v; want %d", at, ok, c.now)
		}
		c.broadcast(t, r, 45)
		time.Sleep(time.Minute)
		stop()
	})
	recs := w.recordings()
	if gap > 30*time.Second {
		if len(recs) != 2 {
			t.Errorf("%d recordings, want 2", len(recs))
		}
		return
	}
	if len(recs) != 1 || len(recs[0].StreamIDs) != 2 {
		t.Fatalf("recordings: %+v", recs)
	}
	if want := (91 * media.Ticks(30000)).Duration(media.VideoRate); recs[0].Duration != want {
		t.Errorf("duration %v, want %v", recs[0].Duration, want)
	}
	wantWhole(t, w, recs[0])
}

// Wherever the journal and the media are cut, every part that both have whole
// survives, and the recording can be continued.
func TestTornTail(t *testing.T) {
	outer := t
	var spool string
	var c *camera
	w := newWorld()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := open(t, w, dir)
		stop := run(t, r)
		c = newCamera(30)
		take := r.Begin(c.stream)
		c.shoot(t, take, 36) // one object of ten seconds, and the next begun
		spool = copyTree(outer, dir)
		stop()
	})
	id := spooled(t, spool)[0]
	// ends are where the second object's records and parts end.
	var ends, partEnds []int64
	var at, size int64
	l, err := journal.Open(disk.OS, filepath.Join(copyTree(t, spool), id, journalName), func(b []byte) error {
		at += 8 + int64(len(b))
		if r, _ := decode(b); r != nil && r.kind() == kindPart && r.(*part).Object == 1 {
			size += r.(*part).Of[0].Size
			ends, partEnds = append(ends, at), append(partEnds, size)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if len(ends) != 6 || at != ends[5] {
		t.Fatalf("the journal ends at %d, its parts at %d", at, ends)
	}
	// whole counts the parts that end before a file is cut.
	whole := func(ends []int64, cut int64) int {
		n, _ := slices.BinarySearch(ends, cut+1)
		return n
	}

	check := func(journalSize, mediaSize int64) {
		t.Helper()
		want := min(whole(ends, journalSize), whole(partEnds, mediaSize))
		dir := copyTree(t, spool)
		defer os.RemoveAll(dir)
		os.Truncate(filepath.Join(dir, id, journalName), journalSize)
		os.Truncate(filepath.Join(dir, id, "1.ts"), mediaSize)
		for range 2 { // the second time is a kill right after the recovery
			r := open(t, w, dir)
			rec := r.all[id]
			if rec == nil {
				t.Fatalf("journal cut at %d, media at %d: nothing is recovered", journalSize, mediaSize)
			}
			defer rec.close()
			var size, wantSize int64
			if info, err := os.Stat(filepath.Join(dir, id, "1.ts")); err == nil {
				size = info.Size()
			}
			if want > 0 {
				wantSize = partEnds[want-1]
			}
			parts := (rec.duration() - 10*time.Second).Seconds() * 3
			if math.Round(parts) != float64(want) || size != wantSize {
				t.Fatalf("journal cut at %d, media at %d: %f parts and %d bytes recovered, want %d parts", journalSize, mediaSize, parts, size, want)
			}
			for i := range rec.objects {
				wantPieces(t, &rec.objects[i])
			}
		}
	}
	for cut := ends[3]; cut <= at; cut++ {
		check(cut, size)
	}
	for cut := int64(0); cut <= size; cut += 61 {
		check(at, cut)
	}
	for i, end := range partEnds {
		check(at, end)
		check(at, end-1)
		if i >= 2 { // the journal was synced when the first object had been stored
			check(ends[i], end+100)
		}
	}
}

// Every byte of the journal may be the last that reached the disk.
func TestTornJournal(t *testing.T) {
	outer := t
	var spool string
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		dir := t.TempDir()
		r := open(t, w, dir)
		c := newCamera(30)
		take := r.Begin(c.stream)
		c.shoot(t, take, 4)
		spool = copyTree(outer, dir)
		run(t, r)()
	})
	id := spooled(t, spool)[0]
	info, err := os.Stat(filepath.Join(spool, id, journalName))
	if err != nil {
		t.Fatal(err)
	}
	for cut := range info.Size() + 1 {
		dir := copyTree(t, spool)
		os.Truncate(filepath.Join(dir, id, journalName), cut)
		r := open(t, newWorld(), dir)
		if rec := r.all[id]; rec != nil {
			rec.close()
		} else if left := spooled(t, dir); len(left) > 0 {
			t.Fatalf("cut at %d: spool still has %q", cut, left)
		}
		os.RemoveAll(dir)
	}
}

// A stream in doubt that a kill interrupts stays in the recording.
func TestKillWhileUndecided(t *testing.T) {
	outer := t
	var spool string
	var c *camera
	w := newWorld()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := open(t, w, dir)
		stop := run(t, r)
		c = newCamera(30)
		c.broadcast(t, r, 36)
		time.Sleep(time.Second)
		c = c.again()
		c.stream.Description.VideoBitrate = 0
		take := r.Begin(c.stream)
		c.shoot(t, take, 4) // the group of pictures has six
		spool = copyTree(outer, dir)
		stop()
	})
	synctest.Test(t, func(t *testing.T) {
		r := open(t, w, spool)
		stop := run(t, r)
		time.Sleep(time.Minute)
		stop()
	})
	rec := w.recordings()[0]
	if len(rec.StreamIDs) != 2 || rec.Duration != (40*media.Ticks(30000)).Duration(media.VideoRate) {
		t.Errorf("recording: %+v", rec)
	}
	wantWhole(t, w, rec)
}

// A split that a kill interrupts leaves the media in one of the recordings,
// never in both and never in none.
func TestKillWhileSplitting(t *testing.T) {
	outer := t
	var dir, before, after string
	var c *camera
	w := newWorld()
	var mid int64
	synctest.Test(t, func(t *testing.T) {
		dir = t.TempDir()
		r := open(t, w, dir)
		c = newCamera(30)
		c.broadcast(t, r, 12)
		c = c.again()
		c.stream.Description.VideoBitrate, c.size = 0, 1000
		take := r.Begin(c.stream)
		c.shoot(t, take, 6)
		before = copyTree(outer, dir)
		mid = take.rec.journal.Size()
		c.shoot(t, take, 1)
		after = copyTree(outer, dir)
		run(t, r)()
	})
	ids, all := spooled(t, before), spooled(t, after)
	if len(ids) != 1 || len(all) != 2 {
		t.Fatalf("spool has %q, then %q", ids, all)
	}
	old, split := ids[0], all[0]
	if split == old {
		split = all[1]
	}
	info, err := os.Stat(filepath.Join(after, split, journalName))
	if err != nil {
		t.Fatal(err)
	}
	total := func(what, dir string, want ...string) {
		t.Helper()
		r := open(t, newWorld(), dir)
		var got []string
		for id, rec := range r.all {
			name := "old"
			if id == split {
				name = "new"
			}
			got = append(got, fmt.Sprint(name, " ", len(rec.streams), " ", rec.duration().Round(time.Second)))
			rec.close()
		}
		if len(got) != len(want) || strings.Join(got, ", ") != strings.Join(want, ", ") && (len(got) < 2 || got[1]+", "+got[0] != strings.Join(want, ", ")) {
			t.Errorf("%s: recovered %q, want %q", what, got, want)
		}
	}
	// Stopped before the file has moved: the new journal, whole or not, is void.
	for cut := int64(0); cut <= info.Size(); cut += 7 {
		dir := copyTree(t, before)
		os.CopyFS(filepath.Join(dir, split), os.DirFS(filepath.Join(after, split)))
		os.Remove(filepath.Join(dir, split, "0.ts"))
		os.Truncate(filepath.Join(dir, split, journalName), cut)
		total(fmt.Sprintf("new journal cut at %d", cut), dir, "old 2 6s")
		os.RemoveAll(dir)
	}
	// Stopped after it has moved: the old journal does not know.
	moved := copyTree(t, after)
	os.Truncate(filepath.Join(moved, old, journalName), mid)
	total("file moved", moved, "old 1 4s", "new 1 2s")
	total("split", after, "old 1 4s", "new 1 2s")
}

// A row without a spool, and a spool that cannot be read, do not keep the
// server from starting, nor their recordings open. What cannot be read is set
// aside, once.
func TestRecoverStrangers(t *testing.T) {
	w := newWorld()
	for _, id := range []string{"gone", "newer", "void", "moved"} {
		w.rows[id] = resource.Recording{ID: id, StreamIDs: []string{id}, State: resource.RecordingStarted}
	}
	dir := t.TempDir()
	for _, id := range []string{"empty", "newer", "void", "moved.broken"} {
		os.MkdirAll(filepath.Join(dir, id), 0o700)
	}
	os.WriteFile(filepath.Join(dir, "file"), nil, 0o600)
	os.WriteFile(filepath.Join(dir, "newer", "0.ts"), []byte("media"), 0o600)
	os.WriteFile(filepath.Join(dir, "void", journalName), nil, 0o600)
	alien := &recording{fs: disk.OS, dir: filepath.Join(dir, "newer")}
	if err := alien.create(&begun{Recording: resource.Recording{ID: "newer"}}); err != nil {
		t.Fatal(err)
	}
	alien.journal.Append([]byte("?{}"))
	alien.journal.Close()

	for range 2 {
		if r := open(t, w, dir); len(r.all) != 0 {
			t.Errorf("recovered %d recordings", len(r.all))
		}
		told := w.told()
		slices.Sort(told)
		if got := strings.Join(told, ", "); got != "Recording End Failure gone, Recording End Failure moved, Recording End Failure newer, Recording End Failure void" {
			t.Errorf("told %q", got)
		}
		if got := strings.Join(spooled(t, dir), " "); got != "file moved.broken newer.broken void.broken" {
			t.Errorf("spool has %q", got)
		}
	}
	for id, reason := range map[string]string{
		"gone":  "the spool of the recording is lost",
		"newer": "the spool of the recording cannot be read: journal record '?' is of no known kind",
		"void":  "the spool of the recording cannot be read: the journal is empty",
		"moved": "the spool of the recording cannot be read: it was set aside at an earlier start",
	} {
		if got := w.rows[id].StatusMessage; got != reason {
			t.Errorf("%s: %q, want %q", id, got, reason)
		}
	}
	if media, err := os.ReadFile(filepath.Join(dir, "newer.broken", "0.ts")); string(media) != "media" {
		t.Errorf("media that was set aside: %q, %v", media, err)
	}
}

// A spool on a disk that is full is not broken.
func TestShortage(t *testing.T) {
	full := fmt.Errorf("append to journal: %w", &os.PathError{Op: "write", Path: "journal", Err: syscall.ENOSPC})
	if !shortage(full) || shortage(os.ErrPermission) || shortage(nil) {
		t.Error("want a full disk to be a shortage, and nothing else")
	}
}

// A spool that comes back after the ledger gave the recording up is stored, and
// tells nothing more.
func TestSpoolComesBack(t *testing.T) {
	w, spool := newWorld(), ""
	for n, at := 1, ""; at != "join"; n++ {
		w, spool, at = killed(t, n, false, func(t *testing.T, r *Recorder) {
			c := newCamera(30)
			c.broadcast(t, r, 36)
			time.Sleep(5 * time.Second) // in which all of the first stream is stored
			c.again().broadcast(t, r, 36)
			time.Sleep(time.Minute)
		})
		if at == "" {
			t.Fatal("no stream joins")
		}
	}
	open(t, w, t.TempDir())
	told := w.told()
	if len(told) != 2 || !strings.HasPrefix(told[1], "Recording End Failure") {
		t.Fatalf("told %q", told)
	}
	synctest.Test(t, func(t *testing.T) {
		r := open(t, w, spool)
		stop := run(t, r)
		time.Sleep(time.Minute)
		stop()
	})
	wantTold(t, w, told...)
	wantWhole(t, w, w.recordings()[0])
	if left := spooled(t, spool); len(left) > 0 {
		t.Errorf("spool still has %q", left)
	}
}
