package recorder

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/disk/disktest"
	"anabranch/internal/media"
	"anabranch/internal/resource"
)

// entries are the entries of a media playlist, each with its number: those that
// are no media in brackets, and a bar before those behind a discontinuity.
func entries(playlist string) string {
	var all []string
	for entry := range strings.SplitAfterSeq(playlist, ",\n") {
		if n := len(all); n > 0 {
			name, _, _ := strings.Cut(entry, ".")
			all[n-1] = strings.Replace(all[n-1], "?", name, 1)
		}
		text := "?"
		if strings.Contains(entry, "#EXT-X-GAP") {
			text = "(?)"
		}
		if strings.Contains(entry, "#EXT-X-DISCONTINUITY") {
			text = "|" + text
		}
		if strings.Contains(entry, "#EXTINF") {
			all = append(all, text)
		}
	}
	return strings.Join(all, " ")
}

// What becomes of holes in a rendition: it has no file where it has no media, and
// the others have what they have.
func TestHoles(t *testing.T) {
	const object, gop = 30, 6
	type holes = []struct{ from, to int }
	other := func(c *camera) {
		p := &c.rungs[0].params
		p.Video = &media.VideoParams{SPS: p.Video.SPS, PPS: []byte{0x68, 0xce, 0x0f, 0xca}, Width: 852, Height: 480}
	}
	for _, tt := range []struct {
		name        string
		holes       holes // of 480p30
		source      bool  // which has holes at the same places
		at          int   // when something happens
		happens     func(c *camera)
		all, of480p string
		duration    int // in chunks
	}{
		{"none", nil, false, 0, nil, "0 1 2", "0 1 2", 3 * object},
		{"within an object", holes{{gop + 1, 2 * gop}}, false, 0, nil, "0 1 2", "0 1 2", 3 * object},
		{"all of an object", holes{{object, 2 * object}}, false, 0, nil, "0 1 2", "0 (1) 2", 3 * object},
		{"across objects", holes{{object - 1, 2*object + gop}}, false, 0, nil, "0 1 2", "0 (1) 2", 3 * object},
		{"to the end", holes{{object, 3 * object}}, false, 0, nil, "0 1 2", "0 (1) (2)", 3 * object},
		// It begins an object: nothing was known of it before.
		{"from the beginning", holes{{0, gop}}, false, 0, nil, "0 1 2 3", "(0) 1 2 3", 3 * object},
		{"from the beginning, long", holes{{0, 2 * object}}, false, 0, nil, "0 1 2", "(0) (1) 2", 3 * object},
		{"all along", holes{{0, 3 * object}}, false, 0, nil, "0 1 2", "", 3 * object},
		// Other parameters are a discontinuity, of all renditions.
		{"it is another behind", holes{{gop, 2 * gop}}, false, 2 * gop, other, "0 |1 2 3", "0 |1 2 3", 3 * object},
		{"it is another", nil, false, object + 2*gop, other, "0 1 |2 3", "0 1 |2 3", 3 * object},
		// What all miss is time that passes all the same, unless there was nothing
		// before.
		{"in all", holes{{object, 2 * object}}, true, 0, nil, "0 (1) 2", "0 (1) 2", 3 * object},
		{"in all, from the beginning", holes{{0, 2 * gop}}, true, 0, nil, "0 1 2", "0 1 2", 3*object - 2*gop},
		{"in all, from the beginning to the end", holes{{0, 3 * object}}, true, 0, nil, "", "", 0},
	} {
		for _, container := range []resource.ContainerFormat{resource.TS, resource.FragmentedMP4} {
			t.Run(fmt.Sprintf("%s, %s", tt.name, container), func(t *testing.T) {
				virtual(t, func(t *testing.T, w *world, r *Recorder) {
					c := newCamera(0).climb()
					c.rungs = c.rungs[:1]
					c.stream.Renditions = c.stream.Renditions[:2]
					c.stream.Channel.ContainerFormat = container
					w.after = func(_ int, call string) error { return w.wantNamed(t, call) }
					take := r.Begin(c.stream)
					for n := range 3 * object {
						if tt.happens != nil && n == tt.at {
							tt.happens(c)
						}
						ch := c.chunk()
						hole := slices.ContainsFunc(tt.holes, func(h struct{ from, to int }) bool { return n >= h.from && n < h.to })
						c.rungs[0].hole = hole
						all := c.render(t, ch)
						if hole && tt.source {
							all[0] = Rendered{}
						}
						if err := take.Write(ch, all); err != nil {
							t.Fatal(err)
						}
						time.Sleep(ch.Duration.Duration(media.VideoRate))
					}
					take.End()
					time.Sleep(time.Minute)
					synctest.Wait()
					if tt.duration == 0 {
						wantTold(t, w)
						return
					}
					rec := w.recordings()[0]
					if want := media.Ticks(30_000 * tt.duration); rec.Duration != want.Duration(media.VideoRate) {
						t.Errorf("duration %v, want %v", rec.Duration, want.Duration(media.VideoRate))
					}
					master := w.object(rec, "media/hls/master.m3u8")
					for folder, want := range map[string]string{"720p30": tt.all, "480p30": tt.of480p} {
						folder := "media/hls/" + folder + "/"
						media, ranges := w.object(rec, folder+mediaName), w.object(rec, folder+rangesName)
						if got := entries(media); got != want {
							t.Errorf("%s: %s, want %s\n%s", folder, got, want, media)
						}
						told := want != ""
						if strings.Contains(master, folder[len("media/hls/"):]) != told || strings.Contains(w.object(rec, "events/recording-ended.json"), folder[len("media/hls/"):len(folder)-1]) != told {
							t.Errorf("%s has media: %t; there are\n%s\n%s", folder, told, master, w.object(rec, "events/recording-ended.json"))
						}
						if !told {
							continue
						}
						wantEntries(t, w, rec, folder, media)
						wantEntries(t, w, rec, folder, ranges)
						if a, b := strings.Count(ranges, "#EXTINF"), strings.Count(w.object(rec, "media/hls/720p30/"+rangesName), "#EXTINF"); a != b {
							t.Errorf("%s has %d byte ranges, the source %d", folder, a, b)
						}
					}
				})
			})
		}
	}
}

// A rendition that comes late has playlists before it is named.
func TestLateRendition(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		w.after = func(_ int, call string) error { return w.wantNamed(t, call) }
		c := newCamera(0).climb()
		c.rungs[0].hole = true
		take := r.Begin(c.stream)
		c.shoot(t, take, 11*30)
		c.rungs[0].hole = false
		c.shoot(t, take, 3*30)
		take.End()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := entries(w.object(w.recordings()[0], "media/hls/480p30/"+mediaName)); !strings.HasSuffix(got, " (9) (10) 11 12 13") {
			t.Errorf("its entries are %s", got)
		}
	})
}

// wantNamed checks, when a multivariant playlist is stored, that all is there that
// it names.
func (w *world) wantNamed(t *testing.T, call string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := strings.TrimPrefix(call, "put ")
	if name := path.Base(key); name != "master.m3u8" && name != rangeMasterName {
		return nil
	}
	for line := range strings.Lines(string(w.tree[key])) {
		if name := strings.TrimSpace(line); !strings.HasPrefix(name, "#") && w.tree[path.Dir(key)+"/"+name] == nil {
			t.Errorf("%s names %s, which is not there", key, name)
		}
	}
	return nil
}

// wantEntries checks that what a playlist names is there, and what it tells to be
// a gap is not; that it tells of the version that needs, and names the
// initialization segment before the media.
func wantEntries(t *testing.T, w *world, rec resource.Recording, folder, playlist string) {
	t.Helper()
	gap, mapped := false, false
	read := make(map[string]int) // by name, up to where
	for line := range strings.Lines(playlist) {
		line = strings.TrimSpace(line)
		var size, at int
		switch name, found := strings.CutPrefix(line, "#EXT-X-MAP:URI=\""); {
		case line == "#EXT-X-GAP":
			gap = true
		case found:
			name, _, _ = strings.Cut(name, "\"")
			if mapped = true; w.object(rec, folder+name) == "" {
				t.Errorf("%s%s is missing", folder, name)
			}
		case strings.HasPrefix(line, "#EXT-X-BYTERANGE:"):
			fmt.Sscanf(line, "#EXT-X-BYTERANGE:%d@%d", &size, &at)
			read["next"] = at + size
		case line == "" || line[0] == '#':
		default:
			data := w.object(rec, folder+line)
			next, ranged := read["next"]
			delete(read, "next")
			switch {
			case gap && !ranged && !strings.Contains(playlist, "BYTERANGE") && data != "":
				t.Errorf("%s%s is no gap: it has %d bytes", folder, line, len(data))
			case !gap && data == "":
				t.Errorf("%s%s is missing", folder, line)
			case ranged == gap && strings.Contains(playlist, "BYTERANGE"):
				t.Errorf("%s%s: a gap: %t, a byte range: %t", folder, line, gap, ranged)
			case !gap && strings.HasSuffix(line, ".mp4") && !mapped:
				t.Errorf("%s%s has no initialization segment", folder, line)
			case next > len(data):
				t.Errorf("%s%s ends at %d of %d", folder, line, next, len(data))
			}
			gap = false
		}
	}
	if version := strings.Contains(playlist, "#EXT-X-VERSION:8\n"); version != strings.Contains(playlist, "#EXT-X-GAP") {
		t.Errorf("%s: version 8: %t\n%s", folder, version, playlist)
	}
}

// What cannot be read of one rendition is a hole in that one; what nobody can
// read of any is left out.
func TestBadSectorOfRendition(t *testing.T) {
	for _, tt := range []struct {
		bad         []string // files that cannot be read
		all, of480p string
	}{
		{[]string{"/1/1.ts"}, "0 1 2", "0 (1) 2"},
		{[]string{"/0/1.ts"}, "0 1 2", "(0) 1 2"},
		{[]string{"/1/0.ts", "/1/1.ts", "/1/2.ts"}, "0 |2", "0 |2"},
	} {
		t.Run(strings.Join(tt.bad, " "), func(t *testing.T) {
			mishap(t, func(t *testing.T, w *world, d *disktest.Disk, r *Recorder) {
				d.SetFault(func(op disktest.Op) error {
					for _, name := range tt.bad {
						if op.Name == "read" && strings.HasSuffix(op.Path, name) {
							return syscall.EIO
						}
					}
					return nil
				})
				c := newCamera(0).climb()
				c.broadcast(t, r, 90)
				time.Sleep(4 * readPatience)
				synctest.Wait()
				rec := w.recordings()[0]
				if rec.State != resource.RecordingEnded {
					t.Errorf("recording is %s", rec.State)
				}
				for folder, want := range map[string]string{"720p30": tt.all, "480p30": tt.of480p, "audio_only": tt.all} {
					playlist := w.object(rec, "media/hls/"+folder+"/"+mediaName)
					if got := entries(playlist); got != want {
						t.Errorf("%s: %s, want %s", folder, got, want)
					}
					wantEntries(t, w, rec, "media/hls/"+folder+"/", playlist)
				}
			})
		})
	}
}

// A file that somebody took out of the spool while the server was away is a hole
// as well.
func TestFileOfRenditionGone(t *testing.T) {
	outer := t
	w := newWorld()
	var spool string
	synctest.Test(t, func(t *testing.T) {
		w.fail(errNetwork)
		dir := t.TempDir()
		r := open(t, w, dir)
		stop := run(t, r)
		c := newCamera(30).climb()
		c.broadcast(t, r, 90)
		synctest.Wait()
		spool = copyTree(outer, dir)
		stop()
	})
	id := spooled(t, spool)[0]
	if err := os.Remove(filepath.Join(spool, id, "1", "2.ts")); err != nil {
		t.Fatal(err)
	}
	w.fail(nil)
	synctest.Test(t, func(t *testing.T) {
		r := open(t, w, spool)
		stop := run(t, r)
		time.Sleep(time.Minute)
		stop()
	})
	rec := w.recordings()[0]
	for folder, want := range map[string]string{"720p30": "0 1 2", "480p30": "0 1 2", "audio_only": "0 (1) 2"} {
		if got := entries(w.object(rec, "media/hls/"+folder+"/"+mediaName)); got != want {
			t.Errorf("%s: %s, want %s", folder, got, want)
		}
	}
}

// Media that its container cannot tell of is no recording.
func TestNoPackage(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		c := newCamera(0).climb()
		c.stream.Description.Audio.SampleRate = 37_000 // which ADTS does not know
		c.rungs, c.stream.Renditions = c.rungs[1:], c.stream.Renditions[2:]
		take := r.Begin(c.stream)
		for range 40 {
			ch := c.chunk()
			if err := take.Write(ch, c.render(t, ch)[1:]); err != nil {
				t.Fatal(err)
			}
			time.Sleep(ch.Duration.Duration(media.VideoRate))
		}
		take.End()
		time.Sleep(time.Minute)
		synctest.Wait()
		wantTold(t, w)
	})
}

// One part that cannot be packaged is a hole up to the next key frame.
func TestPartLost(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		c := newCamera(0)
		take := r.Begin(c.stream)
		for n := range 30 {
			ch := c.chunk()
			if n == 8 {
				a := *ch.Params.Audio
				a.Config, a.SampleRate = []byte{0x11, 0x91}, 37_000 // which ADTS does not know
				ch.Params.Audio, ch.Audio = &a, []media.Frame{{Kind: media.Audio, Payload: make([]byte, 8)}}
			}
			if err := take.Write(ch, alone(ch, nil)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(ch.Duration.Duration(media.VideoRate))
		}
		take.End()
		time.Sleep(time.Minute)
		synctest.Wait()
		playlist := w.object(w.recordings()[0], "media/hls/720p30/"+mediaName)
		if got := entries(playlist); got != "0 |(1) |2" || !strings.Contains(playlist, "#EXT-X-GAP\n#EXTINF:1.333,\n1.ts\n") {
			t.Errorf("entries are %s:\n%s", got, playlist)
		}
	})
}
