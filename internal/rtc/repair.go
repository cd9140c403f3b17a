package rtc

import (
	"time"

	"github.com/pion/rtcp"
)

// Budgets of one subscriber: what it can make the server and the publisher do.
var (
	// repairBudget is in bytes: an eighth of the highest bitrate there is, and half a
	// second of all of it at once.
	repairBudget = allowance{depth: 512 << 10, refill: 256 << 10}
	// keyFrameBudget is in key frames.
	keyFrameBudget = allowance{depth: 4, refill: 0.5}
)

const (
	// A packet that was sent again is not sent once more before the subscriber can
	// have got it: the round-trip time, within these bounds.
	minResend, maxResend = 10 * time.Millisecond, 300 * time.Millisecond
	// unknownResend is for a round-trip time that is not known.
	unknownResend = 40 * time.Millisecond
	// maxResends is how many packets are kept in mind as sent again.
	maxResends = 512
)

// resend remembers when a packet was sent again.
type resend struct {
	number uint64
	at     time.Time
}

// repair sends again what the subscriber misses (NACK, RFC 4585 §6.2.1) and the
// cache has. mu is held.
func (sn *sender) repair(nacks []rtcp.NackPair, now time.Time) {
	wait := unknownResend
	if sn.roundTrip > 0 {
		wait = min(max(sn.roundTrip, minResend), maxResend)
	}
	if sn.resent == nil {
		sn.resent = make([]resend, maxResends)
	}
	sn.found = sn.found[:0]
	sn.lane.mu.Lock()
	for _, pair := range nacks {
		pair.Range(func(seq uint16) bool {
			number := sn.lane.cache.near(seq)
			p := sn.lane.cache.at(number)
			last := &sn.resent[number%maxResends]
			if p == nil || last.number == number && now.Sub(last.at) < wait {
				return true
			}
			if !sn.repairs.spend(float64(len(p.bytes)), repairBudget, now) {
				return false
			}
			*last = resend{number, now}
			sn.found = append(sn.found, p)
			return true
		})
	}
	sn.lane.mu.Unlock()

	known := sn.known.Load()
	for _, p := range sn.found {
		h := sn.repairHeader.of(p, &sn.out, known)
		if sn.out.rtxSSRC == 0 {
			h.SSRC, h.PayloadType, h.SequenceNumber = sn.out.ssrc, sn.out.payloadType, uint16(p.number)
			_, _ = sn.out.write(h, p.payload())
		} else {
			h.SSRC, h.PayloadType, h.SequenceNumber = sn.out.rtxSSRC, sn.out.rtxPayloadType, sn.rtxSequence
			_, _ = sn.out.write(h, p.bytes)
			sn.rtxSequence++
		}
	}
	sn.repaired += uint64(len(sn.found))
	clear(sn.found)
}

// allowance is how much may be spent at once, and per second.
type allowance struct{ depth, refill float64 }

// budget is what has been spent of an allowance. The zero budget is unspent.
type budget struct {
	spent float64
	at    time.Time
}

// spend takes n, if there is as much.
func (b *budget) spend(n float64, a allowance, now time.Time) bool {
	b.spent = max(0, b.spent-a.refill*now.Sub(b.at).Seconds())
	b.at = now
	if b.spent+n > a.depth {
		return false
	}
	b.spent += n
	return true
}
