package rtc

import (
	"errors"
	"fmt"

	"github.com/pion/rtp"
)

// maxPacket is how long an RTP packet may be, in bytes: what fits into Ethernet.
// It bounds what a cache holds.
const maxPacket = 1500

var errPacket = errors.New("not an RTP packet of version 2 and 1500 bytes at most")

// parse reads an RTP packet (RFC 3550 §5.1) without copying: p's payload and
// extensions are parts of b. What p has from an earlier packet is reused.
func parse(p *rtp.Packet, b []byte) error {
	if len(b) > maxPacket || len(b) < 12 || b[0]>>6 != 2 {
		return errPacket
	}
	if err := p.Unmarshal(b); err != nil {
		return fmt.Errorf("parse RTP packet: %w", err)
	}
	return nil
}

// maxDropout is how far sequence numbers may leap within one stream (RFC 3550 §A.1).
const maxDropout = 3000

// sequence gives the packets of one stream numbers without wraps, by RFC 3550 §A.1.
type sequence struct {
	begun    bool
	base     uint64 // the first number, since the stream began or leapt
	highest  uint64
	received uint64 // since base
	lost     uint64 // before base

	leapt bool
	after uint16 // the one that follows the packet that leapt
}

// next is the number of the packet with sequence number seq. It reports restarted
// where the stream leapt: its numbers follow all before. One packet that is far off
// belongs to nothing; two in a row are where the stream goes on.
func (s *sequence) next(seq uint16) (number uint64, restarted, ok bool) {
	if !s.begun {
		s.begun = true
		s.base = 1<<16 + uint64(seq)
		s.highest = s.base
		s.received = 1
		return s.base, false, true
	}
	distance := int64(int16(seq - uint16(s.highest)))
	if distance > maxDropout || distance < -maxDropout {
		if !s.leapt || seq != s.after {
			s.leapt, s.after = true, seq+1
			return 0, false, false
		}
		s.lost = s.missing()
		s.highest += 1 << 16
		s.highest += uint64(seq - uint16(s.highest))
		s.base, s.received, s.leapt = s.highest, 1, false
		return s.highest, true, true
	}
	s.leapt = false
	number = s.highest + uint64(distance)
	s.highest = max(s.highest, number)
	s.received++
	return number, false, true
}

// span is the highest number, with the wraps since the stream began or leapt, and how
// many packets there are up to it: what receiver reports tell (RFC 3550 §A.3).
func (s *sequence) span() (highest, expected uint32) {
	if !s.begun {
		return 0, 0
	}
	return uint32(s.highest - s.base&^0xffff), uint32(s.highest - s.base + 1)
}

// missing is how many packets have never come.
func (s *sequence) missing() uint64 {
	if !s.begun {
		return 0
	}
	expected := s.highest - s.base + 1
	return s.lost + expected - min(expected, s.received)
}

// maxCuts is how many gaps of a stream's numbers are kept in mind.
const maxCuts = 8

// renumbering maps the numbers of one stream to those of its lane. Runs of numbers
// are cut out of it: all before the stream's turn began, and padding, so that
// subscribers do not miss what there is no need to send.
type renumbering struct {
	cuts [maxCuts]cut // the newest is cuts[n-1]
	n    int
}

// cut tells that numbers from first to before end have none on the lane; those from
// end on are moved by delta.
type cut struct{ first, end, delta uint64 }

// begin gives number the number target; all before it have none.
func (r *renumbering) begin(number, target uint64) {
	r.cuts[0], r.n = cut{0, number, target - number}, 1
}

// drop cuts out one number, higher than all that were mapped.
func (r *renumbering) drop(number uint64) {
	last := &r.cuts[r.n-1]
	if last.end > number {
		return // again
	}
	if last.end == number {
		last.end++
		last.delta--
		return
	}
	if r.n == maxCuts {
		copy(r.cuts[:], r.cuts[1:])
		r.n--
	}
	r.cuts[r.n] = cut{number, number + 1, r.cuts[r.n-1].delta - 1}
	r.n++
}

// of is the lane's number; false for what was cut out, or is older than the cuts that
// are still known.
func (r *renumbering) of(number uint64) (uint64, bool) {
	for i := r.n - 1; i >= 0; i-- {
		if c := r.cuts[i]; number >= c.end {
			return number + c.delta, true
		} else if number >= c.first {
			return 0, false
		}
	}
	return 0, false
}
