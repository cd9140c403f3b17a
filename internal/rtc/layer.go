package rtc

import (
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// layer is one stream of RTP packets from the publisher: sound, or pictures in one
// of the sizes it sends. Its methods may be called from several goroutines, but
// write from one at a time.
type layer struct {
	up   *upstream
	lane *lane
	in   inbound

	parsed rtp.Packet // write's own

	// Guarded by the lane's mutex.
	closed        bool
	heard         time.Time // when the last packet came
	sequence      sequence
	numbers       renumbering // while it is the lane's current
	turn          *turn       // its last
	width, height int
	picture       uint32 // the newest picture's time stamp
	keyed         uint32 // the newest key frame's
	bits, frames  meter
	count         layerStats
	ref           reference // in the layer's own time stamps
}

// layerStats counts a layer's packets.
type layerStats struct {
	Packets, Bytes, Lost uint64  // lost: never came, not even repeated
	Width, Height        int     // of the newest sequence parameter set; 0 unknown
	FrameRate            float64 // pictures in the last second
	Bitrate              int     // bit/s in the last second, payload only
	KeyFrames            uint64
}

// write takes one RTP packet as it came off the network (decrypted; repairs by RTX
// already put back into their place). What is no packet is dropped. The packet is
// not kept.
func (l *layer) write(b []byte) {
	if parse(&l.parsed, b) != nil {
		return
	}
	header, payload := &l.parsed.Header, l.parsed.Payload
	p := newPacket(payload)
	p.marker = header.Marker
	p.audioLevel = extension(header, l.in.extensions.audioLevel)
	p.orientation = extension(header, l.in.extensions.orientation)
	width, height, within := 0, 0, true
	if l.in.kind == video {
		p.key = isKey(payload)
		width, height, within = pictures(payload, l.up.limits)
	}

	now := time.Now()
	l.lane.mu.Lock()
	if l.closed {
		l.lane.mu.Unlock()
		return
	}
	number, restarted, ok := l.sequence.next(header.SequenceNumber)
	if ok {
		if width > 0 {
			l.width, l.height = width, height
		}
		if restarted {
			l.restart(header.Timestamp)
		}
		l.tally(header.Timestamp, p, now)
		l.lane.take(l, number, header.Timestamp, p, now)
	}
	l.lane.mu.Unlock()

	if ok {
		l.up.received(len(payload), now)
		if !within {
			l.up.exceed(ErrResolution)
		}
	}
}

// extension is a copy of the first byte of a header extension; nil without one.
func extension(h *rtp.Header, id uint8) *byte {
	if value := h.GetExtension(id); id != 0 && len(value) > 0 {
		b := value[0]
		return &b
	}
	return nil
}

// restart follows a stream whose numbers leapt: an encoder began anew. Its time
// stamps may have leapt as well, so its turn on the lane begins anew too.
func (l *layer) restart(timestamp uint32) {
	l.picture = timestamp - 1
	l.ref = reference{}
	if l.lane.current == l {
		l.lane.current = nil
	}
}

// tally counts a packet.
func (l *layer) tally(timestamp uint32, p *packet, now time.Time) {
	l.heard = now
	l.count.Packets++
	l.count.Bytes += uint64(len(p.payload()))
	l.bits.add(8*len(p.payload()), now)
	if l.count.Packets == 1 || int32(timestamp-l.picture) > 0 {
		l.picture = timestamp
		l.frames.add(1, now)
	}
	if p.key && (l.count.KeyFrames == 0 || timestamp != l.keyed) {
		l.keyed = timestamp
		l.count.KeyFrames++
	}
}

func (l *layer) stats() layerStats {
	now := time.Now()
	l.lane.mu.Lock()
	defer l.lane.mu.Unlock()
	s := l.count
	s.Width, s.Height = l.width, l.height
	s.Lost = l.sequence.missing()
	s.Bitrate, _ = l.bits.rate(now)
	frames, _ := l.frames.rate(now)
	s.FrameRate = float64(frames)
	return s
}

// senderReport takes the publisher's sender report about this layer.
func (l *layer) senderReport(sr *rtcp.SenderReport) {
	l.lane.report(l, sr)
}

// close ends the layer: nothing it brings any more is forwarded. A second close does
// nothing.
func (l *layer) close() {
	l.up.detach(l)
	l.lane.mu.Lock()
	defer l.lane.mu.Unlock()
	if !l.closed {
		l.lane.leave(l, time.Now())
	}
}
