package rtc

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
)

// A Source is what one participant publishes, as its subscribers see it: a lane of
// sound and a lane of pictures. It outlives the publisher's connections: whoever
// comes back goes on with the numbering of packets, and the subscriptions stay.
//
//	layer.write → lane: numbers, cache → pumps → sender, once for each subscriber
//
// Payloads are not touched. They are copied once, into the cache of their lane, from
// which they are sent to everyone, and sent again to who asks.
type Source struct {
	lanes [kinds]*lane

	mu          sync.Mutex
	generations uint64      // connections so far
	ended       uint64      // the newest of them that has ended
	negotiated  [kinds]bool // what the newest may send
	readers     atomic.Int32
}

// NewSource returns a source that nobody publishes yet. Who made it calls Close.
func NewSource() *Source {
	return &Source{lanes: [kinds]*lane{audio: newLane(audio), video: newLane(video)}}
}

// Close ends what is left of senders, tells subscribers so (BYE, RFC 3550 §6.6), and
// waits for what the source has running. Nothing comes in or goes out any more.
func (s *Source) Close() {
	for _, l := range s.lanes {
		l.close()
	}
}

// Media tells what is published, or has been since the source was made.
func (s *Source) Media() (audio, video bool) {
	return s.lanes[0].hasMedia(), s.lanes[1].hasMedia()
}

// Connections is how many connections have published so far: the next has a higher
// number ([Frame]).
func (s *Source) Connections() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generations
}

// kind is a kind of media: a lane of a source.
type kind uint8

// The lanes of a source.
const (
	audio kind = iota // Opus, 48 kHz
	video             // H.264, 90 kHz
	kinds
)

// extensionIDs are the ids of RTP header extensions (RFC 8285) that one side
// negotiated, 1 to 14; 0 is not negotiated. Every other extension is dropped.
type extensionIDs struct {
	mid         uint8 // urn:ietf:params:rtp-hdrext:sdes:mid
	audioLevel  uint8 // urn:ietf:params:rtp-hdrext:ssrc-audio-level
	orientation uint8 // urn:3gpp:video-orientation
}

// upstream is one connection that publishes. Its layers replace those of the one
// before as soon as subscribers can go over: sound at once, pictures at a key frame.
type upstream struct {
	source     *Source
	generation uint64
	limits     Limits
	feedback   func([]rtcp.Packet) error
	exceeded   func(error)
	begun      chan struct{}

	mu     sync.Mutex // guards the rest
	layers []*layer
	flows  bool
	broke  bool // a limit
	bits   meter
}

// inbound is one stream of RTP packets of a connection that publishes.
type inbound struct {
	kind       kind
	rid        string // which simulcast layer (RFC 8851); "" when there is one
	ssrc       uint32
	extensions extensionIDs
}

// Negotiated tells what the newest connection may send.
func (s *Source) Negotiated() (sound, pictures bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.negotiated[audio], s.negotiated[video]
}

// connect tells of a new connection that publishes, and what it may send. Feedback for the publisher goes
// to feedback. When the connection breaks a limit, exceeded is told ErrBitrate or
// ErrResolution, once, on the goroutine of layer.write: it must not wait for that to
// end.
func (s *Source) connect(limits Limits, negotiated [kinds]bool, feedback func([]rtcp.Packet) error, exceeded func(error)) *upstream {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generations++
	s.negotiated = negotiated
	return &upstream{
		source: s, generation: s.generations, limits: limits,
		feedback: feedback, exceeded: exceeded, begun: make(chan struct{}),
	}
}

// attach adds one stream of the connection, when its SSRC is known. Only packets of
// the codec that was negotiated may be written to it.
func (u *upstream) attach(in inbound) *layer {
	l := &layer{up: u, lane: u.source.lanes[in.kind], in: in}
	u.mu.Lock()
	u.layers = append(u.layers, l)
	u.mu.Unlock()
	l.lane.mu.Lock()
	defer l.lane.mu.Unlock()
	if l.closed = l.lane.closed; !l.closed {
		l.lane.layers = append(l.lane.layers, l)
	}
	return l
}

// detach forgets a layer that has ended.
func (u *upstream) detach(l *layer) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.layers = slices.DeleteFunc(u.layers, func(other *layer) bool { return other == l })
}

// flowing is closed once the first packet of media came.
func (u *upstream) flowing() <-chan struct{} { return u.begun }

// received counts what came, and holds it against the limit.
func (u *upstream) received(bytes int, now time.Time) {
	u.mu.Lock()
	if !u.flows && bytes > 0 {
		u.flows = true
		close(u.begun)
	}
	exceeded := false
	if u.bits.add(8*bytes, now) && u.limits.Bitrate > 0 {
		_, sum := u.bits.rate(now)
		exceeded = sum > bitrateWindow*u.limits.Bitrate
	}
	u.mu.Unlock()
	if exceeded {
		u.exceed(ErrBitrate)
	}
}

// exceed tells of a broken limit, unless one was told before.
func (u *upstream) exceed(why error) {
	u.mu.Lock()
	told := u.broke
	u.broke = true
	u.mu.Unlock()
	if !told && u.exceeded != nil {
		u.exceeded(why)
	}
}

// close ends what is left of the connection's layers. A second close does nothing.
func (u *upstream) close() {
	u.mu.Lock()
	layers := u.layers
	u.layers = nil
	u.mu.Unlock()
	for _, l := range layers {
		l.close()
	}
	s := u.source
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = max(s.ended, u.generation)
}
