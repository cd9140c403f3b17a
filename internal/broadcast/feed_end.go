package broadcast

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"anabranch/internal/metrics"
	"anabranch/internal/resource"
)

// minRetry and maxRetry bound the pause after the database refused a change. It
// doubles each time.
const (
	minRetry = 100 * time.Millisecond
	maxRetry = 5 * time.Second
)

// Done is closed when the stream has ended, by whomever.
func (f *Feed) Done() <-chan struct{} { return f.done }

// Err says why, once Done is closed: a *[Refused] when the server ended the
// stream, what Close was given when the publisher did.
func (f *Feed) Err() error {
	select {
	case <-f.done:
		return f.err
	default:
		return nil
	}
}

// Close ends the stream from the publisher's side and returns when that is
// stored. cause is nil or the connection's error; a *[Refused], which says
// that the stream itself is at fault, is told in an event: Stream Failure, or
// IVS Limit Breach if it was over a limit.
func (f *Feed) Close(cause error) {
	failure := ""
	var refused *Refused
	if errors.As(cause, &refused) && refused.breach == nil {
		failure = refused.Reason
	}
	f.end(cause, failure)
}

// end ends the stream, unless someone else does so already, and returns when
// that is stored.
func (f *Feed) end(err error, failure string) {
	if !f.ending.CompareAndSwap(false, true) {
		<-f.finished
		return
	}
	f.err = err
	if f.err == nil {
		f.err = errEnded
	}
	close(f.done)
	f.stopChecking()
	// Whatever happens here, the channel is free for the next stream.
	defer close(f.finished)
	defer f.b.release(f)
	if f.endMedia() {
		metrics.StreamsLive.Dec()
		f.log.Info("stream ended", "reason", f.err)
		f.keepDescription()
		f.endSession(failure)
	}
}

// endWithin ends the stream from the server's side. It returns the error of ctx
// if that ends before the end is stored, which goes on then.
func (f *Feed) endWithin(ctx context.Context, reason *Refused) error {
	go f.end(reason, "")
	select {
	case <-f.finished:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fail ends the stream for an error on another goroutine than the publisher's.
// It does not block.
func (f *Feed) fail(err error) { go f.end(err, "") }

var errEnded = errors.New("the publisher ended the stream")

// endMedia ends the path of the media, and says whether a session was opened
// for it.
func (f *Feed) endMedia() (opened bool) {
	f.mu.Lock()
	f.closed = true
	opened = f.opened
	begun := f.cutter != nil
	if begun {
		f.attempt("publish last part", f.cutter.Flush)
	}
	f.mu.Unlock()
	if begun {
		f.attempt("collect renditions", f.collector.finish)
		f.attempt("interrupt live playlist", f.b.interrupt)
		f.attempt("end recording", f.outlet.close)
	}
	return opened
}

// attempt does a step of the stream's end. Whatever becomes of it, the session
// must end.
func (f *Feed) attempt(what string, do func() error) {
	defer func() {
		if p := recover(); p != nil {
			f.log.Error("panic while ending a stream", "step", what, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	if err := do(); err != nil {
		f.log.Error("stream does not end as it should", "step", what, "error", err)
	}
}

// endSession closes the session. It tries for as long as it takes, as the
// channel is not free before; a server that stops leaves it to the next start.
func (f *Feed) endSession(failure string) {
	at := resource.Time(time.Now())
	var breached []resource.LimitBreachDetail
	var refused *Refused
	if errors.As(f.err, &refused) && refused.breach != nil {
		breached = append(breached, *refused.breach)
		metrics.LimitBreaches.WithLabelValues(refused.breach.LimitName).Inc()
	}
	for pause := minRetry; ; pause = min(2*pause, maxRetry) {
		err := f.b.m.Sessions.EndStream(f.b.m.ctx, f.id, at, failure, breached...)
		if err == nil {
			return
		}
		f.log.Error("session cannot be closed", "error", err, "again in", pause)
		select {
		case <-time.After(pause):
		case <-f.b.m.ctx.Done():
			return
		}
	}
}
