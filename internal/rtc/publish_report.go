package rtc

import (
	"slices"
	"time"

	"github.com/pion/rtcp"
)

// How often a publisher is told what came.
const (
	reportTick     = 50 * time.Millisecond
	arrivalsEvery  = 2  // ticks: transport-wide feedback, 10 a second
	receptionEvery = 20 // ticks: a receiver report, 1 a second
)

// report tells the client what came, until the session ends: receiver reports (RFC
// 3550 §6.4.2), transport-wide feedback, by which it finds its bitrate, and what is
// still missing.
func (p *publication) report() {
	ticks := time.NewTicker(reportTick)
	defer ticks.Stop()
	for n := 1; ; n++ {
		select {
		case <-p.session.ctx.Done():
			return
		case now := <-ticks.C:
			p.session.in.mu.Lock()
			var packets []rtcp.Packet
			if n%receptionEvery == 0 {
				packets = append(packets, p.receptions(now))
			}
			if n%arrivalsEvery == 0 && p.arrivals != nil {
				packets = append(packets, p.arrivals.BuildFeedbackPacket()...)
			}
			for _, st := range p.tracks {
				p.ask(st, now)
			}
			p.session.in.mu.Unlock()
			if len(packets) > 0 {
				_, _ = p.session.writeRTCP(packets)
			}
		}
	}
}

// receptions is the receiver report about every stream.
func (p *publication) receptions(now time.Time) *rtcp.ReceiverReport {
	rr := &rtcp.ReceiverReport{SSRC: p.ssrc}
	for _, st := range p.tracks {
		rr.Reports = append(rr.Reports, st.reception.report(now))
	}
	return rr
}

// ask asks the client for what is missing (NACK, RFC 4585 §6.2.1), where it can be
// asked: most keep no sound.
func (p *publication) ask(st *track, now time.Time) {
	if !st.nack {
		return
	}
	if numbers := st.reception.ask(now, p.source.waits()); len(numbers) > 0 {
		_, _ = p.session.writeRTCP([]rtcp.Packet{&rtcp.TransportLayerNack{
			SenderSSRC: p.ssrc, MediaSSRC: st.reception.ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(numbers),
		}})
	}
}

// reception counts the packets of one SSRC (RFC 3550 appendix A.3, A.8), and knows
// which are missing.
type reception struct {
	ssrc  uint32
	clock int // Hz

	sequence sequence
	received uint32    // since the sequence began or leapt, each once
	missing  []missing // in order

	expectedBefore, receivedBefore uint32 // at the last report
	jitter                         float64
	transit                        float64 // of the last packet, in ticks of the clock
	lastReport                     uint32  // the middle of its NTP time stamp; 0: none yet
	lastReportAt                   time.Time
}

// missing is a packet that did not come.
type missing struct {
	number uint64
	since  time.Time
	asked  time.Time
}

const (
	maxMissing = 256 // beyond, pictures are past repair: a key frame is asked for
	// A packet is asked for again when it has not come within askEvery, and given up
	// when subscribers would not wait for it either. Readers wait longer: until then
	// what is asked for last can still come.
	askEvery   = 100 * time.Millisecond
	askFor     = time.Second
	askForRead = Patience - 500*time.Millisecond
)

// receive counts a packet. It reports whether others are missing before it that were
// not known to be.
func (r *reception) receive(seq uint16, timestamp uint32, now time.Time) (gap bool) {
	begun, before := r.sequence.begun, r.sequence.highest
	number, restarted, ok := r.sequence.next(seq)
	switch {
	case !ok:
		return false // of another stream, or the first of one that began anew
	case !begun || restarted:
		*r = reception{
			ssrc: r.ssrc, clock: r.clock, sequence: r.sequence, received: 1,
			transit:    r.arrival(now) - float64(timestamp),
			lastReport: r.lastReport, lastReportAt: r.lastReportAt,
		}
		return false
	case number <= before:
		i := slices.IndexFunc(r.missing, func(m missing) bool { return m.number == number })
		if i >= 0 {
			r.missing = slices.Delete(r.missing, i, i+1)
			r.received++
		}
		return false // a repair, late, or there already
	}
	r.received++
	for n := before + 1; n < number; n++ {
		r.missing = append(r.missing, missing{number: n, since: now})
	}
	if len(r.missing) > maxMissing {
		r.missing = slices.Delete(r.missing, 0, len(r.missing)-maxMissing)
	}
	transit := r.arrival(now) - float64(timestamp)
	if d := transit - r.transit; d > -1e6 && d < 1e6 { // else a time stamp wrapped
		r.jitter += (max(d, -d) - r.jitter) / 16
	}
	r.transit = transit
	return number > before+1
}

// arrival is an instant on the stream's clock.
func (r *reception) arrival(now time.Time) float64 {
	return float64(now.UnixMicro()%1e12) * float64(r.clock) / 1e6
}

// ask says which packets are to be asked for now: those that are missing no longer
// than since.
func (r *reception) ask(now time.Time, since time.Duration) (numbers []uint16) {
	r.missing = slices.DeleteFunc(r.missing, func(m missing) bool { return now.Sub(m.since) > since })
	for i := range r.missing {
		if m := &r.missing[i]; now.Sub(m.asked) >= askEvery {
			m.asked = now
			numbers = append(numbers, uint16(m.number))
		}
	}
	return numbers
}

// reported notes the client's sender report.
func (r *reception) reported(sr *rtcp.SenderReport, now time.Time) {
	r.lastReport, r.lastReportAt = uint32(sr.NTPTime>>16), now
}

// report is what a receiver report says of the stream.
func (r *reception) report(now time.Time) rtcp.ReceptionReport {
	highest, expected := r.sequence.span()
	expectedNow, receivedNow := expected-r.expectedBefore, r.received-r.receivedBefore
	r.expectedBefore, r.receivedBefore = expected, r.received
	report := rtcp.ReceptionReport{
		SSRC: r.ssrc, LastSequenceNumber: highest, Jitter: uint32(r.jitter),
		LastSenderReport: r.lastReport,
	}
	if expectedNow > receivedNow {
		report.FractionLost = uint8(min(255, (expectedNow-receivedNow)<<8/expectedNow))
	}
	if expected > r.received {
		report.TotalLost = min(expected-r.received, 1<<23-1)
	}
	if r.lastReport != 0 {
		report.Delay = uint32(now.Sub(r.lastReportAt) * 65536 / time.Second)
	}
	return report
}
