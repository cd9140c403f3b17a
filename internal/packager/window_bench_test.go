package packager

import (
	"fmt"
	"sync"
	"testing"

	"anabranch/internal/media"
)

// steady is a window of a minute at 2.5 Mbit/s: 30 fps, a GOP of 2 s, six parts a
// segment.
type steady struct {
	window *Window
	cmaf   CMAF
	chunk  Chunk
	n      int
}

func newSteady(b *testing.B) *steady {
	w, err := OpenWindow(WindowConfig{Dir: b.TempDir(), MediaBase: "../../../live/AbCdEfGhIjKl/"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { w.Close() })
	s := &steady{window: w}
	s.chunk = Chunk{Params: testParams, Start: Origin, Duration: 30_000, Time: epoch, Video: make([]media.Frame, 10), Audio: make([]media.Frame, 16)}
	for i := range s.chunk.Video {
		s.chunk.Video[i] = media.Frame{Duration: 3000, Payload: make([]byte, 9_800)}
	}
	for i := range s.chunk.Audio {
		s.chunk.Audio[i] = media.Frame{Kind: media.Audio, Duration: 1024, Payload: make([]byte, 340)}
	}
	for range 40 * 6 {
		s.append(b)
	}
	return s
}

// append packages and publishes the next part, and returns its place.
func (s *steady) append(b *testing.B) (msn int64, part int) {
	c := &s.chunk
	c.Segment, c.SegmentEnd, c.Independent = s.n%6 == 0, s.n%6 == 5, s.n%6 == 0
	data, err := s.cmaf.Append(nil, c)
	if err == nil {
		err = s.window.Append(c, data)
	}
	if err != nil {
		b.Fatal(err)
	}
	c.Start += c.Duration
	c.Time = c.Time.Add(c.Duration.Duration(media.VideoRate))
	s.n++
	return s.window.edge.Load().newest()
}

func BenchmarkWindowAppend(b *testing.B) {
	s := newSteady(b)
	b.ReportAllocs()
	for b.Loop() {
		s.append(b)
	}
}

// A playlist is rendered once a version, and coded once a version and coding.
func BenchmarkWindowPlaylist(b *testing.B) {
	e := newSteady(b).window.edge.Load()
	for _, delta := range []bool{false, true} {
		text := e.render(delta)
		b.Run(fmt.Sprintf("delta=%v/render", delta), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.render(delta)
			}
			b.ReportMetric(float64(len(text)), "bytes")
		})
		for coding, name := range map[Coding]string{Gzip: "gzip", Brotli: "br"} {
			b.Run(fmt.Sprintf("delta=%v/%s", delta, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					coding.encode(text)
				}
				b.ReportMetric(float64(len(coding.encode(text))), "bytes")
			})
		}
	}
}

// Readers wait for the next part, all of them for the same. An operation is a
// part and its delivery to everyone.
func BenchmarkWindowReaders(b *testing.B) {
	for _, n := range []int{1, 1000, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := newSteady(b)
			var waiting, readers sync.WaitGroup
			read := func(coding Coding, req chan PlaylistRequest) {
				for r := range req {
					r.Coding = coding
					if _, err := s.window.Playlist(b.Context(), r); err != nil {
						b.Error(err)
					}
					waiting.Done()
				}
			}
			asks := make([]chan PlaylistRequest, n)
			for i := range asks {
				asks[i] = make(chan PlaylistRequest)
				readers.Go(func() { read(Coding(i%int(codings)), asks[i]) })
			}
			b.ReportAllocs()
			for b.Loop() {
				msn, part := s.window.edge.Load().coming()
				waiting.Add(n)
				for _, ask := range asks {
					ask <- PlaylistRequest{MSN: msn, Part: part, Skip: true}
				}
				s.append(b)
				waiting.Wait()
			}
			for _, ask := range asks {
				close(ask)
			}
			readers.Wait()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/reader")
		})
	}
}
