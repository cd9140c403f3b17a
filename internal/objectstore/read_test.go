package objectstore

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A piece of an object is what was asked for, or there is a reason why not.
func TestRead(t *testing.T) {
	s := start(t, nil)
	ctx := t.Context()
	if err := s.CreateBucket(ctx, "vod"); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(ctx, "vod", "a/0.ts", "video/mp2t", strings.NewReader("0123456789")); err != nil {
		t.Fatal(err)
	}
	whole, err := s.Read(ctx, "vod", "a/0.ts", Reading{})
	if err != nil {
		t.Fatal(err)
	}
	whole.Body.Close()
	if whole.Size != 10 || whole.Range != "" || whole.ETag == "" || whole.Modified.IsZero() {
		t.Errorf("whole: %+v", whole)
	}
	for _, tt := range []struct {
		name string
		key  string
		want Reading
		body string
		at   string // Content-Range
		size int64
		err  error
	}{
		{name: "whole", body: "0123456789", size: 10},
		{name: "range", want: Reading{Range: "bytes=2-4"}, body: "234", at: "bytes 2-4/10", size: 3},
		{name: "to the end", want: Reading{Range: "bytes=8-"}, body: "89", at: "bytes 8-9/10", size: 2},
		{name: "from the end", want: Reading{Range: "bytes=-3"}, body: "789", at: "bytes 7-9/10", size: 3},
		{name: "beyond", want: Reading{Range: "bytes=10-"}, err: ErrRange},
		{name: "head", want: Reading{HeadOnly: true}, size: 10},
		{name: "same", want: Reading{IfMatch: whole.ETag}, body: "0123456789", size: 10},
		{name: "same, not wanted", want: Reading{IfNoneMatch: whole.ETag}, err: ErrNotModified},
		{name: "head of the same, not wanted", want: Reading{IfNoneMatch: whole.ETag, HeadOnly: true}, err: ErrNotModified},
		{name: "changed", want: Reading{IfMatch: `"x"`}, err: ErrChanged},
		{name: "missing", key: "a/1.ts", err: ErrNotFound},
		{name: "head of what is missing", key: "a/1.ts", want: Reading{HeadOnly: true}, err: ErrNotFound},
	} {
		key := tt.key
		if key == "" {
			key = "a/0.ts"
		}
		p, err := s.Read(ctx, "vod", key, tt.want)
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
		}
		if err != nil {
			continue
		}
		body, err := io.ReadAll(p.Body)
		p.Body.Close()
		if err != nil || string(body) != tt.body || p.Range != tt.at || p.Size != tt.size || p.ETag != whole.ETag {
			t.Errorf("%s: %q %+v, %v", tt.name, body, p, err)
		}
	}
	if _, err := s.Read(ctx, "nowhere", "a/0.ts", Reading{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("no bucket: %v", err)
	}
}

// A store, or a proxy before it, may send an object in chunks.
func TestReadUntoldSize(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, "0123456789")
	}))
	defer s.Close()
	c, err := New(t.Context(), Config{Endpoint: s.URL, Region: "us-east-1", AccessKeyID: "AKID", SecretAccessKey: "a secret", PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Read(t.Context(), "vod", "a/0.ts", Reading{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Body.Close()
	if body, err := io.ReadAll(p.Body); err != nil || string(body) != "0123456789" || p.Size != -1 {
		t.Errorf("%q of %d bytes, %v", body, p.Size, err)
	}
}

// A store that stops amid an object is not waited for, a slow one is; so is
// whoever reads slowly.
func TestReadStalled(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pause time.Duration // of the store, amid the object
		rest  time.Duration // of the reader
		want  error
	}{
		{"slow", stallTimeout - time.Second, 0, nil},
		{"stalled", stallTimeout + time.Second, 0, errStalled},
		{"slow reader", 0, time.Hour, nil},
	} {
		handler := func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "01234")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(tt.pause):
				_, _ = io.WriteString(w, "56789")
			case <-r.Context().Done():
			}
		}
		against(t, handler, func(ctx context.Context, c *Client) {
			p, err := c.Read(ctx, "vod", "a/0.ts", Reading{})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Body.Close()
			if _, err := io.ReadFull(p.Body, make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(tt.rest)
			if _, err := io.ReadAll(p.Body); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			}
		})
	}
}

// Walk tells of the objects in order, as many as are wanted.
func TestWalk(t *testing.T) {
	s := start(t, nil)
	ctx := t.Context()
	if err := s.CreateBucket(ctx, "vod"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a/2", "a/1", "b/1"} {
		if err := s.Put(ctx, "vod", key, "text/plain", strings.NewReader(key)); err != nil {
			t.Fatal(err)
		}
	}
	for most, want := range map[int]string{1: "a/1 ", 9: "a/1 a/2 "} {
		got, n := "", 0
		err := s.Walk(ctx, "vod", "a/", func(o Object) bool {
			if o.Size != 3 || o.Modified.IsZero() {
				t.Errorf("%+v", o)
			}
			got += o.Key + " "
			n++
			return n < most
		})
		if err != nil || got != want {
			t.Errorf("at most %d: %q, %v", most, got, err)
		}
	}
	if err := s.Walk(ctx, "nowhere", "", func(Object) bool { return true }); err == nil {
		t.Error("no bucket: no error")
	}
}
