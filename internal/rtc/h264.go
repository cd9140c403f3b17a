package rtc

import (
	"encoding/binary"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
)

// Types of payloads of RTP that are more or less than a NAL unit (RFC 6184 §5.2).
const (
	naluSTAPA = 24
	naluFUA   = 28
)

// nalus calls f with the type and what is there of each NAL unit that begins in a
// payload: single, aggregated (STAP-A) or the first fragment (FU-A).
func nalus(payload []byte, f func(kind h264.NALUType, nalu []byte)) {
	if len(payload) == 0 {
		return
	}
	switch kind := payload[0] & 0x1f; kind {
	case naluSTAPA:
		for rest := payload[1:]; len(rest) > 2; {
			size := int(binary.BigEndian.Uint16(rest))
			if size == 0 || size > len(rest)-2 {
				return
			}
			nalu := rest[2 : 2+size]
			f(h264.NALUType(nalu[0]&0x1f), nalu)
			rest = rest[2+size:]
		}
	case naluFUA:
		if len(payload) > 2 && payload[1]&0x80 != 0 {
			f(h264.NALUType(payload[1]&0x1f), payload[2:])
		}
	default:
		f(h264.NALUType(kind), payload)
	}
}

// isKey tells whether a payload has a sequence parameter set or begins a slice of an
// IDR picture: a decoder can begin here.
func isKey(payload []byte) (key bool) {
	nalus(payload, func(kind h264.NALUType, _ []byte) {
		key = key || kind == h264.NALUTypeIDR || kind == h264.NALUTypeSPS
	})
	return key
}

// picture reads the sequence parameter set of a payload, if there is one that can be
// read. known is the one read last: when it has not changed, ok is false.
func picture(payload, known []byte) (width, height int, sps []byte, ok bool) {
	nalus(payload, func(kind h264.NALUType, nalu []byte) {
		// A parameter set in fragments would be longer than any there is.
		if kind != h264.NALUTypeSPS || payload[0]&0x1f == naluFUA || string(nalu) == string(known) {
			return
		}
		var set h264.SPS
		if set.Unmarshal(nalu) == nil {
			width, height, sps, ok = set.Width(), set.Height(), nalu, true
		}
	})
	return width, height, sps, ok
}
