package rtc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// hosts tells clients where the server can be reached: what was configured, or what
// the interfaces have. Names are looked up now and then, never for a client.
type hosts struct {
	names         []string
	udpPort       uint16
	tcpPort       uint16     // 0: none
	udpAddr       netip.Addr // what the socket is bound to; unspecified: everything
	interfaceAddr func() ([]net.Addr, error)
}

// maxHosts is how many addresses clients are told at most. Each one costs a client a
// check for each of its own.
const maxHosts = 8

// lookup finds the addresses of now. Names that cannot be found are left out; it is
// an error when nothing is left.
func (h *hosts) lookup(ctx context.Context) ([]netip.Addr, error) {
	var found []netip.Addr
	var failed error
	add := func(a netip.Addr) {
		a = a.Unmap().WithZone("")
		if !slices.Contains(found, a) && len(found) < maxHosts && !a.IsUnspecified() && !a.IsMulticast() {
			found = append(found, a)
		}
	}
	for _, name := range h.names {
		if a, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
			add(a)
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		cancel()
		if err != nil {
			failed = err
		}
		for _, a := range addrs {
			add(a)
		}
	}
	if len(h.names) == 0 && !h.udpAddr.IsUnspecified() {
		add(h.udpAddr)
	} else if len(h.names) == 0 {
		addrs, err := h.interfaceAddr()
		failed = err
		// Loopback goes last: a client elsewhere has no use for it.
		for _, loopback := range []bool{false, true} {
			for _, a := range addrs {
				p, err := netip.ParsePrefix(a.String())
				if err == nil && p.Addr().IsLoopback() == loopback && !p.Addr().IsLinkLocalUnicast() {
					add(p.Addr())
				}
			}
		}
	}
	switch {
	case len(found) == 0 && failed != nil:
		return nil, fmt.Errorf("find an address to tell clients: %w", failed)
	case len(found) == 0:
		return nil, errors.New("find an address to tell clients: there is none that others can reach")
	}
	return found, nil
}

// candidates are the a=candidate lines (RFC 8839 §5.1) of addresses, and the end of
// candidates. UDP goes before TCP, and IPv6 before IPv4 (RFC 8421 §4).
func (h *hosts) candidates(addrs []netip.Addr) string {
	var b strings.Builder
	for _, tcp := range []bool{false, true} {
		for i, a := range addrs {
			local := uint32(65535 - 2*i)
			if a.Is4() {
				local -= 1000
			}
			// RFC 8445 §5.1.2.1, RFC 6544 §4.2: a host's preference is 126, TCP's direction
			// passive is 4.
			priority := 126<<24 | local<<8 | 255
			switch {
			case !tcp:
				fmt.Fprintf(&b, "a=candidate:%d 1 udp %d %s %d typ host\r\n", i+1, priority, a, h.udpPort)
			case h.tcpPort != 0:
				priority = 90<<24 | (4<<13|local&0x1fff)<<8 | 255
				fmt.Fprintf(&b, "a=candidate:%d 1 tcp %d %s %d typ host tcptype passive\r\n",
					i+101, priority, a, h.tcpPort)
			}
		}
	}
	return b.String() + "a=end-of-candidates\r\n"
}
