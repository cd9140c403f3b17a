package app

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// line is an HTTP server in a bubble, and the way to it.
type line struct {
	t    *testing.T
	port *tlsPort
	stop func()
}

func newLine(t *testing.T, c *certificate, h http.HandlerFunc) *line {
	p := newParts(t.Context())
	l := &line{t, newTLSPort(pipeListener{}, c, nil, testLog(t)), func() {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	}}
	server := httpServer(h, &connections{most: 10_000}, testLog(t))
	p.start("HTTP", func(ctx context.Context) error { return serveHTTP(ctx, server, l.port.HTTP()) })
	return l
}

// dial connects for HTTP/1.1 in the clear, or for HTTP/2 over TLS, through what
// wrap makes of the client's end.
func (l *line) dial(h2 bool, wrap func(net.Conn) net.Conn) net.Conn {
	server, client := net.Pipe()
	if wrap != nil {
		client = wrap(client)
	}
	if !h2 {
		go l.port.http.give(l.t.Context(), server)
		return client
	}
	go l.port.open(l.t.Context(), server)
	secure := tls.Client(client, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err := secure.Handshake(); err != nil {
		l.t.Error(err)
	}
	return secure
}

// get reads all of an answer and returns when the connection is closed.
func (l *line) get(h2 bool, wrap func(net.Conn) net.Conn) (proto string, err error) {
	connect := func(context.Context, string, string) (net.Conn, error) { return l.dial(h2, wrap), nil }
	transport := &http.Transport{DialContext: connect, DialTLSContext: connect, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	scheme := map[bool]string{false: "http", true: "https"}[h2]
	res, err := (&http.Client{Transport: transport}).Get(scheme + "://localhost/")
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.Proto, err
}

// slowConn reads as many bytes a second once it is slow.
type slowConn struct {
	net.Conn
	rate int
	slow *atomic.Bool
}

func (c *slowConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.slow.Load() {
		time.Sleep(time.Duration(n) * time.Second / time.Duration(c.rate))
	}
	return n, err
}

// A reader may be slow, and an answer late. Who reads too slowly, or not at
// all, is cut off.
func TestHTTPAnswersTakeTime(t *testing.T) {
	const size = 5_000_000
	c := testCertificate(t)
	for _, tt := range []struct {
		name string
		h2   bool
		rate int // the reader's, in byte/s
		late time.Duration
		cut  time.Duration // after which the answer fails, 0 when it does not
	}{
		{"500 kbit/s behind a blocked request", false, 62_500, 5 * time.Second, 0},
		{"500 kbit/s behind a blocked request", true, 62_500, 5 * time.Second, 0},
		{"later than a request may be read", false, size, readTimeout + 10*time.Second, 0},
		{"later than a request may be read", true, size, readTimeout + 10*time.Second, 0},
		{"250 kbit/s", false, 31_250, 0, writeTimeout},
		{"250 kbit/s", true, 31_250, 0, writeTimeout},
		{"dead", false, 1, 0, writeTimeout},
		{"dead", true, 1, 0, writeByteTimeout},
	} {
		t.Run(fmt.Sprintf("%s, HTTP/2 %v", tt.name, tt.h2), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var slow atomic.Bool
				failed := make(chan error, 1)
				var took time.Duration
				l := newLine(t, c, func(w http.ResponseWriter, r *http.Request) {
					time.Sleep(tt.late)
					err := r.Context().Err()
					slow.Store(true)
					began := time.Now()
					if err == nil {
						_, err = w.Write(make([]byte, size))
					}
					took = time.Since(began)
					failed <- err
				})
				defer time.Sleep(24 * time.Hour) // until the last read of the slowest
				defer l.stop()
				proto, err := l.get(tt.h2, func(conn net.Conn) net.Conn { return &slowConn{conn, tt.rate, &slow} })
				wrote := <-failed
				if tt.cut == 0 && (err != nil || wrote != nil || (proto == "HTTP/2.0") != tt.h2) {
					t.Errorf("%s: reader %v, writer %v", proto, err, wrote)
				}
				if tt.cut != 0 && (err == nil || wrote == nil || took < tt.cut || took > tt.cut+5*time.Second) { // TLS says goodbye
					t.Errorf("reader %v, writer %v after %v, want an error after %v", err, wrote, took, tt.cut)
				}
			})
		})
	}
}

// Who sends slowly, or nothing, is cut off.
func TestHTTPRequestsTakeNoTime(t *testing.T) {
	c := testCertificate(t)
	for _, tt := range []struct {
		name  string
		h2    bool
		sends string
		cut   time.Duration
	}{
		{"nothing", false, "", readHeaderTimeout},
		{"nothing", true, "", readHeaderTimeout},
		{"half a header", false, "GET / HTTP/1.1\r\nHost: localhost\r\n", readHeaderTimeout},
		{"half a preface", true, "PRI * HTTP/2.0\r\n", readHeaderTimeout},
		{"half a body", false, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nx", readTimeout},
		{"one request", false, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", idleTimeout},
		{"no request", true, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", idleTimeout},
	} {
		t.Run(fmt.Sprintf("%s, HTTP/2 %v", tt.name, tt.h2), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLine(t, c, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
				defer l.stop()
				conn := l.dial(tt.h2, nil)
				defer conn.Close()
				began := time.Now()
				go io.WriteString(conn, tt.sends)
				io.Copy(io.Discard, conn)
				if took := time.Since(began); took < tt.cut || took > tt.cut+2*time.Second {
					t.Errorf("cut off after %v, want %v", took, tt.cut)
				}
			})
		})
	}
}

// When the server stops, thousands of blocked requests are told so.
func TestServeHTTPTellsTheBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const blocked = 2000
		l := newLine(t, nil, func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			if context.Cause(r.Context()) == http.ErrServerClosed {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})
		told := make(chan bool, blocked)
		for range blocked {
			go func() {
				conn := l.dial(false, nil)
				defer conn.Close()
				io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				told <- err == nil && res.StatusCode == http.StatusServiceUnavailable && res.Close
			}()
		}
		synctest.Wait()
		began := time.Now()
		l.stop()
		if took := time.Since(began); took < politeStop || took > politeStop+finalStop {
			t.Errorf("stopped after %v", took)
		}
		for range blocked {
			if !<-told {
				t.Fatal("a blocked request was cut off without an answer")
			}
		}
	})
}
