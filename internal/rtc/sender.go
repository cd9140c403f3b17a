package rtc

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// outbound is one lane on its way to one subscriber.
type outbound struct {
	kind           kind
	ssrc           uint32
	payloadType    uint8
	rtxSSRC        uint32 // of RFC 4588; 0: lost packets are sent again as they were
	rtxPayloadType uint8
	mid            string // sent until the subscriber has reported the SSRC
	cname          string // of the participant (RFC 7022); "" is not told
	extensions     extensionIDs

	// write and writeRTCP may be called from several goroutines at once, keep neither
	// header nor payload, and do not wait for the subscriber: what cannot be sent is
	// lost, as on any network.
	write     func(header *rtp.Header, payload []byte) (int, error)
	writeRTCP func([]rtcp.Packet) (int, error)
}

// sender forwards one lane to one subscriber.
type sender struct {
	out  outbound
	lane *lane

	// The pump's own.
	header headers
	begun  bool // pictures begin with a key frame
	told   bool // the subscriber was sent a report

	closed                  atomic.Bool
	known                   atomic.Bool // the subscriber has reported the SSRC
	packets, bytes, skipped atomic.Uint64

	mu           sync.Mutex // guards the rest
	repairHeader headers
	repaired     uint64
	rtxSequence  uint16
	repairs      budget // bytes
	keyFrames    budget
	resent       []resend
	found        []*packet // reused
	reports      [4]sentReport
	lost         uint64
	fractionLost float64
	roundTrip    time.Duration
}

// senderStats counts what a subscriber was sent and what it says it got.
type senderStats struct {
	Packets, Bytes uint64        // payload; repairs not counted
	Repaired       uint64        // packets sent again
	Skipped        uint64        // packets left out because the server was too slow
	Lost           uint64        // as its last receiver report says
	FractionLost   float64       // 0 to 1, between its last two reports
	RoundTrip      time.Duration // 0: not known
}

// subscribe begins to forward a lane: once the subscriber's connection is there.
func (s *Source) subscribe(out outbound) *sender {
	sn := &sender{out: out, lane: s.lanes[out.kind], begun: out.kind == audio}
	sn.lane.join(sn)
	return sn
}

// skip tells that packets have been left out: pictures wait for a key frame again. On
// its pump.
func (sn *sender) skip(packets uint64) {
	sn.skipped.Add(packets)
	sn.begun = sn.out.kind == audio
}

// forward sends packets to the subscriber, unless pictures have to wait for a key
// frame. On its pump.
func (sn *sender) forward(packets []*packet) {
	if !sn.begun {
		key := slices.IndexFunc(packets, func(p *packet) bool { return p.key })
		if key < 0 {
			return
		}
		packets, sn.begun = packets[key:], true
	}
	known, sent := sn.known.Load(), 0
	for _, p := range packets {
		h := sn.header.of(p, &sn.out, known)
		h.SSRC, h.PayloadType, h.SequenceNumber = sn.out.ssrc, sn.out.payloadType, uint16(p.number)
		_, _ = sn.out.write(h, p.payload()) // what is lost the subscriber asks for
		sent += len(p.payload())
	}
	sn.packets.Add(uint64(len(packets)))
	sn.bytes.Add(uint64(sent))
}

// headers makes the header of one packet after the other, in the same place.
type headers struct {
	header rtp.Header
	values [2]byte
	mid    []byte
}

// of is the header of a packet, but for SSRC, payload type and sequence number.
func (hs *headers) of(p *packet, out *outbound, known bool) *rtp.Header {
	h := &hs.header
	h.Version, h.Marker, h.Timestamp = 2, p.marker, p.timestamp
	h.ClearExtensions()
	if id := out.extensions.audioLevel; id != 0 && p.audioLevel != nil {
		hs.values[0] = *p.audioLevel
		_ = h.SetExtension(id, hs.values[0:1])
	}
	if id := out.extensions.orientation; id != 0 && p.orientation != nil {
		hs.values[1] = *p.orientation
		_ = h.SetExtension(id, hs.values[1:2])
	}
	if id := out.extensions.mid; id != 0 && !known && out.mid != "" {
		if hs.mid == nil {
			hs.mid = []byte(out.mid)
		}
		_ = h.SetExtension(id, hs.mid)
	}
	return h
}

// feedback takes what the subscriber reports: NACK, PLI, FIR, receiver reports.
func (sn *sender) feedback(packets []rtcp.Packet) {
	now := time.Now()
	sn.mu.Lock()
	defer sn.mu.Unlock()
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.TransportLayerNack:
			if p.MediaSSRC == sn.out.ssrc {
				sn.repair(p.Nacks, now)
			}
		case *rtcp.PictureLossIndication:
			if p.MediaSSRC == sn.out.ssrc {
				sn.wantKeyFrame(now)
			}
		case *rtcp.FullIntraRequest: // of RFC 5104 §4.3.1: its own MediaSSRC is not used
			if slices.ContainsFunc(p.FIR, func(e rtcp.FIREntry) bool { return e.SSRC == sn.out.ssrc }) {
				sn.wantKeyFrame(now)
			}
		case *rtcp.ReceiverReport:
			sn.reported(p.Reports, now)
		case *rtcp.SenderReport:
			sn.reported(p.Reports, now)
		}
	}
}

func (sn *sender) reported(reports []rtcp.ReceptionReport, now time.Time) {
	for _, r := range reports {
		if r.SSRC == sn.out.ssrc {
			sn.known.Store(true)
			sn.received(r, now)
		}
	}
}

// wantKeyFrame asks for a key frame, but not as often as the subscriber likes: each
// one costs all the others bits.
func (sn *sender) wantKeyFrame(now time.Time) {
	if !sn.keyFrames.spend(1, keyFrameBudget, now) {
		return
	}
	sn.lane.mu.Lock()
	sn.lane.wantKeyFrame()
	sn.lane.mu.Unlock()
}

func (sn *sender) stats() senderStats {
	sn.mu.Lock()
	defer sn.mu.Unlock()
	return senderStats{
		Packets: sn.packets.Load(), Bytes: sn.bytes.Load(), Skipped: sn.skipped.Load(),
		Repaired: sn.repaired, Lost: sn.lost, FractionLost: sn.fractionLost, RoundTrip: sn.roundTrip,
	}
}

func (sn *sender) writeRTCP(packets ...rtcp.Packet) {
	if sn.out.cname != "" {
		packets = append(packets, rtcp.NewCNAMESourceDescription(sn.out.ssrc, sn.out.cname))
	}
	_, _ = sn.out.writeRTCP(packets) // nothing is lost with it that does not come again
}

// close ends forwarding, with a BYE (RFC 3550 §6.6) to the subscriber. It does not
// wait: a write that is under way may end after it. A second close does nothing.
func (sn *sender) close() {
	if sn.closed.Swap(true) {
		return
	}
	sn.lane.part(sn)
	sn.writeRTCP(&rtcp.Goodbye{Sources: []uint32{sn.out.ssrc}})
}
