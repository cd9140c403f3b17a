package broadcast

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/metrics"
	"anabranch/internal/packager"
	"anabranch/internal/recorder"
	"anabranch/internal/resource"
)

const (
	// silenceLimit is how long a publisher may send no media before its stream
	// ends.
	silenceLimit = 30 * time.Second
	// starvingAfter is how long a pause may last that is still normal noise.
	starvingAfter = 5 * time.Second
	// maxDescriptions bounds how often what a publisher says of itself is
	// stored.
	maxDescriptions = 16
	// minRetry and maxRetry bound the pause after the database refused a
	// change. It doubles each time.
	minRetry = 100 * time.Millisecond
	maxRetry = 5 * time.Second
)

// Feed is a publisher's end of a broadcast: one stream. Describe and Write are
// called from one goroutine, the others from any.
type Feed struct {
	b       *Broadcast
	id      string
	log     *slog.Logger
	session resource.StreamSession

	lastMedia atomic.Int64 // UnixNano
	// watch is closed at the next frame, for those who wait for one.
	watch atomic.Pointer[chan struct{}]

	ending   sync.Once
	done     chan struct{} // closed when the server or the publisher ends the stream
	err      error         // why; set before done is closed
	finished chan struct{} // closed when that is stored

	// mu guards what follows: the session until it is open, then the path of
	// the media.
	mu           sync.Mutex
	opened       bool
	closed       bool
	silence      *time.Timer
	described    media.Description
	descriptions int
	window       *packager.Window
	clock        *clock
	cutter       *packager.Cutter
	cmaf         packager.CMAF
	take         *recorder.Take
	live         bool // Stream Start was told
}

func newFeed(b *Broadcast) *Feed {
	f := &Feed{b: b, id: resource.NewStreamID(), done: make(chan struct{}), finished: make(chan struct{})}
	f.log = b.log.With("stream", f.id)
	f.lastMedia.Store(time.Now().UnixNano())
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
	m := f.b.m
	begin := func() (err error) {
		f.session, err = m.Sessions.BeginStream(ctx, f.b.channel.ARN, req.Key, f.id, resource.Time(time.Now()))
		return err
	}
	if err := begin(); err != nil {
		return fmt.Errorf("begin stream: %w", err)
	}
	f.opened = true
	f.silence = time.AfterFunc(silenceLimit, f.checkSilence)
	metrics.StreamsLive.Inc()
	f.log.Info("session created", "protocol", req.Protocol, "remote", req.RemoteAddr)
	return nil
}

// StreamID is the stream's id, "st-…".
func (f *Feed) StreamID() string { return f.id }

// ChannelID is the id of the channel the stream is for.
func (f *Feed) ChannelID() string { return f.b.id }

// Describe says what the stream is made of: before its first frame, and again
// when tracks, parameter sets or metadata change. A stream without video is a
// *[Refused].
func (f *Feed) Describe(d media.Description) error {
	if d.Video == nil {
		return &Refused{CodeRejected, "a stream needs H.264 video"}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.err
	}
	same := f.described.Params.Equal(d.Params)
	if f.described != d && f.descriptions < maxDescriptions {
		f.descriptions++
		one, all := ingestConfiguration(d)
		if err := f.b.m.Sessions.SetIngestConfiguration(f.b.m.ctx, f.id, one, all); err != nil {
			return fmt.Errorf("store ingest configuration: %w", err)
		}
	}
	first := f.cutter == nil
	f.described = d
	switch {
	case first:
		window, start, err := f.b.begin(f)
		if err != nil {
			return err
		}
		f.window = window
		f.cutter = packager.NewCutter(start, f.emit)
		f.clock = newClock(start, d.Rate(media.Audio))
		if rc := f.session.RecordingConfiguration; rc != nil {
			f.take = f.b.m.Recorder.Begin(recorder.Stream{
				ID: f.id, Channel: f.session.Channel, Configuration: *rc, Description: d,
			})
		}
		return f.cutter.Begin(d.Params)
	case same:
		return nil
	}
	f.clock.rate = d.Rate(media.Audio)
	return f.rejoin()
}

// rejoin begins anew, behind a discontinuity, with the next key frame.
func (f *Feed) rejoin() error {
	if err := f.cutter.Begin(f.described.Params); err != nil {
		return err
	}
	f.clock.restart(f.cutter.End())
	return nil
}

// Write takes a frame, its times as the publisher stamped them, in 90 kHz
// ticks for both kinds of track. An error ends the stream; call Close with it.
func (f *Feed) Write(fr media.Frame) error {
	f.lastMedia.Store(fr.Captured.UnixNano())
	if w := f.watch.Load(); w != nil && f.watch.CompareAndSwap(w, nil) {
		close(*w)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.err
	}
	v := f.clock.place(&fr)
	if v == jump {
		f.log.Warn("the publisher's clock jumped", "track", fr.Kind.String())
		if err := f.rejoin(); err != nil {
			return err
		}
		v = f.clock.place(&fr)
	}
	if v != use {
		metrics.FramesDropped.Inc()
		return nil
	}
	return f.cutter.Write(fr)
}

// emit hands a chunk to the viewers and to the recording.
func (f *Feed) emit(c *packager.Chunk) error {
	data, err := f.cmaf.Append(nil, c)
	if err != nil {
		return fmt.Errorf("package part: %w", err)
	}
	if err := f.window.Append(c, data); err != nil {
		return fmt.Errorf("publish part: %w", err)
	}
	if n := len(c.Video); n > 0 {
		metrics.PartDelay.Observe(time.Since(c.Video[n-1].Captured).Seconds())
	}
	if !f.live {
		if err := f.start(); err != nil {
			return err
		}
	}
	if f.take != nil {
		if err := f.take.Write(c, data); err != nil {
			f.take = nil // the recorder has said why; the stream goes on
		}
	}
	return nil
}

// start tells that the stream can be played.
func (f *Feed) start() error {
	f.live = true
	ch := &f.session.Channel
	err := f.b.m.Sessions.AppendEvent(f.b.m.ctx, resource.Event{
		DetailType: resource.StreamStateChange, Time: resource.Time(time.Now()), Resource: ch.ARN, StreamID: f.id,
		Detail: resource.StreamStateDetail{EventName: resource.StreamStart, ChannelName: ch.Name, StreamID: f.id},
	})
	if err != nil {
		return fmt.Errorf("tell stream start: %w", err)
	}
	f.log.Info("stream started", "width", f.described.Video.Width, "height", f.described.Video.Height,
		"codecs", f.described.Codecs(), "encoder", f.described.Encoder)
	return nil
}

// Done is closed when the stream has ended, by whomever.
func (f *Feed) Done() <-chan struct{} { return f.done }

// Err says why, once Done is closed: a *[Refused] when the server ended the
// stream, what Close was given when the publisher did.
func (f *Feed) Err() error {
	select {
	case <-f.done:
		return f.err
	default:
		return nil
	}
}

// Close ends the stream from the publisher's side and returns when that is
// stored. cause is nil or the connection's error; a *[Refused], which says
// that the stream itself is at fault, is told in a Stream Failure event.
func (f *Feed) Close(cause error) {
	failure := ""
	var refused *Refused
	if errors.As(cause, &refused) {
		failure = refused.Reason
	}
	f.end(cause, failure)
}

// end ends the stream once, and returns when that is stored.
func (f *Feed) end(err error, failure string) {
	f.ending.Do(func() {
		f.err = err
		if f.err == nil {
			f.err = errEnded
		}
		close(f.done)
		// Whatever happens here, the channel is free for the next stream.
		defer close(f.finished)
		defer f.b.release(f)
		if f.endMedia() {
			metrics.StreamsLive.Dec()
			f.log.Info("stream ended", "reason", f.err)
			f.endSession(failure)
		}
	})
}

// endWithin ends the stream from the server's side. It returns the error of ctx
// if that ends before the end is stored, which goes on then.
func (f *Feed) endWithin(ctx context.Context, reason *Refused) error {
	go f.end(reason, "")
	select {
	case <-f.finished:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errEnded = errors.New("the publisher ended the stream")

// endMedia ends the path of the media, and says whether a session was opened
// for it.
func (f *Feed) endMedia() (opened bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if !f.opened {
		return false
	}
	f.silence.Stop()
	if f.cutter == nil {
		return true
	}
	if err := f.cutter.Flush(); err != nil {
		f.log.Error("last part cannot be published", "error", err)
	}
	if err := f.window.Interrupt(); err != nil {
		f.log.Error("live playlist cannot be interrupted", "error", err)
	}
	if f.take != nil {
		f.take.End()
	}
	return true
}

// endSession closes the session. It tries for as long as it takes, as the
// channel is not free before; a server that stops leaves it to the next start.
func (f *Feed) endSession(failure string) {
	at := resource.Time(time.Now())
	for pause := minRetry; ; pause = min(2*pause, maxRetry) {
		err := f.b.m.Sessions.EndStream(f.b.m.ctx, f.id, at, failure)
		if err == nil {
			return
		}
		f.log.Error("session cannot be closed", "error", err, "again in", pause)
		select {
		case <-time.After(pause):
		case <-f.b.m.ctx.Done():
			return
		}
	}
}

// checkSilence ends the stream if it has sent nothing for too long.
func (f *Feed) checkSilence() {
	quiet := time.Since(time.Unix(0, f.lastMedia.Load()))
	if quiet < silenceLimit {
		f.mu.Lock()
		if !f.closed {
			f.silence.Reset(silenceLimit - quiet)
		}
		f.mu.Unlock()
		return
	}
	f.end(&Refused{CodeFailed, fmt.Sprintf("no media arrived for %v", silenceLimit)}, "")
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

func (f *Feed) health() resource.StreamHealth {
	if time.Since(time.Unix(0, f.lastMedia.Load())) > starvingAfter {
		return resource.Starving
	}
	return resource.Healthy
}

// ingestConfiguration tells d in both forms of the API.
func ingestConfiguration(d media.Description) (*resource.IngestConfiguration, *resource.IngestConfigurations) {
	const track = "Track0"
	video := resource.VideoConfiguration{
		Codec: d.Video.Codec(), Encoder: d.Encoder, Level: d.Video.LevelName(), Profile: d.Video.ProfileName(),
		TargetBitrate: d.VideoBitrate, TargetFramerate: int(math.Round(d.NominalFrameRate())),
		Track: track, VideoHeight: d.Video.Height, VideoWidth: d.Video.Width,
	}
	one := &resource.IngestConfiguration{Video: &video}
	all := &resource.IngestConfigurations{Video: []resource.VideoConfiguration{video}, Audio: []resource.AudioConfiguration{}}
	video.AVCProfile, video.AVCLevel = video.Profile, video.Level
	if a := d.Audio; a != nil {
		one.Audio = &resource.AudioConfiguration{
			Channels: a.Channels, Codec: a.Codec(), SampleRate: a.SampleRate, TargetBitrate: d.AudioBitrate, Track: track,
		}
		all.Audio = append(all.Audio, *one.Audio)
	}
	return one, all
}
