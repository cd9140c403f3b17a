package signaling

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/coder/websocket"

	"anabranch/internal/metrics"
)

// events opens an events socket. Its token comes as a sub-protocol, as a page's
// script can send no header, and is echoed (RFC 6455 §4.2.2); other clients may
// send it as a bearer's.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	protocol, token, err := socketToken(r)
	if err != nil {
		return err
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Upgrade", "websocket")
		return refuse(http.StatusUpgradeRequired, "header Upgrade: want websocket")
	}
	id := r.PathValue("stage")
	leave, err := s.enter(id)
	if err != nil {
		return err
	}
	defer leave()
	listener, err := s.Rooms.Listen(r.Context(), token, id, client(r))
	if err != nil {
		return err
	}
	defer listener.Close()

	taken := &taken{ResponseWriter: w}
	conn, err := websocket.Accept(taken, r, &websocket.AcceptOptions{
		Subprotocols:       protocol,
		InsecureSkipVerify: true, // of Origin: there are no cookies that another page could abuse
		OnPingReceived:     taken.pinged,
	})
	if taken.conn != nil && s.SocketClosed != nil {
		defer s.SocketClosed()
	}
	if err != nil {
		s.Log.Debug("events socket not opened", "remote", r.RemoteAddr, "error", err)
		return nil // it was answered
	}
	s.serve(&socket{Conn: conn, raw: taken.conn, pace: &taken.pace, listener: listener})
	return nil
}

// socketToken is the token of a request for an events socket, and the list of
// the one sub-protocol that it came as, if any.
func socketToken(r *http.Request) (protocol []string, token string, err error) {
	offered := strings.Join(r.Header.Values("Sec-WebSocket-Protocol"), ",")
	for p := range strings.SplitSeq(offered, ",") {
		if p = strings.TrimSpace(p); strings.Count(p, ".") == 2 { // a JWT
			return []string{p}, p, nil
		}
	}
	if token, err = bearer(r); err != nil {
		return nil, "", refuse(http.StatusUnauthorized, "header Sec-WebSocket-Protocol: want a participant token")
	}
	return nil, token, nil
}

// maxSocketsOfStage bounds the events sockets of one stage: IVS's subscribers
// and publishers, and as many connections that are not known to be dead yet.
const maxSocketsOfStage = 20_000

// enter takes a socket's place in its stage; leave gives it back.
func (s *Server) enter(stageID string) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopping.Err() != nil:
		return nil, refuse(http.StatusServiceUnavailable, "the server is stopping")
	case s.open >= s.MaxSockets, s.sockets[stageID] >= min(maxSocketsOfStage, (s.MaxSockets+1)/2):
		return nil, refuse(http.StatusServiceUnavailable, "too many events sockets are open")
	}
	s.open++
	s.sockets[stageID]++
	s.ended.Add(1)
	metrics.SignalingSockets.Inc()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
		if s.sockets[stageID]--; s.sockets[stageID] == 0 {
			delete(s.sockets, stageID)
		}
		metrics.SignalingSockets.Dec()
		s.ended.Done()
	}, nil
}

// taken is a ResponseWriter that keeps the connection that is taken over from
// it.
type taken struct {
	http.ResponseWriter
	conn net.Conn
	pace pace
}

func (t *taken) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(t.ResponseWriter).Hijack()
	t.conn = conn
	return conn, buffered, err
}

// pinged lets a protocol's ping be answered, unless there are too many.
func (t *taken) pinged(context.Context, []byte) bool {
	if t.pace.exceeded() {
		t.conn.Close()
		return false
	}
	return true
}
