package resource

import (
	"fmt"
	"regexp"
	"strings"
)

// MatchOrigin says whether an Origin header (RFC 6454 section 7) is within an
// allowed origin, which is one of
//
//	https://example.com    this origin
//	https://*.example.com  every subdomain of example.com, at any depth, but not itself
//	null                   an opaque origin
//	*                      every origin
//
// Case does not matter, nor whether a port that the scheme implies is told. An
// empty origin is none, and within nothing.
func MatchOrigin(allowed, origin string) bool {
	if allowed == "*" {
		return origin != ""
	}
	allowed, origin = withoutDefaultPort(allowed), withoutDefaultPort(origin)
	scheme, parent, wild := strings.Cut(allowed, "*")
	if !wild {
		return origin != "" && strings.EqualFold(origin, allowed)
	}
	// A header may be anything: what is no origin could end like one.
	n, m := len(scheme), len(origin)-len(parent)
	return m > n && strings.EqualFold(origin[:n], scheme) && strings.EqualFold(origin[m:], parent) &&
		!strings.Contains(origin, "*") && allowedOrigin.MatchString(origin)
}

func withoutDefaultPort(origin string) string {
	switch scheme, _, _ := strings.Cut(origin, ":"); strings.ToLower(scheme) {
	case "http":
		return strings.TrimSuffix(origin, ":80")
	case "https":
		return strings.TrimSuffix(origin, ":443")
	}
	return origin
}

// allowedOrigin is scheme, host and port as a browser tells them: an
// internationalized host in its ASCII form, and nothing behind the port.
var allowedOrigin = regexp.MustCompile(
	`^[A-Za-z][A-Za-z0-9+.-]*://((\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)

// CheckOrigin says what is wrong with an allowed origin; see [MatchOrigin].
func CheckOrigin(allowed string) error {
	if allowed == "*" || allowed == "null" || allowedOrigin.MatchString(allowed) {
		return nil
	}
	return fmt.Errorf("%.140q is not an origin, such as https://example.com or https://*.example.com", allowed)
}
