package recorder

import (
	"context"
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
	for ctx.Err() == nil && !rec.finished {
		next, wait := rec.next(time.Now())
		if next == nil {
			rec.sleep(ctx, wait, rec.wake)
			continue
		}
		err := next(ctx)
		if err == nil {
			pause = minRetry
			continue
		}
		if ctx.Err() != nil {
			return
		}
		rec.log.Warn("recording cannot go on for now", "error", err, "again in", pause)
		// Half of the pause is random, so that recordings do not all come at
		// once when the network is back.
		rec.sleep(ctx, pause/2+rand.N(pause/2), nil)
		pause = min(2*pause, maxRetry)
	}
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
	ended, started := rec.ending != nil, rec.told > 0
	named := rec.Bare || rec.rendition() != ""
	switch {
	case ended && rec.ending.Refused, ended && rec.ending.Failure != "" && !started && rec.empty():
		return rec.tellRefusal, 0
	case ended && !started && rec.empty():
		return rec.drop, 0
	case !started && rec.empty():
		// It starts with its first part.
	case !rec.probed:
		return rec.probe, 0
	case !started || rec.unknown:
		return rec.tellStart, 0
	case rec.told < len(rec.settledStreams()):
		return rec.tellJoin, 0
	case !rec.announced && named:
		return rec.announce, 0
	case rec.headersDone < len(rec.headers) && named:
		return rec.storeHeader, 0
	case rec.unstored() != nil:
		return rec.storeObject, 0
	case ended:
		return rec.finish, 0
	}
	wait := time.Hour
	if rec.stored() > rec.listed {
		if wait = rec.refreshed.Add(rec.refreshInterval(now)).Sub(now); wait <= 0 {
			return rec.refresh, 0
		}
	}
	if rec.waits() {
		wait = min(wait, rec.deadline.Sub(now))
	}
	return nil, wait
}

func (rec *recording) refreshInterval(now time.Time) time.Duration {
	if now.Sub(rec.Recording.StartedAt) < early {
		return refreshEarly
	}
	return refreshLate
}
