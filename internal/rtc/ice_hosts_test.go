package rtc

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
)

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
