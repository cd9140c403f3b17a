package rtc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/srtp/v3"
	"github.com/pion/webrtc/v4"
)

// A publisher of sound, with media flowing.
func onAir(t *testing.T, e *Engine, src *Source, change func(*webrtc.SettingEngine)) (*client, *Session) {
	t.Helper()
	pub := dial(t, change)
	sound := pub.sends(webrtc.MimeTypeOpus)
	in, answer, err := e.Publish(t.Context(), pub.offer(), src, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	pub.answer(answer)
	feed(t, nil, sound)
	wait(t, "media flows", in.Flowing())
	return pub, in
}

// A session ends by itself when its client does not come, or goes without a word.
func TestSilentClients(t *testing.T) {
	e := listen(t, nil)
	_, there := onAir(t, e, newSource(t), nil)
	never := opened(t, e)

	e.sweep(time.Now().Add(lostAfter - time.Second))
	heard := there.lastHeard.Load()
	there.heard(time.Now().Add(time.Hour))
	e.sweep(never.begun.Add(connectWithin))
	for _, s := range []*Session{there, never} {
		if s.Err() != nil {
			t.Errorf("ended too early: %v", s.Err())
		}
	}
	e.sweep(never.begun.Add(connectWithin + time.Nanosecond))
	wait(t, "the end of who never came", never.Done())
	there.lastHeard.Store(heard)
	if !errors.Is(never.Err(), ErrNeverConnected) {
		t.Errorf("ended by %v", never.Err())
	}
	e.sweep(time.Now().Add(lostAfter + time.Second))
	wait(t, "the end of who went", there.Done())
	if !errors.Is(there.Err(), ErrLost) {
		t.Errorf("ended by %v", there.Err())
	}
}

// Two thousand sessions nobody connects to cost next to nothing and disturb nobody;
// beyond the bound there are no more, until some have ended.
func TestHalfOpenSessionsAreBounded(t *testing.T) {
	const bound = 2000
	e := listen(t, func(c *Config) { c.MaxHalfOpen = bound })
	_, there := onAir(t, e, newSource(t), nil)
	src := newSource(t)
	for range bound {
		if _, _, err := e.Subscribe(t.Context(), []byte(strings.ReplaceAll(base, "sendonly", "recvonly")), src); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := e.Publish(t.Context(), []byte(base), src, Limits{}); !errors.Is(err, ErrBusy) {
		t.Errorf("one more: %v", err)
	}
	had := there.Stats().Audio.Packets
	deadline := time.Now().Add(patience)
	for there.Stats().Audio.Packets < had+10 {
		if time.Now().After(deadline) {
			t.Fatal("media stands still")
		}
		time.Sleep(time.Millisecond)
	}
	e.sweep(there.begun.Add(-time.Hour)) // nobody's time is up
	if _, _, err := e.Publish(t.Context(), []byte(base), src, Limits{}); !errors.Is(err, ErrBusy) {
		t.Errorf("one more: %v", err)
	}
	there.heard(time.Now().Add(time.Hour))
	e.sweep(time.Now().Add(connectWithin + time.Second))
	e.mu.RLock()
	left := len(e.sessions)
	var any *Session
	for s := range e.sessions {
		if s != there {
			any = s
		}
	}
	e.mu.RUnlock()
	if left > 1 && any != nil {
		wait(t, "an end", any.Done())
	}
	s := opened(t, e)
	s.Close(nil)
	wait(t, "end", s.Done())
}

// Who has another certificate than the offer's is not let in, whatever else it knows.
func TestForeignCertificate(t *testing.T) {
	e := listen(t, nil)
	pub := dial(t, nil)
	pub.sends(webrtc.MimeTypeOpus)
	offer := string(pub.offer())
	print := linesWith(offer, "a=fingerprint:sha-256 ")
	other := strings.Map(func(r rune) rune {
		if r == '0' {
			return '1'
		}
		return r
	}, print)
	if other == print {
		other = strings.Replace(print, "A", "B", 1)
	}
	in, answer, err := e.Publish(t.Context(), []byte(strings.ReplaceAll(offer, print, other)), newSource(t), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	pub.answer(answer)
	wait(t, "the end", in.Done())
	if !errors.Is(in.Err(), ErrNeverConnected) {
		t.Errorf("ended by %v", in.Err())
	}
	select {
	case <-in.Connected():
		t.Error("connected")
	default:
	}
}

// Run's end is every session's, and nothing is left of any.
func TestStop(t *testing.T) {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{UDP: udp})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	_, there := onAir(t, e, newSource(t), nil)
	half := opened(t, e)
	cancel()
	if err := wait(t, "the end of Run", done); err != nil {
		t.Error(err)
	}
	for _, s := range []*Session{there, half} {
		select {
		case <-s.Done():
		default:
			t.Error("Run ended before a session")
		}
		if !errors.Is(s.Err(), ErrStopped) {
			t.Errorf("ended by %v", s.Err())
		}
		s.Close(errors.New("again")) // does nothing
	}
	if _, _, err := e.Publish(t.Context(), []byte(base), newSource(t), Limits{}); !errors.Is(err, ErrBusy) {
		t.Errorf("an offer after the end: %v", err)
	}
}

// Garbage on a connected path is dropped: forged, replayed, cut and endless media.
func TestHostileMedia(t *testing.T) {
	e := listen(t, nil)
	_, in := onAir(t, e, newSource(t), nil)
	from := *in.path.Load()
	had := in.Stats()
	for n := range 2000 {
		b := make([]byte, 12+n%600)
		b[0], b[1] = 0x80|byte(n), byte(n>>3)
		b[2], b[8], b[11] = byte(n), byte(n>>4), byte(n) // another SSRC each time
		e.packet(from, b, time.Now())
	}
	for _, b := range [][]byte{{0x80}, {0x80, 200}, {0x80, 200, 0, 0, 0, 0, 0, 0}, {22}, {22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, {63}} {
		e.packet(from, b, time.Now())
	}
	if n := len(in.in.ssrcs); n > 4 {
		t.Errorf("%d SSRCs are kept that nobody authentic sent", n)
	}
	deadline := time.Now().Add(patience)
	for in.Stats().Audio.Packets < had.Audio.Packets+10 {
		if in.Err() != nil || time.Now().After(deadline) {
			t.Fatalf("media stands still: %v", in.Err())
		}
		time.Sleep(time.Millisecond)
	}
}

// A client may use so many SSRCs and no more, however authentic they are.
func TestSourcesAreBounded(t *testing.T) {
	key, salt := make([]byte, 16), make([]byte, 12)
	out, err := srtp.CreateContext(key, salt, srtp.ProtectionProfileAeadAes128Gcm)
	if err != nil {
		t.Fatal(err)
	}
	in, err := srtp.CreateContext(key, salt, srtp.ProtectionProfileAeadAes128Gcm, srtp.SRTPReplayProtection(64))
	if err != nil {
		t.Fatal(err)
	}
	p := newPublished(t, lanePlan{kind: audio, payloadType: 111})
	p.session.media = p
	p.session.in.start(in)
	for ssrc := range 1000 {
		b, err := out.EncryptRTP(nil, []byte{0x80, 111, 0, 1, 0, 0, 0, 1, 0, 0, byte(ssrc >> 8), byte(ssrc), 7}, nil)
		if err != nil {
			t.Fatal(err)
		}
		p.session.receive(b, time.Now())
	}
	if n := len(p.session.in.ssrcs); n != maxSources {
		t.Errorf("%d SSRCs", n)
	}
	if len(p.tracks) != 1 {
		t.Errorf("%d tracks of sound", len(p.tracks))
	}
}

// Clients that know one protection profile alone are served by that. AES-GCM is not
// used where packets may go out twice.
func TestProtectionProfiles(t *testing.T) {
	for _, tt := range []struct {
		name     string
		profiles []dtls.SRTPProtectionProfile
		rtx      bool
		want     srtp.ProtectionProfile
	}{
		{"GCM where it is known", []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80, dtls.SRTP_AEAD_AES_128_GCM}, true, srtp.ProtectionProfileAeadAes128Gcm},
		{"AES-CM alone", []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80}, true, srtp.ProtectionProfileAes128CmHmacSha1_80},
		{"repairs without RTX", nil, false, srtp.ProtectionProfileAes128CmHmacSha1_80},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := listen(t, nil)
			pub := dial(t, func(s *webrtc.SettingEngine) {
				if tt.profiles != nil {
					s.SetSRTPProtectionProfiles(tt.profiles...)
				}
			})
			pub.sends(webrtc.MimeTypeH264)
			offer := string(pub.offer())
			if !tt.rtx {
				offer = strings.ReplaceAll(offer, " rtx/90000", " x/90000")
			}
			s, answer, err := e.Publish(t.Context(), []byte(offer), newSource(t), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			pub.answer(answer)
			wait(t, "connected", s.Connected())
			s.dtls.mu.Lock()
			got, _ := s.dtls.conn.SelectedSRTPProtectionProfile()
			s.dtls.mu.Unlock()
			if srtp.ProtectionProfile(got) != tt.want {
				t.Errorf("profile %v, want %v", got, tt.want)
			}
		})
	}
}

// lossy drops one in so many packets of media that it sends.
type lossy struct {
	*net.UDPConn
	n, dropped atomic.Int64
}

func (l *lossy) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if len(b) > 0 && b[0] >= 128 && l.n.Add(1)%11 == 0 {
		l.dropped.Add(1)
		return len(b), nil
	}
	return l.UDPConn.WriteToUDPAddrPort(b, to)
}

// What the network loses on the way to a subscriber comes again when it asks.
func TestLossIsRepaired(t *testing.T) {
	var network *lossy
	e := listen(t, func(c *Config) {
		network = &lossy{UDPConn: c.UDP.(*net.UDPConn)}
		c.UDP = network
	})
	src := newSource(t)
	pub := dial(t, nil)
	pictures := pub.sends(webrtc.MimeTypeH264)
	in, answer, err := e.Publish(t.Context(), pub.offer(), src, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	pub.answer(answer)
	feed(t, pictures, nil)
	wait(t, "media flows", in.Flowing())
	sub := dial(t, nil)
	sub.receives(webrtc.RTPCodecTypeVideo)
	out, answer, err := e.Subscribe(t.Context(), sub.offer(), src)
	if err != nil {
		t.Fatal(err)
	}
	sub.answer(answer)
	track := wait(t, "a track", sub.tracks)
	const packets = 400
	seen := map[uint16]bool{}
	var first uint16
	complete := func() error {
		for n := range uint16(packets) {
			if !seen[first+n] {
				return fmt.Errorf("packet %d of %d is missing", n, packets)
			}
		}
		return nil
	}
	deadline := time.Now().Add(patience)
	for complete() != nil {
		p, _, err := track.ReadRTP()
		if err != nil || time.Now().After(deadline) {
			t.Fatal(err, complete())
		}
		if len(seen) == 0 {
			first = p.SequenceNumber
		}
		seen[p.SequenceNumber] = true
	}
	if st := out.Stats(); network.dropped.Load() < packets/20 || st.Video.Repaired == 0 {
		t.Errorf("%d lost, %d repaired", network.dropped.Load(), st.Video.Repaired)
	}
}

// A handshake that is through just after the session was taken down begins nothing.
func TestConnectedTooLate(t *testing.T) {
	e := quiet(t)
	src := newSource(t)
	s, _, err := e.Subscribe(t.Context(), []byte(strings.ReplaceAll(base, "sendonly", "recvonly")), src)
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := srtp.CreateContext(make([]byte, 16), make([]byte, 12), srtp.ProtectionProfileAeadAes128Gcm)
	if err != nil {
		t.Fatal(err)
	}
	s.Close(nil)
	wait(t, "the end", s.Done())
	s.in.start(ctx)
	s.media.begin()
	for _, l := range src.lanes {
		if n := len(l.audience()); n != 0 {
			t.Errorf("%d senders of a session that has ended", n)
		}
	}
}

// Once DTLS is through, what comes in the clear is not believed, wherever it comes
// from: not that the client hung up, and nothing that is no record.
func TestRecordsInTheClear(t *testing.T) {
	e := listen(t, nil)
	_, s := onAir(t, e, newSource(t), nil)
	for i, b := range [][]byte{
		{21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 9, 1, 0, 2, 2, 40}, // a fatal alert
		{21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 9, 2, 0, 2, 1, 0},  // close_notify
		{63, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 9, 3, 0, 2, 1, 0},
		{22, 1},
	} {
		e.packet(*s.path.Load(), b, time.Now())
		for before := s.Stats().Audio.Packets; s.Stats().Audio.Packets < before+10; {
			select {
			case <-s.Done():
				t.Fatalf("record %d ended the session: %v", i, s.Err())
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
}

func TestEncrypted(t *testing.T) {
	clear := []byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 5, 0, 2, 1, 2}
	secret := []byte{22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 7}
	for _, tt := range []struct{ in, want []byte }{
		{nil, nil}, {clear, nil}, {secret, secret},
		{slices.Concat(clear, secret, clear, secret), slices.Concat(secret, secret)},
		{slices.Concat(secret, clear[:14]), secret}, {secret[:13], nil}, {secret[:12], nil},
	} {
		if got := encrypted(slices.Clone(tt.in)); !bytes.Equal(got, tt.want) {
			t.Errorf("of %x there is left %x, want %x", tt.in, got, tt.want)
		}
	}
}

// forgetful loses the server's first last flight of each handshake.
type forgetful struct {
	*net.UDPConn
	lost atomic.Bool
}

func (f *forgetful) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if len(b) > 0 && b[0] == 20 && !f.lost.Swap(true) { // ChangeCipherSpec
		return len(b), nil
	}
	return f.UDPConn.WriteToUDPAddrPort(b, to)
}

// The server is through when its last flight is sent. When that is lost, the client's
// repetition of its own, half of it in the clear, brings it again.
func TestLastFlightIsRepeated(t *testing.T) {
	network := &forgetful{}
	e := listen(t, func(c *Config) {
		network.UDPConn = c.UDP.(*net.UDPConn)
		c.UDP = network
	})
	onAir(t, e, newSource(t), nil)
	if !network.lost.Load() {
		t.Error("nothing was lost")
	}
}
