package ingest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"anabranch/internal/media"
)

// avcTrack turns the access units of an H.264 track, as ISO/IEC 14496-15 files
// and RTMP carry them, into frame payloads:
//
//   - NAL units get lengths of four bytes, whatever size they had;
//   - every IDR picture is preceded by all parameter sets the publisher has
//     sent, once, so that decoding can begin there;
//   - access unit delimiters and filler data are left out: the one belongs to
//     the transport, the other only keeps a bit rate constant.
//
// An access unit that already is like that is handed on without a copy.
type avcTrack struct {
	// params describes the track by the parameter sets in use: those the last
	// IDR picture refers to, before it the first in the configuration. It is
	// nil while there are none, and replaced, never changed.
	params *media.VideoParams

	lengthSize int // of a NAL unit's length field: 1, 2 or 4; 0 before the configuration
	sets       parameterSets
}

// configure reads an AVCDecoderConfigurationRecord (ISO/IEC 14496-15
// §5.3.3.1.2). Its parameter sets replace all earlier ones.
func (t *avcTrack) configure(record []byte) error {
	if len(record) < 6 {
		return errors.New("AVC configuration is too short")
	}
	if record[0] != 1 {
		return fmt.Errorf("AVC configuration has version %d", record[0])
	}
	// The other bits of both bytes are reserved; some encoders leave them 0.
	lengthSize := int(record[4]&3) + 1
	if lengthSize == 3 {
		return errors.New("AVC configuration has NAL unit lengths of 3 bytes")
	}
	var sets parameterSets
	rest, err := sets.read(record[6:], int(record[5]&31), h264.NALUTypeSPS)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		return errors.New("AVC configuration is too short")
	}
	if _, err = sets.read(rest[1:], int(rest[0]), h264.NALUTypePPS); err != nil {
		return err
	}
	t.lengthSize, t.sets = lengthSize, sets
	for id := range sets.pps {
		if sets.pps[id] != nil {
			return t.use(id)
		}
	}
	return nil // they may come with the first IDR picture
}

// use makes the picture parameter set with that id, and the sequence parameter
// set it refers to, the ones that describe the track.
func (t *avcTrack) use(id int) error {
	sps, pps := t.sets.lookup(id)
	if sps == nil || t.params != nil && bytes.Equal(t.params.SPS, sps) && bytes.Equal(t.params.PPS, pps) {
		return nil
	}
	p, err := media.ParseH264(sps, pps)
	if err != nil {
		return err
	}
	t.params = p
	return nil
}

// accessUnit makes a frame's payload of an access unit, and says whether it
// holds an IDR picture. The payload is nil when there is no picture in it, or
// no configuration came yet. It may be part of au.
func (t *avcTrack) accessUnit(au []byte) (payload []byte, idr bool, err error) {
	if t.lengthSize == 0 {
		return nil, false, nil
	}
	var (
		size    int  // of what stays, with lengths
		inBand  int  // of the parameter sets in it
		dropped bool // something does not stay
		picture bool
		slice   []byte // first of the IDR picture
	)
	for rest := au; len(rest) > 0; {
		var nal []byte
		if nal, rest, err = t.next(rest); err != nil {
			return nil, false, err
		}
		switch kind(nal) {
		case dropType:
			dropped = true
			continue
		case h264.NALUTypeSPS, h264.NALUTypePPS:
			if err := t.sets.put(nal); err != nil {
				return nil, false, err
			}
			inBand += 4 + len(nal)
		case h264.NALUTypeIDR:
			if slice == nil {
				slice = nal
			}
			picture = true
		case h264.NALUTypeNonIDR, h264.NALUTypeDataPartitionA, h264.NALUTypeDataPartitionB, h264.NALUTypeDataPartitionC:
			picture = true
		}
		size += 4 + len(nal)
	}
	switch {
	case !picture:
		return nil, false, nil
	case slice != nil:
		if id, ok := sliceParameterSet(slice); ok {
			if err := t.use(id); err != nil {
				return nil, false, err
			}
		}
		payload = t.sets.appendTo(make([]byte, 0, size-inBand+t.sets.size))
	case t.lengthSize == 4 && !dropped:
		return au, false, nil
	default:
		payload = make([]byte, 0, size)
	}
	for rest := au; len(rest) > 0; {
		var nal []byte
		nal, rest, _ = t.next(rest)
		switch k := kind(nal); {
		case k == dropType, slice != nil && (k == h264.NALUTypeSPS || k == h264.NALUTypePPS):
		default:
			payload = appendNAL(payload, nal)
		}
	}
	return payload, slice != nil, nil
}

// next splits off the first NAL unit.
func (t *avcTrack) next(b []byte) (nal, rest []byte, err error) {
	if len(b) < t.lengthSize {
		return nil, nil, errors.New("H.264 access unit ends within a length")
	}
	var n uint64
	for _, c := range b[:t.lengthSize] {
		n = n<<8 | uint64(c)
	}
	b = b[t.lengthSize:]
	if n > uint64(len(b)) {
		return nil, nil, fmt.Errorf("H.264 NAL unit of %d bytes is longer than its access unit", n)
	}
	return b[:n], b[n:], nil
}

// dropType stands for NAL units that do not stay.
const dropType = h264.NALUTypeAccessUnitDelimiter

// kind is the NAL unit's type (ITU-T H.264 table 7-1). Some encoders write
// empty ones, which count as droppable.
func kind(nal []byte) h264.NALUType {
	if len(nal) == 0 {
		return dropType
	}
	if k := h264.NALUType(nal[0] & 31); k != h264.NALUTypeFillerData {
		return k
	}
	return dropType
}

func appendNAL(dst, nal []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(nal)))
	return append(dst, nal...)
}
