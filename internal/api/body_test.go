package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// A body is JSON, whatever its headers say, and bounded however it is sent.
func TestBodies(t *testing.T) {
	f := newFixture(t)
	f.do = func(_ context.Context, in *input) (*output, error) { return &output{in.Name}, nil }
	const hello = `{"name":"hello"}`
	fill := func(n int) string { return hello + strings.Repeat(" ", n-len(hello)) }
	for _, tt := range []struct {
		name      string
		body      string
		header    [2]string
		chunked   bool // sent without its length
		status    int
		exception string
		text      string // of the answer
	}{
		{"JSON", hello, [2]string{"Content-Type", "application/json"}, false, 200, "", `"said":"hello"`},
		{"another charset", hello, [2]string{"Content-Type", "application/json; charset=UTF-16"}, false, 200, "", `"said":"hello"`},
		{"another type", hello, [2]string{"Content-Type", "text/plain"}, false, 200, "", `"said":"hello"`},
		{"no type", hello, [2]string{}, false, 200, "", `"said":"hello"`},
		{"nothing", "", [2]string{"Content-Type", "application/json"}, false, 200, "", `"said":""`},
		{"chunks", hello, [2]string{}, true, 200, "", `"said":"hello"`},
		{"1 MiB", fill(maxBody), [2]string{}, false, 200, "", `"said":"hello"`},
		{"1 MiB in chunks", fill(maxBody), [2]string{}, true, 200, "", `"said":"hello"`},
		{"a byte more", fill(maxBody + 1), [2]string{}, false, 413, "ValidationException", "the body must not be longer than 1 MiB"},
		{"a byte more in chunks", fill(maxBody + 1), [2]string{}, true, 413, "ValidationException", "the body must not be longer than 1 MiB"},
		{"compressed", compressed(t, hello), [2]string{"Content-Encoding", "gzip"}, false, 400, "ValidationException", "the body is not UTF-8"},
		{"compressed bomb", compressed(t, fill(maxBody)), [2]string{"Content-Encoding", "gzip"}, false, 400, "ValidationException", "the body is not UTF-8"},
		{"spaces", " ", [2]string{}, false, 400, "ValidationException", "the body is not JSON"},
		{"a form", "name=hello", [2]string{"Content-Type", "application/x-www-form-urlencoded"}, false, 400, "ValidationException", "the body is not JSON"},
		{"a list", "[" + hello + "]", [2]string{}, false, 400, "ValidationException", "the body must be a JSON object"},
		{"too deep", strings.Repeat("[", maxBody), [2]string{}, false, 400, "ValidationException", "the body must not be nested deeper than 32"},
		{"too wide", "[" + strings.Repeat("0,", maxBody/2-1), [2]string{}, false, 400, "ValidationException", "the body must not have more than 10000 values"},
		{"not UTF-8", "{\"name\":\"\xff\"}", [2]string{}, false, 400, "ValidationException", "the body is not UTF-8"},
		{"NUL", `{"name":"a\u0000"}`, [2]string{}, false, 200, "", `"said":"a\u0000"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.NewRequest("POST", f.URL+"/Say", strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if tt.chunked {
				r.Body, r.ContentLength = io.NopCloser(strings.NewReader(tt.body)), -1
			}
			if tt.header[0] != "" {
				r.Header.Set(tt.header[0], tt.header[1])
			}
			hash := sha256.Sum256([]byte(tt.body))
			err = v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "a secret"},
				r, hex.EncodeToString(hash[:]), "ivs", "eu-west-1", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			a := f.send(r)
			if tt.status != http.StatusOK {
				f.failed(a, tt.status, tt.exception, tt.text)
			} else if a.StatusCode != tt.status || !strings.Contains(a.body, tt.text) {
				t.Errorf("answered %d %s, want %d with %s", a.StatusCode, a.body, tt.status, tt.text)
			}
		})
	}
}

func compressed(t *testing.T, text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
