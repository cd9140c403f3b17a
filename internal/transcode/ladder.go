package transcode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/metrics"
)

// Ladder makes the rungs of one stream. It keeps a process of ffmpeg going: one
// that dies, hangs or falls behind is replaced at once, and the next begins with
// the next key frame. What lies between is missing from every rung; nothing else
// notices.
type Ladder struct {
	t       *Transcoder
	in      media.Params
	recipe  recipe
	log     *slog.Logger
	out     Output
	queue   queue
	outputs []delivered // by the recipe's outputs, each its reader's own
	cancel  context.CancelFunc
	done    chan struct{}
	err     error // why the last process ended, once done is closed
}

// delivered is what an output has delivered, across processes.
type delivered struct {
	track media.Params
	last  media.Ticks // PTS of the newest frame
	any   bool
}

// bounds are what ladders and voices put up with. Tests, which feed as fast as they can,
// put up with more.
type bounds struct {
	queueBytes int           // that wait for ffmpeg
	queueSpan  time.Duration // of pictures that do
	// A process is behind when more than slack, and more pictures than an encoder
	// may hold back, have not come out for patience; for startPatience if none has
	// come out yet.
	slack, patience, startPatience time.Duration
	// voicePatience is for how long nothing may come of a voice.
	voicePatience time.Duration
	// finish is how long the last frames may take to come out.
	finish time.Duration
	// healthy is how long a process lives whose end is no sign of another.
	healthy time.Duration
}

var usualBounds = bounds{
	queueBytes: 16 << 20, queueSpan: 8 * time.Second,
	slack: 500 * time.Millisecond, patience: 2 * time.Second, startPatience: 5 * time.Second,
	voicePatience: 8 * time.Second, finish: 5 * time.Second, healthy: 30 * time.Second,
}

const (
	// maxHeld is how many pictures decoder and encoders may hold back: H.264
	// reorders sixteen at most (ITU-T H.264 §A.3.1).
	maxHeld = 20
	// maxPause bounds the pause before a process is replaced, which doubles while
	// they die young.
	maxPause = 30 * time.Second
	// look is how often a process is looked at.
	look = 100 * time.Millisecond
)

// Start begins a ladder for frames of the tracks in, whose frames it hands to
// out. It returns at once. End it with Finish or Kill.
func (t *Transcoder) Start(in media.Params, rungs []Rung, log *slog.Logger, out Output) *Ladder {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Ladder{
		t: t, in: in, recipe: newRecipe(parseEncoder(t.cfg.Encoder), in, rungs), log: log, out: out,
		cancel: cancel, done: make(chan struct{}),
	}
	l.outputs = make([]delivered, len(l.recipe.outputs))
	l.queue = queue{
		rate: in.Rate(media.Audio), wake: make(chan struct{}, 1),
		maxBytes: t.bounds.queueBytes, maxSpan: media.TicksOf(t.bounds.queueSpan, media.VideoRate),
	}
	metrics.TranscodeLadders.Inc()
	go l.run(ctx)
	return l
}

// Write takes a frame of the source, placed on the timeline: video in 90 kHz
// ticks, audio in samples. It never blocks, and keeps the payload.
func (l *Ladder) Write(f media.Frame) {
	if f.Kind == media.Video || l.recipe.sound {
		l.queue.push(f)
	}
}

// Finish says that no more frames come: what is on its way is still delivered.
func (l *Ladder) Finish() { l.queue.close() }

// Done is closed when nothing more will be delivered, after Finish or Kill.
func (l *Ladder) Done() <-chan struct{} { return l.done }

// Kill ends the ladder now, and returns when nothing of it is left. It must not
// be called by the Output.
func (l *Ladder) Kill() {
	l.cancel()
	<-l.done
}

// run keeps a process going until the stream ends.
func (l *Ladder) run(ctx context.Context) {
	defer close(l.done)
	defer l.cancel()
	defer metrics.TranscodeLadders.Dec()
	for young := 0; ; {
		began := time.Now()
		reason, err := l.serve(ctx)
		l.err = err
		if reason == "" || l.queue.over() {
			return
		}
		metrics.TranscodeRestarts.WithLabelValues(reason).Inc()
		if time.Since(began) > l.t.bounds.healthy {
			young = 0
		}
		pause := pauseAfter(young)
		young++
		l.log.Warn("transcoding goes on with the next key frame", "reason", reason, "error", err, "pause", pause)
		if !l.rest(ctx, pause) {
			return
		}
	}
}

// pauseAfter is how long the next process waits when so many before have died
// young: the first does not.
func pauseAfter(young int) time.Duration {
	if young == 0 {
		return 0
	}
	return min(maxPause, time.Second<<min(young-1, 10))
}

// rest waits before the next process, and says whether there is to be one.
func (l *Ladder) rest(ctx context.Context, pause time.Duration) bool {
	l.queue.rest()
	for end := time.After(pause); ; {
		select {
		case <-ctx.Done():
			return false
		case <-l.queue.wake:
			if l.queue.over() {
				return false
			}
		case <-end:
			l.queue.signal() // what woke us may have been for the next
			return true
		}
	}
}

// serve runs one process, and returns why it must be replaced, or "" if the
// stream is at its end.
func (l *Ladder) serve(ctx context.Context) (reason string, err error) {
	p, err := startProcess(l.t.cfg.FFmpeg, l.recipe, l.in, l.log, l.deliver)
	if err != nil {
		return "start", err
	}
	feeding, stop := context.WithCancel(ctx)
	fed := make(chan error, 1)
	go func() {
		defer close(fed)
		fed <- l.feed(feeding, p)
	}()
	reason, err = l.watch(ctx, p, fed)
	stop()
	p.kill()
	for range fed { // until it is closed
	}
	return reason, err
}

var (
	errOverrun = errors.New("ffmpeg takes in less than comes")
	errEarly   = errors.New("ffmpeg ended before the stream did")
	errDeaf    = errors.New("ffmpeg closed its input")
)

// feed writes frames to p until they end, or p does, or ctx.
func (l *Ladder) feed(ctx context.Context, p *process) error {
	if err := p.begin(); err != nil {
		return err
	}
	for {
		f, ok, closed, overrun := l.queue.take()
		switch {
		case ok:
			if err := p.write(&f); err != nil {
				return err
			}
			continue
		case closed:
			p.finish()
			return nil
		case overrun:
			return errOverrun
		}
		select {
		case <-l.queue.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watch waits until p ends, or must.
func (l *Ladder) watch(ctx context.Context, p *process, fed <-chan error) (reason string, err error) {
	var since time.Time // since when p is behind
	return p.watch(ctx, fed, l.t.bounds.finish, l.queue.over, func(now time.Time) error {
		lag, overrun := l.lag(p)
		switch {
		case overrun:
			return errOverrun
		case lasts(&since, now, lag > l.t.bounds.slack, l.patience(p)):
			return fmt.Errorf("ffmpeg is %v behind", lag.Round(time.Millisecond))
		}
		return nil
	})
}

// lasts says whether something has been true for so long. It keeps in since
// when it began.
func lasts(since *time.Time, now time.Time, is bool, long time.Duration) bool {
	switch {
	case !is:
		*since = time.Time{}
	case since.IsZero():
		*since = now
	default:
		return now.Sub(*since) >= long
	}
	return false
}

// patience is how long p may be behind.
func (l *Ladder) patience(p *process) time.Duration {
	if p.stamps.started() {
		return l.t.bounds.patience
	}
	return l.t.bounds.startPatience
}

// lag is how much of the stream p has not delivered, 0 if it may hold that back.
// It says whether p has missed some, too.
func (l *Ladder) lag(p *process) (lag time.Duration, overrun bool) {
	waiting, newest, overrun := l.queue.waiting()
	pictures, at := p.stamps.behind()
	if pictures == 0 || pictures+waiting <= maxHeld {
		return 0, overrun
	}
	return (newest - at).Duration(media.VideoRate), overrun
}

// deliver hands a frame of p to the rungs that have it, with the times of the
// source's frame it was made of.
func (l *Ladder) deliver(p *process, output int, track media.Params, f media.Frame, pts int64) error {
	o, d := &l.recipe.outputs[output], &l.outputs[output]
	if f.Kind != o.kind {
		return fmt.Errorf("%s comes out where %s is expected", f.Kind, o.kind)
	}
	if !track.Equal(d.track) {
		if a := track.Audio; a != nil && a.SampleRate != l.in.Audio.SampleRate {
			return fmt.Errorf("sound comes out at %d Hz instead of %d", a.SampleRate, l.in.Audio.SampleRate)
		}
		d.track = track
	}
	if !l.place(p, output, &f, pts) || d.any && f.PTS <= d.last {
		return nil
	}
	d.any, d.last = true, f.PTS
	for _, rung := range o.rungs {
		l.out(rung, d.track, f)
	}
	return nil
}

// place gives f the times of the source's frame, and says whether there is one.
func (l *Ladder) place(p *process, output int, f *media.Frame, pts int64) bool {
	if f.Kind == media.Audio {
		dts, ok := p.stamps.sound(pts)
		f.DTS, f.PTS = dts, dts
		return ok // there is none of the frame that an encoder begins with
	}
	source, ok := p.stamps.picture(output, pts)
	if !ok {
		metrics.TranscodeUnknown.Inc()
		return false
	}
	f.DTS, f.PTS, f.Captured = source.pts, source.pts, source.captured
	if output == 0 && !f.Captured.IsZero() {
		metrics.TranscodeDelay.Observe(time.Since(f.Captured).Seconds())
	}
	return true
}
