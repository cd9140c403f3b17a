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

// Publish answers the offer of somebody who wants to publish. Who publishes
// already with the same token goes on in the new connection. A refusal is an
// *[Error].
func (m *Manager) Publish(ctx context.Context, token string, from Client, offer []byte) (Answer, error) {
	p, claims, release, err := m.enter(ctx, token, "", from)
	if err != nil {
		return Answer{}, err
	}
	defer release()
	how, err := m.plan(ctx, claims.Stage)
	if err != nil {
		return Answer{}, err
	}
	source, err := p.offerPublication(claims)
	if err != nil {
		return Answer{}, err
	}
	session, answer, err := m.Engine.Publish(ctx, offer, source, m.Limits)
	if err := p.answerPublication(session, token, how, err); err != nil {
		return Answer{}, err
	}
	return Answer{ParticipantID: p.id, SessionID: session.ID(), ETag: session.ETag(), SDP: answer}, nil
}

// barring is how long who broke a limit of publishing may not publish again. It
// is told why, which who publishes anew at once would not notice.
const barring = 10 * time.Second

// bar is a reason for not publishing.
type bar struct {
	code  resource.ParticipantErrorCode
	until time.Time
}

// bar keeps a participant from publishing for a while, whether it leaves meanwhile
// or not.
func (r *room) bar(participantID string, code resource.ParticipantErrorCode) {
	now := time.Now()
	maps.DeleteFunc(r.barred, func(_ string, b bar) bool { return !now.Before(b.until) })
	r.barred[participantID] = bar{code, now.Add(barring)}
}

// offerPublication says where the media of a publication goes that begins, if it
// may. Behind it, answerPublication must be called.
func (p *participant) offerPublication(claims *auth.ParticipantClaims) (*rtc.Source, error) {
	r := p.room
	r.mu.Lock()
	defer r.mu.Unlock()
	barred := r.barred[p.id]
	switch {
	case p.left:
		return nil, refusalFor(p.reason)
	case r.closed:
		return nil, errStopping
	case !claims.Publish:
		p.fail(resource.PublishError, "", resource.InsufficientCapabilities)
		return nil, refuse(http.StatusForbidden, resource.InsufficientCapabilities, "the token does not allow to publish")
	case time.Now().Before(barred.until):
		return nil, refuse(http.StatusForbidden, barred.code, "the last publication ended with %s: another one may begin %v later", barred.code, barring)
	case !r.publishers[p] && len(r.publishers) >= r.m.MaxPublishers:
		p.fail(resource.PublishError, "", resource.ParticipantQuotaExceeded)
		return nil, refuse(statusFull, resource.ParticipantQuotaExceeded, "the stage has its %d publishers", r.m.MaxPublishers)
	}
	p.publishOffers++
	p.count()
	if p.source == nil {
		p.source = rtc.NewSource()
	}
	return p.source, nil
}

// answerPublication takes note of what became of an offer: a session, which is
// recorded as how says, or err.
func (p *participant) answerPublication(s Session, token string, how *plan, err error) error {
	r := p.room
	c := newConnection(p, nil, s, token)
	r.mu.Lock()
	p.publishOffers--
	var old *connection
	switch {
	case err != nil:
		if code := codeOf(err); code != "" && !p.left {
			p.fail(resource.PublishError, "", code)
		}
		err = offerRefusal(err)
	case p.left || r.closed:
		err = refusalFor(p.reason)
	default:
		// What flowed goes on to be told as publishing: there is no end between.
		if old = p.publication; old != nil {
			old.over = true
			c.since = old.since
		} else {
			p.record(how)
		}
		p.publication = c
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
