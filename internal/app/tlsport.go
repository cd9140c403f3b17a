package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// tlsPort serves HTTPS and RTMPS on one port, so that 443 can be both.
//
//	TLS handshake ┬ ALPN h2, http/1.1 ──────────→ HTTP
//	              └ no ALPN: first byte ┬ 0x03 ─→ RTMP
//	                                    └ else ─→ HTTP/1.1
//
// In both protocols the client speaks first. An RTMP client's first byte is its
// version, 3; an HTTP request begins with a letter.
type tlsPort struct {
	ln   net.Listener
	tls  *tls.Config
	http *handover
	rtmp func(ctx context.Context, conn net.Conn)
	log  *slog.Logger

	opening chan struct{} // has one for each connection being opened
}

// openingTimeout bounds a connection's handshake, and again the wait for its
// first byte.
const openingTimeout = 10 * time.Second

// rtmpVersion is the first byte of an RTMP connection (RTMP 1.0 §5.2.2).
const rtmpVersion = 0x03

// newTLSPort makes a port. rtmp leads an RTMP connection, whose bytes are in
// the clear, through its life and closes it; HTTP connections come out of the
// listener that HTTP returns.
func newTLSPort(ln net.Listener, c *certificate, rtmp func(context.Context, net.Conn), log *slog.Logger) *tlsPort {
	return &tlsPort{
		ln: ln,
		tls: &tls.Config{
			MinVersion:     tls.VersionTLS12,
			NextProtos:     []string{"h2", "http/1.1"},
			GetCertificate: c.get,
		},
		http: &handover{addr: ln.Addr(), conns: make(chan net.Conn), closed: make(chan struct{})},
		rtmp: rtmp,
		log:  log,

		opening: make(chan struct{}, maxConnections()/4),
	}
}

// HTTP is where a server accepts the port's HTTP connections. Once that is
// closed, HTTP connections are refused while RTMP goes on.
func (p *tlsPort) HTTP() net.Listener { return p.http }

// Run accepts connections until ctx ends, then returns nil. When it returns,
// every RTMP connection is closed; those handed over are the HTTP server's.
func (p *tlsPort) Run(ctx context.Context) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // runs before Wait
	defer p.ln.Close()
	context.AfterFunc(ctx, func() { p.ln.Close() })

	for {
		conn, err := p.ln.Accept()
		switch {
		case err == nil:
			conns.Go(func() { p.open(ctx, conn) })
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept TLS connection: %w", err)
		default: // for want of file descriptors, say
			p.log.Error("TLS connection cannot be accepted", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
}

// open finds out what a connection speaks and hands it on.
func (p *tlsPort) open(ctx context.Context, raw net.Conn) {
	select {
	case p.opening <- struct{}{}:
	default: // too many at once, so that none takes long
		raw.Close()
		return
	}
	conn := tls.Server(raw, p.tls)
	first, err := p.shake(ctx, conn)
	<-p.opening
	switch {
	case err != nil:
		p.log.Debug("TLS connection not opened", "remote", raw.RemoteAddr().String(), "error", err)
		raw.Close()
	case len(first) == 0: // the HTTP server must see a *tls.Conn to speak HTTP/2
		p.http.give(ctx, conn)
	case first[0] == rtmpVersion:
		p.rtmp(ctx, &clearConn{Conn: conn, first: first})
	default:
		p.http.give(ctx, &clearConn{Conn: conn, first: first})
	}
}

// shake does the handshake and, when that does not tell the protocol, reads
// the first byte.
func (p *tlsPort) shake(ctx context.Context, conn *tls.Conn) (first []byte, err error) {
	opening, cancel := context.WithTimeout(ctx, openingTimeout)
	defer cancel()
	if err := conn.HandshakeContext(opening); err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	if conn.ConnectionState().NegotiatedProtocol != "" {
		return nil, nil
	}
	if err := conn.SetReadDeadline(time.Now().Add(openingTimeout)); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	first = make([]byte, 1)
	if _, err := conn.Read(first); err != nil {
		return nil, fmt.Errorf("read first byte: %w", err)
	}
	return first, conn.SetReadDeadline(time.Time{})
}

// clearConn is a TLS connection of which a byte has been read already.
type clearConn struct {
	*tls.Conn
	first []byte
}

func (c *clearConn) Read(p []byte) (int, error) {
	if len(c.first) > 0 && len(p) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// handover is a listener whose connections another one accepted.
type handover struct {
	addr   net.Addr
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

// give hands conn to who accepts, or closes it when nobody will.
func (h *handover) give(ctx context.Context, conn net.Conn) {
	select {
	case h.conns <- conn:
	case <-h.closed:
		conn.Close()
	case <-ctx.Done():
		conn.Close()
	}
}

func (h *handover) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

func (h *handover) Addr() net.Addr { return h.addr }

// connKey is the context key of a request's connection.
type connKey struct{}

// withConn is an [http.Server]'s ConnContext.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// tellTLS fills in the TLS state of requests that came without ALPN, which the
// HTTP server takes for plain ones.
func tellTLS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, ok := r.Context().Value(connKey{}).(*clearConn); ok && r.TLS == nil {
			state := conn.ConnectionState()
			r.TLS = &state
		}
		next.ServeHTTP(w, r)
	})
}
