package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"anabranch/internal/auth"
	"anabranch/internal/resource"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// fixture is a server with one operation, which does what a test wants.
type fixture struct {
	t *testing.T
	*httptest.Server
	log bytes.Buffer
	// do is the operation.
	do func(context.Context, *input) (*output, error)
}

type input struct {
	Name string `json:"name" shape:"Name"`
	ARN  string `json:"resourceArn" shape:"Any"`
}

type labelled struct {
	ARN  string   `json:"resourceArn" shape:"Any,path"`
	Keys []string `json:"tagKeys" shape:"Anys,query"`
}

type output struct {
	Said string `json:"said"`
}

var sing = NewOperation("Sing", http.StatusOK, func(context.Context, *struct{}) (*output, error) { return nil, NotImplemented("Sing") })

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, do: func(context.Context, *input) (*output, error) { return &output{}, nil }}
	handler := New(Config{
		Signatures: &auth.SigV4{Region: "eu-west-1", Service: "ivs", Secret: func(id string) (string, bool) {
			return "a secret", id == "AKID"
		}},
		Log: slog.New(slog.NewTextHandler(&f.log, nil)),
		Services: []Service{{
			Shapes: Shapes{"Name": {Max: 5}, "Any": {Max: 1000}, "Anys": {Max: 10, Of: "Any"}},
			Operations: []Operation{
				NewOperation("Say", http.StatusOK, func(ctx context.Context, in *input) (*output, error) { return f.do(ctx, in) }),
				NewOperation("Forget", http.StatusNoContent, func(ctx context.Context, in *input) (*output, error) { return f.do(ctx, in) }),
				NewOperation("Label", http.StatusOK, func(_ context.Context, in *labelled) (*output, error) {
					return &output{in.ARN + " " + strings.Join(in.Keys, ",")}, nil
				}).At(http.MethodDelete, "/tags/{resourceArn}"),
				NewOperation("Hurry", http.StatusOK, func(context.Context, *input) (*output, error) { return &output{}, nil }),
				sing,
			},
		}},
		Rates: map[string]int{"Hurry": 1},
	})
	f.Server = httptest.NewServer(handler)
	t.Cleanup(f.Close)
	return f
}

// logged ends the server and returns all that it logged.
func (f *fixture) logged() string {
	f.Close()
	return f.log.String()
}

// answer is what came back.
type answer struct {
	*http.Response
	body string
}

// request makes one that is not signed.
func (f *fixture) request(method, target, body string) *http.Request {
	f.t.Helper()
	r, err := http.NewRequest(method, f.URL+target, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// call sends a signed request.
func (f *fixture) call(method, target, body string) answer {
	f.t.Helper()
	r := f.request(method, target, body)
	hash := sha256.Sum256([]byte(body))
	err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "a secret"},
		r, hex.EncodeToString(hash[:]), "ivs", "eu-west-1", time.Now())
	if err != nil {
		f.t.Fatal(err)
	}
	return f.send(r)
}

func (f *fixture) send(r *http.Request) answer {
	f.t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer{resp, string(body)}
}

// failed checks that a is an error as clients expect it.
func (f *fixture) failed(a answer, status int, exception, text string) {
	f.t.Helper()
	var told struct{ ExceptionMessage, Message string }
	if err := json.Unmarshal([]byte(a.body), &told); err != nil {
		f.t.Errorf("body %q: %v", a.body, err)
	}
	if a.StatusCode != status || a.Header.Get("x-amzn-ErrorType") != exception ||
		!strings.Contains(told.Message, text) || told.Message != told.ExceptionMessage {
		f.t.Errorf("answered %d %s %s, want %d %s with %q", a.StatusCode, a.Header.Get("x-amzn-ErrorType"), a.body, status, exception, text)
	}
	f.headers(a)
}

// headers checks what every answer carries: the id of its request, and the seven
// headers of the API's reference.
func (f *fixture) headers(a answer) {
	f.t.Helper()
	if id := a.Header["X-Amzn-Requestid"]; len(id) != 1 || len(id[0]) < 16 {
		f.t.Errorf("x-amzn-RequestId: %q", id)
	}
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin":   "*",
		"Access-Control-Expose-Headers": "x-amzn-RequestId, x-amzn-ErrorType",
		"Cache-Control":                 "no-store",
		"Content-Security-Policy":       "default-src 'none'",
		"Strict-Transport-Security":     "max-age=31536000",
		"X-Content-Type-Options":        "nosniff",
		"X-Frame-Options":               "DENY",
	} {
		if got := a.Header[name]; len(got) != 1 || got[0] != want {
			f.t.Errorf("%s %s, answered %d: header %s is %q", a.Request.Method, a.Request.URL, a.StatusCode, name, got)
		}
	}
}

// No answer is without them, whoever asks and whatever goes wrong.
func TestHeaders(t *testing.T) {
	f := newFixture(t)
	f.do = func(_ context.Context, in *input) (*output, error) {
		if in.Name == "fall" {
			panic("fallen")
		}
		return &output{}, nil
	}
	seen := make(map[int]bool)
	for _, a := range []answer{
		f.call("POST", "/Say", "{}"), f.call("POST", "/Forget", "{}"), f.call("POST", "/Say", "{"), f.call("POST", "/Say", `{"name":"fall"}`),
		f.call("POST", "/Say", strings.Repeat(" ", maxBody+1)), f.call("POST", "/Say?"+strings.Repeat("x", maxURI), "{}"),
		f.call("POST", "/Sing", "{}"), f.call("POST", "/Hurry", "{}"), f.call("POST", "/Hurry", "{}"), f.call("GET", "/", ""), f.call("HEAD", "/Say", ""),
		f.send(f.request("POST", "/Say", "{}")), f.send(f.request("OPTIONS", "/Say", "")), f.send(f.request("OPTIONS", "/nothing", "")),
	} {
		f.headers(a)
		seen[a.StatusCode] = true
	}
	for _, status := range []int{200, 204, 400, 403, 404, 413, 414, 429, 500, 501} {
		if !seen[status] {
			t.Errorf("no answer was %d", status)
		}
	}
}

// A call may be signed in its query as well.
func TestPresignedCall(t *testing.T) {
	f := newFixture(t)
	f.do = func(_ context.Context, in *input) (*output, error) { return &output{in.Name}, nil }
	const body = `{"name":"words"}`
	hash := sha256.Sum256([]byte(body))
	r := f.request("POST", "/Say?X-Amz-Expires=60", body)
	signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "a secret"},
		r, hex.EncodeToString(hash[:]), "ivs", "eu-west-1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if r.URL, err = url.Parse(signed); err != nil {
		t.Fatal(err)
	}
	if a := f.send(r); a.StatusCode != 200 || a.body != `{"said":"words"}`+"\n" {
		t.Errorf("answered %d %s", a.StatusCode, a.body)
	}
	f.failed(f.send(f.request("POST", strings.TrimPrefix(signed, f.URL), "{}")), 403, "InvalidSignatureException", "does not match")
	if log := f.logged(); strings.Contains(log, "X-Amz-Signature") {
		t.Errorf("the log has a signature: %s", log)
	}
	library := newLibrary(t, 0) // where nobody has to sign
	library.failed(library.unsigned("/v1/books?X-Amz-Signature=x"), 403, "IncompleteSignatureException", "X-Amz-Algorithm")
}

func TestCall(t *testing.T) {
	f := newFixture(t)
	f.do = func(_ context.Context, in *input) (*output, error) { return &output{in.Name + " <&>"}, nil }
	a := f.call("POST", "/Say", `{"name":"words"}`)
	if a.StatusCode != 200 || a.body != `{"said":"words <&>"}`+"\n" || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("answered %d %v %q", a.StatusCode, a.Header, a.body)
	}
	f.headers(a)

	a = f.call("POST", "/Forget", "")
	if a.StatusCode != 204 || a.body != "" || a.Header.Get("Content-Type") != "" {
		t.Errorf("answered %d %v %q", a.StatusCode, a.Header, a.body)
	}
	f.headers(a)

	// A label and a query arrive as they were meant.
	for _, target := range []string{"/tags/arn%3Aa%2Fb?tagKeys=%2B&tagKeys=x%20y", "/tags/arn:a/b?tagKeys=%2B&tagKeys=x+y"} {
		if a := f.call("DELETE", target, ""); a.body != `{"said":"arn:a/b +,x y"}`+"\n" {
			t.Errorf("%s answered %d %q", target, a.StatusCode, a.body)
		}
	}
}

func TestTransportErrors(t *testing.T) {
	f := newFixture(t)
	f.do = func(context.Context, *input) (*output, error) {
		t.Error("called")
		return &output{}, nil
	}
	f.failed(f.call("POST", "/Say", `{"name":"longer"}`), 400, "ValidationException", "name: length must be at most 5 characters")
	f.failed(f.call("POST", "/Say", strings.Repeat(" ", maxBody+1)), 413, "ValidationException", "1 MiB")
	f.failed(f.call("POST", "/Sing", ""), 501, "NotImplementedException", "Sing is not implemented")
	for _, where := range [][2]string{{"POST", "/say"}, {"GET", "/Say"}, {"POST", "/"}, {"POST", "/Say/"}, {"POST", "/tags/x"}, {"DELETE", "/tags"}} {
		f.failed(f.call(where[0], where[1], ""), 404, "UnknownOperationException", "no operation")
	}

	unsigned := func(path string) answer { return f.send(f.request("POST", path, "{}")) }
	f.failed(unsigned("/Say"), 403, "MissingAuthenticationTokenException", "Missing")
	f.failed(unsigned("/Sing"), 403, "MissingAuthenticationTokenException", "Missing")
	f.failed(unsigned("/Nothing"), 404, "UnknownOperationException", "no operation")
}

// Every kind of error has its status and exception.
func TestErrors(t *testing.T) {
	f := newFixture(t)
	for _, tt := range []struct {
		kind      resource.Kind
		status    int
		exception string
	}{
		{resource.Invalid, 400, "ValidationException"},
		{resource.AccessDenied, 403, "AccessDeniedException"},
		{resource.NotFound, 404, "ResourceNotFoundException"},
		{resource.NotBroadcasting, 404, "ChannelNotBroadcasting"},
		{resource.Conflict, 409, "ConflictException"},
		{resource.QuotaExceeded, 402, "ServiceQuotaExceededException"},
		{resource.Throttled, 429, "ThrottlingException"},
		{resource.StreamUnavailable, 503, "StreamUnavailable"},
		{resource.ServiceUnavailable, 503, "ServiceUnavailable"},
	} {
		f.do = func(context.Context, *input) (*output, error) {
			return nil, fmt.Errorf("behind the scenes: %w", resource.Errorf(tt.kind, "for you"))
		}
		a := f.call("POST", "/Say", "")
		f.failed(a, tt.status, tt.exception, "for you")
		if strings.Contains(a.body, "scenes") {
			t.Errorf("told %s", a.body)
		}
	}
}

// An error of no kind, and a panic, are logged and not told.
func TestInternalErrors(t *testing.T) {
	for name, do := range map[string]func(context.Context, *input) (*output, error){
		"error": func(context.Context, *input) (*output, error) { return nil, errors.New("disk of glass") },
		"internal": func(context.Context, *input) (*output, error) {
			return nil, resource.Errorf(resource.Internal, "disk of glass")
		},
		"new kind": func(context.Context, *input) (*output, error) { return nil, resource.Errorf(99, "disk of glass") },
		"panic":    func(context.Context, *input) (*output, error) { panic("disk of glass") },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.do = do
			a := f.call("POST", "/Say", "")
			f.failed(a, 500, "InternalServerException", a.Header.Get("x-amzn-RequestId"))
			if strings.Contains(a.body, "glass") {
				t.Errorf("told %s", a.body)
			}
			f.do = func(context.Context, *input) (*output, error) { return &output{"alive"}, nil }
			if a := f.call("POST", "/Say", ""); a.StatusCode != 200 {
				t.Errorf("afterwards %d %s", a.StatusCode, a.body)
			}
			if log := f.logged(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "disk of glass") ||
				!strings.Contains(log, a.Header.Get("x-amzn-RequestId")) {
				t.Errorf("logged %s", log)
			}
		})
	}
}

// A call is one line of the log, without what it carried.
func TestLog(t *testing.T) {
	f := newFixture(t)
	f.do = func(context.Context, *input) (*output, error) { return &output{"whisper"}, nil }
	a := f.call("POST", "/Say", `{"name":"psst"}`)
	log := f.logged()
	for _, want := range []string{"level=INFO", "operation=Say", "status=200", "took=", "request=" + a.Header.Get("x-amzn-RequestId"), "accessKey=AKID"} {
		if !strings.Contains(log, want) {
			t.Errorf("no %s in %s", want, log)
		}
	}
	if strings.Count(log, "\n") != 1 || strings.Contains(log, "psst") || strings.Contains(log, "whisper") || strings.Contains(log, "a secret") {
		t.Errorf("logged %s", log)
	}
}

// Browsers may call from any page.
func TestPreflight(t *testing.T) {
	f := newFixture(t)
	r := f.request("OPTIONS", "/Say", "")
	r.Header.Set("Origin", "https://example.com")
	r.Header.Set("Access-Control-Request-Method", "POST")
	r.Header.Set("Access-Control-Request-Headers", "authorization,content-type,x-amz-date")
	a := f.send(r)
	if a.StatusCode != 204 || a.Header.Get("Access-Control-Allow-Origin") != "*" ||
		!strings.Contains(a.Header.Get("Access-Control-Allow-Methods"), "POST") ||
		!strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Errorf("answered %d %v", a.StatusCode, a.Header)
	}
	f.headers(a)
}

func TestTwoOperationsAtOnePath(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	New(Config{Services: []Service{{Operations: []Operation{sing, sing}}}})
}
