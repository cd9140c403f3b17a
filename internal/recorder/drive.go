package recorder

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// minRetry and maxRetry bound the pause after a step that went wrong. It
	// doubles each time.
	minRetry = 500 * time.Millisecond
	maxRetry = 30 * time.Second

	// How often at most the playlists are stored while the recording goes on:
	// in the first hour, and later, when they are long.
	refreshEarly = 10 * time.Second
	refreshLate  = 30 * time.Second
	early        = time.Hour

	// checkInterval is how often the bucket of a recording that waits for its
	// broadcaster is looked at.
	checkInterval = 10 * time.Second

	never = time.Duration(math.MaxInt64)
)

// A step brings a recording forward. It may be taken again after an error, and
// after a restart.
type step func(context.Context) error

// run drives the recording until it is finished, which it returns, or ctx
// ends.
func (rec *recording) run(ctx context.Context) (finished bool) {
	syncing, cancel := context.WithCancel(ctx)
	var syncer sync.WaitGroup
	syncer.Go(func() { rec.keepSynced(syncing) })
	rec.drive(ctx)
	cancel()
	syncer.Wait()

	rec.mu.Lock()
	defer rec.mu.Unlock()
	if !rec.finished {
		return false
	}
	if err := rec.removeSpool(); err != nil {
		rec.log.Error("spool of finished recording cannot be removed", "error", err)
	}
	return true
}

// drive takes one step after the other. A step that goes wrong is taken again
// after a pause, for as long as it takes.
func (rec *recording) drive(ctx context.Context) {
	pause := minRetry
	work := rec.hurriable(ctx)
	for ctx.Err() == nil && !rec.finished {
		if work.Err() != nil {
			work = ctx
		}
		next, wait := rec.next(time.Now())
		if next == nil {
			rec.sleep(work, wait, rec.wake)
			continue
		}
		err := next(work)
		if err == nil {
			pause = minRetry
			continue
		}
		if work.Err() != nil || rec.bucketGone(err) {
			continue
		}
		rec.log.Warn("recording cannot go on for now", "error", err, "again in", pause)
		// Half of the pause is random, so that recordings do not all come at
		// once when the network is back.
		rec.sleep(work, pause/2+rand.N(pause/2), nil)
		pause = min(2*pause, maxRetry)
	}
}

// hurriable is ctx until the recording fails: then it ends, because that is to
// be told at once, whatever is under way for the bucket. It ends only once.
func (rec *recording) hurriable(ctx context.Context) context.Context {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	ctx, rec.hurry = context.WithCancel(ctx)
	if rec.failed() {
		rec.hurry()
	}
	return ctx
}

// sleep waits for d, for wake or for the end of ctx.
func (rec *recording) sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// next is the step to take now, or how long there is none unless the state
// changes.
func (rec *recording) next(now time.Time) (step, time.Duration) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.expire(now)
	ended, started, failed := rec.ending != nil, rec.told > 0, rec.failed()
	named := rec.named()
	due := rec.due(now)
	switch {
	case (ended && rec.ending.Refused || failed && !started && rec.empty()) && !rec.failureTold:
		return rec.tellRefusal, 0
	case ended && rec.ending.Refused, failed && !started && rec.empty():
		return rec.storeRefusal, 0
	case ended && !started && rec.empty():
		return rec.drop, 0
	case !started && rec.empty():
		// It starts with its first part.
	case !rec.probed && !(failed && !rec.failureTold): // which is told at once
		return rec.probe, 0
	case !started || rec.unknown:
		return rec.tellStart, 0
	case rec.told < len(rec.settledStreams()):
		return rec.tellJoin, 0
	case failed && !rec.failureTold:
		return rec.tellFailure, 0
	case !rec.announced && named:
		return rec.announce, 0
	case rec.unstoredHeader() >= 0 && named:
		return rec.storeHeader, 0
	case due <= 0 && !(ended && rec.unstored() == nil):
		return rec.refresh, 0
	case rec.unstored() != nil:
		return rec.storeObject, 0
	case len(rec.thumbs.spooled) > 0:
		return rec.storeThumbnail, 0
	case ended && rec.thumbnailWait(now) > 0:
		return nil, rec.thumbnailWait(now)
	case ended:
		return rec.finish, 0
	}
	wait := min(time.Hour, due)
	if rec.waits() {
		wait = min(wait, rec.deadline.Sub(now))
		if rec.layout().probe() != "" {
			check := rec.checked.Add(checkInterval).Sub(now)
			if check <= 0 {
				return rec.check, 0
			}
			wait = min(wait, check)
		}
	}
	return nil, wait
}

// due is how long the playlists need not be stored: 0 or less when they are to
// be.
func (rec *recording) due(now time.Time) time.Duration {
	if rec.stored() <= rec.listed {
		return never
	}
	return rec.refreshed.Add(rec.refreshInterval(now)).Sub(now)
}

func (rec *recording) refreshInterval(now time.Time) time.Duration {
	if now.Sub(rec.Recording.StartedAt) < early {
		return refreshEarly
	}
	return refreshLate
}
