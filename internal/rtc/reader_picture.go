package rtc

import (
	"encoding/binary"
	"time"

	"anabranch/internal/media"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
)

// assembly puts one picture after the other together from the payloads of its packets
// (RFC 6184 §5.4, non-interleaved): single NAL units, STAP-A and FU-A. Packets come in
// order. What is of no use is left out: parameter sets, which stand before each IDR
// picture in any case, delimiters and filler.
type assembly struct {
	begun     bool
	stretch   *stretch // of the picture, or of the one before
	timestamp uint32
	arrived   time.Time // when its last packet came

	buf         []byte // NAL units with their lengths
	units       int
	open        int  // where the unit of which fragments come stands in buf; -1: none does
	slices, idr bool // there are slices; of an IDR picture
	torn        bool // a part is missing
	suspect     bool // the first part may be missing

	sps, pps []byte // the newest
	params   *media.VideoParams
	parsed   bool  // params are of sps and pps,
	unfit    error // unless these cannot be read
}

// Bounds of what a publisher can have put together.
const (
	maxPicture = 4 << 20
	maxUnits   = 1024
	maxSet     = 4 << 10
)

// renew forgets everything: another encoder begins.
func (a *assembly) renew() { *a = assembly{buf: a.buf[:0], open: -1, suspect: true} }

// begin begins a picture.
func (a *assembly) begin(timestamp uint32, s *stretch) {
	a.begun, a.timestamp, a.stretch, a.open = true, timestamp, s, -1
}

// tear tells that packets are missing behind the last.
func (a *assembly) tear() {
	a.torn, a.suspect = a.begun, true
}

// whole tells whether nothing of the picture is missing.
func (a *assembly) whole() bool { return !a.torn && a.open < 0 }

// end makes room for the next picture.
func (a *assembly) end() {
	if a.buf = a.buf[:0]; cap(a.buf) > maxPicture/4 {
		a.buf = nil
	}
	a.arrived = time.Time{}
	a.begun, a.units, a.open, a.slices, a.idr, a.torn = false, 0, -1, false, false, false
}

// add takes the next packet of the picture.
func (a *assembly) add(p *packet) {
	if p.arrived.After(a.arrived) {
		a.arrived = p.arrived
	}
	payload := p.payload()
	if a.suspect {
		a.suspect = false
		a.torn = a.torn || !beginsPicture(payload)
	}
	if a.torn {
		return
	}
	if len(a.buf)+len(payload)+8 > maxPicture || a.units > maxUnits {
		a.torn = true
		return
	}
	kind := payload[0] & 0x1f
	if a.open >= 0 && kind != naluFUA {
		a.torn = true
		return
	}
	switch kind {
	case naluSTAPA:
		for rest := payload[1:]; len(rest) > 0; {
			size := 0
			if len(rest) > 2 {
				size = int(binary.BigEndian.Uint16(rest))
			}
			if size == 0 || size > len(rest)-2 {
				a.torn = true
				return
			}
			a.unit(rest[2 : 2+size])
			rest = rest[2+size:]
		}
	case naluFUA:
		a.fragment(payload)
	default:
		a.unit(payload)
	}
}

// beginsPicture tells whether a payload is certain to be a picture's first: nothing but
// a delimiter can stand before a sequence parameter set (H.264 §7.4.1.2.3).
func beginsPicture(payload []byte) bool {
	begins, first := false, true
	nalus(payload, func(kind h264.NALUType, _ []byte) {
		if first {
			begins = kind == h264.NALUTypeSPS || kind == h264.NALUTypeAccessUnitDelimiter
		}
		first = false
	})
	return begins
}

// fragment adds a fragment of a unit (RFC 6184 §5.8).
func (a *assembly) fragment(payload []byte) {
	if len(payload) < 3 {
		a.torn = true
		return
	}
	start, end := payload[1]&0x80 != 0, payload[1]&0x40 != 0
	if start == (a.open >= 0) { // the end of one is missing, or the beginning
		a.torn = true
		return
	}
	if start {
		a.open = len(a.buf)
		a.buf = append(a.buf, 0, 0, 0, 0, payload[0]&0xe0|payload[1]&0x1f)
	}
	a.buf = append(a.buf, payload[2:]...)
	if end {
		a.close()
	}
}

// unit adds a NAL unit.
func (a *assembly) unit(nalu []byte) {
	a.open = len(a.buf)
	a.buf = append(append(a.buf, 0, 0, 0, 0), nalu...)
	a.close()
}

// close ends the unit that is open.
func (a *assembly) close() {
	at := a.open
	a.open = -1
	a.units++
	nalu := a.buf[at+4:]
	switch kind := h264.NALUType(nalu[0] & 0x1f); {
	case kind == h264.NALUTypeSPS:
		a.set(&a.sps, nalu)
		a.buf = a.buf[:at]
		return
	case kind == h264.NALUTypePPS:
		a.set(&a.pps, nalu)
		a.buf = a.buf[:at]
		return
	case kind == 0 || kind >= naluSTAPA || kind == h264.NALUTypeAccessUnitDelimiter || kind == h264.NALUTypeFillerData:
		a.buf = a.buf[:at]
		return
	case kind == h264.NALUTypeIDR:
		a.slices, a.idr = true, true
	case kind == h264.NALUTypeNonIDR:
		a.slices = true
	}
	binary.BigEndian.PutUint32(a.buf[at:], uint32(len(nalu)))
}

// set keeps a parameter set. It counts from the next IDR picture.
func (a *assembly) set(kept *[]byte, nalu []byte) {
	if len(nalu) > maxSet || string(*kept) == string(nalu) {
		return
	}
	*kept = append((*kept)[:0], nalu...)
	a.parsed = false
}

// parameters are those of an IDR picture; nil while there are none that can be read.
func (a *assembly) parameters() *media.VideoParams {
	if !a.parsed {
		var params *media.VideoParams
		if params, a.unfit = media.ParseH264(a.sps, a.pps); a.unfit == nil && !params.Equal(a.params) {
			a.params = params
		}
		a.parsed = true
	}
	if a.unfit != nil {
		return nil
	}
	return a.params
}

// payload is a copy of the picture.
func (a *assembly) payload() []byte {
	if !a.idr {
		return append(make([]byte, 0, len(a.buf)), a.buf...)
	}
	sps, pps := a.params.SPS, a.params.PPS
	b := make([]byte, 0, 8+len(sps)+len(pps)+len(a.buf))
	for _, set := range [][]byte{sps, pps} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(set))), set...)
	}
	return append(b, a.buf...)
}
