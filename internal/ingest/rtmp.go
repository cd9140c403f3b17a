package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"anabranch/internal/metrics"
)

// RTMPConfig is what an RTMPServer is made of.
type RTMPConfig struct {
	Publish PublishFunc
	Log     *slog.Logger
	// MaxConnections bounds the connections open at once; 1000 when 0.
	MaxConnections int
	// MaxPending bounds those of one address that do not publish yet, an IPv6
	// /64 being one address; 50 when 0.
	MaxPending int
}

// RTMPServer takes publishers in by RTMP, plain or over TLS. The publish
// address is rtmp://host/app/<stream key>. Nothing can be played from it.
type RTMPServer struct {
	cfg RTMPConfig

	// mu guards what follows.
	mu      sync.Mutex
	open    int
	pending map[netip.Addr]int
}

// NewRTMPServer makes a server that has no listener yet.
func NewRTMPServer(cfg RTMPConfig) *RTMPServer {
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = 1000
	}
	if cfg.MaxPending == 0 {
		cfg.MaxPending = 50
	}
	return &RTMPServer{cfg: cfg, pending: make(map[netip.Addr]int)}
}

// acceptRetry is the pause after an accept that failed for want of something,
// such as file descriptors.
const acceptRetry = 100 * time.Millisecond

// Run accepts publishers on ln until ctx ends, then returns nil. It owns ln and
// every connection it accepts: when Run returns, all are closed and their
// goroutines have ended.
func (s *RTMPServer) Run(ctx context.Context, ln net.Listener) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // runs before Wait: tell everyone to stop, then wait for them
	defer ln.Close()
	context.AfterFunc(ctx, func() { ln.Close() })

	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			conns.Go(func() { s.ServeConn(ctx, conn, false) })
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept rtmp publisher: %w", err)
		default:
			s.cfg.Log.Error("publisher cannot be accepted", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(acceptRetry):
			}
		}
	}
}

// ServeConn leads one publisher through its life, from the RTMP handshake to
// the end of its stream, and closes conn. The bytes of conn are in the clear;
// secure says that they came over TLS. When ctx ends the publisher is told so.
func (s *RTMPServer) ServeConn(ctx context.Context, conn net.Conn, secure bool) {
	defer conn.Close()
	address := addressOf(conn)
	if !s.admit(address) {
		metrics.IngestOverLimit.Inc()
		s.cfg.Log.Debug("too many connections", "remote", conn.RemoteAddr().String())
		return
	}
	protocol := "RTMP"
	if secure {
		protocol = "RTMPS"
	}
	gauge := metrics.IngestConnections.WithLabelValues(protocol)
	gauge.Inc()
	defer gauge.Dec()

	settle := sync.OnceFunc(func() { s.settle(address) })
	defer s.release()
	defer settle()
	newRTMPConn(&s.cfg, conn, protocol, settle).serve(ctx)
}

// admit counts a connection in, as pending, unless there are too many.
func (s *RTMPServer) admit(from netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= s.cfg.MaxConnections || s.pending[from] >= s.cfg.MaxPending {
		return false
	}
	s.open++
	s.pending[from]++
	return true
}

// settle takes a connection out of the pending ones.
func (s *RTMPServer) settle(from netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending[from]--; s.pending[from] == 0 {
		delete(s.pending, from)
	}
}

func (s *RTMPServer) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
}

// addressOf is whom a connection is counted under: its IPv4 address or IPv6
// /64, the zero Addr for what has neither.
func addressOf(conn net.Conn) netip.Addr {
	ap, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	addr := ap.Addr().Unmap().WithZone("")
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return addr
}
