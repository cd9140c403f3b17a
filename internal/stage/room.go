package stage

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"anabranch/internal/auth"
	"anabranch/internal/resource"
)

const (
	// absence is how long a participant without a connection is still in the room.
	absence = 5 * time.Second
	// vacancy is how long a session goes on without participants.
	vacancy = 60 * time.Second
)

// room is a stage with somebody in it, or whose session still runs.
type room struct {
	m     *Manager
	stage resource.ARN
	log   *slog.Logger

	// mu guards what follows, and all of the participants, connections and listeners.
	// It is never held across a call out of this package, but for channels, timers and
	// the Recorder, which does not wait.
	mu           sync.Mutex
	closed       bool                    // the stage is gone or the server stops: nothing begins any more
	session      string                  // the one that runs, empty while none is stored
	participants map[string]*participant // by id: who is in, or about to be
	publishers   map[*participant]bool   // who publishes, or offers to
	subscribers  map[*participant]bool   // who subscribes, or offers to
	barred       map[string]bar          // by id: who broke a limit of publishing
	vacant       *time.Timer             // runs while nobody is in the session
	crowd        crowd
	desk         desk
}

func newRoom(m *Manager, stage resource.ARN) *room {
	r := &room{
		m: m, stage: stage, log: m.Log.With("stage", stage.ID()), participants: make(map[string]*participant),
		publishers: make(map[*participant]bool), subscribers: make(map[*participant]bool), barred: make(map[string]bar),
	}
	r.crowd.wake = make(chan struct{})
	return r
}

// maxHolds is how many requests of one token may be under way.
const maxHolds = 16

// admit finds or makes the participant that a token is of, and holds it: until it
// is released it does not leave by itself.
func (m *Manager) admit(claims *auth.ParticipantClaims, from Client) (*participant, error) {
	client := from.software()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped { // since the request began
		return nil, errStopping
	}
	r := m.rooms[claims.Stage]
	if r == nil {
		r = newRoom(m, claims.Stage)
		m.rooms[claims.Stage] = r
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.participants[claims.ID]
	switch {
	case r.closed:
		return nil, errStopping
	case p == nil && !time.Now().Before(claims.ExpiresAt):
		return nil, errExpired // it left since its token was verified
	case p == nil && len(r.participants) >= m.MaxPublishers+m.MaxSubscribers:
		return nil, refuse(statusFull, resource.ParticipantQuotaExceeded, "the stage has its %d participants", len(r.participants))
	case p == nil:
		p = newParticipant(r, claims, client)
		r.participants[p.id] = p
		r.enqueue(p)
	case p.holds >= maxHolds, len(p.todo) >= maxTodo:
		return nil, errBusy
	default:
		p.identify(claims)
	}
	p.holds++
	stopTimer(&p.absent)
	return p, nil
}

// recover takes up a session of the last run.
func (r *room) recover(ctx context.Context, s resource.StageSession) error {
	r.session = s.ID
	connected := resource.ParticipantFilter{Stage: s.Stage, SessionID: s.ID, State: resource.Connected}
	for page := (resource.Page{Size: 100}); ; {
		found, next, err := r.m.Ledger.ListParticipants(ctx, connected, page)
		if err != nil {
			return err
		}
		for i := range found {
			newest, err := r.history(ctx, s.ID, found[i].ID)
			if err != nil {
				return err
			}
			killed, err := r.m.Ledger.ParticipantKilled(ctx, s.Stage, found[i].ID)
			if err != nil {
				return err
			}
			p := recoverParticipant(r, &found[i], newest)
			if killed { // the last run ended before it was stored that it left
				p.left, p.reason, p.queued = true, reasonDisconnected, true
				left := resource.ParticipantEvent{Name: resource.Left, ParticipantID: p.id, EventTime: time.Now()}
				p.todo = append(p.todo, happening{event: left})
				r.desk.queue = append(r.desk.queue, p)
				continue
			}
			r.participants[p.id] = p
			r.crowd.add(p)
		}
		if page.After = next; next == "" {
			return nil
		}
	}
}

// history reads all that is kept of what happened to a participant, newest first.
func (r *room) history(ctx context.Context, session, participantID string) (all []resource.ParticipantEvent, err error) {
	for page := (resource.Page{Size: 100}); ; {
		some, next, err := r.m.Ledger.ListParticipantEvents(ctx, r.stage, session, participantID, page)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if page.After = next; next == "" {
			return all, nil
		}
	}
}

// awaitReturn lets a room of the last run wait for its participants.
func (r *room) awaitReturn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.participants {
		if len(p.todo) > 0 {
			r.enqueue(p)
		}
		if p.absent == nil {
			p.rest()
		}
	}
	if len(r.desk.queue) > 0 {
		r.work()
	}
	r.restIfVacant()
}

// restIfVacant lets the session end some time after its last participant left.
func (r *room) restIfVacant() {
	if len(r.participants) > 0 || r.session == "" || r.vacant != nil || !r.desk.ending.IsZero() || r.closed {
		return
	}
	r.after(&r.vacant, vacancy, func() {
		r.desk.ending = time.Now()
		r.work()
	})
}

// idle says whether the room has nothing to be remembered for.
func (r *room) idle() bool {
	return len(r.participants) == 0 && r.session == "" && !r.desk.busy
}

// expel makes a participant leave for good. The channel is closed when that is
// stored.
func (r *room) expel(participantID string) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.participants[participantID]
	if p == nil {
		nobody := make(chan struct{})
		close(nobody)
		return nobody
	}
	p.leave(reasonDisconnected)
	return p.gone
}

// close ends a room whose stage is gone. Nothing is stored any more.
func (r *room) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	stopTimer(&r.vacant)
	stopTimer(&r.crowd.timer)
	for _, p := range r.participants {
		p.leave(reasonDeleted)
	}
}

// shutdown ends every connection, and lets their ends be stored. Nobody leaves:
// that is up to the next run.
func (r *room) shutdown() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.participants {
		p.disconnect(reasonUnknown)
	}
	r.closed = true
	for _, p := range r.participants {
		stopTimer(&p.absent)
	}
	stopTimer(&r.vacant)
	stopTimer(&r.crowd.timer)
}

// after calls f, under the room's mutex, when d has passed, unless the timer was
// stopped by then.
func (r *room) after(slot **time.Timer, d time.Duration, f func()) {
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if *slot == t {
			*slot = nil
			f()
		}
	})
	*slot = t
}

func stopTimer(slot **time.Timer) {
	if *slot != nil {
		(*slot).Stop()
		*slot = nil
	}
}
