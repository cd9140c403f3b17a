package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"anabranch/internal/auth"
	"anabranch/internal/resource"
	"anabranch/internal/rtc"
)

// Ledger is what rooms need of the database. Every call that changes something is
// one transaction, with the events that tell of it.
type Ledger interface {
	// Stage reads a stage; NotFound when there is none.
	Stage(ctx context.Context, arn resource.ARN) (resource.Stage, error)
	// StorageConfiguration reads where a stage is recorded to.
	StorageConfiguration(ctx context.Context, arn resource.ARN) (resource.StorageConfiguration, error)
	// JoinStage stores that a participant has come, with the event JOINED, into the
	// session that runs; when none does, one begins. NotFound when the stage is gone.
	JoinStage(ctx context.Context, p resource.Participant) (resource.StageSession, error)
	// UpdateParticipant changes a participant and stores what happened to it; NotFound
	// when there is none.
	UpdateParticipant(ctx context.Context, stage resource.ARN, sessionID, participantID string,
		change func(*resource.Participant), happened []resource.ParticipantEvent, events ...resource.Event) error
	// EndStageSession ends a session. Ending it again changes nothing.
	EndStageSession(ctx context.Context, stage resource.ARN, sessionID string, at time.Time) error
	// KillParticipant ends the use of a participant's tokens; NotFound when the stage
	// is gone.
	KillParticipant(ctx context.Context, stage resource.ARN, participantID string, until time.Time) error
	// ParticipantKilled says whether a participant's tokens are dead.
	ParticipantKilled(ctx context.Context, stage resource.ARN, participantID string) (bool, error)
	// PublicKey reads a key that tokens are signed with; NotFound when there is none.
	PublicKey(ctx context.Context, arn resource.ARN) (resource.PublicKey, error)
	// ActiveStageSessions reads the sessions that have not ended.
	ActiveStageSessions(ctx context.Context) ([]resource.StageSession, error)
	// ListParticipants lists the participants of a session.
	ListParticipants(ctx context.Context, f resource.ParticipantFilter, p resource.Page) ([]resource.Participant, string, error)
	// ListParticipantEvents lists what happened to a participant, newest first.
	ListParticipantEvents(ctx context.Context, stage resource.ARN, sessionID, participantID string, p resource.Page) (
		[]resource.ParticipantEvent, string, error)
}

// Config is what a Manager is made of.
type Config struct {
	Engine Engine
	Ledger Ledger
	Tokens *auth.ParticipantTokens
	// Recorder records participants; nil: nobody is recorded.
	Recorder Recorder
	// Limits are what one participant may publish.
	Limits rtc.Limits
	// MaxPublishers and MaxSubscribers are how many participants of a stage may
	// publish and subscribe at once; 0 is IVS's number, 12 and 10,000.
	MaxPublishers, MaxSubscribers int
	// MaxDuration ends publications and subscriptions; 0 is IVS's, 24 h. A publication
	// that is taken over by a new connection has begun with the first one.
	MaxDuration time.Duration
	Log         *slog.Logger
}

// Manager knows every room.
type Manager struct {
	Config

	// ctx ends when the server stops, and nothing more is stored.
	ctx  context.Context
	stop context.CancelFunc
	work sync.WaitGroup // requests and goroutines
	// verifying has a value for each token that is being verified.
	verifying chan struct{}

	// mu guards what follows. It is taken before a room's.
	mu       sync.Mutex
	rooms    map[resource.ARN]*room
	sessions map[string]*connection // by the id of their session
	stopped  bool
}

// NewManager makes a Manager and takes up the sessions that the last run left:
// who was in a stage then has left if it does not come back at once.
func NewManager(ctx context.Context, cfg Config) (*Manager, error) {
	if cfg.MaxPublishers == 0 {
		cfg.MaxPublishers = 12
	}
	if cfg.MaxSubscribers == 0 {
		cfg.MaxSubscribers = 10_000
	}
	if cfg.MaxDuration == 0 {
		cfg.MaxDuration = 24 * time.Hour
	}
	m := &Manager{Config: cfg, rooms: make(map[resource.ARN]*room), sessions: make(map[string]*connection)}
	m.verifying = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))
	m.ctx, m.stop = context.WithCancel(context.Background())
	sessions, err := cfg.Ledger.ActiveStageSessions(ctx)
	if err != nil {
		return nil, fmt.Errorf("read stage sessions of the last run: %w", err)
	}
	for _, s := range sessions {
		r := newRoom(m, s.Stage)
		if err := r.recover(ctx, s); err != nil {
			return nil, fmt.Errorf("take up session %s: %w", s.ID, err)
		}
		m.rooms[s.Stage] = r
	}
	return m, nil
}

// stopGrace is how long a server that stops tries to store what has happened.
const stopGrace = 5 * time.Second

// Run keeps the rooms until ctx ends. Then it ends every connection, stores that,
// and returns nil. Participants have not left: they may come back to the next run.
func (m *Manager) Run(ctx context.Context) error {
	m.mu.Lock()
	for _, r := range m.rooms {
		r.awaitReturn()
	}
	m.mu.Unlock()
	m.observe(ctx)

	m.mu.Lock()
	m.stopped = true
	rooms := m.allRooms()
	m.mu.Unlock()
	for _, r := range rooms {
		r.shutdown()
	}
	late := time.AfterFunc(stopGrace, m.stop)
	m.work.Wait()
	late.Stop()
	m.stop()
	return nil
}

func (m *Manager) allRooms() []*room {
	rooms := make([]*room, 0, len(m.rooms))
	for _, r := range m.rooms {
		rooms = append(rooms, r)
	}
	return rooms
}

// begin lets a request in while the server runs; done must be called behind it.
func (m *Manager) begin() (done func(), err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return nil, errStopping
	}
	m.work.Add(1)
	return m.work.Done, nil
}

// Authorize says whose token it is, without joining. A refusal is an *[Error].
func (m *Manager) Authorize(ctx context.Context, token string) (auth.ParticipantClaims, error) {
	claims, err := m.verify(ctx, token)
	if err != nil {
		return claims, err
	}
	if _, err := m.Ledger.Stage(ctx, claims.Stage); err != nil {
		if isKind(err, resource.NotFound) {
			err = refusalFor(reasonDeleted)
		}
		return claims, err
	}
	killed, err := m.Ledger.ParticipantKilled(ctx, claims.Stage, claims.ID)
	if killed {
		err = refusalFor(reasonDisconnected)
	}
	return claims, err
}

func (m *Manager) verify(ctx context.Context, token string) (auth.ParticipantClaims, error) {
	ctx, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	// A signature takes about 1 ms to check. Few are at it at once: those who are in
	// a stage already come first.
	verifying := false
	enter := func() error {
		select {
		case m.verifying <- struct{}{}:
			verifying = true
			return nil
		case <-ctx.Done():
			return errSlow
		case <-m.ctx.Done():
			return errStopping
		}
	}
	leave := func() {
		if verifying {
			verifying = false
			<-m.verifying
		}
	}
	defer leave()
	if err := enter(); err != nil {
		return auth.ParticipantClaims{}, err
	}
	claims, err := m.Tokens.Verify(ctx, token, func(ctx context.Context, arn resource.ARN) (string, error) {
		leave() // who waits for the database keeps nobody waiting
		key, err := m.Ledger.PublicKey(ctx, arn)
		if err != nil {
			return "", err
		}
		return key.Material, enter()
	})
	var bad *auth.TokenError
	if errors.As(err, &bad) && bad.Fault == auth.TokenExpired && m.joined(&claims) {
		err = nil // it was looked at when its participant came
	}
	return claims, tokenRefusal(err)
}

// joined says whether a participant is in, and its token is the newest of it that
// was shown.
func (m *Manager) joined(claims *auth.ParticipantClaims) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rooms[claims.Stage]
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.participants[claims.ID]
	return p != nil && p.stored && p.expires.Equal(claims.ExpiresAt)
}

// Disconnect removes a participant from a stage for good: its tokens are no
// longer accepted, whether one was ever used or not. When it returns, it is stored
// that the participant left. It is NotFound when the stage does not exist.
func (m *Manager) Disconnect(ctx context.Context, stage resource.ARN, participantID, reason string) error {
	// No token that is good now lives longer.
	until := time.Now().Add(auth.MaxParticipantTokenLife + time.Minute)
	if err := m.Ledger.KillParticipant(ctx, stage, participantID, until); err != nil {
		return err
	}
	done, err := m.begin()
	if err != nil {
		return nil // all is being closed
	}
	defer done()
	m.mu.Lock()
	r := m.rooms[stage]
	m.mu.Unlock()
	if r == nil {
		return nil
	}
	r.log.Info("participant disconnected", "participant", participantID, "reason", reason)
	select {
	case <-r.expel(participantID):
	case <-ctx.Done():
	case <-m.ctx.Done(): // that it left is stored by the next run
	}
	return nil
}

// Deleted ends a room whose stage is gone, with everything in it. That is stored
// by then.
func (m *Manager) Deleted(stage resource.ARN) {
	done, err := m.begin()
	if err != nil {
		return // all is being closed
	}
	defer done()
	m.mu.Lock()
	r := m.rooms[stage]
	delete(m.rooms, stage)
	m.mu.Unlock()
	if r != nil {
		r.close()
	}
	if m.Recorder != nil {
		m.Recorder.Release(stage)
	}
}

// retire forgets a room that nobody is in any more.
func (m *Manager) retire(r *room) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.idle() && m.rooms[r.stage] == r {
		r.closed = true
		delete(m.rooms, r.stage)
	}
}

// isKind says whether an error is one of kind k.
func isKind(err error, k resource.Kind) bool {
	var e *resource.Error
	return errors.As(err, &e) && e.Kind == k
}
