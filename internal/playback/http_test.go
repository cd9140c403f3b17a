package playback_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/metrics"
	"anabranch/internal/packager"
	"anabranch/internal/playback"
	"anabranch/internal/resource"
)

// What a request is answered with, over HTTP/1.1 and HTTP/2. HEAD gets the same
// as GET, but for the body.
func TestHTTP(t *testing.T) {
	st := newStation(t)
	v := st.channel("abc", 5, nil)
	st.part(v, true, false)
	st.channel("private", 5, func(ch *resource.Channel) { ch.Authorized = true })
	multivariant, list := playback.Path(place, "abc"), st.tune("abc")
	text, err := v.Window.Playlist(t.Context(), packager.PlaylistRequest{MSN: -1, Part: -1})
	if err != nil {
		t.Fatal(err)
	}
	plain := string(text)
	media := regexp.MustCompile(`(?m)^.*(/live/abc/(\d+).m4s)$`).FindAllStringSubmatch(plain, -1)
	whole, last := media[0][1], media[len(media)-1][2] // whole is on disk alone
	held, init := "/live/abc/"+last+".0.m4s", regexp.MustCompile(`URI="[./]*(/live/abc/init.*?)"`).FindStringSubmatch(plain)[1]
	onDisk := strings.Replace(whole, ".m4s", ".1.m4s", 1)
	all := body(t, st.get(whole)) // three parts of 18 bytes
	etag := `"` + strings.TrimPrefix(whole, "/live/abc/") + `"`
	const (
		aPlaylist = "Content-Type: application/vnd.apple.mpegurl"
		immutable = "Cache-Control: public, max-age=3600, immutable"
		ranges    = "Accept-Ranges: bytes"
		now       = "Cache-Control: no-cache"
		forLong   = "Cache-Control: public, max-age=24"
		vary      = "Vary: Accept-Encoding"
	)
	rows := []struct {
		name, method, target string
		send                 string // a header
		status               int
		has                  []string // headers; "Name:" for one that is absent
		body                 string   // "*" for any
	}{
		{"multivariant", "GET", multivariant, "", 200, []string{aPlaylist, "Cache-Control: no-store", "ETag:", "Accept-Ranges:", "Vary:"}, "*"},
		{"multivariant, by parts", "GET", multivariant, "Range: bytes=0-3", 200, []string{"Content-Range:"}, "*"},

		{"playlist", "GET", list, "", 200, []string{aPlaylist, now, vary, "Accept-Ranges:", "Content-Encoding:", "ETag:", "Content-Length: " + fmt.Sprint(len(plain))}, plain},
		{"playlist, gzip", "GET", list, "Accept-Encoding: gzip, deflate", 200, []string{aPlaylist, vary, "Content-Encoding: gzip"}, "*"},
		{"playlist, Brotli", "GET", list, "Accept-Encoding: gzip, deflate, br", 200, []string{aPlaylist, vary, "Content-Encoding: br"}, "*"},
		{"playlist, known", "GET", list, `If-None-Match: "x"`, 200, []string{"ETag:"}, plain},
		{"playlist, known by any", "GET", list, "If-None-Match: *", 200, nil, plain},
		{"playlist, part of", "GET", list, "Range: bytes=0-6", 200, []string{aPlaylist, "Content-Range:"}, plain},
		{"playlist, blocking", "GET", list + "?_HLS_msn=" + last, "", 200, []string{aPlaylist, forLong, vary, "ETag:"}, plain},
		{"playlist, blocking, long gone", "GET", list + "?_HLS_msn=0&_HLS_part=0", "", 200, []string{forLong}, plain},
		{"playlist, delta", "GET", list + "?_HLS_skip=YES", "", 200, []string{now}, "*"},
		{"playlist, parameters of a player", "GET", list + "?_HLS_push=1&_hls_msn=x&msn=&&=&%zz=1;_HLS_part=x", "", 200, []string{now}, plain},
		{"playlist, ahead", "GET", list + "?_HLS_msn=9000000000000", "", 400, []string{"Content-Type: application/json", "Cache-Control: no-store", "ETag:", "Content-Encoding:"}, "*"},

		{"segment", "GET", whole, "", 200, []string{"Content-Type: video/mp4", immutable, ranges, "ETag: " + etag, "Content-Length: 54", "Vary:", "Content-Encoding:"}, all},
		{"segment, coded", "GET", whole, "Accept-Encoding: gzip, br", 200, []string{"Content-Encoding:"}, all},
		{"segment, known", "GET", whole, "If-None-Match: " + etag, 304, []string{"ETag: " + etag, immutable, "Content-Length:"}, ""},
		{"segment, known as any", "GET", whole, "If-None-Match: *", 304, nil, ""},
		{"segment, another wanted", "GET", whole, `If-Match: "x"`, 412, nil, "*"},
		{"segment, this wanted", "GET", whole, "If-Match: " + etag, 200, nil, all},
		{"segment, first bytes", "GET", whole, "Range: bytes=0-17", 206, []string{"Content-Type: video/mp4", immutable, "Content-Range: bytes 0-17/54", "Content-Length: 18", "ETag: " + etag}, all[:18]},
		{"segment, last bytes", "GET", whole, "Range: bytes=-4", 206, []string{"Content-Range: bytes 50-53/54"}, all[50:]},
		{"segment, from there on", "GET", whole, "Range: bytes=50-", 206, []string{"Content-Range: bytes 50-53/54"}, all[50:]},
		{"segment, beyond the end", "GET", whole, "Range: bytes=50-99", 206, []string{"Content-Range: bytes 50-53/54"}, all[50:]},
		{"segment, behind the end", "GET", whole, "Range: bytes=54-", 416, []string{"Content-Range: bytes */54", "Cache-Control:", "ETag:"}, "*"},
		{"segment, two ranges", "GET", whole, "Range: bytes=0-1,4-5", 206, []string{"Content-Range:", "Content-Type: multipart/byteranges; *"}, "*"},
		{"segment, more ranges than there is", "GET", whole, "Range: bytes=0-,0-,0-", 200, nil, all},
		{"segment, nonsense for a range", "GET", whole, "Range: bytes=x", 416, nil, "*"},
		{"segment, unknown unit", "GET", whole, "Range: seconds=0-1", 200, nil, all},
		{"segment, range of this", "GET", whole, "Range: bytes=0-1; If-Range: " + etag, 206, nil, all[:2]},
		{"segment, range of another", "GET", whole, `Range: bytes=0-1; If-Range: "x"`, 200, nil, all},
		{"part in memory", "GET", held, "", 200, []string{"Content-Type: video/mp4", immutable, ranges, "Content-Length: 18"}, "*"},
		{"part in memory, range", "GET", held, "Range: bytes=0-4", 206, nil, "media"},
		{"part on disk", "GET", onDisk, "", 200, []string{"Content-Type: video/mp4", immutable, ranges, "Content-Length: 18"}, all[18:36]},
		{"part on disk, range", "GET", onDisk, "Range: bytes=-9", 206, []string{"Content-Range: bytes 9-17/18"}, all[27:36]},
		{"init section", "GET", init, "", 200, []string{"Content-Type: video/mp4", immutable}, "*"},
		{"media that is not there", "GET", "/live/abc/1.m4s", "", 404, []string{"Content-Type: application/json", "Cache-Control: public, max-age=1", "ETag:", "Accept-Ranges:"}, `[{"url":"/live/abc/1.m4s","error":"Can not find media","error_code":"media_does_not_exist","type":"error"}]`},
		{"private channel", "GET", playback.Path(place, "private"), "", 403, []string{"Content-Type: application/json", "Cache-Control: no-store"}, "*"},
		{"no channel", "GET", playback.Path(place, "none"), "", 404, []string{"Content-Type: application/json", "Cache-Control: public, max-age=1"}, "*"},

		{"preflight", "OPTIONS", whole, "Origin: https://example.com; Access-Control-Request-Method: GET; Access-Control-Request-Headers: range", 204,
			[]string{"Access-Control-Allow-Methods: GET, HEAD, OPTIONS", "Access-Control-Allow-Headers: *Range", "Access-Control-Max-Age: 86400", "Allow: GET, HEAD, OPTIONS"}, ""},
		{"preflight of a playlist", "OPTIONS", list, "", 204, []string{"Access-Control-Allow-Methods: GET, HEAD, OPTIONS"}, ""},
		{"preflight of a multivariant playlist", "OPTIONS", multivariant, "", 204, []string{"Access-Control-Allow-Methods: GET, HEAD, OPTIONS"}, ""},
		{"another method", "POST", list, "", 405, []string{"Allow: GET, HEAD, OPTIONS", "Content-Type: application/json"}, "*"},
	}

	plainText := httptest.NewServer(st.mux)
	defer plainText.Close()
	secure := httptest.NewUnstartedServer(st.mux)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer secure.Close()
	for proto, server := range map[string]*httptest.Server{"HTTP/1.1": plainText, "HTTP/2.0": secure} {
		server.Client().Transport.(*http.Transport).DisableCompression = true
		ask := func(method, target, send string) (*http.Response, string) {
			r, err := http.NewRequestWithContext(t.Context(), method, server.URL+target, nil)
			if err != nil {
				t.Fatal(err)
			}
			for field := range strings.SplitSeq(send, "; ") {
				name, value, _ := strings.Cut(field, ": ")
				if name != "" {
					r.Header.Set(name, value)
				}
			}
			res, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			return res, body(t, res)
		}
		for _, row := range rows {
			t.Run(proto+"/"+row.name, func(t *testing.T) {
				res, text := ask(row.method, row.target, row.send)
				if res.Proto != proto || res.StatusCode != row.status {
					t.Errorf("%s %s, want %d", res.Proto, res.Status, row.status)
				}
				if text != row.body && row.body != "*" {
					t.Errorf("body %q\nwant %q", text, row.body)
				}
				for _, field := range append(row.has, "Access-Control-Allow-Origin: *", "Access-Control-Expose-Headers: *Content-Range*",
					"Timing-Allow-Origin: *", "X-Content-Type-Options: nosniff") {
					name, want, _ := strings.Cut(field, ":")
					if got := res.Header.Get(name); !like(strings.TrimSpace(want), got) {
						t.Errorf("%s: %q, want %q", name, got, want)
					}
				}
				if row.method != "GET" {
					return
				}
				head, text := ask("HEAD", row.target, row.send)
				if strings.HasPrefix(row.send, "Range") { // ranges are for GET alone
					res, _ = ask("GET", row.target, "")
				}
				if head.StatusCode != res.StatusCode || text != "" {
					t.Errorf("HEAD: %s %q", head.Status, text)
				}
				res.Header.Del("Date")
				if res.StatusCode == 412 {
					res.Header.Del("Content-Length")
				}
				for name, values := range res.Header {
					if !slices.Equal(head.Header[name], values) {
						t.Errorf("HEAD: %s: %q, want %q", name, head.Header[name], values)
					}
				}
			})
		}
	}
}

// like matches text against a pattern, in which "*" is anything.
func like(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(text)
}

// kernel is a connection that sends files by itself.
type kernel struct {
	httptest.ResponseRecorder
	sent io.Reader
}

func (k *kernel) ReadFrom(r io.Reader) (int64, error) {
	k.sent = r
	return io.Copy(&k.ResponseRecorder, r)
}

// What is on disk goes out in the one form that the kernel can send by itself.
func TestFilesAreSentByTheKernel(t *testing.T) {
	st := newStation(t)
	st.channel("abc", 5, nil)
	segment := regexp.MustCompile(`/live/abc/\d+`).FindString(body(t, st.get(st.tune("abc"))))
	whole := body(t, st.get(segment+".m4s"))
	for target, want := range map[string]string{segment + ".m4s": whole, segment + ".1.m4s": whole[18:36]} {
		w := &kernel{ResponseRecorder: *httptest.NewRecorder()}
		st.mux.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
		limited, _ := w.sent.(*io.LimitedReader)
		if limited == nil {
			t.Errorf("%s is sent from a %T", target, w.sent)
		} else if _, ok := limited.R.(*os.File); !ok || w.Body.String() != want {
			t.Errorf("%s is sent from a %T: %q, want %q", target, limited.R, w.Body.String(), want)
		}
	}
}

// A client that knows nothing newer than HTTP/1.0, and has said all it will.
func TestOldClient(t *testing.T) {
	st := newStation(t)
	st.channel("abc", 5, nil)
	server := httptest.NewServer(st.mux)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.0\r\n\r\n", st.tune("abc"))
	conn.(*net.TCPConn).CloseWrite()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if text := body(t, res); res.StatusCode != 200 || !res.Close || len(res.TransferEncoding) > 0 || !strings.HasPrefix(text, "#EXTM3U") {
		t.Errorf("%s %v\n%s", res.Status, res.Header, text)
	}
}

// Below a proxy's own path every URI still leads to the next.
func TestBelowAPath(t *testing.T) {
	st := newStation(t)
	st.channel("abc", 5, nil)
	server := httptest.NewServer(http.StripPrefix("/some/path", st.mux))
	defer server.Close()
	at := "/some/path" + playback.Path(place, "abc")
	for range 3 { // multivariant playlist, media playlist, segment
		res, err := http.Get(server.URL + at)
		if err != nil {
			t.Fatal(err)
		}
		text := body(t, res)
		res.Body.Close()
		if res.StatusCode != 200 {
			t.Fatalf("%s: %s", at, res.Status)
		}
		if uri := regexp.MustCompile(`(?m)^\.\..*$`).FindString(text); uri != "" {
			at = resolve(t, res, at, uri)
		}
	}
	if !strings.HasPrefix(at, "/some/path/live/abc/") {
		t.Errorf("the way led to %s", at)
	}
}

// A request that is cut off is told why when the server stops. When the player
// has left, what is written does not matter.
func TestCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStation(t)
		st.channel("abc", 5, nil)
		target := st.tune("abc") + "?_HLS_msn=946684800005&_HLS_part=0"
		ctx, stop := context.WithCancelCause(t.Context())
		const viewers = 1000
		answers := make(chan *http.Response, viewers)
		for range viewers {
			go func() {
				w := httptest.NewRecorder()
				st.mux.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", target, nil))
				answers <- w.Result()
			}()
		}
		synctest.Wait()
		before := time.Now()
		stop(http.ErrServerClosed)
		for range viewers {
			res := <-answers
			if text := body(t, res); res.StatusCode != 503 || res.Header.Get("Retry-After") != "1" || !strings.Contains(text, "stopping") {
				t.Fatalf("%s %v %s", res.Status, res.Header, text)
			}
		}
		if took := time.Since(before); took != 0 {
			t.Errorf("answered after %v", took)
		}
	})
}

// Every request is counted once, with the bytes of its body that were sent.
func TestCounted(t *testing.T) {
	st := newStation(t)
	st.channel("abc", 5, nil)
	list := st.tune("abc")
	segment := regexp.MustCompile(`/live/abc/\d+.m4s`).FindString(body(t, st.get(list)))
	gone, leave := context.WithCancel(t.Context())
	leave()
	stopped, stop := context.WithCancelCause(t.Context())
	stop(http.ErrServerClosed)
	next := regexp.MustCompile(`HINT.*/live/abc/(\d+)`).FindStringSubmatch(body(t, st.get(list)))[1]
	counted := func() (all map[string]float64) {
		all = map[string]float64{}
		families, err := metrics.Registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if strings.HasPrefix(f.GetName(), "anabranch_playback_") && f.GetName() != "anabranch_playback_blocked_seconds" {
				for _, m := range f.GetMetric() {
					name := strings.Split(f.GetName(), "_")[2]
					for _, label := range m.GetLabel() {
						name += " " + label.GetValue()
					}
					all[name] = m.GetCounter().GetValue()
				}
			}
		}
		return all
	}
	for _, tt := range []struct {
		name string
		ask  func()
		want map[string]float64
	}{
		{"a segment", func() { st.get(segment) }, map[string]float64{"requests media 2xx": 1, "bytes media": 54}},
		{"the head of one", func() { st.do("HEAD", segment) }, map[string]float64{"requests media 2xx": 1}},
		{"some of it", func() { st.get(segment, "Range", "bytes=0-9") }, map[string]float64{"requests media 2xx": 1, "bytes media": 10}},
		{"the head of a playlist", func() { st.do("HEAD", list) }, map[string]float64{"requests playlist 2xx": 1}},
		{"a known segment", func() { st.get(segment, "If-None-Match", "*") }, map[string]float64{"requests media 3xx": 1}},
		{"a preflight", func() { st.do("OPTIONS", list) }, map[string]float64{"requests playlist 2xx": 1}},
		{"the head of nothing", func() { st.do("HEAD", playback.Path(place, "none")) }, map[string]float64{"requests multivariant 4xx": 1, "refusals transcode_does_not_exist": 1}},
		{"one who left", func() {
			st.mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(gone, "HEAD", "/live/abc/none.m4s", nil))
		}, map[string]float64{"requests media gone": 1}},
		{"one cut off by the server", func() {
			st.mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(stopped, "HEAD", list+"?_HLS_msn="+next, nil))
		}, map[string]float64{"requests playlist 5xx": 1, "refusals service_unavailable": 1}},
	} {
		before := counted()
		tt.ask()
		after := counted()
		for name := range after {
			if got := after[name] - before[name]; got != tt.want[name] {
				t.Errorf("%s: %s grew by %v, want %v", tt.name, name, got, tt.want[name])
			}
		}
	}
}

// While players wait a broadcast ends and another begins: who waits for the old
// one is told to come again, and the session goes on. Without another there is
// nothing to come for.
func TestBroadcastAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStation(t)
		old := st.channel("abc", 5, nil)
		list := st.tune("abc")
		time.AfterFunc(time.Second, func() {
			st.channel("abc", 3, nil)
			old.Window.Close()
		})
		res := st.get(list + "?_HLS_msn=946684800005&_HLS_part=0")
		if res.StatusCode != 503 || res.Header.Get("Retry-After") != "1" {
			t.Errorf("who waits: %s %v", res.Status, res.Header)
		}
		if res := st.get(list); res.StatusCode != 200 || !strings.Contains(body(t, res), "#EXT-X-MEDIA-SEQUENCE:946684801000\n") {
			t.Errorf("who comes again: %s", res.Status)
		}
		time.AfterFunc(time.Second, func() {
			st.mu.Lock()
			last := st.views["abc"]
			delete(st.views, "abc")
			st.mu.Unlock()
			last.Window.Close()
		})
		if res := st.get(list + "?_HLS_msn=946684801003&_HLS_part=0"); res.StatusCode != 404 {
			t.Errorf("who waits for the last: %s", res.Status)
		}
	})
}

// The end is told for as long as the channel is known, then there is nothing.
func TestEnd(t *testing.T) {
	st := newStation(t)
	v := st.channel("abc", 5, nil)
	list := st.tune("abc")
	if err := v.Window.End(); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{"", "?_HLS_msn=99999999999&_HLS_part=7", "?_HLS_skip=YES"} {
		if res := st.get(list + query); res.StatusCode != 200 || !strings.HasSuffix(body(t, res), "#EXT-X-ENDLIST\n") {
			t.Errorf("%q: %s", query, res.Status)
		}
	}
	st.mu.Lock()
	delete(st.views, "abc")
	st.mu.Unlock()
	for _, target := range []string{list, list + "?_HLS_msn=1", playback.Path(place, "abc"), "/live/abc/1.m4s"} {
		if res := st.get(target); res.StatusCode != 404 || !strings.Contains(body(t, res), `[{"url":`) {
			t.Errorf("%s: %s", target, res.Status)
		}
	}
}
