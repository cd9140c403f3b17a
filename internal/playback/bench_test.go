package playback_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

// benchmarks are what viewers ask for all the time, of a stream of 5 Mbit/s.
// To see what costs:
//
//	go test ./internal/playback -run '^$' -bench . -cpuprofile /tmp/cpu
func benchmarks(b *testing.B, run func(b *testing.B, st *station, target string)) {
	st := newStation(b)
	v := st.channel("abc", 0, nil)
	for i := range 16 * 12 {
		st.part(v, i%12 == 0, i%12 == 11, 200<<10)
	}
	text, err := v.Window.Playlist(b.Context(), packager.PlaylistRequest{MSN: -1, Part: -1})
	if err != nil {
		b.Fatal(err)
	}
	segments := regexp.MustCompile(`(?m)^.*(/live/abc/(\d+)).m4s$`).FindAllSubmatch(text, -1)
	newest := segments[len(segments)-1]
	policy := resource.PlaybackRestrictionPolicy{AllowedOrigins: []string{"http://localhost"}, EnableStrictOriginEnforcement: true}
	st.channel("private", 4, st.policy(policy, private))
	restricted := st.tuneWith("private", st.rules.token(b, "private", `"aws:viewer-id":"alice","aws:maximum-resolution":"SD"`), "Sec-Fetch-Site", "same-origin")
	parts := st.uris(restricted, "Sec-Fetch-Site", "same-origin")
	for _, bm := range []struct{ name, target string }{
		{"playlist", fmt.Sprintf("%s?_HLS_msn=%s&_HLS_part=11", st.tune("abc"), newest[2])},
		{"part in memory", fmt.Sprintf("%s.11.m4s", newest[1])},
		{"part on disk", fmt.Sprintf("%s.11.m4s", segments[0][1])},
		{"segment", fmt.Sprintf("%s.m4s", segments[0][1])},
		{"playlist of a restricted channel", restricted},
		{"part of a restricted channel", parts[len(parts)-1]},
	} {
		b.Run(bm.name, func(b *testing.B) { run(b, st, bm.target) })
	}
}

// What the handlers cost by themselves.
func BenchmarkHandler(b *testing.B) {
	benchmarks(b, func(b *testing.B, st *station, target string) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			r := httptest.NewRequest("GET", target, nil)
			r.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
			r.Header.Set("Origin", "http://localhost")
			for w := (nobody{http.Header{}}); pb.Next(); clear(w.header) {
				st.mux.ServeHTTP(w, r)
			}
		})
	})
}

// nobody takes an answer and looks at none of it.
type nobody struct{ header http.Header }

func (n nobody) Header() http.Header                   { return n.header }
func (nobody) WriteHeader(int)                         {}
func (nobody) Write(p []byte) (int, error)             { return len(p), nil }
func (nobody) ReadFrom(r io.Reader) (n int64, _ error) { return r.(*io.LimitedReader).N, nil }

// What they cost with a server around them and a socket, each viewer on a
// connection of its own.
func BenchmarkSocket(b *testing.B) {
	benchmarks(b, func(b *testing.B, st *station, target string) {
		server := httptest.NewServer(st.mux)
		defer server.Close()
		request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\r\n", target)
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close()
			for r := bufio.NewReaderSize(conn, 64<<10); pb.Next(); {
				if _, err := conn.Write(request); err != nil {
					b.Error(err)
					return
				}
				res, err := http.ReadResponse(r, nil)
				if err != nil || res.StatusCode != http.StatusOK {
					b.Errorf("%v %v", res, err)
					return
				}
				if _, err := r.Discard(int(res.ContentLength)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}
