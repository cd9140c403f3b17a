package app

import (
	"net"
	"strings"
	"testing"
)

// UDP and TCP of WebRTC have one number, also where it is left open.
func TestListenBoth(t *testing.T) {
	numbers := make(map[int]bool)
	for _, addr := range []string{"127.0.0.1:0", "0.0.0.0:0", ":0"} {
		udp, tcp, err := listenBoth(addr)
		if err != nil {
			t.Fatalf("%s: %v", addr, err)
		}
		defer udp.Close()
		defer tcp.Close()
		u, c := udp.LocalAddr().(*net.UDPAddr), tcp.Addr().(*net.TCPAddr)
		if u.Port != c.Port || u.Port == 0 || numbers[u.Port] {
			t.Errorf("%s: UDP %v, TCP %v", addr, u, c)
		}
		numbers[u.Port] = true
	}
}

// A number that is taken in TCP alone is not kept in UDP.
func TestListenBothTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	if _, _, err := listenBoth(addr); err == nil || !strings.Contains(err.Error(), "tcp "+addr) {
		t.Errorf("%v, want it to name TCP and the address", err)
	}
	udp, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatalf("the UDP socket is still there: %v", err)
	}
	udp.Close()
}
