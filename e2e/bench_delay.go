package e2e

import (
	"context"
	"math"
	"strconv"
	"sync"
	"testing"
	"time"
)

// delayProbe is a viewer of one channel from its beginning. It notes when the
// playlist with each part has arrived, as a player with blocking reloads sees
// it.
type delayProbe struct {
	t     testing.TB
	end   func() // and wait
	parts []probedPart
	err   error
}

// probedPart ends so many pictures after the stream's first.
type probedPart struct {
	pictures int
	at       time.Time
}

// partDelay is how long parts took from the publisher to the viewer, in
// milliseconds: from the sending of their last picture, and from that of the
// picture behind it. Only the latter tells a server that the part is whole.
type partDelay struct{ last, next series }

// startDelayProbe watches a channel that has just gone live.
func startDelayProbe(t testing.TB, c *channel) *delayProbe {
	t.Helper()
	c.waitPlayable()
	a := c.newAudience()
	p := &delayProbe{t: t}
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := p.watch(ctx, a); ctx.Err() == nil {
			p.err = err
		}
	})
	p.end = func() { cancel(); ended.Wait() }
	t.Cleanup(p.end)
	return p
}

func (p *delayProbe) watch(ctx context.Context, a *audience) error {
	c, err := dialLoad(a.host)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, c.close)()
	defer c.close()
	path, text, err := a.tuneIn(c)
	if err != nil {
		return err
	}
	var next loadStep // behind those that were seen
	var past float64  // seconds
	for at := time.Now(); ; {
		parts, err := readParts(text, path)
		if err != nil {
			return err
		}
		for _, l := range parts {
			if l.step.before(next) {
				continue
			}
			past += l.duration
			p.parts = append(p.parts, probedPart{int(math.Round(past * replayRate)), at})
			next = loadStep{l.step.msn, l.step.part + 1}
		}
		header, err := c.ask(appendRequest(nil, a.host, path, "?_HLS_msn=", strconv.Itoa(next.msn), "&_HLS_part=", strconv.Itoa(next.part), "&_HLS_skip=YES"))
		if err != nil {
			return err
		}
		coded := string(header)
		if text, err = c.body(); err != nil {
			return err
		}
		at = time.Now()
		if text, err = decodeContent([]byte(coded), text); err != nil {
			return err
		}
	}
}

// stop ends the probe, and compares with what its publisher sent. What came in
// the first seconds does not count.
func (p *delayProbe) stop(publisher *replay) (d partDelay) {
	p.t.Helper()
	p.end()
	if p.err != nil {
		p.t.Fatalf("watch for the delay of parts: %v", p.err)
	}
	begin, _ := publisher.sent(0)
	for _, part := range p.parts {
		last, ok := publisher.sent(part.pictures - 1)
		next, whole := publisher.sent(part.pictures)
		if ok && whole && last.Sub(begin) > settle {
			d.last.add(part.at.Sub(last).Seconds() * 1000)
			d.next.add(part.at.Sub(next).Seconds() * 1000)
		}
	}
	return d
}
