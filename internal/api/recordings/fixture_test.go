package recordings

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch/internal/api"
	"anabranch/internal/auth"
	"anabranch/internal/objectstore"
	"anabranch/internal/recorder"
	"anabranch/internal/resource"
	"anabranch/internal/store"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

var (
	place = resource.Place{Region: "eu-west-1", Account: "111122223333"}
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// fixture is a server with a real database, a bucket in memory and a recorder
// that says what a test wants.
type fixture struct {
	*testing.T
	*Server
	store   *store.Store
	objects *bucket
	spool   spool
	stored  []recorder.Object // of any recording in the spool
	handler http.Handler
	log     bytes.Buffer
}

func newFixture(t *testing.T, adjust ...func(*Config)) *fixture {
	f := &fixture{T: t, objects: &bucket{content: make(map[string][]byte)}, spool: make(spool)}
	log := slog.New(slog.NewTextHandler(&f.log, nil))
	var err error
	if f.store, err = store.Open(t.Context(), store.Config{Path: filepath.Join(t.TempDir(), "db"), Log: log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.store.Close() })
	cfg := Config{
		Place: place, PublicURL: "https://live.example.com", Store: f.store, Spool: journal{f}, Objects: f.objects,
		Sealer: auth.NewSealer([]byte("a key")), Log: log,
	}
	for _, a := range adjust {
		a(&cfg)
	}
	f.Server = New(cfg)
	mux := http.NewServeMux()
	f.Register(mux)
	mux.Handle("/", api.New(api.Config{
		Signatures: &auth.SigV4{Region: place.Region, Service: "ivs", Secret: func(id string) (string, bool) { return "a secret", id == "AKID" }},
		Log:        log, Services: []api.Service{f.Service()},
	}))
	f.handler = mux
	return f
}

// add stores a recording of a channel, that ended unless it is in the spool.
func (f *fixture) add(id, channel string, at time.Time) resource.Recording {
	f.Helper()
	r := resource.Recording{
		ID: id, SessionID: "session" + id[:5], ChannelARN: place.ARN(resource.KindChannel, channel), ChannelName: "name-of-" + channel,
		Bucket: "vod", Prefix: "ivs/v1/111122223333/" + channel + "/2026/3/1/12/0/" + id, ContainerFormat: resource.TS,
		StreamIDs: []string{"st-1" + id}, StartedAt: at,
	}
	f.must(f.store.StartRecording(f.Context(), r))
	f.must(f.store.JoinRecording(f.Context(), id, resource.RecordedStream{ID: "st-2" + id}))
	if _, open := f.spool[id]; !open {
		f.must(f.store.EndRecording(f.Context(), id, at.Add(time.Minute), 12_345*time.Millisecond))
	}
	return r
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// get calls the API, signed, and decodes the answer.
func (f *fixture) get(target string, answer any) (status int) {
	f.Helper()
	r := httptest.NewRequest("GET", target, nil)
	nothing := sha256.Sum256(nil)
	f.must(v4.NewSigner().SignHTTP(f.Context(), aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "a secret"},
		r, hex.EncodeToString(nothing[:]), "ivs", place.Region, time.Now()))
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), answer); err != nil {
		f.Errorf("%s answered %d %q: %v", target, w.Code, w.Body, err)
	}
	return w.Code
}

// load asks for a path as a player does, with headers "Name: value".
func (f *fixture) load(method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil).WithContext(f.Context())
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	return w
}

// spool are the recordings in the spool.
type spool map[string]recorder.Progress

func (s spool) Progress(id string) (recorder.Progress, bool) { p, ok := s[id]; return p, ok }
func (s spool) Stored(id string) ([]recorder.Object, bool)   { _, ok := s[id]; return nil, ok }

// journal is the spool of a fixture, which knows what is stored.
type journal struct{ *fixture }

func (j journal) Progress(id string) (recorder.Progress, bool) { return j.spool.Progress(id) }
func (j journal) Stored(id string) ([]recorder.Object, bool) {
	_, ok := j.spool[id]
	return j.fixture.stored, ok
}

// bucket is a store with one bucket.
type bucket struct {
	mu      sync.Mutex
	content map[string][]byte // by key
	fail    error
	hold    chan struct{} // reads wait for it, when it is not nil
	cut     bool          // bodies break off
	untold  bool          // sizes are not told
	asked   []objectstore.Reading
	walked  func() // is called with each list
}

func (b *bucket) tag(content []byte) string {
	sum := sha256.Sum256(content)
	return fmt.Sprintf("%q", hex.EncodeToString(sum[:4]))
}

func (b *bucket) Read(ctx context.Context, _, key string, want objectstore.Reading) (*objectstore.Piece, error) {
	b.mu.Lock()
	b.asked = append(b.asked, want)
	content, ok := b.content[key]
	hold, fail := b.hold, b.fail
	b.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	switch tag := b.tag(content); {
	case fail != nil:
		return nil, fail
	case !ok:
		return nil, objectstore.ErrNotFound
	case want.IfMatch != "" && want.IfMatch != tag:
		return nil, objectstore.ErrChanged
	case want.IfNoneMatch == tag:
		return nil, objectstore.ErrNotModified
	}
	p := &objectstore.Piece{Size: int64(len(content)), ETag: b.tag(content)}
	if want.Range != "" {
		var from, to int
		if n, _ := fmt.Sscanf(want.Range, "bytes=%d-%d", &from, &to); n == 1 {
			to = len(content) - 1
		}
		if from >= len(content) {
			return nil, objectstore.ErrRange
		}
		p.Range = fmt.Sprintf("bytes %d-%d/%d", from, to, len(content))
		content = content[from : to+1]
		p.Size = int64(len(content))
	}
	p.Body = io.NopCloser(bytes.NewReader(content))
	if b.cut {
		p.Body = io.NopCloser(io.LimitReader(bytes.NewReader(content), p.Size/2))
	}
	if b.untold {
		p.Size = -1
	}
	if want.HeadOnly {
		p.Body = http.NoBody
	}
	return p, nil
}

func (b *bucket) Walk(_ context.Context, _, prefix string, f func(objectstore.Object) bool) error {
	if b.walked != nil {
		b.walked()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, content := range b.content {
		if strings.HasPrefix(key, prefix) && !f(objectstore.Object{Key: key, Size: int64(len(content))}) {
			break
		}
	}
	return b.fail
}
