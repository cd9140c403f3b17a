package e2e

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"
)

// s3Proxy is the network before a storage, with all that can go wrong in it.
type s3Proxy struct {
	*storage // as seen through the proxy
	t        testing.TB
	forward  http.Handler

	// mu guards what follows.
	mu      sync.Mutex
	server  *http.Server  // nil when connections are refused
	fault   fault         // nil when all is well
	changed chan struct{} // closed when the fault changes
	hits    int           // requests that a fault met
}

// fault answers a request, or hands it on.
type fault func(p *s3Proxy, w http.ResponseWriter, r *http.Request)

// startS3Proxy starts a proxy before a storage. It ends with the test.
func startS3Proxy(t testing.TB, before *storage) *s3Proxy {
	t.Helper()
	target, err := url.Parse(before.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	through := *before
	p := &s3Proxy{storage: &through, t: t, changed: make(chan struct{})}
	quiet := log.New(io.Discard, "", 0)
	p.forward = &httputil.ReverseProxy{
		ErrorLog: quiet,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			r.Out.Host = r.In.Host // it is signed
		},
	}
	p.listen("127.0.0.1:0")
	t.Cleanup(p.refuse)
	return p
}

func (p *s3Proxy) listen(addr string) {
	p.t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		p.t.Fatal(err)
	}
	server := &http.Server{Handler: p, ErrorLog: log.New(io.Discard, "", 0)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endpoint, p.server = "http://"+ln.Addr().String(), server
	go server.Serve(ln)
}

// refuse refuses connections, and breaks those that are there.
func (p *s3Proxy) refuse() {
	p.set(nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil {
		p.server.Close()
		p.server = nil
	}
}

// set lets a fault happen from now on, none if f is nil. What hangs is let go.
func (p *s3Proxy) set(f fault) {
	p.mu.Lock()
	p.fault, p.hits = f, 0
	close(p.changed)
	p.changed = make(chan struct{})
	refusing := p.server == nil
	p.mu.Unlock()
	if refusing && f != nil {
		p.listen(p.address())
	}
}

// heal ends every fault.
func (p *s3Proxy) heal() {
	p.t.Helper()
	p.set(pass)
}

// waitHit waits until a fault has met n requests.
func (p *s3Proxy) waitHit(n int) {
	p.t.Helper()
	eventually(p.t, 60*time.Second, "the fault was met", func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.hits < n {
			return fmt.Errorf("%d times", p.hits)
		}
		return nil
	})
}

func (p *s3Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	f := p.fault
	p.hits++
	p.mu.Unlock()
	if f == nil {
		f = pass
	}
	f(p, w, r)
}

func pass(p *s3Proxy, w http.ResponseWriter, r *http.Request) { p.forward.ServeHTTP(w, r) }

// answerWith answers as S3 does when it does not do what was asked.
func answerWith(status int, code string) fault {
	return func(_ *s3Proxy, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>this is a test</Message></Error>", code)
	}
}

// hang takes requests and does not answer.
func hang(p *s3Proxy, w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	changed := p.changed
	p.mu.Unlock()
	io.Copy(io.Discard, r.Body)
	select {
	case <-changed:
	case <-r.Context().Done():
	}
	panic(http.ErrAbortHandler)
}

// cutOff hands requests on, and loses the answers.
func cutOff(p *s3Proxy, w http.ResponseWriter, r *http.Request) {
	p.forward.ServeHTTP(unheard{http.Header{}}, r)
	panic(http.ErrAbortHandler)
}

// unheard takes an answer that nobody gets.
type unheard struct{ header http.Header }

func (n unheard) Header() http.Header         { return n.header }
func (n unheard) Write(b []byte) (int, error) { return len(b), nil }
func (n unheard) WriteHeader(int)             {}

// falsify changes a byte of what is stored.
func falsify(p *s3Proxy, w http.ResponseWriter, r *http.Request) {
	r.Body = through{r.Body, func(b []byte) {
		if len(b) > 0 {
			b[len(b)-1] ^= 0x20
		}
	}}
	p.forward.ServeHTTP(w, r)
}

// crawl hands requests on slowly, until the fault changes.
func crawl(p *s3Proxy, w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	changed := p.changed
	p.mu.Unlock()
	r.Body = through{r.Body, func(b []byte) {
		select {
		case <-changed:
		case <-r.Context().Done():
		case <-time.After(time.Duration(len(b)) * time.Second / 10_000): // 10 kB a second
		}
	}}
	p.forward.ServeHTTP(w, r)
}

// through is a body that goes through something.
type through struct {
	io.ReadCloser
	each func([]byte)
}

func (b through) Read(dst []byte) (int, error) {
	n, err := b.ReadCloser.Read(dst)
	b.each(dst[:n])
	return n, err
}
