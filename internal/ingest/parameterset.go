package ingest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/bits"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
)

// parameterSets keeps the latest H.264 sequence and picture parameter set of
// each id (ITU-T H.264 §7.4.1.2.1).
type parameterSets struct {
	sps  [32][]byte
	pps  [256][]byte
	size int // as appendTo writes them
}

// maxParameterSets bounds the size of all of them together. One is some dozen
// bytes; few encoders send more than two.
const maxParameterSets = 16 << 10

// read takes count parameter sets of type want, each after a 16-bit length,
// and returns what follows them.
func (s *parameterSets) read(b []byte, count int, want h264.NALUType) (rest []byte, err error) {
	for range count {
		if len(b) < 2 {
			return nil, errors.New("AVC configuration is too short")
		}
		n := int(binary.BigEndian.Uint16(b))
		if b = b[2:]; n > len(b) {
			return nil, errors.New("AVC configuration is too short")
		}
		if nal := b[:n]; n > 0 {
			if kind(nal) != want {
				return nil, fmt.Errorf("AVC configuration has a NAL unit of type %d for a parameter set", nal[0]&31)
			}
			if err := s.put(nal); err != nil {
				return nil, err
			}
		}
		b = b[n:]
	}
	return b, nil
}

// put keeps a copy of nal in place of the one with the same id.
func (s *parameterSets) put(nal []byte) error {
	slot, err := s.slot(nal)
	if err != nil {
		return err
	}
	if bytes.Equal(*slot, nal) {
		return nil
	}
	size := s.size + 4 + len(nal)
	if *slot != nil {
		size -= 4 + len(*slot)
	}
	if size > maxParameterSets {
		return fmt.Errorf("H.264 parameter sets exceed %d bytes", maxParameterSets)
	}
	*slot, s.size = bytes.Clone(nal), size
	return nil
}

// slot is where nal belongs.
func (s *parameterSets) slot(nal []byte) (*[]byte, error) {
	if kind(nal) == h264.NALUTypeSPS {
		pos := 4 * 8 // behind NAL header, profile, constraints and level
		id, err := golomb(nal, &pos)
		if err != nil || id >= len(s.sps) {
			return nil, errors.New("H.264 sequence parameter set has no valid id")
		}
		return &s.sps[id], nil
	}
	pos := 8
	id, err := golomb(nal, &pos)
	if err != nil || id >= len(s.pps) {
		return nil, errors.New("H.264 picture parameter set has no valid id")
	}
	return &s.pps[id], nil
}

// lookup finds a picture parameter set and the sequence parameter set it
// refers to; both are nil unless both are there.
func (s *parameterSets) lookup(id int) (sps, pps []byte) {
	if id >= len(s.pps) || s.pps[id] == nil {
		return nil, nil
	}
	pps = s.pps[id]
	pos := 8
	if _, err := golomb(pps, &pos); err != nil {
		return nil, nil
	}
	of, err := golomb(pps, &pos)
	if err != nil || of >= len(s.sps) || s.sps[of] == nil {
		return nil, nil
	}
	return s.sps[of], pps
}

// appendTo writes all of them, each with its length, sequence parameter sets
// first.
func (s *parameterSets) appendTo(dst []byte) []byte {
	for _, nal := range s.sps {
		if nal != nil {
			dst = appendNAL(dst, nal)
		}
	}
	for _, nal := range s.pps {
		if nal != nil {
			dst = appendNAL(dst, nal)
		}
	}
	return dst
}

// sliceParameterSet reads the id of the picture parameter set from a slice
// header (ITU-T H.264 §7.3.3).
func sliceParameterSet(nal []byte) (id int, ok bool) {
	pos := 8
	for range 3 { // first_mb_in_slice, slice_type, pic_parameter_set_id
		var err error
		if id, err = golomb(nal, &pos); err != nil {
			return 0, false
		}
	}
	return id, true
}

// golomb reads an ue(v) (ITU-T H.264 §9.1). Ids stand so early in their NAL
// units that no emulation prevention byte comes before them.
func golomb(nal []byte, pos *int) (int, error) {
	if *pos > len(nal)*8 {
		return 0, errors.New("NAL unit is too short")
	}
	v, err := bits.ReadGolombUnsigned(nal, pos)
	return int(v), err
}
