// Package apitest is what the tests of all services of the API share: a server
// over HTTP, every constraint of a service broken by itself, its operations held
// against the model that the AWS CLI brings, and lists read page by page.
package apitest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch/internal/api"
	"anabranch/internal/auth"
	"anabranch/internal/resource"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
)

// Place is where the resources of the tests live.
var Place = resource.Place{Region: "eu-west-1", Account: "111122223333"}

// Credentials are those that a [Server] takes.
var Credentials = aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}

// Server is an API server, and a client to it that checks nothing by itself, as
// the SDKs do.
type Server struct {
	*testing.T
	URL string
}

// NewServer starts a server of services; it ends with the test.
func NewServer(t *testing.T, services ...api.Service) *Server {
	t.Helper()
	server := httptest.NewServer(api.New(api.Config{
		Signatures: &auth.SigV4{Region: Place.Region, Service: "ivs", Secret: func(id string) (string, bool) {
			return Credentials.SecretAccessKey, id == Credentials.AccessKeyID
		}},
		Log: slog.New(slog.DiscardHandler), Services: services,
	}))
	t.Cleanup(server.Close)
	return &Server{t, server.URL}
}

// Post calls an operation.
func (s *Server) Post(operation, body string) (status int, exception string, answer map[string]any) {
	s.Helper()
	return s.Send("POST", "/"+operation, body)
}

// Send sends any signed request. No answer may have a null anywhere.
func (s *Server) Send(method, target, body string) (status int, exception string, answer map[string]any) {
	s.Helper()
	r, err := http.NewRequest(method, s.URL+target, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	hash := sha256.Sum256([]byte(body))
	err = v4.NewSigner().SignHTTP(s.Context(), Credentials, r, hex.EncodeToString(hash[:]), "ivs", Place.Region, time.Now())
	if err != nil {
		s.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&answer); err != nil && err != io.EOF {
		s.Errorf("%s %s answered %q: %v", method, target, text, err)
	}
	if bytes.Contains(text, []byte(":null")) || bytes.Contains(text, []byte("[null")) {
		s.Errorf("%s %s answered null: %s", method, target, text)
	}
	return resp.StatusCode, resp.Header.Get("x-amzn-ErrorType"), answer
}

// Object gets an object out of an answer.
func Object(answer map[string]any, path ...string) map[string]any {
	for _, name := range path {
		answer, _ = answer[name].(map[string]any)
	}
	return answer
}

// Members are an object's member names, in order.
func Members(object map[string]any) []string {
	var names []string
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Must fails the test when a call fails.
func Must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// Fails checks an error of an SDK: its exception, and that its text has some
// words.
func Fails(t *testing.T, err error, exception string, words ...string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != exception {
		t.Errorf("got %v, want %s", err, exception)
		return
	}
	text := e.ErrorMessage()
	if f := reflect.ValueOf(e).Elem().FieldByName("ExceptionMessage"); f.IsValid() && !f.IsNil() {
		text = f.Elem().String() // where the SDK puts it, for exceptions of the model
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%s says %q, want %q in it", exception, text, word)
		}
	}
}

// operations are those of some services, described, and their shapes.
func operations(services []api.Service) (all []api.Description, shapes api.Shapes) {
	shapes = api.Shapes{}
	for _, s := range services {
		shapes = shapes.With(s.Shapes)
		for _, o := range s.Operations {
			all = append(all, o.Describe())
		}
	}
	return all, shapes
}
