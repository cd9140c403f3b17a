package capture

import (
	"context"
	"log/slog"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/metrics"
	"anabranch/internal/packager"
	"anabranch/internal/rtc"
	"anabranch/internal/transcode"
)

const (
	// beat is how often a capture looks for what has become known by the time alone.
	beat = 200 * time.Millisecond

	// askAgain is how long a key frame is waited for before it is asked for again.
	askAgain = 500 * time.Millisecond
)

// reader is a [rtc.Reader].
type reader interface {
	Next(ctx context.Context) (rtc.Frame, error)
	WantKeyFrame()
	Close()
}

// capture records one publication. It has one goroutine, but for the reader's and
// the voice's.
type capture struct {
	reader     reader
	negotiated func() (sound, pictures bool) // of the newest connection
	keep       keep
	target     media.Ticks // how long an object lasts, in 90 kHz ticks
	log        *slog.Logger

	timeline timeline
	pictures pictures
	sound    sound
	outlet   outlet
	cutter   *packager.Cutter // nil until something is cut
	err      error            // of the take, which is final

	first      time.Time   // when the first frame was taken in
	connection uint64      // of the newest frame
	connected  media.Ticks // place of its connection's first frame
	joined     uint64      // connection that began at the newest joint

	// What is cut is of the stretch's connection, and looks like shown.
	stretch uint64
	shown   *media.VideoParams

	described   *media.VideoParams // of the newest picture
	undescribed error              // why players cannot be told of it
	told        bool               // that some cannot

	object media.Ticks // place of the newest key frame that will have begun an object
	asked  time.Time   // when a key frame was asked for; zero when one has come

	ending bool
	end    media.Ticks // of the publication, once it is ending
}

// newCapture makes one that has neither reader nor take yet.
func newCapture(keep keep, target media.Ticks, log *slog.Logger) *capture {
	c := &capture{keep: keep, target: target, log: log}
	c.pictures.longest = min(max(target-ticksOf(time.Second/2), ticksOf(lasting)), ticksOf(patience))
	c.sound.came = make(chan struct{}, 1)
	c.outlet = outlet{keep: keep, target: target, timeline: &c.timeline}
	return c
}

// run captures until ctx ends, the source is closed, or nothing can be recorded any
// more. Then what is there comes into the recording.
func (c *capture) run(ctx context.Context) {
	defer c.outlet.take.End()
	defer c.sound.close()
	defer c.reader.Close()
	ctx, cancel := context.WithCancel(ctx)
	frames, read := make(chan rtc.Frame), make(chan struct{})
	go func() {
		defer close(read)
		defer close(frames)
		defer caught(c.log)
		for {
			f, err := c.reader.Next(ctx)
			if err != nil {
				return
			}
			frames <- f
		}
	}()
	c.follow(ctx, frames)
	stopped := time.Now()
	cancel()
	for f := range frames { // what the reader has without waiting
		if c.err == nil && !f.Arrived.After(stopped) {
			c.arrive(&f)
		}
	}
	<-read
	c.finish()
}

// follow takes in what comes.
func (c *capture) follow(ctx context.Context, frames <-chan rtc.Frame) {
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for c.err == nil {
		select {
		case f, more := <-frames:
			if !more {
				return
			}
			c.arrive(&f)
		case <-c.sound.came:
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		c.advance(time.Now())
	}
}

// arrive takes in a frame.
func (c *capture) arrive(f *rtc.Frame) {
	if f.Kind == media.Audio && !c.keep.sound || f.Kind == media.Video && !(c.keep.pictures && c.describable(f.Video)) {
		return
	}
	at := c.timeline.place(f)
	if c.first.IsZero() {
		c.first = time.Now()
	}
	if f.Connection > c.connection {
		at = c.rejoin(f.Connection, at)
		c.connection, c.connected = f.Connection, max(at, c.pictures.joint)
		c.sound.offered, c.pictures.offered = c.negotiated()
		c.pictures.offered = c.pictures.offered && c.keep.pictures
		c.sound.offered = c.sound.offered && c.keep.sound
	}
	if f.Connection >= c.joined {
		at = max(at, c.pictures.joint) // what lies before is another's
	}
	if f.Lost > 0 {
		metrics.CaptureLost.WithLabelValues(f.Kind.String()).Add(f.Lost.Seconds())
		c.outlet.lost(f.Kind, max(at-ticksOf(f.Lost), c.connected), at)
	}
	if f.Kind == media.Audio {
		c.sound.add(packet{f.Payload, at})
		return
	}
	c.pace(f, at)
	c.pictures.add(picture{at: at, connection: f.Connection, key: f.Key, payload: f.Payload, params: f.Video})
}

// rejoin says where the first frame of another connection lies: behind the last that
// came by the one before, if nothing has come since for longer than a picture lasts. That
// connection was lost, and the time until it was noticed is nobody's.
func (c *capture) rejoin(connection uint64, at media.Ticks) media.Ticks {
	if c.cutter == nil || c.pictures.joint > c.pictures.shown {
		return at
	}
	sound, pictures := c.known(time.Now())
	end := max(sound, pictures, c.sound.newest+ticksOf(packetTime), c.pictures.newest+ticksOf(pictureTime), c.pictures.shown+1)
	if at-end < ticksOf(lasting) {
		return at
	}
	c.timeline.leaveOut(at, end)
	c.joined, c.pictures.joint, c.outlet.joint = connection, end, end
	return end
}

// describable says whether players can be told of pictures. Others are as if they were
// not sent, for they would end the recording.
func (c *capture) describable(v *media.VideoParams) bool {
	if v != c.described {
		_, err := packager.CMAFInit(media.Params{Video: v})
		if c.described, c.undescribed = v, err; err != nil && !c.told {
			c.told = true
			c.log.Warn("pictures cannot be recorded", "error", err)
		}
	}
	return v != nil && c.undescribed == nil
}

// pace asks the publisher for a key frame where an object is to end, and where
// pictures cannot be decoded without.
func (c *capture) pace(f *rtc.Frame, at media.Ticks) {
	if f.Key {
		if at-c.object >= c.target {
			c.object = at
		}
		c.asked = time.Time{}
		return
	}
	if due := at-c.object >= c.target && c.asked.IsZero(); due || c.pictures.torn {
		c.wantKeyFrame(f.Arrived)
	}
}

func (c *capture) wantKeyFrame(now time.Time) {
	if now.Sub(c.asked) >= askAgain {
		c.asked = now
		c.reader.WantKeyFrame()
	}
}

// advance cuts what is known by now.
func (c *capture) advance(now time.Time) {
	c.sound.collect()
	if c.timeline.epoch.IsZero() || c.cutter == nil && !c.begin(now) {
		return
	}
	heard, seen := c.known(now)
	c.sound.pause(heard)
	for c.err == nil {
		next, ok := c.pictures.next(seen)
		if !ok || !c.sound.ready(next.at, heard, now) && c.pictures.bytes < maxWaiting {
			return
		}
		if next, ok = c.shape(next); ok {
			if c.sound.stands(next.at, heard) {
				c.outlet.lost(media.Audio, max(c.sound.end, c.pictures.shown), next.at)
			}
			c.cut(next)
		}
	}
}

// begin begins the media with the first of sound and pictures, when both are there
// or known not to be. A first picture that comes later stands there from the
// beginning.
func (c *capture) begin(now time.Time) bool {
	waited := c.ending || now.Sub(c.first) >= patience
	for _, in := range []*inflow{&c.sound.inflow, &c.pictures.inflow} {
		if in.offered && !in.some && !waited {
			return false
		}
	}
	var at media.Ticks
	switch {
	case c.sound.some && c.pictures.some:
		at = min(c.sound.first, c.pictures.first)
	case c.sound.some:
		at = c.sound.first
	case c.pictures.some:
		at = c.pictures.first
	default:
		return false
	}
	first := picture{at: at, connection: c.connection, key: true, copied: true, payload: blackStill.payload, params: blackStill.params}
	if queue := c.pictures.queue; len(queue) > 0 && queue[0].key {
		first.connection, first.payload, first.params = queue[0].connection, queue[0].payload, queue[0].params
		if first.copied = queue[0].at > at; !first.copied {
			first.at = queue[0].at
		}
	}
	c.sound.begin(at)
	c.outlet.open(at)
	c.stretch, c.shown, c.object = first.connection, first.params, at
	c.cutter = packager.NewCutter(at, c.outlet.emit)
	c.err = c.cutter.Begin(c.params(first.params))
	c.pictures.torn = true
	c.cut(first)
	metrics.CaptureStretches.Inc()
	return true
}

// cut hands a picture to the cutter, behind the sound before it.
func (c *capture) cut(next picture) {
	if c.changes(&next) {
		c.err = c.cutter.BeginAt(c.params(next.params), next.at)
		c.shown, c.stretch = next.params, next.connection
		c.outlet.open(next.at)
		c.object = max(c.object, next.at)
		metrics.CaptureStretches.Inc()
	}
	for c.err == nil {
		f, ok := c.sound.before(next.at)
		if !ok {
			break
		}
		c.err = c.cutter.Write(f)
	}
	if c.err == nil {
		c.err = c.cutter.Write(media.Frame{
			Kind: media.Video, DTS: next.at, PTS: next.at, Key: next.key, Payload: next.payload, Captured: c.timeline.time(next.at),
		})
	}
	c.outlet.expect(next.at, next.key) // behind what the recorder has got by now
	if next.copied {
		metrics.CaptureCopies.Inc()
	}
	c.pictures.take(next)
}

// finish lets what is there come into the recording. Sound and pictures end
// together.
func (c *capture) finish() {
	if c.err != nil || c.timeline.epoch.IsZero() {
		return
	}
	c.ending = true
	if c.cutter == nil && !c.begin(time.Now()) {
		return
	}
	c.sound.close()
	c.sound.collect()
	c.end = max(c.sound.end, c.sound.newest+ticksOf(packetTime), c.pictures.newest+ticksOf(pictureTime), c.pictures.shown+ticksOf(pictureTime))
	c.advance(time.Now())
	if c.err != nil {
		return
	}
	// The last picture lasts until another that is not recorded.
	c.outlet.until = c.end
	last := picture{at: c.end, connection: c.stretch, key: true, copied: true, params: c.shown}
	if c.err = c.cutter.BeginAt(c.params(c.shown), c.end); c.err == nil {
		c.cut(last)
		_ = c.cutter.Flush() // the take has told what is wrong
	}
}

// params describes the tracks of a stretch.
func (c *capture) params(v *media.VideoParams) media.Params {
	if !c.keep.sound {
		return media.Params{Video: v}
	}
	return media.Params{Video: v, Audio: transcode.VoiceParams()}
}
