package signaling

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"anabranch/internal/stage"
)

// bubble is a server over connections in memory, on virtual time.
type bubble struct {
	*Server
	t      *testing.T
	rooms  *rooms
	pipes  *pipes
	closed atomic.Int64 // calls of SocketClosed
	stop   func()       // of Run; waits for it
}

func newBubble(t *testing.T, maxSockets int) *bubble {
	b := &bubble{t: t, rooms: newRooms(), pipes: newPipes()}
	b.Server = New(Config{Rooms: b.rooms, MaxSockets: maxSockets, SocketClosed: func() { b.closed.Add(1) }, Log: testLog(t)})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- b.Run(ctx) }()
	server := &http.Server{Handler: handler(b.Server)}
	go server.Serve(b.pipes)
	stopped := false
	b.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(func() { b.stop(); server.Close() })
	return b
}

// peer is a client's end of an events socket.
type peer struct {
	*websocket.Conn
	t        *testing.T
	listener *listener
}

func (b *bubble) dial(stageID string, options *websocket.DialOptions) (*websocket.Conn, *http.Response, error) {
	transport := &http.Transport{DialContext: b.pipes.dial}
	options.HTTPClient = &http.Client{Transport: transport}
	return websocket.Dial(b.t.Context(), "ws://localhost/events/"+stageID, options)
}

func (b *bubble) join(stageID string) *peer {
	b.t.Helper()
	conn, _, err := b.dial(stageID, &websocket.DialOptions{Subprotocols: []string{goodToken}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.CloseNow() })
	return &peer{conn, b.t, <-b.rooms.listeners}
}

// read is the next message, or what the socket was closed with.
func (p *peer) read() string {
	p.t.Helper()
	kind, text, err := p.Read(p.t.Context())
	if status := websocket.CloseStatus(err); status != -1 {
		return fmt.Sprintf("closed %d", status)
	}
	if err != nil {
		return "broken"
	}
	if kind != websocket.MessageText {
		p.t.Errorf("a message of type %v", kind)
	}
	return string(text)
}

func (p *peer) expect(want ...string) {
	p.t.Helper()
	for _, w := range want {
		if got := p.read(); got != w {
			p.t.Fatalf("got %s, want %s", got, w)
		}
	}
}

func (p *peer) send(text string) {
	p.t.Helper()
	if err := p.Write(p.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		p.t.Fatalf("send %.20s: %v", text, err)
	}
}

// The token is the sub-protocol, and echoed; or a bearer's, without one.
func TestEventsHandshake(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options websocket.DialOptions
		status  int
		echoed  string
	}{
		{"sub-protocol", websocket.DialOptions{Subprotocols: []string{goodToken}}, 101, goodToken},
		{"among others", websocket.DialOptions{Subprotocols: []string{"v1", goodToken, "x"}}, 101, goodToken},
		{"bearer", websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {bearerGood}}}, 101, ""},
		{"of another page", websocket.DialOptions{Subprotocols: []string{goodToken}, HTTPHeader: http.Header{"Origin": {"https://else.example"}}}, 101, goodToken},
		{"bad token", websocket.DialOptions{Subprotocols: []string{badToken}}, 401, ""},
		{"the first token counts", websocket.DialOptions{Subprotocols: []string{badToken, goodToken}}, 401, ""},
		{"bad bearer", websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + badToken}}}, 401, ""},
		{"no token", websocket.DialOptions{Subprotocols: []string{"v1"}}, 401, ""},
		{"nothing", websocket.DialOptions{}, 401, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, 10)
				conn, res, err := b.dial("st", &tt.options)
				if conn != nil {
					defer conn.CloseNow()
				}
				if res == nil || res.StatusCode != tt.status || res.Header.Get("Sec-WebSocket-Protocol") != tt.echoed {
					t.Fatalf("%v: %v", res, err)
				}
			})
		})
	}
}

// Everyone is told who is there, and answered; what is not known is ignored.
func TestEventsMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 10)
		p := b.join("st")
		p.listener.tell(`{"stageId":"st","participants":[]}`, nil)
		p.expect(`{"type":"STAGE_STATE","payload":{"stageId":"st","participants":[]}}`)
		for _, text := range []string{`{"type":"PONG"}`, `{"type":"SOMETHING","payload":[1]}`, `{}`, `{"type":"PING","more":1}`} {
			p.send(text)
		}
		p.expect(`{"type":"PONG"}`)
		p.listener.tell(`1`, nil)
		p.expect(`{"type":"STAGE_STATE","payload":1}`)

		p.Close(websocket.StatusNormalClosure, "")
		<-p.listener.closed
		synctest.Wait()
		if b.open != 0 || len(b.sockets) != 0 || b.closed.Load() != 1 {
			t.Errorf("%d sockets are open, of stages %v; %d were closed", b.open, b.sockets, b.closed.Load())
		}
	})
}

// Why a participant is out is its last message, and the close code's reason.
func TestEventsLeft(t *testing.T) {
	for reason, code := range map[string]int{
		"participant-disconnected": 4001, "stage-deleted": 4002, "token-reused": 4003, "unknown": 4000,
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBubble(t, 10)
			p := b.join("st")
			p.listener.tell("", &stage.Left{Reason: reason})
			p.expect(`{"type":"LEFT","payload":{"reason":"` + reason + `"}}`)
			_, _, err := p.Read(t.Context())
			if want := (websocket.CloseError{Code: websocket.StatusCode(code), Reason: reason}); !strings.Contains(err.Error(), want.Error()) {
				t.Errorf("%v, want %v", err, want)
			}
			<-p.listener.closed
		})
	}
}

// A client that keeps silent but lives hears from the server, and stays.
func TestEventsKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 10)
		p := b.join("st")
		for i := range 10 {
			began := time.Now()
			p.expect(`{"type":"PING"}`)
			if took := time.Since(began); i > 0 && took != keepAlive {
				t.Errorf("after %v, want %v", took, keepAlive)
			}
		}
		p.listener.tell(`1`, nil) // the last ping was answered as this is read
		p.expect(`{"type":"STAGE_STATE","payload":1}`)
	})
}

// A room where something happens all the time is told of, and its clients are
// asked whether they live.
func TestEventsKeepAliveAmongNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 10)
		p := b.join("st")
		go func() {
			for range 48 {
				time.Sleep(time.Second)
				p.listener.tell(`1`, nil)
			}
		}()
		pings := 0
		for range 50 {
			if p.read() == `{"type":"PING"}` {
				pings++
			}
		}
		if pings != 2 {
			t.Errorf("%d pings in 48 s", pings)
		}
	})
}

// Who does not answer, or does not read, is let go, and the others do not
// notice.
func TestEventsDeadPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 10)
		alive, dead, slow := b.join("st"), b.join("st"), b.join("st")
		began := time.Now()
		slow.listener.tell(`1`, nil) // nobody reads it
		<-slow.listener.closed
		if took := time.Since(began); took < writeTimeout || took > writeTimeout+closeTimeout {
			t.Errorf("who does not read was let go after %v", took)
		}
		go func() {
			for alive.read() == `{"type":"PING"}` {
			}
		}()
		<-dead.listener.closed // its first PING is not read
		if took := time.Since(began); took < keepAlive+writeTimeout || took > keepAlive+writeTimeout+closeTimeout {
			t.Errorf("who is dead was let go after %v", took)
		}
		time.Sleep(10 * keepAlive)
		select {
		case <-alive.listener.closed:
			t.Error("who lives was let go")
		default:
		}
		if b.closed.Load() != 2 {
			t.Errorf("%d were let go", b.closed.Load())
		}
	})
}

// A client whose WebSocket takes messages but answers no pings is let go.
func TestEventsUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 10)
		conn, _ := b.pipes.dial(t.Context(), "", "")
		defer conn.Close()
		go io.WriteString(conn, handshake)
		go io.Copy(io.Discard, conn)
		l := <-b.rooms.listeners
		began := time.Now()
		<-l.closed
		if took := time.Since(began); took < keepAlive+pongTimeout || took > keepAlive+pongTimeout+closeTimeout {
			t.Errorf("let go after %v", took)
		}
	})
}

// handshake opens an events socket by hand.
const handshake = "GET /events/st HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: " + goodToken + "\r\n\r\n"

// A slow reader misses snapshots, never the newest.
func TestEventsNewestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 10)
		p := b.join("st")
		for i := range 1000 {
			p.listener.tell(fmt.Sprint(i), nil)
			if i == 0 {
				synctest.Wait() // it is under way
			}
		}
		p.expect(`{"type":"STAGE_STATE","payload":0}`, `{"type":"STAGE_STATE","payload":999}`)
	})
}

// When the server stops, clients are told to come back: at once where they
// listen, and those who do not hold nothing up.
func TestEventsStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 100)
		told := make(chan string, 50)
		for i := range 50 {
			p := b.join("st")
			if i%2 == 0 {
				go func() { told <- p.read() }()
			} else {
				p.listener.tell(`1`, nil) // under way for ever
			}
		}
		synctest.Wait()
		began := time.Now()
		b.stop()
		if took := time.Since(began); took > closeTimeout {
			t.Errorf("stopped after %v", took)
		}
		for range 25 {
			if got := <-told; got != "closed 1012" {
				t.Errorf("got %s", got)
			}
		}
		if b.open != 0 || b.closed.Load() != 50 {
			t.Errorf("%d are open, %d closed", b.open, b.closed.Load())
		}
		if _, res, err := b.dial("st", &websocket.DialOptions{Subprotocols: []string{goodToken}}); err == nil || res.StatusCode != 503 {
			t.Errorf("a socket after the end: %v", err)
		}
	})
}

// Sockets are bounded, in all and in one stage, and a place that was left can
// be taken again.
func TestEventsBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 4)
		refused := func(stageID string) {
			t.Helper()
			_, res, err := b.dial(stageID, &websocket.DialOptions{Subprotocols: []string{goodToken}})
			if err == nil || res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
				t.Errorf("stage %s: one too many: %v", stageID, err)
			}
		}
		first := b.join("a")
		b.join("a")
		refused("a")
		b.join("b")
		b.join("b")
		refused("c")
		first.CloseNow()
		<-first.listener.closed
		synctest.Wait()
		b.join("c")
		refused("a")
	})
}
