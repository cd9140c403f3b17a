package ingest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib/pkg/amf0"
	"github.com/bluenviron/gortmplib/pkg/bytecounter"
	"github.com/bluenviron/gortmplib/pkg/handshake"
	"github.com/bluenviron/gortmplib/pkg/rawmessage"
)

// testKey is the stream key of every test; no log may contain it.
const testKey = "sk_us-east-1_TestKeyTestKey_secret"

// syncBuffer keeps a log.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// keptLog makes a logger, and fails the test if the stream key gets into it.
func keptLog(t *testing.T) (*slog.Logger, *syncBuffer) {
	t.Helper()
	kept := new(syncBuffer)
	t.Cleanup(func() {
		log := kept.String()
		if strings.Contains(log, testKey) {
			t.Errorf("the log contains the stream key:\n%s", log)
		}
		if t.Failed() {
			t.Logf("log:\n%s", log)
		}
	})
	return slog.New(slog.NewTextHandler(kept, &slog.HandlerOptions{Level: slog.LevelDebug})), kept
}

// server is a running RTMPServer.
type server struct {
	*RTMPServer
	addr string
	log  *syncBuffer
	stop func() // and wait
}

func startServer(t *testing.T, publish PublishFunc, adjust ...func(*RTMPConfig)) *server {
	t.Helper()
	log, kept := keptLog(t)
	cfg := RTMPConfig{Publish: publish, Log: log}
	for _, f := range adjust {
		f(&cfg)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{RTMPServer: NewRTMPServer(cfg), addr: ln.Addr().String(), log: kept}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, ln) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(s.stop)
	return s
}

// startTLS lets s serve TLS connections, as the port shared with HTTPS does.
func (s *server) startTLS(t *testing.T) (addr string) {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { s.ServeConn(ctx, conn, true) })
		}
	})
	t.Cleanup(func() { cancel(); ln.Close(); conns.Wait() })
	return ln.Addr().String()
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// client speaks RTMP message by message.
type client struct {
	t    *testing.T
	conn net.Conn
	r    *rawmessage.Reader
	w    *rawmessage.Writer
}

// dial connects and does the handshake.
func dial(t *testing.T, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return newClient(t, conn)
}

func newClient(t *testing.T, conn net.Conn) *client {
	t.Helper()
	count := bytecounter.NewReadWriter(conn)
	if _, _, err := handshake.DoClient(count, false, false); err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, conn: conn, w: rawmessage.NewWriter(count, count.Writer, false)}
	c.r = rawmessage.NewReader(count, count.Reader, func(uint32) error { return nil })
	return c
}

func (c *client) write(kind uint8, chunks byte, stamp time.Duration, body []byte) {
	c.t.Helper()
	m := &rawmessage.Message{ChunkStreamID: chunks, Timestamp: stamp, Type: kind, MessageStreamID: theStream, Body: body}
	if err := c.w.Write(m); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) call(name string, id float64, args ...any) {
	c.t.Helper()
	c.write(msgCommandAMF0, 3, 0, marshal(c.t, append(amf0.Data{name, id}, args...)))
}

// read returns the next command, nil at the end of the connection.
func (c *client) read() *command {
	c.t.Helper()
	for {
		m, err := c.r.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			c.t.Fatal(err)
		case m.Type == msgSetChunkSize:
			if err := c.r.SetChunkSize(uint32(m.Body[2])<<8 | uint32(m.Body[3])); err != nil {
				c.t.Fatal(err)
			}
		case m.Type == msgCommandAMF0:
			call, err := parseCommand(message{kind: m.Type, body: m.Body})
			if err != nil {
				c.t.Fatal(err)
			}
			return &call
		}
	}
}

// expect reads a command and compares its name, transaction and, if it tells
// one, its code.
func (c *client) expect(name string, id float64, code string) *command {
	c.t.Helper()
	got := c.read()
	if got == nil {
		c.t.Fatalf("connection ended, want %s", name)
	}
	told, _ := got.object(1).GetString("code")
	if got.name != name || got.id != id || told != code {
		c.t.Fatalf("got %s %v %v, want %s %v %s", got.name, got.id, got.args, name, id, code)
	}
	return got
}

// expectEnd expects a status with that text, and the end of the connection.
func (c *client) expectEnd(code, description string) {
	c.t.Helper()
	status := c.expect("onStatus", 0, code)
	if got, _ := status.object(1).GetString("description"); !strings.Contains(got, description) {
		c.t.Errorf("description %q, want %q", got, description)
	}
	if more := c.read(); more != nil {
		c.t.Errorf("after the last status came %+v", more)
	}
}

func (c *client) connect(app string) {
	c.t.Helper()
	c.call("connect", 1, amf0.Object{
		{Key: "app", Value: app}, {Key: "flashVer", Value: "test\n1"}, {Key: "tcUrl", Value: "rtmp://host/" + app},
	})
}

// goLive publishes.
func (c *client) goLive() {
	c.t.Helper()
	c.connect("app")
	c.expect("_result", 1, "NetConnection.Connect.Success")
	c.call("createStream", 2, nil)
	c.expect("_result", 2, "")
	c.call("publish", 3, nil, testKey, "live")
	c.expect("onStatus", 0, "NetStream.Publish.Start")
}

// media sends the start of a stream: configuration, a picture and sound.
func (c *client) media() {
	c.t.Helper()
	c.write(msgVideo, 6, 0, avcConfig())
	c.write(msgAudio, 4, 0, aacConfig(aacStereo))
	c.write(msgVideo, 6, 0, avcFrame(0, testIDR))
	c.write(msgAudio, 4, 0, aacFrame(1, 2, 3))
}

// await is the next feed of s.
func (s *publishers) await(t *testing.T) *recordedFeed {
	t.Helper()
	select {
	case f := <-s.feeds:
		return f
	case <-time.After(20 * time.Second):
		t.Fatal("nobody published")
		return nil
	}
}

// awaitClose waits for the end of f and returns its cause.
func (f *recordedFeed) awaitClose(t *testing.T) error {
	t.Helper()
	select {
	case <-f.closed:
	case <-time.After(20 * time.Second):
		t.Fatal("the feed was not closed")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cause
}

func expectLog(t *testing.T, s *server, parts ...string) {
	t.Helper()
	s.stop()
	for line := range strings.Lines(s.log.String()) {
		found := 0
		for _, p := range parts {
			if strings.Contains(line, p) {
				found++
			}
		}
		if found == len(parts) {
			return
		}
	}
	t.Errorf("no line in the log has %s", fmt.Sprintf("%q", parts))
}

// chunk0 begins a message under a header of type 0, with timestamp 0.
func chunk0(chunks, kind byte, length int, data []byte) []byte {
	return append([]byte{chunks, 0, 0, 0, byte(length >> 16), byte(length >> 8), byte(length), kind, 1, 0, 0, 0}, data...)
}
