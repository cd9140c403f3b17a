package rtc

import (
	"errors"
	"time"
)

// Limits are what one participant may publish. A field of 0 is no limit.
type Limits struct {
	Bitrate       int // bit/s of sound and all layers together, payload only
	Width, Height int // the picture's long and short side, whichever way it is turned
}

// Why a connection that publishes was ended for what it sent.
var (
	ErrBitrate    = errors.New("the bitrate is above the limit")
	ErrResolution = errors.New("the picture is larger than the limit, or nobody can tell")
)

// fits tells whether a picture is within the limits.
func (l Limits) fits(width, height int) bool {
	return (l.Width == 0 || max(width, height) <= l.Width) && (l.Height == 0 || min(width, height) <= l.Height)
}

// bitrateWindow is the time, in seconds, over which a bitrate is held against its
// limit: encoders overshoot, above all where a scene begins.
const bitrateWindow = 10

// meter counts by the second.
type meter struct {
	begun   time.Time
	now     int64                  // the second that is being counted
	seconds [bitrateWindow + 1]int // of second s at s modulo the length
}

// add counts n at an instant, and tells whether a second has just become whole.
func (m *meter) add(n int, at time.Time) (whole bool) {
	if m.begun.IsZero() {
		m.begun = at
	}
	before := m.now
	m.advance(at)
	m.seconds[m.now%int64(len(m.seconds))] += n
	return m.now > before
}

// rate is what the last whole second before an instant counted, and the sum of the
// last whole bitrateWindow seconds.
func (m *meter) rate(at time.Time) (last, sum int) {
	if m.begun.IsZero() {
		return 0, 0
	}
	m.advance(at)
	for second, n := range m.seconds {
		if int64(second) != m.now%int64(len(m.seconds)) {
			sum += n
		}
	}
	return m.seconds[(m.now+bitrateWindow)%int64(len(m.seconds))], sum
}

func (m *meter) advance(at time.Time) {
	second := int64(at.Sub(m.begun) / time.Second)
	for range min(max(second-m.now, 0), int64(len(m.seconds))) {
		m.now++
		m.seconds[m.now%int64(len(m.seconds))] = 0
	}
	if second > m.now { // so long ago that all counts are 0
		m.now = second
	}
}
