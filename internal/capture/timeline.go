package capture

import (
	"time"

	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/rtc"
)

const (
	// patience is how long a kind of media may be silent before there is known to be
	// none. It is longer than what [rtc.Reader] waits for a repair by what the
	// network may take for the packet behind.
	patience = rtc.Patience + 500*time.Millisecond

	// quiet is how long all of a publisher may be silent before that is known to be
	// a pause. A connection that is lost is over by then, and ends with the last that
	// came of it.
	quiet = 12 * time.Second

	// maxLate is how long before its arrival a frame may have been captured.
	maxLate = 10 * time.Second

	// zero is where the first frame lies. No frame lies at [packager.Origin] or before:
	// there a cutter takes a stretch for the first.
	zero = packager.Origin + 11*media.VideoRate
)

// timeline is where a time of the server's clock lies in the media: it begins at
// [zero] and counts that clock's time, but for the time in which nobody was there. The
// recorder moves it behind what a recording has already.
type timeline struct {
	epoch  time.Time   // of zero; unknown until there was a frame
	joint  media.Ticks // where time was left out last
	before time.Time   // the epoch of what lies before that
}

// place is where a frame lies. Clocks that go wrong are the publisher's alone, but a
// frame cannot have been captured after it arrived, and one that is hours late is not.
func (l *timeline) place(f *rtc.Frame) media.Ticks {
	at := f.Time
	switch {
	case at.After(f.Arrived):
		at = f.Arrived
	case at.Before(f.Arrived.Add(-maxLate)):
		at = f.Arrived.Add(-maxLate)
	}
	if l.epoch.IsZero() {
		l.epoch = at
	}
	return l.ticks(at)
}

// ticks is where a time lies, in 90 kHz ticks.
func (l *timeline) ticks(at time.Time) media.Ticks {
	return zero + media.TicksOf(at.Sub(l.epoch), media.VideoRate)
}

// time is what the server's clock showed at a place of 90 kHz ticks.
func (l *timeline) time(at media.Ticks) time.Time {
	epoch := l.epoch
	if at < l.joint {
		epoch = l.before
	}
	return epoch.Add((at - zero).Duration(media.VideoRate))
}

// leaveOut lets what lay at a place lie at an earlier one from now on.
func (l *timeline) leaveOut(at, joint media.Ticks) {
	l.joint, l.before = joint, l.epoch
	l.epoch = l.epoch.Add((at - joint).Duration(media.VideoRate))
}

// samples is a place of 90 kHz ticks on the clock of sound.
func samples(at media.Ticks) media.Ticks { return at.Rescale(media.VideoRate, soundRate) }

// soundRate is the clock of [transcode.Voice], in samples a second.
const soundRate = 48_000

// ticksOf is a duration in 90 kHz ticks.
func ticksOf(d time.Duration) media.Ticks { return media.TicksOf(d, media.VideoRate) }

// inflow is what has come of one kind of media.
type inflow struct {
	offered bool        // the connection may send it
	some    bool        // there was some, ever
	first   media.Ticks // place of its first frame
	newest  media.Ticks // and of its newest
}

func (i *inflow) add(at media.Ticks) {
	if !i.some {
		i.some, i.first, i.newest = true, at, at
	}
	i.newest = max(i.newest, at)
}

// known says up to where it is known what there is of each kind, by now.
func (c *capture) known(now time.Time) (sound, pictures media.Ticks) {
	if c.ending {
		return c.end, c.end - ticksOf(everyCopy/2) // for no copy is as short as what is left
	}
	all := c.timeline.ticks(now.Add(-quiet))
	for _, in := range []*inflow{&c.sound.inflow, &c.pictures.inflow} {
		if in.some {
			all = max(all, in.newest)
		}
	}
	late := min(all, c.timeline.ticks(now.Add(-patience)))
	of := func(in *inflow) media.Ticks {
		switch {
		case !in.offered:
			return all
		case !in.some:
			return late
		}
		return max(in.newest, late)
	}
	return of(&c.sound.inflow), of(&c.pictures.inflow)
}
