package packager

import (
	"anabranch/internal/media"
	"anabranch/internal/metrics"
)

// maxQueued bounds the audio frames that wait for video: 10.9 s at 48 kHz.
const maxQueued = 512

// soundtrack queues a cutter's audio frames and keeps them without holes. Times
// are in samples unless said otherwise.
//
//	pushed          ▁▁▁▁▁▁▁▁     ▁▁▁▁▁▁▁▁▁▁▁▁▁
//	queued   ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
//	         ↑ first picture                      ↑ part ends
type soundtrack struct {
	params *media.AudioParams // nil when there is no audio
	frames []media.Frame      // the last has no duration yet
	begun  bool               // the first picture has come
	floor  media.Ticks        // earliest DTS the next frame may have
	end    media.Ticks        // of the newest frame, 0 when there is none

	// missing says that pictures have waited for sound in vain. They do not
	// wait again before there is some.
	missing bool
}

// push takes an audio frame.
func (s *soundtrack) push(f media.Frame) {
	s.missing = false
	s.add(f)
}

func (s *soundtrack) add(f media.Frame) {
	switch {
	case s.params == nil:
		drop(f, "track")
		return
	case f.DTS < s.floor:
		drop(f, "order")
		return
	case s.begun:
		s.fill(f.DTS - media.SamplesPerFrame)
	}
	if len(s.frames) >= maxQueued {
		// The oldest are those that the open part needs.
		drop(f, "overflow")
		return
	}
	s.append(f)
}

// fill appends silence until the track ends after t.
func (s *soundtrack) fill(t media.Ticks) {
	for s.end <= t && len(s.frames) < maxQueued {
		s.append(media.Frame{Kind: media.Audio, DTS: s.end, PTS: s.end, Key: true, Payload: silence[s.params.Channels]})
		metrics.PackagerSilence.Inc()
	}
}

// append queues f, which tells the duration of the frame before it.
func (s *soundtrack) append(f media.Frame) {
	if n := len(s.frames); n > 0 {
		s.frames[n-1].Duration = f.DTS - s.frames[n-1].DTS
	}
	f.Duration = 0
	s.frames = append(s.frames, f)
	s.floor, s.end = f.DTS+1, f.DTS+media.SamplesPerFrame
}

// reaches says whether a picture at t, in 90 kHz ticks, has its sound or need
// not wait for it.
func (s *soundtrack) reaches(t media.Ticks) bool {
	return s.params == nil || s.missing || s.end >= s.samples(t)
}

// start begins the track with the first picture, at t in 90 kHz ticks.
func (s *soundtrack) start(t media.Ticks) {
	if s.params == nil {
		return
	}
	queued := s.frames
	s.frames, s.begun, s.floor, s.end = nil, true, s.samples(t), s.samples(t)
	for _, f := range queued {
		s.add(f)
	}
}

// until returns the frames that start before t, in 90 kHz ticks, which with
// silence reach to t at least. They stay queued.
func (s *soundtrack) until(t media.Ticks) []media.Frame {
	if s.params == nil {
		return nil
	}
	end := s.samples(t)
	s.fill(end - 1)
	n := 0
	for n < len(s.frames) && s.frames[n].DTS < end {
		n++
	}
	if n > 0 && s.frames[n-1].Duration == 0 {
		s.frames[n-1].Duration = media.SamplesPerFrame
	}
	return s.frames[:n]
}

// leave says that what begins before t, in 90 kHz ticks, has been taken: what comes
// too late for that is not wanted behind.
func (s *soundtrack) leave(t media.Ticks) {
	if s.params != nil {
		s.floor = max(s.floor, s.samples(t))
	}
}

// stop ends the track: what is queued has no pictures.
func (s *soundtrack) stop() {
	for _, f := range s.frames {
		drop(f, "end")
	}
	*s = soundtrack{params: s.params, frames: remove(s.frames, len(s.frames))}
}

// samples is a time in 90 kHz ticks on the audio clock, rounded up: a frame
// starts before t exactly when its DTS is less, and reaches t when its end is
// not. The product holds for thirty years.
func (s *soundtrack) samples(t media.Ticks) media.Ticks {
	return (t*media.Ticks(s.params.SampleRate) + media.VideoRate - 1) / media.VideoRate
}

// silence is an AAC frame of silence for one and two channels: an element whose
// spectrum has no bands (max_sfb 0, ISO/IEC 14496-3 §4.4.2), which holds at
// every sample rate.
var silence = [...][]byte{
	1: {0x01, 0x18, 0x20, 0x07},
	2: {0x21, 0x10, 0x04, 0x60, 0x8C, 0x1C},
}
