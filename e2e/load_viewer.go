package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// audience is a number of viewers of one channel, who play as LL-HLS players
// do, each over a connection that it keeps:
//
//	multivariant playlist → media playlist → ┬→ playlist with the next part,
//	                                         │  held back until it is there,
//	                                         │  as a delta update, in gzip
//	                                         └─ that part ←┘
//
// A playlist is the same for all of them, so the first to have it reads it for
// all; the others, like all with the parts, only wait for its last byte.
type audience struct {
	host     string // and port
	playback string // path of the multivariant playlist

	mu       sync.Mutex // guards listings
	listings map[loadStep]*listing

	since     atomic.Int64 // Unix nanoseconds from which on it counts; 0 is never
	received  atomic.Int64 // bytes
	requests  atomic.Int64
	delivered delays
	failures  failures
	viewers   []*loadViewer
}

// loadStep is a part's place in the playlist.
type loadStep struct{ msn, part int }

func (s loadStep) before(t loadStep) bool { return s.msn < t.msn || s.msn == t.msn && s.part < t.part }

// listing is what the playlist said of the first part at or behind a step.
type listing struct {
	read   chan struct{} // closed when the rest is valid
	at     time.Time     // when the first viewer had it
	step   loadStep
	target string // path of the part
	err    error
}

// loadViewer is one of an audience.
type loadViewer struct {
	late int       // parts that came later than a player could use them
	last time.Time // when the newest came
	err  error
}

// playerPatience is how far from the playlist's end players stay, with parts of
// a third of a second: what comes later makes them stall.
const playerPatience = time.Second

// newAudience makes an audience of nobody.
func (c *channel) newAudience() *audience {
	c.server.t.Helper()
	u, err := url.Parse(*c.PlaybackUrl)
	if err != nil {
		c.server.t.Fatal(err)
	}
	return &audience{host: u.Host, playback: u.Path, listings: map[loadStep]*listing{}}
}

// start lets n viewers come within ramp, and watch until stop is called.
func (a *audience) start(t testing.TB, n int, ramp time.Duration) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	for i := range n {
		v := &loadViewer{}
		a.viewers = append(a.viewers, v)
		ended.Go(func() {
			select {
			case <-time.After(ramp * time.Duration(i) / time.Duration(n)):
				v.err = a.watch(ctx, v)
			case <-ctx.Done():
			}
			if v.err != nil {
				a.failures.add(v.err)
			}
		})
	}
	stop = func() { cancel(); ended.Wait() }
	t.Cleanup(stop)
	return stop
}

// watch plays until ctx ends.
func (a *audience) watch(ctx context.Context, v *loadViewer) error {
	c, err := dialLoad(a.host)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, c.close)()
	defer c.close()
	err = a.follow(c, v)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (a *audience) follow(c *loadClient, v *loadViewer) error {
	path, text, err := a.tuneIn(c)
	if err != nil {
		return err
	}
	parts, err := readParts(text, path)
	if err != nil {
		return err
	}
	at := parts[len(parts)-1].step
	var request []byte
	for {
		at.part++
		request = appendRequest(request[:0], a.host, path, "?_HLS_msn=", strconv.Itoa(at.msn), "&_HLS_part=", strconv.Itoa(at.part), "&_HLS_skip=YES")
		l, err := a.reload(c, request, at, path)
		if err != nil {
			return err
		}
		request = appendRequest(request[:0], a.host, l.target)
		if _, err := c.ask(request); err != nil {
			return err
		}
		if err := c.skip(); err != nil {
			return err
		}
		at = l.step
		a.note(v, c, l)
	}
}

// tuneIn reads the playlists, and returns the path of the second.
func (a *audience) tuneIn(c *loadClient) (path string, media []byte, err error) {
	fetch := func(path string) (text []byte, err error) {
		header, err := c.ask(appendRequest(nil, a.host, path))
		if err != nil {
			return nil, err
		}
		if text, err = c.body(); err != nil {
			return nil, err
		}
		return decodeContent(header, text)
	}
	text, err := fetch(a.playback)
	if err != nil {
		return "", nil, err
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if path, err = resolvePath(a.playback, lines[len(lines)-1]); err != nil {
		return "", nil, err
	}
	media, err = fetch(path)
	return path, media, err
}

// reload waits until the playlist has a part, and returns that.
func (a *audience) reload(c *loadClient, request []byte, at loadStep, path string) (*listing, error) {
	header, err := c.ask(request)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	l, known := a.listings[at]
	if !known {
		l = &listing{read: make(chan struct{})}
		a.listings[at] = l
	}
	a.mu.Unlock()
	if known {
		if err := c.skip(); err != nil {
			return nil, err
		}
		<-l.read
		return l, l.err
	}
	defer close(l.read)
	header = bytes.Clone(header)
	text, err := c.body()
	l.at = time.Now()
	if err == nil {
		text, err = decodeContent(header, text)
	}
	if err == nil {
		l.step, l.target, err = findPart(text, path, at)
	}
	l.err = err
	return l, err
}

// note counts a part that a viewer has got.
func (a *audience) note(v *loadViewer, c *loadClient, l *listing) {
	since := a.since.Load()
	if since == 0 || l.at.UnixNano() < since {
		c.received = 0
		return
	}
	v.last = time.Now()
	delay := v.last.Sub(l.at)
	if delay > playerPatience {
		v.late++
	}
	a.delivered.add(delay)
	a.requests.Add(2)
	a.received.Add(c.received)
	c.received = 0
}

// keptUp is how many viewers got every part in time, when they have stopped.
func (a *audience) keptUp(end time.Time) (n int) {
	for _, v := range a.viewers {
		if v.err == nil && v.late == 0 && end.Sub(v.last) < 2*playerPatience {
			n++
		}
	}
	return n
}

// listedPart is a part that a playlist tells.
type listedPart struct {
	step     loadStep
	target   string  // its path
	duration float64 // in seconds
}

// readParts are the parts in a playlist, or in a delta update of it, whose path
// is base. There must be some.
func readParts(text []byte, base string) (parts []listedPart, err error) {
	var at loadStep
	for line := range bytes.Lines(text) {
		line := string(bytes.TrimSpace(line))
		tag, value, _ := strings.Cut(line, ":")
		switch {
		case tag == "#EXT-X-MEDIA-SEQUENCE":
			at.msn, err = strconv.Atoi(value)
		case tag == "#EXT-X-SKIP":
			var skipped int
			_, err = fmt.Sscanf(value, "SKIPPED-SEGMENTS=%d", &skipped)
			at.msn += skipped
		case tag == "#EXT-X-PART":
			p := listedPart{step: at}
			_, duration, _ := strings.Cut(value, "DURATION=")
			_, err = fmt.Sscan(duration, &p.duration)
			_, uri, _ := strings.Cut(value, `URI="`)
			uri, _, _ = strings.Cut(uri, `"`)
			if err == nil {
				p.target, err = resolvePath(base, uri)
			}
			parts = append(parts, p)
			at.part++
		case line != "" && line[0] != '#':
			at = loadStep{msn: at.msn + 1}
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
	}
	if len(parts) == 0 {
		return nil, errors.New("playlist without parts")
	}
	return parts, nil
}

// findPart is the first part at or behind a step.
func findPart(text []byte, base string, at loadStep) (loadStep, string, error) {
	parts, err := readParts(text, base)
	for _, p := range parts {
		if !p.step.before(at) {
			return p.step, p.target, nil
		}
	}
	return at, "", errors.Join(err, fmt.Errorf("the answer to a blocking request for part %d of segment %d lacks it", at.part, at.msn))
}

func resolvePath(base, ref string) (string, error) {
	b, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	u, err := b.Parse(ref)
	if err != nil {
		return "", err
	}
	return u.RequestURI(), nil
}

// decodeContent undoes an answer's content coding.
func decodeContent(header, body []byte) ([]byte, error) {
	if !bytes.Contains(bytes.ToLower(header), []byte("content-encoding: gzip")) {
		return body, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// delays counts delays by their whole milliseconds, from many goroutines.
type delays struct {
	counts [10_000]atomic.Int64
	all    atomic.Int64
}

func (d *delays) add(delay time.Duration) {
	d.counts[min(max(delay.Milliseconds(), 0), int64(len(d.counts)-1))].Add(1)
	d.all.Add(1)
}

// at is the delay that a share of them does not exceed.
func (d *delays) at(share float64) time.Duration {
	var seen int64
	for ms := range d.counts {
		if seen += d.counts[ms].Load(); float64(seen) >= share*float64(d.all.Load()) {
			return time.Duration(ms) * time.Millisecond
		}
	}
	return time.Duration(len(d.counts)) * time.Millisecond
}

// failures are errors of many goroutines, of which one is enough to be told.
type failures struct {
	mu    sync.Mutex
	count int
	first error
}

func (f *failures) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count++; f.first == nil {
		f.first = err
	}
}

// tell logs the errors, and returns how many there were.
func (f *failures) tell(t testing.TB, who string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count > 0 {
		t.Logf("%d errors of %s, the first: %v", f.count, who, f.first)
	}
	return f.count
}
