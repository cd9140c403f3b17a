package rtc

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// publication is a session whose media goes to a source. It puts repairs (RTX) back
// into their place, and tells the client what came and what did not.
type publication struct {
	session *Session
	source  *Source
	limits  Limits
	ssrc    uint32 // of what the client is told
	lanes   [kinds]*lanePlan
	running sync.WaitGroup // report

	// Guarded by the session's srtpIn.
	up        *upstream // once begun
	tracks    map[uint32]*track
	repairs   map[uint32]uint32 // RTX's SSRC → the SSRC it repairs
	arrivals  *twcc.Recorder    // nil: the client did not offer transport-wide feedback
	arrivalID uint8
	flows     bool
}

// track is one SSRC of a publisher that is forwarded.
type track struct {
	kind      kind
	rid       string
	nack      bool // what is missing may be asked for
	reception reception
	layer     *layer
}

func newPublication(s *Session, src *Source, limits Limits) *publication {
	p := &publication{
		session: s, source: src, limits: limits, ssrc: rand.Uint32(),
		tracks: map[uint32]*track{}, repairs: map[uint32]uint32{},
	}
	for i := range s.plan.lanes {
		l := &s.plan.lanes[i]
		p.lanes[l.kind] = l
		for repair, media := range l.repairs {
			p.repairs[repair] = media
		}
		if l.transportCC != 0 && p.arrivals == nil {
			p.arrivals, p.arrivalID = twcc.NewRecorder(p.ssrc), l.transportCC
		}
	}
	return p
}

func (p *publication) begin() {
	s := p.session
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	if s.in.ctx == nil {
		return // closed meanwhile
	}
	p.up = p.source.connect(p.limits, [kinds]bool{p.lanes[audio] != nil, p.lanes[video] != nil}, p.feedback, s.Close)
	p.running.Go(p.report)
}

// feedback sends what the source wants of the client: key frames.
func (p *publication) feedback(packets []rtcp.Packet) error {
	for _, packet := range packets {
		if pli, ok := packet.(*rtcp.PictureLossIndication); ok {
			pli.SenderSSRC = p.ssrc
		}
	}
	_, err := p.session.writeRTCP(packets)
	return err
}

func (p *publication) rtp(b []byte, now time.Time) {
	h := &p.session.in.header
	if p.up == nil {
		return
	}
	if p.arrivals != nil {
		if ext := h.GetExtension(p.arrivalID); len(ext) == 2 {
			p.arrivals.Record(h.SSRC, binary.BigEndian.Uint16(ext), now.Sub(p.session.begun).Microseconds())
		}
	}
	for _, lane := range p.lanes {
		switch {
		case lane == nil:
		case h.PayloadType == lane.payloadType:
			if st := p.trackOf(lane, h); st != nil {
				p.take(st, b, now)
			}
			return
		case h.PayloadType == lane.rtx && lane.rtx != 0:
			if b, st := p.restore(lane, b, h); st != nil {
				p.take(st, b, now)
			}
			return
		}
	}
}

// take hands on a packet of a stream, in its place.
func (p *publication) take(st *track, b []byte, now time.Time) {
	number, timestamp := binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:])
	if st.reception.receive(number, timestamp, now) {
		p.ask(st, now)
	}
	st.layer.write(b)
	if !p.flows {
		select {
		case <-p.up.flowing():
			p.flows = true
			close(p.session.flowing)
		default:
		}
	}
}

// trackOf finds the stream of a packet that is no repair, or makes it. A layer is
// known by its RID (RFC 8852), which comes with the first packets at least.
func (p *publication) trackOf(lane *lanePlan, h *rtp.Header) *track {
	if st := p.tracks[h.SSRC]; st != nil {
		if st.kind != lane.kind {
			return nil
		}
		return st
	}
	rid := ""
	if len(lane.rids) > 0 {
		rid = string(h.GetExtension(lane.rid))
		if !slices.Contains(lane.rids, rid) {
			return nil
		}
	}
	for ssrc, st := range p.tracks { // the client began anew with another SSRC
		if st.kind == lane.kind && st.rid == rid {
			st.layer.close()
			delete(p.tracks, ssrc)
		}
	}
	clock := 90000
	if lane.kind == audio {
		clock = 48000
	}
	st := &track{
		kind: lane.kind, rid: rid, nack: lane.nack, reception: reception{ssrc: h.SSRC, clock: clock},
		layer: p.up.attach(inbound{kind: lane.kind, rid: rid, ssrc: h.SSRC, extensions: lane.extensions}),
	}
	p.tracks[h.SSRC] = st
	return st
}

// restore makes the packet that an RTX packet repeats (RFC 4588 §4), in its place. Those
// without are padding, with which the client probes for bandwidth.
func (p *publication) restore(lane *lanePlan, b []byte, h *rtp.Header) ([]byte, *track) {
	media, known := p.repairs[h.SSRC]
	if !known {
		rid := string(h.GetExtension(lane.repairedRID))
		for ssrc, st := range p.tracks {
			if st.kind == lane.kind && (len(lane.rids) == 0 || lane.repairedRID != 0 && st.rid == rid) {
				media, known = ssrc, true
			}
		}
		if !known {
			return nil, nil
		}
		p.repairs[h.SSRC] = media
	}
	st := p.tracks[media]
	head := headerLen(b)
	padding := 0
	if h.Padding {
		padding = int(b[len(b)-1])
	}
	if st == nil || len(b)-head-padding < 2 {
		return nil, nil
	}
	number := binary.BigEndian.Uint16(b[head:])
	copy(b[2:], b[:head])
	b = b[2:]
	b[1] = b[1]&0x80 | lane.payloadType
	binary.BigEndian.PutUint16(b[2:], number)
	binary.BigEndian.PutUint32(b[8:], media)
	return b, st
}

// headerLen is the length of the header of an RTP packet that has been parsed.
func headerLen(b []byte) int {
	n := 12 + 4*int(b[0]&0x0f)
	if b[0]&0x10 != 0 {
		n += 4 + 4*int(binary.BigEndian.Uint16(b[n+2:]))
	}
	return n
}

func (p *publication) rtcp(packets []rtcp.Packet, now time.Time) {
	for _, packet := range packets {
		if sr, ok := packet.(*rtcp.SenderReport); ok {
			if st := p.tracks[sr.SSRC]; st != nil {
				st.reception.reported(sr, now)
				st.layer.senderReport(sr)
			}
		}
	}
}

func (p *publication) end() {
	p.running.Wait()
	if p.up != nil { // in.stop has come before: nobody else has it
		p.up.close()
	}
}

func (p *publication) stats() Stats {
	p.session.in.mu.Lock()
	defer p.session.in.mu.Unlock()
	var st Stats
	for _, one := range p.tracks {
		had := one.layer.stats()
		f := Flow{
			Packets: had.Packets, Bytes: had.Bytes, Lost: had.Lost,
			Width: had.Width, Height: had.Height, FrameRate: had.FrameRate, Bitrate: had.Bitrate,
		}
		total := &st.Video
		if one.kind == audio {
			total = &st.Audio
		}
		if one.rid != "" {
			if total.Layers == nil {
				total.Layers = map[string]Flow{}
			}
			total.Layers[one.rid] = f
		}
		if f.Width*f.Height > total.Width*total.Height {
			total.Width, total.Height, total.FrameRate = f.Width, f.Height, f.FrameRate
		}
		total.Packets += f.Packets
		total.Bytes += f.Bytes
		total.Lost += f.Lost
		total.Bitrate += f.Bitrate
	}
	return st
}
