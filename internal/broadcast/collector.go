package broadcast

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/transcode"
)

const (
	// maxLateness is how long a part is held back for a rendition that has not
	// come. A stream's first ones are held for maxStart, as the programs that
	// transcode them have yet to start.
	maxLateness = 700 * time.Millisecond
	maxStart    = 3 * time.Second
)

// collector holds a stream's chunks back until every rung has its chunk, and
// publishes them one after the other. Whoever completes the oldest does that: the
// transcoder with a frame, a timer when a rung is late, or the publisher where
// there is nothing to wait for.
//
// begin, add and finish are called from one goroutine at a time.
type collector struct {
	// publish takes a chunk and what the rungs of its ladder made of it, nil for a
	// hole. Calls do not overlap.
	publish func(l *ladder, c *packager.Chunk, rungs []*packager.Chunk) error
	// fail is told why nothing more is published, on whatever goroutine that shows.
	// It must not block.
	fail func(error)

	ladder   *ladder // of the chunks that come
	retiring sync.WaitGroup
	hurry    context.CancelFunc // ends the ladder before; nil when there was none

	// mu guards what follows, and the followers.
	mu      sync.Mutex
	pending []part      // oldest first
	timer   *time.Timer // nil before the first
	set     time.Time   // when timer expires: at the deadline of the oldest
	started time.Time   // when the first part came
	err     error       // why nothing more is published
}

// part is a chunk that waits for its rungs.
type part struct {
	chunk    *packager.Chunk
	ladder   *ladder
	deadline time.Time
	// rungs are what there is of it, known what is decided.
	rungs []*packager.Chunk
	known []bool
}

// begin lets l have the chunks that come from now on. What the ladder before it
// still has is collected in the background.
func (c *collector) begin(l *ladder, start func(out transcode.Output) Transcoding) {
	c.retire()
	c.ladder = l
	if len(l.rungs) > 0 {
		l.run = start(func(rung int, track media.Params, f media.Frame) { c.take(l, rung, track, f) })
	}
}

// transcode takes a frame that chunks will be made of.
func (c *collector) transcode(f media.Frame) {
	if c.ladder.run != nil {
		c.ladder.run.Write(f)
	}
}

// add takes the next chunk, which is the cutter's.
func (c *collector) add(chunk *packager.Chunk) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	l := c.ladder
	if len(l.rungs) == 0 && len(c.pending) == 0 {
		c.err = c.publish(l, chunk, nil)
		return c.err
	}
	now := time.Now()
	if c.started.IsZero() {
		c.started = now
	}
	deadline := now.Add(maxLateness)
	if first := c.started.Add(maxStart); deadline.Before(first) {
		deadline = first
	}
	c.pending = append(c.pending, part{
		chunk: chunk.Clone(), ladder: l, deadline: deadline,
		rungs: make([]*packager.Chunk, len(l.rungs)), known: make([]bool, len(l.rungs)),
	})
	c.advance()
	return c.err
}

// take takes a frame of a rung.
func (c *collector) take(l *ladder, rung int, track media.Params, f media.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.rescue()
	l.followers[rung].Write(track, f)
	if len(c.pending) > 0 && c.pending[0].ladder == l && !c.pending[0].known[rung] {
		c.advance()
	}
}

// expire gives up what is late.
func (c *collector) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.rescue()
	c.advance()
}

// advance publishes what is complete or may not be waited for any longer. c.mu is
// held.
func (c *collector) advance() {
	done := 0
	for c.err == nil && done < len(c.pending) && c.pending[done].complete(time.Now()) {
		p := &c.pending[done]
		done++
		if err := c.publish(p.ladder, p.chunk, p.rungs); err != nil {
			c.stop(err)
		}
	}
	if c.err != nil {
		done = len(c.pending)
	}
	rest := copy(c.pending, c.pending[done:])
	clear(c.pending[rest:])
	c.pending = c.pending[:rest]
	if rest > 0 && c.pending[0].deadline != c.set {
		c.set = c.pending[0].deadline
		if c.timer == nil {
			c.timer = time.AfterFunc(time.Until(c.set), c.expire)
		} else {
			c.timer.Reset(time.Until(c.set))
		}
	}
}

// complete says whether p need not wait any longer, and gives up what is missing
// when its time is over.
func (p *part) complete(now time.Time) bool {
	late := p.ladder.finished || !now.Before(p.deadline)
	complete := true
	for i, follower := range p.ladder.followers {
		if p.known[i] {
			continue
		}
		p.rungs[i], p.known[i] = follower.Follow(p.chunk)
		if !p.known[i] && late {
			p.rungs[i], p.known[i] = follower.Late(p.chunk), true
		}
		complete = complete && p.known[i]
	}
	return complete
}

// stop ends it all. c.mu is held.
func (c *collector) stop(err error) {
	c.err = err
	c.fail(err)
}

// rescue ends the stream, and nothing else, when there was a panic on a goroutine
// that is not the publisher's. c.mu is held.
func (c *collector) rescue() {
	if p := recover(); p != nil {
		c.stop(fmt.Errorf("panic while collecting renditions: %v\n%s", p, debug.Stack()))
	}
}

// retire lets the ladder deliver what it has, for as long as a part may be late,
// and then ends it. The one before it must be done by now: a publisher who changes
// parameters all the time is not to have more than two.
func (c *collector) retire() {
	l := c.ladder
	if l == nil || l.run == nil {
		return
	}
	if c.hurry != nil {
		c.hurry()
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxLateness)
	c.hurry = cancel
	l.run.Finish()
	c.retiring.Go(func() {
		defer cancel()
		select {
		case <-l.run.Done():
		case <-ctx.Done():
		}
		l.run.Kill()
		c.mu.Lock()
		defer c.mu.Unlock()
		defer c.rescue()
		for _, follower := range l.followers {
			follower.Finish()
		}
		l.finished = true
		c.advance()
	})
}

// finish returns when all is published that was added, after 0.7 s at most.
func (c *collector) finish() error {
	c.retire()
	c.retiring.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
	return nil
}
