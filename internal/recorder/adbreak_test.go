package recorder

import (
	"log/slog"
	"maps"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/packager"
)

var discardSection = regexp.MustCompile(`=0x[0-9A-F]+`)

// adTags are the lines of a playlist that tell of ad breaks and media, the names
// of breaks and objects alone.
func adTags(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#EXT-X-DATERANGE:"):
			_, id, _ := strings.Cut(line, `ID="`)
			id, _, _ = strings.Cut(id, `"`)
			if strings.Contains(line, "SCTE35-OUT=") {
				lines = append(lines, "out:"+id)
			} else {
				_, end, _ := strings.Cut(line, `END-DATE="2000-01-01T00:`)
				end, _, _ = strings.Cut(end, `"`)
				lines = append(lines, "in:"+id+"@"+end)
			}
		case line == "#EXT-X-ENDLIST":
			lines = append(lines, "end")
		case line != "" && line[0] != '#':
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, " ")
}

// on is an ad break of 10 s that begins now.
func on(id string) packager.AdBreak {
	return packager.AdBreak{ID: id, Start: time.Now().UTC(), Planned: 10 * time.Second}
}

// Where ad breaks stand in the media playlist, whatever becomes of their streams.
func TestAdBreaks(t *testing.T) {
	for _, tt := range []struct {
		name  string
		shoot func(t *testing.T, r *Recorder, c *camera)
		want  []string // of each recording
	}{
		{"from the first part on", func(t *testing.T, r *Recorder, c *camera) {
			take := r.Begin(c.stream)
			take.AdBreak(on("one"))
			c.shoot(t, take, 12)
			take.End()
		}, []string{"out:one 0.ts in:one@00:10.000Z end"}},
		{"told amid a segment, from the next one on", func(t *testing.T, r *Recorder, c *camera) {
			take := r.Begin(c.stream)
			c.shoot(t, take, 8)
			take.AdBreak(on("one"))
			c.shoot(t, take, 12)
			take.End()
		}, []string{"0.ts out:one 1.ts in:one@00:12.667Z end"}},
		{"the recording ends in it", func(t *testing.T, r *Recorder, c *camera) {
			c.stream.Configuration.ReconnectWindowSeconds = 0
			take := r.Begin(c.stream)
			c.shoot(t, take, 6)
			take.AdBreak(on("one"))
			c.shoot(t, take, 12)
			take.End()
		}, []string{"0.ts out:one 1.ts in:one@00:06.000Z end"}},
		{"one that was over before the recording began", func(t *testing.T, r *Recorder, c *camera) {
			take := r.Begin(c.stream)
			take.AdBreak(on("one").Closed(time.Now()))
			c.shoot(t, take, 12)
			take.End()
		}, []string{"0.ts end"}},
		{"another, for the end of the first was elsewhere", func(t *testing.T, r *Recorder, c *camera) {
			take := r.Begin(c.stream)
			take.AdBreak(on("one"))
			c.shoot(t, take, 6)
			take.End()
			time.Sleep(20 * time.Second)
			c = c.again()
			take = r.Begin(c.stream)
			take.AdBreak(on("two"))
			c.shoot(t, take, 6)
			take.End()
		}, []string{"out:one 0.ts in:one@00:10.000Z out:two 1.ts in:two@00:32.000Z end"}},
		{"the live playlist ended in it, and a new one knows nothing of it", func(t *testing.T, r *Recorder, c *camera) {
			take := r.Begin(c.stream)
			take.AdBreak(on("one"))
			c.shoot(t, take, 6)
			take.End()
			time.Sleep(20 * time.Second)
			c = c.again()
			take = r.Begin(c.stream)
			c.shoot(t, take, 6)
			take.End()
		}, []string{"out:one 0.ts in:one@00:10.000Z 1.ts end"}},
		{"a stream in doubt that stays", func(t *testing.T, r *Recorder, c *camera) {
			c.broadcast(t, r, 6)
			c = c.again()
			c.stream.Description.VideoBitrate = 0
			take := r.Begin(c.stream)
			take.AdBreak(on("one"))
			c.shoot(t, take, 12)
			take.End()
		}, []string{"0.ts out:one 1.ts in:one@00:12.000Z end"}},
		{"a stream in doubt that moves takes its break along", func(t *testing.T, r *Recorder, c *camera) {
			c.broadcast(t, r, 12)
			c = c.again()
			c.stream.Description.VideoBitrate, c.size = 0, 1000
			take := r.Begin(c.stream)
			b := on("one")
			take.AdBreak(b)
			c.shoot(t, take, 12)
			b.End = time.Now()
			take.AdBreak(b)
			c.shoot(t, take, 6)
			take.End()
		}, []string{"0.ts end", "out:one 0.ts in:one@00:08.000Z 1.ts end"}},
		{"a break with the part by which a stream moves", func(t *testing.T, r *Recorder, c *camera) {
			c.broadcast(t, r, 12)
			c = c.again()
			c.stream.Description.VideoBitrate, c.size = 0, 1000
			take := r.Begin(c.stream)
			c.shoot(t, take, 6)
			take.AdBreak(on("one"))
			c.shoot(t, take, 6)
			take.End()
		}, []string{"0.ts end", "0.ts out:one 1.ts in:one@00:16.000Z end"}},
		{"the post-roll of the last stream", func(t *testing.T, r *Recorder, c *camera) {
			c.stream.PostRoll = time.Second
			c.broadcast(t, r, 6)
			c = c.again()
			c.stream.PostRoll = 2 * time.Second
			take := r.Begin(c.stream)
			take.AdBreak(on("one"))
			c.shoot(t, take, 6)
			take.End()
		}, []string{"0.ts out:one 1.ts in:one@00:12.000Z out:(id) end"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, func(t *testing.T, w *world, r *Recorder) {
				tt.shoot(t, r, newCamera(60))
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				recs := w.recordings()
				if len(recs) != len(tt.want) {
					t.Fatalf("recordings: %+v", recs)
				}
				for i, rec := range recs {
					text := wantWhole(t, w, rec)
					if got := strings.ReplaceAll(adTags(text), rec.ID, "(id)"); got != tt.want[i] {
						t.Errorf("recording %d is told as\n%s\nwant\n%s\n%s", i, got, tt.want[i], text)
					}
					if strings.HasPrefix(tt.name, "told") && !strings.Contains(text, "#EXTINF:4.000,\n0.ts") {
						t.Errorf("the break does not begin with a key frame:\n%s", text)
					}
				}
			})
		})
	}
}

// A kill at any moment leaves each tag where it was, once.
func TestAdBreakKilled(t *testing.T) {
	for parts, want := range map[int]string{
		6:  "0.ts 1.ts end", // it had not begun
		7:  "0.ts out:one 1.ts in:one@00:02.333Z 2.ts end",
		11: "0.ts out:one 1.ts in:one@00:03.667Z 2.ts end",
		12: "0.ts out:one 1.ts in:one@00:04.000Z 2.ts end",
		13: "0.ts out:one 1.ts in:one@00:04.000Z 2.ts 3.ts end",
	} {
		virtual(t, func(t *testing.T, w *world, r *Recorder) {
			c := newCamera(60)
			take := r.Begin(c.stream)
			c.shoot(t, take, 6)
			b := on("one")
			take.AdBreak(b)
			c.shoot(t, take, min(6, parts-6))
			if parts > 12 {
				take.AdBreak(b.Closed(time.Now()))
				c.shoot(t, take, parts-12)
			}
			dir := copyTree(t, r.Dir)
			other := newWorld()
			w.mu.Lock()
			maps.Copy(other.rows, w.rows)
			maps.Copy(other.tree, w.tree)
			w.mu.Unlock()
			again, err := Open(t.Context(), Config{Dir: dir, FS: r.FS, Objects: other, Ledger: other, Place: place, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			defer run(t, again)()
			c = c.again()
			next := again.Begin(c.stream)
			next.AdBreak(b.Closed(time.Now()))
			c.shoot(t, next, 3)
			next.End()
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			text := wantWhole(t, other, other.recordings()[0])
			if got := adTags(text); got != want {
				t.Errorf("killed after %d parts: %s\nwant %s\n%s", parts, got, want, discardSection.ReplaceAllString(text, ""))
			}
		})
	}
}

// What was listed once stays, and where it was: the playlist only grows.
func TestAdBreaksGrow(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		c := newCamera(60)
		take := r.Begin(c.stream)
		var before string
		for n := range 12 {
			b := on("break" + string(rune('a'+n)))
			take.AdBreak(b)
			c.shoot(t, take, 6)
			take.AdBreak(b.Closed(time.Now()))
			c.shoot(t, take, 18)
			synctest.Wait()
			_, now, _ := strings.Cut(w.object(w.recordings()[0], "media/hls/720p30/playlist.m3u8"), "TOTAL-SECS")
			_, now, _ = strings.Cut(now, "\n")
			if !strings.HasPrefix(now, before) {
				t.Fatalf("playlist\n%s\nbecame\n%s", before, now)
			}
			before = now
		}
		if strings.Count(before, "SCTE35-OUT") < 10 {
			t.Errorf("after twelve breaks there is\n%s", before)
		}
		take.End()
	})
}
