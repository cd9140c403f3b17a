package recorder

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
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

// The journals of renditions say what they said, and those from before there
// were several say it of the one there was.
func TestRecordsOfRenditions(t *testing.T) {
	counters := packager.TSState{PAT: 1, PMT: 2, Video: 3, Audio: 15, Tag: 7, Segments: 3}
	var s state
	for _, r := range []record{
		&begun{Recording: resource.Recording{ID: "h3Rk9Lq2Zw8T"}, Renditions: []Rendition{
			{Width: 1280, Height: 720, FrameRate: 30}, {Name: "480p30", Width: 852, Height: 480, FrameRate: 30}, {Name: "audio_only"},
		}, Codecs: "avc1.4d401f"},
		&described{Rendition: 1, Codecs: "avc1.4d401e,mp4a.40.2"},
		&header{Data: []byte{1, 2}, Rendition: 2},
		&opened{N: 0, Headers: []int{0, 1, 2}},
		&part{Start: packager.Origin, Duration: 30_000, Time: time.UnixMilli(1772359207412).UTC(), Segment: true, Independent: true,
			Of: []share{{Size: 88_000, TS: counters, Sum: 17}, {}, {Size: 3_000, Sum: 1 << 31}}},
		&part{Start: packager.Origin + 30_000, Duration: 30_000, Time: time.UnixMilli(1772359207745).UTC(), Tail: 3003,
			Of: []share{{}, {Size: 44_000, TS: counters}, {Size: 4_000}}},
		&missing{N: 0, Rendition: 2},
		&done{What: storedHeader, Rendition: 2},
	} {
		b, err := encode(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(b)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Fatalf("%+v becomes %+v, %v", r, got, err)
		}
		if err := got.apply(&s); err != nil {
			t.Errorf("apply %+v: %v", r, err)
		}
		if p, ok := r.(*part); ok {
			for n := range b {
				if _, err := decodePart(b[1:][:max(0, n-1)]); err == nil {
					t.Errorf("a part of %d shares is read from %d of %d bytes", len(p.Of), n, len(b))
				}
			}
			if _, err := decodePart(append(b[1:], 0)); err == nil {
				t.Error("a part is read though something follows")
			}
		}
	}
	o := &s.objects[0]
	if got := fmt.Sprint(o.of[0].Size, o.of[1].Size, o.of[2].Size, " ", o.of[0].sizes, o.of[2].sizes, " ", s.waiting, " ", o.Duration, " ", s.described[0].Codecs, " ", s.described[1].Codecs, " ", s.described[2].Codecs); got !=
		"88000 44000 0 [88000] [0] 132000 60000 avc1.4d401f avc1.4d401e,mp4a.40.2 " {
		t.Errorf("state: %s", got)
	}

	// As it was written when there was one rendition: flags, six numbers, a tail,
	// counters, a checksum.
	old := append([]byte{'p', 7}, 0x0a, 0x80, 0x01, 0x02, 0x90, 0x03, 0xd0, 0x0f, 0x06, 0x08, 1, 2, 3, 15, 7, 0x11, 0, 0, 0)
	got, err := decode(old)
	want := &part{Object: 5, Start: 1, Duration: 200, Time: time.UnixMilli(1000).UTC(), Segment: true, Independent: true, Tail: 4,
		Of: []share{{Size: 64, TS: counters, Sum: 17}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("an old part is %+v, %v; want %+v", got, err, want)
	}
	if b, _ := encode(want); string(b) != string(old) {
		t.Errorf("a part of one rendition is written as %x, formerly %x", b, old)
	}
}

// The spools in testdata/onerendition were left by a server that knew of one
// rendition alone, killed amid the second object: they are taken up, and a stream
// of one rendition joins.
func TestSpoolOfOneRendition(t *testing.T) {
	for _, container := range []resource.ContainerFormat{resource.TS, resource.FragmentedMP4} {
		t.Run(string(container), func(t *testing.T) {
			dir := copyTree(t, filepath.Join("testdata/onerendition", string(container)))
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				r := open(t, w, dir)
				stop := run(t, r)
				time.Sleep(time.Second)
				c := newCamera(30)
				c.stream.Channel.ContainerFormat = container
				c.size = 20
				var ok bool
				if c.now, ok = r.Position(c.stream.Channel.ARN); !ok || c.now != packager.Origin+32*30_000 {
					t.Errorf("the next stream begins at %d, %t", c.now, ok)
				}
				c.broadcast(t, r, 32)
				time.Sleep(time.Minute)
				stop()
				if rec := w.recordings()[0]; len(rec.StreamIDs) != 2 || rec.Duration != (64*media.Ticks(30_000)).Duration(media.VideoRate) {
					t.Errorf("recording: %+v", rec)
				}
				if got := entries(wantWhole(t, w, w.recordings()[0])); got != "0 1 |2 3" {
					t.Errorf("entries are %s", got)
				}
			})
		})
	}
}

// A recording of 48 hours in five renditions has a journal of some tens of
// megabytes, too.
func TestJournalSizeOfRenditions(t *testing.T) {
	p := part{
		Object: 17_280, Start: media.TicksOf(96*time.Hour, media.VideoRate), Duration: 30_150, Time: time.UnixMilli(1772359207412),
		Of: slices.Repeat([]share{{Size: 300_000, TS: packager.TSState{Segments: 86_400}, Sum: 1 << 31}}, 5),
	}
	b, err := encode(&p)
	if err != nil {
		t.Fatal(err)
	}
	if total := (8 + len(b)) * 3 * 48 * 3600; total > 60<<20 {
		t.Errorf("parts take %d bytes each, %d MB in 48 hours", 8+len(b), total>>20)
	}
}

// Wherever the files of an object are torn, what is left are the parts that all of
// them have, and no file has more.
func TestTornRenditions(t *testing.T) {
	outer := t
	var spool string
	var want []*part // of the second object
	w := newWorld()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := open(t, w, dir)
		stop := run(t, r)
		c := newCamera(30).climb()
		take := r.Begin(c.stream)
		c.shoot(t, take, 30)
		for n := range 12 {
			c.rungs[1].hole = n < 6
			c.shoot(t, take, 1)
		}
		spool = copyTree(outer, dir)
		stop()
	})
	id := spooled(t, spool)[0]
	l, err := journal.Open(disk.OS, filepath.Join(copyTree(t, spool), id, journalName), func(b []byte) error {
		if r, _ := decode(b); r != nil && r.kind() == kindPart && r.(*part).Object == 1 {
			want = append(want, r.(*part))
		}
		return nil
	})
	if err != nil || len(want) != 12 {
		t.Fatalf("%d parts, %v", len(want), err)
	}
	l.Close()
	file := func(dir string, i int) string { return filepath.Join(dir, id, "1", fmt.Sprintf("%d.ts", i)) }
	check := func(i int, size int64) {
		t.Helper()
		parts, ends := 0, make([]int64, 3)
		for end := int64(0); parts < len(want); parts++ {
			if end += want[parts].Of[i].Size; end > max(size, 0) {
				break
			}
			for i := range ends {
				ends[i] += want[parts].Of[i].Size
			}
		}
		dir := copyTree(t, spool)
		defer os.RemoveAll(dir)
		if size < 0 {
			os.Remove(file(dir, i))
		} else {
			os.Truncate(file(dir, i), size)
		}
		for range 2 { // the second time is a kill right after the recovery
			r := open(t, w, dir)
			rec := r.all[id]
			defer rec.close()
			if got := (rec.duration() - 10*time.Second).Seconds() * 3; int(got+0.5) != parts {
				t.Fatalf("rendition %d cut at %d: %f parts, want %d", i, size, got, parts)
			}
			for n := range rec.objects {
				wantPieces(t, &rec.objects[n])
			}
			for i, end := range ends {
				if info, err := os.Stat(file(dir, i)); err == nil && info.Size() != end || err != nil && end > 0 {
					t.Errorf("rendition %d: %v, %v, want %d bytes", i, info, err, end)
				}
			}
		}
	}
	for i := range 3 {
		check(i, -1)
		var end int64
		for _, p := range want {
			for _, size := range []int64{end, end + 1, end + p.Of[i].Size - 1} {
				if size >= 0 {
					check(i, size)
				}
			}
			end += p.Of[i].Size
		}
		check(i, end)
		check(i, end+1000)
	}
}

// A stream moves to another recording with all its renditions, even if a torn
// object left its folder there.
func TestSplitRenditions(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		heavy := newCamera(60).climb() // heavy
		heavy.stream.Description.VideoBitrate, heavy.size = 0, 1000
		heavy.broadcast(t, r, 12)
		light := heavy.again()
		light.size = 100
		light.broadcast(t, r, 12)
		synctest.Wait()
		recs := w.recordings()
		if len(recs) != 2 {
			t.Fatalf("%d recordings", len(recs))
		}
		stale := filepath.Join(r.Dir, recs[0].ID, "1")
		if err := os.MkdirAll(stale, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(stale, "1.ts"), []byte("torn"), 0o600); err != nil {
			t.Fatal(err)
		}
		again := light.again() // first taken for the light one's
		again.size = 1000
		take := r.Begin(again.stream)
		if got := filepath.Base(take.rec.dir); got != recs[1].ID {
			t.Fatalf("the stream first joins %s", got)
		}
		again.shoot(t, take, 7)
		if got := filepath.Base(take.rec.dir); got != recs[0].ID {
			t.Fatalf("the stream moved to %s", got)
		}
		again.shoot(t, take, 5)
		take.End()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		for n, want := range []string{"0 |1", "0"} {
			for _, folder := range []string{"720p30", "480p30", "audio_only"} {
				playlist := w.object(recs[n], "media/hls/"+folder+"/"+mediaName)
				if got := entries(playlist); got != want {
					t.Errorf("recording %d: %s: %s, want %s", n, folder, got, want)
				}
				wantEntries(t, w, recs[n], "media/hls/"+folder+"/", playlist)
				wantEntries(t, w, recs[n], "media/hls/"+folder+"/", w.object(recs[n], "media/hls/"+folder+"/"+rangesName))
			}
		}
	})
}

// Others are told of each rendition.
func TestProgressOfRenditions(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		c := newCamera(60).climb()
		take := r.Begin(c.stream)
		c.shoot(t, take, 30)
		c.rungs[0].hole = true
		c.shoot(t, take, 31)
		synctest.Wait()
		id := w.recordings()[0].ID
		p, _ := r.Progress(id)
		want := resource.RecordedMedia{Renditions: []resource.RecordedRendition{{Name: "720p30", Width: 1280, Height: 720}, {Name: "480p30", Width: 852, Height: 480}, {Name: "audio_only"}}}
		if !reflect.DeepEqual(p.Media, want) {
			t.Errorf("media: %+v", p.Media)
		}
		stored, _ := r.Stored(id)
		var got []string
		for _, o := range stored {
			size := len(w.object(w.recordings()[0], "media/hls/"+o.Rendition+"/"+o.Name))
			if int64(size) != o.Size {
				t.Errorf("%+v has %d bytes", o, size)
			}
			got = append(got, fmt.Sprint(o.Rendition, "/", o.Name, " ", o.Size > 0))
		}
		if got := strings.Join(got, ", "); got != "720p30/0.ts true, 720p30/1.ts true, 480p30/0.ts true, 480p30/1.ts false, audio_only/0.ts true, audio_only/1.ts true" {
			t.Errorf("stored: %s", got)
		}
		take.End()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := w.recordings()[0].Media; !reflect.DeepEqual(got, want) {
			t.Errorf("the ledger was told %+v", got)
		}
	})
}
