package app

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

func testCertificate(t *testing.T) *certificate {
	t.Helper()
	dir, err := openDataDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	c, err := openCertificate(dir, &Config{PublicHost: "localhost"}, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// startTLSPort runs a port whose HTTP side answers with the protocol, and
// whose RTMP side sends back what it gets.
func startTLSPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	echo := func(_ context.Context, conn net.Conn) {
		io.Copy(conn, conn)
		conn.Close()
	}
	port := newTLSPort(ln, testCertificate(t), echo, testLog(t))
	server := httpServer(tellTLS(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			t.Error("a request over TLS has no TLS state")
		}
		io.WriteString(w, r.Proto)
	})), &connections{most: 100}, testLog(t))

	p := newParts(t.Context())
	p.start("TLS port", port.Run)
	p.start("HTTP", func(ctx context.Context) error { return serveHTTP(ctx, server, port.HTTP()) })
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func TestTLSPortHTTP(t *testing.T) {
	addr := startTLSPort(t)
	insecure := func(protos ...string) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, NextProtos: protos}
	}
	cases := []struct {
		name      string
		transport *http.Transport
		want      string
	}{
		{"h2", &http.Transport{TLSClientConfig: insecure(), ForceAttemptHTTP2: true}, "HTTP/2.0"},
		{"http/1.1", &http.Transport{TLSClientConfig: insecure("http/1.1")}, "HTTP/1.1"},
		{"no ALPN", &http.Transport{DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return (&tls.Dialer{Config: insecure()}).DialContext(ctx, network, addr)
		}}, "HTTP/1.1"},
	}
	for _, c := range cases {
		client := &http.Client{Transport: c.transport}
		for range 2 { // the second on the same connection
			resp, err := client.Get("https://" + addr + "/")
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(body) != c.want {
				t.Errorf("%s: the server saw %s, want %s", c.name, body, c.want)
			}
		}
		client.CloseIdleConnections()
	}
}

func TestTLSPortRTMP(t *testing.T) {
	conn, err := tls.Dial("tcp", startTLSPort(t), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want := "\x03 the handshake and all that follows"
	io.WriteString(conn, want)
	conn.CloseWrite()
	got, err := io.ReadAll(conn)
	if err != nil || string(got) != want {
		t.Errorf("got back %q (%v), want %q", got, err, want)
	}
}

func TestTLSPortRefuses(t *testing.T) {
	addr := startTLSPort(t)
	cases := map[string]*tls.Config{
		"an unknown protocol": {InsecureSkipVerify: true, NextProtos: []string{"smtp"}},
		"TLS 1.1":             {InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11},
	}
	for name, config := range cases {
		if conn, err := tls.Dial("tcp", addr, config); err == nil {
			conn.Close()
			t.Errorf("%s is taken", name)
		}
	}
}

// TestTLSPortSilence sees that who says nothing is sent away, at each step.
func TestTLSPortSilence(t *testing.T) {
	c := testCertificate(t)
	for _, shake := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			server, client := net.Pipe()
			port := newTLSPort(pipeListener{}, c, nil, testLog(t))
			start := time.Now()
			go port.open(t.Context(), server)
			if shake {
				secure := tls.Client(client, &tls.Config{InsecureSkipVerify: true})
				if err := secure.Handshake(); err != nil {
					t.Fatal(err)
				}
			}
			io.Copy(io.Discard, client)
			if waited := time.Since(start); waited != openingTimeout {
				t.Errorf("handshake %v: closed after %v, want %v", shake, waited, openingTimeout)
			}
		})
	}
}

// pipeListener has an address only.
type pipeListener struct{ net.Listener }

func (pipeListener) Addr() net.Addr { return &net.TCPAddr{} }
