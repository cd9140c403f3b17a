package signaling

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"anabranch/internal/stage"
)

// A request that opens no WebSocket joins nothing, whatever its token: the
// holder's open socket would end with it.
func TestEventsBrokenHandshake(t *testing.T) {
	for _, tt := range []struct {
		name   string
		alter  func(r *http.Request)
		status int
		says   string // in the message
	}{
		{"HTTP/1.0", func(r *http.Request) { r.ProtoMajor, r.ProtoMinor = 1, 0 }, 426, "HTTP/1.1"},
		{"no Upgrade", func(r *http.Request) { r.Header.Del("Upgrade") }, 426, "Upgrade"},
		{"another Upgrade", func(r *http.Request) { r.Header.Set("Upgrade", "websockets, h2c") }, 426, "Upgrade"},
		{"no Connection", func(r *http.Request) { r.Header.Del("Connection") }, 426, "Connection"},
		{"another Connection", func(r *http.Request) { r.Header.Set("Connection", "keep-alive") }, 426, "Connection"},
		{"no version", func(r *http.Request) { r.Header.Del("Sec-WebSocket-Version") }, 426, "Sec-WebSocket-Version"},
		{"an old version", func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "8") }, 426, "Sec-WebSocket-Version"},
		{"no key", func(r *http.Request) { r.Header.Del("Sec-WebSocket-Key") }, 400, "Sec-WebSocket-Key"},
		{"a short key", func(r *http.Request) { r.Header.Set("Sec-WebSocket-Key", "AAAA") }, 400, "Sec-WebSocket-Key"},
		{"no base64", func(r *http.Request) { r.Header.Set("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA") }, 400, "Sec-WebSocket-Key"},
		{"two keys", func(r *http.Request) { r.Header.Add("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==") }, 400, "Sec-WebSocket-Key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rooms := newRooms()
			h := handler(New(Config{Rooms: rooms, MaxSockets: 10, Log: testLog(t)}))
			r := httptest.NewRequest("GET", "/events/st", nil)
			for name, value := range map[string]string{
				"Connection": "keep-alive, upgrade", "Upgrade": "WebSocket", "Sec-WebSocket-Version": "13",
				"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol": goodToken,
			} {
				r.Header.Set(name, value)
			}
			tt.alter(r)
			res := ask(h, r)
			var ref refusal
			if err := json.NewDecoder(res.Body).Decode(&ref); err != nil || res.StatusCode != tt.status || !strings.Contains(ref.Message, tt.says) {
				t.Errorf("%s with %+v, %v; want %d and %q", res.Status, ref, err, tt.status, tt.says)
			}
			if len(rooms.asked) > 0 {
				t.Errorf("rooms were asked %q", rooms.asked)
			}
		})
	}
}

// Requests whose token is still being looked at take no place: whoever makes up
// tokens keeps nobody out.
func TestEventsPlaceOfNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 2)
		made := make(chan struct{})
		b.rooms.hold = map[string]chan struct{}{badToken: made}
		for range 5 {
			go b.dial("st", &websocket.DialOptions{Subprotocols: []string{badToken}})
		}
		synctest.Wait()
		b.join("st")
		close(made)
	})
}

// Of those who come at once to the last place one gets it, and the others do not
// listen.
func TestEventsLastPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 2)
		looked := make(chan struct{})
		b.rooms.hold = map[string]chan struct{}{goodToken: looked}
		statuses := make(chan int)
		for range 3 {
			go func() {
				conn, res, _ := b.dial("st", &websocket.DialOptions{Subprotocols: []string{goodToken}})
				if conn != nil {
					t.Cleanup(func() { conn.CloseNow() })
				}
				statuses <- res.StatusCode
			}()
		}
		synctest.Wait()
		close(looked)
		got := []int{<-statuses, <-statuses, <-statuses}
		slices.Sort(got)
		if !slices.Equal(got, []int{101, 503, 503}) {
			t.Errorf("answered with %v", got)
		}
		synctest.Wait()
		listening := 0
		for range 3 {
			select {
			case <-(<-b.rooms.listeners).closed:
			default:
				listening++
			}
		}
		if listening != 1 {
			t.Errorf("%d listen", listening)
		}
	})
}

// What no client sends ends its socket, with the reason; nothing is left of it.
func TestEventsHostile(t *testing.T) {
	long := strings.Repeat(" ", maxMessage) + `{}`
	for _, tt := range []struct {
		name string
		send func(p *peer)
		want string // what is read, but for PONGs
	}{
		{"too long", func(p *peer) { p.Write(p.t.Context(), websocket.MessageText, []byte(long)) }, "closed 1009"},
		{"endless", func(p *peer) {
			w, _ := p.Writer(p.t.Context(), websocket.MessageText)
			for range 100_000 {
				if _, err := w.Write([]byte("    ")); err != nil {
					return
				}
			}
		}, "closed 1009"},
		{"binary", func(p *peer) { p.Write(p.t.Context(), websocket.MessageBinary, []byte(`{}`)) }, "closed 1003"},
		{"no JSON", func(p *peer) { p.send(`PING`) }, "closed 1003"},
		{"deep", func(p *peer) { p.send(strings.Repeat("[", 4000)) }, "closed 1003"},
		{"a list", func(p *peer) { p.send(`["PING"]`) }, "closed 1003"},
		{"another type", func(p *peer) { p.send(`{"type":1}`) }, "closed 1003"},
		{"flood", func(p *peer) {
			for range maxMessages + 1 {
				p.send(`{"type":"PING"}`)
			}
		}, "closed 1008"},
		{"flood of frames", func(p *peer) {
			for p.Ping(p.t.Context()) == nil {
			}
		}, "broken"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, 10)
				p := b.join("st")
				go tt.send(p)
				got := p.read()
				for got == `{"type":"PONG"}` {
					got = p.read()
				}
				if got != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
				<-p.listener.closed
				synctest.Wait()
				if b.closed.Load() != 1 {
					t.Error("it is still open")
				}
			})
		})
	}
}

// A client that sends while its socket is closed is counted by one at a time,
// which the race detector watches.
func TestEventsLeftAmongMessages(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			b := newBubble(t, 10)
			p := b.join("st")
			go func() {
				for p.Write(t.Context(), websocket.MessageText, []byte(`{}`)) == nil {
					go p.Ping(t.Context())
				}
			}()
			go func() {
				for {
					if _, _, err := p.Read(t.Context()); err != nil {
						return
					}
				}
			}()
			p.listener.tell("", &stage.Left{Reason: "unknown"})
			<-p.listener.closed
		})
	}
}

// A client may send as much as it likes if it takes its time.
func TestEventsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 10)
		p := b.join("st")
		for range 2*maxMessages - 5 { // for less than keepAlive
			p.send(`{"type":"PING"}`)
			for got := p.read(); got != `{"type":"PONG"}`; got = p.read() {
				if got != `{"type":"PING"}` {
					t.Fatal(got)
				}
			}
			time.Sleep(paceSpan / maxMessages)
		}
	})
}

// Frames as a client would never send them end the socket, in time.
func FuzzEventsFrames(f *testing.F) {
	for _, frame := range []string{
		"\x81\x8f\x00\x00\x00\x00{\"type\":\"PING\"}", // masked with zeros
		"\x81\x02{}", // not masked
		"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00{}", // as long as can be
		"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00{}", // longer
		"\x01\x80\x00\x00\x00\x00\x00\x80\x00\x00\x00\x00\x81\x80\x00\x00\x00\x00",
		"\x88\x82\x00\x00\x00\x00\x03\xe8\x89\x80\x00\x00\x00\x00",
		"\x88\x81\x00\x00\x00\x00\x03",
		"\x89\xff\x00\x00",
		"\xf1\x80\x00\x00\x00\x00",
	} {
		f.Add([]byte(frame))
	}
	f.Fuzz(func(t *testing.T, frames []byte) {
		synctest.Test(t, func(t *testing.T) {
			b := newBubble(t, 10)
			conn, _ := b.pipes.dial(t.Context(), "", "")
			go io.Copy(io.Discard, conn)
			go func() {
				io.WriteString(conn, handshake)
				conn.Write(frames)
			}()
			defer conn.Close()
			l := <-b.rooms.listeners
			began := time.Now()
			<-l.closed
			if took := time.Since(began); took > keepAlive+pongTimeout+writeTimeout+closeTimeout {
				t.Errorf("held up for %v", took)
			}
		})
	})
}
