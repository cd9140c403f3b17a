package playback

import (
	"strings"
	"testing"
)

func TestCoding(t *testing.T) {
	for field, want := range map[string]string{
		"":                                  "",
		"gzip":                              "gzip",
		"GZip":                              "gzip",
		"gzip, deflate, br, zstd":           "br",
		"br;q=0.5, gzip":                    "gzip",
		"br;q=0.5,gzip;q=0.5":               "br",
		"gzip;q=0":                          "",
		"gzip; q=0.000":                     "",
		"gzip ; Q=0.001":                    "gzip",
		"gzip;q=0.5, identity":              "",
		"gzip;q=0.5, identity;q=0.5":        "gzip",
		"gzip;q=0.2, identity;q=0.5, br":    "br",
		"identity;q=0, deflate":             "",
		"br;q=0, deflate, gzip;q=1.0, *":    "gzip",
		"*":                                 "",
		"xgzip, brr":                        "",
		"gzip;q=x":                          "",
		"gzip;q=":                           "",
		"gzip;q=2":                          "",
		"gzip;q=-1":                         "",
		"gzip;q=NaN, br;q=Inf":              "",
		",, ;q=1,gzip,":                     "gzip",
		"deflate\x00field of its own\x00br": "br",
	} {
		fields := strings.Split(field, "\x00")
		c, name := coding(fields)
		got := ""
		for _, known := range codings {
			if known.coding == c {
				got = known.name[0]
			}
		}
		if got != want || (name == nil) != (want == "") || name != nil && name[0] != want {
			t.Errorf("%q: %q and %q, want %q", fields, got, name, want)
		}
	}
}
