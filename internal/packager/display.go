package packager

import "anabranch/internal/media"

// display is what a stream's pictures so far amount to in the order in which they
// are shown, in 90 kHz ticks.
type display struct {
	end  media.Ticks // when all have been shown, going by their durations
	last media.Ticks // the greatest PTS
	gap  media.Ticks // from the greatest but one to that, 0 if it is not shown late
}

// with takes in more pictures, in decoding order. A longer one counts for maxPart.
func (d display) with(pictures []media.Frame) display {
	for i := range pictures {
		f := &pictures[i]
		d.end = max(d.end, f.PTS+min(f.Duration, maxPart))
		switch back := d.last - f.PTS; {
		case back < 0:
			d.gap, d.last = 0, f.PTS
			if f.PTS > f.DTS {
				d.gap = -back
			}
		case back > 0:
			d.gap = min(d.gap, back)
		}
	}
	return d
}

// tail is how much longer than to end, until when they are decoded, they are
// shown. Where a stream is torn off, B-frames may be missing before its last
// picture. As MPEG-TS tells no durations, players let that one last as long as the
// one before it.
func (d display) tail(end media.Ticks) media.Ticks {
	if d.end <= end {
		return 0
	}
	return max(d.end, d.last+min(d.gap, maxPart)) - end
}
