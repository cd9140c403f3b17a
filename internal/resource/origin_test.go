package resource

import (
	"strings"
	"testing"
)

func TestMatchOrigin(t *testing.T) {
	for _, tt := range []struct {
		allowed, origin string
		want            bool
	}{
		{"https://example.com", "https://example.com", true},
		{"https://Example.COM", "HTTPS://example.com", true},
		{"https://example.com", "http://example.com", false},
		{"https://example.com", "https://www.example.com", false},
		{"https://example.com", "https://example.com.evil.test", false},
		{"https://example.com", "https://example.co", false},
		{"https://example.com", "https://example.com:8443", false},
		{"https://example.com:8443", "https://example.com:8443", true},
		{"https://example.com:443", "https://example.com", true},
		{"https://example.com", "https://example.com:443", true},
		{"http://example.com:80", "http://example.com", true},
		{"https://example.com", "https://example.com:80", false},
		{"http://example.com", "http://example.com:443", false},
		{"http://[::1]:80", "http://[::1]", true},
		{"http://[::1]", "http://[::1]:80", true},
		{"http://[::1]", "http://[:", false},

		{"https://*.example.com", "https://www.example.com", true},
		{"https://*.example.com", "https://a.b.EXAMPLE.com", true},
		{"https://*.example.com", "https://example.com", false},
		{"https://*.example.com", "https://.example.com", false},
		{"https://*.example.com", "https://evilexample.com", false},
		{"https://*.example.com", "https://www.example.com.evil.test", false},
		{"https://*.example.com", "http://www.example.com", false},
		{"https://*.example.com", "https://www.example.com:8443", false},
		{"https://*.example.com", "https://www.example.com:443", true},
		{"https://*.example.com:8443", "https://www.example.com:8443", true},
		{"https://*.example.com:8443", "https://www.example.com", false},
		{"https://*.example.com", "https://evil.test/.example.com", false},
		{"https://*.example.com", "https://evil.test?.example.com", false},
		{"https://*.example.com", "https://evil.test#.example.com", false},
		{"https://*.example.com", "https://evil.test:80@www.example.com", false},
		{"https://*.example.com", `https://evil.test\.example.com`, false},
		{"https://*.example.com", "https://*.example.com", false},
		{"https://*.example.com", "https://a.test https://www.example.com", false},

		{"null", "null", true},
		{"https://example.com", "null", false},
		{"*", "https://example.com", true},
		{"*", "null", true},
		{"*", "", false},
		{"", "", false},
		{"https://example.com", "", false},
	} {
		if got := MatchOrigin(tt.allowed, tt.origin); got != tt.want {
			t.Errorf("%q within %q: %t, want %t", tt.origin, tt.allowed, got, tt.want)
		}
	}
}

func TestCheckOrigin(t *testing.T) {
	for allowed, want := range map[string]bool{
		"https://example.com":                      true,
		"http://localhost:3000":                    true,
		"https://*.example.com":                    true,
		"https://*.example.com:8443":               true,
		"https://xn--bcher-kva.example":            true,
		"http://192.0.2.1:8080":                    true,
		"http://[2001:db8::1]:8080":                true,
		"capacitor://localhost":                    true,
		"chrome-extension://abcdefghijklmnop":      true,
		"null":                                     true,
		"*":                                        true,
		"":                                         false,
		"example.com":                              false,
		"*.example.com":                            false,
		"//example.com":                            false,
		"https://":                                 false,
		"https://example.com/":                     false,
		"https://example.com/path":                 false,
		"https://example.com?query":                false,
		"https://user@example.com":                 false,
		"https://example.com:":                     false,
		"https://example.com:https":                false,
		"https://*":                                false,
		"https://*example.com":                     false,
		"https://www.*.com":                        false,
		"https://*.*.com":                          false,
		"*://example.com":                          false,
		"https://.example.com":                     false,
		"https://bücher.example":                   false,
		"https://a.test,https://b.test":            false,
		"https://a.test https://b.test":            false,
		" https://example.com":                     false,
		"https://example.com\n":                    false,
		"https://example.com\x00":                  false,
		"https://" + strings.Repeat("a", 10) + ".": false,
	} {
		if err := CheckOrigin(allowed); (err == nil) != want {
			t.Errorf("%q: %v, want it allowed: %t", allowed, err, want)
		}
	}
}

// No allowed origin but the two that say so is matched by what is none, and what
// a wildcard matches belongs to its domain.
func FuzzMatchOrigin(f *testing.F) {
	f.Add("https://*.example.com", "https://www.example.com")
	f.Add("https://example.com:443", "https://example.com")
	f.Add("*", "null")
	f.Fuzz(func(t *testing.T, allowed, origin string) {
		if CheckOrigin(allowed) != nil || allowed == "*" || !MatchOrigin(allowed, origin) {
			return
		}
		if CheckOrigin(origin) != nil || strings.Contains(origin, "*") {
			t.Errorf("%q is within %q", origin, allowed)
		}
		if !MatchOrigin(origin, origin) {
			t.Errorf("%q is not within itself", origin)
		}
	})
}
