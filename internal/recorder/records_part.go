package recorder

import (
	"encoding/binary"
	"errors"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/packager"
)

const (
	flagSegment = 1 << iota
	flagIndependent
	flagTail    // it is not 0
	flagSeveral // the number of renditions follows, and each
)

// append packs p. Of one rendition that is:
//
//	flags │ object size start duration time segments [tail] │ counters │ checksum
//	 1 B    varints                                             5 B        4 B
//
// of several, sizes and what belongs to them follow the rest:
//
//	flags │ object start duration time [tail] count │ { size segments │ counters │ checksum } …
func (p *part) append(dst []byte) []byte {
	var flags byte
	if p.Segment {
		flags |= flagSegment
	}
	if p.Independent {
		flags |= flagIndependent
	}
	if p.Tail != 0 {
		flags |= flagTail
	}
	several := len(p.Of) != 1
	if several {
		flags |= flagSeveral
	}
	varint := func(n int64) { dst = binary.AppendVarint(dst, n) }
	dst = append(dst, flags)
	varint(int64(p.Object))
	if !several {
		varint(p.Of[0].Size)
	}
	varint(int64(p.Start))
	varint(int64(p.Duration))
	varint(p.Time.UnixMilli())
	if !several {
		varint(int64(p.Of[0].TS.Segments))
	}
	if p.Tail != 0 {
		varint(int64(p.Tail))
	}
	if several {
		varint(int64(len(p.Of)))
	}
	for i := range p.Of {
		of := &p.Of[i]
		if several {
			varint(of.Size)
			varint(int64(of.TS.Segments))
		}
		dst = append(dst, of.TS.PAT, of.TS.PMT, of.TS.Video, of.TS.Audio, of.TS.Tag)
		dst = binary.LittleEndian.AppendUint32(dst, of.Sum)
	}
	return dst
}

var errTornPart = errors.New("decode journal record of a part: too short or too long")

func decodePart(b []byte) (*part, error) {
	if len(b) == 0 {
		return nil, errTornPart
	}
	flags, b := b[0], b[1:]
	torn := false
	varint := func() int64 {
		n, size := binary.Varint(b)
		if size <= 0 {
			torn, b = true, nil
			return 0
		}
		b = b[size:]
		return n
	}
	p := &part{Segment: flags&flagSegment != 0, Independent: flags&flagIndependent != 0}
	several := flags&flagSeveral != 0
	var one share
	p.Object = int(varint())
	if !several {
		one.Size = varint()
	}
	p.Start, p.Duration = media.Ticks(varint()), media.Ticks(varint())
	p.Time = time.UnixMilli(varint()).UTC()
	if !several {
		one.TS.Segments = uint32(varint())
	}
	if flags&flagTail != 0 {
		p.Tail = media.Ticks(varint())
	}
	count := int64(1)
	if several {
		count = varint()
	}
	if torn || count < 1 || count > int64(len(b)) {
		return nil, errTornPart
	}
	p.Of = make([]share, count)
	for i := range p.Of {
		of := &p.Of[i]
		if *of = one; several {
			of.Size, of.TS.Segments = varint(), uint32(varint())
		}
		if torn || len(b) < 9 {
			return nil, errTornPart
		}
		of.TS = packager.TSState{PAT: b[0], PMT: b[1], Video: b[2], Audio: b[3], Tag: b[4], Segments: of.TS.Segments}
		of.Sum = binary.LittleEndian.Uint32(b[5:])
		b = b[9:]
	}
	if len(b) > 0 {
		return nil, errTornPart
	}
	return p, nil
}
