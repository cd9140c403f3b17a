package hls

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Checker watches one live stream, in all its renditions. Its methods may be
// called from any goroutine, Run once.
type Checker struct {
	cfg Config
	// parent has a checker for each of its renditions, which complains to it.
	// It is nil for that of the stream.
	parent *Checker
	name   string // of the rendition

	mu         sync.Mutex
	complaints []Complaint
	known      map[string]bool // complaints by what they say
	renditions []*Rendition    // as they came, the first variant's first
}

// Config says what to watch.
type Config struct {
	// URL is the Multivariant Playlist's.
	URL    string
	Client *http.Client // http.DefaultTransport without compression, when nil
	// Away says whether the server has been away at any time since then. What
	// fails because of it is tried again. Nil means never.
	Away func(since time.Time) bool
	// Latency is how far the newest part may be behind the server's clock when
	// it arrives: 6 s when 0. Publishers that stall need more.
	Latency time.Duration
	// Keep makes the checker keep all media, for [Checker.Media].
	Keep bool
	// Sample, if not nil, is called with each sample of the first rendition's
	// parts and segments, in order of each track, each once.
	Sample func(Sample)
}

// Complaint is a rule that was broken.
type Complaint struct {
	Rendition string // whose playlist it is; empty if it is that of the stream
	Section   string // of the rule, such as "RFC 8216bis §4.4.4.9"
	Version   string // the playlist's, by what came next in it; may be empty
	Line      string // of the playlist; may be empty
	Text      string
}

func (c Complaint) String() string {
	s := c.Section + ": " + c.Text
	if c.Rendition != "" {
		s = c.Rendition + ": " + s
	}
	if c.Version != "" {
		s += " (in the playlist before " + c.Version + ")"
	}
	if c.Line != "" {
		s += "\n\t" + c.Line
	}
	return s
}

// maxComplaints are enough to see what is wrong.
const maxComplaints = 100

// New makes a checker that does nothing before Run.
func New(cfg Config) *Checker {
	if cfg.Client == nil {
		cfg.Client = &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16}}
	}
	if cfg.Latency == 0 {
		cfg.Latency = 6 * time.Second
	}
	return &Checker{cfg: cfg, known: map[string]bool{}}
}

// Run waits for the stream, and follows it until its end or that of ctx. Then
// it asks once more for everything that must still be there, which takes a
// moment, and returns.
func (c *Checker) Run(ctx context.Context) {
	m, err := c.awaitMultivariant(ctx)
	if err != nil {
		return
	}
	following, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	watch := func(v variant) {
		r := c.add(v)
		all.Go(func() {
			defer func() {
				if c.over() {
					cancel()
				}
			}()
			r.run(ctx)
		})
	}
	for _, v := range m.variants {
		watch(v)
	}
	all.Go(func() { c.followMultivariant(following, watch) })
	all.Wait()
}

// add notes another rendition.
func (c *Checker) add(v variant) *Rendition {
	own := New(c.cfg)
	own.parent, own.name = c, v.name()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.renditions) > 0 {
		own.cfg.Sample = nil
	}
	r := newRendition(own, v)
	c.renditions = append(c.renditions, r)
	return r
}

// sisters says whether a rendition, whose checker this is, has others beside it.
func (c *Checker) sisters() bool { return len(c.parent.Renditions()) > 1 }

// over says whether all renditions have ended.
func (c *Checker) over() bool {
	for _, r := range c.Renditions() {
		if !r.history.over() {
			return false
		}
	}
	return true
}

// Complaints are what was found so far.
func (c *Checker) Complaints() []Complaint {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Complaint(nil), c.complaints...)
}

// Renditions are those that there have been so far, the first variant's first.
func (c *Checker) Renditions() []*Rendition {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.renditions)
}

// Newest is the newest version of the first rendition's playlist, nil before
// there is one.
func (c *Checker) Newest() *Playlist {
	if r := c.first(); r != nil {
		return r.Newest()
	}
	return nil
}

// PlaylistURL is where the first rendition's playlist is, "" before there is
// one.
func (c *Checker) PlaylistURL() string {
	if r := c.first(); r != nil {
		return r.url
	}
	return ""
}

// Seen is the duration of the first rendition's media that was fetched and
// looked at.
func (c *Checker) Seen() time.Duration {
	if r := c.first(); r != nil {
		return r.Seen()
	}
	return 0
}

// Joins is how many discontinuities the first rendition's playlist told of, but
// for the first segment's.
func (c *Checker) Joins() int {
	if r := c.first(); r != nil {
		return r.history.joins()
	}
	return 0
}

// Media are all segments of the first rendition, each run of them behind its
// init section.
func (c *Checker) Media() [][]byte {
	if r := c.first(); r != nil {
		return r.Media()
	}
	return nil
}

func (c *Checker) first() *Rendition {
	if all := c.Renditions(); len(all) > 0 {
		return all[0]
	}
	return nil
}

// complain notes a broken rule of the RFC's section.
func (c *Checker) complain(section string, p *Playlist, line, format string, args ...any) {
	made := Complaint{Section: "RFC 8216bis §" + section, Line: line, Text: fmt.Sprintf(format, args...)}
	if p != nil {
		made.Version = p.next().String()
	}
	c.note(made)
}

// promise notes that something is broken which no RFC demands, or another
// standard does.
func (c *Checker) promise(of, line, format string, args ...any) {
	c.note(Complaint{Section: of, Line: line, Text: fmt.Sprintf(format, args...)})
}

// note keeps the first of those that say the same of other versions.
func (c *Checker) note(made Complaint) {
	if c.parent != nil {
		made.Rendition = c.name
		c.parent.note(made)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if id := made.Rendition + made.Section + made.Text; !c.known[id] && len(c.complaints) < maxComplaints {
		c.known[id] = true
		c.complaints = append(c.complaints, made)
	}
}

// away says whether the server was away at any time since then.
func (c *Checker) away(since time.Time) bool { return c.cfg.Away != nil && c.cfg.Away(since) }

// pause waits for d, and says whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
