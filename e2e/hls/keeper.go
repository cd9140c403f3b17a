package hls

import (
	"context"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"
)

// keeper knows what has been fetched, and asks for it again before it may be
// gone.
type keeper struct {
	c *Checker

	mu    sync.Mutex
	media map[string]*kept // by URL
}

type kept struct {
	sum   [sha256.Size]byte
	until time.Time // when the server may forget it; zero while it is told of
}

// margin is how long before a promise ends it is tried.
const margin = 1500 * time.Millisecond

func newKeeper(c *Checker) *keeper { return &keeper{c: c, media: map[string]*kept{}} }

// fetched notes what was behind a URL, which must be the same each time.
func (k *keeper) fetched(url string, data []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	sum := sha256.Sum256(data)
	known := k.media[url]
	if known == nil {
		k.media[url] = &kept{sum: sum}
	} else if known.sum != sum {
		k.c.complain("6.2.1", nil, "", "%s is something else than before", path(url))
	}
}

// removed notes that a URI has left the playlist, and must be there until then.
func (k *keeper) removed(playlist, uri string, until time.Time) {
	url, err := resolve(playlist, uri)
	if err != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if m := k.media[url]; m != nil && m.until.IsZero() {
		m.until = until
	}
}

// run asks for each thing again, shortly before the server may forget it.
func (k *keeper) run(ctx context.Context) {
	for pause(ctx, 250*time.Millisecond) {
		now := time.Now()
		k.again(ctx, func(until time.Time) bool { return !until.IsZero() && until.Before(now.Add(margin)) })
	}
}

// finish asks once more for everything that must be there.
func (k *keeper) finish(ctx context.Context) { k.again(ctx, func(time.Time) bool { return true }) }

// again fetches what is due, and forgets it.
func (k *keeper) again(ctx context.Context, due func(until time.Time) bool) {
	k.mu.Lock()
	some := map[string]*kept{}
	for url, m := range k.media {
		if due(m.until) {
			some[url] = m
			delete(k.media, url)
		}
	}
	k.mu.Unlock()
	for url, m := range some {
		began := time.Now()
		a, err := k.c.fetch(ctx, url)
		switch {
		case ctx.Err() != nil:
			return
		case k.c.away(began):
		case err != nil:
			k.c.complain("6.2.2", nil, "", "again %s: %v", path(url), err)
		case !m.until.IsZero() && time.Now().After(m.until): // it may be gone
		case a.status != http.StatusOK:
			k.c.complain("6.2.2", nil, "", "again %s: status %d, but it must be there until %s", path(url), a.status, m.untilText())
		case sha256.Sum256(a.body) != m.sum:
			k.c.complain("6.2.1", nil, "", "again %s: it is something else than before", path(url))
		}
	}
}

func (m *kept) untilText() string {
	if m.until.IsZero() {
		return "it has left the playlist, and longer"
	}
	return m.until.Format("15:04:05.000")
}
