package signaling

import (
	"bufio"
	"context"
	"encoding/base64"
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
	// Before the listening: it ends that of the token's last socket.
	if err := checkHandshake(w, r); err != nil {
		return err
	}
	id := r.PathValue("stage")
	if err := s.vacant(id); err != nil {
		return err // before it has joined for nothing
	}
	listener, err := s.Rooms.Listen(r.Context(), token, id, client(r))
	if err != nil {
		return err
	}
	leave, err := s.enter(id) // not before: who shows no good token takes nobody's place
	if err != nil {
		listener.Close()
		return err
	}
	defer leave()
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

// checkHandshake refuses a request that does not open a WebSocket (RFC 6455
// §4.2.1). Its method is GET.
func checkHandshake(w http.ResponseWriter, r *http.Request) error {
	keys := r.Header.Values("Sec-WebSocket-Key")
	key, err := base64.StdEncoding.DecodeString(strings.Join(keys, " "))
	switch {
	case !r.ProtoAtLeast(1, 1), !names(r.Header, "Upgrade", "websocket"), !names(r.Header, "Connection", "Upgrade"):
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		return refuse(http.StatusUpgradeRequired, "headers Connection and Upgrade: want Upgrade and websocket, of HTTP/1.1")
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		w.Header().Set("Sec-WebSocket-Version", "13")
		return refuse(http.StatusUpgradeRequired, "header Sec-WebSocket-Version: want 13")
	case err != nil, len(key) != 16:
		return refuse(http.StatusBadRequest, "header Sec-WebSocket-Key: want one, of 16 bytes in base64")
	}
	return nil
}

// names says whether a header, which is a list, has a name in it.
func names(h http.Header, header, name string) bool {
	for value := range strings.SplitSeq(strings.Join(h.Values(header), ","), ",") {
		if strings.EqualFold(strings.TrimSpace(value), name) {
			return true
		}
	}
	return false
}

// maxSocketsOfStage bounds the events sockets of one stage: IVS's subscribers
// and publishers, and as many connections that are not known to be dead yet.
const maxSocketsOfStage = 20_000

// vacant says why there is no place for another socket in a stage, if there is
// none.
func (s *Server) vacant(stageID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.full(stageID)
}

// full is what vacant says while mu is held.
func (s *Server) full(stageID string) error {
	switch {
	case s.stopping.Err() != nil:
		return refuse(http.StatusServiceUnavailable, "the server is stopping")
	case s.open >= s.MaxSockets, s.sockets[stageID] >= min(maxSocketsOfStage, (s.MaxSockets+1)/2):
		return refuse(http.StatusServiceUnavailable, "too many events sockets are open")
	}
	return nil
}

// enter takes a socket's place in its stage; leave gives it back.
func (s *Server) enter(stageID string) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.full(stageID); err != nil {
		return nil, err
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
