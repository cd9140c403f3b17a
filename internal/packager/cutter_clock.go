package packager

import (
	"time"

	"anabranch/internal/media"
)

const (
	// PROGRAM-DATE-TIME may be maxClockSkew from the server's clock. Beyond, it
	// is brought closer; beyond maxClockLag, at once.
	maxClockSkew = 10 * time.Millisecond
	maxClockLag  = 500 * time.Millisecond
)

// witness takes note of when a picture arrived, for the clock. Round drops the
// monotonic reading: program date and time is wall time.
func (c *Cutter) witness(f *media.Frame) {
	zero := f.Captured.Round(0).Add(-f.DTS.Duration(media.VideoRate))
	if c.anchor.IsZero() || zero.Before(c.anchor) {
		c.anchor = zero
	}
}

// clock is the program date and time of the open part: that of the last one's
// end, but checked against the server's clock where a segment starts. No picture
// can be made after it has arrived, and the most punctual one arrived right
// away, as far as anybody can tell; going by that one, a stall that is made up
// for leaves no trace.
//
// Where publisher and server differ the clock gives way by a hundredth of the
// time, too little to notice. Where it is far behind it is set; where it is far
// ahead it is set back by half of the time, so that segments always begin one
// after the other.
func (c *Cutter) clock() time.Time {
	if !c.part.Segment || len(c.part.Video) == 0 || c.part.Video[0].DTS != c.part.Start || c.anchor.IsZero() {
		return c.now
	}
	at := c.anchor.Add(c.part.Start.Duration(media.VideoRate))
	c.anchor = time.Time{}
	lag, before := at.Sub(c.now), c.before.Duration(media.VideoRate)
	switch {
	case c.now.IsZero(), lag > maxClockLag, c.part.Discontinuity && lag > 0:
		return at
	case lag.Abs() <= maxClockSkew, c.part.Discontinuity:
		return c.now
	case lag < -maxClockLag:
		return c.now.Add(max(lag, -before/2))
	}
	return c.now.Add(min(max(lag, -before/100), before/100))
}
