package auth_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
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
	hash := sha256.Sum256([]byte(q.body))
	err = v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: q.key, SecretAccessKey: q.secret},
		r, hex.EncodeToString(hash[:]), q.service, q.region, q.at)
	if err != nil {
		t.Fatal(err)
	}
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		t.Fatal(err)
	}
	return wire.Bytes()
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
	return verifier.Verify(r, body)
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
		"session token":      {header: http.Header{"X-Amz-Security-Token": {"abc"}}},
	} {
		t.Run(name, func(t *testing.T) {
			want := q.key
			if want == "" {
				want = "AKIDONE"
			}
			if got, err := verify(q.sign(t)); got != want || err != nil {
				t.Errorf("verified as %q, %v", got, err)
			}
		})
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

// No bit of what was signed can be turned.
func TestVerifyTurnedBits(t *testing.T) {
	wire := request{
		method: "DELETE", target: "/tags/a%3Ab%2Fc?tagKeys=x&tagKeys=y", body: `{"a":1}`,
		header: http.Header{"X-Amz-Meta-A": {"a b"}},
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

// meaning is all of a request that a server acts on. Not signed, and without
// a meaning here, are the protocol version and User-Agent.
func meaning(t *testing.T, wire []byte) string {
	r, body, err := receive(wire)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join([]string{r.Method, r.URL.EscapedPath(), r.URL.Query().Encode(), r.Host,
		r.Header.Get("X-Amz-Date"), r.Header.Get("X-Amz-Meta-A"), r.Header.Get("Authorization"), string(body)}, "\n")
}

// FuzzVerify signs requests and turns a bit in them.
func FuzzVerify(f *testing.F) {
	f.Add("arn:aws:ivs:eu-west-1:111122223333:channel/abc", "a/b", "a-b", []byte("{}"), uint(3))
	f.Add("a b%2F+?#", "", " ", []byte(nil), uint(100))
	f.Add("ä\x00\xff/../.", "=&;+", "%", []byte("\x00"), uint(2000))
	f.Add("0", "0", "\x80", []byte("0"), uint(46)) // in another order once escaped
	f.Fuzz(func(t *testing.T, label, first, second string, body []byte, bit uint) {
		query := url.Values{"tagKeys": {first, second}, first: {second}}
		q := request{method: "DELETE", body: string(body),
			target: "/tags/" + strings.ReplaceAll(url.QueryEscape(label), "+", "%20") + "?" + query.Encode()}
		wire := q.sign(t)
		if id, err := verify(wire); id != "AKIDONE" || err != nil {
			t.Fatalf("refused: %v\n%s", err, wire)
		}
		// The signature is what the header ends with.
		end := bytes.Index(wire, []byte("Signature="))
		i := end + len("Signature=") + int(bit%64)
		wire[i] ^= 1 << (bit / 64 % 8)
		if _, err := verify(wire); err == nil {
			t.Fatalf("let in with byte %d turned:\n%s", i, wire)
		}
	})
}
