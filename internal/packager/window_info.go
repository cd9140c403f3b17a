package packager

import (
	"time"

	"anabranch/internal/media"
)

// WindowInfo is what a multivariant playlist tells of a rendition.
type WindowInfo struct {
	// Params describes the newest media.
	Params media.Params
	// PeakBandwidth is the highest rate of any stretch of segments that lasts 0.5
	// to 1.5 target durations (RFC 8216bis §4.4.6.2), AverageBandwidth that of
	// all, in bit/s. While there is no such run both are that of all parts.
	PeakBandwidth, AverageBandwidth int
	// FrameRate is measured, in frames a second.
	FrameRate float64
	// Playable says that a player can start: there is a whole segment that is no
	// gap, without which hls.js takes a playlist for empty.
	Playable bool
	// Ended says that the playlist has ENDLIST.
	Ended bool
	// Until is the program date and time at which the newest media ends.
	Until time.Time
}

// Params describes the newest media. It measures nothing, as Info does.
func (w *Window) Params() media.Params {
	if last := w.edge.Load().last(); last != nil {
		return last.init.params
	}
	return media.Params{}
}

// Info describes what the playlist lists. What is measured, is measured in
// media of the newest parameters alone, and not where there are gaps.
func (w *Window) Info() WindowInfo {
	e := w.edge.Load()
	info := WindowInfo{Ended: e.ended}
	for _, s := range e.whole() {
		info.Playable = info.Playable || !s.gap()
	}
	last := e.last()
	if last == nil {
		return info
	}
	info.Params = last.init.params
	info.Until = last.until()

	var all amount
	var frames int
	for _, s := range e.listed() {
		if s.init != last.init {
			continue
		}
		all = all.plus(s)
		for i := range s.parts {
			frames += s.parts[i].frames
		}
	}
	info.AverageBandwidth = all.bandwidth()
	info.FrameRate = float64(frames) * media.VideoRate / float64(max(1, all.duration))
	// The average knows media that belongs to no run of whole segments.
	info.PeakBandwidth = max(e.peak(last.init), info.AverageBandwidth)
	return info
}

// peak is the peak segment bit rate, 0 when no run of whole segments is long
// enough.
func (e *edge) peak(of *initSection) (peak int) {
	shortest := media.TicksOf(TargetDuration/2, media.VideoRate)
	longest := media.TicksOf(TargetDuration*3/2, media.VideoRate)
	whole := e.whole()
	for i := range whole {
		var run amount
		for _, s := range whole[i:] {
			run = run.plus(s)
			if s.init != of || run.duration > longest {
				break
			}
			if run.duration >= shortest {
				peak = max(peak, run.bandwidth())
			}
		}
	}
	return peak
}

// amount is how much media some segments hold.
type amount struct {
	size     int64 // bytes
	duration media.Ticks
}

func (a amount) plus(s *mediaSegment) amount {
	for i := range s.parts {
		if p := &s.parts[i]; !p.gap {
			a = amount{a.size + p.size, a.duration + p.duration}
		}
	}
	return a
}

// bandwidth is in bit/s.
func (a amount) bandwidth() int {
	return int(a.size * 8 * int64(time.Second) / max(1, int64(a.duration.Duration(media.VideoRate))))
}
