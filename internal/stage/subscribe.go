package stage

import (
	"context"
	"net/http"

	"anabranch/internal/auth"
	"anabranch/internal/resource"
)

// maxSubscriptions is how many publishers one participant sees at once.
const maxSubscriptions = 32

// Subscribe answers the offer of somebody who wants to see and hear another
// participant, who publishes, or did and may come back. A subscription to the
// same publisher with the same token ends. A refusal is an *[Error].
func (m *Manager) Subscribe(ctx context.Context, token, participantID string, from Client, offer []byte) (Answer, error) {
	p, claims, release, err := m.enter(ctx, token, "", from)
	if err != nil {
		return Answer{}, err
	}
	defer release()
	remote, err := p.offerSubscription(claims, participantID)
	if err != nil {
		return Answer{}, err
	}
	session, answer, err := m.Engine.Subscribe(ctx, offer, remote.source)
	if err := p.answerSubscription(session, remote, token, err); err != nil {
		return Answer{}, err
	}
	return Answer{ParticipantID: p.id, SessionID: session.ID(), ETag: session.ETag(), SDP: answer}, nil
}

// offerSubscription finds the publisher of a subscription that begins, if it may.
// Behind it, answerSubscription must be called.
func (p *participant) offerSubscription(claims *auth.ParticipantClaims, remoteID string) (*participant, error) {
	r := p.room
	r.mu.Lock()
	defer r.mu.Unlock()
	remote := r.participants[remoteID]
	refused := func(status int, code resource.ParticipantErrorCode, format string, args ...any) error {
		p.fail(resource.SubscribeError, knownID(remote), code)
		return refuse(status, code, format, args...)
	}
	switch {
	case p.left:
		return nil, refusalFor(p.reason)
	case r.closed:
		return nil, errStopping
	case !claims.Subscribe:
		return nil, refused(http.StatusForbidden, resource.InsufficientCapabilities, "the token does not allow to subscribe")
	case remote == nil || !remote.published:
		return nil, refused(http.StatusNotFound, resource.PublisherNotFound, "the participant does not publish")
	case !r.subscribers[p] && len(r.subscribers) >= r.m.MaxSubscribers:
		return nil, refused(statusFull, resource.ParticipantQuotaExceeded, "the stage has its %d subscribers", r.m.MaxSubscribers)
	case p.subscriptions[remoteID] == nil && len(p.subscriptions)+p.subscribeOffers >= maxSubscriptions:
		return nil, refused(statusFull, resource.ParticipantQuotaExceeded, "the participant has its %d subscriptions", maxSubscriptions)
	}
	p.subscribeOffers++
	p.count()
	return remote, nil
}

// knownID is the id of a participant, and empty for one who is not there: events
// name nobody whom the client made up.
func knownID(p *participant) string {
	if p == nil {
		return ""
	}
	return p.id
}

// answerSubscription takes note of what became of an offer: a session, or err.
func (p *participant) answerSubscription(s Session, remote *participant, token string, err error) error {
	r := p.room
	c := newConnection(p, remote, s, token)
	r.mu.Lock()
	p.subscribeOffers--
	var old *connection
	switch {
	case err != nil:
		if code := codeOf(err); code != "" && !p.left {
			p.fail(resource.SubscribeError, remote.id, code)
		}
		err = offerRefusal(err)
	case p.left || r.closed:
		err = refusalFor(p.reason)
	case remote.left:
		err = refuse(http.StatusNotFound, resource.PublisherNotFound, "the participant does not publish any more")
	default:
		if old = p.subscriptions[remote.id]; old != nil {
			old.finish(errReplaced)
		}
		p.subscriptions[remote.id] = c
		remote.subscribed[c] = true
	}
	p.count()
	r.mu.Unlock()
	switch {
	case err == nil:
		c.run()
	case s != nil:
		s.Close(errLeft)
	}
	if old != nil {
		old.session.Close(errReplaced)
	}
	return err
}
