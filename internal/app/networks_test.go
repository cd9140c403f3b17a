package app

import (
	"fmt"
	"testing"
)

func TestNetworks(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/8":                           "[10.0.0.0/8]",
		"10.1.2.3/8, 2001:db8::1/32":           "[10.0.0.0/8 2001:db8::/32]",
		"192.0.2.1,::1":                        "[192.0.2.1/32 ::1/128]",
		"":                                     "",
		"10.0.0.0/8,":                          "",
		"10.0.0.0/33":                          "",
		"10.0.0/8":                             "",
		"proxy.example.com":                    "",
		"fe80::1%eth0":                         "[fe80::1/128]",
		"::ffff:10.0.0.0/104,::ffff:192.0.2.1": "[10.0.0.0/8 192.0.2.1/32]",
		"10.0.0.0/8;11.0.0.0/8 12.0.0.0/8 ":    "",
	} {
		var n Networks
		err := n.UnmarshalText([]byte(text))
		if (err == nil) != (want != "") || err == nil && fmt.Sprint(n) != want {
			t.Errorf("%q: %v %v, want %q", text, n, err, want)
		}
	}
}
