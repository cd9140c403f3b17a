package recordings

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/auth"
	"anabranch/internal/objectstore"
	"anabranch/internal/recorder"
	"anabranch/internal/resource"
)

// A playlist changes while the recording goes on: it is not kept, and sent
// whole. Media never does.
func TestMediaCaching(t *testing.T) {
	f := newFixture(t)
	f.spool[b] = recorder.Progress{}
	f.spool[c] = recorder.Progress{}
	for _, id := range []string{a, b, c} { // over, going on, over but not all in the bucket
		r := f.add(id, "one", noon)
		for name, content := range map[string]string{
			"media/hls/master.m3u8": "#EXTM3U", "media/hls/720p30/0.ts": "0123456789", "media/hls/720p30/init-0.mp4": "init",
			"media/thumbnails/thumb0.jpg": "picture", "media/latest_thumbnail/thumb.jpg": "picture",
		} {
			f.objects.content[r.Prefix+"/"+name] = []byte(content)
		}
	}
	f.must(f.store.FailRecording(t.Context(), c, noon, time.Minute, resource.RecordingFailure{Reason: "the spool is full"}))
	for _, tt := range []struct {
		id, name, contentType string
		kept                  bool
	}{
		{a, "media/hls/master.m3u8", "application/vnd.apple.mpegurl", true},
		{a, "media/hls/720p30/0.ts", "video/mp2t", true},
		{a, "media/latest_thumbnail/thumb.jpg", "image/jpeg", true},
		{b, "media/hls/master.m3u8", "application/vnd.apple.mpegurl", false},
		{b, "media/hls/720p30/0.ts", "video/mp2t", true},
		{b, "media/hls/720p30/init-0.mp4", "video/mp4", true},
		{b, "media/thumbnails/thumb0.jpg", "image/jpeg", true},
		{b, "media/latest_thumbnail/thumb.jpg", "image/jpeg", false},
		{c, "media/hls/master.m3u8", "application/vnd.apple.mpegurl", false},
	} {
		content := f.objects.content["ivs/v1/111122223333/one/2026/3/1/12/0/"+tt.id+"/"+tt.name]
		w := f.load("GET", f.mediaPath(tt.id, time.Now())+tt.name, "Range: bytes=1-2")
		h := w.Header()
		if h.Get("Content-Type") != tt.contentType || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", tt.name, w.Code, h)
		}
		if tt.kept {
			if w.Code != 206 || w.Body.String() != string(content[1:3]) || h.Get("ETag") == "" || h.Get("Accept-Ranges") != "bytes" ||
				!strings.HasSuffix(h.Get("Cache-Control"), ", immutable") || h.Get("Content-Length") != "2" {
				t.Errorf("%s: %d %v %s", tt.name, w.Code, h, w.Body)
			}
		} else if w.Code != 200 || w.Body.String() != string(content) || h.Get("ETag") != "" || h.Get("Accept-Ranges") != "" || h.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d %v %s", tt.name, w.Code, h, w.Body)
		}
		if w := f.load("HEAD", f.mediaPath(tt.id, time.Now())+tt.name, "Range: bytes=1-2"); w.Code != 200 || w.Body.Len() > 0 ||
			w.Header().Get("Content-Length") != h.Get("Content-Length") && !tt.kept {
			t.Errorf("HEAD %s: %d %v", tt.name, w.Code, w.Header())
		}
	}
}

// Ranges and conditions are the store's to judge, but for If-Range.
func TestMediaRanges(t *testing.T) {
	f := newFixture(t)
	r := f.add(a, "one", noon)
	f.objects.content[r.Prefix+"/media/hls/720p30/0.ts"] = []byte("0123456789")
	path := f.mediaPath(a, time.Now()) + "media/hls/720p30/0.ts"
	tag := f.load("GET", path).Header().Get("ETag")
	for _, tt := range []struct {
		headers string // separated by |
		status  int
		body    string
	}{
		{"Range: bytes=2-4", 206, "234"},
		{"Range: bytes=8-", 206, "89"},
		{"Range: bytes=10-", 416, ""},
		{"Range: bytes=0-1,4-5", 200, "0123456789"},
		{"Range: lines=1-2", 200, "0123456789"},
		{"Range: bytes=-", 200, "0123456789"},
		{"If-None-Match: " + tag, 304, ""},
		{`If-None-Match: "other"`, 200, "0123456789"},
		{`If-Match: "other"`, 412, ""},
		{"Range: bytes=2-4|If-Range: " + tag, 206, "234"},
		{`Range: bytes=2-4|If-Range: "other"`, 200, "0123456789"},
		{"Range: bytes=2-4|If-Range: Sun, 01 Mar 2026 12:00:00 GMT", 200, "0123456789"},
		{"Range: bytes=2-4|If-Range: W/" + tag, 200, "0123456789"},
	} {
		w := f.load("GET", path, strings.Split(tt.headers, "|")...)
		if w.Code != tt.status || w.Code < 300 && w.Body.String() != tt.body || w.Code == 304 && w.Header().Get("ETag") != tag {
			t.Errorf("%s: %d %v %s", tt.headers, w.Code, w.Header(), w.Body)
		}
	}
}

// A token opens the media below its recording's prefix, and nothing else.
func TestMediaPaths(t *testing.T) {
	f := newFixture(t)
	r := f.add(a, "one", noon)
	other := f.add(b, "one", noon)
	good := map[string]bool{
		"media/hls/master.m3u8": true, "media/hls/1080p60/0.ts": true, "media/hls/audio_only/init-0.mp4": true,
		"media/thumbnails/thumb12.jpg": true, "media/latest_thumbnail/thumb.jpg": true,
	}
	for name := range good {
		f.objects.content[r.Prefix+"/"+name] = []byte("x")
	}
	for _, name := range []string{
		"media/hls/master.html", "media/thumbnails/thumb0.jpg.html", "media/thumbnails/thumb0.png", "media/thumb0.jpg", "media/hls/a.svg", "media/hls/x", "media/hls/.m3u8", "media/other/0.ts",
		"events/recording-ended.json", "events/0.ts", "0.ts", "secret.mp4", "media/hls/a/b/c/0.ts", "media/hls/720p30/0.ts.exe",
	} {
		f.objects.content[r.Prefix+"/"+name] = []byte("x")
	}
	f.objects.content[other.Prefix+"/media/hls/master.m3u8"] = []byte("x")
	f.objects.content["secret.mp4"] = []byte("x")
	for name := range f.objects.content {
		name = strings.TrimPrefix(name, r.Prefix+"/")
		if w := f.load("GET", f.mediaPath(a, time.Now())+name); (w.Code == 200) != good[name] {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	base := f.mediaPath(a, time.Now())
	for _, path := range []string{
		"..", "../", "../" + b + "/media/hls/master.m3u8", "%2e%2e/" + b + "/media/hls/master.m3u8", "..%2f" + b + "%2fmedia%2fhls%2fmaster.m3u8",
		"media/hls/../../../" + b + "/media/hls/master.m3u8", "media/hls/..%2f..%2f..%2f" + b + "%2fmedia%2fhls%2fmaster.m3u8",
		"media/hls/%2e%2e/%2e%2e/secret.mp4", "media//hls/master.m3u8", "/media/hls/master.m3u8", "media/hls/master.m3u8/", "media/hls/master.m3u8%00",
		"media%5chls%5cmaster.m3u8", "media/hls/master.m3u8%0a", "media/hls/%252e%252e/0.ts", "", "media/hls/",
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", base+path, nil)
		f.handler.ServeHTTP(w, r)
		if w.Code == 200 {
			t.Errorf("%q: %d %s", path, w.Code, w.Body)
		}
		// The same where no mux has cleaned the path.
		w = httptest.NewRecorder()
		r.SetPathValue("token", strings.Split(base, "/")[3])
		r.SetPathValue("path", strings.TrimPrefix(r.URL.Path, base))
		if f.media(w, r); w.Code != 404 {
			t.Errorf("%q, not cleaned: %d %s", path, w.Code, w.Body)
		}
	}
	// But a path may be escaped.
	if w := f.load("GET", base+"media/hls/m%61ster.m3u8"); w.Code != 200 {
		t.Errorf("escaped letter: %d %s", w.Code, w.Body)
	}
}

func TestMediaTokens(t *testing.T) {
	f := newFixture(t)
	r := f.add(a, "one", noon)
	f.objects.content[r.Prefix+"/media/hls/master.m3u8"] = []byte("x")
	now := time.Now()
	whole := now.Truncate(tokenStep)
	token := func(path string) string { return strings.Split(path, "/")[3] }
	good := token(f.mediaPath(a, now))
	for name, tt := range map[string]struct {
		token  string
		status int
	}{
		"new":                   {good, 200},
		"eleven hours old":      {token(f.mediaPath(a, now.Add(-tokenLife+tokenStep))), 200},
		"just expired":          {token(f.mediaPath(a, whole.Add(-tokenLife-tokenStep))), 403},
		"expired":               {token(f.mediaPath(a, now.Add(-2*tokenLife))), 403},
		"of no recording":       {token(f.mediaPath(b, now)), 404},
		"cut":                   {good[:len(good)-1], 403},
		"longer":                {good + "A", 403},
		"tampered, in the seal": {"A" + good[1:], 403},
		"tampered, in the text": {good[:60] + swap(good[60]) + good[61:], 403},
		"of a page":             {f.Sealer.Seal("page ListRecordings {}", []byte(`{"r":"`+a+`","e":9999999999}`)), 403},
		"of another key":        {"x", 403},
		"no JSON":               {f.Sealer.Seal(tokenPurpose, []byte("x")), 403},
	} {
		w := f.load("GET", "/recordings/media/"+tt.token+"/media/hls/master.m3u8")
		if w.Code != tt.status || w.Code != 200 && !strings.Contains(w.Body.String(), `{"message":"`) {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, tt.status)
		}
	}
	// URLs stay the same for an hour, so that caches know them again.
	if f.mediaPath(a, whole) != f.mediaPath(a, whole.Add(tokenStep-1)) || f.mediaPath(a, whole) == f.mediaPath(a, whole.Add(tokenStep)) {
		t.Error("tokens do not change by the hour")
	}
	if log := f.log.String(); strings.Contains(log, good) {
		t.Errorf("a token is logged: %s", log)
	}
}

func swap(c byte) string {
	if c == 'x' {
		return "y"
	}
	return "x"
}

func TestMediaRefusals(t *testing.T) {
	f := newFixture(t)
	r := f.add(a, "one", noon)
	f.objects.content[r.Prefix+"/media/hls/720p30/0.ts"] = []byte("0123456789")
	path := f.mediaPath(a, time.Now()) + "media/hls/720p30/0.ts"
	want := func(w *httptest.ResponseRecorder, status int, text string) {
		t.Helper()
		if w.Code != status || !strings.Contains(w.Body.String(), text) || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" ||
			w.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%d %v %s, want %d with %q", w.Code, w.Header(), w.Body, status, text)
		}
	}
	want(f.load("GET", strings.Replace(path, "0.ts", "1.ts", 1)), 404, "no such object")
	want(f.load("POST", path), 405, "not allowed")
	want(f.load("GET", path+"?"+strings.Repeat("x", maxURI)), 414, "too long")
	if w := f.load("OPTIONS", path); w.Code != 204 || !strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), "Range") {
		t.Errorf("OPTIONS: %d %v", w.Code, w.Header())
	}
	f.objects.fail = errors.New("connection refused to 10.0.0.1")
	w := f.load("GET", path)
	want(w, 502, "object store")
	if strings.Contains(w.Body.String(), "10.0.0.1") || !strings.Contains(f.log.String(), "10.0.0.1") {
		t.Errorf("told %s, logged %s", w.Body, f.log.String())
	}
	f.objects.fail = nil

	// Half of an answer must not look like all of it.
	f.objects.cut = true
	func() {
		defer func() {
			if got := recover(); got != http.ErrAbortHandler {
				t.Errorf("an answer that broke off ends with %v", got)
			}
		}()
		f.load("GET", path)
	}()
	f.objects.cut = false

	f.objects.untold = true
	want(f.load("GET", path), 502, "object store")
	f.objects.untold = false

	f.store.Close()
	want(f.load("GET", path), 500, "internal error")
}

// No more than so many objects are read at a time, and a store that does not
// answer is not waited for.
func TestMediaBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Store: known{}, Spool: spool{}, Objects: &bucket{hold: make(chan struct{})}, Sealer: auth.NewSealer(nil), Log: slog.New(slog.DiscardHandler)})
		get := func(from string) int {
			w := httptest.NewRecorder()
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = from + ":4711"
			r.SetPathValue("token", strings.Split(s.mediaPath(a, time.Now()), "/")[3])
			r.SetPathValue("path", "media/hls/master.m3u8")
			if s.media(w, r); w.Code == 503 && w.Header().Get("Retry-After") != "1" {
				t.Errorf("busy: %v", w.Header())
			}
			return w.Code
		}
		var reads sync.WaitGroup
		began := time.Now()
		for i := range maxReads {
			reads.Go(func() {
				if code := get(fmt.Sprint("10.0.0.", i/maxShare)); code != 502 || time.Since(began) != openTimeout {
					t.Errorf("a store that does not answer: %d after %v", code, time.Since(began))
				}
			})
		}
		synctest.Wait()
		if code := get("10.0.0.9"); code != 503 {
			t.Errorf("one too many: %d", code)
		}
		reads.Wait()
		s.Objects.(*bucket).fail = objectstore.ErrNotFound
		close(s.Objects.(*bucket).hold)
		if code := get("10.0.0.0"); code != 404 {
			t.Errorf("afterwards: %d", code)
		}
		s.Objects = &bucket{hold: make(chan struct{})}
		for range maxShare {
			reads.Go(func() { get("10.0.0.1") })
		}
		synctest.Wait()
		if code := get("10.0.0.1"); code != 503 {
			t.Errorf("one too many for an address: %d", code)
		}
		reads.Go(func() {
			if code := get("10.0.0.2"); code != 502 {
				t.Errorf("another address: %d", code)
			}
		})
		reads.Wait()
	})
}

// known is a database that knows every recording.
type known struct{ Store }

func (known) Recording(_ context.Context, id string) (resource.Recording, error) {
	return resource.Recording{ID: id, State: resource.RecordingEnded}, nil
}
