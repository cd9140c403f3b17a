package auth

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

func TestCanonicalHeaders(t *testing.T) {
	r := &http.Request{Host: "example.com", ContentLength: 5, Header: http.Header{
		"X-Spaces": {"  a   b  c "}, "X-Tab": {"a\t\tb"}, "X-Nothing": {"   "}, "X-List": {"b", " a ", ""},
	}}
	got, err := canonicalHeaders(r, []string{"content-length", "host", "x-list", "x-nothing", "x-spaces", "x-tab"})
	const want = "content-length:5\nhost:example.com\nx-list:b,a,\nx-nothing:\nx-spaces:a b c\nx-tab:a\t\tb\n"
	if got != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, err := canonicalHeaders(r, []string{"x-other"}); err == nil {
		t.Error("a header that is not there is taken")
	}
}

func TestCanonicalQueries(t *testing.T) {
	for raw, want := range map[string][]string{
		"":                          {""},
		"b=2&a=1&a=0":               {"a=0&a=1&b=2", "b=2&a=1&a=0"},
		"a&b=":                      {"a=&b="},
		"&&a=1&":                    {"a=1"},
		"a=x+y%20z%2b/~*":           {"a=x%20y%20z%2B%2F~%2A"},
		"a-=2&a/=1":                 {"a%2F=1&a-=2", "a-=2&a%2F=1"}, // in order before they are escaped
		"X-Amz-Signature=f&X-Amz=1": {"X-Amz=1"},
		"X%2DAmz-Signature=f":       {""},
	} {
		if got := canonicalQueries(raw); len(got) != len(want) || !slices.Contains(got, want[0]) || !slices.Contains(got, want[len(want)-1]) {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
}

func TestCanonicalPath(t *testing.T) {
	for target, want := range map[string]string{
		"/":                   "/",
		"/tags/arn%3Aa%2Fb":   "/tags/arn%253Aa%252Fb",
		"/tags/arn:a/b":       "/tags/arn%3Aa/b",
		"//a/./b/../c/":       "//a/./b/../c/",
		"http://host":         "/",
		"http://host/a%20b?c": "/a%2520b",
	} {
		if got := canonicalPath(httptest.NewRequest("GET", target, nil)); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}
