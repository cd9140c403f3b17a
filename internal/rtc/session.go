package rtc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"anabranch/internal/metrics"
	"github.com/pion/rtcp"
)

// Session is one WebRTC connection of a publisher or subscriber: one ICE transport,
// one DTLS association and the SRTP of all its sections (BUNDLE, RFC 9143).
//
//	Publish, Subscribe → half open → check → DTLS → connected → done
type Session struct {
	engine *Engine
	id     string
	kind   string // publish, subscribe
	begun  time.Time
	plan   *answer
	prints []fingerprint
	media  traffic
	dtls   *dtlsPipe

	path      atomic.Pointer[path] // where the client is sent to; nil: not known yet
	lastHeard atomic.Int64         // since begun, in ns: a clock that is set ends nobody
	halfOpen  bool                 // guarded by the engine's mu
	ice       iceState             // guarded by the engine's mu

	startOnce sync.Once
	started   sync.WaitGroup // run
	in        srtpIn
	out       srtpOut

	connected chan struct{}
	flowing   chan struct{}
	done      chan struct{}
	ctx       context.Context // ends with Close
	close     context.CancelCauseFunc
	closeOnce sync.Once

	mu   sync.Mutex // guards the rest
	etag string
	err  error
}

// traffic is what a session carries: a publication or a subscription.
type traffic interface {
	begin() // once connected
	// rtp takes a packet that came, decrypted; it may change it, and keeps nothing.
	rtp(b []byte, now time.Time)
	rtcp(packets []rtcp.Packet, now time.Time)
	end() // once, also when begin was never called; then nothing comes any more
	stats() Stats
}

// Why a session ended by itself.
var (
	ErrLost           = errors.New("nothing came from the client any more")
	ErrHungUp         = errors.New("the client closed the connection")
	ErrNeverConnected = errors.New("the client did not connect")
	ErrStopped        = errors.New("the server stops")
)

// Publish answers an offer (RFC 9725) whose media goes to src. A refused offer's
// error is a [*resource.Error] that names the line or attribute, or ErrBusy.
func (e *Engine) Publish(ctx context.Context, text []byte, src *Source, limits Limits) (*Session, []byte, error) {
	o, err := parseOffer(text)
	if err != nil {
		return nil, nil, err
	}
	plan, err := answerPublisher(o, limits)
	if err != nil {
		return nil, nil, err
	}
	s := e.newSession("publish", o, plan)
	s.media = newPublication(s, src, limits)
	return s.open()
}

// Subscribe answers an offer that wants src's media, whether or not it flows yet.
// Errors are those of Publish.
func (e *Engine) Subscribe(ctx context.Context, text []byte, src *Source) (*Session, []byte, error) {
	o, err := parseOffer(text)
	if err != nil {
		return nil, nil, err
	}
	outs := newOutbounds()
	plan, err := answerSubscriber(o, outs)
	if err != nil {
		return nil, nil, err
	}
	s := e.newSession("subscribe", o, plan)
	s.media = newSubscription(s, src, outs)
	return s.open()
}

func (e *Engine) newSession(kind string, o *offer, plan *answer) *Session {
	s := &Session{
		engine: e, id: rand.Text(), kind: kind, begun: time.Now(), plan: plan, prints: o.prints,
		ice:       iceState{present: iceSession{local: newCredentials(), remote: o.ice}},
		connected: make(chan struct{}), flowing: make(chan struct{}), done: make(chan struct{}),
		etag: newETag(),
	}
	s.dtls = &dtlsPipe{session: s}
	s.ctx, s.close = context.WithCancelCause(context.Background())
	return s
}

// newETag makes an entity tag, in quotes.
func newETag() string { return `"` + rand.Text()[:16] + `"` }

// open registers the session and writes its answer.
func (s *Session) open() (*Session, []byte, error) {
	local := s.ice.present.local
	if err := s.engine.register(s); err != nil {
		return nil, nil, err
	}
	return s, s.plan.text(uint64(s.begun.UnixNano()), s.transport(local, true)), nil
}

// transport is the part of a section that all of them have in common.
func (s *Session) transport(local credentials, whole bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\n", local.ufrag, local.pwd)
	if whole {
		fmt.Fprintf(&b, "a=fingerprint:sha-256 %s\r\na=setup:passive\r\n", s.engine.certificate.print)
	}
	b.WriteString(*s.engine.candidates.Load())
	return b.String()
}

// ID names the session in its URL: nobody can guess it.
func (s *Session) ID() string { return s.id }

// ETag names the present ICE session (RFC 9725 §4.3.1), in quotes as HTTP wants it.
func (s *Session) ETag() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.etag
}

// Connected is closed when ICE and DTLS are through.
func (s *Session) Connected() <-chan struct{} { return s.connected }

// Flowing is closed when the first packet of media came from a publisher. It stays
// open for subscribers.
func (s *Session) Flowing() <-chan struct{} { return s.flowing }

// Done is closed when the session has ended and nothing of it is left.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err says why the session ended: what Close was given, ErrLost, ErrHungUp,
// ErrNeverConnected, ErrStopped, ErrBitrate or ErrResolution; nil before it did.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the session, for the reason cause, and tells the client (BYE, and
// close_notify of DTLS). It does not wait: see Done. Only the first call counts.
func (s *Session) Close(cause error) {
	s.closeOnce.Do(func() {
		s.mu.Lock()
		s.err = cause
		s.mu.Unlock()
		s.close(cause)
		s.engine.running.Go(s.end)
	})
}

// end takes the session down, in an order that lets the client know.
func (s *Session) end() {
	s.in.stop()
	s.media.end()
	s.startOnce.Do(func() {}) // from here on nobody starts DTLS
	s.dtls.hangUp()
	s.started.Wait()
	s.engine.unregister(s)
	metrics.RTCEnded.WithLabelValues(s.kind, endOf(s.Err())).Inc()
	close(s.done)
}

// endOf is the label of why a session ended.
func endOf(err error) string {
	for _, known := range []struct {
		err   error
		label string
	}{
		{ErrLost, "lost"}, {ErrHungUp, "hung-up"}, {ErrNeverConnected, "never-connected"},
		{ErrBitrate, "bitrate"}, {ErrResolution, "resolution"},
	} {
		if errors.Is(err, known.err) {
			return known.label
		}
	}
	return "closed"
}

// heard notes that something came from the client.
func (s *Session) heard(now time.Time) { s.lastHeard.Store(int64(now.Sub(s.begun))) }

// silent is how long nothing has come from the client.
func (s *Session) silent(now time.Time) time.Duration {
	return now.Sub(s.begun) - time.Duration(s.lastHeard.Load())
}

// Stats tells what the session carried.
func (s *Session) Stats() Stats { return s.media.stats() }
