package stage

import (
	"context"
	"maps"
	"net/http"
	"time"

	"anabranch/internal/auth"
	"anabranch/internal/resource"
	"anabranch/internal/rtc"
)

// participant is one stay of a token's holder in a room, from joining to leaving.
// Who comes back after that is another one, with the same id. The room's mutex
// guards all of it, but for the channels and what never changes.
type participant struct {
	room   *room
	id     string
	client resource.ParticipantClient
	came   time.Time
	// joined is closed when it is known whether the participant is in: err says why
	// not, and does not change afterwards.
	joined chan struct{}
	err    error
	gone   chan struct{} // closed when nothing more is to be stored

	userID     string
	attributes map[string]string
	expires    time.Time // of the token

	holds           int // requests under way
	listener        *Listener
	publication     *connection
	subscriptions   map[string]*connection // by the id of the publisher
	subscribed      map[*connection]bool   // subscriptions of others to this one
	publishOffers   int                    // being answered
	subscribeOffers int
	source          *rtc.Source           // nil before the first publication
	stopRecording   func()                // ends the recording of the publication; nil without one
	stream          string                // the publication, as the recorder knows it
	publishing      bool                  // its media flows
	published       bool                  // it did once
	errors          map[failure]time.Time // when each was told last
	absent          *time.Timer           // runs while there is no connection
	left            bool                  // out
	reason          string                // why

	storing
}

func newParticipant(r *room, claims *auth.ParticipantClaims, client resource.ParticipantClient) *participant {
	return &participant{
		room: r, id: claims.ID, client: client, came: time.Now(), joined: make(chan struct{}), gone: make(chan struct{}),
		userID: claims.UserID, attributes: claims.Attributes, expires: claims.ExpiresAt,
		subscriptions: make(map[string]*connection), subscribed: make(map[*connection]bool),
		errors: make(map[failure]time.Time),
	}
}

// recoverParticipant makes a participant of one who was there when the last run
// ended. What it had open then, by the newest that happened, has ended.
func recoverParticipant(r *room, was *resource.Participant, newest []resource.ParticipantEvent) *participant {
	p := newParticipant(r, &auth.ParticipantClaims{
		ID: was.ID, UserID: was.UserID, Attributes: was.Attributes, ExpiresAt: was.TokenExpires,
	}, was.ParticipantClient)
	p.stored, p.session = true, r.session
	close(p.joined)
	ended := make(map[string]bool) // by the id of the publisher; "" is its own
	for _, e := range newest {
		var update string
		switch e.Name {
		case resource.PublishStarted:
			e.Name, update = resource.PublishStopped, resource.ParticipantUnpublished
		case resource.SubscribeStarted:
			e.Name = resource.SubscribeStopped
		case resource.PublishStopped, resource.SubscribeStopped:
			ended[e.RemoteParticipantID] = true
			continue
		default:
			continue
		}
		if !ended[e.RemoteParticipantID] {
			ended[e.RemoteParticipantID] = true
			e.EventTime = time.Now()
			p.todo = append(p.todo, happening{event: e, update: update})
		}
	}
	return p
}

// joinPatience is how long a request waits until its participant is in.
const joinPatience = 10 * time.Second

// enter lets a token's holder in, or another connection of one who is in, and
// holds it until release is called. It returns when that is stored. The token must
// be for the stage of an id, if one is given.
func (m *Manager) enter(ctx context.Context, token, stageID string, from Client) (
	p *participant, claims *auth.ParticipantClaims, release func(), err error,
) {
	done, err := m.begin()
	if err != nil {
		return nil, nil, nil, err
	}
	defer func() {
		if err != nil {
			done()
		}
	}()
	verified, err := m.verify(ctx, token)
	if err != nil {
		return nil, nil, nil, err
	}
	if stageID != "" && verified.Stage.ID() != stageID {
		return nil, nil, nil, refuse(http.StatusForbidden, "", "the token is for another stage")
	}
	if p, err = m.admit(&verified, from); err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	select {
	case <-p.joined:
		err = p.err
	case <-ctx.Done():
		err = errSlow
	case <-m.ctx.Done():
		err = errStopping
	}
	if err != nil {
		p.release()
		return nil, nil, nil, err
	}
	return p, &verified, func() { p.release(); done() }, nil
}

// release ends a request's hold.
func (p *participant) release() {
	p.room.mu.Lock()
	defer p.room.mu.Unlock()
	p.holds--
	p.rest()
}

// identify takes over what a newer token says of the participant.
func (p *participant) identify(claims *auth.ParticipantClaims) {
	p.expires = claims.ExpiresAt
	if p.userID == claims.UserID && maps.Equal(p.attributes, claims.Attributes) {
		return
	}
	p.userID, p.attributes = claims.UserID, claims.Attributes
	if p.stored || p.storingNow {
		p.renamed = true
		p.room.enqueue(p)
	}
}

// rest lets the participant leave some time after its last connection ended.
func (p *participant) rest() {
	if p.holds > 0 || p.listener != nil || p.publication != nil || len(p.subscriptions) > 0 || p.left || p.room.closed {
		return
	}
	stopTimer(&p.absent)
	p.room.after(&p.absent, absence, func() { p.leave(reasonUnknown) })
}

// leave takes the participant out of the room.
func (p *participant) leave(reason string) {
	r := p.room
	p.left, p.reason = true, reason
	delete(r.participants, p.id)
	stopTimer(&p.absent)
	p.disconnect(reason)
	p.count()
	switch {
	case p.stored && !r.closed:
		p.happen(resource.ParticipantEvent{Name: resource.Left}, "")
	case !p.stored:
		p.settle(refusalFor(reason))
		if !p.storingNow {
			close(p.gone)
		}
		r.restIfVacant()
	default:
		close(p.gone)
	}
}

// disconnect ends all connections, and those of others to what p publishes.
func (p *participant) disconnect(reason string) {
	if p.listener != nil {
		p.listener.end(reason)
		p.listener = nil
	}
	var ending []*connection
	end := func(c *connection, cause error) {
		ending = append(ending, c)
		c.finish(cause)
	}
	if p.publication != nil {
		end(p.publication, errLeft)
	}
	for _, c := range p.subscriptions {
		end(c, errLeft)
	}
	for c := range p.subscribed {
		end(c, errPublisher)
	}
	source := p.source
	if len(ending) == 0 && source == nil {
		return
	}
	p.room.m.work.Go(func() {
		for _, c := range ending {
			c.session.Close(errLeft)
		}
		if source != nil {
			source.Close()
		}
	})
}

// settle says whether the participant is in.
func (p *participant) settle(err error) {
	select {
	case <-p.joined:
	default:
		p.err = err
		close(p.joined)
	}
}

// failure is something that may fail again and again.
type failure struct {
	name   resource.ParticipantEventName
	remote string
	code   resource.ParticipantErrorCode
}

const (
	// tellAgain is how often the same failure of a participant is told.
	tellAgain = 10 * time.Second
	// maxFailures is how many different ones are told.
	maxFailures = 100
)

// fail tells that something was refused or ended for a reason.
func (p *participant) fail(name resource.ParticipantEventName, remote string, code resource.ParticipantErrorCode) {
	f := failure{name, remote, code}
	last, again := p.errors[f]
	if again && time.Since(last) < tellAgain || !again && len(p.errors) >= maxFailures {
		return
	}
	p.errors[f] = time.Now()
	var update string
	if name == resource.PublishError {
		update = resource.ParticipantPublishError
	}
	p.happen(resource.ParticipantEvent{Name: name, RemoteParticipantID: remote, ErrorCode: code}, update)
}

// count keeps the room's numbers of publishers and subscribers.
func (p *participant) count() {
	mark := func(all map[*participant]bool, is bool) {
		if is && !p.left {
			all[p] = true
		} else {
			delete(all, p)
		}
	}
	mark(p.room.publishers, p.publication != nil || p.publishOffers > 0)
	mark(p.room.subscribers, len(p.subscriptions) > 0 || p.subscribeOffers > 0)
}

// statusFull is for what is one too many now, and may not be later.
const statusFull = http.StatusServiceUnavailable
