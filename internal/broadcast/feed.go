package broadcast

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/metrics"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
	"anabranch/internal/transcode"
)

const (
	// maxJumpsLogged bounds the log of a publisher whose clock jumps and jumps.
	maxJumpsLogged = 10
	// A stream may begin anew maxJoins times, and once more for each second that
	// it has lasted: each time is a segment, a file and a line of the playlist.
	maxJoins = 30
)

// Feed is a publisher's end of a broadcast: one stream. Received, Describe and
// Write are called from one goroutine, the others from any.
type Feed struct {
	b       *Broadcast
	id      string
	log     *slog.Logger
	session resource.StreamSession
	began   time.Time

	// The publisher's goroutine has these to itself.
	meter      meter
	maxBitrate int64       // bit/s
	lastStamp  media.Ticks // of a picture

	lastMedia atomic.Int64 // when the last frame came, in nanoseconds since began
	arrived   atomic.Int64 // how much video came, in source ticks
	pictures  atomic.Bool  // some came
	starving  atomic.Bool  // as it was told
	// watch is closed at the next frame, for those who wait for one.
	watch atomic.Pointer[chan struct{}]

	// checking is held during a look at the stream's health, and guards what
	// follows.
	checking sync.Mutex
	timer    *time.Timer // to the next look
	pulse    pulse

	ending   atomic.Bool
	done     chan struct{} // closed when the server or the publisher ends the stream
	err      error         // why; set before done is closed
	finished chan struct{} // closed when that is stored

	inserting sync.Mutex // held while an ad break is inserted

	// mu guards what follows: the session until it is open, then the path of
	// the media.
	mu        sync.Mutex
	opened    bool
	closed    bool
	described media.Description
	unstored  bool         // described has changed since it was stored
	params    media.Params // in force; those described are with the next key frame
	window    *packager.Window
	clock     *clock
	dense     meter       // bytes by the second of the timeline
	pace      meter       // ticks of the timeline by the server's second
	placed    media.Ticks // newest picture on the timeline
	jumps     int
	joins     int // how often the timeline began anew
	cutter    *packager.Cutter
	collector *collector
	outlet    *outlet
	postRoll  time.Duration // see Manager.postRoll

	live atomic.Bool // Stream Start was told
}

func newFeed(b *Broadcast) *Feed {
	f := &Feed{b: b, id: resource.NewStreamID(), done: make(chan struct{}), finished: make(chan struct{})}
	f.log = b.log.With("stream", f.id)
	return f
}

// open makes f the channel's feed and its session, and returns f's refusal if
// it cannot. Whoever wants to end f meanwhile waits until it is open.
func (f *Feed) open(ctx context.Context, req Request) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.b.claim(ctx, f); err != nil {
		return err
	}
	session, err := f.b.m.Sessions.BeginStream(ctx, f.b.channel.ARN, req.Key, f.id, resource.Time(time.Now()))
	if err != nil {
		return fmt.Errorf("begin stream: %w", err)
	}
	f.session, f.began, f.opened = session, time.Now(), true
	f.maxBitrate = int64(f.session.Channel.Type.MaxIngestBitrate(0, 0))
	f.checking.Lock()
	f.timer = time.AfterFunc(beat, f.check)
	f.checking.Unlock()
	metrics.StreamsLive.Inc()
	f.log.Info("session created", "protocol", req.Protocol, "remote", req.RemoteAddr)
	return nil
}

// StreamID is the stream's id, "st-…".
func (f *Feed) StreamID() string { return f.id }

// ChannelID is the id of the channel the stream is for.
func (f *Feed) ChannelID() string { return f.b.id }

// Describe says what the stream is made of: before its first frame, and again
// when tracks, parameter sets or metadata change. New tracks and parameter sets
// are in force with the next key frame. A stream without video, or with
// pictures that are too large, is a *[Refused].
func (f *Feed) Describe(d media.Description) error {
	if d.Video == nil {
		return &Refused{Code: CodeRejected, Reason: "a stream needs H.264 video"}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.err
	}
	first := f.cutter == nil
	if d.Params.Equal(f.params) {
		d.Params = f.params // the same pointers: equal at a glance
	}
	f.unstored = f.unstored || d != f.described
	f.described = d
	if first {
		if err := f.storeDescription(d); err != nil {
			return err
		}
		f.unstored = false
	}
	if err := f.checkResolution(d.Video.Width, d.Video.Height); err != nil {
		return err
	}
	if limit := int64(f.session.Channel.Type.MaxIngestBitrate(d.Video.Width, d.Video.Height)); limit != f.maxBitrate {
		f.meter.rescale(f.maxBitrate, limit)
		f.dense.rescale(f.maxBitrate, limit)
		f.maxBitrate = limit
	}
	if first {
		return f.begin()
	}
	return nil
}

// begin puts the stream on air.
func (f *Feed) begin() error {
	f.postRoll = f.b.m.postRoll(f.b.m.ctx, &f.session.Channel)
	window, start, err := f.b.begin(f)
	if err != nil {
		return err
	}
	f.window = window
	f.placed = start
	f.params = f.described.Params
	plan, err := f.b.plan(f)
	if err != nil {
		return err
	}
	l := newLadder(plan, f.params)
	f.outlet = newOutlet(f, l)
	f.collector = &collector{publish: f.outlet.publish, fail: f.fail}
	f.cutter = packager.NewCutter(start, f.collector.add)
	f.clock = newClock(start, f.params.Rate(media.Audio))
	f.climb(l)
	return f.cutter.Begin(f.params)
}

// climb lets what comes from now on go up l.
func (f *Feed) climb(l *ladder) {
	params := f.params
	f.collector.begin(l, func(out transcode.Output) Transcoding {
		return f.b.m.Transcode.Start(params, l.rungs, f.log, out)
	})
}

// rejoin begins anew, behind a discontinuity, with the next key frame.
func (f *Feed) rejoin() error {
	if f.joins++; f.joins > maxJoins+int(time.Since(f.began)/time.Second) {
		return &Refused{Code: CodeRejected, Reason: "the stream's clock or parameter sets change too often"}
	}
	before := f.params
	f.params = f.described.Params
	if err := f.cutter.Begin(f.params); err != nil {
		return err
	}
	if f.params != before { // a jump of the clock is none of the transcoder's business
		plan, err := f.b.plan(f)
		if err != nil {
			return err
		}
		f.climb(newLadder(plan, f.params))
	}
	f.clock.rate = f.params.Rate(media.Audio)
	f.clock.restart(f.cutter.End())
	return nil
}

// Write takes a frame, its times as the publisher stamped them, in 90 kHz
// ticks for both kinds of track. An error ends the stream; call Close with it.
func (f *Feed) Write(fr media.Frame) error {
	f.arrive(&fr)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.err
	}
	v, err := f.place(&fr)
	if err != nil {
		return err
	}
	if v != use {
		metrics.FramesDropped.Inc()
		return nil
	}
	if err := f.checkPace(len(fr.Payload)); err != nil {
		return err
	}
	f.collector.transcode(fr)
	return f.cutter.Write(fr)
}

// place moves a frame to the timeline, and begins that anew where it must.
func (f *Feed) place(fr *media.Frame) (verdict, error) {
	if now, next := f.params, f.described.Params; now != next {
		switch {
		case fr.Kind == media.Video && fr.Key:
			if err := f.rejoin(); err != nil {
				return drop, err
			}
		case fr.Kind == media.Video && !now.Video.Equal(next.Video), fr.Kind == media.Audio && !now.Audio.Equal(next.Audio):
			return drop, nil // cannot be decoded by what is in force
		}
	}
	v := f.clock.place(fr)
	if v != jump {
		return v, nil
	}
	metrics.ClockJumps.Inc()
	if f.jumps++; f.jumps <= maxJumpsLogged {
		f.log.Warn("the publisher's clock jumped", "jumps", f.jumps)
	}
	if err := f.rejoin(); err != nil {
		return drop, err
	}
	return f.clock.place(fr), nil
}

// tell stores an event of the stream.
func (f *Feed) tell(detailType, name string) error {
	ch := &f.session.Channel
	err := f.b.m.Sessions.AppendEvent(f.b.m.ctx, resource.Event{
		DetailType: detailType, Time: resource.Time(time.Now()), Resource: ch.ARN, StreamID: f.id,
		Detail: resource.StreamStateDetail{EventName: name, ChannelName: ch.Name, StreamID: f.id},
	})
	if err != nil {
		return fmt.Errorf("tell %s: %w", name, err)
	}
	return nil
}
