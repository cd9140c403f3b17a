package console

import (
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
)

func playbackPath(id string) string {
	return "/api/video/v1/us-east-1.123456789012.channel." + id + ".m3u8"
}

// files are the assets, with the libraries or without them.
func files(t *testing.T, withLibraries bool) fs.FS {
	t.Helper()
	sub, err := fs.Sub(embedded, "assets")
	if err != nil {
		t.Fatal(err)
	}
	all := fstest.MapFS{}
	err = fs.WalkDir(sub, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(name, "vendor/") {
			return err
		}
		b, err := fs.ReadFile(sub, name)
		all[name] = &fstest.MapFile{Data: b}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if withLibraries {
		all[hlsJS] = &fstest.MapFile{Data: []byte("var Hls;")}
		all[stageJS] = &fstest.MapFile{Data: []byte("export class Stage {}")}
	}
	return all
}

func serve(t *testing.T, withLibraries bool) *http.ServeMux {
	t.Helper()
	s, err := newServer(Config{PlaybackPath: playbackPath, Region: "eu-west-1", HTTPSPort: "7443"}, files(t, withLibraries))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s.Register(mux)
	return mux
}

func get(t *testing.T, mux *http.ServeMux, target string, header ...string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest("GET", target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Result(), string(b)
}

func TestWatchPage(t *testing.T) {
	for _, withHLS := range []bool{true, false} {
		mux := serve(t, withHLS)
		res, text := get(t, mux, "/watch/Kq7mZ2xWc9Lb")
		if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s %v", res.Status, res.Header)
		}
		if !strings.Contains(text, `data-source="../api/video/v1/us-east-1.123456789012.channel.Kq7mZ2xWc9Lb.m3u8"`) {
			t.Errorf("no source in\n%s", text)
		}
		if strings.Contains(text, "vendor/hls.min.js") != withHLS || strings.Contains(text, "make build") == withHLS {
			t.Errorf("with hls.js: %v\n%s", withHLS, text)
		}
		checkPage(t, res, text)
	}
}

func TestRecordingsPage(t *testing.T) {
	for _, withHLS := range []bool{true, false} {
		res, text := get(t, serve(t, withHLS), "/recordings?channel=%3Cscript%3E&state=x")
		if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s %v", res.Status, res.Header)
		}
		for _, want := range []string{`data-region="eu-west-1"`, `data-https-port="7443"`, `<script type="module" src="assets/recordings/page.js">`} {
			if !strings.Contains(text, want) {
				t.Errorf("no %s in\n%s", want, text)
			}
		}
		if strings.Contains(text, "vendor/hls.min.js") != withHLS || strings.Contains(text, "make build") == withHLS {
			t.Errorf("with hls.js: %v\n%s", withHLS, text)
		}
		checkPage(t, res, text)
	}
}

func TestStagePage(t *testing.T) {
	const token = "eyJhbGciOiJIUzI1NiJ9.eyJqdGkiOiJtZSJ9.c2ln"
	for _, withLibraries := range []bool{true, false} {
		res, text := get(t, serve(t, withLibraries), "/stage/Qw3rTy7uIoP1?token="+token)
		if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s %v", res.Status, res.Header)
		}
		for _, want := range []string{`data-stage="Qw3rTy7uIoP1"`, `data-https-port="7443"`} {
			if !strings.Contains(text, want) {
				t.Errorf("no %s in\n%s", want, text)
			}
		}
		if strings.Contains(text, token) {
			t.Errorf("the token is in\n%s", text)
		}
		if strings.Contains(text, "stage/page.js") != withLibraries || strings.Contains(text, "make build") == withLibraries {
			t.Errorf("with the library: %v\n%s", withLibraries, text)
		}
		checkPage(t, res, text)
	}
}

// Pages may open WebSockets to where they came from, and nowhere else.
func TestPolicyOfSockets(t *testing.T) {
	for _, tt := range []struct{ host, want string }{
		{"example.com", "connect-src 'self' ws://example.com wss://example.com;"},
		{"127.0.0.1:7080", "connect-src 'self' ws://127.0.0.1:7080 wss://127.0.0.1:7080;"},
		{"[::1]:7080", "connect-src 'self' ws://[::1]:7080 wss://[::1]:7080;"},
		{"", "connect-src 'self';"},
		{"a b", "connect-src 'self';"},
		{"a;script-src *", "connect-src 'self';"},
		{"*", "connect-src 'self';"},
		{"a:7080 *", "connect-src 'self';"},
		{"a\n", "connect-src 'self';"},
	} {
		if policy := policyFor(tt.host); !strings.Contains(policy, tt.want) {
			t.Errorf("%q: %s", tt.host, policy)
		}
	}
}

// checkPage checks what holds for every page: its policy allows only what comes
// from here, no form is sent anywhere, and there is no code or style in it.
func checkPage(t *testing.T, res *http.Response, text string) {
	t.Helper()
	csp := res.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "connect-src 'self'", "form-action 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("no %s in the policy %s", want, csp)
		}
	}
	if strings.Contains(csp, "unsafe") || res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("headers %v", res.Header)
	}
	if bad := regexp.MustCompile(`(?i)style=|<style| on[a-z]+=|javascript:|<script[^>]*>[^<]|https?://`).FindString(text); bad != "" {
		t.Errorf("page has %q", bad)
	}
}

// Whatever a page or a module loads is there, too.
func TestLinks(t *testing.T) {
	mux := serve(t, true)
	links := regexp.MustCompile(`(?:src|href)="((?:\.\./)?assets/[^"]+)"|from '(\.\.?/[^']+)'`)
	seen := map[string]bool{}
	var visit func(target string)
	visit = func(target string) {
		if seen[target] {
			return
		}
		seen[target] = true
		res, text := get(t, mux, target)
		if res.StatusCode != 200 {
			t.Errorf("%s: %s", target, res.Status)
			return
		}
		for _, m := range links.FindAllStringSubmatch(text, -1) {
			visit(path.Join(path.Dir(target), m[1]+m[2]))
		}
	}
	visit("/")
	visit("/watch/abc")
	visit("/recordings")
	visit("/stage/abc")
	if n := len(seen); n < 27 {
		t.Errorf("only %d files: %v", n, seen)
	}
}

// What modules compute is tested without a browser, by Node; the client of
// stages, as it was built, too. CI must have both.
func TestModules(t *testing.T) {
	lacks := func(t *testing.T, what string) {
		t.Helper()
		if os.Getenv("CI") != "" {
			t.Fatal(what)
		}
		t.Skip(what)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		lacks(t, "there is no node")
	}
	run := func(t *testing.T, dir string, tests ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), node, append([]string{"--test"}, tests...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	t.Run("pages", func(t *testing.T) { run(t, ".", "modules_test.mjs") })
	t.Run("client", func(t *testing.T) {
		const dir = "../../web"
		if _, err := os.Stat(filepath.Join(dir, "dist", "index.js")); err != nil {
			lacks(t, "the client of stages was not built: make build does that")
		}
		tests, err := filepath.Glob(filepath.Join(dir, "test", "*.test.mjs"))
		if err != nil || len(tests) < 2 {
			t.Fatalf("%v, %v", tests, err)
		}
		for i := range tests {
			tests[i] = filepath.Join("test", filepath.Base(tests[i]))
		}
		run(t, dir, tests...)
	})
}

func TestNoSuchPage(t *testing.T) {
	mux := serve(t, true)
	for _, target := range []string{
		"/watch/", "/watch/a.b", "/watch/%3Cscript%3E", "/watch/a%2fb", "/watch/" + strings.Repeat("a", 65),
		"/assets/", "/assets/watch.html", "/assets/vendor", "/assets/..%2fconsole.go", "/assets/vendor/hls.js", "/assets/%00",
		"/recordings/", "/assets/recordings.html", "/assets/recordings",
		"/stage/", "/stage/a.b", "/stage/%3Cscript%3E", "/stage/" + strings.Repeat("a", 65), "/assets/stage.html", "/assets/vendor/stage",
	} {
		if res, _ := get(t, mux, target); res.StatusCode != 404 {
			t.Errorf("%s: %s", target, res.Status)
		}
	}
}

func TestAssets(t *testing.T) {
	mux := serve(t, true)
	for name, contentType := range map[string]string{
		"watch.js": "javascript", "watch.css": "text/css", "recordings/page.js": "javascript", "icon.svg": "image/svg+xml", "vendor/hls.min.js": "javascript",
		"stage/page.js": "javascript", "stage.css": "text/css", "vendor/stage/index.js": "javascript",
	} {
		res, text := get(t, mux, "/assets/"+name)
		if res.StatusCode != 200 || text == "" || !strings.Contains(res.Header.Get("Content-Type"), contentType) {
			t.Errorf("%s: %s %v", name, res.Status, res.Header)
		}
		if res, _ := get(t, mux, "/assets/"+name, "If-None-Match", res.Header.Get("ETag")); res.StatusCode != 304 {
			t.Errorf("%s again: %s", name, res.Status)
		}
	}
}

// The binary serves whatever was embedded, player library or not.
func TestEmbedded(t *testing.T) {
	s, err := New(Config{PlaybackPath: playbackPath})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.assets["watch.js"]; !ok {
		t.Error("watch.js is not embedded")
	}
}

func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(1234 * time.Millisecond)
		res, text := get(t, serve(t, true), "/clock")
		var told struct{ Now int64 }
		if err := json.Unmarshal([]byte(text), &told); err != nil || told.Now != time.Now().UnixMilli() || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %v %v", text, err, res.Header)
		}
	})
}

func TestFrontPage(t *testing.T) {
	r, body := get(t, serve(t, true), "/")
	if r.StatusCode != 200 || !strings.Contains(body, "aws ivs") || r.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("status %d, %v:\n%s", r.StatusCode, r.Header, body)
	}
}
