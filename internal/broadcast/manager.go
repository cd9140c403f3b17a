package broadcast

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"anabranch/internal/packager"
	"anabranch/internal/recorder"
	"anabranch/internal/resource"
)

// Sessions is what broadcasts need of the database. Every call is one
// transaction that stores a change together with its events.
type Sessions interface {
	// ChannelByStreamKey finds the channel a key belongs to; NotFound when it
	// belongs to none.
	ChannelByStreamKey(ctx context.Context, value string) (resource.Channel, error)
	// Channel reads a channel; NotFound when there is none.
	Channel(ctx context.Context, arn resource.ARN) (resource.Channel, error)
	// RecordingConfiguration reads one; NotFound when there is none.
	RecordingConfiguration(ctx context.Context, arn resource.ARN) (resource.RecordingConfiguration, error)
	// AdConfiguration reads one; NotFound when there is none.
	AdConfiguration(ctx context.Context, arn resource.ARN) (resource.AdConfiguration, error)
	// BeginStream opens a session. Conflict when the channel has an open one,
	// NotFound when channel or key are gone by now, QuotaExceeded when
	// Config.MaxStreams have begun.
	BeginStream(ctx context.Context, channel resource.ARN, key, streamID string, at time.Time) (resource.StreamSession, error)
	// SetInputConfiguration stores what the publisher sends.
	SetInputConfiguration(ctx context.Context, streamID string, one *resource.InputConfiguration, all *resource.InputConfigurations) error
	// AppendEvent stores an event.
	AppendEvent(ctx context.Context, e resource.Event) error
	// EndStream closes a session, with the reason when it failed or the limit
	// it breached. Closing it again changes nothing.
	EndStream(ctx context.Context, streamID string, at time.Time, failure string, breached ...resource.LimitBreachDetail) error
	// OpenStreams lists the sessions that are not closed.
	OpenStreams(ctx context.Context) ([]resource.StreamSession, error)
}

// Config is what a Manager is made of.
type Config struct {
	// Dir holds the live windows, one folder for each channel.
	Dir string
	// Grace is how long at least a live playlist waits for a dropped
	// publisher.
	Grace time.Duration
	// MaxStreams is how many streams Sessions lets be on air at once; 0 is any
	// number.
	MaxStreams int
	// MediaBase is what media URIs in the playlist of a channel's rendition start
	// with; "" is the source.
	MediaBase func(ch *resource.Channel, rendition string) string
	// SisterURI is where the playlist of one rendition lies, relative to that of
	// another.
	SisterURI func(from, to string) string
	// Transcode may be nil: then every stream has its source alone.
	Transcode Transcoder
	// RefuseOverflow lets a stream end that is one too many to be transcoded. Else
	// it has its source alone.
	RefuseOverflow bool
	Place          resource.Place
	Sessions       Sessions
	Recorder       *recorder.Recorder
	Log            *slog.Logger
}

// afterlife is how long an ended playlist is still served.
const afterlife = 60 * time.Second

// Manager knows every channel on air.
type Manager struct {
	Config

	// ctx ends when the server stops; streams that begin after it are refused.
	ctx  context.Context
	stop context.CancelFunc

	changing chan struct{} // has one value while a channel's change is taken over

	// mu guards what follows. It is never held across a call out of this
	// package. A channel that was on air once stays in byID until it is
	// deleted.
	mu       sync.RWMutex
	byID     map[string]*Broadcast
	refused  map[string]time.Time // when a refusal was told last, by channel
	stopped  bool
	metadata allowance // of all channels together
}

// NewManager makes a Manager and recovers the broadcasts that a stop or a
// crash of the server interrupted: their playlists go on where they were, and
// wait for their publishers as if those had dropped now.
func NewManager(ctx context.Context, cfg Config) (*Manager, error) {
	m := &Manager{
		Config: cfg, changing: make(chan struct{}, 1), byID: make(map[string]*Broadcast), refused: make(map[string]time.Time),
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder of live windows: %w", err)
	}
	entries, err := os.ReadDir(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("list live windows: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() || !resource.IsID(e.Name()) {
			continue // not ours, such as lost+found
		}
		if err := m.recover(ctx, e.Name()); err != nil {
			m.Log.Error("live window is given up", "channel", e.Name(), "error", err)
		}
	}
	if err := m.endStreams(ctx); err != nil {
		return nil, err
	}
	return m, m.releaseRecordings(ctx)
}

// endStreams ends the streams that the last run left open, at the time of
// their last media.
func (m *Manager) endStreams(ctx context.Context) error {
	open, err := m.Sessions.OpenStreams(ctx)
	if err != nil {
		return fmt.Errorf("list open streams: %w", err)
	}
	for _, s := range open {
		at := time.Now()
		if b := m.byID[s.ChannelARN.ID()]; b != nil {
			at = b.windows.lead.Info().Until
		}
		if err := m.Sessions.EndStream(ctx, s.StreamID, resource.Time(at), ""); err != nil {
			return fmt.Errorf("end stream %s of the last run: %w", s.StreamID, err)
		}
	}
	return nil
}

// releaseRecordings ends the recordings whose channel was deleted or detached
// just before the last run ended.
func (m *Manager) releaseRecordings(ctx context.Context) error {
	for _, arn := range m.Recorder.Waiting() {
		channel, err := m.Sessions.Channel(ctx, arn)
		if err != nil && kindOf(err) != resource.NotFound {
			return fmt.Errorf("read channel of recording: %w", err)
		}
		m.Recorder.Release(arn, channel.RecordingConfigurationARN)
	}
	return nil
}

// recover takes up the live window of one channel, or removes it when nobody
// can be watching it any more or it cannot be read.
func (m *Manager) recover(ctx context.Context, id string) error {
	dir := filepath.Join(m.Dir, id)
	channel, err := m.Sessions.Channel(ctx, m.Place.ARN(resource.KindChannel, id))
	if kindOf(err) == resource.NotFound {
		return os.RemoveAll(dir)
	}
	if err != nil {
		return err
	}
	b := newBroadcast(m, channel)
	if err := b.open(); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	if info := b.windows.lead.Info(); !info.Playable || info.Ended {
		return b.windows.remove()
	}
	if err := b.windows.recover(channel.Type.Advanced()); err != nil {
		return err
	}
	if err := b.windows.lead.Interrupt(); err != nil {
		return err
	}
	if arn := channel.RecordingConfigurationARN; arn != "" {
		rc, err := m.Sessions.RecordingConfiguration(ctx, arn)
		if err != nil && kindOf(err) != resource.NotFound {
			return err
		}
		b.patience = max(m.Grace, rc.ReconnectWindow())
	}
	b.postRoll = m.postRoll(ctx, &channel)
	if b.windows.transcoded() && m.Transcode != nil {
		b.reserve()
	}
	m.byID[id] = b
	b.show()
	b.mu.Lock()
	b.wait(b.patience)
	b.mu.Unlock()
	m.Log.Info("live window recovered", "channel", id, "waits", b.patience)
	return nil
}

// Run keeps the channels on air until ctx ends. Then it ends every stream, in
// such a way that the next start goes on with the broadcasts and recordings,
// and returns when all of it is stored.
func (m *Manager) Run(ctx context.Context) error {
	<-ctx.Done()
	m.mu.Lock()
	m.stopped = true
	all := make([]*Broadcast, 0, len(m.byID))
	for _, b := range m.byID {
		all = append(all, b)
	}
	m.mu.Unlock()

	grace := time.AfterFunc(stopGrace, m.stop)
	defer grace.Stop()
	var streams sync.WaitGroup
	for _, b := range all {
		streams.Go(func() { b.shutdown(errStopping) })
	}
	streams.Wait()
	m.stop()
	return nil
}

// stopGrace is how long a server that stops tries to store the ends of its
// streams.
const stopGrace = 5 * time.Second

var errStopping = &Refused{Code: CodeFailed, Reason: "the server is stopping; reconnect to go on"}

// View is a broadcast as its viewers see it.
type View struct {
	Channel resource.Channel
	// Window is the lead: the publisher's own media, which numbers and dates all
	// other renditions.
	Window *packager.Window
	// Renditions are what viewers choose among, best first.
	Renditions []Rendition
	// StreamID is the stream on air, empty while its publisher is gone.
	StreamID string
}

// Rendition is one form of a broadcast's media.
type Rendition struct {
	Name      string // such as "720p60"; "" is the source
	Window    *packager.Window
	OnRequest bool // for those alone who ask for it: sound without pictures, on some types
}

// Lookup finds a channel's broadcast. It is false when the channel is not on
// air and has not been within the last minute.
func (m *Manager) Lookup(channelID string) (*View, bool) {
	m.mu.RLock()
	b := m.byID[channelID]
	m.mu.RUnlock()
	if b == nil {
		return nil, false
	}
	v := b.view.Load()
	return v, v != nil
}

// Health says how well media arrives.
func (m *Manager) Health(channel resource.ARN) resource.StreamHealth {
	if f := m.feed(channel); f != nil {
		return f.health()
	}
	return resource.UnknownHealth
}

// Stop ends a channel's stream and returns when that is stored. It is
// NotBroadcasting when the channel has none, StreamUnavailable when ctx ends
// before.
func (m *Manager) Stop(ctx context.Context, channel resource.ARN) error {
	f := m.feed(channel)
	if f == nil {
		return resource.NotBroadcastingError(channel)
	}
	if f.endWithin(ctx, &Refused{Code: CodeFailed, Reason: "the stream was stopped by StopStream"}) != nil {
		return resource.Errorf(resource.StreamUnavailable, "Channel: %s is still ending its stream", channel)
	}
	return nil
}

// Changed takes note of a channel that was updated or deleted while offline.
// What waits for its publisher under settings that are gone ends at once.
func (m *Manager) Changed(ctx context.Context, arn resource.ARN) {
	m.changing <- struct{}{} // so that what was read last is taken over last
	defer func() { <-m.changing }()
	channel, err := m.Sessions.Channel(ctx, arn)
	if err != nil && kindOf(err) != resource.NotFound {
		m.Log.Error("changed channel cannot be read", "channel", arn.ID(), "error", err)
		return
	}
	m.Recorder.Release(arn, channel.RecordingConfigurationARN)
	m.mu.Lock()
	b := m.byID[arn.ID()]
	if err != nil {
		delete(m.byID, arn.ID())
		delete(m.refused, arn.ID())
	}
	m.mu.Unlock()
	if b != nil {
		b.changed(channel)
	}
}

func (m *Manager) feed(channel resource.ARN) *Feed {
	m.mu.RLock()
	b := m.byID[channel.ID()]
	m.mu.RUnlock()
	if b == nil {
		return nil
	}
	return b.current()
}

// broadcast finds or makes the broadcast of a channel.
func (m *Manager) broadcast(ch resource.Channel) (*Broadcast, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return nil, errStopping
	}
	b := m.byID[ch.ID()]
	if b == nil {
		b = newBroadcast(m, ch)
		m.byID[ch.ID()] = b
	}
	return b, nil
}

// kindOf is the kind of a resource error, and Internal of any other.
func kindOf(err error) resource.Kind {
	var e *resource.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return resource.Internal
}
