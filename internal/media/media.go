// Package media has the words for pictures and sound on their way through the
// server: tracks, codec parameters, frames and the clocks they are counted on.
//
// A frame keeps one form from the publisher's socket to the last byte written:
// video as length-prefixed NAL units (ISO/IEC 14496-15 §5.3.4, four-byte
// lengths), audio as one raw AAC access unit without ADTS header. Writers add
// what their container wants.
package media

import (
	"time"
)

// Ticks counts time on a track's own clock: 90 000 a second for video, the
// sample rate for audio. Frames fresh from a publisher count both kinds on
// [SourceRate].
type Ticks int64

const (
	// VideoRate is the clock of every video track, in ticks a second.
	VideoRate = 90_000
	// SourceRate is the clock of frames as publishers stamp them.
	SourceRate = 90_000
)

// TicksOf converts d to a clock of rate ticks a second, rounding to the
// nearest tick. Whole seconds are split off first, because d*rate overflows an
// int64 after 28 hours at 90 kHz.
func TicksOf(d time.Duration, rate int) Ticks {
	whole, rest := int64(d/time.Second), int64(d%time.Second)
	half := int64(time.Second) / 2
	if rest < 0 {
		half = -half
	}
	return Ticks(whole*int64(rate) + (rest*int64(rate)+half)/int64(time.Second))
}

// Duration converts t, counted at rate ticks a second, to a duration, rounding
// to the nearest nanosecond.
func (t Ticks) Duration(rate int) time.Duration {
	r := int64(rate)
	whole, rest := int64(t)/r, int64(t)%r
	half := r / 2
	if rest < 0 {
		half = -half
	}
	return time.Duration(whole)*time.Second + time.Duration((rest*int64(time.Second)+half)/r)
}

// Rescale converts t from a clock of from ticks a second to one of to,
// rounding to the nearest tick.
func (t Ticks) Rescale(from, to int) Ticks {
	if from == to {
		return t
	}
	f := int64(from)
	whole, rest := int64(t)/f, int64(t)%f
	half := f / 2
	if rest < 0 {
		half = -half
	}
	return Ticks(whole*int64(to) + (rest*int64(to)+half)/f)
}

// Kind tells a video track from an audio track.
type Kind uint8

// The kinds of track.
const (
	Video Kind = iota
	Audio
)

func (k Kind) String() string {
	if k == Audio {
		return "audio"
	}
	return "video"
}

// Frame is one access unit. Its Payload is read-only once the frame has been
// handed on: several writers read it at once and none copies it.
type Frame struct {
	Kind Kind
	// DTS and PTS are the decoding and presentation times. PTS differs from
	// DTS only in video with B-frames.
	DTS, PTS Ticks
	// Duration is the time to the next frame of the track; the packager fills
	// it in, it is zero before.
	Duration Ticks
	// Key marks a random access point: an IDR picture, or any audio frame.
	Key bool
	// Payload of video is length-prefixed NAL units, parameter sets before
	// each IDR picture; of audio one raw AAC access unit.
	Payload []byte
	// Captured is when the frame's last byte arrived, by the server's clock.
	Captured time.Time
}
