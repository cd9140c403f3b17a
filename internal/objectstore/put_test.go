package objectstore

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// pipes is a network without buffers, on virtual time.
type pipes chan net.Conn

func (p pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p pipes) Accept() (net.Conn, error) {
	c, open := <-p
	if !open {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// against runs f on virtual time, with a client of a store that handler plays.
func against(t *testing.T, handler http.HandlerFunc, f func(ctx context.Context, c *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := make(pipes)
		server := &http.Server{Handler: handler}
		go server.Serve(network)
		transport := &http.Transport{DialContext: network.dial, ResponseHeaderTimeout: responseTimeout}
		c := newClient(t, "http://store", ServeConfig{AccessKeyID: "a", SecretAccessKey: "b", Region: "eu-central-1"})
		c.s3 = s3.New(c.s3.Options(), func(o *s3.Options) { o.HTTPClient = &http.Client{Transport: transport} })
		f(t.Context(), c)
		transport.CloseIdleConnections()
		server.Close()
		time.Sleep(time.Hour) // for what it still does
	})
}

// refuse answers as S3 does.
func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>so it is</Message></Error>", code)
}

// TestPutFaults plays the faults of stores and of the networks before them. A
// Put makes up for what passes within its attempts; what it reports otherwise
// says whether a later one may succeed.
func TestPutFaults(t *testing.T) {
	body := make([]byte, 1<<20)
	rand.Read(body)
	sum := md5.Sum(body)
	etag := fmt.Sprintf(`"%x"`, sum)
	take := func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("ETag", etag)
	}
	cut := func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}
	answer := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			refuse(w, status, code)
		}
	}
	hang := func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		time.Sleep(10 * time.Minute)
	}
	for _, tt := range []struct {
		name     string
		handler  func(n int) http.HandlerFunc // the n-th request's
		want     string                       // of the error; empty for none
		refused  bool
		noBucket bool
		min, max time.Duration // how long it takes
	}{
		{"good", func(int) http.HandlerFunc { return take }, "", false, false, 0, 0},
		{"500 twice", func(n int) http.HandlerFunc {
			if n < 2 {
				return answer(500, "InternalError")
			}
			return take
		}, "", false, false, 0, time.Minute},
		{"503 always", func(int) http.HandlerFunc { return answer(503, "SlowDown") }, "SlowDown", false, false, 0, time.Minute},
		{"cut off once", func(n int) http.HandlerFunc {
			if n == 0 {
				return cut
			}
			return take
		}, "", false, false, 0, time.Minute},
		{"cut off always", func(int) http.HandlerFunc { return cut }, "EOF", false, false, 0, time.Minute},
		{"denied", func(int) http.HandlerFunc { return answer(403, "AccessDenied") }, "AccessDenied", true, false, 0, 0},
		{"no bucket", func(int) http.HandlerFunc { return answer(404, "NoSuchBucket") }, "NoSuchBucket", true, true, 0, 0},
		{"no such page", func(int) http.HandlerFunc { return http.NotFound }, "404", true, false, 0, time.Minute},
		{"falsified on the way", func(int) http.HandlerFunc { return answer(400, "BadDigest") }, "BadDigest", false, false, 0, time.Minute},
		{"another hash", func(int) http.HandlerFunc { return answer(400, "XAmzContentSHA256Mismatch") }, "Mismatch", false, false, 0, time.Minute},
		{"half of the body", func(int) http.HandlerFunc { return answer(400, "IncompleteBody") }, "IncompleteBody", false, false, 0, time.Minute},
		{"too late for the clock", func(int) http.HandlerFunc { return answer(403, "RequestTimeTooSkewed") }, "Skewed", false, false, 0, time.Minute},
		{"no answer", func(int) http.HandlerFunc { return hang }, "no progress for 1m0s", false, false, stallTimeout, stallTimeout},
		{"takes nothing", func(int) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { time.Sleep(10 * time.Minute) }
		}, "no progress for 1m0s", false, false, stallTimeout, stallTimeout},
		{"stops in the middle", func(int) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				io.CopyN(io.Discard, r.Body, 1<<19)
				time.Sleep(30 * time.Second)
				io.CopyN(io.Discard, r.Body, 1<<18)
				time.Sleep(10 * time.Minute)
			}
		}, "no progress for 1m0s", false, false, 30*time.Second + stallTimeout, 30*time.Second + stallTimeout},
		{"at a crawl", func(int) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				for range 16 {
					io.CopyN(io.Discard, r.Body, 1<<16)
					time.Sleep(40 * time.Second)
				}
				take(w, r)
			}
		}, "", false, false, 16 * 40 * time.Second, 16 * 40 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := 0
			against(t, func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Content-MD5"); got != base64.StdEncoding.EncodeToString(sum[:]) {
					t.Errorf("Content-MD5 is %q", got)
				}
				if got := r.Header.Get("X-Amz-Content-Sha256"); len(got) != 64 {
					t.Errorf("the signed hash is %q", got)
				}
				handler := tt.handler(n)
				n++
				handler(w, r)
			}, func(ctx context.Context, c *Client) {
				begun := time.Now()
				err := c.Put(ctx, "shows", "ivs/0.ts", "video/mp2t", bytes.NewReader(body))
				took := time.Since(begun)
				if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%v, want %q", err, tt.want)
				}
				if Refused(err) != tt.refused || NoBucket(err) != tt.noBucket {
					t.Errorf("%v: refused %v, no bucket %v", err, Refused(err), NoBucket(err))
				}
				if took < tt.min || took > tt.max {
					t.Errorf("it took %v, want %v to %v", took, tt.min, tt.max)
				}
			})
		})
	}
}

// TestETag sees that a store which took other bytes than were sent is not
// believed, if its ETags are checksums.
func TestETag(t *testing.T) {
	sum := md5.Sum([]byte("body"))
	good, other := fmt.Sprintf(`"%x"`, sum), `"00000000000000000000000000000000"`
	for _, tt := range []struct {
		name       string
		etags      []string // of one Put after the other
		encryption string
		want       bool // the last succeeds
	}{
		{"checksums", []string{good, good}, "", true},
		{"capital letters", []string{strings.ToUpper(good), other}, "", false},
		{"other bytes", []string{good, other}, "", false},
		{"other bytes, encrypted at rest", []string{good, other}, "AES256", false},
		{"no checksums", []string{other, other}, "", true},
		{"encrypted with a key", []string{good, other}, "aws:kms", true},
		{"in parts", []string{good, `"00000000000000000000000000000000-1"`}, "", true},
		{"none", []string{good, ""}, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := 0
			against(t, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				w.Header().Set("ETag", tt.etags[n])
				if n > 0 {
					w.Header().Set("X-Amz-Server-Side-Encryption", tt.encryption)
				}
				n++
			}, func(ctx context.Context, c *Client) {
				for i := range tt.etags {
					err := c.Put(ctx, "shows", "ivs/0.ts", "video/mp2t", strings.NewReader("body"))
					if want := i+1 < len(tt.etags) || tt.want; (err == nil) != want || Refused(err) {
						t.Errorf("Put %d: %v", i, err)
					}
				}
			})
		})
	}
}

// TestCheckLocked sees that a bucket whose objects are locked, for which S3 wants
// Content-MD5, can be recorded to.
func TestCheckLocked(t *testing.T) {
	against(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodPut && r.Header.Get("Content-MD5") == "" {
			refuse(w, http.StatusBadRequest, "InvalidRequest")
		}
	}, func(ctx context.Context, c *Client) {
		if err := c.Check(ctx, "shows"); err != nil {
			t.Error(err)
		}
	})
}

// TestClockSkew sees that a machine whose clock is wrong by hours stores all the
// same: a store tells its own time, and signatures follow it.
func TestClockSkew(t *testing.T) {
	const skew = 3 * time.Hour
	against(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		now := time.Now().Add(skew)
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil || signed.Sub(now).Abs() > 15*time.Minute {
			refuse(w, http.StatusForbidden, "RequestTimeTooSkewed")
		}
	}, func(ctx context.Context, c *Client) {
		if err := c.Put(ctx, "shows", "ivs/0.ts", "video/mp2t", strings.NewReader("body")); err != nil {
			t.Error(err)
		}
	})
}
