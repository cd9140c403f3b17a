package stage

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"time"

	"anabranch/internal/resource"
	"anabranch/internal/rtc"
)

// connection is a session of media: the publication of a participant, or its
// subscription to another one.
type connection struct {
	p       *participant
	remote  *participant // the publisher; nil: it is a publication
	session Session
	token   [sha256.Size]byte // of the token that began it: it alone may change or end it
	since   time.Time         // when it began, or the first publication of those that it took over from

	// The room's mutex guards what follows.
	over  bool // has ended, or another one took its place
	begun bool // a subscription's start was told

	last rtc.Stats // the observer's own
}

// Client is who asks, as far as can be told.
type Client struct{ UserAgent string }

// Answer is what a publisher or subscriber gets for an offer. That to a Patch has
// an SDP where ICE was restarted.
type Answer struct {
	ParticipantID string // of the token
	SessionID     string
	ETag          string
	SDP           []byte
}

func newConnection(p, remote *participant, s Session, token string) *connection {
	return &connection{p: p, remote: remote, session: s, token: sha256.Sum256([]byte(token)), since: time.Now()}
}

// run lets a connection run that has its place at its participant.
func (c *connection) run() {
	m := c.p.room.m
	m.mu.Lock()
	m.sessions[c.session.ID()] = c
	m.mu.Unlock()
	m.work.Go(c.watch)
}

// watch leads a connection through its life.
func (c *connection) watch() {
	m, began := c.p.room.m, c.session.Flowing()
	if c.remote != nil {
		began = c.session.Connected()
	}
	limit := time.NewTimer(time.Until(c.since.Add(m.MaxDuration)))
	defer limit.Stop()
	for ended := false; !ended; {
		select {
		case <-began:
			began = nil
			c.begin()
		case <-limit.C:
			c.end(errDuration)
		case <-c.session.Done():
			ended = true
		}
	}
	c.p.room.mu.Lock()
	c.finish(c.session.Err())
	c.p.room.mu.Unlock()
	m.mu.Lock()
	delete(m.sessions, c.session.ID())
	m.mu.Unlock()
}

// begin tells that media flows, or that a subscriber is there.
func (c *connection) begin() {
	c.p.room.mu.Lock()
	defer c.p.room.mu.Unlock()
	switch {
	case c.over:
	case c.remote != nil:
		c.begun = true
		c.p.happen(resource.ParticipantEvent{Name: resource.SubscribeStarted, RemoteParticipantID: c.remote.id}, "")
	case !c.p.publishing:
		c.p.publishing, c.p.published = true, true
		c.p.happen(resource.ParticipantEvent{Name: resource.PublishStarted, StreamID: c.p.stream}, resource.ParticipantPublished)
	}
}

// end ends the connection for a reason.
func (c *connection) end(cause error) {
	c.p.room.mu.Lock()
	c.finish(cause)
	c.p.room.mu.Unlock()
	c.session.Close(cause)
}

// finish takes note of the connection's end. Only the first call counts.
func (c *connection) finish(cause error) {
	if c.over {
		return
	}
	c.over = true
	if c.remote == nil {
		c.finishPublication(cause)
	} else {
		c.finishSubscription(cause)
	}
	c.p.count()
	c.p.rest()
}

func (c *connection) finishPublication(cause error) {
	p := c.p
	p.publication = nil
	if p.stopRecording != nil {
		p.stopRecording()
		p.stopRecording, p.stream = nil, ""
	}
	if code := codeOf(cause); code != "" {
		p.fail(resource.PublishError, "", code)
		p.room.bar(p.id, code)
	}
	if p.publishing {
		p.publishing = false
		p.happen(resource.ParticipantEvent{Name: resource.PublishStopped}, resource.ParticipantUnpublished)
	}
}

func (c *connection) finishSubscription(cause error) {
	p := c.p
	if p.subscriptions[c.remote.id] == c {
		delete(p.subscriptions, c.remote.id)
	}
	delete(c.remote.subscribed, c)
	if code := codeOf(cause); code != "" {
		p.fail(resource.SubscribeError, c.remote.id, code)
	}
	if c.begun {
		p.happen(resource.ParticipantEvent{Name: resource.SubscribeStopped, RemoteParticipantID: c.remote.id}, "")
	}
}

// find finds a session that a token began.
func (m *Manager) find(token, participantID, sessionID string) (*connection, error) {
	m.mu.Lock()
	c := m.sessions[sessionID]
	m.mu.Unlock()
	if c == nil || c.p.id != participantID {
		return nil, refuse(http.StatusNotFound, "", "the session does not exist, or has ended")
	}
	if sum := sha256.Sum256([]byte(token)); subtle.ConstantTimeCompare(sum[:], c.token[:]) == 0 {
		return nil, errNoRight
	}
	return c, nil
}

// Patch takes candidates for a session, or restarts its ICE (RFC 9725 §4.3). The
// token must be the one that began it, which may have expired meanwhile.
func (m *Manager) Patch(_ context.Context, token, participantID, sessionID, ifMatch string, fragment []byte) (Answer, error) {
	c, err := m.find(token, participantID, sessionID)
	if err != nil {
		return Answer{}, err
	}
	sdp, etag, err := c.session.Patch(ifMatch, fragment)
	switch {
	case errors.Is(err, rtc.ErrPrecondition):
		return Answer{}, refuse(http.StatusPreconditionFailed, "", "header If-Match: %v", err)
	case errors.Is(err, rtc.ErrNoCondition):
		return Answer{}, refuse(http.StatusPreconditionRequired, "", "header If-Match: %v", err)
	case err != nil:
		return Answer{}, offerRefusal(err)
	}
	return Answer{ParticipantID: participantID, SessionID: sessionID, ETag: etag, SDP: sdp}, nil
}

// Leave ends a session of media. The token must be the one that began it.
func (m *Manager) Leave(_ context.Context, token, participantID, sessionID string) error {
	c, err := m.find(token, participantID, sessionID)
	if err != nil {
		return err
	}
	c.end(errAsked)
	return nil
}
