package app

import (
	"fmt"
	"net/netip"
	"strings"
)

// Networks is a list of networks: 10.0.0.0/8,2001:db8::/32. An address alone is
// a network of its own.
type Networks []netip.Prefix

// UnmarshalText reads a list.
func (n *Networks) UnmarshalText(text []byte) error {
	*n = nil
	for s := range strings.SplitSeq(string(text), ",") {
		s = strings.TrimSpace(s)
		network, err := netip.ParsePrefix(s)
		if addr, e := netip.ParseAddr(s); e == nil {
			network, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return fmt.Errorf("%q is not a network such as 10.0.0.0/8", s)
		}
		if a := network.Addr(); a.Is4In6() && network.Bits() >= 96 {
			network = netip.PrefixFrom(a.Unmap(), network.Bits()-96) // as addresses are compared
		}
		*n = append(*n, network.Masked())
	}
	return nil
}
