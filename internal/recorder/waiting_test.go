package recorder

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/disk"
	"anabranch/internal/journal"
	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

// A stream that does not belong to the recording that waits, and comes and goes
// in between, does not keep the first encoder from going on with it.
func TestOtherInBetween(t *testing.T) {
	untold := func(size int) func(*camera) {
		return func(c *camera) { c.stream.Description.VideoBitrate, c.size = 0, size }
	}
	fragmented := func(f func(*camera)) func(*camera) {
		return func(c *camera) {
			f(c)
			c.stream.Channel.ContainerFormat = resource.FragmentedMP4
		}
	}
	for _, tt := range []struct {
		name     string
		a, b     func(*camera)
		parts    int // of B
		ownOnEnd bool
	}{
		{name: "other size", b: func(c *camera) { c.video().Width = 640 }, parts: 36},
		{name: "without media", b: func(c *camera) { c.video().Width = 640 }},
		{name: "without media, matching", b: func(*camera) {}},
		{name: "bitrate of B not told", b: untold(1000), parts: 36},
		{name: "no bitrate told", a: untold(200), b: untold(1000), parts: 36},
		{name: "no bitrate told, fragmented", a: fragmented(untold(200)), b: fragmented(untold(1000)), parts: 36},
		{name: "less than a group of pictures", a: untold(200), b: func(c *camera) { c.stream.Description.FrameRate = 60 }, parts: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, func(t *testing.T, w *world, r *Recorder) {
				a := newCamera(60)
				if tt.a != nil {
					tt.a(a)
				}
				first := a.stream.ID
				a.broadcast(t, r, 38)
				end := a.now
				time.Sleep(10 * time.Second)
				b := a.again()
				tt.b(b)
				b.broadcast(t, r, tt.parts)
				time.Sleep(30 * time.Second)
				at, ok := r.Position(a.stream.Channel.ARN)
				if !ok || at < end || tt.parts > 0 && at != b.now {
					t.Errorf("position %d, %v; want %d, the end of all", at, ok, b.now)
				}
				a = a.again()
				a.now = at
				take := r.Begin(a.stream)
				a.shoot(t, take, 17) // A's window passes meanwhile
				time.Sleep(time.Minute)
				a.shoot(t, take, 17)
				take.End()
				// A's recording goes on where it ended, however long B was there.
				if at, _ := r.Position(a.stream.Channel.ARN); at != end+34*30000 {
					t.Errorf("position %d, want %d", at, end+34*30000)
				}
				time.Sleep(2 * time.Minute)
				synctest.Wait()

				recs := w.recordings()
				want := 1
				if tt.parts > 0 {
					want = 2
				}
				if len(recs) != want || !slices.Equal(recs[0].StreamIDs, []string{first, a.stream.ID}) {
					t.Fatalf("recordings: %+v", recs)
				}
				if got, want := recs[0].Duration, (72 * media.Ticks(30000)).Duration(media.VideoRate); got != want {
					t.Errorf("first recording has %v, want %v", got, want)
				}
				for n, rec := range recs {
					if rec.State != resource.RecordingEnded {
						t.Errorf("recording %d is %s", n, rec.State)
					}
					if n == 1 && rec.Duration != (media.Ticks(tt.parts)*30000).Duration(media.VideoRate) {
						t.Errorf("second recording: %+v", rec)
					}
				}
				playlist := wantWhole(t, w, recs[0])
				if n := strings.Count(playlist, "#EXT-X-DISCONTINUITY\n"); n != 1 {
					t.Errorf("%d discontinuities, want 1:\n%s", n, playlist)
				}
				if n := strings.Count(playlist, "#EXT-X-MAP"); n > 1 {
					t.Errorf("%d initialization segments, want 1:\n%s", n, playlist)
				}
				if recs[0].ContainerFormat == resource.TS {
					wantContinuous(t, w, recs[0])
				}
				if len(r.takes) != 0 || len(r.all) != 0 {
					t.Errorf("%d takes and %d recordings are kept", len(r.takes), len(r.all))
				}
			})
		})
	}
}

// Of several recordings that a stream may join, the newest that it surely
// belongs to is continued, also after a restart.
func TestNewestFirst(t *testing.T) {
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w, dir := newWorld(), t.TempDir()
			r := open(t, w, dir)
			stop := run(t, r)
			var ids []string
			c := newCamera(60)
			for _, bitrate := range []int{2_000_000, 4_100_000, 2_000_000, 3_000_000} {
				c = c.again()
				c.stream.Description.VideoBitrate = bitrate
				if restart {
					stop()
					r = open(t, w, dir)
					stop = run(t, r)
				}
				c.broadcast(t, r, 6)
				ids = append(ids, c.stream.ID)
			}
			time.Sleep(2 * time.Minute)
			stop()
			recs := w.recordings()
			// 3 Mbit/s is near both 2 and 4.1.
			if len(recs) != 2 || !slices.Equal(recs[0].StreamIDs, []string{ids[0], ids[2], ids[3]}) {
				t.Errorf("recordings: %+v", recs)
			}
		})
	}
}

// A recording is not held up by a stream that turned out not to be its own.
func TestDoubtEnds(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		a := newCamera(60)
		a.stream.Description.VideoBitrate = 0
		first := a.stream.ID
		a.broadcast(t, r, 12)
		left := time.Now()
		b := a.again()
		b.size = 1000
		b.broadcast(t, r, 12)
		c := b.again() // belongs to b's recording, and may at first to either
		take := r.Begin(c.stream)
		time.Sleep(70 * time.Second)
		synctest.Wait()
		if told := w.told(); len(told) != 2 {
			t.Errorf("told %q while a stream is in doubt", told)
		}
		c.shoot(t, take, 8)
		synctest.Wait()
		wantTold(t, w, "Recording Start "+first, "Recording Start "+b.stream.ID, "Recording End "+first)
		if at := w.recordings()[0].EndedAt; !at.Equal(left.Add(time.Minute)) {
			t.Errorf("ended at %v, want %v", at, left.Add(time.Minute))
		}
		take.End()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		wantTold(t, w, "Recording Start "+first, "Recording Start "+b.stream.ID, "Recording End "+first, "Recording End "+b.stream.ID+" "+c.stream.ID)
	})
}

// A kill while a stream moves from one recording that waits to another leaves
// it in one of them: where its media is.
func TestKillWhileMoving(t *testing.T) {
	outer := t
	var spool, before string
	var ids [2]string // of the recordings
	w := newWorld()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := open(t, w, dir)
		c := newCamera(60)
		c.stream.Description.VideoBitrate = 0
		for n, size := range []int{200, 1000} {
			c = c.again()
			c.size = size
			take := r.Begin(c.stream)
			c.shoot(t, take, 12)
			take.End()
			ids[n] = filepath.Base(take.rec.dir)
		}
		c = c.again()
		c.size = 200
		take := r.Begin(c.stream)
		c.shoot(t, take, 6)
		if got := filepath.Base(take.rec.dir); got != ids[1] {
			t.Fatalf("the stream is first tried with %s, want %s", got, ids[1])
		}
		before = copyTree(outer, dir)
		c.shoot(t, take, 1)
		if got := filepath.Base(take.rec.dir); got != ids[0] {
			t.Fatalf("the stream moved to %s, want %s", got, ids[0])
		}
		spool = copyTree(outer, dir)
		run(t, r)()
	})
	// truncated cuts a journal before its last record that settles a stream.
	truncated := func(dir, id string) {
		path := filepath.Join(dir, id, journalName)
		var at, settles int64
		l, err := journal.Open(disk.OS, path, func(b []byte) error {
			if b[0] == kindSettled {
				settles = at
			}
			at += 8 + int64(len(b))
			return nil
		})
		if err != nil || settles == 0 && id == ids[0] {
			t.Fatalf("no settled record: %v", err)
		}
		l.Close()
		if settles == 0 {
			return // it is journaled with the next one
		}
		os.Truncate(path, settles)
	}
	check := func(what, dir string, want string) {
		t.Helper()
		r := open(t, newWorld(), dir)
		got := ""
		for _, id := range ids {
			rec := r.all[id]
			got += fmt.Sprint(len(rec.streams), " ", rec.duration().Round(time.Second), " ")
			rec.close()
		}
		if got != want {
			t.Errorf("%s: recovered %q, want %q", what, got, want)
		}
	}
	check("moved", copyTree(t, spool), "2 6s 1 4s ")
	dir := copyTree(t, spool)
	truncated(dir, ids[0])
	truncated(dir, ids[1])
	check("the file moved", dir, "2 6s 1 4s ")
	dir = copyTree(t, spool)
	truncated(dir, ids[0])
	truncated(dir, ids[1])
	os.Remove(filepath.Join(dir, ids[0], "1.ts"))
	if err := os.Rename(filepath.Join(before, ids[1], "1.ts"), filepath.Join(dir, ids[1], "1.ts")); err != nil {
		t.Fatal(err)
	}
	check("the file did not move", dir, "1 4s 2 6s ")
}

func TestWaiting(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		want := func(want ...resource.ARN) {
			t.Helper()
			if got := r.Waiting(); !slices.Equal(got, want) {
				t.Errorf("waiting: %q, want %q", got, want)
			}
		}
		want()
		c := newCamera(60)
		c.broadcast(t, r, 6)
		c = c.again()
		c.stream.Description.FrameRate = 60
		c.broadcast(t, r, 6) // a second recording of the channel
		want(c.stream.Channel.ARN)
		other := newCamera(60)
		other.stream.Channel.ARN = place.ARN(resource.KindChannel, "aaaaaaaaaaaa")
		take := r.Begin(other.stream)
		other.shoot(t, take, 1)
		want(c.stream.Channel.ARN)
		take.End()
		want(c.stream.Channel.ARN, other.stream.Channel.ARN)
		r.Release(c.stream.Channel.ARN, "")
		want(other.stream.Channel.ARN)
		time.Sleep(time.Minute)
		want()
	})
}

// Wherever a stream with reordering is torn off by a kill, what joins later is
// shown later, and the playlist tells how long all is shown.
func TestTornReordering(t *testing.T) {
	for _, container := range []resource.ContainerFormat{resource.TS, resource.FragmentedMP4} {
		t.Run(string(container), func(t *testing.T) {
			outer := t
			tails := 0
			var spools []string
			var shown []media.Ticks // the greatest PTS after each part
			w := newWorld()
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				r := open(t, w, dir)
				c := newCamera(60)
				c.stream.Channel.ContainerFormat = container
				take := r.Begin(c.stream)
				var greatest media.Ticks
				cutter := packager.NewCutter(packager.Origin, func(ch *packager.Chunk) error {
					data, err := c.cmaf.Append(nil, ch)
					if err != nil {
						return err
					}
					for _, f := range ch.Video {
						greatest = max(greatest, f.PTS)
					}
					if ch.Tail > 0 {
						tails++
					}
					if err := take.Write(ch, alone(ch, data)); err != nil {
						return err
					}
					spools, shown = append(spools, copyTree(outer, dir)), append(shown, greatest)
					return nil
				})
				// Key frames are so far apart that the first object ends between
				// them.
				playReordered(t, cutter, c.stream.Description.Params, 22*30)
				run(t, r)()
			})
			for n, spool := range spools[:len(spools)-1] { // which is not torn off
				var end media.Ticks
				var size int64
				for again := range 3 {
					r := open(t, w, spool)
					rec := r.all[spooled(t, spool)[0]]
					at, ok := r.Position(rec.Recording.ChannelARN)
					if !ok || at < end || again > 0 && at != end || again > 1 && rec.journal.Size() != size {
						t.Fatalf("part %d: position %d, then %d; journal of %d bytes, then %d", n, end, at, size, rec.journal.Size())
					}
					end, size = at, rec.journal.Size()
					if d := end - packager.Origin; rec.duration() != d.Duration(media.VideoRate) {
						t.Errorf("part %d: media of %v, position at %v", n, rec.duration(), d.Duration(media.VideoRate))
					}
					if o := rec.objects[len(rec.objects)-1]; o.Tail != 0 {
						t.Errorf("part %d: %d ticks are left over", n, o.Tail)
					}
					rec.close()
				}
				first := media.Ticks(-1)
				cutter := packager.NewCutter(end, func(ch *packager.Chunk) error {
					if first < 0 {
						first = ch.Video[0].PTS
					}
					return nil
				})
				playReordered(t, cutter, media.Params{Video: video720p}, 30)
				if first <= shown[n] {
					t.Errorf("part %d: torn off at %d, goes on at %d", n, shown[n], first)
				}
				os.RemoveAll(spool)
			}
			if len(spools) < 60 || tails == 0 {
				t.Errorf("%d parts, %d of them with a tail", len(spools), tails)
			}
		})
	}
}

// playReordered sends n frames through cutter: I, then PBB PBB …, shown one
// frame late.
func playReordered(t *testing.T, cutter *packager.Cutter, p media.Params, n int) {
	t.Helper()
	const frame = media.VideoRate / 30
	if err := cutter.Begin(p); err != nil {
		t.Fatal(err)
	}
	start := cutter.End()
	for i := range media.Ticks(n) {
		pts := i
		switch {
		case i == 0:
			pts = 1
		case i%3 == 1:
			pts = i + 3
		}
		f := media.Frame{DTS: start + i*frame, PTS: start + pts*frame, Key: i == 0, Payload: []byte{0, 0, 0, 2, 0x41, 0}}
		if err := cutter.Write(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := cutter.Flush(); err != nil {
		t.Fatal(err)
	}
}
