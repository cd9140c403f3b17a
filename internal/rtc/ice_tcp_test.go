package rtc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// dialTCP connects to the engine, from an address.
func dialTCP(t *testing.T, e *Engine, from string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", e.tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// frame puts a packet behind its length.
func frame(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }

// What comes over TCP is bounded: a packet that is too long, or a connection that
// never shows that it is a client's, is the end of it.
func TestHostileTCP(t *testing.T) {
	e := listen(t, nil)
	s := opened(t, e)
	local := s.ice.present.local
	dialTCP := func() net.Conn { return dialTCP(t, e, "127.0.0.1") }

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

// One address has only so many connections that nobody has shown to be a client's: it
// keeps nobody else out.
func TestStrangersOfOneAddress(t *testing.T) {
	e := listen(t, nil)
	s := opened(t, e)
	check := frame(checkOf(t, s.ice.present.local.ufrag+":abcd", s.ice.present.local.pwd))
	serves := func(c net.Conn) bool {
		var head [2]byte
		_, _ = c.Write(check)
		_, err := io.ReadFull(c, head[:])
		return err == nil
	}
	for range maxTCPAloneOfOne {
		dialTCP(t, e, "127.0.0.1")
	}
	if serves(dialTCP(t, e, "127.0.0.1")) {
		t.Error("one more is served")
	}
	for range 2 * maxTCPAloneOfOne { // who is known does not count
		if !serves(dialTCP(t, e, "127.0.0.2")) {
			t.Fatal("another address is not served")
		}
	}
}

// Strangers are counted by what one client may have for itself, and all together.
func TestStrangers(t *testing.T) {
	for name, tt := range map[string]struct {
		of   func(i int) string
		want int
	}{
		"one address":       {func(int) string { return "192.0.2.1" }, maxTCPAloneOfOne},
		"one /64":           {func(i int) string { return fmt.Sprintf("2001:db8::%x", i) }, maxTCPAloneOfOne},
		"many addresses":    {func(i int) string { return fmt.Sprintf("192.0.%d.%d", i>>8, i&0xff) }, maxTCPAlone},
		"many /64":          {func(i int) string { return fmt.Sprintf("2001:db8:0:%x::1", i) }, maxTCPAlone},
		"two in their turn": {func(i int) string { return fmt.Sprintf("192.0.2.%d", i&1) }, 2 * maxTCPAloneOfOne},
	} {
		t.Run(name, func(t *testing.T) {
			s := strangers{of: map[netip.Prefix]int{}}
			for range 2 {
				var admitted []netip.Addr
				for i := range 2 * maxTCPAlone {
					if addr := netip.MustParseAddr(tt.of(i)); s.admit(addr) {
						admitted = append(admitted, addr)
					}
				}
				if len(admitted) != tt.want {
					t.Errorf("admitted %d, want %d", len(admitted), tt.want)
				}
				for _, addr := range admitted {
					s.release(addr)
				}
			}
			if s.all != 0 || len(s.of) != 0 {
				t.Errorf("left behind: %d, %v", s.all, s.of)
			}
		})
	}
}
