package playback_test

import (
	"bufio"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Eyevinn/hls-m3u8/m3u8"

	"anabranch/internal/auth"
	"anabranch/internal/broadcast"
	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/playback"
	"anabranch/internal/resource"
)

var place = resource.Place{Region: "us-east-1", Account: "123456789012"}

// station has channels on air, made of synthetic media.
type station struct {
	t     testing.TB
	seen  *playback.Views
	rules *rules
	gate  *playback.Gate
	sps   string // of the pictures
	mux   *http.ServeMux
	mu    sync.Mutex // guards views
	views map[string]*broadcast.View
}

func (st *station) Lookup(id string) (*broadcast.View, bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	v, ok := st.views[id]
	return v, ok
}

func newStation(t testing.TB) *station {
	st := &station{t: t, mux: http.NewServeMux(), rules: newRules(t), views: make(map[string]*broadcast.View)}
	quiet := slog.New(slog.DiscardHandler)
	var err error
	if st.gate, err = playback.OpenGate(t.Context(), st.rules, quiet); err != nil {
		t.Fatal(err)
	}
	server := playback.New(playback.Config{
		Place: place, Channels: st, Gate: st.gate, Sealer: auth.NewSealer([]byte("secret")), Posters: st, Log: quiet,
		Countries: st.rules.countries, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	})
	server.Register(st.mux)
	st.seen = server.Views
	return st
}

// channel puts a channel on air with as many segments of three parts.
func (st *station) channel(id string, segments int, change func(*resource.Channel)) *broadcast.View {
	st.t.Helper()
	ch := resource.Channel{ARN: place.ARN(resource.KindChannel, id)}
	if change != nil {
		change(&ch)
	}
	w, err := packager.OpenWindow(packager.WindowConfig{
		Dir: filepath.Join(st.t.TempDir(), id), MediaBase: playback.MediaBase(&ch, ""), NoParts: ch.LatencyMode == resource.NormalLatency,
	})
	if err != nil {
		st.t.Fatal(err)
	}
	st.t.Cleanup(func() { w.Close() })
	v := &broadcast.View{Channel: ch, Window: w}
	for i := range segments * 3 {
		st.part(v, i%3 == 0, i%3 == 2)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.views[id] = v
	return v
}

// part appends a part of 18 bytes, or of as many as size says.
func (st *station) part(v *broadcast.View, first, last bool, size ...int) {
	sps, _ := hex.DecodeString(cmp.Or(st.sps, "6742c01eda0280bfe5c044000003000400000300f03c58ba80"))
	video, err := media.ParseH264(sps, []byte{0x68, 0xce, 0x0f, 0xc8})
	if err != nil {
		st.t.Error(err)
		return
	}
	at, ok := v.Window.Position()
	if !ok {
		at = packager.Origin
	}
	c := &packager.Chunk{
		Params: media.Params{Video: video}, Start: at, Duration: 30000, Time: time.Now(),
		Segment: first, SegmentEnd: last, Independent: first, Video: make([]media.Frame, 10),
	}
	cmaf := fmt.Appendf(nil, "media at %9d", at)
	for _, n := range size {
		cmaf = append(cmaf, make([]byte, n-len(cmaf))...)
	}
	if err := v.Window.Append(c, cmaf); err != nil {
		st.t.Error(err)
	}
}

// get makes a request; header holds pairs of names and values.
func (st *station) get(target string, header ...string) *http.Response {
	return st.do("GET", target, header...)
}

func (st *station) do(method, target string, header ...string) *http.Response {
	r := httptest.NewRequestWithContext(st.t.Context(), method, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	st.mux.ServeHTTP(w, r)
	return w.Result()
}

func body(t testing.TB, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// resolve follows a relative URI.
func resolve(t testing.TB, res *http.Response, from, uri string) string {
	t.Helper()
	base, err := http.NewRequest("GET", "http://example.com"+from, nil)
	if err != nil {
		t.Fatal(err)
	}
	u, err := base.URL.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	return u.RequestURI()
}

// tune follows the multivariant playlist of a channel.
func (st *station) tune(id string) string {
	st.t.Helper()
	path := playback.Path(place, id)
	res := st.get(path)
	text := body(st.t, res)
	if res.StatusCode != 200 {
		st.t.Fatalf("%s: %s %s", path, res.Status, text)
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return resolve(st.t, res, path, lines[len(lines)-1])
}

func TestWay(t *testing.T) {
	st := newStation(t)
	st.channel("abc", 5, nil)
	for _, path := range []string{
		"/api/video/v1/us-east-1.123456789012.channel.abc.m3u8",
		"/api/video/v1/aws.ivs.us-east-1.123456789012.channel.abc.m3u8?player_version=1&_HLS_msn=x&token=",
	} {
		res := st.get(path)
		text := body(t, res)
		p, kind, err := m3u8.DecodeFrom(strings.NewReader(text), true)
		if err != nil || kind != m3u8.MASTER {
			t.Fatalf("%s: %v in\n%s", path, err, text)
		}
		v := p.(*m3u8.MasterPlaylist).Variants[0]
		if v.Codecs != "avc1.42c01e" || v.Resolution != "640x360" || v.FrameRate != 30 || v.Bandwidth != 432 || v.AverageBandwidth != 432 {
			t.Errorf("variant %+v of\n%s", v.VariantParams, text)
		}
		if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("headers %v", res.Header)
		}
		from := resolve(t, res, path, v.URI)
		res = st.get(from)
		text = body(t, res)
		if res.Header.Get("Content-Type") != "application/vnd.apple.mpegurl" || res.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("headers %v", res.Header)
		}
		uris := regexp.MustCompile(`(?m)URI="(.*?)"|^(\.\..*)$`).FindAllStringSubmatch(text, -1)
		if len(uris) < 5 {
			t.Fatalf("no media in\n%s", text)
		}
		for _, m := range uris[:len(uris)-1] { // the last is the hint
			path := resolve(t, res, from, m[1]+m[2])
			if !strings.HasPrefix(path, "/live/abc/") {
				t.Errorf("media at %s", path)
			}
			res := st.get(path)
			if res.StatusCode != 200 || res.Header.Get("Content-Type") != "video/mp4" || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") {
				t.Errorf("%s: %s %v", path, res.Status, res.Header)
			}
		}
	}
}

func TestSessionsDiffer(t *testing.T) {
	st := newStation(t)
	st.channel("abc", 2, nil)
	if st.tune("abc") == st.tune("abc") {
		t.Error("two viewers share a session")
	}
}

// tells is the single member of a refusal's array.
type tells struct {
	URL, Error, Type string
	Code             string `json:"error_code"`
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStation(t)
		st.channel("abc", 3, nil)
		st.channel("other", 3, nil)
		st.channel("new", 0, nil)
		st.channel("private", 3, func(ch *resource.Channel) { ch.Authorized = true })
		list := st.tune("abc")
		session := strings.Split(list, "/")[2]
		for _, tt := range []struct {
			method, target string
			status         int
			code, says     string
		}{
			{"GET", "/api/video/v1/us-east-1.123456789012.channel.offline.m3u8", 404, "transcode_does_not_exist", "Can not find channel"},
			{"GET", "/api/video/v1/us-east-1.123456789012.channel.new.m3u8", 404, "transcode_does_not_exist", ""},
			{"GET", "/api/video/v1/us-east-1.123456789012.channel..m3u8", 404, "transcode_does_not_exist", ""},
			{"GET", "/api/video/v1/us-east-1.123456789012.channel.abc", 404, "transcode_does_not_exist", ""},
			{"GET", "/api/video/v1/us-west-2.123456789012.channel.abc.m3u8", 404, "transcode_does_not_exist", ""},
			{"GET", "/api/video/v1/us-east-1.123456789012.channel.private.m3u8", 403, "invalid_playback_auth_token", ""},
			{"GET", "/live/private/946684800000.m4s", 404, "transcode_does_not_exist", ""},
			{"GET", "/live/offline/946684800000.m4s", 404, "transcode_does_not_exist", ""},
			{"GET", "/live/abc/946684799.m4s", 404, "media_does_not_exist", ""},
			{"GET", "/live/abc/journal", 404, "media_does_not_exist", ""},
			{"GET", list + "?_HLS_msn=x", 400, "invalid_parameter", "_HLS_msn"},
			{"GET", list + "?_HLS_msn=", 400, "invalid_parameter", "_HLS_msn"},
			{"GET", list + "?_HLS_msn=-1", 400, "invalid_parameter", "_HLS_msn"},
			{"GET", list + "?_HLS_msn=1&_HLS_part=1.5", 400, "invalid_parameter", "_HLS_part"},
			{"GET", list + "?_HLS_msn=1&_HLS_part=9999999999999999999999", 400, "invalid_parameter", "_HLS_part"},
			{"GET", list + "?_HLS_part=1", 400, "invalid_parameter", "_HLS_part"},
			{"GET", list + "?_HLS_msn=946684800005", 400, "invalid_parameter", "_HLS_msn"},
			{"GET", list + "?_HLS_msn=9223372036854775807&_HLS_part=2147483647", 400, "invalid_parameter", "_HLS_msn"},
			{"GET", list + "?_HLS_msn=9223372036854775808", 400, "invalid_parameter", "_HLS_msn"},
			{"GET", list + "?_HLS_msn=1&_HLS_part=2147483648", 400, "invalid_parameter", "_HLS_part"},
			{"GET", list + "?_HLS_msn=1&_HLS_msn=+1", 400, "invalid_parameter", "_HLS_msn"},
			{"GET", list + "?_HLS_part=1&x=_HLS_msn=1;_HLS_msn=1", 400, "invalid_parameter", "_HLS_part"},
			{"GET", strings.Replace(list, "/abc/", "/other/", 1), 403, "invalid_playback_session", "another channel"},
			{"GET", strings.Replace(list, session, session+"A", 1), 403, "invalid_playback_session", "not valid"},
			{"GET", strings.Replace(list, session, "-", 1), 403, "invalid_playback_session", "not valid"},
			{"GET", strings.Replace(list, session, strings.Repeat("A", 3000), 1), 403, "invalid_playback_session", "not valid"},
			{"GET", strings.Replace(list, session, strings.Repeat("A", 9000), 1), 414, "uri_too_long", ""},
			{"GET", list + "?" + strings.Repeat("a", 9000), 414, "uri_too_long", ""},
			{"POST", list, 405, "method_not_allowed", ""},
			{"DELETE", "/live/abc/946684800000.m4s", 405, "method_not_allowed", ""},
		} {
			res := st.do(tt.method, tt.target)
			var said []tells
			if err := json.NewDecoder(res.Body).Decode(&said); err != nil || len(said) != 1 {
				t.Errorf("%.80s: body %v %v", tt.target, said, err)
				continue
			}
			if res.StatusCode != tt.status || said[0].Code != tt.code || said[0].Type != "error" || !strings.Contains(said[0].Error, tt.says) {
				t.Errorf("%s %.80s: %s %+v", tt.method, tt.target, res.Status, said)
			}
			cache := "no-store"
			if tt.status == 404 {
				cache = "public, max-age=1"
			}
			if h := res.Header; h.Get("Cache-Control") != cache || h.Get("Content-Type") != "application/json" {
				t.Errorf("%.80s: headers %v", tt.target, h)
			}
		}

		time.Sleep(73 * time.Hour)
		if res := st.get(list); res.StatusCode != 403 {
			t.Errorf("a session three days old: %s", res.Status)
		}
	})
}

func TestBlocking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStation(t)
		v := st.channel("abc", 3, nil)
		list := st.tune("abc")
		for _, tt := range []struct {
			name   string
			then   func()
			query  string
			status int
			cache  string
			text   string
			after  time.Duration
		}{
			{"held already", nil, "?_HLS_msn=946684800001", 200, "public, max-age=24", "", 0},
			{"comes", func() { st.part(v, true, false) }, "?_HLS_msn=946684800003&_HLS_part=0", 200, "public, max-age=24", "946684800003.0.m4s", time.Second},
			{"does not come", nil, "?_HLS_msn=946684800003&_HLS_part=1", 200, "no-cache", "946684800003.0.m4s", 3 * time.Second},
			{"server stops", func() { v.Window.Close() }, "?_HLS_msn=946684800003&_HLS_part=1", 503, "no-store", "stopping", time.Second},
			{"channel is gone", func() { st.mu.Lock(); delete(st.views, "abc"); st.mu.Unlock() }, "", 200, "no-cache", "", 0},
			{"channel has gone", nil, "", 404, "public, max-age=1", "Can not find channel", 0},
		} {
			if tt.then != nil {
				go func() {
					time.Sleep(time.Second)
					tt.then()
				}()
			}
			if strings.HasPrefix(tt.name, "channel is") {
				st.channel("abc", 3, nil)
			}
			began := time.Now()
			res := st.get(list + tt.query)
			if after := time.Since(began); after != tt.after {
				t.Errorf("%s: answered after %v, want %v", tt.name, after, tt.after)
			}
			if text := body(t, res); res.StatusCode != tt.status || res.Header.Get("Cache-Control") != tt.cache || !strings.Contains(text, tt.text) {
				t.Errorf("%s: %s %v\n%s", tt.name, res.Status, res.Header, text)
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
	})
}

// Whatever path comes over the wire, nothing but media is answered.
func TestHostilePaths(t *testing.T) {
	st := newStation(t)
	st.channel("abc", 3, nil)
	session := strings.Split(st.tune("abc"), "/")[2]
	server := httptest.NewServer(st.mux)
	defer server.Close()
	for _, path := range []string{
		"/live/abc/..%2fjournal", "/live/abc/../../etc/passwd", "/live/abc/%2e%2e/abc/journal", "/live/abc//etc/passwd",
		"/live/..%2f..%2fetc/passwd", "/live/abc/%00", "/live/%00/946684800000.m4s", "/live/abc/946684800000.m4s%00", "/live/abc/journal.new",
		"/live/abc/" + strings.Repeat("9", 5000) + ".m4s", "/live/" + strings.Repeat("a/", 500), "/live/abc/.", "/live/abc/%2e", "/live/abc/",
		"/v/" + session + "/abc%2f..%2fabc/playlist.m3u8", "/v/" + session + "%2fabc/playlist.m3u8", "/v/../abc/playlist.m3u8", "/v///playlist.m3u8",
		"/v/%ff%fe/abc/playlist.m3u8", "/v/" + session + "/abc/journal", "/v/" + session + "/abc/playlist.m3u8/x",
		"/api/video/v1/..%2f..%2fv1", "/api/video/v1/%252e%252e", "/api/video/v1/us-east-1.123456789012.channel.abc%2f.m3u8",
		"/api/video/v1/us-east-1.123456789012.channel.%3Cscript%3E.m3u8", "*", "/%zz",
	} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n", path)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%.60s: %v", path, err)
		} else if s := res.StatusCode; s < 300 || s >= 500 {
			t.Errorf("%.60s: %s", path, res.Status)
		}
		conn.Close()
	}
}
