package rtc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"anabranch/internal/resource"
	"github.com/pion/stun/v3"
	"github.com/pion/webrtc/v4"
)

// opened is a session whose client is the test itself.
func opened(t *testing.T, e *Engine) *Session {
	t.Helper()
	s, _, err := e.Publish(t.Context(), []byte(base), newSource(t), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// checkOf is a check as clients make them, with what is wrong about it.
func checkOf(t *testing.T, username, password string, attributes ...stun.Setter) []byte {
	t.Helper()
	m, err := stun.Build(append([]stun.Setter{
		stun.TransactionID, stun.BindingRequest, stun.NewUsername(username),
		stun.RawAttribute{Type: stun.AttrPriority, Value: []byte{1, 2, 3, 4}},
	}, append(attributes, stun.NewShortTermIntegrity(password), stun.Fingerprint)...)...)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

var useCandidate = stun.RawAttribute{Type: stun.AttrUseCandidate}

// socket is a client's, connected to the engine.
func socket(t *testing.T, e *Engine) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(e.hosts.udpPort)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func sendTo(t *testing.T, c io.Writer, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

// answered reads the answer to a check, and tells whose check it was.
func answered(t *testing.T, c *net.UDPConn) stun.Message {
	t.Helper()
	b := make([]byte, 1500)
	_ = c.SetReadDeadline(time.Now().Add(patience))
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	m := stun.Message{Raw: b[:n]}
	if err := m.Decode(); err != nil {
		t.Fatal(err)
	}
	return m
}

// Only who knows a session's credentials is answered; the rest hear nothing at all.
func TestChecks(t *testing.T) {
	e := listen(t, nil)
	s, other := opened(t, e), opened(t, e)
	local := s.ice.present.local
	foreign := other.ice.present.local
	stale := checkOf(t, local.ufrag+":abcd", local.pwd)
	stale[len(stale)-1]++ // of the fingerprint
	indication, _ := stun.Build(stun.TransactionID, stun.NewType(stun.MethodBinding, stun.ClassIndication))
	c := socket(t, e)
	for _, b := range [][]byte{
		checkOf(t, local.ufrag+":abcd", foreign.pwd),
		checkOf(t, local.ufrag+":abcd", ""),
		checkOf(t, local.ufrag+":dcba", local.pwd),
		checkOf(t, local.ufrag, local.pwd),
		checkOf(t, "", local.pwd),
		stale, stale[:len(stale)-9], stale[:20], {0}, {}, {0, 1, 0xff, 0xff},
		bytes.Repeat([]byte{1}, 1400), indication.Raw,
		append([]byte{22, 0xfe, 0xfd}, make([]byte, 100)...), // DTLS
		append([]byte{0x80, 96}, make([]byte, 100)...),       // RTP
	} {
		sendTo(t, c, b)
	}
	good := checkOf(t, local.ufrag+":abcd", local.pwd)
	sendTo(t, c, good)
	m := answered(t, c) // the first answer is to the last check
	if m.TransactionID != [12]byte(good[8:20]) || m.Type != stun.BindingSuccess {
		t.Errorf("answered: %v", m.String())
	}
	if err := stun.NewShortTermIntegrity(local.pwd).Check(&m); err != nil {
		t.Error(err)
	}
	var mapped stun.XORMappedAddress
	if err := mapped.GetFrom(&m); err != nil || mapped.Port != c.LocalAddr().(*net.UDPAddr).Port {
		t.Errorf("mapped to %v, %v", mapped, err)
	}
	select {
	case <-s.Connected():
		t.Error("connected by a check")
	default:
	}
}

// One socket serves both families; clients are told the address they have.
func TestBothFamilies(t *testing.T) {
	e := listen(t, func(c *Config) {
		c.UDP.Close()
		var err error
		if c.UDP, err = net.ListenPacket("udp", ":0"); err != nil {
			t.Fatal(err)
		}
	})
	s := opened(t, e)
	local := s.ice.present.local
	for _, host := range []string{"127.0.0.1", "::1"} {
		c, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.ParseIP(host), Port: int(e.hosts.udpPort)})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		sendTo(t, c, checkOf(t, local.ufrag+":abcd", local.pwd, useCandidate))
		m := answered(t, c)
		var mapped stun.XORMappedAddress
		if err := mapped.GetFrom(&m); err != nil || !mapped.IP.Equal(net.ParseIP(host)) {
			t.Errorf("%s is told %v, %v", host, mapped, err)
		}
		if got := s.path.Load(); got.addr.Addr().String() != host {
			t.Errorf("sends to %v", got.addr)
		}
	}
}

// The server sends where the newest nomination came from; UDP goes before TCP.
func TestNomination(t *testing.T) {
	udp := []path{{addr: netip.MustParseAddrPort("192.0.2.1:1")}, {addr: netip.MustParseAddrPort("192.0.2.1:2")}}
	tcp := path{addr: netip.MustParseAddrPort("192.0.2.1:3"), tcp: &tcpPath{conn: new(net.TCPConn)}} // its methods only fail
	type step struct {
		after     time.Duration
		from      path
		nominated bool
		want      path
	}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"the first way there is, until one is nominated", []step{{0, udp[0], false, udp[0]}, {0, udp[1], false, udp[0]}, {0, udp[1], true, udp[1]}}},
		{"the newest nomination", []step{{0, udp[0], true, udp[0]}, {0, udp[1], true, udp[1]}, {0, udp[0], false, udp[1]}, {0, udp[0], true, udp[0]}}},
		{"UDP rather than TCP", []step{{0, tcp, true, tcp}, {0, udp[0], true, udp[0]}, {0, tcp, true, udp[0]}}},
		{"UDP that is heard of", []step{{0, udp[0], true, udp[0]}, {udpSilence, udp[0], false, udp[0]}, {time.Second, tcp, true, udp[0]}}},
		{"TCP when UDP is silent", []step{{0, udp[0], true, udp[0]}, {udpSilence, tcp, true, udp[0]}, {time.Millisecond, tcp, true, tcp}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := listen(t, nil)
			s := opened(t, e)
			now := time.Now()
			for i, step := range tt.steps {
				now = now.Add(step.after)
				e.nominate(s, s.ice.present, step.from, step.nominated, now)
				if got := s.path.Load(); *got != step.want {
					t.Errorf("step %d: sends to %v, want %v", i, got.addr, step.want.addr)
				}
			}
		})
	}
}

// A client has so many addresses and no more; the oldest is forgotten.
func TestPathsBounded(t *testing.T) {
	e := listen(t, nil)
	s := opened(t, e)
	at := func(port int) path {
		return path{addr: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(port))}
	}
	for port := range 100 {
		e.nominate(s, s.ice.present, at(port), false, time.Now())
	}
	if n := len(e.byPath); n != maxPaths || e.sessionOn(at(0)) != nil || e.sessionOn(at(99)) != s {
		t.Errorf("%d paths", n)
	}
	s.Close(nil)
	wait(t, "end", s.Done())
	if len(e.byPath)+len(e.byUfrag)+len(e.sessions) != 0 {
		t.Errorf("left behind: %v %v %v", e.byPath, e.byUfrag, e.sessions)
	}
}

// RFC 9725 §4.3.1: which PATCH is taken, by its If-Match and its fragment.
func TestPatch(t *testing.T) {
	candidate := "a=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"
	credentialsOf := func(ufrag, pwd string) string { return "a=ice-ufrag:" + ufrag + "\r\na=ice-pwd:" + pwd + "\r\n" }
	newPwd := "abcdefghijklmnopqrstuv"
	for _, tt := range []struct {
		name, ifMatch, fragment string
		err                     error
		invalid, restarts       bool
	}{
		{"no condition", "", candidate, ErrNoCondition, false, false},
		{"another tag", `"x"`, candidate, ErrPrecondition, false, false},
		{"a weak tag", "W/ETAG", candidate, ErrPrecondition, false, false},
		{"candidates", "ETAG", candidate, nil, false, false},
		{"candidates with the credentials they are of", "ETAG", credentialsOf("abcd", "0123456789012345678901") + candidate, nil, false, false},
		{"candidates with the user name alone", "ETAG", "a=ice-ufrag:abcd\r\n" + candidate, nil, false, false},
		{"the end of candidates", `"x", ETAG`, "a=end-of-candidates\r\n", nil, false, false},
		{"candidates of whatever ICE session", "*", candidate, nil, false, false},
		{"restart", "*", credentialsOf("efgh", newPwd), nil, false, true},
		{"restart, the star in quotes", `"*"`, credentialsOf("efgh", newPwd), nil, false, true},
		{"restart, told twice", "*", credentialsOf("efgh", newPwd) + "m=video 9 X 1\r\n" + credentialsOf("efgh", newPwd), nil, false, true},
		{"restart of the session with this tag", "ETAG", credentialsOf("efgh", newPwd) + candidate, nil, false, true},
		{"restart of another", `"x"`, credentialsOf("efgh", newPwd), ErrPrecondition, false, false},
		{"half a restart", "*", "a=ice-ufrag:efgh\r\n", nil, true, false},
		{"another password alone", "*", credentialsOf("abcd", newPwd), nil, true, false},
		{"two user names", "*", "a=ice-ufrag:efgh\r\na=ice-ufrag:ijkl\r\n", nil, true, false},
		{"a short password", "*", credentialsOf("efgh", "short"), nil, true, false},
		{"not SDP", "*", "{}", nil, true, false},
		{"too long", "*", strings.Repeat("a=b\r\n", maxOffer), nil, true, false},
		{"too many lines", "*", strings.Repeat("a=b\r\n", maxLines+1), nil, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := listen(t, nil)
			s := opened(t, e)
			tag, before := s.ETag(), s.ice.present.local
			answer, etag, err := s.Patch(strings.ReplaceAll(tt.ifMatch, "ETAG", tag), []byte(tt.fragment))
			var refusal *resource.Error
			if errors.As(err, &refusal) != tt.invalid || !tt.invalid && !errors.Is(err, tt.err) {
				t.Errorf("error: %v", err)
			}
			if tt.restarts != (len(answer) > 0) || tt.restarts != (etag != tag) || etag != s.ETag() {
				t.Errorf("answer %q, tag %s after %s", answer, etag, tag)
			}
			if tt.restarts {
				after := s.ice.present.local
				for _, want := range []string{"a=ice-lite", "a=mid:0", "a=mid:1", "m=audio", "m=video", "a=ice-ufrag:" + after.ufrag, "a=ice-pwd:" + after.pwd, "a=candidate", "a=end-of-candidates"} {
					if !strings.Contains(string(answer), want+"\r\n") && !strings.Contains(string(answer), want+" ") && !strings.Contains(string(answer), want+":") {
						t.Errorf("no %s in\n%s", want, answer)
					}
				}
				if after == before || strings.Contains(string(answer), "fingerprint") {
					t.Errorf("answer:\n%s", answer)
				}
			}
		})
	}
}

// After a restart both ICE sessions work until the client nominates by the new one.
func TestRestartTakesOver(t *testing.T) {
	e := listen(t, nil)
	s := opened(t, e)
	old := s.ice.present.local
	if _, _, err := s.Patch("*", []byte("a=ice-ufrag:efgh\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n")); err != nil {
		t.Fatal(err)
	}
	fresh := s.ice.present.local
	c := socket(t, e)
	sendTo(t, c, checkOf(t, old.ufrag+":abcd", old.pwd, useCandidate))
	answered(t, c)
	sendTo(t, c, checkOf(t, fresh.ufrag+":efgh", fresh.pwd))
	answered(t, c)
	sendTo(t, c, checkOf(t, old.ufrag+":abcd", old.pwd))
	answered(t, c)
	sendTo(t, c, checkOf(t, fresh.ufrag+":efgh", fresh.pwd, useCandidate))
	answered(t, c)
	sendTo(t, c, checkOf(t, old.ufrag+":abcd", old.pwd)) // is not answered any more
	last := checkOf(t, fresh.ufrag+":efgh", fresh.pwd)
	sendTo(t, c, last)
	if m := answered(t, c); m.TransactionID != [12]byte(last[8:20]) {
		t.Error("the old ICE session is still there")
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	if len(e.byUfrag) != 1 {
		t.Errorf("%d user names are known", len(e.byUfrag))
	}
}

// Media goes on through an ICE restart, from another socket of the client.
func TestRestartOfClient(t *testing.T) {
	e, src := listen(t, nil), newSource(t)
	pub := dial(t, nil)
	sound := pub.sends(webrtc.MimeTypeOpus)
	in, answer, err := e.Publish(t.Context(), pub.offer(), src, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	pub.answer(answer)
	feed(t, nil, sound)
	wait(t, "media flows", in.Flowing())
	before := *in.path.Load()

	offer, err := pub.CreateOffer(&webrtc.OfferOptions{ICERestart: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := pub.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	fragment, _, err := in.Patch("*", []byte(linesWith(offer.SDP, "a=ice-ufrag", "a=ice-pwd")))
	if err != nil {
		t.Fatal(err)
	}
	text := string(answer)
	for _, name := range []string{"a=ice-ufrag:", "a=ice-pwd:"} {
		text = strings.ReplaceAll(text, linesWith(text, name), linesWith(string(fragment), name))
	}
	pub.answer([]byte(text))
	deadline := time.Now().Add(patience)
	for *in.path.Load() == before { // the client's new socket
		if time.Now().After(deadline) {
			t.Fatal("never came another way")
		}
		time.Sleep(time.Millisecond)
	}
	had := in.Stats().Audio.Packets
	for in.Stats().Audio.Packets < had+10 {
		if time.Now().After(deadline) {
			t.Fatal("no media after the restart")
		}
		time.Sleep(time.Millisecond)
	}
}

// linesWith are the lines of text that begin with a prefix; each once.
func linesWith(text string, prefixes ...string) string {
	found := ""
	for line := range strings.Lines(text) {
		for _, p := range prefixes {
			if strings.HasPrefix(line, p) && !strings.Contains(found, line) {
				found += line
			}
		}
	}
	return found
}

// What comes over TCP is bounded: a packet that is too long, or a connection that
// never shows that it is a client's, is the end of it.
func TestHostileTCP(t *testing.T) {
	e := listen(t, nil)
	s := opened(t, e)
	local := s.ice.present.local
	dialTCP := func() net.Conn {
		c, err := net.Dial("tcp", e.tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(patience))
		return c
	}
	frame := func(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }

	long := dialTCP()
	sendTo(t, long, []byte{0xff, 0xff})
	if _, err := long.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a packet that is too long: %v", err)
	}
	good := dialTCP()
	sendTo(t, good, frame(nil))
	sendTo(t, good, frame([]byte("\x16 no client")))
	check := frame(checkOf(t, local.ufrag+":abcd", local.pwd, useCandidate))
	sendTo(t, good, check[:7])
	sendTo(t, good, check[7:])
	var head [2]byte
	if _, err := io.ReadFull(good, head[:]); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint16(head[:]))
	if _, err := io.ReadFull(good, b); err != nil || !stun.IsMessage(b) {
		t.Errorf("answer %x, %v", b, err)
	}
	if p := s.path.Load(); p == nil || p.tcp == nil {
		t.Errorf("sends to %v", p)
	}
	// A session has only so many connections, and none when it has ended.
	for range maxPaths {
		more := dialTCP()
		sendTo(t, more, check)
		if _, err := io.ReadFull(more, head[:]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.Copy(io.Discard, good); err != nil {
		t.Errorf("the oldest connection of too many: %v", err)
	}
	last := dialTCP()
	sendTo(t, last, check)
	if _, err := io.ReadFull(last, head[:]); err != nil {
		t.Fatal(err)
	}
	s.Close(nil)
	if _, err := io.Copy(io.Discard, last); err != nil {
		t.Errorf("a connection whose session has ended: %v", err)
	}
	// Who reads nothing loses packets, and holds nobody up.
	p := path{tcp: &tcpPath{queue: make(chan []byte, 2)}}
	for i, want := range []bool{true, true, false, false} {
		if got := p.tcp.send([]byte{1}); got != want {
			t.Errorf("packet %d taken: %v", i, got)
		}
	}
}

// Where clients are told to send: what was configured, or what there is.
func TestHosts(t *testing.T) {
	for _, tt := range []struct {
		name  string
		names []string
		bound string
		want  string
	}{
		{"addresses", []string{"203.0.113.7", "2001:db8::7", "203.0.113.7"}, "::", "203.0.113.7 2001:db8::7"},
		{"an address in brackets", []string{"[2001:db8::7]"}, "::", "2001:db8::7"},
		{"a name", []string{"localhost"}, "0.0.0.0", "127.0.0.1"},
		{"the interfaces', loopback last", nil, "::", "192.0.2.9 2001:db8::9 127.0.0.1"},
		{"the one that is bound", nil, "192.0.2.9", "192.0.2.9"},
		{"none that could be told", []string{"0.0.0.0"}, "::", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := hosts{names: tt.names, udpAddr: netip.MustParseAddr(tt.bound), interfaceAddr: func() ([]net.Addr, error) {
				var addrs []net.Addr
				for _, s := range []string{"127.0.0.1/8", "192.0.2.9/24", "2001:db8::9/64", "fe80::1/64"} {
					ip, n, _ := net.ParseCIDR(s)
					n.IP = ip
					addrs = append(addrs, n)
				}
				return addrs, nil
			}}
			addrs, err := h.lookup(context.Background())
			var got []string
			for _, a := range addrs {
				got = append(got, a.String())
			}
			if !strings.HasPrefix(strings.Join(got, " "), tt.want) || (err != nil) != (tt.want == "") {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// UDP goes before TCP, IPv6 before IPv4, what is named first before the rest.
func TestCandidates(t *testing.T) {
	h := hosts{udpPort: 7081, tcpPort: 7082}
	addrs := []netip.Addr{netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("2001:db8::7")}
	want := "a=candidate:1 1 udp 2130450431 203.0.113.7 7081 typ host\r\n" +
		"a=candidate:2 1 udp 2130705919 2001:db8::7 7081 typ host\r\n" +
		"a=candidate:101 1 tcp 1520179199 203.0.113.7 7082 typ host tcptype passive\r\n" +
		"a=candidate:102 1 tcp 1520434687 2001:db8::7 7082 typ host tcptype passive\r\n" +
		"a=end-of-candidates\r\n"
	if got := h.candidates(addrs); got != want {
		t.Errorf("got\n%s", got)
	}
	h.tcpPort = 0
	if got := h.candidates(addrs); strings.Contains(got, "tcp") {
		t.Errorf("TCP without a listener:\n%s", got)
	}
}
