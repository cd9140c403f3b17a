package packager_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/packager"
)

// small and large are the parameters of two encoders.
var small, large = params("6742c00dda0507ec0440000003004000000f03c50aa8"), params("6742c01eda0280bfe5c044000003000400000300f03c58ba80")

func params(sps string) media.Params {
	raw, err := hex.DecodeString(sps)
	if err != nil {
		panic(err)
	}
	v, err := media.ParseH264(raw, []byte{0x68, 0xce, 0x0f, 0xc8})
	if err != nil {
		panic(err)
	}
	a, err := media.ParseAAC([]byte{0x11, 0x90})
	if err != nil {
		panic(err)
	}
	return media.Params{Video: v, Audio: a}
}

// source makes chunks of 30 frames a second and appends them to a window.
type source struct {
	t      testing.TB
	w      *packager.Window
	params media.Params
	at     media.Ticks
	time   time.Time
	bytes  int // size of a part, 1000 when 0
	join   bool
	delta  bool // no key frame begins a segment
	tail   media.Ticks
	count  int
	chunk  *packager.Chunk // the last
}

func newSource(t testing.TB, w *packager.Window) *source {
	return &source{t: t, w: w, params: small, at: packager.Origin, time: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)}
}

// segment appends a segment of n parts of a third of a second; a negative n
// leaves it open.
func (s *source) segment(n int) {
	s.t.Helper()
	open := n < 0
	n = max(n, -n)
	for i := range n {
		s.part(i == 0, i == n-1 && !open)
	}
}

func (s *source) part(first, last bool) {
	s.t.Helper()
	if err := s.try(first, last); err != nil {
		s.t.Fatal(err)
	}
}

func (s *source) try(first, last bool) error {
	s.chunk = &packager.Chunk{
		Params: s.params, Start: s.at, Duration: 30000, Time: s.time,
		Segment: first, SegmentEnd: last, Discontinuity: first && s.join, Independent: first && !s.delta,
		Tail: s.tail, Video: make([]media.Frame, 10),
	}
	s.at += s.chunk.Duration
	s.time = s.time.Add(s.chunk.Duration.Duration(media.VideoRate))
	s.join = false
	s.count++
	size := s.bytes
	if size == 0 {
		size = 1000
	}
	head := fmt.Sprintf("part %d ", s.count)
	return s.w.Append(s.chunk, []byte(head+strings.Repeat(".", size-len(head))))
}

func open(t testing.TB, cfg packager.WindowConfig) *packager.Window {
	t.Helper()
	w, err := packager.OpenWindow(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

var now = packager.PlaylistRequest{MSN: -1, Part: -1}

func playlist(t testing.TB, w *packager.Window) string {
	t.Helper()
	b, err := w.Playlist(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func read(t testing.TB, w *packager.Window, name string) string {
	t.Helper()
	m, err := w.Open(t.Context(), name)
	if err != nil {
		t.Fatalf("open %s: %v", name, err)
	}
	defer m.Close()
	b, err := io.ReadAll(m.Content)
	if err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	return string(b)
}

// first is the number of a window's first segment on the clock of synctest.
const first = 946684800000

func TestBlockingReload(t *testing.T) {
	ms := time.Millisecond
	for _, tt := range []struct {
		name  string
		parts []int // the segments there are, negative when open
		then  func(*source, *packager.Window)
		msn   int64
		part  int
		holds bool
		err   error
		after time.Duration
	}{
		{name: "nothing special", parts: []int{-2}, msn: -1, part: -1, holds: true},
		{name: "a part that is there", parts: []int{-2}, msn: first, part: 1, holds: true},
		{name: "the next part", parts: []int{-2}, msn: first, part: 2, holds: true, after: 100 * ms,
			then: func(s *source, _ *packager.Window) { s.part(false, false) }},
		{name: "the part after the next", parts: []int{-2}, msn: first, part: 3, after: 3 * time.Second,
			then: func(s *source, _ *packager.Window) { s.part(false, false) }},
		{name: "an open segment", parts: []int{-2}, msn: first, part: -1, holds: true, after: 100 * ms,
			then: func(s *source, _ *packager.Window) { s.part(false, true) }},
		{name: "an open segment that ends too soon", parts: []int{-2}, msn: first, part: 2, after: 3 * time.Second,
			then: func(_ *source, w *packager.Window) { w.Interrupt() }},
		{name: "an open segment, whole, whose publisher leaves", parts: []int{-2}, msn: first, part: -1, holds: true, after: 100 * ms,
			then: func(_ *source, w *packager.Window) { w.Interrupt() }},
		{name: "an open segment that stays open", parts: []int{-2}, msn: first, part: -1, after: 5 * time.Second},
		{name: "a closed segment", parts: []int{3, -2}, msn: first, part: -1, holds: true},
		{name: "a part behind the end of a segment", parts: []int{3, -2}, msn: first, part: 3, holds: true},
		{name: "a part behind the end of the last segment", parts: []int{3}, msn: first, part: 7, holds: true, after: 100 * ms,
			then: func(s *source, _ *packager.Window) { s.part(true, false) }},
		{name: "the next segment", parts: []int{3}, msn: first + 1, part: 0, holds: true, after: 100 * ms,
			then: func(s *source, _ *packager.Window) { s.part(true, false) }},
		{name: "a publisher who does not come back", parts: []int{3}, msn: first + 1, part: 0, after: 3 * time.Second,
			then: func(_ *source, w *packager.Window) { w.Interrupt() }},
		{name: "a segment long gone", parts: []int{3}, msn: 7, part: 5, holds: true},
		{name: "two ahead", parts: []int{-1}, msn: first + 2, part: 0, after: 3 * time.Second},
		{name: "three ahead", parts: []int{-1}, msn: first + 3, part: 0, err: packager.ErrTooFar},
		{name: "parts ahead", parts: []int{-2}, msn: first, part: 99, holds: true, after: 100 * ms,
			then: func(s *source, _ *packager.Window) { s.part(false, true); s.part(true, false) }},
		{name: "end of the stream", parts: []int{-2}, msn: first + 1, part: 0, holds: true, after: 100 * ms,
			then: func(_ *source, w *packager.Window) { w.End() }},
		{name: "end of the window", parts: []int{-2}, msn: first + 1, part: 0, err: fs.ErrClosed, after: 100 * ms,
			then: func(_ *source, w *packager.Window) { w.Close() }},
		{name: "an empty window that fills", msn: first, part: 0, holds: true, after: 100 * ms,
			then: func(s *source, _ *packager.Window) { s.part(true, false) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, packager.WindowConfig{Dir: t.TempDir()})
				s := newSource(t, w)
				for _, n := range tt.parts {
					s.segment(n)
				}
				var wg sync.WaitGroup
				if tt.then != nil {
					wg.Go(func() {
						time.Sleep(100 * ms)
						tt.then(s, w)
					})
				}
				began := time.Now()
				holds, err := w.Wait(t.Context(), packager.PlaylistRequest{MSN: tt.msn, Part: tt.part})
				if holds != tt.holds || !errors.Is(err, tt.err) {
					t.Errorf("holds = %v, error %v; want %v, %v", holds, err, tt.holds, tt.err)
				}
				if after := time.Since(began); after != tt.after {
					t.Errorf("answered after %v, want %v", after, tt.after)
				}
				wg.Wait()
			})
		})
	}
}

func TestReaderLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, packager.WindowConfig{Dir: t.TempDir()})
		newSource(t, w).segment(-1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.Playlist(ctx, packager.PlaylistRequest{MSN: first, Part: 1}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

// Without parts, a reader waits for whole segments.
func TestBlockingReloadOfSegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, packager.WindowConfig{Dir: t.TempDir(), NoParts: true})
		s := newSource(t, w)
		s.segment(-2)
		if _, err := w.Playlist(t.Context(), now); !errors.Is(err, packager.ErrEmpty) {
			t.Errorf("error %v, want %v", err, packager.ErrEmpty)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(time.Second)
			s.part(false, false)
			time.Sleep(time.Second)
			s.part(false, true)
		})
		began := time.Now()
		holds, err := w.Wait(t.Context(), packager.PlaylistRequest{MSN: first, Part: 0})
		if !holds || err != nil || time.Since(began) != 2*time.Second {
			t.Errorf("holds = %v, error %v after %v", holds, err, time.Since(began))
		}
		wg.Wait()
	})
}

func TestOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, packager.WindowConfig{Dir: t.TempDir()})
		s := newSource(t, w)
		for range 4 {
			s.segment(3)
		}
		s.segment(-2)
		for k := range int64(4) {
			var parts strings.Builder
			for i := range 3 {
				part := read(t, w, fmt.Sprintf("%d.%d.m4s", first+k, i))
				if want := fmt.Sprintf("part %d ", 3*k+int64(i)+1); !strings.HasPrefix(part, want) || len(part) != 1000 {
					t.Errorf("part %d of segment %d begins with %.8q", i, k, part)
				}
				parts.WriteString(part)
			}
			if read(t, w, fmt.Sprintf("%d.m4s", first+k)) != parts.String() {
				t.Errorf("segment %d is not the sum of its parts", k)
			}
		}
		read(t, w, fmt.Sprintf("init-%d.mp4", first))
		began := time.Now()
		for _, name := range []string{
			"", ".", "..", "journal", ".m4s", "-1.m4s", "+946684800000.m4s", "0946684800.m4s", "946684800000.m4s/", "946684800000..m4s",
			"946684800000.00.m4s", "946684800000.0.0.m4s", "946684800000.3.m4s", "946684799.m4s", "946684800004.m4s", "946684800004.3.m4s",
			"946684800005.0.m4s", "init-0.mp4", "init-946684800001.mp4", "init-946684800000", "99999999999999999999.m4s", "９.m4s",
			"946684800000.99999999999999999999.m4s", "../" + filepath.Base(t.TempDir()) + "/946684800000.m4s",
		} {
			if _, err := w.Open(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("open %q: %v", name, err)
			}
		}
		if time.Since(began) != 0 {
			t.Error("a name that is not hinted was waited for")
		}
	})
}

// A hinted part is delivered when it comes, and given up when it cannot.
func TestOpenHinted(t *testing.T) {
	for _, tt := range []struct {
		name  string
		then  func(*source, *packager.Window)
		ok    bool
		after time.Duration
	}{
		{"comes", func(s *source, _ *packager.Window) { s.part(false, false) }, true, time.Second},
		{"does not come", func(*source, *packager.Window) {}, false, 3 * time.Second},
		{"segment ends before it", func(_ *source, w *packager.Window) { w.Interrupt() }, false, time.Second},
		{"new segment", func(s *source, _ *packager.Window) { s.part(true, false) }, false, time.Second},
		{"stream ends", func(_ *source, w *packager.Window) { w.End() }, false, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, packager.WindowConfig{Dir: t.TempDir()})
				s := newSource(t, w)
				s.segment(-2)
				var wg sync.WaitGroup
				wg.Go(func() {
					time.Sleep(time.Second)
					tt.then(s, w)
				})
				began := time.Now()
				m, err := w.Open(t.Context(), fmt.Sprintf("%d.2.m4s", first))
				if (err == nil) != tt.ok || err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("error %v", err)
				}
				if m != nil {
					m.Close()
				}
				if after := time.Since(began); after != tt.after {
					t.Errorf("answered after %v, want %v", after, tt.after)
				}
				wg.Wait()
			})
		})
	}
}

// Segments leave the playlist after a minute, and the disk when no player can
// ask for them any more.
func TestSliding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := open(t, packager.WindowConfig{Dir: dir})
		s := newSource(t, w)
		for i := range 120 {
			s.join = i == 3 || i == 50
			s.segment(6)
			time.Sleep(2 * time.Second)
		}
		s.segment(-1)
		text := playlist(t, w)
		for _, want := range []string{
			fmt.Sprintf("#EXT-X-MEDIA-SEQUENCE:%d\n", first+120-30),
			"#EXT-X-DISCONTINUITY-SEQUENCE:2\n",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("playlist lacks %q:\n%s", want, text)
			}
		}
		if n := strings.Count(text, "#EXTINF:"); n != 30 {
			t.Errorf("playlist lists %d segments", n)
		}
		files, _ := filepath.Glob(filepath.Join(dir, "*.m4s"))
		// 30 listed, one open, and 64 s of others.
		if n := len(files); n < 31+31 || n > 31+33 {
			t.Errorf("%d files are left", n)
		}
		read(t, w, fmt.Sprintf("%d.m4s", first+120-31))
		read(t, w, fmt.Sprintf("%d.3.m4s", first+120-60))
		if _, err := w.Open(t.Context(), fmt.Sprintf("%d.m4s", first+20)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a segment of long ago: %v", err)
		}
	})
}

// Program date and time never goes back at a join, whatever the publisher says, and then step by step.
func TestProgramDateTime(t *testing.T) {
	w := open(t, packager.WindowConfig{Dir: t.TempDir()})
	s := newSource(t, w)
	s.segment(3)
	s.time = s.time.Add(-time.Minute)
	s.join = true
	s.segment(3)
	s.segment(-1)
	for _, want := range []string{"03:02:01.000Z", "03:02:02.000Z", "03:02:02.500Z"} {
		if text := playlist(t, w); !strings.Contains(text, "#EXT-X-PROGRAM-DATE-TIME:2026-05-04T"+want) {
			t.Errorf("no segment at %s in\n%s", want, text)
		}
	}
}

func TestInfo(t *testing.T) {
	w := open(t, packager.WindowConfig{Dir: t.TempDir()})
	if info := w.Info(); info.Playable || info.Params.Video != nil {
		t.Errorf("empty window: %+v", info)
	}
	if _, ok := w.Position(); ok {
		t.Error("an empty window has a position")
	}
	s := newSource(t, w)
	s.segment(-3)
	if info := w.Info(); info.AverageBandwidth != 24000 || info.PeakBandwidth != 24000 || info.FrameRate != 30 {
		t.Errorf("after a second: %+v", info)
	}
	s.part(false, true)
	s.segment(6)
	s.bytes = 3000
	s.segment(6)
	s.segment(6)
	s.bytes = 1000
	s.segment(6)
	info := w.Info()
	if info.PeakBandwidth != 72000 || info.AverageBandwidth != (16*24000+12*72000)/28 {
		t.Errorf("after three peaks: %+v", info)
	}
	s.params, s.join = large, true
	s.segment(-1)
	if info := w.Info(); info.Params.Video.Width != 640 || info.PeakBandwidth != 24000 {
		t.Errorf("after a change of size: %+v", info)
	}
	if at, ok := w.Position(); !ok || at != s.at {
		t.Errorf("position %d, want %d", at, s.at)
	}
	w.End()
	if !w.Info().Ended {
		t.Error("not ended")
	}
}

// A player can start with one whole segment, however short, and not without.
func TestPlayable(t *testing.T) {
	for _, noParts := range []bool{false, true} {
		w := open(t, packager.WindowConfig{Dir: t.TempDir(), NoParts: noParts})
		s := newSource(t, w)
		s.segment(-3)
		if w.Info().Playable {
			t.Errorf("without parts %v: three parts are playable", noParts)
		}
		w = open(t, packager.WindowConfig{Dir: t.TempDir(), NoParts: noParts})
		newSource(t, w).segment(1)
		if !w.Info().Playable {
			t.Errorf("without parts %v: a whole segment is not playable", noParts)
		}
	}
}

func TestEnd(t *testing.T) {
	w := open(t, packager.WindowConfig{Dir: t.TempDir()})
	s := newSource(t, w)
	s.segment(3)
	s.segment(-2)
	for range 2 {
		if err := w.End(); err != nil {
			t.Fatal(err)
		}
	}
	if s.try(true, false) == nil || w.Interrupt() == nil {
		t.Error("an ended window goes on")
	}
	if text := playlist(t, w); !strings.HasSuffix(text, ".m4s\n#EXT-X-ENDLIST\n") {
		t.Errorf("ended playlist:\n%s", text)
	}
}

func TestRemove(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "window")
	w := open(t, packager.WindowConfig{Dir: dir})
	s := newSource(t, w)
	s.segment(-2)
	if err := w.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
	if _, err := w.Playlist(t.Context(), now); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("playlist: %v", err)
	}
	if err := s.try(false, false); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// A part that cannot be stored is not published; what comes after it joins
// behind a discontinuity.
func TestAppendFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := open(t, packager.WindowConfig{Dir: dir})
		s := newSource(t, w)
		s.segment(6)
		obstacle := filepath.Join(dir, fmt.Sprintf("%d.m4s", first+1))
		os.Mkdir(obstacle, 0o700)
		before := playlist(t, w)
		for range 2 {
			if s.try(true, false) == nil {
				t.Fatal("no error")
			}
		}
		if text := playlist(t, w); !strings.HasPrefix(text, before[:strings.Index(before, "#EXT-X-PRELOAD-HINT")]) || strings.Contains(text, "HINT") {
			t.Errorf("playlist after an error:\n%s", text)
		}
		os.Remove(obstacle)
		s.segment(-2)
		if text := playlist(t, w); !strings.Contains(text, fmt.Sprintf("%d.m4s\n#EXT-X-DISCONTINUITY\n", first)) {
			t.Errorf("playlist after it:\n%s", text)
		}
		if s.w.Append(&packager.Chunk{Params: small}, nil) == nil {
			t.Error("an empty part was taken")
		}
	})
}

// Readers share what the publisher writes, and miss nothing.
func TestManyReaders(t *testing.T) {
	w := open(t, packager.WindowConfig{Dir: t.TempDir()})
	s := newSource(t, w)
	s.segment(3)
	text := playlist(t, w)
	var msn int64
	fmt.Sscanf(text[strings.Index(text, "#EXT-X-MEDIA-SEQUENCE:"):], "#EXT-X-MEDIA-SEQUENCE:%d", &msn)

	var readers sync.WaitGroup
	for r := range 50 {
		readers.Go(func() {
			for k := msn + 1; ; k++ {
				for i := range 3 {
					req := packager.PlaylistRequest{MSN: k, Part: i, Skip: r%2 == 0, Coding: packager.Coding(r % 3)}
					b, err := w.Playlist(t.Context(), req)
					if err != nil {
						t.Error(err)
						return
					}
					if bytes.Contains(b, []byte("#EXT-X-ENDLIST")) || w.Info().Ended {
						return
					}
					m, err := w.Open(t.Context(), fmt.Sprintf("%d.%d.m4s", k, i))
					if err != nil {
						t.Error(err)
						return
					}
					b, err = io.ReadAll(m.Content)
					m.Close()
					if want := fmt.Sprintf("part %d ", 3*(k-msn)+int64(i)+1); err != nil || !strings.HasPrefix(string(b), want) {
						t.Errorf("part %d of segment %d: %.8q %v", i, k-msn, b, err)
						return
					}
				}
			}
		})
	}
	for range 40 {
		s.segment(3)
	}
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	readers.Wait()
}
