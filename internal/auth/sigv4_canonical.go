package auth

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// canonicalPath is the path as it was sent, escaped once more: only S3 does
// not. It is not brought into the normal form of RFC 3986 §6, for what is
// called is decided by the path as it is. No operation's has empty or dot
// segments.
func canonicalPath(r *http.Request) string {
	return escape(cmp.Or(r.URL.EscapedPath(), "/"), '/')
}

// canonicalHeaders has a line for each signed header; several values of one
// are joined, and runs of spaces become one.
func canonicalHeaders(r *http.Request, signed []string) (string, error) {
	var b strings.Builder
	for _, name := range signed {
		values := r.Header[http.CanonicalHeaderKey(name)]
		switch {
		case name == "host": // net/http takes it out of the headers
			values = []string{r.Host}
		case name == "content-length" && len(values) == 0 && r.ContentLength >= 0:
			values = []string{strconv.FormatInt(r.ContentLength, 10)}
		case len(values) == 0:
			return "", refuse(InvalidSignature, "header %q is signed but was not sent", name)
		}
		b.WriteString(name)
		for i, value := range values {
			b.WriteByte(":,"[min(i, 1)])
			writeTrimmed(&b, value)
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// writeTrimmed writes a header's value without the spaces around it, and one
// for each run of them.
func writeTrimmed(b *strings.Builder, value string) {
	value = strings.Trim(value, " ")
	for i := range len(value) {
		if value[i] != ' ' || value[i-1] != ' ' { // the first is none
			b.WriteByte(value[i])
		}
	}
}

// canonicalQueries are the forms in which a query may have been signed, all
// of it but the signature itself: its pairs are ordered by name and value once
// they are escaped, but some SDKs order them before, and send them so. What
// raw cannot mean is left out; such a query is refused before.
func canonicalQueries(raw string) []string {
	type pair struct{ name, value string }
	var pairs []pair
	for part := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(part, "=")
		name, nameErr := url.QueryUnescape(name)
		value, valueErr := url.QueryUnescape(value)
		if part != "" && nameErr == nil && valueErr == nil && name != "X-Amz-Signature" {
			pairs = append(pairs, pair{escape(name, 0), escape(value, 0)})
		}
	}
	join := func() string {
		var b strings.Builder
		for i, p := range pairs {
			if i > 0 {
				b.WriteByte('&')
			}
			b.WriteString(p.name + "=" + p.value)
		}
		return b.String()
	}
	asSent := join()
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
	return slices.Compact([]string{join(), asSent})
}

// escape writes every byte as %XX but RFC 3986's unreserved characters and
// keep.
func escape(s string, keep byte) string {
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+16)
	for _, c := range []byte(s) {
		if isAlphanumeric(c) || strings.IndexByte("-._~", c) >= 0 || c == keep && keep != 0 {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}
