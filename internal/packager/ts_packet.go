package packager

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"

	"anabranch/internal/media"
)

const (
	syncByte = 0x47

	// Adaptation field flags (ISO/IEC 13818-1 §2.4.3.4).
	flagRandomAccess = 0x40
	flagPCR          = 0x10

	nalDelimiter = 9 // nal_unit_type of an access unit delimiter
)

var (
	startCode           = []byte{0, 0, 0, 1}
	accessUnitDelimiter = []byte{0, 0, 0, 1, nalDelimiter, 0xF0} // any slice type follows
)

// pes spreads one PES packet (§2.4.3.6) over transport packets as it is
// written. Its size is told first, since stuffing stands before the last bytes.
type pes struct {
	dst     []byte
	pid     uint16
	counter *uint8
	flags   byte        // adaptation field flags of the first packet
	pcr     media.Ticks // DTS that the clock reference belongs to, if flagPCR

	left int // bytes of the PES packet not written yet
	room int // bytes that the open transport packet still takes
}

// begin writes the header of a PES packet with size bytes of payload.
func (p *pes) begin(streamID byte, size int, pts, dts media.Ticks) {
	header := make([]byte, 0, pesHeader+5)
	header = append(header, 0, 0, 1, streamID, 0, 0, 0x84) // data aligned
	if pts == dts {
		header = append(header, 0x80, 5)
		header = appendStamp(header, 0x20, pts)
	} else {
		header = append(header, 0xC0, 10)
		header = appendStamp(header, 0x30, pts)
		header = appendStamp(header, 0x10, dts)
	}
	// The length counts what follows it; video may leave it open.
	if n := len(header) - 6 + size; n <= 0xFFFF {
		binary.BigEndian.PutUint16(header[4:], uint16(n))
	}
	p.left = len(header) + size
	p.open(0x40)
	p.write(header)
}

// write writes the next bytes of the PES packet.
func (p *pes) write(b []byte) {
	for {
		n := min(len(b), p.room)
		p.dst = append(p.dst, b[:n]...)
		p.left, p.room = p.left-n, p.room-n
		if b = b[n:]; len(b) == 0 {
			return
		}
		p.open(0)
	}
}

// open writes a transport packet's header, with an adaptation field where there
// is something to tell or the PES packet does not fill the packet.
func (p *pes) open(unitStart byte) {
	field := 0 // size of the adaptation field, length byte included
	if p.flags != 0 {
		field = 2
		if p.flags&flagPCR != 0 {
			field += 6
		}
	}
	size := max(field, packetBody-p.left)
	control := byte(0x10)
	if size > 0 {
		control = 0x30
	}
	p.dst = append(p.dst, syncByte, unitStart|byte(p.pid>>8), byte(p.pid), control|*p.counter&0x0F)
	*p.counter = (*p.counter + 1) & 0x0F
	if size > 0 {
		p.dst = append(p.dst, byte(size-1))
	}
	if size > 1 {
		p.dst = append(p.dst, p.flags)
		if p.flags&flagPCR != 0 {
			p.dst = appendPCR(p.dst, p.pcr)
		}
		p.dst = appendStuffing(p.dst, size-max(field, 2))
	}
	p.flags = 0
	p.room = packetBody - size
}

// appendStamp appends a PTS or DTS of 33 bits with its marker bits.
func appendStamp(dst []byte, prefix byte, t media.Ticks) []byte {
	return append(dst,
		prefix|byte(t>>29)&0x0E|1,
		byte(t>>22), byte(t>>14)|1,
		byte(t>>7), byte(t<<1)|1)
}

// appendPCR appends the clock reference of a frame decoded at dts: base of 33
// bits at 90 kHz, six reserved bits, extension 0.
func appendPCR(dst []byte, dts media.Ticks) []byte {
	base := uint64(dts-pcrLead) & (1<<33 - 1)
	dst = binary.BigEndian.AppendUint32(dst, uint32(base>>1))
	return append(dst, byte(base<<7)|0x7E, 0)
}

func appendStuffing(dst []byte, n int) []byte {
	return append(dst, stuffing[:n]...)
}

var stuffing = func() (s [packetSize]byte) {
	for i := range s {
		s[i] = 0xFF
	}
	return s
}()

// nextNAL splits the first NAL unit off length-prefixed ones. It is nil at the
// end, and at a length that exceeds what there is: the rest is lost.
func nextNAL(b []byte) (nal, rest []byte) {
	for len(b) > 4 {
		n := binary.BigEndian.Uint32(b)
		b = b[4:]
		if uint64(n) > uint64(len(b)) {
			return nil, nil
		}
		if n > 0 {
			return b[:n], b[n:]
		}
	}
	return nil, nil
}

// crc32MPEG is the checksum of sections (§2.4.4 and annex A): the polynomial of
// the usual CRC-32 with the bits in the other order and nothing inverted.
func crc32MPEG(b []byte) uint32 {
	crc := uint32(0xFFFF_FFFF)
	for _, c := range b {
		crc ^= uint32(bits.Reverse8(c))
		crc = crc>>8 ^ crc32.IEEETable[byte(crc)]
	}
	return bits.Reverse32(crc)
}
