package packager_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/disk"
	"anabranch/internal/journal"
	"anabranch/internal/packager"
)

const breakID = "Zx81kQm0pLw4"

// section and identity are what is left out of a tag to compare it.
var section, identity = regexp.MustCompile(`0xFC[0-9A-F]+`), regexp.MustCompile(`ID="\w+",START-DATE=`)

// told are the lines of a playlist that tell of ad breaks and segments: the times
// of segments without their hours, the sections as three dots.
func told(text string) string {
	var b strings.Builder
	for line := range strings.Lines(section.ReplaceAllString(text, "…")) {
		switch name, value, _ := strings.Cut(line, ":"); name {
		case "#EXT-X-DATERANGE":
			value = identity.ReplaceAllString(value, "")
			b.WriteString(strings.ReplaceAll(value, "2026-05-04T03:", ""))
		case "#EXT-X-PROGRAM-DATE-TIME":
			b.WriteString(strings.TrimPrefix(value, "2026-05-04T03:"))
		case "#EXT-X-SKIP", "#EXT-X-DISCONTINUITY\n", "#EXT-X-ENDLIST\n":
			b.WriteString(line)
		}
	}
	return b.String()
}

// untilSource lets the clock of synctest reach the media's.
func untilSource(s *source) { time.Sleep(time.Until(s.time)) }

func TestAdBreak(t *testing.T) {
	insert := func(s *source, d time.Duration) {
		s.t.Helper()
		untilSource(s)
		if err := s.w.InsertAdBreak(breakID, d); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		cfg  packager.WindowConfig
		make func(*source)
		req  packager.PlaylistRequest
		want string
	}{
		{
			name: "asked for within a segment",
			make: func(s *source) { s.segment(-2); insert(s, 5*time.Second) },
			want: `02:01.000Z
`},
		{
			name: "begins with the next segment",
			make: func(s *source) { s.segment(-2); insert(s, 5*time.Second); s.part(false, true); s.segment(-1) },
			want: `02:01.000Z
"02:02.000Z",PLANNED-DURATION=5,SCTE35-OUT=…
02:02.000Z
`},
		{
			name: "begins with a key frame",
			make: func(s *source) {
				s.segment(3)
				insert(s, 5*time.Second)
				s.delta = true
				s.segment(3)
				s.delta = false
				s.segment(3)
			},
			want: `02:01.000Z
02:02.000Z
"02:03.000Z",PLANNED-DURATION=5,SCTE35-OUT=…
02:03.000Z
`},
		{
			name: "begins however long the segment lasts that it was asked for in",
			make: func(s *source) {
				s.segment(-2)
				insert(s, time.Second)
				for range 9 {
					s.part(false, false)
				}
				s.part(false, true)
				s.segment(3)
				s.segment(-1)
			},
			want: `02:01.000Z
"02:05.000Z",PLANNED-DURATION=1,SCTE35-OUT=…
02:05.000Z
"02:05.000Z",END-DATE="02:06.000Z",DURATION=1,SCTE35-IN=…
02:06.000Z
`},
		{
			name: "ends where the first segment begins behind its plan",
			make: func(s *source) {
				s.segment(3)
				insert(s, 3*time.Second)
				s.segment(6)
				s.segment(6)
				s.segment(-1)
			},
			want: `02:01.000Z
"02:02.000Z",PLANNED-DURATION=3,SCTE35-OUT=…
02:02.000Z
02:04.000Z
"02:02.000Z",END-DATE="02:06.000Z",DURATION=4,SCTE35-IN=…
02:06.000Z
`},
		{
			name: "ends to the millisecond",
			make: func(s *source) { s.segment(3); insert(s, 2*time.Second); s.segment(6); s.segment(-1) },
			want: `02:01.000Z
"02:02.000Z",PLANNED-DURATION=2,SCTE35-OUT=…
02:02.000Z
"02:02.000Z",END-DATE="02:04.000Z",DURATION=2,SCTE35-IN=…
02:04.000Z
`},
		{
			name: "ends a little early, for the clock was set back",
			make: func(s *source) {
				s.segment(3)
				insert(s, 2*time.Second)
				s.segment(6)
				s.time = s.time.Add(-90 * time.Millisecond)
				s.segment(-1)
			},
			want: `02:01.000Z
"02:02.000Z",PLANNED-DURATION=2,SCTE35-OUT=…
02:02.000Z
"02:02.000Z",END-DATE="02:03.910Z",DURATION=1.91,SCTE35-IN=…
02:03.910Z
`},
		{
			name: "goes on when the publisher is back",
			make: func(s *source) {
				s.segment(3)
				insert(s, 20*time.Second)
				s.segment(3)
				s.w.Interrupt()
				s.time = s.time.Add(10 * time.Second)
				s.segment(3)
			},
			want: `02:01.000Z
"02:02.000Z",PLANNED-DURATION=20,SCTE35-OUT=…
02:02.000Z
#EXT-X-DISCONTINUITY
02:13.000Z
`},
		{
			name: "ends by its clock while the publisher is away",
			make: func(s *source) {
				s.segment(3)
				insert(s, 20*time.Second)
				s.segment(3)
				s.w.Interrupt()
				s.time = s.time.Add(time.Minute)
				s.segment(3)
			},
			want: `02:01.000Z
"02:02.000Z",PLANNED-DURATION=20,SCTE35-OUT=…
02:02.000Z
#EXT-X-DISCONTINUITY
"02:02.000Z",END-DATE="02:22.000Z",DURATION=20,SCTE35-IN=…
03:03.000Z
`},
		{
			name: "has waited too long",
			make: func(s *source) {
				s.segment(3)
				insert(s, 5*time.Second)
				s.w.Interrupt()
				s.time = s.time.Add(30 * time.Second)
				s.segment(3)
			},
			want: `02:01.000Z
#EXT-X-DISCONTINUITY
02:32.000Z
`},
		{
			name: "is closed at the end of the playlist",
			make: func(s *source) {
				s.segment(3)
				insert(s, 20*time.Second)
				s.segment(3)
				untilSource(s)
				time.Sleep(2500 * time.Millisecond)
				s.w.End()
			},
			want: `02:01.000Z
"02:02.000Z",PLANNED-DURATION=20,SCTE35-OUT=…
02:02.000Z
"02:02.000Z",END-DATE="02:05.500Z",DURATION=3.5,SCTE35-IN=…
#EXT-X-ENDLIST
`},
		{
			name: "follows the end of the playlist",
			make: func(s *source) { s.segment(3); insert(s, 20*time.Second); s.w.End() },
			want: `02:01.000Z
"02:02.000Z",PLANNED-DURATION=20,SCTE35-OUT=…
#EXT-X-ENDLIST
`},
		{
			name: "is closed at the end, and another follows",
			make: func(s *source) {
				s.segment(3)
				insert(s, 20*time.Second)
				s.segment(3)
				untilSource(s)
				s.w.EndWithAd("PostRoll0000", 15*time.Second)
			},
			want: `02:01.000Z
"02:02.000Z",PLANNED-DURATION=20,SCTE35-OUT=…
02:02.000Z
"02:02.000Z",END-DATE="02:03.000Z",DURATION=1,SCTE35-IN=…
"02:03.000Z",PLANNED-DURATION=15,SCTE35-OUT=…
#EXT-X-ENDLIST
`},
		{
			name: "another follows the end than was to begin",
			make: func(s *source) {
				s.segment(3)
				insert(s, 20*time.Second)
				s.w.EndWithAd("PostRoll0000", 15*time.Second)
			},
			want: `02:01.000Z
"02:02.000Z",PLANNED-DURATION=15,SCTE35-OUT=…
#EXT-X-ENDLIST
`},
		{
			name: "is told as long as there is media of it",
			cfg:  packager.WindowConfig{Span: 12 * time.Second},
			make: func(s *source) {
				s.segment(12)
				insert(s, 24*time.Second)
				for range 6 {
					s.segment(12)
				}
			},
			want: `"02:05.000Z",PLANNED-DURATION=24,SCTE35-OUT=…
02:13.000Z
02:17.000Z
02:21.000Z
02:25.000Z
`},
		{
			name: "is told whole while its last segment is in the playlist",
			cfg:  packager.WindowConfig{Span: 12 * time.Second},
			make: func(s *source) {
				s.segment(12)
				insert(s, 8*time.Second)
				for range 5 {
					s.segment(12)
				}
			},
			want: `"02:05.000Z",PLANNED-DURATION=8,SCTE35-OUT=…
02:09.000Z
"02:05.000Z",END-DATE="02:13.000Z",DURATION=8,SCTE35-IN=…
02:13.000Z
02:17.000Z
02:21.000Z
`},
		{
			name: "is told no more when that is gone",
			cfg:  packager.WindowConfig{Span: 12 * time.Second},
			make: func(s *source) {
				s.segment(12)
				insert(s, 8*time.Second)
				for range 6 {
					s.segment(12)
				}
			},
			want: `02:13.000Z
02:17.000Z
02:21.000Z
02:25.000Z
`},
		{
			name: "is told no more, for all that one before it never began",
			cfg:  packager.WindowConfig{Span: 12 * time.Second},
			make: func(s *source) {
				s.segment(12)
				untilSource(s)
				if err := s.w.InsertAdBreak("NeverBegan00", time.Second); err != nil {
					s.t.Fatal(err)
				}
				s.w.Interrupt()
				s.time = s.time.Add(34 * time.Second)
				s.segment(12)
				insert(s, 4*time.Second)
				for range 6 {
					s.segment(12)
				}
			},
			want: `02:51.000Z
02:55.000Z
02:59.000Z
03:03.000Z
`},
		{
			name: "is told whole in a delta update",
			make: func(s *source) {
				s.segment(12)
				insert(s, 4*time.Second)
				for range 8 {
					s.segment(12)
				}
			},
			req: packager.PlaylistRequest{MSN: -1, Part: -1, Skip: true},
			want: `#EXT-X-SKIP:SKIPPED-SEGMENTS=2
"02:05.000Z",PLANNED-DURATION=4,SCTE35-OUT=…
"02:05.000Z",END-DATE="02:09.000Z",DURATION=4,SCTE35-IN=…
02:09.000Z
02:13.000Z
02:17.000Z
02:21.000Z
02:25.000Z
02:29.000Z
02:33.000Z
`},
		{
			name: "without parts it is told with its first whole segment",
			cfg:  packager.WindowConfig{NoParts: true},
			make: func(s *source) { s.segment(3); insert(s, 4*time.Second); s.segment(-2) },
			want: `02:01.000Z
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.cfg.Dir = t.TempDir()
				w := open(t, tt.cfg)
				s := newSource(t, w)
				tt.make(s)
				if tt.req == (packager.PlaylistRequest{}) {
					tt.req = now
				}
				text, err := w.Playlist(t.Context(), tt.req)
				if err != nil {
					t.Fatal(err)
				}
				if got := told(string(text)); got != tt.want {
					t.Errorf("playlist\n%s\nwant\n%s\nin full\n%s", got, tt.want, text)
				}
				again := open(t, packager.WindowConfig{Dir: copyDir(t, tt.cfg.Dir), Span: tt.cfg.Span})
				if !tt.cfg.NoParts && told(playlist(t, again)) != told(playlist(t, w)) {
					t.Errorf("opened again, the playlist is\n%s\nno more\n%s", playlist(t, again), playlist(t, w))
				}
			})
		})
	}
}

// There is one ad break at a time, from when it is asked for to the segment that
// follows it.
func TestOneAdBreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, packager.WindowConfig{Dir: t.TempDir()})
		s := newSource(t, w)
		ask := func(when string, want error) {
			t.Helper()
			untilSource(s)
			if w.InAdBreak() != (want != nil) {
				t.Errorf("%s: in an ad break: %v", when, w.InAdBreak())
			}
			if err := w.InsertAdBreak(breakID, 4*time.Second); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", when, err, want)
			}
		}
		s.segment(3)
		ask("before any", nil)
		ask("before it begins", packager.ErrInAdBreak)
		s.segment(12)
		ask("when its time is over, before the segment behind it", packager.ErrInAdBreak)
		s.segment(3)
		ask("behind it", nil)
		w.Interrupt()
		s.time = s.time.Add(30 * time.Second)
		ask("when it did not begin in time", nil)
		if err := w.End(); err != nil {
			t.Fatal(err)
		}
		if err := w.InsertAdBreak(breakID, time.Second); err == nil {
			t.Error("the playlist has ended, and there is an ad break")
		}
	})
}

// The recorder is told of the newest break that has begun.
func TestNewestAdBreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, packager.WindowConfig{Dir: t.TempDir()})
		s := newSource(t, w)
		want := func(id string, over bool) {
			t.Helper()
			if b, ok := w.AdBreak(); ok != (id != "") || b.ID != id || b.End.IsZero() == over {
				t.Errorf("%+v, %v; want %q, over: %v", b, ok, id, over)
			}
		}
		insert := func(id string) {
			t.Helper()
			untilSource(s)
			if err := w.InsertAdBreak(id, 4*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		s.segment(3)
		insert("one")
		want("", false)
		s.segment(12)
		want("one", false)
		s.segment(3)
		want("one", true)
		insert("two")
		want("one", true)
		s.segment(3)
		want("two", false)
	})
}

// A power cut can take the segments that a break began and ended with. It begins
// and ends anew then, with what comes in their place.
func TestAdBreakTorn(t *testing.T) {
	for _, tt := range []struct {
		name string
		lost int // segments
		want string
	}{
		{"behind it", 1, `02:01.000Z
"02:02.000Z",PLANNED-DURATION=2,SCTE35-OUT=…
02:02.000Z
#EXT-X-DISCONTINUITY
"02:02.000Z",END-DATE="02:04.000Z",DURATION=2,SCTE35-IN=…
02:10.000Z
`},
		{"all of it", 2, `02:01.000Z
#EXT-X-DISCONTINUITY
"02:10.000Z",PLANNED-DURATION=2,SCTE35-OUT=…
02:10.000Z
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := packager.WindowConfig{Dir: t.TempDir()}
				s := newSource(t, open(t, cfg))
				s.segment(3)
				untilSource(s)
				s.w.InsertAdBreak(breakID, 2*time.Second)
				s.segment(6)
				s.segment(1)
				s.w.Close()
				for _, name := range segmentFiles(t, cfg.Dir)[3-tt.lost:] {
					if err := os.Truncate(filepath.Join(cfg.Dir, name), 0); err != nil {
						t.Fatal(err)
					}
				}
				s.w = open(t, cfg)
				s.time = time.Date(2026, 5, 4, 3, 2, 10, 0, time.UTC)
				untilSource(s)
				s.segment(3)
				if got := told(playlist(t, s.w)); got != tt.want {
					t.Errorf("playlist\n%s\nwant\n%s", got, tt.want)
				}
			})
		})
	}
}

// segmentFiles are the names of those in dir, in order.
func segmentFiles(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*.m4s"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		names = append(names, filepath.Base(path))
	}
	return names
}

// About when a break will begin is known from the segments before.
func TestNextSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, packager.WindowConfig{Dir: t.TempDir()})
		s := newSource(t, w)
		want := func(seconds float64) {
			t.Helper()
			got := w.NextSegment().Sub(time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)).Round(time.Millisecond)
			if got.Seconds() != seconds {
				t.Errorf("in %v, want %v s", got, seconds)
			}
		}
		if got := w.NextSegment(); !got.Equal(time.Now()) {
			t.Errorf("the first segment begins at %v", got)
		}
		s.segment(-3)
		want(1)
		s.segment(6)
		want(3)
		s.segment(-3)
		want(5)
		for range 4 {
			s.part(false, false)
		}
		want(5.333)
	})
}

// The journal of a window that knew no ad breaks is read as before.
func TestJournalWithoutAdBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := packager.WindowConfig{Dir: t.TempDir()}
		s := newSource(t, open(t, cfg))
		s.segment(3)
		s.w.Close()
		log, err := journal.Open(disk.OS, filepath.Join(cfg.Dir, "journal"), func(rec []byte) error {
			if strings.Contains(string(rec), "adBreak") {
				return fmt.Errorf("record %s", rec)
			}
			return nil
		})
		if err != nil {
			t.Error("without an ad break the journal tells of some:", err)
		} else {
			log.Close()
		}
	})
}
