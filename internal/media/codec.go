package media

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
)

// AAC object type of Low Complexity (ISO/IEC 14496-3 table 1.17).
const aacLC = mpeg4audio.ObjectTypeAACLC

// VideoParams describes an H.264 track. It is read-only once made.
type VideoParams struct {
	// SPS and PPS are the sequence and picture parameter sets, bare NAL units.
	SPS, PPS []byte
	// Width and Height are the displayed size in pixels, after cropping.
	Width, Height int
	// Profile, Constraints and Level are the three bytes after the SPS's NAL
	// header (ITU-T H.264 §7.3.2.1.1).
	Profile, Constraints, Level byte
	// TimingRate is the frame rate the SPS's timing information tells, 0 when
	// it tells none.
	TimingRate float64
}

// ParseH264 reads a track's parameters from its SPS and PPS.
func ParseH264(sps, pps []byte) (*VideoParams, error) {
	if len(sps) < 4 {
		return nil, errors.New("h264 sequence parameter set is shorter than 4 bytes")
	}
	if len(pps) == 0 {
		return nil, errors.New("h264 picture parameter set is missing")
	}
	var s h264.SPS
	if err := s.Unmarshal(sps); err != nil {
		return nil, fmt.Errorf("parse h264 sequence parameter set: %w", err)
	}
	v := &VideoParams{
		SPS: bytes.Clone(sps), PPS: bytes.Clone(pps),
		Width: s.Width(), Height: s.Height(),
		Profile: sps[1], Constraints: sps[2], Level: sps[3],
		TimingRate: s.FPS(),
	}
	if v.Width <= 0 || v.Height <= 0 || v.Width > 16384 || v.Height > 16384 {
		return nil, fmt.Errorf("h264 picture size %dx%d is out of range", v.Width, v.Height)
	}
	if math.IsNaN(v.TimingRate) || math.IsInf(v.TimingRate, 0) || v.TimingRate < 0 || v.TimingRate > 1000 {
		v.TimingRate = 0
	}
	return v, nil
}

// Codec is the RFC 6381 name, such as "avc1.64001f".
func (v *VideoParams) Codec() string {
	return fmt.Sprintf("avc1.%02x%02x%02x", v.Profile, v.Constraints, v.Level)
}

// ProfileName is the profile as IVS names it, such as "High".
func (v *VideoParams) ProfileName() string {
	switch v.Profile {
	case 66:
		if v.Constraints&0x40 != 0 {
			return "Constrained Baseline"
		}
		return "Baseline"
	case 77:
		return "Main"
	case 88:
		return "Extended"
	case 100:
		return "High"
	case 110:
		return "High 10"
	case 122:
		return "High 4:2:2"
	case 244:
		return "High 4:4:4 Predictive"
	}
	return fmt.Sprintf("Profile %d", v.Profile)
}

// LevelName is the level as IVS names it, such as "4.1".
func (v *VideoParams) LevelName() string {
	if v.Level == 9 || v.Level == 11 && v.Profile <= 77 && v.Constraints&0x10 != 0 {
		return "1b"
	}
	return fmt.Sprintf("%d.%d", v.Level/10, v.Level%10)
}

// Equal says whether both describe the same track, parameter sets included.
func (v *VideoParams) Equal(o *VideoParams) bool {
	if v == nil || o == nil {
		return v == o
	}
	return bytes.Equal(v.SPS, o.SPS) && bytes.Equal(v.PPS, o.PPS)
}

// AudioParams describes an AAC track. It is read-only once made.
type AudioParams struct {
	// Config is the AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).
	Config []byte
	// SampleRate is in hertz, and is the track's clock.
	SampleRate int
	// Channels is 1 or 2.
	Channels int
}

// SamplesPerFrame is how many samples an AAC-LC access unit holds.
const SamplesPerFrame = 1024

// sampleRates are those that AAC has a number for (ISO/IEC 14496-3 table 1.18).
// Others can be told in full, but decoders do not take them.
var sampleRates = []int{96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350}

// ParseAAC reads a track's parameters from its AudioSpecificConfig. Anything
// but AAC-LC of one or two channels and 1024 samples a frame is an error.
func ParseAAC(config []byte) (*AudioParams, error) {
	var c mpeg4audio.AudioSpecificConfig
	if err := c.Unmarshal(config); err != nil {
		return nil, fmt.Errorf("parse AudioSpecificConfig: %w", err)
	}
	switch {
	case c.Type != aacLC:
		return nil, fmt.Errorf("audio object type %d is not AAC-LC", c.Type)
	case c.ExtensionType != 0:
		return nil, fmt.Errorf("audio extension type %d (HE-AAC) is not AAC-LC", c.ExtensionType)
	case c.ChannelConfig != 1 && c.ChannelConfig != 2:
		return nil, fmt.Errorf("audio channel configuration %d is neither mono nor stereo", c.ChannelConfig)
	case c.FrameLengthFlag:
		return nil, errors.New("audio frames of 960 samples are not supported")
	case !slices.Contains(sampleRates, c.SampleRate):
		return nil, fmt.Errorf("audio sample rate %d is none of AAC's", c.SampleRate)
	}
	return &AudioParams{Config: bytes.Clone(config), SampleRate: c.SampleRate, Channels: int(c.ChannelConfig)}, nil
}

// Codec is the RFC 6381 name of AAC-LC.
func (*AudioParams) Codec() string { return "mp4a.40.2" }

// Equal says whether both describe the same track.
func (a *AudioParams) Equal(o *AudioParams) bool {
	if a == nil || o == nil {
		return a == o
	}
	return bytes.Equal(a.Config, o.Config)
}

// Params is what a decoder must know of a stream's tracks before its first
// frame. A nil track is absent; Video is never nil in a stream on air.
type Params struct {
	Video *VideoParams
	Audio *AudioParams
}

// Equal says whether both describe the same tracks.
func (p Params) Equal(o Params) bool { return p.Video.Equal(o.Video) && p.Audio.Equal(o.Audio) }

// Codecs is the RFC 6381 list for the CODECS attribute.
func (p Params) Codecs() string {
	switch {
	case p.Video == nil && p.Audio == nil:
		return ""
	case p.Audio == nil:
		return p.Video.Codec()
	case p.Video == nil:
		return p.Audio.Codec()
	}
	return p.Video.Codec() + "," + p.Audio.Codec()
}

// Rate is the clock of a kind's track, in ticks a second.
func (p Params) Rate(k Kind) int {
	if k == Audio && p.Audio != nil {
		return p.Audio.SampleRate
	}
	return VideoRate
}

// Description is what a publisher tells about its stream: what the codec
// headers say, which is binding, and what its metadata claims, which may be
// missing (zero) or wrong.
type Description struct {
	Params
	// Encoder names the sending software, such as "Lavf59.27.100".
	Encoder string
	// FrameRate is the claimed frame rate in frames a second.
	FrameRate float64
	// VideoBitrate and AudioBitrate are the claimed rates in bit/s.
	VideoBitrate, AudioBitrate int
}

// NominalFrameRate is the frame rate to go by: the claimed one, else that of the SPS, else 0.
func (d Description) NominalFrameRate() float64 {
	if d.FrameRate > 0 {
		return d.FrameRate
	}
	if d.Video != nil {
		return d.Video.TimingRate
	}
	return 0
}
