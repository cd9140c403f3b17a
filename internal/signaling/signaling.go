// Package signaling is how a participant comes into a stage, over HTTP.
//
//	POST    /whip                                   publish: an offer in, the answer out (WHIP, RFC 9725)
//	POST    /whip/subscribe/{participant}           subscribe to what another participant publishes
//	OPTIONS on both                                 the TURN servers to use
//	PATCH   /whip/session/{participant}/{session}   candidates, ICE restart
//	DELETE  /whip/session/{participant}/{session}   the end
//	GET     /events/{stage}                         WebSocket: who is there, and who publishes
//
// Each of them stands by itself: a participant may publish without listening to
// events, and the other way round. What they show is a participant token, which
// says everything: the stage, the participant, and what it may do. Tokens are
// sent by the page's own code, not by the browser, so pages of any origin may
// ask.
//
// Subscribing follows WHEP (draft-ietf-wish-whep) as far as that resembles WHIP:
// the client's offer, 201 with Location and ETag, PATCH, DELETE. The server makes
// no counter-offer, and has none of the extensions.
package signaling

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"anabranch/internal/auth"
	"anabranch/internal/stage"
)

// Rooms is what signaling asks of the stages. Refusals are a [*stage.Error].
type Rooms interface {
	// Authorize says whose token it is, without joining.
	Authorize(ctx context.Context, token string) (auth.ParticipantClaims, error)
	// Publish and Subscribe answer an SDP offer.
	Publish(ctx context.Context, token string, from stage.Client, offer []byte) (stage.Answer, error)
	Subscribe(ctx context.Context, token, participantID string, from stage.Client, offer []byte) (stage.Answer, error)
	// Patch takes an SDP fragment (RFC 8840) for a session that the token began.
	// The answer has an SDP where ICE was restarted.
	Patch(ctx context.Context, token, participantID, sessionID, ifMatch string, fragment []byte) (stage.Answer, error)
	// Leave ends a session that the token began.
	Leave(ctx context.Context, token, participantID, sessionID string) error
	// Listen joins a stage to be told of its participants.
	Listen(ctx context.Context, token, stageID string, from stage.Client) (Listener, error)
}

// Listener is one participant's ear in a stage.
type Listener interface {
	// Next waits for the newest snapshot that it has not given yet, JSON that
	// must not be changed. The error is a [*stage.Left], or that of ctx.
	Next(ctx context.Context) ([]byte, error)
	Close()
}

// Config says what a [Server] leans on.
type Config struct {
	Rooms Rooms
	// PublicURL is the base of the server's URLs, as its clients see them.
	PublicURL string
	// TURN has the servers that clients are handed, if any.
	TURN TURN
	// MaxSockets bounds the open events sockets of all stages. One stage may
	// have half of them.
	MaxSockets int
	// SocketClosed, where it is not nil, is told when a connection that was
	// taken from the HTTP server, for an events socket, is closed.
	SocketClosed func()
	Log          *slog.Logger
}

// Server answers participants.
type Server struct {
	Config
	path string // of PublicURL

	stopping context.Context // ends with Run
	stop     context.CancelFunc

	mu      sync.Mutex     // guards what follows
	sockets map[string]int // by stage id
	open    int            // all of them
	ended   sync.WaitGroup // has those that are open
}

// New makes a server; Run must be called, and return.
func New(cfg Config) *Server {
	s := &Server{Config: cfg, sockets: make(map[string]int)}
	if u, err := url.Parse(cfg.PublicURL); err == nil {
		s.path = strings.TrimRight(u.EscapedPath(), "/")
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	return s
}

// Run keeps the events sockets open until ctx ends, then closes them so that
// their clients come back, and returns nil when all are closed. The HTTP server
// is to be stopped before: what comes later is refused.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	s.mu.Lock()
	s.stop()
	s.mu.Unlock()
	s.ended.Wait()
	return nil
}

// Register gives mux the paths of participants.
func (s *Server) Register(mux *http.ServeMux) {
	mux.Handle("/whip", s.resource("publish", methods{http.MethodPost: s.publish, http.MethodOptions: s.iceServers}))
	mux.Handle("/whip/subscribe/{participant}", s.resource("subscribe", methods{http.MethodPost: s.subscribe, http.MethodOptions: s.iceServers}))
	mux.Handle("/whip/session/{participant}/{session}", s.resource("session", methods{http.MethodPatch: s.patch, http.MethodDelete: s.leave}))
	mux.Handle("/whip/", s.resource("nothing", nil)) // or another part answers, which no script may read
	mux.Handle("/events/{stage}", s.resource("events", methods{http.MethodGet: s.events}))
}
