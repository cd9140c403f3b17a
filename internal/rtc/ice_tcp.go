package rtc

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// tcpPath is a TCP connection that carries what UDP would: packets behind their
// length (RFC 4571), for networks that let nothing else through (RFC 6544).
type tcpPath struct {
	conn  net.Conn
	queue chan []byte // framed
}

const (
	// tcpQueue is how many packets wait for a slow client; more are lost, and asked
	// for again or replaced by a key frame, as on any network. About a second of 2
	// Mbit/s.
	tcpQueue = 256
	// maxTCP is how many connections there may be, maxTCPAlone how many of them that no
	// authentic check came on, for tcpAlone at most, and maxTCPAloneOfOne how many of
	// those from one address, or from one /64 of IPv6: the least that anybody has.
	maxTCP           = 16384
	maxTCPAlone      = 1024
	maxTCPAloneOfOne = 64
	tcpAlone         = 10 * time.Second
	tcpStuck         = 5 * time.Second // a client that takes nothing for so long is gone
)

// serveTCP accepts connections until the listener is closed.
func (e *Engine) serveTCP(ctx context.Context, ln net.Listener) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	all := make(chan struct{}, maxTCP)
	alone := strangers{of: map[netip.Prefix]int{}}
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return nil
		default:
			e.log.Warn("accept ICE over TCP", "err", err) // out of descriptors: others may end
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		from, err := netip.ParseAddrPort(conn.RemoteAddr().String())
		if err != nil {
			conn.Close()
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		select {
		case all <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		if !alone.admit(from.Addr()) {
			conn.Close()
			<-all
			continue
		}
		conns.Go(func() {
			defer func() { <-all }()
			e.serveConn(ctx, conn, from, sync.OnceFunc(func() { alone.release(from.Addr()) }))
		})
	}
}

// strangers counts connections that no authentic check came on.
type strangers struct {
	mu  sync.Mutex // guards the rest
	all int
	of  map[netip.Prefix]int
}

// admit takes one more, if there may be one.
func (s *strangers) admit(from netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	network := networkOf(from)
	if s.all == maxTCPAlone || s.of[network] == maxTCPAloneOfOne {
		return false
	}
	s.all++
	s.of[network]++
	return true
}

// release forgets one that was admitted.
func (s *strangers) release(from netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	network := networkOf(from)
	s.all--
	if s.of[network]--; s.of[network] == 0 {
		delete(s.of, network)
	}
}

// networkOf is all that one client may have for itself: an address, or a /64 of IPv6.
func networkOf(addr netip.Addr) netip.Prefix {
	p, _ := addr.Prefix(min(addr.BitLen(), 64)) // there is one of each such length
	return p
}

// serveConn reads a connection's packets until it ends. known is called once an
// authentic check came on it, and at the end.
func (e *Engine) serveConn(ctx context.Context, conn net.Conn, from netip.AddrPort, known func()) {
	p := path{addr: from, tcp: &tcpPath{conn: conn, queue: make(chan []byte, tcpQueue)}}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	var writer sync.WaitGroup
	writer.Go(func() { p.tcp.write(ctx); cancel() })
	defer func() {
		cancel()
		stop()
		conn.Close()
		writer.Wait()
		known()
		e.mu.Lock()
		if s := e.byPath[p]; s != nil {
			e.forget(s, p)
		}
		e.mu.Unlock()
	}()
	_ = conn.SetReadDeadline(time.Now().Add(tcpAlone))
	r := bufio.NewReaderSize(conn, 4096)
	b := make([]byte, maxDatagram)
	alone := true
	for {
		n, err := readFrame(r, b)
		if err != nil {
			return
		}
		e.packet(p, b[:n], time.Now())
		switch taken := e.sessionOn(p) != nil; {
		case taken:
			alone = false
			known()
			_ = conn.SetReadDeadline(time.Now().Add(2 * lostAfter))
		case !alone:
			return // its session has ended, or has newer paths
		}
	}
}

// readFrame reads one packet into b. One that is longer than b ends the connection:
// no client sends such.
func readFrame(r io.Reader, b []byte) (int, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n > len(b) {
		return 0, errors.New("the packet is longer than any")
	}
	return io.ReadFull(r, b[:n])
}

// write sends what is queued until ctx ends or the client takes nothing any more.
func (t *tcpPath) write(ctx context.Context) {
	for {
		select {
		case b := <-t.queue:
			_ = t.conn.SetWriteDeadline(time.Now().Add(tcpStuck))
			if _, err := t.conn.Write(b); err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// send queues a packet; a full queue loses it.
func (t *tcpPath) send(b []byte) bool {
	framed := make([]byte, 2+len(b))
	binary.BigEndian.PutUint16(framed, uint16(len(b)))
	copy(framed[2:], b)
	select {
	case t.queue <- framed:
		return true
	default:
		return false
	}
}
