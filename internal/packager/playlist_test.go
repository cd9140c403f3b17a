package packager_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/Eyevinn/hls-m3u8/m3u8"
	"github.com/andybalholm/brotli"

	"anabranch/internal/media"
	"anabranch/internal/packager"
)

const head = `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24,HOLD-BACK=12,PART-HOLD-BACK=0.8375
#EXT-X-PART-INF:PART-TARGET=0.335
`

func TestPlaylist(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  packager.WindowConfig
		make func(*source, *packager.Window)
		req  packager.PlaylistRequest
		want string
	}{
		{
			name: "first part",
			make: func(s *source, _ *packager.Window) { s.segment(-1) },
			want: head + `#EXT-X-MEDIA-SEQUENCE:946684800000
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI="init-946684800000.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.000Z
#EXT-X-PART:DURATION=0.333333,URI="946684800000.0.m4s",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="946684800000.1.m4s"
`},
		{
			name: "parts of segments that begin in the last 8 s, media elsewhere",
			cfg:  packager.WindowConfig{MediaBase: "../../../live/abc/"},
			make: func(s *source, _ *packager.Window) { s.segment(22); s.segment(1); s.segment(-2) },
			want: head + `#EXT-X-MEDIA-SEQUENCE:946684800000
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI="../../../live/abc/init-946684800000.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.000Z
#EXTINF:7.333333,
../../../live/abc/946684800000.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:08.333Z
#EXT-X-PART:DURATION=0.333333,URI="../../../live/abc/946684800001.0.m4s",INDEPENDENT=YES
#EXTINF:0.333333,
../../../live/abc/946684800001.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:08.667Z
#EXT-X-PART:DURATION=0.333334,URI="../../../live/abc/946684800002.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.333333,URI="../../../live/abc/946684800002.1.m4s"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="../../../live/abc/946684800002.2.m4s"
`},
		{
			name: "between two segments",
			make: func(s *source, _ *packager.Window) { s.segment(1) },
			want: head + `#EXT-X-MEDIA-SEQUENCE:946684800000
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI="init-946684800000.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.000Z
#EXT-X-PART:DURATION=0.333333,URI="946684800000.0.m4s",INDEPENDENT=YES
#EXTINF:0.333333,
946684800000.m4s
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="946684800001.0.m4s"
`},
		{
			name: "publisher gone",
			make: func(s *source, w *packager.Window) { s.segment(-1); w.Interrupt() },
			want: head + `#EXT-X-MEDIA-SEQUENCE:946684800000
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI="init-946684800000.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.000Z
#EXT-X-PART:DURATION=0.333333,URI="946684800000.0.m4s",INDEPENDENT=YES
#EXTINF:0.333333,
946684800000.m4s
# publisher is away
`},
		{
			name: "publisher back with the same picture, then with a larger one, then gone for good",
			make: func(s *source, w *packager.Window) {
				s.segment(-1)
				w.Interrupt()
				s.segment(1)
				s.params, s.join = large, true
				s.segment(-1)
				w.End()
			},
			want: head + `#EXT-X-MEDIA-SEQUENCE:946684800000
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI="init-946684800000.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.000Z
#EXT-X-PART:DURATION=0.333333,URI="946684800000.0.m4s",INDEPENDENT=YES
#EXTINF:0.333333,
946684800000.m4s
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.333Z
#EXT-X-PART:DURATION=0.333333,URI="946684800001.0.m4s",INDEPENDENT=YES
#EXTINF:0.333333,
946684800001.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="init-946684800002.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.667Z
#EXT-X-PART:DURATION=0.333334,URI="946684800002.0.m4s",INDEPENDENT=YES
#EXTINF:0.333334,
946684800002.m4s
#EXT-X-ENDLIST
`},
		{
			name: "without parts",
			cfg:  packager.WindowConfig{NoParts: true},
			make: func(s *source, _ *packager.Window) { s.segment(3); s.segment(-2) },
			want: `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24,HOLD-BACK=12
#EXT-X-MEDIA-SEQUENCE:946684800000
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI="init-946684800000.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.000Z
#EXTINF:1,
946684800000.m4s
`},
		{
			name: "delta update of what is too short for one",
			make: func(s *source, _ *packager.Window) { s.segment(1) },
			req:  packager.PlaylistRequest{Skip: true},
			want: head + `#EXT-X-MEDIA-SEQUENCE:946684800000
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI="init-946684800000.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-05-04T03:02:01.000Z
#EXT-X-PART:DURATION=0.333333,URI="946684800000.0.m4s",INDEPENDENT=YES
#EXTINF:0.333333,
946684800000.m4s
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="946684800001.0.m4s"
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.cfg.Dir = t.TempDir()
				w := open(t, tt.cfg)
				tt.make(newSource(t, w), w)
				tt.req.MSN, tt.req.Part = -1, -1
				got, err := w.Playlist(t.Context(), tt.req)
				if err != nil {
					t.Fatal(err)
				}
				if string(got) != tt.want {
					t.Errorf("got\n%s\nwant\n%s", got, tt.want)
				}
				for coding, decode := range decoders {
					tt.req.Coding = coding
					packed, err := w.Playlist(t.Context(), tt.req)
					if err != nil {
						t.Fatal(err)
					}
					r, err := decode(bytes.NewReader(packed))
					if err != nil {
						t.Fatal(err)
					}
					if text, err := io.ReadAll(r); err != nil || string(text) != tt.want {
						t.Errorf("in coding %d: %s %v", coding, text, err)
					}
				}
			})
		})
	}
}

var decoders = map[packager.Coding]func(io.Reader) (io.Reader, error){
	packager.Gzip:   func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
	packager.Brotli: func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil },
}

// A delta update with the lines it skips put back is the playlist. It skips the
// segments that end more than 24 s before the end.
func TestDeltaUpdate(t *testing.T) {
	w := open(t, packager.WindowConfig{Dir: t.TempDir()})
	s := newSource(t, w)
	skips := regexp.MustCompile(`#EXT-X-SKIP:SKIPPED-SEGMENTS=(\d+)\n`)
	for i := range 40 {
		s.join = i == 2 || i == 20
		if i == 20 {
			s.params = large
		}
		s.segment(6)
		s.segment(-1)
		full := playlist(t, w)
		text, err := w.Playlist(t.Context(), packager.PlaylistRequest{MSN: -1, Part: -1, Skip: true})
		if err != nil {
			t.Fatal(err)
		}
		delta := string(text)
		// behind is how much of the playlist follows segment k of it.
		segments := regexp.MustCompile(`#EXTINF:([\d.]+)`).FindAllStringSubmatch(full, -1)
		behind := func(k int) float64 {
			sum := 1. / 3
			for _, d := range segments[k+1:] {
				f, _ := strconv.ParseFloat(d[1], 64)
				sum += f
			}
			return sum
		}
		skipped, of := 0, delta
		if m := skips.FindStringSubmatchIndex(delta); m != nil {
			skipped, _ = strconv.Atoi(delta[m[2]:m[3]])
			at := 0
			for range skipped {
				at += strings.Index(full[at:], ".m4s\n") + len(".m4s\n")
			}
			first := strings.Index(full, "#EXT-X-DISCONTINUITY-SEQUENCE")
			first += strings.Index(full[first:], "\n") + 1
			of = full[:first] + delta[m[0]:m[1]] + full[at:]
		}
		if skipped == 0 && delta != full || delta != of {
			t.Fatalf("delta update\n%s\nof\n%s", delta, full)
		}
		if skipped > 0 && behind(skipped-1) <= 24 || behind(skipped) > 24 {
			t.Errorf("%d segments skipped, up to %.1f s before the end", skipped, behind(skipped))
		}
		s.part(false, true)
	}
}

// A parser of somebody else understands the playlist at every step, durations
// add up, and the numbers of a segment never change.
func TestPlaylistParses(t *testing.T) {
	w := open(t, packager.WindowConfig{Dir: t.TempDir()})
	s := newSource(t, w)
	seen := make(map[uint64]string)
	for range 5 {
		s.segment(6) // the parser takes no parts before the first whole segment
	}
	for i := range 300 {
		switch i % 70 {
		case 20:
			w.Interrupt()
		case 40:
			s.join = true
		}
		s.part(i%6 == 0, i%6 == 5)
		text := playlist(t, w)
		p, kind, err := m3u8.DecodeFrom(strings.NewReader(text), true)
		if err != nil || kind != m3u8.MEDIA {
			t.Fatalf("%v in\n%s", err, text)
		}
		list := p.(*m3u8.MediaPlaylist)
		cc := list.DiscontinuitySeq
		for k, seg := range list.GetAllSegments() {
			if seg.Discontinuity {
				cc++
			}
			id := fmt.Sprint(seg.URI, " of ", seg.Duration, " s, discontinuity sequence ", cc)
			if before, ok := seen[seg.SeqId]; ok && before != id {
				t.Fatalf("segment %d (%d in the list) was %s and is %s", seg.SeqId, k, before, id)
			}
			seen[seg.SeqId] = id
			var parts float64
			for _, part := range list.PartialSegments {
				if strings.HasPrefix(part.URI, fmt.Sprint(seg.SeqId, ".")) {
					parts += part.Duration
				}
			}
			if parts != 0 && fmt.Sprintf("%.6f", parts) != fmt.Sprintf("%.6f", seg.Duration) {
				t.Errorf("segment %d lasts %f, its parts %f", seg.SeqId, seg.Duration, parts)
			}
		}
		if list.PreloadHints == nil || list.PreloadHints.Type != "PART" || list.PartTargetDuration != 0.335 {
			t.Fatalf("hint %v and part target %v of\n%s", list.PreloadHints, list.PartTargetDuration, text)
		}
	}
}

// Durations of any number of ticks are told within the target, and add up.
func TestDurations(t *testing.T) {
	for _, d := range []media.Ticks{30150, 30030, 27000, 25628, 1501 * 20} {
		t.Run(fmt.Sprint(d), func(t *testing.T) {
			w := open(t, packager.WindowConfig{Dir: t.TempDir()})
			at := packager.Origin + 7
			for i := range 120 {
				c := &packager.Chunk{Params: small, Start: at, Duration: d, Segment: i%10 == 0, SegmentEnd: i%10 == 9}
				if err := w.Append(c, []byte{1}); err != nil {
					t.Fatal(err)
				}
				at += d
			}
			text := playlist(t, w)
			var total float64
			for _, m := range regexp.MustCompile(`#EXTINF:([\d.]+)`).FindAllStringSubmatch(text, -1) {
				f, _ := strconv.ParseFloat(m[1], 64)
				total += f
			}
			if want := (120 * d).Duration(media.VideoRate).Seconds(); total < want-1e-6 || total > want+1e-6 {
				t.Errorf("segments last %f s, want %f", total, want)
			}
			for _, m := range regexp.MustCompile(`DURATION=([\d.]+),`).FindAllStringSubmatch(text, -1) {
				if f, _ := strconv.ParseFloat(m[1], 64); f > 0.335 || f < 0.85*0.335 {
					t.Errorf("part of %f s", f)
				}
			}
		})
	}
}
