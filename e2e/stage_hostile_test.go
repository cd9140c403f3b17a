package e2e

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
	"github.com/pion/stun/v3"
	"github.com/pion/webrtc/v4"
)

// Whatever strangers send is refused and costs little, and two participants
// notice nothing of it.
func TestStageHostile(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r := s.newRoom()
	ana, ben := r.guest(), r.guest()
	out := ana.publish(small, peerOptions{tapped: true})
	in := ben.subscribe(ana, peerOptions{tapped: true})
	listener := ben.listen()
	in.waitGot("video", 50)
	before := s.costs()
	for _, attack := range []struct {
		name string
		run  func(*testing.T, *server, *outgoing, *incoming)
	}{
		{"tokens", hostileTokens},
		{"offers", hostileOffers},
		{"packets", hostilePackets},
		{"sockets", hostileSockets},
		{"half-open sessions", hostileSessions},
	} {
		t.Run(attack.name, func(t *testing.T) { attack.run(t, s.in(t), out, in) })
		t.Logf("after %s: %v", attack.name, s.costs())
	}
	eventually(t, 60*time.Second, "what strangers began is gone", func() error {
		if after := s.costs(); after.goroutines > before.goroutines+50 || after.megabytes > before.megabytes+100 {
			return fmt.Errorf("the server has %v, and had %v", after, before)
		}
		return nil
	})
	out.stop()
	for _, kind := range []string{"video", "audio"} {
		d := in.waitWhole(kind, out)
		t.Logf("%s: %v", kind, d)
		if d.duplicates > 0 && d.repaired == 0 { // who asks again too soon gets it twice
			t.Errorf("%s was sent twice: %v", kind, d)
		}
	}
	listener.waitState(time.Minute, ana.id+"!", ben.id)
}

// costs is what a server has of what can run out.
type costs struct{ goroutines, megabytes float64 }

func (c costs) String() string {
	return fmt.Sprintf("%.0f goroutines and %.0f MiB", c.goroutines, c.megabytes)
}

func (s *server) costs() costs {
	s.t.Helper()
	all := s.metrics()
	return costs{all["go_goroutines"], all["process_resident_memory_bytes"] / (1 << 20)}
}

// Every URL refuses every token that is not good for it, and no answer repeats
// one.
func hostileTokens(t *testing.T, s *server, out *outgoing, in *incoming) {
	r := &room{out.guest.room.Stage, s}
	good := out.guest.token
	key, stranger := s.importStageKey(), s.importStageKey()
	parts := strings.Split(good, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	unsigned := encode(`{"alg":"none","typ":"JWT"}`) + "." + parts[1] + "."
	now := time.Now().Unix()
	elsewhere := s.newRoom()
	tokens := map[string]string{
		"none":                      "",
		"garbage":                   "hello",
		"of dots":                   "..",
		"not base64":                "%.%.%",
		"not JSON":                  encode("{") + "." + encode("[") + "." + encode("x"),
		"enormous":                  encode(`{"alg":"HS256"}`) + "." + encode(`{"jti":"`+strings.Repeat("a", 12<<10)+`"}`) + "." + parts[2],
		"stripped of its signature": parts[0] + "." + parts[1] + ".",
		"stripped to two parts":     parts[0] + "." + parts[1],
		"unsigned":                  unsigned,
		"with another id":           parts[0] + "." + encode(strings.Replace(string(payload), out.guest.id, "somebodyelse", 1)) + "." + parts[2],
		"with another signature":    parts[0] + "." + parts[1] + "." + strings.Split(in.guest.token, ".")[2],
		"expired":                   key.sign(key.claims(r, "late", claims{"exp": now - 1, "iat": now - 100}), nil),
		"from the future":           key.sign(key.claims(r, "early", claims{"iat": now + 3600, "exp": now + 7200}), nil),
		"good for too long":         key.sign(key.claims(r, "long", claims{"exp": now + 15*24*3600}), nil),
		"by another's key":          stranger.sign(key.claims(r, "a", nil), claims{"kid": key.arn}),
		"by a key that is not":      key.sign(key.claims(r, "a", nil), claims{"kid": key.arn[:len(key.arn)-4] + "zzzz"}),
		"by a key of no name":       key.sign(key.claims(r, "a", nil), claims{"kid": 7}),
		"by a stage for a key":      key.sign(key.claims(r, "a", nil), claims{"kid": *r.Arn}),
		"with an id to escape":      key.sign(key.claims(r, "../../x", nil), nil),
		"with an id too long":       key.sign(key.claims(r, strings.Repeat("a", 65), nil), nil),
		"with other events":         key.sign(key.claims(r, "a", claims{"events_url": "wss://elsewhere.example/events"}), nil),
		"with another WHIP":         key.sign(key.claims(r, "a", claims{"whip_url": "https://elsewhere.example/whip"}), nil),
		"of two stages":             key.sign(key.claims(r, "a", claims{"topic": elsewhere.id()}), nil),
		"of no stage":               key.sign(key.claims(r, "a", claims{"resource": *r.Arn + "x", "topic": r.id() + "x"}), nil),
		"with much to say":          key.sign(key.claims(r, "a", claims{"attributes": map[string]string{"a": strings.Repeat("a", 1100)}}), nil),
		"with attributes of sorts":  key.sign(key.claims(r, "a", claims{"attributes": []int{1}}), nil),
		"with rights of sorts":      key.sign(key.claims(r, "a", claims{"capabilities": []string{"PUBLISH"}}), nil),
		"for a channel":             s.importKeyPair().token(s.newChannel(), nil),
	}
	for _, claim := range []string{"exp", "iat", "jti", "resource", "topic", "events_url", "whip_url", "capabilities", "version"} {
		tokens["without "+claim] = key.sign(key.claims(r, "a", claims{claim: nil}), nil)
	}
	confused, err := jwt.NewWithClaims(jwt.SigningMethodHS256, key.claims(r, "a", nil)).SignedString([]byte(key.public))
	if err != nil {
		t.Fatal(err)
	}
	tokens["by a public key as a secret"] = confused
	session := out.answer.location
	attempts := map[string]func(token string) (*whipAnswer, error){
		"publish": func(token string) (*whipAnswer, error) { return call(t, "POST", r.whip(), token, sdpType, "v=0\r\n") },
		"subscribe": func(token string) (*whipAnswer, error) {
			return call(t, "POST", r.whip()+"/subscribe/"+out.guest.id, token, sdpType, "v=0\r\n")
		},
		"servers": func(token string) (*whipAnswer, error) {
			return call(t, "OPTIONS", r.whip(), token, "", "", "Authorization", "Bearer "+token)
		},
		"patch": func(token string) (*whipAnswer, error) {
			return call(t, "PATCH", session, token, fragmentType, "a=end-of-candidates\r\n")
		},
		"delete": func(token string) (*whipAnswer, error) { return call(t, "DELETE", session, token, "", "") },
		"events": func(token string) (*whipAnswer, error) {
			return call(t, "GET", "http://"+s.at.HTTP+"/events/"+r.id(), "", "", "", "Connection", "Upgrade", "Upgrade", "websocket",
				"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AQIDBAUGBwgJCgsMDQ4PEA==", "Sec-WebSocket-Protocol", token)
		},
	}
	// Good tokens for other things than this.
	others := map[string]string{"of another stage": elsewhere.guest().token, "of another participant": in.guest.token}
	for _, name := range slices.Sorted(maps.Keys(tokens)) {
		for kind, attempt := range attempts {
			a, err := attempt(tokens[name])
			if err != nil {
				if kind == "events" && strings.ContainsAny(tokens[name], "%") {
					continue
				}
				t.Errorf("%s with a token %s: %v", kind, name, err)
				continue
			}
			if a.status != 400 && a.status != 401 && a.status != 403 && a.status != 404 {
				t.Errorf("%s with a token %s: %v", kind, name, a)
			}
			if len(tokens[name]) > 20 && strings.Contains(a.body, tokens[name][:20]) {
				t.Errorf("%s with a token %s is told the token: %v", kind, name, a)
			}
		}
	}
	for name, token := range others {
		for _, kind := range []string{"patch", "delete"} {
			if a, err := attempts[kind](token); err != nil || a.status != 401 && a.status != 403 && a.status != 404 {
				t.Errorf("%s with a token %s: %v, %v", kind, name, a, err)
			}
		}
	}
	for _, kind := range []string{"subscribe", "events"} {
		if a, err := attempts[kind](others["of another stage"]); err != nil || a.status/100 != 4 || kind == "events" && a.status == 400 {
			t.Errorf("%s with a token of another stage: %v, %v", kind, a, err)
		}
	}
}

// Offers that are none, and real ones with bytes changed, cut or repeated, are
// answered as the client's fault or, if no harm was done, with a session.
func hostileOffers(t *testing.T, s *server, out *outgoing, _ *incoming) {
	r := &room{out.guest.room.Stage, s}
	g := r.guest()
	g.t = t
	post := func(body, contentType string) *whipAnswer {
		t.Helper()
		a, err := call(t, http.MethodPost, g.publishURL(), g.token, contentType, body)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for name, tt := range map[string]struct{ body, contentType string }{
		"none":          {"", sdpType},
		"enormous":      {"v=0\r\n" + strings.Repeat("a=x\r\n", 300_000), sdpType},
		"of many parts": {"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n" + strings.Repeat("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", 2000), sdpType},
		"of one line":   {"v=0 " + strings.Repeat("x", 60_000), sdpType},
		"JSON":          {`{"type":"offer"}`, sdpType},
		"of no kind":    {vp8Offer, "text/plain"},
		"of zeros":      {strings.Repeat("\x00", 1000), sdpType},
	} {
		if a := post(tt.body, tt.contentType); a.status/100 != 4 || a.body == "" {
			t.Errorf("an offer %s: %v", name, a)
		}
	}
	p, err := g.newPeer(peerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if _, err := p.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}); err != nil {
			t.Fatal(err)
		}
	}
	offer, err := p.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	answers := make(map[int]int)
	for range 300 {
		lines := strings.SplitAfter(offer.SDP, "\n")
		for range 1 + random.IntN(3) {
			i, k := random.IntN(len(lines)), random.IntN(len(lines))
			switch b := []byte(lines[i]); random.IntN(6) {
			case 0:
				lines[i] = ""
			case 1:
				lines[i] += lines[k]
			case 2:
				lines[i], lines[k] = lines[k], lines[i]
			case 3:
				if len(b) > 0 {
					b[random.IntN(len(b))] = byte(random.IntN(256))
				}
				lines[i] = string(b)
			case 4:
				lines[i] = strings.Repeat(lines[i], 50)
			case 5:
				lines = lines[:max(1, i)]
			}
		}
		a := post(strings.Join(lines, ""), sdpType)
		answers[a.status]++
		if a.status/100 == 5 && a.status != http.StatusServiceUnavailable {
			t.Errorf("an offer is answered %v:\n%s", a, strings.Join(lines, ""))
		}
	}
	t.Logf("real offers, changed, are answered %v", answers)
	if answers[http.StatusCreated] == 0 || answers[http.StatusBadRequest] == 0 {
		t.Error("they are all alike")
	}
}

// The port for media gets what is no STUN, DTLS, RTP or RTCP, or almost is, or
// was some, from strangers and from the address of the publisher itself.
func hostilePackets(t *testing.T, s *server, out *outgoing, in *incoming) {
	to, err := net.ResolveUDPAddr("udp4", s.at.WebRTC)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	var answered, asked int // bytes
	var reading sync.WaitGroup
	reading.Go(func() {
		for buf := make([]byte, 2000); ; {
			n, _, err := stranger.ReadFrom(buf)
			if err != nil {
				return
			}
			answered += n
		}
	})
	random := rand.New(rand.NewPCG(3, 4))
	sent := 0
	send := func(from net.PacketConn, packet []byte) {
		if from == stranger {
			asked += len(packet)
		}
		from.WriteTo(packet, to) // ICMP may tell of something
		if sent++; sent%50 == 0 {
			in.waitGot("video", 1) // the socket's buffer is everybody's
		}
	}
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	own := out.tap.PacketConn
	var known [][]byte
	eventually(t, 30*time.Second, "packets of the publisher are known", func() error {
		if known = out.tap.list(); len(known) < 200 {
			return fmt.Errorf("there are %d", len(known))
		}
		return nil
	})
	for _, from := range []net.PacketConn{stranger, own} {
		for n := range 200 { // all kinds of first bytes, which tell protocols apart (RFC 7983)
			for _, size := range []int{n % 16, 20, 100 + n, 1400} {
				b := noise(size)
				if size > 0 {
					b[0] = byte(n * 256 / 200)
				}
				send(from, b)
			}
		}
		for _, b := range known[:min(600, len(known))] {
			send(from, b)                          // once more
			send(from, b[:random.IntN(len(b)+1)])  // cut
			send(from, append(slices.Clone(b), 0)) // longer
			flipped := slices.Clone(b)             // and with a bit changed
			flipped[random.IntN(len(b))] ^= 1 << random.IntN(8)
			send(from, flipped)
		}
		for i := range 300 {
			message, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername("nobody:"+out.guest.id), stun.NewShortTermIntegrity("guess"), stun.Fingerprint)
			if err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 { // its length lies
				binary.BigEndian.PutUint16(message.Raw[2:], uint16(random.Uint32()))
			}
			send(from, message.Raw)
		}
	}
	if _, err := in.tap.PacketConn.WriteTo(nil, to); err != nil { // an empty datagram
		t.Error(err)
	}
	in.waitGot("video", 100)
	stranger.Close()
	reading.Wait()
	if answered > asked {
		t.Errorf("strangers sent %d bytes and were sent %d", asked, answered)
	}
	t.Logf("%d packets; strangers sent %d bytes and were sent %d", sent, asked, answered)
}

// Events sockets whose clients read nothing, or send too much, or what is no
// message, cost the others nothing.
func hostileSockets(t *testing.T, s *server, out *outgoing, in *incoming) {
	r := &room{out.guest.room.Stage, s}
	key := s.importStageKey()
	dial := func() *websocket.Conn {
		t.Helper()
		g := key.guest(r, nil)
		conn, _, err := websocket.Dial(t.Context(), "ws://"+s.at.HTTP+"/events/"+r.id(), &websocket.DialOptions{Subprotocols: []string{g.token}})
		if err != nil {
			t.Fatal(err)
		}
		conn.SetReadLimit(1 << 20)
		return conn
	}
	var deaf []*websocket.Conn
	for range 50 {
		deaf = append(deaf, dial()) // and each is a change that all are told of
	}
	for name, tt := range map[string]struct {
		kind  websocket.MessageType
		text  string
		times int
	}{
		"floods":         {websocket.MessageText, `{"type":"PING"}`, 20_000},
		"talks at great": {websocket.MessageText, strings.Repeat("x", 1<<20), 1},
		"sends bytes":    {websocket.MessageBinary, "\x00\x01", 1},
	} {
		conn := dial()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		go func() {
			for range tt.times {
				if conn.Write(ctx, tt.kind, []byte(tt.text)) != nil {
					return
				}
			}
		}()
		var err error
		for err == nil {
			_, _, err = conn.Read(ctx)
		}
		if ctx.Err() != nil {
			t.Errorf("a client that %s is not stopped: %v", name, err)
		}
		cancel()
		conn.CloseNow()
	}
	in.waitGot("audio", 20)
	for _, conn := range deaf {
		conn.CloseNow()
	}
}

// Two thousand subscriptions with good tokens, to each publisher there may be,
// by clients that never connect.
func hostileSessions(t *testing.T, s *server, out *outgoing, in *incoming) {
	const many = 2000
	r := s.newRoom()
	publishers := r.guests(12)
	for _, g := range publishers {
		g.publish(small, peerOptions{kinds: []string{"audio"}, lean: true})
	}
	p, err := out.guest.newPeer(peerOptions{lean: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if _, err := p.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	offer, err := p.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	p.close()
	before := s.costs()
	var mu sync.Mutex // guards the answers
	answers := make(map[int]int)
	var wg sync.WaitGroup
	few := make(chan struct{}, 8)
	subscribers := r.guests(many/len(publishers) + 1)
	for i := range many {
		few <- struct{}{}
		wg.Go(func() {
			defer func() { <-few }()
			who := subscribers[i/len(publishers)]
			a, err := call(t, http.MethodPost, who.subscribeURL(publishers[i%len(publishers)]), who.token, sdpType, offer.SDP)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			answers[a.status]++
		})
	}
	wg.Wait()
	after := s.costs()
	t.Logf("%d offers are answered %v; the server had %v and has %v", many, answers, before, after)
	if answers[http.StatusCreated]+answers[http.StatusServiceUnavailable]+answers[http.StatusTooManyRequests] != many {
		t.Error("these are not all sessions, or refused for there being many")
	}
	if after.megabytes > before.megabytes+200 || after.goroutines > before.goroutines+5*many {
		t.Errorf("the server had %v and has %v", before, after)
	}
	in.waitGot("video", 50)
	// And somebody who means it gets in, at the latest when they have given up.
	late := r.guest()
	eventually(t, 60*time.Second, "another may subscribe", func() error {
		another, err := late.trySubscribe(publishers[0], peerOptions{lean: true})
		if err == nil {
			another.waitGot("audio", 20)
			another.close()
		}
		return err
	})
}
