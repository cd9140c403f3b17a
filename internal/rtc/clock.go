package rtc

import "time"

// clock tells when what one connection of a publisher sends was captured, on the
// server's clock.
//
//	time stamp → sender's clock, by sender reports ─┐ offset, one for
//	         arrival, until there are reports ──────┴ both lanes → server's clock
//
// The quickest packets of the last seconds say how far the two clocks are apart: jitter
// only ever makes packets late. What is left in the result is the least time that the
// network takes. Instants are counted from the reader's origin.
type clock struct {
	connection uint64
	stretches  [kinds]*stretch // the newest of each lane

	known        bool
	offset       time.Duration // the server's clock less the sender's
	begun, moved time.Duration // when offset became known, when it was last moved
}

const (
	// firstLook is how long a stretch of time stamps without a report is looked at
	// before times are told: a single packet may be late by all of the jitter.
	firstLook = 500 * time.Millisecond
	// The offset follows the quickest packets by 1 ms a second, five times what
	// crystals drift: a network that is slow for a while does not move it. In its
	// first seconds, when all packets may have been late, it follows quicker ones by
	// 5 %.
	followBy, youngBy = 1000, 20
	youngFor          = 10 * time.Second
	// slewFor is how long a stretch takes to go most of the way to the times that a
	// report has told, by slewBy at most. What is off by maxSlew leaps.
	slewFor, slewBy = 2 * time.Second, 20
	maxSlew         = 250 * time.Millisecond
	// maxStep is how far one report may be from what the one before foretold. Beyond,
	// the sender has set its clock.
	maxStep = 500 * time.Millisecond
	// stampBreak is how far time stamps may fall behind after a silence as long, and
	// Patience without one. Beyond, they stood still or leapt.
	stampBreak = time.Second
	// maxDelay is how far from its arrival a frame may have been captured. A report that
	// claims more is not believed.
	maxDelay = 10 * time.Second
)

// follow moves the offset towards what the reports and the packets of both lanes say: of
// those that still come, for clocks drift.
func (c *clock) follow(now time.Duration) {
	var seen time.Duration
	some := false
	for _, s := range c.stretches {
		if s != nil && s.told && now-s.heard < 2*leastOver && (!some || s.least.of()-s.sender < seen) {
			seen, some = s.least.of()-s.sender, true
		}
	}
	switch {
	case !some:
		c.known = false
	case !c.known:
		c.known, c.offset, c.begun = true, seen, now
	default:
		up := passed(c.moved, now) / followBy
		down := up
		if now-c.begun < youngFor {
			down = passed(c.moved, now) / youngBy
		}
		c.offset += min(max(seen-c.offset, -down), up)
	}
	c.moved = max(c.moved, now)
}

// stretch is a part of a lane in which time stamps go on by the publisher's clock: a
// layer's turn, or what came after its time stamps stood still.
type stretch struct {
	clock *clock
	kind  kind
	turn  *turn
	first uint64 // packet

	stamp uint32        // the newest
	ticks int64         // the same without wraps
	heard time.Duration // when it came
	least least         // of what packets are late: arrival less time stamp

	told   bool          // by a report
	sender time.Duration // the sender's clock less the time stamp
	report time.Time     // when the last report came
	since  time.Time     // earlier reports are of no use

	base  time.Duration // the server's clock less the time stamp, as it is told
	moved time.Duration
	free  time.Duration // until then times are not told yet
}

// newStretch begins a stretch with a packet, and what the layer's last report was.
func (c *clock) newStretch(kind kind, p *packet, ref reference, since, origin time.Time) *stretch {
	now := p.arrived.Sub(origin)
	s := &stretch{clock: c, kind: kind, turn: p.turn, stamp: p.timestamp, heard: now, since: since}
	s.least.begin(now, now)
	c.stretches[kind] = s
	s.moved, s.free = now, now
	if s.reported(ref); !s.told {
		s.free = now + firstLook
	}
	c.follow(now)
	s.base = s.target()
	return s
}

// own is a time stamp as a duration.
func (s *stretch) own(stamp uint32) time.Duration {
	n := s.ticks + int64(int32(stamp-s.stamp))
	rate := clockRates[s.kind]
	return time.Duration(n/rate)*time.Second + time.Duration(n%rate)*time.Second/time.Duration(rate)
}

// broken tells whether the time stamps went on, before a packet, other than the
// publisher's clock did: they stood still while nothing was sent, or leapt. A network
// that stood still looks the same at first: see firstLook. After a long silence nobody
// knows how far the clocks have drifted apart.
func (s *stretch) broken(p *packet, now time.Duration) bool {
	own := s.own(p.timestamp)
	late, early := now-own-s.least.of(), s.base+own-now
	silent := now - s.heard
	return silent > 2*leastOver || late > stampBreak && silent > stampBreak || late > Patience || early > stampBreak && now > s.free
}

// arrived takes note of the packet with the highest number yet.
func (s *stretch) arrived(p *packet, ref reference, origin time.Time) {
	now := p.arrived.Sub(origin)
	s.least.add(now-s.own(p.timestamp), now)
	if ahead := int32(p.timestamp - s.stamp); ahead > 0 {
		s.stamp, s.ticks = p.timestamp, s.ticks+int64(ahead)
	}
	s.heard = now
	s.reported(ref)
	s.clock.follow(now)

	off, passed := s.target()-s.base, passed(s.moved, now)
	s.moved = max(s.moved, now)
	if now <= s.free || off > maxSlew || off < -maxSlew {
		s.base += off
		return
	}
	by := time.Duration(float64(off) * min(1, float64(passed)/float64(slewFor)))
	s.base += min(max(by, -passed/slewBy), passed/slewBy)
}

// passed is the time for which something may be moved: after a silence there is only
// one packet to go by.
func passed(since, now time.Duration) time.Duration { return min(max(0, now-since), time.Second) }

// target is where base is to go.
func (s *stretch) target() time.Duration {
	if s.told && s.clock.known {
		return s.clock.offset + s.sender
	}
	return s.least.of()
}

// reported takes the newest report on the layer, in the lane's time stamps, unless it
// has been taken.
func (s *stretch) reported(ref reference) {
	if ref.ntp == 0 || !ref.at.After(s.since) || ref.at.Equal(s.report) {
		return
	}
	s.report = ref.at
	sender := ntpDuration(ref.ntp) - s.own(ref.timestamp)
	if step := sender - s.sender; s.told && (step > maxStep || step < -maxStep) {
		s.clock.known = false
		s.least.begin(s.heard-s.own(s.stamp), s.heard) // or it was the time stamps that stood still
		for _, other := range s.clock.stretches {
			if other != nil && other != s {
				other.told, other.since = false, ref.at
			}
		}
	}
	s.told, s.sender = true, sender
	if d := s.clock.offset + sender - s.least.of(); s.clock.known && (d > maxDelay || d < -maxDelay) {
		s.told = false // the lanes do not tell of one clock
	}
}

// time is when what a time stamp names was captured.
func (s *stretch) time(stamp uint32, origin time.Time) time.Time {
	return origin.Add(s.base + s.own(stamp))
}

// ntpDuration is the time since the era began (RFC 3550 §4).
func ntpDuration(ntp uint64) time.Duration {
	return time.Duration(ntp>>32)*time.Second + time.Duration(ntp&0xffffffff*uint64(time.Second)>>32)
}

// least is the smallest of the values of the last 5 to 10 seconds.
type least struct {
	now, before time.Duration
	since       time.Duration
}

const leastOver = 5 * time.Second

func (l *least) begin(value, at time.Duration) {
	l.now, l.before, l.since = value, value, at
}

func (l *least) add(value, at time.Duration) {
	switch passed := at - l.since; {
	case passed >= 2*leastOver:
		l.begin(value, at)
	case passed >= leastOver:
		l.now, l.before, l.since = value, l.now, at
	default:
		l.now = min(l.now, value)
	}
}

func (l *least) of() time.Duration { return min(l.now, l.before) }
