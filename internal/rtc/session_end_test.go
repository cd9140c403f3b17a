package rtc

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

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
