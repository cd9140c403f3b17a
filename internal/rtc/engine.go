// Package rtc carries media by WebRTC: from one publisher to many subscribers, as it
// is (a selective forwarding unit, RFC 7667 §3.7).
//
//	client → path → Engine ┬→ check: ICE (RFC 8445)
//	                       ├→ DTLS → the keys of SRTP
//	                       └→ SRTP → publication → layer → lane of a Source
//	client ← path ← Engine ← SRTP ← subscription ← sender ←──────┘
//
// An Engine has one UDP socket, and one TCP listener, for everybody. A Session is one
// client's connection; [Engine.Publish] and [Engine.Subscribe] make one of an offer
// (WHIP, RFC 9725). A [Source] is what a participant publishes, and outlives its
// sessions. What rooms there are, and who may do what, is package stage's.
package rtc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"anabranch/internal/metrics"
)

// Config is what an Engine is made of.
type Config struct {
	// UDP carries the media of everyone: a *net.UDPConn. The engine owns it, and
	// closes it.
	UDP net.PacketConn
	// TCP accepts ICE over TCP (RFC 6544), for networks that let no UDP through;
	// nil for none. The engine owns it, and closes it.
	TCP net.Listener
	// Hosts are the names and addresses that clients are told, each with the ports of
	// UDP and TCP; none: the addresses of the interfaces, with loopback's.
	Hosts []string
	// MaxHalfOpen is how many sessions may wait for their client's first packets;
	// 0 is 4,096. One that waits costs a few kilobytes and no goroutine.
	MaxHalfOpen int
	Log         *slog.Logger // nil: slog.Default
}

// Errors of an offer. ErrVideoCodec and ErrAudioCodec come with a [*resource.Error]
// in the same tree.
var (
	ErrBusy       = errors.New("too many sessions wait for their clients")
	ErrVideoCodec = errors.New("no video codec in common: H.264 is needed")
	ErrAudioCodec = errors.New("no audio codec in common: Opus is needed")
)

const (
	// connectWithin is how long a client has from the answer to the end of DTLS.
	connectWithin = 15 * time.Second
	// lostAfter is how long a client may be silent. Every one that is there sends
	// something more often: browsers a check each 2.5 s, others one each 5 s, and
	// receiver reports in between. It is also the time a phone has to find another
	// network and restart ICE; later it comes back with a new offer, which is as quick.
	lostAfter = 10 * time.Second
	// maxDatagram is more than any packet that a path with an MTU of 1500 brings.
	maxDatagram = 2048
	// lookupEvery is how often the names and addresses of the hosts are looked up.
	lookupEvery = time.Minute
)

// Engine has the sessions of every publisher and subscriber. It is ICE-lite, on one
// UDP socket and one TCP listener, and always the DTLS server. What goes on per
// packet is its own; pion brings STUN's and RTCP's formats, DTLS and SRTP.
type Engine struct {
	log         *slog.Logger
	udp         udpConn
	tcp         net.Listener
	hosts       hosts
	candidates  atomic.Pointer[string] // lines of SDP
	certificate certificate
	maxHalfOpen int
	running     sync.WaitGroup // of sessions

	mu       sync.RWMutex // guards the rest, and iceState
	closed   bool
	sessions map[*Session]struct{}
	halfOpen int
	byUfrag  map[string]*Session
	byPath   map[path]*Session
}

// udpConn is the part of *net.UDPConn that makes no garbage.
type udpConn interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	SetReadDeadline(t time.Time) error
	io.Closer
}

// New makes an Engine, with a certificate for its lifetime. It answers offers at
// once; media flows while Run runs.
func New(cfg Config) (*Engine, error) {
	udp, ok := cfg.UDP.(udpConn)
	if !ok {
		return nil, fmt.Errorf("make the WebRTC engine: a %T is no UDP socket", cfg.UDP)
	}
	cert, err := newCertificate()
	if err != nil {
		return nil, fmt.Errorf("make a certificate for DTLS: %w", err)
	}
	bound, err := netip.ParseAddrPort(cfg.UDP.LocalAddr().String())
	if err != nil {
		return nil, fmt.Errorf("read the address of the UDP socket: %w", err)
	}
	e := &Engine{
		log: cfg.Log, udp: udp, tcp: cfg.TCP, certificate: cert, maxHalfOpen: cfg.MaxHalfOpen,
		hosts: hosts{
			names: cfg.Hosts, udpPort: bound.Port(), udpAddr: bound.Addr(), interfaceAddr: net.InterfaceAddrs,
		},
		sessions: map[*Session]struct{}{},
		byUfrag:  map[string]*Session{},
		byPath:   map[path]*Session{},
	}
	if e.log == nil {
		e.log = slog.Default()
	}
	if e.maxHalfOpen == 0 {
		e.maxHalfOpen = 4096
	}
	if e.tcp != nil {
		addr, err := netip.ParseAddrPort(e.tcp.Addr().String())
		if err != nil {
			return nil, fmt.Errorf("read the address of the TCP listener: %w", err)
		}
		e.hosts.tcpPort = addr.Port()
	}
	// A burst, a key frame for everyone, is longer than the kernel's usual 208 KB. What
	// net.core.rmem_max and wmem_max do not allow it cuts silently.
	if buffers, ok := cfg.UDP.(*net.UDPConn); ok {
		_ = buffers.SetReadBuffer(4 << 20)
		_ = buffers.SetWriteBuffer(4 << 20)
	}
	return e, e.lookup(context.Background())
}

// lookup refreshes what clients are told about where the server is.
func (e *Engine) lookup(ctx context.Context) error {
	addrs, err := e.hosts.lookup(ctx)
	if err != nil {
		return err
	}
	lines := e.hosts.candidates(addrs)
	e.candidates.Store(&lines)
	return nil
}

// Run serves the network until ctx ends, then closes every session with [ErrStopped]
// and, when all have ended, the sockets.
func (e *Engine) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var readers sync.WaitGroup
	var udpErr, tcpErr error
	readers.Go(func() { defer cancel(); udpErr = e.readUDP(ctx) })
	readers.Go(func() { e.watch(ctx) })
	if e.tcp != nil {
		readers.Go(func() { defer cancel(); tcpErr = e.serveTCP(ctx, e.tcp) })
	}
	<-ctx.Done()

	e.mu.Lock()
	e.closed = true
	all := slices.Collect(maps.Keys(e.sessions))
	e.mu.Unlock()
	for _, s := range all {
		s.Close(ErrStopped)
	}
	_ = e.udp.SetReadDeadline(time.Now())
	if e.tcp != nil {
		_ = e.tcp.Close()
	}
	readers.Wait() // nobody begins a handshake any more
	e.running.Wait()
	return errors.Join(udpErr, tcpErr, e.udp.Close())
}

// readUDP reads the UDP socket until ctx ends.
func (e *Engine) readUDP(ctx context.Context) error {
	b := make([]byte, maxDatagram)
	for ctx.Err() == nil {
		n, from, err := e.udp.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("read media: %w", err)
		}
		if err == nil { // else it is about one packet that was sent, or the end of ctx
			e.packet(path{addr: netip.AddrPortFrom(from.Addr().Unmap(), from.Port())}, b[:n], time.Now())
		}
	}
	return nil
}

// packet takes what came on a path. Its first byte says what it is (RFC 7983 §7).
func (e *Engine) packet(from path, b []byte, now time.Time) {
	if len(b) == 0 {
		return
	}
	if b[0] < 4 {
		e.check(from, b, now)
		return
	}
	s := e.sessionOn(from)
	switch {
	case s == nil:
	case b[0] >= 20 && b[0] < 64:
		s.dtls.receive(b)
	case b[0] >= 128 && b[0] < 192:
		s.receive(b, now)
	}
}

// send sends on a path. What cannot be sent is lost, as on any network.
func (e *Engine) send(to path, b []byte) {
	if to.tcp != nil {
		if !to.tcp.send(b) {
			metrics.RTCDropped.Inc()
		}
		return
	}
	if _, err := e.udp.WriteToUDPAddrPort(b, to.addr); err != nil {
		metrics.RTCDropped.Inc()
	}
}

// watch ends sessions whose clients are gone, and looks up the hosts, until ctx ends.
func (e *Engine) watch(ctx context.Context) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	looked := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-second.C:
			e.sweep(now)
			if now.Sub(looked) >= lookupEvery {
				looked = now
				if err := e.lookup(ctx); err != nil && ctx.Err() == nil {
					e.log.Warn("look up the addresses for clients; the old ones stay", "err", err)
				}
			}
		}
	}
}

// sweep ends the sessions whose clients have not connected in time, or are silent.
func (e *Engine) sweep(now time.Time) {
	e.mu.RLock()
	var never, lost []*Session
	for s := range e.sessions {
		switch {
		case s.halfOpen && now.Sub(s.begun) > connectWithin:
			never = append(never, s)
		case !s.halfOpen && s.silent(now) > lostAfter:
			lost = append(lost, s)
		}
	}
	e.mu.RUnlock()
	for _, s := range never {
		s.Close(ErrNeverConnected)
	}
	for _, s := range lost {
		s.Close(ErrLost)
	}
}

// register takes up a session, until it ends.
func (e *Engine) register(s *Session) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.halfOpen >= e.maxHalfOpen {
		return ErrBusy
	}
	s.halfOpen = true
	e.halfOpen++
	e.sessions[s] = struct{}{}
	e.byUfrag[s.ice.present.local.ufrag] = s
	metrics.RTCHalfOpen.Set(float64(e.halfOpen))
	metrics.RTCSessions.WithLabelValues(s.kind).Inc()
	return nil
}

// connected notes that a session is no longer half open.
func (e *Engine) connected(s *Session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s.halfOpen {
		s.halfOpen = false
		e.halfOpen--
		metrics.RTCHalfOpen.Set(float64(e.halfOpen))
	}
}

// unregister forgets a session: nothing that comes reaches it any more.
func (e *Engine) unregister(s *Session) {
	e.connected(s)
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.sessions, s)
	metrics.RTCSessions.WithLabelValues(s.kind).Dec()
	delete(e.byUfrag, s.ice.present.local.ufrag)
	delete(e.byUfrag, s.ice.former.local.ufrag)
	for _, p := range slices.Clone(s.ice.paths) {
		e.forget(s, p)
	}
}
