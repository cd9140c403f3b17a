package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"anabranch/e2e/hls"
)

// viewer watches a channel from its first part to the test's end, and fails the
// test when the stream breaks a rule. It is patient while the server is away.
type viewer struct {
	*hls.Checker
	t     testing.TB
	stop  func() // and wait, while the server is still there
	ended bool   // the stream is meant to end
}

// watch starts the channel's viewer, if it has none yet. Adjustments come too
// late for one that is there already.
func (c *channel) watch(adjust ...func(*hls.Config)) *viewer {
	c.server.t.Helper()
	if c.viewer != nil {
		return c.viewer
	}
	cfg := hls.Config{URL: *c.PlaybackUrl, Away: c.server.presence.away, Keep: true}
	for _, f := range adjust {
		f(&cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	v := &viewer{Checker: hls.New(cfg), t: c.server.t}
	c.viewer = v
	var running sync.WaitGroup
	running.Go(func() { v.Run(ctx) })
	v.stop = func() { cancel(); running.Wait() }
	v.t.Cleanup(func() {
		v.stop()
		v.report()
	})
	return v
}

// publish starts a publisher of p, and the channel's viewer.
func (c *channel) publish(p picture) *publisher {
	c.server.t.Helper()
	c.watch()
	return publish(c.server.t, c.rtmp(), p)
}

// newest is the newest version of the playlist that came, the first if none has
// come yet.
func (v *viewer) newest() (p *hls.Playlist) {
	v.t.Helper()
	eventually(v.t, 20*time.Second, "the viewer has a playlist", func() error {
		if p = v.Newest(); p == nil {
			return fmt.Errorf("there is none")
		}
		return nil
	})
	return p
}

// report tells what the viewer complains of.
func (v *viewer) report() {
	v.t.Helper()
	all := v.Complaints()
	for _, complaint := range all[:min(len(all), 8)] {
		v.t.Errorf("%v", complaint)
	}
	if more := len(all) - 8; more > 0 {
		v.t.Errorf("and %d more complaints", more)
	}
	switch p := v.Newest(); {
	case p == nil:
		v.t.Error("the viewer saw nothing")
	case p.Ended != v.ended:
		v.t.Errorf("the playlist has ended: %t, not %t", p.Ended, v.ended)
	}
}

// check ends the viewing. All that was seen must be one stream that decodes,
// with as many discontinuities as there were joins.
func (v *viewer) check(joins int) {
	v.t.Helper()
	v.stop()
	media := v.Media()
	if len(media) == 0 {
		v.t.Fatal("the viewer saw nothing")
	}
	if n := v.Joins(); n != joins {
		v.t.Errorf("the viewer saw %d discontinuities, not %d", n, joins)
	}
	for i, data := range media {
		path := filepath.Join(v.t.TempDir(), fmt.Sprintf("seen%d.mp4", i))
		if err := os.WriteFile(path, data, 0o600); err != nil {
			v.t.Fatal(err)
		}
		decode(v.t, path)
		video := timing(v.t, path, "v:0")
		v.t.Logf("seen live: %v; video %v", v.Seen(), video)
		if video.packets == 0 {
			v.t.Errorf("%s has no pictures", path)
		}
	}
}

// presence knows when a server was there.
type presence struct {
	mu   sync.Mutex
	gone bool
	back time.Time
}

func (p *presence) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
}

func (p *presence) arrive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone, p.back = false, time.Now()
}

// away says whether the server was away at any time since then.
func (p *presence) away(since time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone || p.back.After(since)
}
