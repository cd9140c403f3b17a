package hls

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/andybalholm/brotli"
)

// answer is what the server says to a request.
type answer struct {
	status    int
	header    http.Header
	body      []byte // decoded
	sent, got time.Time
}

func (a *answer) took() time.Duration { return a.got.Sub(a.sent) }

// maxWait is how long a server may keep a request that it cannot answer, and
// slack how much a busy machine adds to that.
const (
	maxWait = 5 * time.Second
	slack   = 5 * time.Second
)

// fetch asks for a URL, and looks at what all answers must have. An answer with
// another status than 200 is no error.
func (c *Checker) fetch(ctx context.Context, url string, header ...string) (*answer, error) {
	patience, cancel := context.WithTimeout(ctx, 2*(maxWait+slack)) // who never answers is told of, too
	defer cancel()
	req, err := http.NewRequestWithContext(patience, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	a := &answer{sent: time.Now()}
	resp, err := c.cfg.Client.Do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return a, fmt.Errorf("read %s: %w", url, err)
	}
	a.got, a.status, a.header = time.Now(), resp.StatusCode, resp.Header
	if a.took() > maxWait+slack {
		c.complain("6.2.5.2", nil, "", "%s was answered after %v", url, a.took())
	}
	if origin := a.header.Get("Access-Control-Allow-Origin"); origin != "*" {
		c.promise("Fetch §3.3 (CORS)", "", "%s: Access-Control-Allow-Origin is %q", path(url), origin)
	}
	if a.body, err = decoded(a.header.Get("Content-Encoding"), body); err != nil {
		c.promise("RFC 9110 §8.4", "", "%s: %v", path(url), err)
		return a, err
	}
	if a.header.Get("Content-Encoding") != "" && !strings.Contains(a.header.Get("Vary"), "Accept-Encoding") {
		c.promise("RFC 9110 §12.5.5", "", "%s: Vary is %q for an answer in a content coding", path(url), a.header.Get("Vary"))
	}
	return a, nil
}

func decoded(coding string, body []byte) ([]byte, error) {
	switch coding {
	case "":
		return body, nil
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(z)
	case "br":
		return io.ReadAll(brotli.NewReader(bytes.NewReader(body)))
	}
	return nil, fmt.Errorf("content coding is %q", coding)
}

// expect fetches what must be there. It is nil when ctx has ended, when the
// server was away, or after a complaint.
func (c *Checker) expect(ctx context.Context, section string, url string, header ...string) (a *answer, away bool) {
	began := time.Now()
	a, err := c.fetch(ctx, url, header...)
	switch {
	case ctx.Err() != nil:
		return nil, false
	case err == nil && a.status == http.StatusOK:
		return a, false
	case c.away(began):
		return nil, true
	case err != nil:
		c.complain(section, nil, "", "%s: %v", path(url), err)
	default:
		c.complain(section, nil, "", "%s: status %d: %s", path(url), a.status, bytes.TrimSpace(a.body))
	}
	return nil, false
}

const playlistType = "application/vnd.apple.mpegurl"

// checkType complains of a wrong content type.
func (c *Checker) checkType(a *answer, url, want string) {
	if got, _, _ := mime.ParseMediaType(a.header.Get("Content-Type")); got != want {
		c.complain("4", nil, "", "%s: Content-Type is %q, not %s", path(url), a.header.Get("Content-Type"), want)
	}
}

// freshness is how long caches may keep an answer: 0 when they must ask again.
// An answer that does not tell is kept for as long as a cache likes.
func (a *answer) freshness() time.Duration {
	age := time.Duration(1<<63 - 1)
	for directive := range strings.SplitSeq(a.header.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name {
		case "no-cache", "no-store":
			return 0
		case "max-age":
			if n, err := strconv.Atoi(value); err == nil {
				age = time.Duration(n) * time.Second
			}
		}
	}
	return age
}

// resolve makes ref, a URI in what base answered, absolute.
func resolve(base, ref string) (string, error) {
	b, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	u, err := b.Parse(ref)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

// path is a URL without what is the same in all of them, or secret.
func path(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return s
	}
	_, name, found := strings.Cut(u.Path, "/live/")
	if !found {
		name = u.Path[strings.LastIndexByte(u.Path, '/')+1:]
	}
	if u.RawQuery != "" {
		name += "?" + u.RawQuery
	}
	return name
}
