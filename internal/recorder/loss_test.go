package recorder

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/disk"
	"anabranch/internal/journal"
	"anabranch/internal/media"
)

// What is lost is told of once for each object and kind, with the object that the
// next part belongs to: from the beginning of the first loss to the end of the last.
func TestLosses(t *testing.T) {
	const ms = time.Millisecond
	type loss struct {
		chunk          int // told of before its Write
		kind           media.Kind
		from, duration time.Duration // from is on the clock of the stream's start
	}
	for _, tt := range []struct {
		name   string
		losses []loss
		want   []string // lines before object 0, 1, …
	}{
		{"none", nil, []string{"", "", ""}},
		{"of pictures", []loss{{3, media.Video, 900 * ms, 400 * ms}}, []string{"0 video +0.900 0.400", "", ""}},
		{"of sound", []loss{{18, media.Audio, 6100 * ms, 20 * ms}}, []string{"", "1 audio +6.100 0.020", ""}},
		{"of both", []loss{{3, media.Audio, 900 * ms, 400 * ms}, {3, media.Video, 900 * ms, 100 * ms}},
			[]string{"0 video +0.900 0.100, 0 audio +0.900 0.400", "", ""}},
		{"before the first part", []loss{{0, media.Video, -300 * ms, 300 * ms}}, []string{"0 video -0.300 0.300", "", ""}},
		{"two in one part", []loss{{20, media.Video, 6100 * ms, 100 * ms}, {20, media.Video, 6300 * ms, 100 * ms}},
			[]string{"", "1 video +6.100 0.300", ""}},
		{"two in one object", []loss{{20, media.Video, 6600 * ms, 100 * ms}, {30, media.Video, 10000 * ms, 500 * ms}},
			[]string{"", "1 video +6.600 3.900", ""}},
		{"an earlier one later", []loss{{20, media.Video, 6600 * ms, 100 * ms}, {30, media.Video, 6000 * ms, 200 * ms}},
			[]string{"", "1 video +6.000 0.700", ""}},
		{"one within another", []loss{{20, media.Video, 6600 * ms, 900 * ms}, {30, media.Video, 7000 * ms, 200 * ms}},
			[]string{"", "1 video +6.600 0.900", ""}},
		{"in two objects", []loss{{17, media.Video, 5700 * ms, 100 * ms}, {18, media.Video, 6000 * ms, 100 * ms}},
			[]string{"0 video +5.700 0.100", "1 video +6.000 0.100", ""}},
		{"shorter than can be told", []loss{{3, media.Audio, 900 * ms, 11 * time.Microsecond}}, []string{"0 audio +0.900 0.001", "", ""}},
		{"nothing", []loss{{3, media.Video, 900 * ms, 0}, {3, media.Video, 900 * ms, -ms}, {3, 9, 0, ms}}, []string{"", "", ""}},
		{"behind the last part", []loss{{99, media.Video, 15 * time.Second, ms}}, []string{"", "", ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, func(t *testing.T, w *world, r *Recorder) {
				c := newPublisher(0)
				take := c.begin(r)
				zero := time.Now()
				for n := range 45 {
					for _, l := range tt.losses {
						if l.chunk == n {
							take.Lost(Loss{l.kind, zero.Add(l.from), l.duration})
						}
					}
					c.shoot(t, take, 1)
				}
				take.Lost(Loss{media.Audio, time.Now(), time.Second})
				take.End()
				synctest.Wait()
				var got []string
				for _, m := range playlistEntry.FindAllStringSubmatch(wantWhole(t, w, w.recordings()[0]), -1) {
					var told []string
					for line := range strings.Lines(m[1]) {
						var id, start string
						var d float64
						if !strings.HasPrefix(line, "#EXT-X-DATERANGE:") {
							continue
						}
						line = strings.ReplaceAll(line, `"`, " ")
						if n, err := fmt.Sscanf(line, "#EXT-X-DATERANGE:ID= %s ,CLASS= anabranch.loss ,START-DATE= %s ,DURATION=%f,X-KIND=", &id, &start, &d); n != 3 {
							t.Fatalf("%s: %v", line, err)
						}
						at, err := time.Parse(time.RFC3339, start)
						if err != nil {
							t.Fatal(err)
						}
						id = strings.ReplaceAll(strings.TrimPrefix(id, "loss-"), "-", " ")
						told = append(told, fmt.Sprintf("%s %+.3f %.3f", id, at.Sub(zero).Seconds(), d))
					}
					got = append(got, strings.Join(told, ", "))
				}
				if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", tt.want) {
					t.Errorf("told %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// However much is lost, the journal has at most a record for each part and kind,
// and of sound alone no pictures are missing.
func TestManyLosses(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		c := newPublisher(60)
		c.stream.Participant.Recording.MediaTypes = []string{"AUDIO_ONLY"}
		take := c.begin(r)
		for range 6 {
			for range 1000 {
				take.Lost(Loss{media.Video, time.Now(), time.Second})
				take.Lost(Loss{media.Audio, time.Now(), time.Millisecond})
				time.Sleep(time.Microsecond)
			}
			c.shoot(t, take, 1)
		}
		records := 0
		log, err := journal.Open(disk.OS, filepath.Join(copyTree(t, take.rec.dir), journalName), func(b []byte) error {
			r, err := decode(b)
			if l, is := r.(*lost); is {
				if records++; l.Kind != media.Audio {
					t.Errorf("journaled is %+v", l)
				}
			}
			return err
		})
		if err != nil || records == 0 || records > 6 {
			t.Errorf("six parts have %d records of losses; %v", records, err)
		}
		log.Close()
		take.End()
	})
	var b bytes.Buffer
	losses := []lost{{Object: 1}, {Object: 2}, {Object: 4}}
	if behind := tellLosses(&b, losses, 2); len(behind) != 1 || bytes.Count(b.Bytes(), []byte("\n")) != 2 {
		t.Errorf("of three losses, two of objects up to 2, %d are left; told\n%s", len(behind), &b)
	}
}

// What a power cut takes of an object takes the losses with it: they are not told of
// the media that gets its number, nor of media that is not there.
func TestLossesCut(t *testing.T) {
	for _, tt := range []struct {
		name string
		left int64 // bytes of object 1
		want []string
	}{
		{"all of an object", 0, []string{"loss-0-audio", "loss-1-audio"}},
		{"behind its first parts", 15_000, []string{"loss-0-audio", "loss-1-video", "loss-2-audio"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			outer := t
			var spool string
			var c *camera
			w := newWorld()
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				r := open(t, w, dir)
				stop := run(t, r)
				c = newPublisher(30)
				take := c.begin(r)
				take.Lost(Loss{media.Audio, time.Now(), time.Second})
				c.shoot(t, take, 18) // object 0
				take.Lost(Loss{media.Video, time.Now(), 100 * time.Millisecond})
				c.shoot(t, take, 6)
				take.Lost(Loss{media.Audio, time.Now(), 100 * time.Millisecond})
				c.shoot(t, take, 2)
				w.fault = func(int, string) error { return errNetwork }
				spool = copyTree(outer, dir)
				stop()
			})
			w.fault = nil
			if err := os.Truncate(filepath.Join(spool, spooled(t, spool)[0], "1.mp4"), tt.left); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(10 * time.Second) // the clock begins anew
				r := open(t, w, spool)
				stop := run(t, r)
				c = c.again()
				take := c.begin(r)
				take.Lost(Loss{media.Audio, time.Now(), time.Second})
				c.shoot(t, take, 30)
				take.End()
				time.Sleep(time.Minute)
				stop()
			})
			playlist := wantWhole(t, w, w.recordings()[0])
			var told []string
			for _, m := range regexp.MustCompile(`DATERANGE:ID="([^"]+)"`).FindAllStringSubmatch(playlist, -1) {
				told = append(told, m[1])
			}
			if !slices.Equal(told, tt.want) {
				t.Errorf("told are %q, want %q, in\n%s", told, tt.want, playlist)
			}
		})
	}
}
