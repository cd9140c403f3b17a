package signaling

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"anabranch/internal/auth"
	"anabranch/internal/stage"
)

// Tokens that the fake rooms know.
const (
	goodToken = "good.participant.token"
	badToken  = "bad.participant.token"
)

// rooms are Rooms that note what they were asked and answer as they are told.
type rooms struct {
	mu     sync.Mutex
	asked  []string
	answer stage.Answer
	err    error
	hold   map[string]chan struct{} // tokens that are looked at until theirs is closed

	listeners chan *listener // each Listen's
}

func newRooms() *rooms {
	return &rooms{
		answer:    stage.Answer{ParticipantID: "ana", SessionID: "s1", ETag: `"e1"`, SDP: []byte("v=0\r\n")},
		listeners: make(chan *listener, 100_000),
	}
}

func (f *rooms) note(ctx context.Context, token string, asked ...string) error {
	if hold := f.hold[token]; hold != nil {
		<-hold
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if token != goodToken {
		return &stage.Error{Status: http.StatusUnauthorized, Msg: "token: is not signed by this server"}
	}
	f.asked = append(f.asked, asked...)
	return f.err
}

func (f *rooms) Authorize(ctx context.Context, token string) (auth.ParticipantClaims, error) {
	return auth.ParticipantClaims{ID: "ana"}, f.note(ctx, token, "authorize")
}

func (f *rooms) Publish(ctx context.Context, token string, from stage.Client, offer []byte) (stage.Answer, error) {
	return f.answer, f.note(ctx, token, "publish", from.UserAgent, string(offer))
}

func (f *rooms) Subscribe(ctx context.Context, token, participantID string, from stage.Client, offer []byte) (stage.Answer, error) {
	return f.answer, f.note(ctx, token, "subscribe", participantID, string(offer))
}

func (f *rooms) Patch(ctx context.Context, token, participantID, sessionID, ifMatch string, fragment []byte) (stage.Answer, error) {
	return f.answer, f.note(ctx, token, "patch", participantID, sessionID, ifMatch, string(fragment))
}

func (f *rooms) Leave(ctx context.Context, token, participantID, sessionID string) error {
	return f.note(ctx, token, "leave", participantID, sessionID)
}

func (f *rooms) Listen(ctx context.Context, token, stageID string, from stage.Client) (Listener, error) {
	if err := f.note(ctx, token, "listen", stageID); err != nil {
		return nil, err
	}
	l := &listener{news: make(chan struct{}, 1), closed: make(chan struct{})}
	f.listeners <- l
	return l, nil
}

// listener keeps the newest snapshot.
type listener struct {
	mu       sync.Mutex
	snapshot string
	left     error
	news     chan struct{} // has one when there is something new

	closed chan struct{}
}

// tell makes snapshot the newest one; with an error the listener's time is over.
func (l *listener) tell(snapshot string, left error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.snapshot, l.left = snapshot, left
	select {
	case l.news <- struct{}{}:
	default:
	}
}

func (l *listener) Next(ctx context.Context) ([]byte, error) {
	select {
	case <-l.news:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return []byte(l.snapshot), l.left
}

func (l *listener) Close() { close(l.closed) }

func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// handler is a server's, with a mux of its own.
func handler(s *Server) http.Handler {
	mux := http.NewServeMux()
	s.Register(mux)
	return mux
}

// ask makes a request without a connection.
func ask(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// pipes is a listener of connections that are made in memory.
type pipes struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	server, client := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
