package rtc

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
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

// Another session's client may show the same address. Who is sent to there has it
// again with its next check.
func TestAddressOfTwo(t *testing.T) {
	e := quiet(t)
	s, other := opened(t, e), opened(t, e)
	p := path{addr: netip.MustParseAddrPort("192.0.2.1:1")}
	second := path{addr: netip.MustParseAddrPort("192.0.2.1:2")}
	for i, step := range []struct {
		by        *Session
		on        path
		nominated bool
		has       *Session // what comes from p
	}{
		{s, p, true, s},
		{other, p, false, other},
		{s, p, false, s},
		{other, second, true, s},
		{other, p, false, s}, // it is not sent to there
		{other, p, true, other},
		{s, p, false, s},
	} {
		e.nominate(step.by, step.by.ice.present, step.on, step.nominated, time.Now())
		if e.sessionOn(p) != step.has {
			t.Errorf("step %d: it has not what comes from there", i)
		}
	}
}

// A session lives by what its client has signed, and by nothing else.
func TestOnlyTheAuthenticIsHeard(t *testing.T) {
	e := quiet(t)
	s := opened(t, e)
	local := s.ice.present.local
	p := path{addr: netip.MustParseAddrPort("192.0.2.1:1")}
	e.nominate(s, s.ice.present, p, true, s.begun)
	indication, err := stun.Build(stun.TransactionID, stun.NewType(stun.MethodBinding, stun.ClassIndication), stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	later := s.begun.Add(lostAfter)
	for name, b := range map[string][]byte{
		"indication": indication.Raw,
		"check":      checkOf(t, local.ufrag+":abcd", "another"),
		"DTLS":       append([]byte{22, 0xfe, 0xfd}, make([]byte, 100)...),
		"RTP":        append([]byte{0x80, 96}, make([]byte, 100)...),
	} {
		if e.packet(p, b, later); s.silent(later) != lostAfter {
			t.Errorf("%s nobody signed was heard", name)
		}
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
