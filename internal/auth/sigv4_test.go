package auth_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/auth"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

var verifier = &auth.SigV4{
	Region:  "eu-west-1",
	Service: "ivs",
	Secret: func(id string) (string, bool) {
		secret, ok := map[string]string{"AKIDONE": "secret one", "AKIDTWO": "secret two"}[id]
		return secret, ok
	},
}

// request is what a test signs. Its zero value is a plain call.
type request struct {
	method, target, body string
	header               http.Header
	key, secret          string
	region, service      string
	at                   time.Time
	expires              string // X-Amz-Expires: signed in the query, then
}

// sign makes the request, signs it with the SDK's signer and returns its bytes
// on the wire.
func (q request) sign(t testing.TB) []byte {
	t.Helper()
	or := func(s *string, value string) {
		if *s == "" {
			*s = value
		}
	}
	or(&q.method, "POST")
	or(&q.target, "/CreateChannel")
	or(&q.key, "AKIDONE")
	or(&q.secret, "secret one")
	or(&q.region, "eu-west-1")
	or(&q.service, "ivs")
	if q.at.IsZero() {
		q.at = time.Now()
	}
	r, err := http.NewRequest(q.method, "http://localhost:7080"+q.target, strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range q.header {
		r.Header[name] = values
	}
	q.signRequest(t, r)
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		t.Fatal(err)
	}
	return wire.Bytes()
}

// signRequest signs r with the SDK's signer.
func (q request) signRequest(t testing.TB, r *http.Request) {
	t.Helper()
	who := aws.Credentials{AccessKeyID: q.key, SecretAccessKey: q.secret}
	var err error
	if q.expires == "" {
		err = v4.NewSigner().SignHTTP(context.Background(), who, r, sha256Hex(q.body), q.service, q.region, q.at)
	} else {
		r.URL.RawQuery = strings.TrimPrefix(r.URL.RawQuery+"&X-Amz-Expires="+q.expires, "&")
		var signed string
		signed, r.Header, err = v4.NewSigner().PresignHTTP(context.Background(), who, r, sha256Hex(q.body), q.service, q.region, q.at)
		if err == nil {
			r.URL, err = url.Parse(signed)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// receive reads a request off the wire as a server does.
func receive(wire []byte) (*http.Request, []byte, error) {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
	if err != nil {
		return nil, nil, err
	}
	var body bytes.Buffer
	_, err = body.ReadFrom(r.Body)
	return r, body.Bytes(), err
}

func verify(wire []byte) (string, error) {
	r, body, err := receive(wire)
	if err != nil {
		return "", err
	}
	return verifier.Verify(r, func() ([]byte, error) { return body, nil })
}

// What the SDK signs is let in, whatever the path, query, headers and body.
func TestVerifySigned(t *testing.T) {
	const arn = "/tags/arn%3Aaws%3Aivs%3Aeu-west-1%3A111122223333%3Achannel%2Fabc"
	for name, q := range map[string]request{
		"plain":              {},
		"body":               {body: `{"name":"ä"}`},
		"second key":         {key: "AKIDTWO", secret: "secret two"},
		"escaped path":       {target: arn, method: "GET"},
		"unescaped path":     {target: "/tags/arn:aws:ivs:eu-west-1:1:channel/abc"},
		"odd path":           {target: "/a%20b/%7E~*'(),;=@$&+!"},
		"query":              {target: arn + "?tagKeys=b&tagKeys=a&x&y=", method: "DELETE"},
		"query in need":      {target: arn + "?tagKeys=a%2Fb&tagKeys=a-b&tagKeys=%20+%2B&tagKeys=%C3%A4", method: "DELETE"},
		"spaces in a header": {header: http.Header{"X-Amz-Meta-A": {"  a   b  "}}},
		"several values":     {header: http.Header{"X-Amz-Meta-A": {"a", " b ", ""}, "Accept": {"x"}}},
		"content type":       {header: http.Header{"Content-Type": {"application/json"}}},
		"body hash":          {body: "{}", header: http.Header{"X-Amz-Content-Sha256": {sha256Hex("{}")}}},
		"spaces only":        {header: http.Header{"Accept": {"   "}}},
	} {
		want := cmp.Or(q.key, "AKIDONE")
		t.Run(name, func(t *testing.T) {
			if got, err := verify(q.sign(t)); got != want || err != nil {
				t.Errorf("verified as %q, %v", got, err)
			}
		})
		t.Run(name+", presigned", func(t *testing.T) {
			q.expires = "60"
			if got, err := verify(q.sign(t)); got != want || err != nil {
				t.Errorf("verified as %q, %v", got, err)
			}
		})
	}
}

// The form of a request on the wire is no part of what is signed.
func TestVerifyOnTheWire(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, err := verifier.Verify(r, func() ([]byte, error) { return body, nil })
		fmt.Fprint(w, r.Proto, " ", err)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	for _, expires := range []string{"", "60"} {
		q := request{method: "DELETE", target: "/tags/a%3Ab?tagKeys=x", body: "{}", expires: expires}

		// HTTP/2 has an :authority instead of a Host.
		r, err := http.NewRequest(q.method, server.URL+q.target, strings.NewReader(q.body))
		if err != nil {
			t.Fatal(err)
		}
		q.key, q.secret, q.region, q.service, q.at = "AKIDONE", "secret one", "eu-west-1", "ivs", time.Now()
		q.signRequest(t, r)
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		said, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if string(said) != "HTTP/2.0 <nil>" {
			t.Errorf("HTTP/2: %s", said)
		}

		// A proxy is asked for the whole URI.
		wire := bytes.Replace(q.sign(t), []byte(" /tags"), []byte(" http://localhost:7080/tags"), 1)
		if _, err := verify(wire); err != nil {
			t.Errorf("absolute form: %v\n%s", err, wire)
		}
	}
	wire := bytes.Replace(request{target: "/"}.sign(t), []byte("POST /"), []byte("POST http://localhost:7080"), 1)
	if _, err := verify(wire); err != nil {
		t.Errorf("absolute form without a path: %v\n%s", err, wire)
	}
}

// Refusals say what to do about them.
func TestVerifySays(t *testing.T) {
	for name, tt := range map[string]struct {
		request  request
		old, new string
		want     string
	}{
		"another host":   {request{}, "Host: localhost:7080", "Host: inside:8080", `came for host "inside:8080"`},
		"SigV4A":         {request{}, "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", "SigV4A"},
		"SigV4A, query":  {request{expires: "60"}, "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", "SigV4A"},
		"no temporaries": {request{header: http.Header{"X-Amz-Security-Token": {"x"}}}, "", "", "leave X-Amz-Security-Token out"},
		"host":           {request{expires: "60", header: http.Header{"Accept": {"x"}}}, "SignedHeaders=accept%3Bhost", "SignedHeaders=accept", `header "host" must be signed`},
		"terminator":     {request{}, "aws4_request", "aws5_request", "valid terminator"},
		"region":         {request{region: "us-east-1"}, "", "", `region "eu-west-1"`},
		"service":        {request{service: "ivschat"}, "", "", `service "ivs"`},
	} {
		_, err := verify(bytes.Replace(tt.request.sign(t), []byte(tt.old), []byte(tt.new), 1))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// Each way of being refused has its exception.
func TestVerifyRefuses(t *testing.T) {
	// edit changes a signed request on its way.
	edit := func(old, new string) func([]byte) []byte {
		return func(wire []byte) []byte {
			if !bytes.Contains(wire, []byte(old)) {
				panic("nothing to replace: " + old)
			}
			return bytes.Replace(wire, []byte(old), []byte(new), 1)
		}
	}
	now := time.Now().UTC()
	tests := []struct {
		name      string
		request   request
		edit      func([]byte) []byte
		exception string
	}{
		{"no header", request{}, edit("Authorization:", "Other:"), auth.MissingAuthenticationToken},
		{"two headers", request{}, edit("Host:", "Authorization: a\r\nHost:"), auth.IncompleteSignature},
		{"not readable", request{}, edit("SignedHeaders", "SomeHeaders"), auth.IncompleteSignature},
		{"no date", request{}, edit("X-Amz-Date:", "X-Amz-Hour:"), auth.IncompleteSignature},
		{"two dates", request{}, edit("X-Amz-Date:", "X-Amz-Date: 20260101T000000Z\r\nX-Amz-Date:"), auth.IncompleteSignature},
		{"odd date", request{}, edit("X-Amz-Date: 2", "X-Amz-Date: x"), auth.IncompleteSignature},
		{"unknown key", request{key: "AKIDNONE"}, nil, auth.UnrecognizedClient},
		{"wrong secret", request{secret: "secret two"}, nil, auth.InvalidSignature},
		{"other region", request{region: "us-east-1"}, nil, auth.InvalidSignature},
		{"other service", request{service: "s3"}, nil, auth.InvalidSignature},
		{"scope of another day", request{}, edit("/"+now.Format("20060102")+"/", "/20200101/"), auth.InvalidSignature},
		{"path changed", request{}, edit("/CreateChannel", "/DeleteChannel"), auth.InvalidSignature},
		{"path decoded", request{target: "/tags/a%3Ab"}, edit("a%3Ab", "a:b"), auth.InvalidSignature},
		{"query added", request{}, edit("/CreateChannel", "/CreateChannel?a"), auth.InvalidSignature},
		{"query not escaped", request{}, edit("/CreateChannel", "/CreateChannel?a=%zz"), auth.InvalidSignature},
		{"method changed", request{}, edit("POST", "PUT"), auth.InvalidSignature},
		{"host changed", request{}, edit("Host: localhost:", "Host: elsewhere:"), auth.InvalidSignature},
		{"body changed", request{body: `{"a":1}`}, edit(`{"a":1}`, `{"a":2}`), auth.InvalidSignature},
		{"signed header gone", request{header: http.Header{"Accept": {"x"}}}, edit("Accept: x\r\n", ""), auth.InvalidSignature},
		{"header doubled", request{header: http.Header{"Accept": {"x"}}}, edit("Accept: x", "Accept: x\r\nAccept: x"), auth.InvalidSignature},
		{"x-amz header added", request{}, edit("Host:", "X-Amz-Target: x\r\nHost:"), auth.InvalidSignature},
		{"body hash of another", request{header: http.Header{"X-Amz-Content-Sha256": {sha256Hex("x")}}}, nil, auth.InvalidSignature},
		{"body in chunks", request{header: http.Header{"X-Amz-Content-Sha256": {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}}}, nil, auth.InvalidSignature},
		{"session token", request{header: http.Header{"X-Amz-Security-Token": {"x"}}}, nil, auth.UnrecognizedClient},
		{"other terminator", request{}, edit("aws4_request", "aws5_request"), auth.InvalidSignature},
		{"header's tab for a space", request{header: http.Header{"Accept": {"a b"}}}, edit("a b", "a\tb"), auth.InvalidSignature},
		{"path with a dot", request{}, edit("/CreateChannel", "/./CreateChannel"), auth.InvalidSignature},
		{"SigV4A", request{}, edit("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), auth.IncompleteSignature},

		{"presigned: path changed", request{expires: "60"}, edit("/CreateChannel", "/DeleteChannel"), auth.InvalidSignature},
		{"presigned: query added", request{expires: "60"}, edit("?", "?a=b&"), auth.InvalidSignature},
		{"presigned: body added", request{expires: "60", body: "{}"}, edit("{}", "[]"), auth.InvalidSignature},
		{"presigned: expiry changed", request{expires: "60"}, edit("Expires=60", "Expires=90"), auth.InvalidSignature},
		{"presigned: signed header changed", request{expires: "60", header: http.Header{"Content-Type": {"x"}}},
			edit("Content-Type: x", "Content-Type: y"), auth.InvalidSignature},
		{"presigned: x-amz header added", request{expires: "60"}, edit("Host:", "X-Amz-Target: x\r\nHost:"), auth.InvalidSignature},
		{"presigned: host not signed", request{expires: "60", header: http.Header{"Content-Type": {"x"}}},
			edit("SignedHeaders=content-type%3Bhost", "SignedHeaders=content-type"), auth.InvalidSignature},
		{"presigned: other terminator", request{expires: "60"}, edit("aws4_request", "aws5_request"), auth.InvalidSignature},
		{"presigned: unknown key", request{expires: "60", key: "AKIDNONE"}, nil, auth.UnrecognizedClient},
		{"presigned: session token", request{expires: "60"}, edit("?", "?X-Amz-Security-Token=x&"), auth.UnrecognizedClient},
		{"presigned: body's hash of another", request{expires: "60", target: "/x?X-Amz-Content-Sha256=UNSIGNED-PAYLOAD"}, nil, auth.InvalidSignature},
		{"presigned: signed in the header, too", request{expires: "60"}, edit("Host:", "Authorization: a\r\nHost:"), auth.IncompleteSignature},
		{"a part of another in the query", request{target: "/x?X-Amz-Credential=x"}, nil, auth.IncompleteSignature},
		{"presigned: for no time", request{expires: "0"}, nil, auth.IncompleteSignature},
		{"presigned: for more than seven days", request{expires: "604801"}, nil, auth.IncompleteSignature},
		{"presigned: for a time below zero", request{expires: "-1"}, nil, auth.IncompleteSignature},
		{"presigned: for as long as it overflows", request{expires: "18446744073709551617"}, nil, auth.IncompleteSignature},
		{"presigned: for a word", request{expires: "soon"}, nil, auth.IncompleteSignature},
		{"presigned: no expiry", request{expires: "60"}, edit("X-Amz-Expires=60&", ""), auth.IncompleteSignature},
		{"presigned: two expiries", request{expires: "60"}, edit("?", "?X-Amz-Expires=60&"), auth.IncompleteSignature},
		{"presigned: two signatures", request{expires: "60"}, edit("?", "?X-Amz-Signature="+strings.Repeat("0", 64)+"&"), auth.IncompleteSignature},
		{"presigned: no date", request{expires: "60"}, edit("X-Amz-Date=", "X-Amz-Hour="), auth.IncompleteSignature},
		{"presigned: odd date", request{expires: "60"}, edit("X-Amz-Date=2", "X-Amz-Date=x"), auth.IncompleteSignature},
		{"presigned: no algorithm", request{expires: "60"}, edit("X-Amz-Algorithm=AWS4-HMAC-SHA256&", ""), auth.IncompleteSignature},
		{"presigned: SigV4A", request{expires: "60"}, edit("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), auth.IncompleteSignature},
		{"presigned: short credential", request{expires: "60"}, edit("%2Faws4_request", ""), auth.IncompleteSignature},
		{"body not signed", request{header: http.Header{"X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"}}}, nil, auth.InvalidSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wire := tt.request.sign(t)
			if tt.edit != nil {
				wire = tt.edit(wire)
			}
			id, err := verify(wire)
			var refused *auth.SignatureError
			if !errors.As(err, &refused) || refused.Exception != tt.exception || id != "" {
				t.Errorf("verified as %q, %v, want %s", id, err, tt.exception)
			}
			if err != nil && (strings.Contains(err.Error(), "secret one") || strings.Contains(err.Error(), "secret two")) {
				t.Errorf("the refusal tells a secret: %v", err)
			}
		})
	}
}

// A signature is good for 15 minutes before and after its time.
func TestVerifySkew(t *testing.T) {
	for _, tt := range []struct {
		age time.Duration
		ok  bool
	}{
		{0, true}, {15 * time.Minute, true}, {15*time.Minute + time.Second, false},
		{-15 * time.Minute, true}, {-15*time.Minute - time.Second, false},
		{24 * time.Hour, false}, {-24 * time.Hour, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, err := verify(request{at: time.Now().Add(-tt.age)}.sign(t))
			if (err == nil) != tt.ok {
				t.Errorf("%v old: %v", tt.age, err)
			}
		})
	}
}

// A presigned request is good until it expires.
func TestVerifyExpires(t *testing.T) {
	for _, tt := range []struct {
		expires string
		age     time.Duration
		ok      bool
	}{
		{"60", 0, true}, {"60", time.Minute, true}, {"60", time.Minute + time.Second, false},
		{"604800", 7 * 24 * time.Hour, true}, {"604800", 7*24*time.Hour + time.Second, false},
		{"604800", -15 * time.Minute, true}, {"604800", -15*time.Minute - time.Second, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, err := verify(request{at: time.Now().Add(-tt.age), expires: tt.expires}.sign(t))
			if (err == nil) != tt.ok {
				t.Errorf("for %s s, %v old: %v", tt.expires, tt.age, err)
			}
		})
	}
}

// No bit of what was signed can be turned.
func TestVerifyTurnedBits(t *testing.T) {
	for _, expires := range []string{"", "600"} {
		wire := request{
			method: "DELETE", target: "/tags/a%3Ab%2Fc?tagKeys=x&tagKeys=y", body: `{"a":1}`,
			header: http.Header{"X-Amz-Meta-A": {"a b"}}, expires: expires,
		}.sign(t)
		if _, err := verify(wire); err != nil {
			t.Fatal(err)
		}
		want := meaning(t, wire)
		for i := range len(wire) * 8 {
			turned := slices.Clone(wire)
			turned[i/8] ^= 1 << (i % 8)
			if _, err := verify(turned); err == nil && meaning(t, turned) != want {
				t.Errorf("let in with bit %d of byte %d turned:\n%s", i%8, i/8, turned)
			}
		}
	}
}

// meaning is all of a request that a server acts on. Not signed, and without
// a meaning here, are the protocol version and User-Agent.
func meaning(t *testing.T, wire []byte) string {
	r, body, err := receive(wire)
	if err != nil {
		t.Fatal(err)
	}
	// The order in which parameters of one name stand is not signed.
	query := r.URL.Query()
	for _, values := range query {
		slices.Sort(values)
	}
	return fmt.Sprintf("%q", []string{r.Method, r.URL.Path, query.Encode(), r.Host, r.Header.Get("Authorization"),
		strings.Join(r.Header["X-Amz-Date"], ","), strings.Join(r.Header["X-Amz-Meta-A"], ","), string(body)})
}

// FuzzVerify signs odd requests with the SDK, which must be let in, and changes
// a byte on their way, which must not.
func FuzzVerify(f *testing.F) {
	f.Add("DELETE", "/tags/arn:aws:ivs:eu-west-1:111122223333:channel/abc", "tagKeys=a/b&tagKeys=a-b", "", []byte("{}"), uint(3), byte(1), false)
	f.Add("DELETE", "/tags/arn:aws:ivs:eu-west-1:111122223333:channel/abc", "tagKeys=a/b&tagKeys=a-b", "", []byte("{}"), uint(3), byte(1), true)
	f.Add("POST", "/a b%2F+?#", "=&&%20=+", " a  b ", []byte(nil), uint(100), byte(0x20), false)
	f.Add("GET", "/ä\x00\xff/../.", "%C3%A4=%00&+", "a\tb", []byte("\x00"), uint(2000), byte(0xff), true)
	f.Add("POST", "//x/./y//", "0=0&0=%80&%80=0&0=0", "0", []byte("0"), uint(46), byte(3), false) // in another order once escaped
	f.Add("POST", "/", "A=1&a=1&A-=1&A_=1", "é", []byte("{}"), uint(20), byte(0x20), true)
	f.Fuzz(func(t *testing.T, method, path, query, value string, body []byte, at uint, turn byte, presigned bool) {
		if !slices.Contains([]string{"GET", "POST", "DELETE", "PUT"}, method) || turn == 0 {
			return
		}
		// What HTTP would not carry as it is: spaces at the edges are for the
		// signer to leave out, other white space is not.
		if strings.Trim(value, " ") != strings.TrimSpace(value) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return
		}
		q := request{method: method, target: (&url.URL{Path: "/" + path}).EscapedPath(), body: string(body), header: http.Header{"X-Amz-Meta-A": {value}}}
		if values, err := url.ParseQuery(query); err != nil || query != "" && len(values) == 0 || strings.ContainsFunc(query, func(r rune) bool {
			return r <= ' ' || r >= 0x7f || r == '#' // no URI has these
		}) || strings.Contains(query, "X-Amz-") {
			return
		}
		if query != "" {
			q.target += "?" + query
		}
		if presigned {
			q.expires = "600"
		}
		wire := q.sign(t)
		if id, err := verify(wire); id != "AKIDONE" || err != nil {
			t.Fatalf("refused: %v\n%q", err, wire)
		}
		want := meaning(t, wire)
		wire[at%uint(len(wire))] ^= turn
		if _, err := verify(wire); err == nil && meaning(t, wire) != want {
			t.Fatalf("let in with byte %d turned:\n%q", at%uint(len(wire)), wire)
		}
	})
}

// Nobody's body is read whose key is not known.
func TestVerifyStrangers(t *testing.T) {
	for _, header := range []string{"", "AWS4-HMAC-SHA256 Credential=WHO/20260301/eu-west-1/ivs/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("0", 64)} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("X-Amz-Date", "20260301T000000Z")
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		_, err := verifier.Verify(r, func() ([]byte, error) { t.Error("the body was read"); return nil, nil })
		if err == nil {
			t.Errorf("let in with %q", header)
		}
	}
}
