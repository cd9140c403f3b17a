package packager

import (
	"slices"

	"anabranch/internal/media"
)

// display is how far a stream's pictures are shown, in 90 kHz ticks.
type display struct {
	end    media.Ticks    // when all have been shown, going by their durations
	newest media.Ticks    // the DTS of the newest
	recent [8]media.Ticks // the PTS of the newest, in decoding order; 0 for none
	late   bool           // the last in order of presentation is shown later than it is decoded
}

// displayFrom is that of a stream that begins with f.
func displayFrom(f *media.Frame) display { return display{end: f.PTS, newest: f.DTS - 1} }

// with takes in more pictures, in decoding order. A longer one counts for maxPart.
func (d display) with(pictures []media.Frame) display {
	for i := range pictures {
		f := &pictures[i]
		d.end = max(d.end, f.PTS+min(f.Duration, maxPart))
		if f.DTS > d.newest {
			d.newest = f.DTS
			if f.PTS > slices.Max(d.recent[:]) {
				d.late = f.PTS > f.DTS
			}
			copy(d.recent[:], d.recent[1:])
			d.recent[len(d.recent)-1] = f.PTS
		}
	}
	return d
}

// tail is how much longer than to end, until when they are decoded, they are
// shown.
func (d display) tail(end media.Ticks) media.Ticks {
	switch {
	case d.end <= end:
		return 0
	case !d.late:
		return d.end - end
	}
	return max(d.end, d.guess()) - end
}

// guess is when the picture shown last ends for players that do not know its
// duration, for MPEG-TS tells none. Chromium's own takes it to last as long as
// the picture decoded before it, which is until the next one is shown. Where a
// stream is torn off, B-frames may be missing between the two.
func (d display) guess() media.Ticks {
	last := 0
	for i, pts := range d.recent {
		if pts > d.recent[last] {
			last = i
		}
	}
	if last == 0 || d.recent[last-1] == 0 {
		return 0
	}
	before, next := d.recent[last-1], d.recent[last]
	for _, pts := range d.recent {
		if pts > before {
			next = min(next, pts)
		}
	}
	return d.recent[last] + min(next-before, maxPart)
}
