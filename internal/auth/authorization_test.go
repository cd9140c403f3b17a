package auth

import (
	"reflect"
	"strings"
	"testing"
)

var headers = []struct {
	name, header string
	ok           bool
}{
	{"as SDKs write it", good, true},
	{"without spaces", strings.ReplaceAll(good, ", ", ","), true},
	{"with more spaces", strings.ReplaceAll(good, ", ", "  ,   "), true},
	{"in another order", algorithm + " Signature=" + digits + ",SignedHeaders=host,Credential=a/20260301/r/s/aws4_request", true},
	{"empty", "", false},
	{"scheme only", algorithm, false},
	{"another scheme", "Bearer abc", false},
	{"another algorithm", strings.Replace(good, "SHA256", "SHA512", 1), false},
	{"no credential", algorithm + " SignedHeaders=host, Signature=" + digits, false},
	{"no signed headers", algorithm + " Credential=a/20260301/r/s/aws4_request, Signature=" + digits, false},
	{"empty signed headers", strings.Replace(good, "content-type;host;x-amz-date", "", 1), false},
	{"no signature", algorithm + " Credential=a/20260301/r/s/aws4_request, SignedHeaders=host", false},
	{"one too many", good + ", A=b", false},
	{"one twice", good + ", SignedHeaders=host", false},
	{"no value", good + ", A", false},
	{"trailing comma", good + ",", false},
	{"short credential", strings.Replace(good, "/ivs", "", 1), false},
	{"long credential", strings.Replace(good, "/ivs", "/ivs/x", 1), false},
	{"other terminator", strings.Replace(good, "aws4_request", "aws5_request", 1), true}, // refused with the scope
	{"SigV4A", strings.Replace(good, algorithm, "AWS4-ECDSA-P256-SHA256", 1), false},
	{"odd date", strings.Replace(good, "20260301", "2026-3-1", 1), false},
	{"no access key", strings.Replace(good, "AKID", "", 1), false},
	{"long access key", strings.Replace(good, "AKID", strings.Repeat("A", 129), 1), false},
	{"upper-case header name", strings.Replace(good, ";host", ";Host", 1), false},
	{"header names not in order", strings.Replace(good, "content-type;host", "host;content-type", 1), false},
	{"header name twice", strings.Replace(good, ";host", ";host;host", 1), false},
	{"empty header name", strings.Replace(good, ";host", ";;host", 1), false},
	{"short signature", good[:len(good)-1], false},
	{"long signature", good + "0", false},
	{"upper-case signature", strings.Replace(good, digits, strings.ToUpper(digits), 1), false},
	{"longer than any", good + strings.Repeat(" ", maxAuthorization), false},
}

const (
	digits = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	good   = algorithm + " Credential=AKID/20260301/us-east-1/ivs/aws4_request, " +
		"SignedHeaders=content-type;host;x-amz-date, Signature=" + digits
)

func TestParseAuthorization(t *testing.T) {
	for _, tt := range headers {
		if _, err := parseAuthorization(tt.header); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	got, err := parseAuthorization(good)
	want := &signature{
		accessKeyID: "AKID", date: "20260301", region: "us-east-1", service: "ivs", terminator: "aws4_request",
		signedHeaders: []string{"content-type", "host", "x-amz-date"}, hex: digits,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// What is accepted can be written back and means the same.
func FuzzParseAuthorization(f *testing.F) {
	for _, tt := range headers {
		f.Add(tt.header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		s, err := parseAuthorization(header)
		if err != nil {
			return
		}
		again, err := parseAuthorization(algorithm + " Credential=" + s.accessKeyID + "/" + s.scope() +
			", SignedHeaders=" + strings.Join(s.signedHeaders, ";") + ", Signature=" + s.hex)
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Errorf("%q became %+v, then %+v, %v", header, s, again, err)
		}
	})
}
