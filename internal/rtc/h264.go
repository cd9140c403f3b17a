package rtc

import (
	"encoding/binary"
	"math"

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
		if len(payload) > 1 && payload[1]&0x80 != 0 {
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

// pictures reads the sequence parameter sets that begin in a payload: the size of the
// largest picture, 0 without any, and whether all are within the limits. One that
// cannot be read, perhaps because it goes on in another fragment, is within none: a
// decoder may take it for whatever the client likes.
func pictures(payload []byte, limits Limits) (width, height int, within bool) {
	within = true
	nalus(payload, func(kind h264.NALUType, nalu []byte) {
		if kind != h264.NALUTypeSPS {
			return
		}
		if payload[0]&0x1f == naluFUA {
			nalu = append([]byte{byte(kind)}, nalu...)
		}
		var set h264.SPS
		if set.Unmarshal(nalu) != nil {
			within = within && limits.fits(math.MaxInt, math.MaxInt)
			return
		}
		within = within && limits.fits(set.Width(), set.Height())
		if set.Width()*set.Height() > width*height {
			width, height = set.Width(), set.Height()
		}
	})
	return width, height, within
}
