package rtc

import (
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// srtpIn decrypts what comes (RFC 3711).
type srtpIn struct {
	mu     sync.Mutex // guards all; media.rtp and media.rtcp are called under it
	ctx    *srtp.Context
	over   bool // a handshake that ends later starts nothing
	header rtp.Header
	ssrcs  map[uint32]struct{} // whose packets were authentic: RTP and RTCP
}

// maxSources is how many SSRCs a client may use in a session: the context keeps
// something for each of them, for good. Simulcast has six, with RTX.
const maxSources = 64

func (in *srtpIn) start(ctx *srtp.Context) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.over {
		in.ctx, in.ssrcs = ctx, map[uint32]struct{}{}
	}
}

// stop lets nothing in any more, and waits for what is under way.
func (in *srtpIn) stop() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ctx, in.over = nil, true
}

// admits tells whether packets of an SSRC are decrypted. admitted notes that one was
// authentic.
func (in *srtpIn) admits(ssrc uint32) bool {
	_, known := in.ssrcs[ssrc]
	return known || len(in.ssrcs) < maxSources
}

func (in *srtpIn) admitted(ssrc uint32) {
	if _, known := in.ssrcs[ssrc]; !known {
		in.ssrcs[ssrc] = struct{}{}
	}
}

// receive takes a packet of SRTP or SRTCP, told apart by RFC 5761 §4. What is not
// authentic is dropped.
func (s *Session) receive(b []byte, now time.Time) {
	in := &s.in
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ctx == nil || len(b) < 12 {
		return
	}
	if b[1] >= 192 && b[1] <= 223 {
		ssrc := binary.BigEndian.Uint32(b[4:])
		if !in.admits(ssrc) {
			return
		}
		plain, err := in.ctx.DecryptRTCP(b[:0], b, nil)
		if err != nil {
			return
		}
		in.admitted(ssrc)
		s.heard(now)
		s.media.rtcp(parseRTCP(plain), now)
		return
	}
	if !in.admits(binary.BigEndian.Uint32(b[8:])) {
		return
	}
	plain, err := in.ctx.DecryptRTP(b[:0], b, &in.header)
	if err != nil {
		return
	}
	in.admitted(in.header.SSRC)
	s.heard(now)
	s.media.rtp(plain, now)
}

// srtpOut encrypts what goes out.
type srtpOut struct {
	mu     sync.Mutex // guards all
	ctx    *srtp.Context
	header rtp.Header
}

func (out *srtpOut) start(ctx *srtp.Context) {
	out.mu.Lock()
	defer out.mu.Unlock()
	out.ctx = ctx
}

// buffers are for packets on their way out. What SRTP adds is 20 bytes at most.
var buffers = sync.Pool{New: func() any { return new([maxDatagram]byte) }}

// write sends an RTP packet; it is dropped when the client's address is not known.
func (s *Session) write(header *rtp.Header, payload []byte) (int, error) {
	buffer := buffers.Get().(*[maxDatagram]byte)
	defer buffers.Put(buffer)
	n, err := header.MarshalTo(buffer[:])
	if err != nil {
		return 0, err
	}
	if n+len(payload)+32 > len(buffer) {
		return 0, errors.New("the packet is longer than any")
	}
	n += copy(buffer[n:], payload)
	to, out := s.path.Load(), &s.out
	out.mu.Lock()
	if out.ctx == nil || to == nil {
		out.mu.Unlock()
		return 0, nil
	}
	b, err := out.ctx.EncryptRTP(buffer[:0], buffer[:n], &out.header)
	out.mu.Unlock()
	if err != nil {
		return 0, err
	}
	s.engine.send(*to, b)
	return n, nil
}

// writeRTCP sends a compound packet, or a reduced one (RFC 5506): every client takes
// both.
func (s *Session) writeRTCP(packets []rtcp.Packet) (int, error) {
	plain, err := rtcp.Marshal(packets)
	if err != nil {
		return 0, err
	}
	to, out := s.path.Load(), &s.out
	out.mu.Lock()
	if out.ctx == nil || to == nil {
		out.mu.Unlock()
		return 0, nil
	}
	b, err := out.ctx.EncryptRTCP(nil, plain, nil)
	out.mu.Unlock()
	if err != nil {
		return 0, err
	}
	s.engine.send(*to, b)
	return len(plain), nil
}
