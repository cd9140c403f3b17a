package stage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"anabranch/internal/resource"
	"anabranch/internal/rtc"
)

// engine makes sessions of nothing.
type engine struct {
	mu       sync.Mutex
	sessions []*session
	refuse   error
	hold     chan struct{} // where it is not nil, offers wait until it is closed
	sources  []*rtc.Source
}

func (e *engine) answer(src *rtc.Source) (Session, []byte, error) {
	if e.hold != nil {
		<-e.hold
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refuse != nil {
		return nil, nil, e.refuse
	}
	s := &session{
		id:        fmt.Sprint("session-", len(e.sessions)),
		connected: make(chan struct{}), flowing: make(chan struct{}), done: make(chan struct{}),
	}
	e.sessions, e.sources = append(e.sessions, s), append(e.sources, src)
	return s, []byte("answer"), nil
}

func (e *engine) Publish(_ context.Context, _ []byte, src *rtc.Source, _ rtc.Limits) (Session, []byte, error) {
	return e.answer(src)
}

func (e *engine) Subscribe(_ context.Context, _ []byte, src *rtc.Source) (Session, []byte, error) {
	return e.answer(src)
}

func (e *engine) newest() *session {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sessions[len(e.sessions)-1]
}

type session struct {
	id                       string
	connected, flowing, done chan struct{}

	once  sync.Once
	cause error

	mu    sync.Mutex
	stats rtc.Stats
}

func (s *session) ID() string                 { return s.id }
func (s *session) ETag() string               { return `"1"` }
func (s *session) Connected() <-chan struct{} { return s.connected }
func (s *session) Flowing() <-chan struct{}   { return s.flowing }
func (s *session) Done() <-chan struct{}      { return s.done }
func (s *session) Err() error                 { return s.cause }

func (s *session) Stats() rtc.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// carry sets what the session has carried.
func (s *session) carry(stats rtc.Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats = stats
}

func (s *session) Close(cause error) {
	s.once.Do(func() {
		s.cause = cause
		close(s.done)
	})
}

func (s *session) Patch(ifMatch string, _ []byte) ([]byte, string, error) {
	if ifMatch != `"1"` {
		return nil, "", rtc.ErrPrecondition
	}
	return []byte("fragment"), `"2"`, nil
}

// open says whether a session is open.
func (s *session) open() bool {
	synctest.Wait()
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// ledger keeps what rooms store, and a log of it.
type ledger struct {
	mu           sync.Mutex
	away         bool // every call fails
	stages       map[resource.ARN]bool
	recording    resource.ParticipantRecording // of every stage
	gone         []resource.ARN                // storage configurations: stages get another when one is missed
	sessions     []resource.StageSession
	participants map[string]*resource.Participant // by session and id
	events       map[string][]resource.ParticipantEvent
	killed       map[string]bool
	log          []string
	held         map[string]chan struct{} // calls, by name, that take until theirs is closed
}

var errAway = errors.New("the database is away")

func (l *ledger) write(format string, args ...any) {
	l.log = append(l.log, fmt.Sprintf(format, args...))
}

func (l *ledger) lock() (unlock func(), err error) {
	l.mu.Lock()
	if l.away {
		l.mu.Unlock()
		return nil, errAway
	}
	return l.mu.Unlock, nil
}

// wait holds up a call that is to be.
func (l *ledger) wait(ctx context.Context, call string) error {
	if l.held[call] == nil {
		return nil
	}
	select {
	case <-l.held[call]:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *ledger) setAway(away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = away
}

func (l *ledger) active(stage resource.ARN) *resource.StageSession {
	for i := range l.sessions {
		if l.sessions[i].Stage == stage && l.sessions[i].End == nil {
			return &l.sessions[i]
		}
	}
	return nil
}

func (l *ledger) Stage(_ context.Context, arn resource.ARN) (resource.Stage, error) {
	unlock, err := l.lock()
	if err != nil {
		return resource.Stage{}, err
	}
	defer unlock()
	if !l.stages[arn] {
		return resource.Stage{}, resource.NotFoundError(arn)
	}
	return resource.Stage{ARN: arn, Recording: l.recording}, nil
}

func (l *ledger) StorageConfiguration(_ context.Context, arn resource.ARN) (resource.StorageConfiguration, error) {
	unlock, err := l.lock()
	if err != nil {
		return resource.StorageConfiguration{}, err
	}
	defer unlock()
	if slices.Contains(l.gone, arn) {
		l.recording.StorageConfigurationARN = "other"
		return resource.StorageConfiguration{}, resource.NotFoundError(arn)
	}
	return resource.StorageConfiguration{ARN: arn, S3: resource.S3StorageConfiguration{BucketName: "vods"}}, nil
}

func (l *ledger) JoinStage(ctx context.Context, p resource.Participant) (resource.StageSession, error) {
	if err := l.wait(ctx, "JoinStage"); err != nil {
		return resource.StageSession{}, err
	}
	unlock, err := l.lock()
	if err != nil {
		return resource.StageSession{}, err
	}
	defer unlock()
	if !l.stages[p.Stage] {
		return resource.StageSession{}, resource.NotFoundError(p.Stage)
	}
	s := l.active(p.Stage)
	if s == nil {
		l.sessions = append(l.sessions, resource.StageSession{ID: fmt.Sprint("st-", len(l.sessions)+1), Stage: p.Stage, Start: time.Now()})
		s = &l.sessions[len(l.sessions)-1]
		l.write("%s begins", s.ID)
	}
	p.SessionID, p.State = s.ID, resource.Connected
	if l.participants == nil {
		l.participants, l.events = make(map[string]*resource.Participant), make(map[string][]resource.ParticipantEvent)
	}
	l.participants[s.ID+p.ID] = &p
	l.write("%s JOINED", p.ID)
	return *s, nil
}

func (l *ledger) UpdateParticipant(ctx context.Context, stage resource.ARN, sessionID, participantID string,
	change func(*resource.Participant), happened []resource.ParticipantEvent, events ...resource.Event) error {

	if err := l.wait(ctx, "UpdateParticipant"); err != nil {
		return err
	}
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	p := l.participants[sessionID+participantID]
	if p == nil {
		return resource.NotFoundError(stage)
	}
	was := p.Attributes["role"]
	change(p)
	if role := p.Attributes["role"]; role != was {
		l.write("%s is %s", participantID, role)
	}
	for _, e := range happened {
		if e.StreamID != "" {
			p.RecordingState = resource.ParticipantRecordingStarting
		}
		line := participantID + " " + string(e.Name)
		for _, more := range []string{e.RemoteParticipantID, string(e.ErrorCode)} {
			if more != "" {
				line += " " + more
			}
		}
		l.write("%s", line)
		l.events[sessionID+participantID] = append(l.events[sessionID+participantID], e)
	}
	for _, e := range events {
		d := e.Detail.(resource.StageUpdateDetail)
		l.write("%s %s %s", d.ParticipantID, d.EventName, d.SessionID)
	}
	return nil
}

func (l *ledger) EndStageSession(_ context.Context, stage resource.ARN, sessionID string, at time.Time) error {
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	for i := range l.sessions {
		if l.sessions[i].ID == sessionID && l.sessions[i].End == nil {
			l.sessions[i].End = &at
			l.write("%s ends", sessionID)
		}
	}
	return nil
}

func (l *ledger) KillParticipant(_ context.Context, stage resource.ARN, participantID string, _ time.Time) error {
	unlock, err := l.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if l.killed == nil {
		l.killed = make(map[string]bool)
	}
	l.killed[participantID] = true
	l.write("%s killed", participantID)
	return nil
}

func (l *ledger) ParticipantKilled(_ context.Context, _ resource.ARN, participantID string) (bool, error) {
	unlock, err := l.lock()
	if err != nil {
		return false, err
	}
	defer unlock()
	return l.killed[participantID], nil
}

func (l *ledger) PublicKey(ctx context.Context, arn resource.ARN) (resource.PublicKey, error) {
	if err := l.wait(ctx, "PublicKey"); err != nil {
		return resource.PublicKey{}, err
	}
	return resource.PublicKey{}, resource.NotFoundError(arn)
}

func (l *ledger) ActiveStageSessions(context.Context) (active []resource.StageSession, err error) {
	for _, s := range l.sessions {
		if s.End == nil {
			active = append(active, s)
		}
	}
	return active, nil
}

func (l *ledger) ListParticipants(_ context.Context, f resource.ParticipantFilter, p resource.Page) (
	found []resource.Participant, next string, err error) {

	ids := []string{}
	for key, p := range l.participants {
		if p.SessionID == f.SessionID && p.State == f.State {
			ids = append(ids, key)
		}
	}
	slices.Sort(ids)
	for _, key := range ids { // pages of one
		if key > p.After {
			return append(found, *l.participants[key]), key, nil
		}
	}
	return nil, "", nil
}

func (l *ledger) ListParticipantEvents(_ context.Context, _ resource.ARN, sessionID, participantID string, p resource.Page) (
	[]resource.ParticipantEvent, string, error) {

	all := l.events[sessionID+participantID]
	older := len(all)
	if p.After != "" {
		older, _ = strconv.Atoi(p.After)
	}
	if older == 0 {
		return nil, "", nil
	}
	return all[older-1 : older], strings.TrimPrefix(strconv.Itoa(older-1), "0"), nil // pages of one
}
