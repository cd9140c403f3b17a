package packager_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Eyevinn/hls-m3u8/m3u8"

	"anabranch/internal/media"
	"anabranch/internal/packager"
)

// pair is a stream in two renditions.
type pair struct {
	*source                  // of the lead
	rung    *packager.Window // follows it
	tracks  media.Params
	bare    bool // the rung's key frames are not where the source's are
}

func newPair(t testing.TB, cfg packager.WindowConfig) *pair {
	p := &pair{source: newSource(t, open(t, cfg)), tracks: small}
	cfg.Dir = filepath.Join(cfg.Dir, "360p30")
	p.rung = open(t, cfg)
	return p
}

// both publishes the part that the lead has published last, missed a gap for it.
func (p *pair) both() {
	p.t.Helper()
	p.check(p.rung.Follow(p.w, p.own(), []byte("rung of "+p.name())))
}
func (p *pair) missed() {
	p.t.Helper()
	p.check(p.rung.Follow(p.w, nil, nil))
}

func (p *pair) name() string { return fmt.Sprintf("part %d", p.count) }

// own is the rung's chunk of the source's last.
func (p *pair) own() *packager.Chunk {
	c := *p.chunk
	c.Params, c.Video = p.tracks, make([]media.Frame, 5)
	c.Independent = c.Independent && !p.bare
	return &c
}

func (p *pair) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// parts appends a segment and follows it, its parts as want tells: "+" for one, "-"
// for a gap, " " for one that the rung is not told of. It ends with "|".
func (p *pair) parts(want string) {
	p.t.Helper()
	whole := strings.HasSuffix(want, "|")
	want = strings.TrimSuffix(want, "|")
	for i, what := range want {
		p.part(i == 0, whole && i == len(want)-1)
		switch what {
		case '+':
			p.both()
		case '-':
			p.missed()
		}
	}
}

// gapless is a playlist without what tells of gaps, and of what only a part of its
// own can tell.
func gapless(text string) string {
	return strings.NewReplacer("#EXT-X-GAP\n", "", ",GAP=YES", "", ",INDEPENDENT=YES", "").Replace(text)
}

func TestFollow(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  packager.WindowConfig
		make func(*pair)
		want string // of the rung, behind the head
	}{
		{
			name: "like the lead",
			make: func(p *pair) { p.parts("++|"); p.parts("+") },
			want: `#EXT-X-MEDIA-SEQUENCE:946684800000
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI="init-946684800000.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.000Z
#EXT-X-PART:DURATION=0.333333,URI="946684800000.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.333333,URI="946684800000.1.m4s"
#EXTINF:0.666666,
946684800000.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.667Z
#EXT-X-PART:DURATION=0.333334,URI="946684800001.0.m4s",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="946684800001.1.m4s"
`},
		{
			name: "a gap lasts for the rest of its segment, whatever comes",
			make: func(p *pair) { p.parts("+-++|"); p.parts("+") },
			want: `#EXT-X-MEDIA-SEQUENCE:946684800000
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI="init-946684800000.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.000Z
#EXT-X-PART:DURATION=0.333333,URI="946684800000.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.333333,URI="946684800000.1.m4s",GAP=YES
#EXT-X-PART:DURATION=0.333334,URI="946684800000.2.m4s",GAP=YES
#EXT-X-PART:DURATION=0.333333,URI="946684800000.3.m4s",GAP=YES
#EXT-X-GAP
#EXTINF:1.333333,
946684800000.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:02.333Z
#EXT-X-PART:DURATION=0.333333,URI="946684800001.0.m4s",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="946684800001.1.m4s"
`},
		{
			name: "nothing is hinted at that is a gap already",
			make: func(p *pair) { p.parts("+|"); p.parts("+-") },
			want: `#EXT-X-MEDIA-SEQUENCE:946684800000
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI="init-946684800000.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.000Z
#EXT-X-PART:DURATION=0.333333,URI="946684800000.0.m4s",INDEPENDENT=YES
#EXTINF:0.333333,
946684800000.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.333Z
#EXT-X-PART:DURATION=0.333333,URI="946684800001.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.333334,URI="946684800001.1.m4s",GAP=YES
`},
		{
			name: "begins with a segment",
			make: func(p *pair) { p.parts(" +|"); p.parts("--|"); p.parts("+") },
			want: `#EXT-X-MEDIA-SEQUENCE:946684800002
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI="init-946684800002.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:02.333Z
#EXT-X-PART:DURATION=0.333333,URI="946684800002.0.m4s",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="946684800002.1.m4s"
`},
		{
			name: "what it is not told of is a gap",
			make: func(p *pair) { p.parts("+  |"); p.parts("  |"); p.parts(" +|"); p.parts("+") },
			want: `#EXT-X-MEDIA-SEQUENCE:946684800000
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI="init-946684800000.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.000Z
#EXT-X-PART:DURATION=0.333333,URI="946684800000.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.333333,URI="946684800000.1.m4s",GAP=YES
#EXT-X-PART:DURATION=0.333334,URI="946684800000.2.m4s",GAP=YES
#EXT-X-GAP
#EXTINF:1,
946684800000.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:02.000Z
#EXT-X-PART:DURATION=0.333333,URI="946684800001.0.m4s",GAP=YES
#EXT-X-PART:DURATION=0.333333,URI="946684800001.1.m4s",GAP=YES
#EXT-X-GAP
#EXTINF:0.666666,
946684800001.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:02.667Z
#EXT-X-PART:DURATION=0.333334,URI="946684800002.0.m4s",GAP=YES
#EXT-X-PART:DURATION=0.333333,URI="946684800002.1.m4s",GAP=YES
#EXT-X-GAP
#EXTINF:0.666667,
946684800002.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:03.333Z
#EXT-X-PART:DURATION=0.333333,URI="946684800003.0.m4s",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="946684800003.1.m4s"
`},
		{
			name: "behind a discontinuity, with parameters of its own",
			make: func(p *pair) {
				p.parts("++")
				p.w.Interrupt()
				p.rung.Interrupt()
				p.params = large
				p.parts("-|")
				p.tracks = large
				p.parts("+|")
				p.w.Interrupt()
				p.rung.Interrupt()
			},
			want: `#EXT-X-MEDIA-SEQUENCE:946684800000
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI="init-946684800000.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.000Z
#EXT-X-PART:DURATION=0.333333,URI="946684800000.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.333333,URI="946684800000.1.m4s"
#EXTINF:0.666666,
946684800000.m4s
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.667Z
#EXT-X-PART:DURATION=0.333334,URI="946684800001.0.m4s",GAP=YES
#EXT-X-GAP
#EXTINF:0.333334,
946684800001.m4s
#EXT-X-MAP:URI="init-946684800002.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:02.000Z
#EXT-X-PART:DURATION=0.333333,URI="946684800002.0.m4s",INDEPENDENT=YES
#EXTINF:0.333333,
946684800002.m4s
# publisher is away
`},
		{
			name: "parameters cannot change within a segment",
			make: func(p *pair) { p.parts("+"); p.tracks = large; p.part(false, true); p.both(); p.parts("+") },
			want: `#EXT-X-MEDIA-SEQUENCE:946684800000
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI="init-946684800000.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.000Z
#EXT-X-PART:DURATION=0.333333,URI="946684800000.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.333333,URI="946684800000.1.m4s",GAP=YES
#EXT-X-GAP
#EXTINF:0.666666,
946684800000.m4s
#EXT-X-MAP:URI="init-946684800001.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.667Z
#EXT-X-PART:DURATION=0.333334,URI="946684800001.0.m4s",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="946684800001.1.m4s"
`},
		{
			name: "key frames of its own",
			make: func(p *pair) { p.bare = true; p.parts("++") },
			want: `#EXT-X-MEDIA-SEQUENCE:946684800000
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI="init-946684800000.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.000Z
#EXT-X-PART:DURATION=0.333333,URI="946684800000.0.m4s"
#EXT-X-PART:DURATION=0.333333,URI="946684800000.1.m4s"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="946684800000.2.m4s"
`},
		{
			name: "ended",
			make: func(p *pair) {
				p.parts("+-|")
				p.check(p.w.EndWithAd("a1", 30*time.Second))
				p.check(p.rung.EndWith(p.w))
				p.check(p.rung.EndWith(p.w))
			},
			want: `#EXT-X-MEDIA-SEQUENCE:946684800000
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI="init-946684800000.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.000Z
#EXT-X-PART:DURATION=0.333333,URI="946684800000.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.333333,URI="946684800000.1.m4s",GAP=YES
#EXT-X-GAP
#EXTINF:0.666666,
946684800000.m4s
#EXT-X-DATERANGE:ID="a1",START-DATE="2026-05-04T03:02:01.667Z",PLANNED-DURATION=30,SCTE35-OUT=0xFC
#EXT-X-ENDLIST
`},
		{
			name: "without parts",
			cfg:  packager.WindowConfig{NoParts: true},
			make: func(p *pair) { p.parts("++|"); p.parts("+-|"); p.parts("+-") },
			want: `#EXT-X-MEDIA-SEQUENCE:946684800000
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI="init-946684800000.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.000Z
#EXTINF:0.666666,
946684800000.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.667Z
#EXT-X-GAP
#EXTINF:0.666667,
946684800001.m4s
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.cfg.Dir = t.TempDir()
				p := newPair(t, tt.cfg)
				tt.make(p)
				text := regexp.MustCompile("0xFC[0-9A-F]*").ReplaceAllString(playlist(t, p.rung), "0xFC")
				if _, got, _ := strings.Cut(text, "#EXT-X-MEDIA"); "#EXT-X-MEDIA"+got != tt.want {
					t.Errorf("playlist\n%s\nwant\n%s", text, tt.want)
				}
			})
		})
	}
}

// randomly lets something happen to a stream.
func (p *pair) randomly(rnd *rand.Rand) {
	p.t.Helper()
	switch rnd.IntN(12) {
	case 0:
		p.check(errors.Join(p.w.Interrupt(), p.rung.Interrupt()))
	case 1:
		p.join, p.params = true, []media.Params{small, large}[rnd.IntN(2)]
	case 2:
		p.tracks = []media.Params{small, large}[rnd.IntN(2)]
	case 3:
		untilSource(p.source)
		if err := p.w.InsertAdBreak(fmt.Sprint("b", p.count), time.Duration(1+rnd.IntN(9))*time.Second); err != nil && !errors.Is(err, packager.ErrInAdBreak) {
			p.t.Fatal(err)
		}
	case 4:
		time.Sleep(time.Duration(rnd.IntN(30)) * time.Second)
	case 5:
		p.delta = !p.delta
	}
	n := 1 + rnd.IntN(8)
	want := strings.Repeat("+", n)
	if rnd.IntN(3) == 0 {
		at := rnd.IntN(n)
		want = want[:at] + string("- "[rnd.IntN(2)]) + want[at+1:]
	}
	if rnd.IntN(5) > 0 {
		want += "|"
	}
	p.parts(want)
	if strings.HasSuffix(strings.TrimSuffix(want, "|"), " ") {
		p.part(true, false)
		p.both()
	}
}

// from is what a playlist tells from a segment on, without gaps, init sections and hints:
// what renditions have in common.
func from(t testing.TB, text string, msn string) string {
	t.Helper()
	i := strings.Index(text, msn+".0.m4s")
	if k := strings.Index(text, "\n"+msn+".m4s"); i < 0 || k >= 0 && k < i {
		i = k
	}
	if i < 0 {
		t.Fatalf("no segment %s in\n%s", msn, text)
	}
	return regexp.MustCompile(`#EXT-X-(MAP|PRELOAD-HINT).*\n`).ReplaceAllString(gapless(text[i:]), "")
}

// Whatever happens to a stream, and wherever the rung has gaps, both renditions have
// the same segments, dates, durations, discontinuities and ad breaks; and when the
// process is killed between the two.
func TestFollowersAreAlike(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 1))
				cfg := packager.WindowConfig{Dir: t.TempDir(), Span: 12 * time.Second}
				p := newPair(t, cfg)
				p.parts("+|")
				for i := range 60 {
					p.randomly(rnd)
					if i%12 == 11 {
						lost := rnd.IntN(3) // of the newest parts are the lead's alone
						for range lost {
							p.part(rnd.IntN(2) == 0, rnd.IntN(2) == 0)
						}
						cfg.Dir = copyDir(t, cfg.Dir)
						p.rung.Interrupt()
						before := playlist(t, p.rung)
						p.w.Close()
						p.rung.Close()
						p.w = open(t, cfg)
						p.rung = open(t, packager.WindowConfig{Dir: filepath.Join(cfg.Dir, "360p30"), Span: cfg.Span})
						if text := playlist(t, p.rung); text != before {
							t.Fatalf("opened again it is\n%s\nno more\n%s", text, before)
						}
						p.parts("+|")
					}
					lead, rung := playlist(t, p.w), playlist(t, p.rung)
					for _, tag := range []string{"#EXT-X-MEDIA-SEQUENCE:", "#EXT-X-DISCONTINUITY-SEQUENCE:"} {
						if a, b := line(lead, tag), line(rung, tag); a != b {
							t.Fatalf("%d: %s of the lead is %s, %s", i, tag, a, b)
						}
					}
					msn := line(lead, "#EXT-X-MEDIA-SEQUENCE:")
					if a, b := from(t, lead, msn), from(t, rung, msn); a != b {
						t.Fatalf("%d: the lead is\n%s\nand the rung\n%s", i, lead, rung)
					}
					if i%12 == 11 {
						p.media(rung)
					}
				}
			})
		})
	}
}

// line is what follows a tag in a playlist.
func line(text, tag string) string {
	_, value, _ := strings.Cut(text, tag)
	value, _, _ = strings.Cut(value, "\n")
	return value
}

// media checks that what the rung's playlist lists is there, and nothing of a gap is.
func (p *pair) media(text string) {
	p.t.Helper()
	gap := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name := name.FindString(line)
		switch missing := strings.Contains(line, "GAP=YES") || gap; {
		case line == "#EXT-X-GAP":
			gap = true
		case name == "" || strings.Contains(line, "HINT"):
		case missing:
			began := time.Now()
			if m, err := p.rung.Open(p.t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
				p.t.Fatalf("%s is a gap, and there: %v, %v", name, m, err)
			}
			if time.Since(began) > 0 {
				p.t.Errorf("%s is waited for", name)
			}
			gap = gap && strings.HasPrefix(line, "#")
		default:
			if got := read(p.t, p.rung, name); !strings.HasPrefix(got, "rung of part ") && !strings.Contains(name, "init") {
				p.t.Fatalf("%s is %.30q", name, got)
			}
		}
	}
}

// A part that turns out to be a gap is no longer waited for.
func TestOpenGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, packager.WindowConfig{Dir: t.TempDir()})
		p.parts("+")
		go func() {
			time.Sleep(100 * time.Millisecond)
			p.part(false, false)
			p.missed()
		}()
		began := time.Now()
		_, err := p.rung.Open(t.Context(), fmt.Sprintf("%d.1.m4s", first))
		if after := time.Since(began); !errors.Is(err, fs.ErrNotExist) || after != 100*time.Millisecond {
			t.Errorf("the hinted part that becomes a gap: %v after %v", err, after)
		}
		began = time.Now()
		_, err = p.rung.Open(t.Context(), fmt.Sprintf("%d.2.m4s", first))
		if !errors.Is(err, fs.ErrNotExist) || time.Since(began) != 0 {
			t.Errorf("the next one of the segment: %v after %v", err, time.Since(began))
		}
		if got := read(t, p.rung, fmt.Sprintf("%d.0.m4s", first)); got != "rung of part 1" {
			t.Errorf("the part before is %q", got)
		}
		ok, err := p.rung.Wait(t.Context(), packager.PlaylistRequest{MSN: first, Part: 1})
		if !ok || err != nil || time.Since(began) != 0 {
			t.Errorf("a playlist with the gap is waited for: %v, %v", ok, err)
		}
	})
}

// What a multivariant playlist tells is measured without the gaps.
func TestInfoGaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, packager.WindowConfig{Dir: t.TempDir()})
		playable := func(want bool) {
			t.Helper()
			if got := p.rung.Info(); got.Playable != want || got.FrameRate != got.FrameRate {
				t.Errorf("playable %v, want %v: %+v", got.Playable, want, got)
			}
		}
		playable(false)
		p.parts("+-|")
		playable(false)
		p.parts("++++++++|")
		playable(true)
		whole := p.rung.Info()
		if whole.FrameRate < 14.9 || whole.FrameRate > 15.1 {
			t.Errorf("%f frames a second, want 15", whole.FrameRate)
		}
		p.parts("--------|")
		p.parts("+++-----|")
		got := p.rung.Info()
		if d := got.AverageBandwidth - whole.AverageBandwidth; got.FrameRate != whole.FrameRate || d < -10 || d > 10 || got.PeakBandwidth > whole.PeakBandwidth+10 {
			t.Errorf("with gaps %+v, without %+v", got, whole)
		}
		if got.Until != p.w.Info().Until {
			t.Errorf("until %v, the lead %v", got.Until, p.w.Info().Until)
		}
		playable(true)
		for range 9 {
			p.parts("------------------------|")
		}
		playable(false)
	})
}

// A parser of somebody else reads gaps where they are.
func TestGapsParse(t *testing.T) {
	p := newPair(t, packager.WindowConfig{Dir: t.TempDir()})
	for range 5 {
		p.parts("++++++|")
	}
	wants := []string{"+++---|", "------|", "++++++|", "+-----|"}
	for _, want := range wants {
		p.parts(want)
	}
	p.parts("+--")
	text := playlist(t, p.rung)
	decoded, kind, err := m3u8.DecodeFrom(strings.NewReader(text), true)
	if err != nil || kind != m3u8.MEDIA {
		t.Fatalf("%v in\n%s", err, text)
	}
	list := decoded.(*m3u8.MediaPlaylist)
	segments := list.GetAllSegments()
	for i, want := range wants {
		if s := segments[5+i]; s.Gap != strings.Contains(want, "-") {
			t.Errorf("segment %d of %s: gap %v", 5+i, want, s.Gap)
		}
	}
	if n := len(list.PartialSegments); n == 0 || list.PartialSegments[n-1].URI != fmt.Sprintf("%d.2.m4s", segments[len(segments)-1].SeqId+1) {
		t.Errorf("parts %+v of\n%s", list.PartialSegments, text)
	}
}

// After a power cut the lead can have less than the rung. It begins anew then; numbers
// that are in use again tell of one thing.
func TestFollowTornLead(t *testing.T) {
	for _, tt := range []struct {
		name string
		harm func(dir string) error
		then string // the segment that the lead goes on with
	}{
		{"a part lost", func(dir string) error { return os.Truncate(filepath.Join(dir, fmt.Sprintf("%d.m4s", first+2)), 1000) }, " ++|"},
		{"a segment lost", func(dir string) error { return os.Remove(filepath.Join(dir, fmt.Sprintf("%d.m4s", first+2))) }, " ++|"},
		{"a segment lost, in whose place is a longer one", func(dir string) error { return os.Remove(filepath.Join(dir, fmt.Sprintf("%d.m4s", first+2))) }, "    ++|"},
		{"two segments lost", func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, fmt.Sprintf("%d.m4s", first+2))), os.Remove(filepath.Join(dir, fmt.Sprintf("%d.m4s", first+1))))
		}, " ++|"},
		{"all lost", func(dir string) error { return os.Remove(filepath.Join(dir, "journal")) }, " ++|"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := packager.WindowConfig{Dir: t.TempDir()}
				p := newPair(t, cfg)
				p.parts("+++|")
				p.parts("+++|")
				p.parts("+++")
				playlist(t, p.rung) // is asked for
				cfg.Dir = copyDir(t, cfg.Dir)
				p.check(tt.harm(cfg.Dir))
				time.Sleep(3 * time.Millisecond) // numbers begin with the clock
				p.w = open(t, cfg)
				cfg.Dir = filepath.Join(cfg.Dir, "360p30")
				p.rung = open(t, cfg)
				playlist(t, p.rung)
				at, ok := p.w.Position()
				if !ok {
					at = packager.Origin
				}
				p.at = at + 900
				p.parts(tt.then)
				if _, err := p.rung.Playlist(t.Context(), now); tt.name != "a part lost" && !errors.Is(err, packager.ErrEmpty) {
					t.Errorf("before a segment begins: %v", err)
				}
				p.parts("++|")
				p.parts("++")
				lead, rung := playlist(t, p.w), playlist(t, p.rung)
				msn := line(rung, "#EXT-X-MEDIA-SEQUENCE:")
				if a, b := from(t, lead, msn), from(t, rung, msn); a != b {
					t.Fatalf("the lead is\n%s\nand the rung\n%s", lead, rung)
				}
				p.media(rung)
				p.rung.Interrupt()
				before := playlist(t, p.rung)
				p.rung.Close()
				if p.rung = open(t, cfg); playlist(t, p.rung) != before {
					t.Errorf("opened again it is\n%s\nno more\n%s", playlist(t, p.rung), before)
				}
			})
		})
	}
}

// A rung that was away for so long that the lead has nothing of it any more begins anew.
func TestFollowAfterLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		p := newPair(t, packager.WindowConfig{Dir: dir, Span: 12 * time.Second})
		p.parts("+++|")
		for range 40 {
			p.parts("      |")
			time.Sleep(2 * time.Second)
		}
		p.parts("++++|")
		p.parts("++")
		if got, want := line(playlist(t, p.rung), "#EXT-X-MEDIA-SEQUENCE:"), fmt.Sprint(first+41); got != want {
			t.Errorf("begins with segment %s, want %s", got, want)
		}
		if files := segmentFiles(t, filepath.Join(dir, "360p30")); !slices.Equal(files, []string{fmt.Sprint(first+41, ".m4s"), fmt.Sprint(first+42, ".m4s")}) {
			t.Errorf("files %v", files)
		}
	})
}

// Media stays as long as the lead's.
func TestFollowExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		p := newPair(t, packager.WindowConfig{Dir: dir, Span: 12 * time.Second})
		most := 0
		for range 40 {
			p.parts("++++++|")
			time.Sleep(2 * time.Second)
			lead, rung := segmentFiles(t, dir), segmentFiles(t, filepath.Join(dir, "360p30"))
			if !slices.Equal(lead, rung) {
				t.Fatalf("the lead has %v, the rung %v", lead, rung)
			}
			most = max(most, len(lead))
		}
		if most > 20 {
			t.Errorf("%d segments are kept", most)
		}
	})
}

// The windows of rungs lie in that of the lead: it leaves them alone, and takes them
// with it.
func TestFoldersOfRungs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "channel")
	p := newPair(t, packager.WindowConfig{Dir: dir})
	p.parts("++|")
	p.w.Close()
	p.rung.Close()
	p.w, p.rung = open(t, packager.WindowConfig{Dir: dir}), open(t, packager.WindowConfig{Dir: filepath.Join(dir, "360p30")})
	p.media(playlist(t, p.rung))
	p.check(p.w.Remove())
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
	p.check(p.rung.Remove())
}

// A rendition of sound alone is a window like any other.
func TestFollowSoundAlone(t *testing.T) {
	dir := t.TempDir()
	p := newPair(t, packager.WindowConfig{Dir: dir})
	for range 6 {
		p.part(p.count%3 == 0, p.count%3 == 2)
		var alone packager.Chunk
		p.check(p.rung.Follow(p.w, p.chunk.SoundOnly(&alone), []byte("rung of "+p.name())))
	}
	p.rung.Interrupt()
	before := playlist(t, p.rung)
	p.rung.Close()
	p.rung = open(t, packager.WindowConfig{Dir: filepath.Join(dir, "360p30")})
	if text := playlist(t, p.rung); text != before || strings.Count(text, "INDEPENDENT=YES") != 6 {
		t.Errorf("opened again it is\n%s\nno more\n%s", text, before)
	}
	if info := p.rung.Info(); info.Params.Video != nil || info.Params.Codecs() != "mp4a.40.2" || info.FrameRate != 0 || !info.Playable {
		t.Errorf("sound alone is %+v", info)
	}
	p.media(before)
}

// A part that cannot be stored, or is not the lead's, is not published. Later it is a
// gap.
func TestFollowFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		p := newPair(t, packager.WindowConfig{Dir: dir})
		if p.rung.Follow(p.w, nil, nil) == nil {
			t.Error("followed an empty lead")
		}
		p.parts("++|")
		before := playlist(t, p.rung)
		obstacle := filepath.Join(dir, "360p30", fmt.Sprintf("%d.m4s", first+1))
		os.Mkdir(obstacle, 0o700)
		p.part(true, false)
		if p.rung.Follow(p.w, p.own(), []byte{1}) == nil {
			t.Fatal("no error")
		}
		if text := playlist(t, p.rung); !strings.HasPrefix(text, before[:strings.Index(before, "#EXT-X-PRELOAD-HINT")]) || strings.Contains(text, "HINT") {
			t.Errorf("playlist after an error:\n%s", text)
		}
		os.Remove(obstacle)
		p.part(false, true)
		p.both()
		p.parts("+")
		if text := playlist(t, p.rung); strings.Count(text, "GAP=YES") != 2 || strings.Count(text, "#EXT-X-GAP\n") != 1 {
			t.Errorf("playlist after it:\n%s", text)
		}
		for _, c := range []func(*packager.Chunk){
			func(c *packager.Chunk) { c.Start++ },
			func(c *packager.Chunk) { c.Duration++ },
		} {
			p.part(false, false)
			own := p.own()
			c(own)
			if p.rung.Follow(p.w, own, []byte{1}) == nil {
				t.Error("another part than the lead's was taken")
			}
			p.both()
		}
		p.part(false, false)
		if p.rung.Follow(p.w, p.own(), nil) == nil {
			t.Error("an empty part was taken")
		}
		p.check(p.rung.Close())
		if err := p.rung.Follow(p.w, nil, nil); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		if err := p.rung.EndWith(p.w); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("end of what is closed: %v", err)
		}
	})
}
