package broadcast

import (
	"time"

	"anabranch/internal/media"
)

// Bounds of what publishers' clocks may do (in source ticks where so typed).
const (
	// maxJump is the largest step of a track's clock that is still a stall or
	// a lost frame. A larger one, either way, begins a new timeline.
	maxJump = 3 * media.SourceRate
	// maxAudioSkew is how far the sample count may part from the stamps,
	// which RTMP rounds to a millisecond, before it follows them.
	maxAudioSkew = 40 * time.Millisecond
	// nominalStep stands in for the distance of two frames that is not known.
	nominalStep = media.SourceRate / 30
	// maxReorder bounds PTS−DTS. Sixteen frames of reordering, the most H.264
	// allows, stay below it at 5 frames a second and more.
	maxReorder = 4 * media.SourceRate
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
// Video leads: its first key frame lands on start, and audio keeps the
// distance to video that its publisher gave it. Audio is counted in samples
// and follows the stamps only when both are more than 40 ms apart.
type clock struct {
	start  media.Ticks // where the next key frame lands, 90 kHz on the timeline
	synced bool        // origin is known
	origin media.Ticks // the source time that lands on start
	video  source
	audio  source
	rate   int // audio's sample rate

	videoEnd  media.Ticks // DTS of the last video frame, on the timeline
	videoStep media.Ticks // the last distance of two frames that went forward
	nextAudio media.Ticks // first free DTS of the audio track, in samples
	counting  bool        // an audio frame was placed: nextAudio counts samples
}

// source unfolds one track's stamps.
type source struct {
	seen   bool
	last   media.Ticks // as stamped
	offset media.Ticks // what unfolding adds
}

// verdict says what becomes of a frame.
type verdict uint8

const (
	use  verdict = iota // the frame's times are now on the timeline
	drop                // it has no place there
	jump                // its track's clock jumped: end the timeline at its last frame, then ask again
)

// newClock makes the clock of a stream that begins at start. rate is the audio
// track's sample rate, 0 when there is none.
func newClock(start media.Ticks, rate int) *clock {
	c := &clock{rate: rate}
	c.restart(start)
	return c
}

// restart puts the next key frame at start, whatever its stamp.
func (c *clock) restart(start media.Ticks) {
	c.start, c.synced = start, false
	c.video, c.audio = source{}, source{}
	c.videoEnd, c.videoStep = start, nominalStep
	// Audio of the stream before may reach one frame over the end of its
	// video, where this stream begins.
	c.nextAudio, c.counting = 0, false
	if c.rate > 0 {
		c.nextAudio = start.Rescale(media.VideoRate, c.rate) + media.SamplesPerFrame
	}
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
	src, ok := c.video.unfold(f.DTS)
	if !ok {
		return jump
	}
	if !c.synced {
		if !f.Key {
			return drop
		}
		c.synced, c.origin = true, src
		f.DTS, f.PTS = c.start, c.start+reorder
		return use
	}
	dts := c.start + src - c.origin
	if dts <= c.videoEnd {
		// A step back too small for a jump: time goes on from the last frame,
		// for both tracks.
		c.origin -= c.videoEnd + c.videoStep - dts
		dts = c.videoEnd + c.videoStep
	}
	c.videoStep, c.videoEnd = dts-c.videoEnd, dts
	f.DTS, f.PTS = dts, dts+reorder
	return use
}

func (c *clock) placeAudio(f *media.Frame) verdict {
	src, ok := c.audio.unfold(f.DTS)
	if !ok {
		return jump
	}
	if !c.synced || c.rate == 0 {
		return drop
	}
	at := c.start + src - c.origin
	if at < c.start || at-c.videoEnd > maxJump || c.videoEnd-at > maxJump {
		return drop
	}
	dts := at.Rescale(media.VideoRate, c.rate)
	skew := (dts - c.nextAudio).Duration(c.rate)
	switch {
	case skew < -maxAudioSkew, skew < 0 && !c.counting:
		return drop
	case skew <= maxAudioSkew && c.counting:
		dts = c.nextAudio
	}
	c.counting = true
	c.nextAudio = dts + media.SamplesPerFrame
	f.DTS, f.PTS = dts, dts
	return use
}

// unfold turns a stamp into a time that does not wrap. It is false when the
// clock jumped; the jump is then taken, so that the next call goes on from it.
func (s *source) unfold(stamp media.Ticks) (at media.Ticks, ok bool) {
	step := stamp - s.last
	first := !s.seen
	s.seen, s.last = true, stamp
	if first || within(step) {
		return stamp + s.offset, true
	}
	for _, wrap := range wraps {
		switch {
		case within(step + wrap):
			s.offset += wrap
			return stamp + s.offset, true
		case within(step - wrap): // a late frame from before the wrap
			s.offset -= wrap
			return stamp + s.offset, true
		}
	}
	return 0, false
}

func within(step media.Ticks) bool { return step >= -maxJump && step <= maxJump }
