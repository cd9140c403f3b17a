package transcode

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"anabranch/internal/media"
)

// What a tag holds (FLV E.4.1), and how its first bytes say so.
const (
	flvAudio  = 8
	flvVideo  = 9
	flvScript = 18

	flvAVC      = 7
	flvKeyAVC   = 1<<4 | flvAVC
	flvInterAVC = 2<<4 | flvAVC
	flvAAC      = 0xAF // by the specification AAC says 44.1 kHz, stereo, whatever it is

	flvConfiguration = 0
	flvFrame         = 1
)

const (
	// flvHeaderSize is that of the file's header and the first size field.
	flvHeaderSize = 9 + 4
	// maxTag bounds the tags that are read, in bytes. The largest pictures of a
	// rung are bounded by its rate control to some hundred kilobytes.
	maxTag = 4 << 20
)

// appendFLVHeader writes what comes before a stream's frames: the file header,
// the frame rate, and the configuration of each track of p.
func appendFLVHeader(dst []byte, p media.Params, frameRate float64) []byte {
	flags := byte(0)
	if p.Video != nil {
		flags |= 1
	}
	if p.Audio != nil {
		flags |= 4
	}
	dst = append(dst, 'F', 'L', 'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0)
	dst = appendTag(dst, flvScript, 0, nil, frameRateMetadata(frameRate))
	if v := p.Video; v != nil {
		dst = appendTag(dst, flvVideo, 0, []byte{flvKeyAVC, flvConfiguration, 0, 0, 0}, avcConfiguration(v))
	}
	if a := p.Audio; a != nil {
		dst = appendTag(dst, flvAudio, 0, []byte{flvAAC, flvConfiguration}, a.Config)
	}
	return dst
}

// appendFrame writes a frame with its DTS and PTS in milliseconds.
func appendFrame(dst []byte, f *media.Frame, dts, pts int64) []byte {
	if f.Kind == media.Audio {
		return appendTag(dst, flvAudio, dts, []byte{flvAAC, flvFrame}, f.Payload)
	}
	kind := byte(flvInterAVC)
	if f.Key {
		kind = flvKeyAVC
	}
	offset := pts - dts
	return appendTag(dst, flvVideo, dts, []byte{kind, flvFrame, byte(offset >> 16), byte(offset >> 8), byte(offset)}, f.Payload)
}

// appendTag writes a tag whose body is head and data, and the size behind it.
func appendTag(dst []byte, kind byte, ms int64, head, data []byte) []byte {
	n := len(head) + len(data)
	dst = append(dst, kind, byte(n>>16), byte(n>>8), byte(n), byte(ms>>16), byte(ms>>8), byte(ms), byte(ms>>24), 0, 0, 0)
	dst = append(append(dst, head...), data...)
	return binary.BigEndian.AppendUint32(dst, uint32(11+n))
}

// frameRateMetadata is onMetaData with the frame rate alone (AMF 0 §2): encoders
// reckon by it what a picture may take of the bitrate.
func frameRateMetadata(rate float64) []byte {
	const name, property = "onMetaData", "framerate"
	b := append([]byte{2, 0, byte(len(name))}, name...)
	b = append(b, 8, 0, 0, 0, 1, 0, byte(len(property)))
	b = append(append(b, property...), 0)
	b = binary.BigEndian.AppendUint64(b, math.Float64bits(rate))
	return append(b, 0, 0, 9)
}

// avcConfiguration is the AVCDecoderConfigurationRecord (ISO/IEC 14496-15
// §5.3.3.1.2) of a track whose NAL units have lengths of four bytes.
func avcConfiguration(v *media.VideoParams) []byte {
	b := []byte{1, v.Profile, v.Constraints, v.Level, 0xFF, 0xE1}
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(v.SPS))), v.SPS...)
	return append(binary.BigEndian.AppendUint16(append(b, 1), uint16(len(v.PPS))), v.PPS...)
}

// flvReader reads the one track of an FLV stream that an encoder writes.
type flvReader struct {
	r      *bufio.Reader
	begun  bool
	params media.Params // of the track, once its configuration has come
	sets   []byte       // its parameter sets, as they stand before an IDR picture
}

func newFLVReader(r io.Reader) *flvReader { return &flvReader{r: bufio.NewReader(r)} }

// next returns the next frame and its PTS in milliseconds. The frame's own times
// are not set. Its error is io.EOF where the stream ends between tags.
func (d *flvReader) next() (f media.Frame, pts int64, err error) {
	if !d.begun {
		var header [flvHeaderSize]byte
		if err := d.full(header[:]); err != nil {
			return f, 0, err
		}
		if string(header[:4]) != "FLV\x01" || binary.BigEndian.Uint32(header[5:]) != 9 {
			return f, 0, errors.New("this is no FLV stream")
		}
		d.begun = true
	}
	for {
		kind, ms, body, err := d.tag()
		if err != nil {
			return f, 0, err
		}
		switch kind {
		case flvVideo:
			f, pts, err = d.video(ms, body)
		case flvAudio:
			f, pts, err = d.audio(ms, body)
		}
		if err != nil || f.Payload != nil {
			return f, pts, err
		}
	}
}

// tag reads one tag and the size behind it.
func (d *flvReader) tag() (kind byte, ms int64, body []byte, err error) {
	var head [11]byte
	if err := d.full(head[:]); err != nil {
		return 0, 0, nil, err
	}
	n := int(head[1])<<16 | int(head[2])<<8 | int(head[3])
	if n > maxTag {
		return 0, 0, nil, fmt.Errorf("tag of %d bytes is too long", n)
	}
	ms = int64(head[7])<<24 | int64(head[4])<<16 | int64(head[5])<<8 | int64(head[6])
	body = make([]byte, n+4)
	if _, err := io.ReadFull(d.r, body); err != nil {
		return 0, 0, nil, fmt.Errorf("read tag: %w", unexpected(err))
	}
	return head[0] & 31, ms, body[:n:n], nil
}

// full fills b. Its error is io.EOF where there is nothing to read.
func (d *flvReader) full(b []byte) error {
	_, err := io.ReadFull(d.r, b)
	if err == nil || err == io.EOF {
		return err
	}
	return fmt.Errorf("read tag header: %w", err)
}

// unexpected is err where the stream may not end.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// video reads VIDEODATA (FLV E.4.3.1). The frame has no payload where there is
// no picture in it.
func (d *flvReader) video(ms int64, b []byte) (f media.Frame, pts int64, err error) {
	if len(b) < 5 {
		return f, 0, nil
	}
	if b[0]&15 != flvAVC {
		return f, 0, fmt.Errorf("video codec %d is not H.264", b[0]&15)
	}
	switch b[1] {
	case flvConfiguration:
		return f, 0, d.configure(b[5:])
	case flvFrame:
	default: // the sequence's end
		return f, 0, nil
	}
	if d.params.Video == nil {
		return f, 0, errors.New("a picture comes before the video configuration")
	}
	f.Kind = media.Video
	if f.Payload, f.Key, err = d.picture(b[5:]); err != nil {
		return f, 0, err
	}
	offset := int64(int32(uint32(b[2])<<24|uint32(b[3])<<16|uint32(b[4])<<8) >> 8)
	return f, ms + offset, nil
}

// configure reads an AVCDecoderConfigurationRecord with one parameter set of
// each kind.
func (d *flvReader) configure(b []byte) error {
	if len(b) == 0 {
		return nil // some encoders end like that
	}
	if len(b) < 6 || b[0] != 1 || b[4]&3 != 3 || b[5]&31 != 1 {
		return errors.New("video configuration is not one of NAL units with lengths of four bytes and one sequence parameter set")
	}
	sps, rest, ok := parameterSet(b[6:], h264.NALUTypeSPS)
	if !ok || len(rest) == 0 || rest[0] != 1 {
		return errors.New("video configuration has not one sequence and one picture parameter set")
	}
	pps, _, ok := parameterSet(rest[1:], h264.NALUTypePPS)
	if !ok {
		return errors.New("video configuration has no picture parameter set")
	}
	v, err := media.ParseH264(sps, pps)
	if err != nil {
		return err
	}
	if !v.Equal(d.params.Video) {
		d.params.Video = v
		d.sets = appendNAL(appendNAL(nil, v.SPS), v.PPS)
	}
	return nil
}

// parameterSet splits off a parameter set of that kind with its length of 16 bits.
func parameterSet(b []byte, kind h264.NALUType) (set, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if b = b[2:]; n > len(b) {
		return nil, nil, false
	}
	return b[:n], b[n:], nalKind(b[:n]) == kind
}

// picture makes a frame's payload of an access unit: the parameter sets stand
// before an IDR picture and nowhere else, delimiters and filler are left out.
// What needs none of that is not copied. The payload is nil where no picture is
// in it.
func (d *flvReader) picture(au []byte) (payload []byte, idr bool, err error) {
	picture, whole := false, true
	for rest := au; len(rest) > 0; {
		var nal []byte
		if nal, rest, err = nextNAL(rest); err != nil {
			return nil, false, err
		}
		switch k := nalKind(nal); {
		case k == h264.NALUTypeIDR:
			picture, idr = true, true
		case k == h264.NALUTypeNonIDR:
			picture = true
		case leftOut(k):
			whole = false
		}
	}
	switch {
	case !picture:
		return nil, false, nil
	case whole && !idr:
		return au, false, nil
	}
	payload = make([]byte, 0, len(d.sets)+len(au))
	if idr {
		payload = append(payload, d.sets...)
	}
	for rest := au; len(rest) > 0; {
		var nal []byte
		nal, rest, _ = nextNAL(rest)
		if !leftOut(nalKind(nal)) {
			payload = appendNAL(payload, nal)
		}
	}
	return payload, idr, nil
}

// leftOut says whether NAL units of that kind do not stay where they are.
func leftOut(k h264.NALUType) bool {
	switch k {
	case 0, h264.NALUTypeSPS, h264.NALUTypePPS, h264.NALUTypeAccessUnitDelimiter, h264.NALUTypeFillerData:
		return true
	}
	return false
}

// nalKind is the NAL unit's type (ITU-T H.264 table 7-1), 0 of an empty one.
func nalKind(nal []byte) h264.NALUType {
	if len(nal) == 0 {
		return 0
	}
	return h264.NALUType(nal[0] & 31)
}

// nextNAL splits off the first NAL unit.
func nextNAL(b []byte) (nal, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errors.New("access unit ends within a length")
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if b = b[4:]; n > uint64(len(b)) {
		return nil, nil, fmt.Errorf("NAL unit of %d bytes is longer than its access unit", n)
	}
	return b[:n], b[n:], nil
}

func appendNAL(dst, nal []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(nal))), nal...)
}

// audio reads AUDIODATA (FLV E.4.2.1). The frame has no payload where there is
// no sound in it.
func (d *flvReader) audio(ms int64, b []byte) (f media.Frame, pts int64, err error) {
	if len(b) <= 2 {
		return f, 0, nil
	}
	if b[0]>>4 != flvAAC>>4 {
		return f, 0, fmt.Errorf("audio codec %d is not AAC", b[0]>>4)
	}
	switch {
	case b[1] == flvConfiguration:
		a, err := media.ParseAAC(b[2:])
		if err != nil {
			return f, 0, err
		}
		if !a.Equal(d.params.Audio) {
			d.params.Audio = a
		}
		return f, 0, nil
	case b[1] != flvFrame:
		return f, 0, nil
	case d.params.Audio == nil:
		return f, 0, errors.New("sound comes before the audio configuration")
	}
	return media.Frame{Kind: media.Audio, Key: true, Payload: b[2:]}, ms, nil
}
