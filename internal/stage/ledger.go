package stage

import (
	"context"
	"time"

	"anabranch/internal/resource"
)

// desk is a room's queue of what is to be stored. While there is something in it,
// one goroutine works it off, in order. The room's mutex guards it.
type desk struct {
	queue  []*participant // who has something to be stored
	ending time.Time      // when the session ended, which is to be stored behind all that
	busy   bool           // the goroutine runs
}

// storing is what there is to be stored of a participant. The room's mutex guards
// it.
type storing struct {
	stored     bool        // that it joined
	session    string      // which
	storingNow bool        // that it joins
	todo       []happening // in order
	renamed    bool        // user id or attributes changed
	queued     bool

	seenPublishing bool   // as the others are told
	seen           []byte // as the others are told, as JSON
}

// happening is an event of a participant, and the name of the stage update that
// tells of it too, if any.
type happening struct {
	event  resource.ParticipantEvent
	update string
}

const (
	// maxTodo is how much may wait to be stored of one participant before its
	// requests are refused.
	maxTodo = 100
	// leastPause and mostPause are the times between tries to store something.
	leastPause = 100 * time.Millisecond
	mostPause  = 5 * time.Second
)

// happen lets something be stored that happens now, and told then.
func (p *participant) happen(e resource.ParticipantEvent, update string) {
	if p.room.closed {
		return
	}
	e.ParticipantID, e.EventTime = p.id, time.Now()
	p.todo = append(p.todo, happening{e, update})
	p.room.enqueue(p)
}

func (r *room) enqueue(p *participant) {
	if !p.queued {
		p.queued = true
		r.desk.queue = append(r.desk.queue, p)
	}
	r.work()
}

func (r *room) work() {
	if !r.desk.busy {
		r.desk.busy = true
		r.m.work.Go(r.store)
	}
}

// store works off the queue.
func (r *room) store() {
	var pause time.Duration
	for {
		next := r.next()
		if next == nil {
			r.m.retire(r)
			return
		}
		err := next(r.m.ctx)
		if err == nil {
			pause = 0
			continue
		}
		if pause == 0 {
			r.log.Error("what happened in a stage cannot be stored; trying again", "error", err)
		}
		pause = min(max(2*pause, leastPause), mostPause)
		select {
		case <-time.After(pause):
		case <-r.m.ctx.Done():
		}
	}
}

// next is what is to be stored next; nil when there is nothing more.
func (r *room) next() func(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := &r.desk
	for len(d.queue) > 0 && !d.queue[0].pending() {
		d.queue[0].queued = false
		d.queue[0] = nil
		d.queue = d.queue[1:]
	}
	switch {
	case r.m.ctx.Err() != nil:
	case len(d.queue) > 0:
		return d.queue[0].store
	case !d.ending.IsZero() && !r.closed:
		session, at := r.session, d.ending
		return func(ctx context.Context) error { return r.storeEnd(ctx, session, at) }
	}
	d.busy = false
	return nil
}

// pending says whether there is something to be stored.
func (p *participant) pending() bool {
	return !p.stored && !p.left || len(p.todo) > 0 || p.renamed
}

// store stores what there is to be stored, and lets it be told.
func (p *participant) store(ctx context.Context) error {
	p.room.mu.Lock()
	if !p.stored {
		p.storingNow = true
		who := resource.Participant{
			Stage: p.room.stage, ID: p.id, UserID: p.userID, Attributes: p.attributes,
			FirstJoinTime: p.came, ParticipantClient: p.client, TokenExpires: p.expires,
		}
		p.room.mu.Unlock()
		return p.storeJoin(ctx, who)
	}
	todo, renamed := p.todo, p.renamed
	who := resource.Participant{
		Stage: p.room.stage, SessionID: p.session, ID: p.id, UserID: p.userID, Attributes: p.attributes, TokenExpires: p.expires,
	}
	p.room.mu.Unlock()

	happened := make([]resource.ParticipantEvent, 0, len(todo))
	var updates []resource.Event
	for _, h := range todo {
		happened = append(happened, h.event)
		if h.update != "" {
			updates = append(updates, resource.NewStageUpdate(&who, h.update, h.event.EventTime, h.event.ErrorCode))
		}
	}
	change := func(stored *resource.Participant) {
		if renamed {
			stored.UserID, stored.Attributes, stored.TokenExpires = who.UserID, who.Attributes, who.TokenExpires
		}
		for _, h := range todo {
			switch h.event.Name {
			case resource.PublishStarted:
				stored.Published, stored.Protocol = true, resource.WHIP
			case resource.Left:
				stored.State = resource.Disconnected
			}
		}
	}
	err := p.room.m.Ledger.UpdateParticipant(ctx, p.room.stage, p.session, p.id, change, happened, updates...)
	if err != nil && !isKind(err, resource.NotFound) { // not found: the stage was deleted
		return err
	}
	p.room.mu.Lock()
	defer p.room.mu.Unlock()
	p.todo = p.todo[len(todo):]
	if renamed {
		p.renamed = false
	}
	p.tell(happened)
	return nil
}

// storeJoin stores that the participant came, if it may.
func (p *participant) storeJoin(ctx context.Context, who resource.Participant) error {
	r, refused := p.room, error(nil)
	// Asked behind admit: who is killed meanwhile is expelled.
	killed, err := r.m.Ledger.ParticipantKilled(ctx, who.Stage, who.ID)
	var session resource.StageSession
	switch {
	case err != nil:
	case killed:
		refused = refusalFor(reasonDisconnected)
	default:
		session, err = r.m.Ledger.JoinStage(ctx, who)
		if isKind(err, resource.NotFound) {
			refused, err = refusalFor(reasonDeleted), nil
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p.storingNow = false
	switch {
	case err != nil && !p.left:
		return err
	case err != nil: // it left meanwhile, and never was there
		close(p.gone)
	case refused != nil && !p.left:
		p.settle(refused)
		p.leave(reasonUnknown)
	case refused != nil:
		close(p.gone)
	default:
		if r.session != session.ID {
			r.log.Info("stage session began", "session", session.ID)
		}
		p.stored, p.session, r.session = true, session.ID, session.ID
		// Not before: who is refused does not keep the session going.
		stopTimer(&r.vacant)
		r.desk.ending = time.Time{}
		switch {
		case p.left && r.closed:
			close(p.gone)
		case p.left:
			p.happen(resource.ParticipantEvent{Name: resource.Left}, "")
		default:
			p.settle(nil)
			r.crowd.add(p)
			r.changed(false)
		}
	}
	return nil
}

// tell lets the others see what was stored.
func (p *participant) tell(happened []resource.ParticipantEvent) {
	r := p.room
	was := p.seenPublishing
	for _, e := range happened {
		switch e.Name {
		case resource.PublishStarted:
			p.seenPublishing = true
			r.log.Info("participant publishes", "participant", p.id)
		case resource.PublishStopped:
			p.seenPublishing = false
			r.log.Info("participant stopped publishing", "participant", p.id)
		case resource.Left:
			r.crowd.remove(p)
			r.changed(false)
			close(p.gone)
			r.restIfVacant()
			return
		}
	}
	if p.encode() {
		r.changed(was != p.seenPublishing)
	}
}

// storeEnd stores the end of a session.
func (r *room) storeEnd(ctx context.Context, session string, at time.Time) error {
	if err := r.m.Ledger.EndStageSession(ctx, r.stage, session, at); err != nil && !isKind(err, resource.NotFound) {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log.Info("stage session ended", "session", session)
	r.desk.ending = time.Time{}
	if r.session == session {
		r.session = ""
	}
	return nil
}
