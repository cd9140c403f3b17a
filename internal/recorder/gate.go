package recorder

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"anabranch/internal/objectstore"
)

const (
	// maxPuts is how many uploads of a kind are under way at a time, maxPutsEach
	// how many of them to one bucket.
	maxPuts     = 32
	maxPutsEach = 8
)

// gate lets uploads through: so many at a time, those of the oldest media
// first. A bucket that cannot be reached is tried by one upload at a time, less
// and less often. So it takes no room from other buckets, and what waits for it
// does not come all at once when it is back.
type gate struct {
	// mu guards what follows, and the tickets.
	mu      sync.Mutex
	busy    int // uploads under way
	buckets map[string]*access
	waiting []*ticket
}

// access is how a bucket may be used.
type access struct {
	busy  int
	away  bool // it could not be reached the last time
	pause time.Duration
	until time.Time // the end of the pause
}

// ticket is an upload's place in the gate.
type ticket struct {
	bucket string
	since  time.Time     // age of what is uploaded
	open   chan struct{} // closed when it may go
	trial  bool          // it finds out whether the bucket is back
}

func newGate() *gate { return &gate{buckets: make(map[string]*access)} }

// pass makes an upload, in its turn. since is the age of what it uploads.
func (g *gate) pass(ctx context.Context, bucket string, since time.Time, upload func() error) error {
	t := &ticket{bucket: bucket, since: since, open: make(chan struct{})}
	g.mu.Lock()
	if g.buckets[bucket] == nil {
		g.buckets[bucket] = &access{}
	}
	g.waiting = append(g.waiting, t)
	g.admit()
	g.mu.Unlock()

	select {
	case <-t.open:
	case <-ctx.Done():
		if g.leave(t) {
			return ctx.Err()
		}
	}
	err := upload()
	g.done(t, err, ctx.Err() != nil)
	return err
}

// leave takes t out of the queue. It is false when t may go by now.
func (g *gate) leave(t *ticket) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, w := range g.waiting {
		if w == t {
			g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// admit lets through what may go. mu is held.
func (g *gate) admit() {
	for now := time.Now(); g.busy < maxPuts; {
		next := -1
		for i, t := range g.waiting {
			if g.buckets[t.bucket].admits(now, maxPuts-g.busy) && (next < 0 || t.since.Before(g.waiting[next].since)) {
				next = i
			}
		}
		if next < 0 {
			return
		}
		t := g.waiting[next]
		g.waiting = append(g.waiting[:next], g.waiting[next+1:]...)
		a := g.buckets[t.bucket]
		g.busy++
		a.busy++
		t.trial = a.away
		close(t.open)
	}
}

// admits says whether one more upload may go, when free are left of all: never
// more than are then left to others, so that no few slow buckets have them all.
func (a *access) admits(now time.Time, free int) bool {
	if a.away {
		return a.busy == 0 && !now.Before(a.until)
	}
	return a.busy < min(maxPutsEach, free)
}

// done gives t's place to the next. An upload that was called off tells nothing
// about its bucket. A refusal does: the bucket answers.
func (g *gate) done(t *ticket, err error, calledOff bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.buckets[t.bucket]
	g.busy--
	a.busy--
	switch {
	case err == nil || objectstore.Refused(err):
		a.away, a.pause = false, 0
	case calledOff, a.away && !t.trial:
	default:
		a.away, a.pause = true, min(max(2*a.pause, minRetry), maxRetry)
		pause := a.pause/2 + rand.N(a.pause/2)
		a.until = time.Now().Add(pause)
		time.AfterFunc(pause, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.admit()
		})
	}
	g.admit()
}
