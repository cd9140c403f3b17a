package recorder

import (
	"encoding/binary"

	"anabranch/internal/packager"
)

// shift is how far continuity counters (ISO 13818-1 §2.4.3.3) are moved, modulo
// 16, when an object goes on from another one than it was written for. What
// follows it counts on in live segments; the tags in the object stay as they are.
type shift packager.TSState

func shiftOf(from, to packager.TSState) shift {
	return shift{
		PAT: (to.PAT - from.PAT) & 0x0F, PMT: (to.PMT - from.PMT) & 0x0F,
		Video: (to.Video - from.Video) & 0x0F, Audio: (to.Audio - from.Audio) & 0x0F, Tag: (to.Tag - from.Tag) & 0x0F,
		Segments: to.Segments - from.Segments,
	}
}

func (s shift) apply(c packager.TSState) packager.TSState {
	return packager.TSState{
		PAT: c.PAT + s.PAT, PMT: c.PMT + s.PMT,
		Video: c.Video + s.Video, Audio: c.Audio + s.Audio, Tag: c.Tag + s.Tag,
		Segments: c.Segments + s.Segments,
	}
}

const tsPacket = 188

// rewrite moves the counters of a transport stream that the packager wrote.
func (s shift) rewrite(packets []byte) {
	byPID := map[uint16]uint8{0x0000: s.PAT, 0x1000: s.PMT, 0x0101: s.Video, 0x0100: s.Audio, 0x0102: s.Tag}
	for p := packets; len(p) >= tsPacket; p = p[tsPacket:] {
		pid := binary.BigEndian.Uint16(p[1:]) & 0x1FFF
		p[3] = p[3]&0xF0 | (p[3]+byPID[pid])&0x0F
	}
}
