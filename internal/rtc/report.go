package rtc

import (
	"slices"
	"time"

	"github.com/pion/rtcp"
)

// reference says which time stamp belongs to which instant of the publisher's clock,
// as its last sender report told: subscribers keep sound and pictures in step by it.
type reference struct {
	ntp       uint64 // of the publisher's clock (RFC 3550 §4)
	timestamp uint32
	at        time.Time // when it was told; zero: never
}

// clockRates are ticks of time stamps a second.
var clockRates = [kinds]int64{audio: 48000, video: 90000}

// ticks counts a duration in time stamps; they wrap.
func ticks(d time.Duration, kind kind) uint32 {
	whole, rest := int64(d/time.Second), int64(d%time.Second)
	return uint32(whole*clockRates[kind] + rest*clockRates[kind]/int64(time.Second))
}

// ntpTicks counts a duration in 1/2³² s.
func ntpTicks(d time.Duration) uint64 {
	return uint64(d/time.Second)<<32 + uint64(d%time.Second)<<32/uint64(time.Second)
}

// reportInterval is the least time between two reports to a subscriber, whatever the
// publisher sends.
const reportInterval = 250 * time.Millisecond

// report takes a publisher's sender report about a layer. If that layer's turn it is,
// the pumps send each subscriber one of its own, with the lane's time stamps.
func (l *lane) report(from *layer, sr *rtcp.SenderReport) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if from.closed {
		return
	}
	from.ref = reference{sr.NTPTime, sr.RTPTime, now}
	if from == l.current && now.Sub(l.reported) >= reportInterval {
		l.reported = now
		l.reports++
		l.wake.Broadcast()
	}
}

// reference is that of the layer whose turn it is, in the lane's time stamps; zero
// when there is none. mu is held.
func (l *lane) reference() reference {
	if l.current == nil {
		return reference{}
	}
	return l.current.turn.reference()
}

// reference is that of the turn's layer, in the lane's time stamps. The lane's mutex is
// held.
func (t *turn) reference() reference {
	ref := t.layer.ref
	ref.timestamp += t.shift
	return ref
}

// report sends a sender report (RFC 3550 §6.4.1) that tells of this instant: unless
// nothing was sent, for who has sent nothing is no sender (§6.4). On its pump.
func (sn *sender) report(ref reference) {
	if sn.packets.Load() == 0 {
		return
	}
	now := time.Now()
	passed := now.Sub(ref.at)
	sr := &rtcp.SenderReport{
		SSRC:        sn.out.ssrc,
		NTPTime:     ref.ntp + ntpTicks(passed),
		RTPTime:     ref.timestamp + ticks(passed, sn.out.kind),
		PacketCount: uint32(sn.packets.Load()),
		OctetCount:  uint32(sn.bytes.Load()),
	}
	sn.told = true
	sn.mu.Lock()
	copy(sn.reports[1:], sn.reports[:])
	sn.reports[0] = sentReport{uint32(sr.NTPTime >> 16), now}
	sn.mu.Unlock()
	sn.writeRTCP(sr)
}

// sentReport remembers a report for the round-trip time.
type sentReport struct {
	middle uint32 // the middle 32 bits of its NTP time
	at     time.Time
}

// received takes a receiver's report about the sender's SSRC. mu is held.
func (sn *sender) received(r rtcp.ReceptionReport, now time.Time) {
	sn.lost = uint64(r.TotalLost)
	if r.TotalLost >= 1<<23 { // 24 bits with a sign: below 0 where packets came twice
		sn.lost = 0
	}
	sn.fractionLost = float64(r.FractionLost) / 256
	i := slices.IndexFunc(sn.reports[:], func(s sentReport) bool { return !s.at.IsZero() && s.middle == r.LastSenderReport })
	if i < 0 || r.LastSenderReport == 0 {
		return
	}
	delay := time.Duration(r.Delay) * time.Second / (1 << 16)
	if roundTrip := now.Sub(sn.reports[i].at) - delay; roundTrip > 0 {
		sn.roundTrip = roundTrip
	}
}
