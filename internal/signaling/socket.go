package signaling

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/coder/websocket"

	"anabranch/internal/stage"
)

// socket is an open events socket. What goes over it are JSON objects with a
// type:
//
//	→ STAGE_STATE   everyone in the stage, the receiver too: at first and whenever it changes
//	→ PING          every 20 s
//	→ LEFT          why the participant is out, as the last message
//	← PING          answered with → PONG
//
// Whatever else a client sends is ignored. A client that reads slowly misses
// snapshots, never the newest.
type socket struct {
	*websocket.Conn
	raw      net.Conn // below Conn
	pace     *pace
	listener Listener
}

// Times of a socket.
const (
	// keepAlive is how often a client is asked for a sign of life, by a ping of
	// the protocol, which its WebSocket answers by itself, and told one, by a PING
	// message, which its own code sees. It is shorter than the patience of the
	// proxies in between.
	keepAlive = 20 * time.Second
	// pongTimeout is how long the answer may take.
	pongTimeout = 15 * time.Second
	// writeTimeout is how long one message may take, of which the longest has a
	// megabyte or so.
	writeTimeout = 15 * time.Second
	// closeTimeout is how long the goodbye may take.
	closeTimeout = 2 * time.Second
)

// maxMessage bounds what a client sends, in bytes.
const maxMessage = 4 << 10

// Codes with which a socket is closed, beside those of RFC 6455 §7.4.1. The
// reason says the same in words.
const (
	codeDisconnected websocket.StatusCode = 4001
	codeDeleted      websocket.StatusCode = 4002
	codeReused       websocket.StatusCode = 4003
	codeLeft         websocket.StatusCode = 4000 // for any other reason
)

var codeOfReason = map[string]websocket.StatusCode{
	"participant-disconnected": codeDisconnected,
	"stage-deleted":            codeDeleted,
	"token-reused":             codeReused,
}

var (
	errGone     = errors.New("the client is gone")
	errStopping = websocket.CloseError{Code: websocket.StatusServiceRestart, Reason: "the server restarts"}
	errTooMany  = websocket.CloseError{Code: websocket.StatusPolicyViolation, Reason: "too many messages"}
	errNoText   = websocket.CloseError{Code: websocket.StatusUnsupportedData, Reason: "messages are text: JSON objects with a type"}
)

// serve leads a socket through its life and closes it.
func (s *Server) serve(so *socket) {
	so.SetReadLimit(maxMessage)
	ctx, end := context.WithCancelCause(context.Background())
	defer end(nil)
	defer context.AfterFunc(s.stopping, func() {
		so.raw.SetDeadline(time.Now().Add(closeTimeout)) // a message may be under way
		end(errStopping)
	})()
	var reading sync.WaitGroup
	reading.Go(func() { end(so.read()) })
	so.end(so.tell(ctx))
	reading.Wait()
}

// tell sends snapshots and signs of life until the socket has to be closed, and
// returns why.
func (so *socket) tell(ctx context.Context) error {
	next := time.Now().Add(keepAlive)
	for {
		waiting, cancel := context.WithDeadline(ctx, next)
		snapshot, err := so.listener.Next(waiting)
		cancel()
		switch {
		case err == nil:
			err = so.sendAround("STAGE_STATE", snapshot)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, context.DeadlineExceeded):
			err = nil
		}
		if err == nil && !time.Now().Before(next) {
			err = so.checkAlive(ctx)
			next = time.Now().Add(keepAlive)
		}
		if err != nil {
			return err
		}
	}
}

// checkAlive sends both pings and waits for the protocol's answer.
func (so *socket) checkAlive(ctx context.Context) error {
	if err := so.send([]byte(`{"type":"PING"}`)); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, pongTimeout)
	defer cancel()
	if so.Ping(waiting) == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errGone
}

// end closes the connection, for a reason that tell returned.
func (so *socket) end(reason error) {
	so.raw.SetDeadline(time.Now().Add(closeTimeout))
	var left *stage.Left
	var closed websocket.CloseError
	switch {
	case errors.As(reason, &left):
		code := codeOfReason[left.Reason]
		if code == 0 {
			code = codeLeft
		}
		payload, err := json.Marshal(map[string]string{"reason": left.Reason})
		if err == nil && so.sendAround("LEFT", payload) == nil {
			so.Close(code, left.Reason)
		}
	case errors.As(reason, &closed):
		so.Close(closed.Code, closed.Reason)
	case !errors.Is(reason, errGone): // the listener has failed
		so.Close(websocket.StatusInternalError, "internal error")
	}
	_ = so.CloseNow() // it may be closed already
}

// read reads what the client sends until the connection ends, and returns why.
func (so *socket) read() error {
	for {
		kind, text, err := so.Read(context.Background())
		var message struct {
			Type string `json:"type"`
		}
		switch {
		case err != nil:
			return errGone
		case so.pace.exceeded():
			return errTooMany
		case kind != websocket.MessageText || json.Unmarshal(text, &message) != nil:
			return errNoText
		case message.Type == "PING" && so.send([]byte(`{"type":"PONG"}`)) != nil:
			return errGone
		}
	}
}

// envelopes are buffers for messages that take up a payload.
var envelopes = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// sendAround sends a payload as a message of a type, in one frame.
func (so *socket) sendAround(kind string, payload []byte) error {
	message := envelopes.Get().(*bytes.Buffer)
	defer envelopes.Put(message)
	message.Reset()
	fmt.Fprintf(message, `{"type":"%s","payload":%s}`, kind, payload)
	return so.send(message.Bytes())
}

// send sends a message.
func (so *socket) send(message []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	if so.Write(ctx, websocket.MessageText, message) != nil {
		return errGone
	}
	return nil
}

// pace bounds how many messages a client sends: as many as maxMessages in each
// span of time. The socket's reader counts, and so does its closing, which reads
// on until the client closes too.
type pace struct {
	mu    sync.Mutex
	began time.Time
	sent  int
}

const (
	maxMessages = 50
	paceSpan    = 10 * time.Second
)

// exceeded counts a message and says whether it is one too many.
func (p *pace) exceeded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.began) >= paceSpan {
		p.began, p.sent = now, 0
	}
	p.sent++
	return p.sent > maxMessages
}
