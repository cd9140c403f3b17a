package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// eventsSocket is an events socket of a participant.
type eventsSocket struct {
	guest *guest
	conn  *websocket.Conn
	ended chan struct{} // closed when the server has closed it

	// mu guards what has come.
	mu        sync.Mutex
	snapshots []stageState
	types     []string // of all messages
	err       error    // why it was closed
}

// stageState is the payload of STAGE_STATE.
type stageState struct {
	StageID      string `json:"stageId"`
	Participants []struct {
		ID           string            `json:"id"`
		UserID       string            `json:"userId"`
		Attributes   map[string]string `json:"attributes"`
		IsPublishing bool              `json:"isPublishing"`
	} `json:"participants"`
}

// String names who is there, publishers in capitals.
func (s stageState) String() string {
	var names []string
	for _, p := range s.Participants {
		name := p.ID
		if p.IsPublishing {
			name += "!"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// listen opens the participant's events socket.
func (g *guest) listen() *eventsSocket {
	g.t.Helper()
	s, err := g.tryListen()
	if err != nil {
		g.t.Fatal(err)
	}
	return s
}

func (g *guest) tryListen() (*eventsSocket, error) {
	conn, resp, err := websocket.Dial(g.t.Context(), "ws://"+g.room.server.at.HTTP+"/events/"+g.room.id(), &websocket.DialOptions{Subprotocols: []string{g.token}})
	if err != nil {
		if resp != nil {
			err = fmt.Errorf("%s: %w", resp.Status, err)
		}
		return nil, err
	}
	s := &eventsSocket{guest: g, conn: conn, ended: make(chan struct{})}
	if got := conn.Subprotocol(); got != g.token {
		return nil, fmt.Errorf("the sub-protocol is %q", got)
	}
	conn.SetReadLimit(1 << 20)
	g.t.Cleanup(func() { conn.CloseNow(); <-s.ended })
	go s.follow()
	return s, conn.Write(g.t.Context(), websocket.MessageText, []byte(`{"type":"PING"}`))
}

func (s *eventsSocket) follow() {
	defer close(s.ended)
	for {
		_, text, err := s.conn.Read(context.Background())
		var message struct {
			Type    string
			Payload stageState
		}
		if err == nil {
			err = json.Unmarshal(text, &message)
		}
		s.mu.Lock()
		if err != nil {
			s.err = err
			s.mu.Unlock()
			return
		}
		s.types = append(s.types, message.Type)
		if message.Type == "STAGE_STATE" {
			s.snapshots = append(s.snapshots, message.Payload)
		}
		s.mu.Unlock()
	}
}

// state is the newest snapshot.
func (s *eventsSocket) state() (state stageState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.snapshots) > 0 {
		state = s.snapshots[len(s.snapshots)-1]
	}
	return state
}

// waitState waits until those are in the stage, publishers with an exclamation
// mark.
func (s *eventsSocket) waitState(limit time.Duration, who ...string) {
	s.guest.t.Helper()
	slices.Sort(who)
	want := strings.Join(who, " ")
	eventually(s.guest.t, limit, fmt.Sprintf("%q are in the stage", want), func() error {
		if got := s.state().String(); got != want {
			return fmt.Errorf("there are %q", got)
		}
		return nil
	})
}

// waitClosed waits until the server has closed the socket, and returns why.
func (s *eventsSocket) waitClosed(limit time.Duration) websocket.CloseError {
	s.guest.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(limit):
		s.guest.t.Fatalf("the events socket of %s is open after %v", s.guest.id, limit)
	}
	var closed websocket.CloseError
	if !errors.As(s.err, &closed) {
		s.guest.t.Errorf("the events socket of %s ended without a word: %v", s.guest.id, s.err)
	}
	return closed
}

// close closes the socket as clients do.
func (s *eventsSocket) close() { s.conn.Close(websocket.StatusNormalClosure, "") }
