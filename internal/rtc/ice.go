package rtc

import (
	"crypto/rand"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pion/stun/v3"
)

// path is a way to a client: its address as the UDP socket sees it, or a TCP
// connection with its address.
type path struct {
	addr netip.AddrPort
	tcp  *tcpPath // nil: UDP
}

// iceState is a session's side of ICE-lite (RFC 8445 §2.5): it makes no checks, it
// answers the client's, and sends where the client said last that it should.
type iceState struct {
	present, former iceSession // former: until a check of the present one nominates
	paths           []path     // those a check came on, oldest first
	heard           time.Time  // when the nominated path brought a check
}

// iceSession is one of the ICE sessions in a connection's life: each restart begins
// another (RFC 8445 §9).
type iceSession struct{ local, remote credentials }

const (
	// maxPaths is how many addresses of one client are known at once.
	maxPaths = 16
	// udpSilence is how long UDP must have been silent before TCP takes its place.
	udpSilence = 2 * time.Second
)

// newCredentials makes credentials nobody can guess (RFC 8445 §5.3).
func newCredentials() credentials {
	return credentials{ufrag: rand.Text()[:8], pwd: rand.Text()}
}

// check answers a STUN message of a client (RFC 8445 §7.3). Whoever does not know a
// session's password hears nothing.
func (e *Engine) check(from path, b []byte, now time.Time) {
	m := stun.Message{Raw: b}
	if m.Decode() != nil || m.Type.Method != stun.MethodBinding {
		return
	}
	// An indication (RFC 8445 §11) keeps a way open and needs no answer. Nobody signs
	// it, so it says nothing about who is there.
	if m.Type.Class != stun.ClassRequest || m.Contains(stun.AttrFingerprint) && stun.Fingerprint.Check(&m) != nil {
		return
	}
	username, _ := m.Get(stun.AttrUsername)
	local, remote, _ := strings.Cut(string(username), ":")
	s, is := e.iceSession(local)
	if s == nil || remote != is.remote.ufrag {
		return
	}
	integrity := stun.NewShortTermIntegrity(is.local.pwd)
	if integrity.Check(&m) != nil {
		return
	}
	answer, err := stun.Build(&m, stun.BindingSuccess,
		&stun.XORMappedAddress{IP: net.IP(from.addr.Addr().AsSlice()), Port: int(from.addr.Port())},
		integrity, stun.Fingerprint)
	if err != nil {
		return
	}
	if !e.nominate(s, is, from, m.Contains(stun.AttrUseCandidate), now) {
		return
	}
	s.heard(now)
	e.send(from, answer.Raw)
	s.startDTLS()
}

// iceSession finds the session that a user name's first half is of.
func (e *Engine) iceSession(ufrag string) (*Session, iceSession) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	s := e.byUfrag[ufrag]
	switch {
	case s == nil:
		return nil, iceSession{}
	case ufrag == s.ice.present.local.ufrag:
		return s, s.ice.present
	}
	return s, s.ice.former
}

// present is a session's present ICE session.
func (e *Engine) present(s *Session) iceSession {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return s.ice.present
}

// sessionOn finds the session whose client a path leads to; nil if there is none.
func (e *Engine) sessionOn(p path) *Session {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.byPath[p]
}

// nominate notes that an authentic check came on a path, and sends there from now on
// when the client nominates it, or when there is no other way yet. The newest
// nomination counts: a client that changes networks says so with it. But one that
// keeps both UDP and TCP open is sent to by UDP. Another session's client may show
// the same address: it has what comes from there until the one that is sent to there
// shows itself again. It reports false when the session has ended.
func (e *Engine) nominate(s *Session, is iceSession, p path, nominated bool, now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.byUfrag[is.local.ufrag] != s {
		return false // ended meanwhile
	}
	st := &s.ice
	if !slices.Contains(st.paths, p) {
		if len(st.paths) == maxPaths {
			e.forget(s, st.paths[0])
		}
		st.paths = append(st.paths, p)
		e.byPath[p] = s
	}
	present := s.path.Load()
	switch {
	case present != nil && *present == p:
		st.heard = now
	case present == nil,
		nominated && (p.tcp == nil || present.tcp != nil || now.Sub(st.heard) > udpSilence):
		s.path.Store(&p)
		st.heard = now
	}
	if *s.path.Load() == p {
		e.byPath[p] = s
	}
	if nominated && is == st.present && st.former != (iceSession{}) {
		delete(e.byUfrag, st.former.local.ufrag)
		st.former = iceSession{}
	}
	return true
}

// forget takes a path from a session, and ends the TCP connection that it is, in time
// for what is queued to leave. The caller holds mu.
func (e *Engine) forget(s *Session, p path) {
	if p.tcp != nil {
		_ = p.tcp.conn.SetReadDeadline(time.Now().Add(time.Second))
	}
	if e.byPath[p] == s {
		delete(e.byPath, p)
	}
	s.ice.paths = slices.DeleteFunc(s.ice.paths, func(q path) bool { return q == p })
}

// restart begins another ICE session with the client's new credentials. The one
// before goes on to work until the client nominates a path of this one, so that media
// flows meanwhile. It reports false when the session has ended.
func (e *Engine) restart(s *Session, remote credentials) (local credentials, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	st := &s.ice
	if e.byUfrag[st.present.local.ufrag] != s {
		return credentials{}, false
	}
	delete(e.byUfrag, st.former.local.ufrag)
	st.former = st.present
	st.present = iceSession{local: newCredentials(), remote: remote}
	e.byUfrag[st.present.local.ufrag] = s
	return st.present.local, true
}
