package rtc

import (
	"encoding/binary"
	"time"
)

// cache keeps the newest packets of a lane, once for all subscribers: to send them,
// and to send them again. Packets stand in it twice: in the order they came, which
// is the order they are sent in, and by their numbers, under which subscribers ask
// for them. A lane's mutex guards it; the packets themselves never change.
type cache struct {
	packets  int       // kept at most
	arrivals []*packet // that of arrival a is at a modulo packets; nil: none is kept
	numbers  []*packet // that of number n is at n modulo packets, if it is there
	tail     uint64    // nothing before this arrival is kept
	head     uint64    // the next arrival
	highest  uint64    // number, of all there were
	keyed    bool      // there was a key frame
	key      uint64    // the arrival at which the newest key frame began
}

// packet is one RTP packet as all subscribers of a source get it, but for its SSRC,
// payload type and the ids of header extensions.
type packet struct {
	turn        *turn
	arrived     time.Time
	number      uint64 // the sequence number, without wraps
	timestamp   uint32
	marker      bool
	key         bool  // a key frame's parameter set, or its first slice
	audioLevel  *byte // RFC 6464; nil: not told
	orientation *byte // 3GPP TS 26.114 §7.4.5; nil: not told

	// bytes are the sequence number and the payload: together the payload of a
	// retransmission (RFC 4588 §4).
	bytes []byte
}

func newCache(packets int) cache {
	return cache{packets: packets}
}

// clear lets go of all packets. Arrivals and numbers go on.
func (c *cache) clear() {
	c.arrivals, c.numbers, c.tail, c.keyed = nil, nil, c.head, false
}

// newPacket copies payload, for a packet that has no number yet.
func newPacket(payload []byte) *packet {
	p := &packet{bytes: make([]byte, 2+len(payload))}
	copy(p.bytes[2:], payload)
	return p
}

func (p *packet) payload() []byte { return p.bytes[2:] }

// add stores a packet under its number, unless it is there already or is older than
// what the cache keeps: then it reports false.
func (c *cache) add(p *packet, number uint64) bool {
	if number+uint64(c.packets) <= c.highest || c.at(number) != nil {
		return false
	}
	if c.arrivals == nil {
		c.arrivals, c.numbers = make([]*packet, c.packets), make([]*packet, c.packets)
	}
	p.number = number
	binary.BigEndian.PutUint16(p.bytes, uint16(number))
	c.highest = max(c.highest, number)
	c.numbers[number%uint64(len(c.numbers))] = p
	if p.key && (!c.keyed || c.first(c.key) == nil || c.first(c.key).timestamp != p.timestamp) {
		c.keyed, c.key = true, c.head
	}
	place := &c.arrivals[c.head%uint64(len(c.arrivals))]
	if old := *place; old != nil && c.at(old.number) == old {
		c.numbers[old.number%uint64(len(c.numbers))] = nil
	}
	*place = p
	c.head++
	return true
}

// at is the packet of a number; nil when the cache does not have it.
func (c *cache) at(number uint64) *packet {
	if c.numbers == nil {
		return nil
	}
	if p := c.numbers[number%uint64(len(c.numbers))]; p != nil && p.number == number {
		return p
	}
	return nil
}

// first is the packet of an arrival; nil when it is too old.
func (c *cache) first(arrival uint64) *packet {
	if arrival >= c.head || arrival < c.oldest() {
		return nil
	}
	return c.arrivals[arrival%uint64(len(c.arrivals))]
}

// oldest is the arrival of the oldest packet that is there.
func (c *cache) oldest() uint64 {
	return max(c.tail, c.head-min(c.head, uint64(c.packets)))
}

// near is the number whose low 16 bits are seq that lies nearest to the highest.
func (c *cache) near(seq uint16) uint64 {
	return c.highest + uint64(int64(int16(seq-uint16(c.highest))))
}

// since appends what came from an arrival on, up to another.
func (c *cache) since(packets []*packet, from, to uint64) []*packet {
	for a := max(from, c.oldest()); a < to; a++ {
		packets = append(packets, c.arrivals[a%uint64(len(c.arrivals))])
	}
	return packets
}
