package broadcast

import (
	"fmt"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/metrics"
	"anabranch/internal/resource"
)

const (
	// silenceLimit is how long a publisher may send no media before its stream
	// ends.
	silenceLimit = 30 * time.Second

	// starvingWindow is the time looked at to see a stream starve, in beats,
	// and starvingLack how much media must be missing from it.
	starvingWindow = 10
	starvingLack   = 5 * time.Second
	// recoveryWindow is the time looked at to see it recover, in beats, and
	// recoveryLack how much may still be missing from that.
	recoveryWindow = 5
	recoveryLack   = time.Second

	// beat is how often a stream is looked at. One that comes later than
	// lateBeat says that the server itself was held up.
	beat     = time.Second
	lateBeat = 2 * time.Second

	// maxFrame is how much time one picture stands for at most. A slide show
	// may have one a second; where the publisher left out more, it is missing.
	maxFrame = media.SourceRate
)

// pulse tells from the video that arrives whether a stream starves: when more
// than five of the last ten seconds are missing. It has recovered when four of
// the last five have come.
//
// What counts is the video's own time against the server's clock, not bytes: a
// still picture is as healthy as a fast one, and an uplink that is too slow
// shows whether the publisher sends late or leaves frames out. Sums over
// windows let a burst make up for a stall, and publishers send in bursts. What
// came before a change is not looked at again, so that two are at least five
// seconds apart, however the media comes. Neither is what came before the first
// picture, and a jump of the publisher's clock counts as no time at all.
type pulse struct {
	beats  int // since the first picture, the last change or the server's pause
	memory [starvingWindow + 1]struct {
		at      time.Duration
		arrived media.Ticks
	}
	starving bool
}

// beat takes down how much video has arrived by a time, both counted from the
// stream's beginning.
func (p *pulse) beat(at time.Duration, arrived media.Ticks) {
	if p.beats > 0 && at-p.memory[(p.beats-1)%len(p.memory)].at > lateBeat {
		p.beats = 0
	}
	p.remember(at, arrived)
	if !p.starving && p.lack(starvingWindow) > starvingLack ||
		p.starving && p.beats > recoveryWindow && p.lack(recoveryWindow) <= recoveryLack {
		p.starving = !p.starving
		p.beats = 0
		p.remember(at, arrived)
	}
}

func (p *pulse) remember(at time.Duration, arrived media.Ticks) {
	now := &p.memory[p.beats%len(p.memory)]
	now.at, now.arrived = at, arrived
	p.beats++
}

// lack is how much media is missing from the last beats.
func (p *pulse) lack(beats int) time.Duration {
	now := p.memory[(p.beats-1)%len(p.memory)]
	then := p.memory[max(p.beats-1-beats, 0)%len(p.memory)]
	return now.at - then.at - (now.arrived - then.arrived).Duration(media.SourceRate)
}

// arrive counts the time a picture stands for and marks the feed alive.
func (f *Feed) arrive(fr *media.Frame) {
	f.lastMedia.Store(int64(fr.Captured.Sub(f.began)))
	if w := f.watch.Load(); w != nil && f.watch.CompareAndSwap(w, nil) {
		close(*w)
	}
	if fr.Kind != media.Video {
		return
	}
	step, ok := unwrap(fr.DTS - f.lastStamp)
	if f.lastStamp = fr.DTS; ok {
		f.arrived.Add(int64(min(max(step, 0), maxFrame)))
	}
	f.pictures.Store(true)
}

// nextMedia is closed when the next frame arrives.
func (f *Feed) nextMedia() <-chan struct{} {
	for {
		if w := f.watch.Load(); w != nil {
			return *w
		}
		w := make(chan struct{})
		if f.watch.CompareAndSwap(nil, &w) {
			return w
		}
	}
}

// health says how well media arrives; it is unknown until there is some.
func (f *Feed) health() resource.StreamHealth {
	switch {
	case f.starving.Load():
		return resource.Starving
	case f.pictures.Load():
		return resource.Healthy
	}
	return resource.UnknownHealth
}

// check looks at the stream once a second.
func (f *Feed) check() {
	f.checking.Lock()
	why := f.examine(time.Since(f.began))
	if why == nil {
		f.timer.Reset(beat)
	}
	f.checking.Unlock()
	if why != nil {
		f.end(why, "")
	}
}

// stopChecking ends the looks at the stream: after it, none is under way and
// none will come. A stream that starves to its end has no Starvation End: it did
// not recover.
func (f *Feed) stopChecking() {
	f.checking.Lock()
	defer f.checking.Unlock()
	if f.timer != nil {
		f.timer.Stop()
	}
	f.setStarving(false)
}

// examine returns why the stream must end at its age, if it must.
func (f *Feed) examine(age time.Duration) error {
	select {
	case <-f.done:
		return f.err
	default:
	}
	if age-time.Duration(f.lastMedia.Load()) >= silenceLimit {
		return &Refused{Code: CodeFailed, Reason: fmt.Sprintf("no media arrived for %v", silenceLimit)}
	}
	if err := f.checkDuration(age); err != nil {
		return err
	}
	f.keepDescription()
	if f.pictures.Load() {
		f.pulse.beat(age, media.Ticks(f.arrived.Load()))
		f.tellHealth(f.pulse.starving)
	}
	return nil
}

// tellHealth tells a change of health. What cannot be stored is told with the
// next beat, if it still holds.
func (f *Feed) tellHealth(starving bool) {
	if starving == f.starving.Load() {
		return
	}
	name := resource.StarvationEnd
	if starving {
		name = resource.StarvationStart
	}
	if err := f.tell(resource.StreamHealthChange, name); err != nil {
		f.log.Error("health cannot be told", "health", name, "error", err)
		return
	}
	f.setStarving(starving)
	f.log.Info("stream health changed", "health", name)
}

func (f *Feed) setStarving(starving bool) {
	if f.starving.Swap(starving) == starving {
		return
	}
	if starving {
		metrics.StreamsStarving.Inc()
	} else {
		metrics.StreamsStarving.Dec()
	}
}
