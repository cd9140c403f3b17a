package broadcast

import (
	"time"

	"anabranch/internal/media"
)

// Bounds of what publishers' clocks may do, in source ticks unless so typed.
const (
	// maxJump is the largest step of the video's clock that is still a stall
	// or lost frames. A larger one, either way, begins a new timeline.
	maxJump = 3 * media.SourceRate
	// squeeze is how far a picture may be stamped behind the last one and
	// still be put close behind it, with the next one at its own time again.
	squeeze = media.SourceRate / 100
	// squeezed is the distance of the two.
	squeezed = media.SourceRate / 1000
	// nominalStep stands in for the distance of two frames that is not known,
	// maxStep bounds it after a stall.
	nominalStep = media.SourceRate / 30
	maxStep     = media.SourceRate / 10
	// patience is how long audio may take to step back after video did.
	patience = media.SourceRate
	// maxReorder bounds PTS−DTS. Sixteen frames of reordering, the most H.264
	// allows, stay below it at 5 frames a second and more.
	maxReorder = 4 * media.SourceRate

	// maxAudioSkew is how far the sample count may part from the stamps. With
	// squeeze, sound and picture are never more than 40 ms further apart than
	// their publisher stamped them.
	maxAudioSkew = 30 * time.Millisecond
	// fineRate is the least sample rate whose frames are short enough to
	// correct the count by whole ones: 46 ms.
	fineRate = 22_050
)

// wraps are the spans after which publishers' clocks begin anew: RTMP's 32-bit
// and, from some encoders, 31- and 24-bit milliseconds, MPEG-TS's 33-bit ticks.
var wraps = [...]media.Ticks{
	(1 << 32) * (media.SourceRate / 1000),
	(1 << 31) * (media.SourceRate / 1000),
	(1 << 24) * (media.SourceRate / 1000),
	1 << 33,
}

// clock maps the times a publisher stamps, which begin anywhere, wrap, jump
// and drift, to the broadcast's timeline.
//
// Video leads: its first key frame lands on start, and from there it keeps to
// its stamps. Only where these go back does it part from them for good. That
// picture is shown as soon as it is decoded, though a publisher with B-frames
// stamps it later: all of a stream begins where all of the one before ended. Were
// there a hole, if only of two pictures, browsers would stop at the join.
//
// Audio keeps the distance to video that its publisher gave it, but in a grid
// of whole frames that begins with the timeline. Its stamps are rounded to the
// millisecond and drift against its samples, and players who count samples
// would drift with them. So a frame goes where the one before ends until the
// stamps are 30 ms away; then one frame is left out, or room made for one of
// silence: at a drift of 100 ppm one in three and a half minutes, as few as can
// be. A frame or two that the network lost are closed up the same way.
type clock struct {
	start  media.Ticks // where the next key frame lands, 90 kHz on the timeline
	synced bool        // the key frame came
	rate   int         // audio's sample rate

	// What is added to a stamp makes its time on the timeline. Audio's differs
	// from video's by wraps only one of them has seen, and by owed.
	videoShift, audioShift media.Ticks
	// owed is how far video was shifted for stepping back that audio was not:
	// frames stamped before the step are still on their way.
	owed   media.Ticks
	owedAt media.Ticks // the step, on the timeline

	stamp     media.Ticks // of the last video frame
	videoEnd  media.Ticks // its DTS on the timeline
	videoStep media.Ticks // the last distance of two frames that went forward
	nextAudio media.Ticks // first free DTS of the audio track, in samples
	counting  bool        // an audio frame was placed
}

// verdict says what becomes of a frame.
type verdict uint8

const (
	use  verdict = iota // the frame's times are now on the timeline
	drop                // it has no place there
	jump                // the video's clock jumped: end the timeline at its last frame, then ask again
)

// newClock makes the clock of a stream that begins at start. rate is the audio
// track's sample rate in hertz; what it is without audio does not matter.
func newClock(start media.Ticks, rate int) *clock {
	c := &clock{rate: rate}
	c.restart(start)
	return c
}

// restart puts the next key frame at start, whatever its stamp.
func (c *clock) restart(start media.Ticks) {
	*c = clock{start: start, rate: c.rate, videoEnd: start, videoStep: nominalStep}
	// Audio of the stream before may reach one frame over the end of its
	// video, where this stream begins. Rounding up as the cutter does, which
	// fills that frame with silence, leaves no gap between the two.
	first := (start*media.Ticks(c.rate) + media.VideoRate - 1) / media.VideoRate
	c.nextAudio = first + media.SamplesPerFrame
}

// place moves f from its publisher's clock to the timeline.
func (c *clock) place(f *media.Frame) verdict {
	if f.Kind == media.Audio {
		return c.placeAudio(f)
	}
	return c.placeVideo(f)
}

func (c *clock) placeVideo(f *media.Frame) verdict {
	reorder := f.PTS - f.DTS
	if reorder < -maxReorder || reorder > maxReorder {
		reorder = 0
	}
	switch {
	case !c.synced && !f.Key:
		return drop
	case !c.synced:
		c.synced, reorder = true, 0
		c.videoShift = c.start - f.DTS
		c.audioShift = c.videoShift
	default:
		step, ok := unwrap(f.DTS - c.stamp)
		switch {
		case ok:
			c.videoShift += c.stamp + step - f.DTS
		case f.Key:
			return jump
		default:
			// There is no picture to begin anew with, and in an endless GOP
			// none will come. This one goes on from those before.
			c.videoShift = c.videoEnd + c.videoStep - f.DTS
			c.audioShift, c.owed = c.videoShift, 0
		}
		c.follow(f.DTS)
	}
	c.stamp = f.DTS
	f.DTS, f.PTS = c.videoEnd, c.videoEnd+reorder
	return use
}

// follow moves videoEnd to the time of stamp, or behind where it is.
func (c *clock) follow(stamp media.Ticks) {
	dts := stamp + c.videoShift
	switch back := c.videoEnd - dts; {
	case back < 0:
		c.videoStep = min(-back, maxStep)
	case back <= squeeze:
		dts = c.videoEnd + squeezed
	default:
		if c.owed == 0 {
			c.owedAt = c.videoEnd
		}
		dts = c.videoEnd + c.videoStep
		c.videoShift += back + c.videoStep
		c.owed += back + c.videoStep
	}
	c.videoEnd = dts
}

func (c *clock) placeAudio(f *media.Frame) verdict {
	if !c.synced {
		return drop
	}
	at, ok := c.beside(f.DTS)
	if !ok {
		return drop
	}
	dts := at.Rescale(media.VideoRate, c.rate)
	if c.owed > 0 {
		paid := (at + c.owed).Rescale(media.VideoRate, c.rate)
		// Whichever goes on better from the last frame tells whether this
		// one was stamped before the step.
		if c.videoEnd-c.owedAt > patience || apart(paid, c.nextAudio) < apart(dts, c.nextAudio) {
			c.audioShift += c.owed
			c.owed, dts = 0, paid
		}
	}
	if !c.count(dts) {
		return drop
	}
	f.DTS, f.PTS = c.nextAudio, c.nextAudio
	c.nextAudio += media.SamplesPerFrame
	c.counting = true
	return use
}

// beside is the time of an audio stamp on the timeline, within three seconds
// of the newest picture. Audio that is nowhere near has no place: either video
// is about to jump, too, or there is nothing to go by.
func (c *clock) beside(stamp media.Ticks) (at media.Ticks, ok bool) {
	step, ok := unwrap(stamp + c.audioShift - c.videoEnd)
	if !ok {
		return 0, false
	}
	c.audioShift = c.videoEnd + step - stamp
	return c.videoEnd + step, true
}

// count moves nextAudio to where a frame stamped dts goes. It is false when
// there is no room for it.
func (c *clock) count(dts media.Ticks) bool {
	grid, bound := media.Ticks(media.SamplesPerFrame), media.TicksOf(maxAudioSkew, c.rate)
	if c.rate < fineRate {
		grid = 1
	}
	if !c.counting {
		bound = grid / 2
	}
	skew := dts - c.nextAudio
	switch {
	case skew > bound:
		c.nextAudio += (skew + grid/2) / grid * grid
	case skew >= -bound:
	case grid == 1 && c.counting && skew > -media.SamplesPerFrame:
		c.nextAudio = dts
	default:
		return false
	}
	return true
}

// unwrap takes a wrap out of a step between two stamps. It is false when the
// step is a jump.
func unwrap(step media.Ticks) (_ media.Ticks, ok bool) {
	if within(step) {
		return step, true
	}
	for _, wrap := range wraps {
		switch {
		case within(step + wrap):
			return step + wrap, true
		case within(step - wrap): // a late frame from before the wrap
			return step - wrap, true
		}
	}
	return 0, false
}

func apart(a, b media.Ticks) media.Ticks { return max(a-b, b-a) }

func within(step media.Ticks) bool { return step >= -maxJump && step <= maxJump }
