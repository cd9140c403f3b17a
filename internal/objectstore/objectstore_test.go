package objectstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	testKey    = "AKIDTEST"
	testSecret = "a test's secret"
)

// store is a running embedded store.
type store struct {
	*Client
	endpoint string
	dir      string
}

// start runs the embedded store until the test ends.
func start(t *testing.T, change func(*ServeConfig)) store {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := ServeConfig{
		Listener:        ln,
		Dir:             filepath.Join(t.TempDir(), "buckets"),
		AccessKeyID:     testKey,
		SecretAccessKey: testSecret,
		Region:          "eu-central-1",
		Log:             slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, cfg) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	endpoint := "http://" + ln.Addr().String()
	return store{newClient(t, endpoint, cfg), endpoint, cfg.Dir}
}

func newClient(t *testing.T, endpoint string, cfg ServeConfig) *Client {
	t.Helper()
	c, err := New(t.Context(), Config{
		Endpoint:        endpoint,
		Region:          cfg.Region,
		AccessKeyID:     cfg.AccessKeyID,
		SecretAccessKey: cfg.SecretAccessKey,
		PathStyle:       true,
		Root:            cfg.Dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// once makes a client give up at the first failure.
func once(c *Client) *Client {
	c.s3 = s3.New(c.s3.Options(), func(o *s3.Options) { o.Retryer = aws.NopRetryer{} })
	return c
}

func TestObjects(t *testing.T) {
	s := start(t, nil)
	ctx := t.Context()
	for range 2 { // the second time it is there
		if err := s.CreateBucket(ctx, "shows"); err != nil {
			t.Fatal(err)
		}
	}
	big := make([]byte, 3<<20)
	rand.Read(big)
	objects := []struct {
		key  string
		body []byte
	}{
		{"ivs/v1/a b+c/ä.ts", []byte("odd letters")},
		{"ivs/v1/big.ts", big},
		{"ivs/v1/empty.json", nil},
	}
	for _, o := range objects {
		if err := s.Put(ctx, "shows", o.key, "video/mp2t", bytes.NewReader(o.body)); err != nil {
			t.Fatal(err)
		}
		r, err := s.Get(ctx, "shows", o.key)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || !bytes.Equal(got, o.body) {
			t.Errorf("%s: read %d bytes (%v), want %d", o.key, len(got), err, len(o.body))
		}
		onDisk, err := os.ReadFile(filepath.Join(s.dir, "shows", o.key))
		if err != nil || !bytes.Equal(onDisk, o.body) {
			t.Errorf("%s: file has %d bytes (%v), want %d", o.key, len(onDisk), err, len(o.body))
		}
	}
	list, err := s.List(ctx, "shows", "ivs/v1/")
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != len(objects) {
		t.Fatalf("listed %v, want %d objects", list, len(objects))
	}
	for i, o := range objects {
		if list[i].Key != o.key || list[i].Size != int64(len(o.body)) || list[i].Modified.IsZero() {
			t.Errorf("listed %+v, want %s with %d bytes", list[i], o.key, len(o.body))
		}
	}
	if err := s.Put(ctx, "shows", "ivs/v1/empty.json", "application/json", strings.NewReader("{}")); err != nil {
		t.Errorf("replace: %v", err)
	}
	if _, err := s.Get(ctx, "shows", "ivs/v1/none"); !Refused(err) {
		t.Errorf("get of a missing object: %v, want it refused", err)
	}
}

// TestParallelPuts writes where the folders above are made at the same time.
func TestParallelPuts(t *testing.T) {
	s := start(t, nil)
	if err := s.CreateBucket(t.Context(), "shows"); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error)
	const n = 8
	for i := range n {
		go func() {
			key := "ivs/v1/deep/folder/" + string(rune('a'+i))
			errs <- s.Put(t.Context(), "shows", key, "text/plain", strings.NewReader(key))
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestCheck(t *testing.T) {
	s := start(t, nil)
	ctx := t.Context()
	if err := s.CreateBucket(ctx, "shows"); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(ctx, "shows"); err != nil {
		t.Errorf("a good bucket: %v", err)
	}
	if left, err := s.List(ctx, "shows", ""); err != nil || len(left) > 0 {
		t.Errorf("the check left %v (%v)", left, err)
	}
	stranger := newClient(t, s.endpoint, ServeConfig{
		AccessKeyID: testKey, SecretAccessKey: "wrong", Region: "eu-central-1",
	})
	nobody := once(newClient(t, "http://127.0.0.1:1", ServeConfig{
		AccessKeyID: testKey, SecretAccessKey: testSecret, Region: "eu-central-1",
	}))
	cases := []struct {
		name    string
		client  *Client
		bucket  string
		reason  string
		refused bool
	}{
		{"missing bucket", s.Client, "none", "bucket none does not exist", true},
		{"wrong secret", stranger, "shows", "access denied", true},
		{"no store", nobody, "shows", "cannot be reached", false},
	}
	for _, c := range cases {
		err := c.client.Check(ctx, c.bucket)
		if err == nil || !strings.Contains(err.Error(), c.reason) || Refused(err) != c.refused {
			t.Errorf("%s: %v, refused %v; want %q, refused %v", c.name, err, Refused(err), c.reason, c.refused)
		}
	}
}

// TestCheckAnswers plays the answers of stores that the embedded one never
// gives.
func TestCheckAnswers(t *testing.T) {
	answer := func(status int, region string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if region != "" {
				w.Header().Set("X-Amz-Bucket-Region", region)
			}
			w.WriteHeader(status)
		}
	}
	readOnly := func(method string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method == method {
				w.WriteHeader(http.StatusForbidden)
			}
		}
	}
	cases := []struct {
		name    string
		handler http.HandlerFunc
		reason  string // empty: the bucket is good
		refused bool
	}{
		{"other region", answer(200, "us-west-2"), "is in region us-west-2, not in eu-central-1", true},
		{"redirected", answer(301, "us-west-2"), "is in region us-west-2, not in eu-central-1", true},
		{"region unknown to the store", answer(200, ""), "", false},
		{"read only", readOnly(http.MethodPut), "must not be written to, access denied", true},
		{"nothing may be deleted", readOnly(http.MethodDelete), "", false},
		{"out of order", answer(503, ""), "cannot be read", false},
		{"too fast", answer(429, ""), "cannot be read", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(c.handler)
			defer server.Close()
			client := once(newClient(t, server.URL, ServeConfig{AccessKeyID: "a", SecretAccessKey: "b", Region: "eu-central-1"}))
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			err := client.Check(ctx, "shows")
			switch {
			case c.reason == "" && err != nil:
				t.Errorf("%v, want no error", err)
			case c.reason != "" && (err == nil || !strings.Contains(err.Error(), c.reason)):
				t.Errorf("%v, want %q", err, c.reason)
			case Refused(err) != c.refused:
				t.Errorf("refused %v, want %v: %v", Refused(err), c.refused, err)
			}
		})
	}
}

func TestPublicRecordings(t *testing.T) {
	s := start(t, func(cfg *ServeConfig) { cfg.PublicRecordings = true })
	if err := s.CreateBucket(t.Context(), "shows"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"ivs/v1/a b/0.ts", "private/plan.txt"} {
		if err := s.Put(t.Context(), "shows", key, "text/plain", strings.NewReader(key)); err != nil {
			t.Fatal(err)
		}
	}
	cases := []struct {
		method, path string
		want         int
	}{
		{"GET", "/shows/ivs/v1/a%20b/0.ts", 200},
		{"HEAD", "/shows/ivs/v1/a%20b/0.ts", 200},
		{"GET", "/shows?list-type=2&prefix=ivs/v1/&delimiter=%2F", 200},
		{"OPTIONS", "/shows/ivs/v1/a%20b/0.ts", 204},
		{"GET", "/shows?list-type=2", 403},
		{"GET", "/shows?list-type=2&prefix=", 403},
		{"GET", "/shows?list-type=2&prefix=ivs/&policy", 403},
		{"GET", "/shows/?acl", 403},
		{"GET", "/", 403},
		{"GET", "/shows/private/plan.txt", 403},
		{"GET", "/shows/ivs/../private/plan.txt", 403},
		{"GET", "/shows/ivs/%2e%2e/private/plan.txt", 403},
		{"GET", "/shows/ivs/v1/a%20b/0.ts?acl", 403},
		{"PUT", "/shows/ivs/v1/a%20b/0.ts", 403},
		{"DELETE", "/shows/ivs/v1/a%20b/0.ts", 403},
	}
	for _, c := range cases {
		r, err := http.NewRequestWithContext(t.Context(), c.method, s.endpoint+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", "http://player.example")
		r.Header.Set("Access-Control-Request-Method", "GET")
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s %s: %s, want %d\n%s", c.method, c.path, resp.Status, c.want, body)
		}
		if c.want < 300 && resp.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s %s: not open to other origins", c.method, c.path)
		}
	}
}

func TestRecordingsAreNotPublicUnasked(t *testing.T) {
	s := start(t, nil)
	if err := s.CreateBucket(t.Context(), "shows"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(s.endpoint + "/shows?list-type=2&prefix=ivs/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("anonymous list: %s, want 403", resp.Status)
	}
}

// TestSync sees that a Put whose file is not where it should be is no success.
func TestSync(t *testing.T) {
	s := start(t, nil)
	if err := s.CreateBucket(t.Context(), "shows"); err != nil {
		t.Fatal(err)
	}
	s.root = t.TempDir()
	err := s.Put(t.Context(), "shows", "ivs/x", "text/plain", strings.NewReader("x"))
	if !errors.Is(err, os.ErrNotExist) || Refused(err) {
		t.Errorf("put: %v, refused %v; want the file missing, not refused", err, Refused(err))
	}
}

// TestRestart sees that objects and buckets outlive the store, and that the
// working directory comes back.
func TestRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "buckets")
	before, _ := os.Getwd()
	t.Run("first", func(t *testing.T) {
		s := start(t, func(cfg *ServeConfig) { cfg.Dir = dir })
		if err := s.CreateBucket(t.Context(), "shows"); err != nil {
			t.Fatal(err)
		}
		if err := s.Put(t.Context(), "shows", "ivs/x", "text/plain", strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	})
	if after, _ := os.Getwd(); after != before {
		t.Errorf("working directory is %s, was %s", after, before)
	}
	t.Run("second", func(t *testing.T) {
		s := start(t, func(cfg *ServeConfig) { cfg.Dir = dir })
		if list, err := s.List(t.Context(), "shows", "ivs/"); err != nil || len(list) != 1 {
			t.Errorf("listed %v (%v), want the one object", list, err)
		}
	})
}
