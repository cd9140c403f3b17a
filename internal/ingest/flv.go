package ingest

import (
	"errors"
	"fmt"
	"time"

	"anabranch/internal/media"
)

// flvDemuxer turns the bodies of RTMP's audio, video and data messages into
// frames. They are FLV tag bodies (Adobe FLV specification 10.1, annex E.4),
// or those of Enhanced RTMP, which names codecs by four characters.
//
// H.264 and AAC-LC in one track each are taken; anything else is refused by
// name.
//
// Times are whole milliseconds in 32 bits. The chunk layer adds deltas up but
// does not unfold: after 49.7 days DTS falls back to zero, and after half of
// that when it is ffmpeg who sends, which counts in 31 bits. It is handed on
// like that.
type flvDemuxer struct {
	in  *intake
	avc avcTrack
	aac *media.AudioParams // nil before the configuration
}

// maxAAC bounds an AAC access unit: in an ADTS header, which MPEG-TS puts
// before each, the length has 13 bits and includes the header.
const maxAAC = 1<<13 - 1 - 7

// video takes the body of a video message.
func (d *flvDemuxer) video(stamp time.Duration, body []byte, arrived time.Time) error {
	tag, err := parseVideoTag(body)
	if err != nil {
		return rejected(err.Error())
	}
	before := d.avc.params
	frame := media.Frame{Kind: media.Video, Captured: arrived}
	switch tag.content {
	case tagConfig:
		err = d.avc.configure(tag.data)
	case tagFrames:
		frame.Payload, frame.Key, err = d.avc.accessUnit(tag.data)
	}
	if err != nil {
		return rejected(err.Error())
	}
	if d.avc.params != before {
		if err := d.in.setVideo(d.avc.params); err != nil {
			return err
		}
	}
	if frame.Payload == nil || d.avc.params == nil {
		return nil
	}
	frame.DTS = media.TicksOf(stamp, media.SourceRate)
	frame.PTS = frame.DTS + media.TicksOf(tag.offset, media.SourceRate)
	return d.in.write(frame)
}

// audio takes the body of an audio message.
func (d *flvDemuxer) audio(stamp time.Duration, body []byte, arrived time.Time) error {
	tag, err := parseAudioTag(body)
	if err != nil {
		return rejected(err.Error())
	}
	switch {
	case len(tag.data) == 0: // some encoders begin or end like that
		return nil
	case tag.content == tagConfig:
		return d.configureAAC(tag.data)
	case tag.content != tagFrames || d.aac == nil:
		return nil
	case len(tag.data) > maxAAC:
		return rejected(fmt.Sprintf("AAC access unit of %d bytes is too long", len(tag.data)))
	}
	dts := media.TicksOf(stamp, media.SourceRate)
	return d.in.write(media.Frame{
		Kind: media.Audio, DTS: dts, PTS: dts, Key: true, Payload: tag.data, Captured: arrived,
	})
}

func (d *flvDemuxer) configureAAC(config []byte) error {
	// Explicitly signalled SBR or PS (ISO/IEC 14496-3 §1.6.5.2): a decoder of
	// AAC-LC alone would play half of the spectrum.
	if object := config[0] >> 3; object == 5 || object == 29 {
		return rejected("audio codec HE-AAC is not supported: send AAC-LC")
	}
	p, err := media.ParseAAC(config)
	if err != nil {
		return rejected(err.Error())
	}
	if p.Equal(d.aac) {
		return nil
	}
	d.aac = p
	return d.in.setAudio(p)
}

// data takes the body of a data message. What is not metadata, or cannot be
// read, is none of the stream's business.
func (d *flvDemuxer) data(body []byte) error {
	if m, ok := parseMetadata(body); ok {
		return d.in.setMetadata(m)
	}
	return nil
}

// tagContent says what a tag holds.
type tagContent uint8

const (
	tagOther  tagContent = iota // nothing of interest
	tagConfig                   // what a decoder must know
	tagFrames                   // one access unit
)

// tag is the body of an audio or video tag, its header read.
type tag struct {
	content tagContent
	offset  time.Duration // PTS − DTS
	data    []byte
}

var errShortTag = errors.New("FLV tag is too short")

// parseVideoTag reads a VIDEODATA header (FLV E.4.3.1, Enhanced RTMP
// "ExVideoTagHeader"). Its errors are for the publisher to read.
func parseVideoTag(b []byte) (tag, error) {
	if len(b) == 0 {
		return tag{}, nil
	}
	const (
		commandFrame = 5
		enhanced     = 0x80
	)
	switch {
	case b[0]>>4&7 == commandFrame:
		return tag{}, nil
	case b[0]&enhanced != 0:
		return parseExVideoTag(b)
	}
	if codec := b[0] & 15; codec != 7 {
		return tag{}, unsupportedVideo(nameOf(flvVideoCodecs[:], codec))
	}
	if len(b) < 5 {
		return tag{}, errShortTag
	}
	t := tag{data: b[5:], offset: signed24(b[2:5])}
	switch b[1] {
	case 0:
		t.content = tagConfig
	case 1:
		t.content = tagFrames
	}
	return t, nil
}

// parseExVideoTag reads the enhanced header. H.264 comes in it, too.
func parseExVideoTag(b []byte) (tag, error) {
	const (
		sequenceStart = 0
		codedFrames   = 1
		codedFramesX  = 3 // without composition time
		multitrack    = 6
		modEx         = 7
	)
	kind := b[0] & 15
	switch kind {
	case multitrack:
		return tag{}, errors.New("multitrack video is not supported: send one video track")
	case modEx:
		return tag{}, errors.New("enhanced RTMP with modifiers (ModEx) is not supported")
	}
	if len(b) < 5 {
		return tag{}, errShortTag
	}
	if codec := string(b[1:5]); codec != "avc1" {
		return tag{}, unsupportedVideo(fourCC(codec))
	}
	b = b[5:]
	switch kind {
	case sequenceStart:
		return tag{content: tagConfig, data: b}, nil
	case codedFramesX:
		return tag{content: tagFrames, data: b}, nil
	case codedFrames:
		if len(b) < 3 {
			return tag{}, errShortTag
		}
		return tag{content: tagFrames, offset: signed24(b), data: b[3:]}, nil
	}
	return tag{}, nil
}

// parseAudioTag reads an AUDIODATA header (FLV E.4.2.1, Enhanced RTMP
// "ExAudioTagHeader"). Its errors are for the publisher to read.
func parseAudioTag(b []byte) (tag, error) {
	if len(b) == 0 {
		return tag{}, nil
	}
	const (
		aac      = 10
		enhanced = 9
	)
	switch codec := b[0] >> 4; codec {
	case enhanced:
		return parseExAudioTag(b)
	case aac:
	default:
		return tag{}, unsupportedAudio(nameOf(flvAudioCodecs[:], codec))
	}
	if len(b) < 2 {
		return tag{}, errShortTag
	}
	switch b[1] {
	case 0:
		return tag{content: tagConfig, data: b[2:]}, nil
	case 1:
		return tag{content: tagFrames, data: b[2:]}, nil
	}
	return tag{}, nil
}

func parseExAudioTag(b []byte) (tag, error) {
	const (
		sequenceStart = 0
		codedFrames   = 1
		multitrack    = 5
		modEx         = 7
	)
	kind := b[0] & 15
	switch kind {
	case multitrack:
		return tag{}, errors.New("multitrack audio is not supported: send one audio track")
	case modEx:
		return tag{}, errors.New("enhanced RTMP with modifiers (ModEx) is not supported")
	}
	if len(b) < 5 {
		return tag{}, errShortTag
	}
	if codec := string(b[1:5]); codec != "mp4a" {
		return tag{}, unsupportedAudio(fourCC(codec))
	}
	switch kind {
	case sequenceStart:
		return tag{content: tagConfig, data: b[5:]}, nil
	case codedFrames:
		return tag{content: tagFrames, data: b[5:]}, nil
	}
	return tag{}, nil
}

// signed24 reads a composition time: 24 bits, signed, in milliseconds.
func signed24(b []byte) time.Duration {
	v := int32(uint32(b[0])<<24|uint32(b[1])<<16|uint32(b[2])<<8) >> 8
	return time.Duration(v) * time.Millisecond
}

func unsupportedVideo(codec string) error {
	return fmt.Errorf("video codec %s is not supported: send H.264", codec)
}

func unsupportedAudio(codec string) error {
	return fmt.Errorf("audio codec %s is not supported: send AAC-LC", codec)
}

// Codecs by the numbers FLV gives them. 12 and 13 are in use without being in
// the specification.
var (
	flvVideoCodecs = [...]string{
		2: "Sorenson H.263", 3: "Screen Video", 4: "VP6", 5: "VP6 with alpha", 6: "Screen Video 2", 7: "H.264",
		12: "HEVC", 13: "AV1",
	}
	flvAudioCodecs = [...]string{
		0: "PCM", 1: "ADPCM", 2: "MP3", 3: "PCM", 4: "Nellymoser", 5: "Nellymoser", 6: "Nellymoser",
		7: "G.711 A-law", 8: "G.711 μ-law", 10: "AAC", 11: "Speex", 13: "Opus", 14: "MP3 at 8 kHz",
	}
)

func nameOf(names []string, number byte) string {
	if int(number) < len(names) && names[number] != "" {
		return names[number]
	}
	return fmt.Sprintf("number %d", number)
}

// fourCC names a codec by its four characters.
func fourCC(code string) string {
	switch code {
	case "hvc1":
		return "HEVC"
	case "av01":
		return "AV1"
	case "vp08":
		return "VP8"
	case "vp09":
		return "VP9"
	case "vvc1":
		return "VVC"
	case ".mp3":
		return "MP3"
	case "ac-3":
		return "AC-3"
	case "ec-3":
		return "E-AC-3"
	case "fLaC":
		return "FLAC"
	}
	return fmt.Sprintf("%q", code) // such as "Opus"
}
