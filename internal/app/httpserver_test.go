package app

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestServeHTTPFinishes sees that a request under way is answered when the
// server stops, and that one that never would be is cut off.
func TestServeHTTPFinishes(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	begun, stopped := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/quick", func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-stopped
		io.WriteString(w, "done")
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-r.Context().Done()
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- serveHTTP(ctx, httpServer(mux, &connections{most: 100}, testLog(t)), ln) }()

	answers := make(chan string, 2)
	for _, path := range []string{"/quick", "/endless"} {
		go func() {
			resp, err := http.Get("http://" + ln.Addr().String() + path)
			if err != nil {
				answers <- "cut off"
				return
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			answers <- string(body)
		}()
		<-begun
	}
	stop()
	close(stopped)
	if got := <-answers; got != "done" {
		t.Errorf("the request under way was answered with %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := <-answers; got != "" {
		t.Errorf("the endless request was answered with %q", got)
	}
}

func TestAdmin(t *testing.T) {
	a := newAdmin()
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Code, w.Body.String()
	}
	expect := func(path string, code int, part string) {
		t.Helper()
		if got, body := get(path); got != code || !strings.Contains(body, part) {
			t.Errorf("%s: %d, want %d with %q", path, got, code, part)
		}
	}
	expect("/healthz", 200, "alive")
	expect("/readyz", 503, "starting")
	a.ready.Store(true)
	expect("/readyz", 200, "ready")
	expect("/metrics", 200, "go_goroutines")
	expect("/debug/pprof/", 200, "goroutine")
	expect("/", 404, "")
}
