package capture

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/metrics"
	"anabranch/internal/recorder"
	"anabranch/internal/resource"
	"anabranch/internal/rtc"
	"anabranch/internal/transcode"
)

// Config is what a Manager is made of.
type Config struct {
	Recorder   *recorder.Recorder
	Transcoder *transcode.Transcoder
	Log        *slog.Logger
}

// Manager captures what participants publish, each publication by itself.
type Manager struct {
	Config
	running sync.WaitGroup

	mu      sync.Mutex // guards the rest
	stopped bool
	newest  map[subject]*publication
}

// subject is whose recordings follow one another.
type subject struct {
	stage       resource.ARN
	participant string
}

// publication is one that is captured.
type publication struct {
	stop context.CancelFunc
	over chan struct{} // closed when all of it is recorded
}

// NewManager makes a Manager that captures nothing yet.
func NewManager(cfg Config) *Manager {
	return &Manager{Config: cfg, newest: make(map[subject]*publication)}
}

// Run waits until ctx ends, then ends every capture, and returns when the recorder
// has what there is of them: after seconds at most. The recorder must run for longer,
// those who publish need not.
func (m *Manager) Run(ctx context.Context) error {
	<-ctx.Done()
	m.mu.Lock()
	m.stopped = true
	for _, p := range m.newest {
		p.stop()
	}
	m.mu.Unlock()
	m.running.Wait()
	return nil
}

// Record captures the publication of a participant of a stage as a stream of the
// recorder, from now on, with who publishes over which connection ever, until stop is
// called or the source closed. What is there by then still comes into the recording;
// the participant's next publication waits for that. Neither call blocks, and stop may
// be called again.
//
// Whatever goes wrong ends the capture, and is in the log and in the recording's
// events: the publication does not notice.
func (m *Manager) Record(streamID string, stage *resource.Stage, storage *resource.StorageConfiguration, who *resource.Participant, src *rtc.Source) (stop func()) {
	keep := keepOf(&stage.Recording)
	if !stage.Recording.Records() {
		return func() {}
	}
	stream := recorder.Stream{
		ID: streamID,
		Participant: &recorder.Participant{
			Stage: stage.ARN, SessionID: who.SessionID, ID: who.ID, UserID: who.UserID,
			Recording: stage.Recording, Storage: *storage,
		},
	}
	log := m.Log.With("stage", stage.ID(), "participant", who.ID)
	target := media.TicksOf(time.Duration(stage.Recording.HLS.TargetSegmentDurationSeconds)*time.Second, media.VideoRate)
	// What comes is read from now on, though it waits for the publication before. Who
	// publishes is still to connect.
	frames := &bounded{reader: src.Read(), before: src.Connections()}
	cancel := m.start(subject{stage.ARN, who.ID}, log, func(ctx context.Context) {
		c := newCapture(keep, target, log)
		c.reader, c.negotiated = frames, src.Negotiated
		c.sound.open = func(out func(media.Frame)) voice { return m.Transcoder.NewVoice(log, out) }
		c.outlet.take = m.Recorder.Begin(stream)
		c.run(ctx)
	})
	return func() {
		frames.end()
		cancel()
	}
}

// bounded is a reader of one publication's frames: the source goes on to the next one.
type bounded struct {
	reader
	before uint64 // connections that are not its own
	ended  atomic.Pointer[time.Time]
}

// end says that what arrives from now on is another publication's.
func (b *bounded) end() {
	now := time.Now()
	b.ended.CompareAndSwap(nil, &now)
}

func (b *bounded) Next(ctx context.Context) (rtc.Frame, error) {
	for {
		f, err := b.reader.Next(ctx)
		ended := b.ended.Load()
		if err != nil || f.Connection > b.before && (ended == nil || !f.Arrived.After(*ended)) {
			return f, err
		}
	}
}

// Release says that a stage is gone: its recordings wait for nobody any more, those
// that wait now and those of captures that are not over.
func (m *Manager) Release(stage resource.ARN) { m.release(stage, m.Recorder.ReleaseStage) }

func (m *Manager) release(stage resource.ARN, recordings func(stage resource.ARN)) {
	recordings(stage)
	m.mu.Lock()
	defer m.mu.Unlock()
	for of, p := range m.newest {
		if of.stage == stage && !m.stopped {
			m.running.Go(func() {
				<-p.over
				recordings(stage)
			})
		}
	}
}

// start runs a capture, when the subject's one before is over.
func (m *Manager) start(of subject, log *slog.Logger, run func(ctx context.Context)) (stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return func() {}
	}
	before := m.newest[of]
	ctx, cancel := context.WithCancel(context.Background())
	p := &publication{stop: cancel, over: make(chan struct{})}
	m.newest[of] = p
	metrics.CapturesLive.Inc()
	m.running.Go(func() {
		defer metrics.CapturesLive.Dec()
		defer close(p.over)
		defer m.forget(of, p)
		defer cancel()
		defer caught(log)
		if before != nil {
			before.stop()
			<-before.over
		}
		run(ctx)
	})
	return cancel
}

// caught ends a panic that a publisher's media made: it is nobody else's.
func caught(log *slog.Logger) {
	if panicked := recover(); panicked != nil {
		log.Error("panic in a capture, which ends", "panic", panicked, "stack", string(debug.Stack()))
	}
}

// forget lets go of a publication, if it is the subject's newest.
func (m *Manager) forget(of subject, p *publication) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.newest[of] == p {
		delete(m.newest, of)
	}
}
