package transcode

import (
	"fmt"
	"math"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/resource"
)

// Plan says which renditions a stream has beside, or instead of, its source.
type Plan struct {
	// Source says that the source is offered to viewers too.
	Source bool
	// Rungs are transcoded, best first; sound alone comes last.
	Rungs []Rung
}

// AudioOnly is the name of the rendition without pictures.
const AudioOnly = "audio_only"

// Rung is a rendition that a [Ladder] makes.
type Rung struct {
	// Name is that of the rendition: its short side and frames a second, such as
	// "720p60", or [AudioOnly].
	Name string
	// Width and Height are in pixels and even, 0 for sound alone.
	Width, Height int
	// FrameRate is nominal, in frames a second; 0 for sound alone.
	FrameRate float64
	// Halve says that about every other picture is left out, counted from key
	// frames.
	Halve bool
	// VideoBitrate is in bit/s, 0 for sound alone.
	VideoBitrate int
	// AudioBitrate of transcoded sound is in bit/s. It is 0 where the source's
	// sound is passed through, or where there is none.
	AudioBitrate int
	// KeyInterval is how far key frames are apart at most; they are at least
	// where the source has them. Where it is 0 they are exactly the source's, and
	// with open GOPs also the pictures at which a decoder can recover.
	KeyInterval time.Duration
}

// step is a line of a ladder's table: a size, and the bitrates for it.
type step struct {
	short           int  // of the picture's sides, in pixels
	full            bool // the frame rate is not halved
	video, videoMax int  // bit/s; videoMax in full size beyond 30 frames a second
	audio           int  // bit/s; 0 passes the source's through
}

// The ladders of IVS. An advanced channel's sound is the same with both presets.
var (
	standard = []step{
		{short: 720, full: true, video: 2_400_000, videoMax: 3_400_000},
		{short: 480, video: 1_400_000},
		{short: 360, video: 630_000, audio: 64_000},
		{short: 160, video: 230_000, audio: 48_000},
	}
	higherBandwidth = []step{
		{short: 720, full: true, video: 2_300_000, videoMax: 3_000_000, audio: 128_000},
		{short: 480, video: 1_300_000, audio: 128_000},
		{short: 360, video: 700_000, audio: 64_000},
		{short: 160, video: 270_000, audio: 48_000},
	}
	constrainedBandwidth = []step{
		{short: 720, full: true, video: 1_900_000, videoMax: 2_200_000, audio: 128_000},
		{short: 480, video: 800_000, audio: 128_000},
		{short: 360, video: 400_000, audio: 64_000},
		{short: 160, video: 220_000, audio: 48_000},
	}
)

const (
	// maxSlowRate is the highest frame rate of what counts as the family of 30
	// frames a second; beyond, a step that is not full has every other picture.
	maxSlowRate = 36
	// unknownRate stands for a frame rate that the publisher does not tell, or
	// that cannot be true.
	unknownRate = 30

	audioOnlyBitrate = 64_000
	keyInterval      = 2 * time.Second
)

// PlanOf is the ladder of a channel's type and preset for a stream of these
// tracks and that frame rate, which is 0 where the publisher does not tell it.
//
// STANDARD passes the source through and adds every step that is smaller.
// ADVANCED makes all of it anew, at the source's size first unless that is
// beyond the cap of 480 or 720; nothing is ever made larger. A size is that of
// the short side, so that pictures may lie or stand, and the other side follows
// from the source's shape.
func PlanOf(t resource.ChannelType, preset resource.TranscodePreset, in media.Params, frameRate float64) Plan {
	if in.Video == nil || t != resource.Standard && !t.Advanced() {
		return Plan{Source: true}
	}
	s := source{width: in.Video.Width, height: in.Video.Height, rate: frameRate, interval: keyInterval, sound: in.Audio != nil}
	if !(frameRate >= 1 && frameRate <= 240) { // NaN too
		// Key frames are placed by counting pictures: at half the rate they are
		// still near enough.
		s.rate, s.interval = unknownRate, keyInterval/2
	}
	if t == resource.Standard {
		s.interval = 0
		plan := Plan{Source: true}
		for _, st := range standard {
			if st.short < s.short() {
				plan.Rungs = append(plan.Rungs, s.rung(st, st.short))
			}
		}
		return plan
	}
	steps := higherBandwidth
	if preset == resource.ConstrainedBandwidth {
		steps = constrainedBandwidth
	}
	if t == resource.AdvancedSD {
		steps = steps[1:]
	}
	return Plan{Rungs: s.advanced(steps)}
}

// source is what a ladder is planned for.
type source struct {
	width, height int
	rate          float64
	interval      time.Duration // KeyInterval of the rungs
	sound         bool
}

func (s source) short() int { return min(s.width, s.height) }

// advanced makes a rung of the source's own size or the first of steps, by the
// smallest step that is no smaller, then one of each step below.
func (s source) advanced(steps []step) (rungs []Rung) {
	top := min(s.short(), steps[0].short)
	for i, st := range steps {
		if i+1 == len(steps) || steps[i+1].short < even(top) {
			rungs = append(rungs, s.rung(st, min(st.short, top)))
		}
	}
	if s.sound {
		rungs = append(rungs, Rung{Name: AudioOnly, AudioBitrate: audioOnlyBitrate})
	}
	return rungs
}

// rung makes one whose short side is short, or a pixel less.
func (s source) rung(st step, short int) Rung {
	r := Rung{
		Width: even(s.width * short / s.short()), Height: even(s.height * short / s.short()),
		FrameRate: s.rate, VideoBitrate: st.video, KeyInterval: s.interval,
	}
	switch {
	case s.rate <= maxSlowRate:
	case st.full && short == st.short:
		r.VideoBitrate = st.videoMax
	case st.full:
	default:
		r.Halve, r.FrameRate = true, s.rate/2
	}
	if s.sound {
		r.AudioBitrate = st.audio
	}
	r.Name = fmt.Sprintf("%dp%d", min(r.Width, r.Height), int(math.Round(r.FrameRate)))
	return r
}

// even rounds down: the colour of pictures has half their size.
func even(n int) int { return max(2, n&^1) }
