package rtc

import (
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"anabranch/internal/media"
)

// A Reader takes what a source's publishers send apart, inside the server: whole
// pictures and packets of sound, in order, each with the time when it was captured.
//
//	lane's cache → readerLane: in order, repairs awaited ┬→ assembly ─→ pictures ┐
//	               └→ stretch, clock: times              └→ packets of sound ────┴→ Next
//
// A reader is one more who takes packets from the cache, when it has time. It never
// holds up the publisher or the pumps: who falls behind the cache has lost packets.
type Reader struct {
	source    *Source
	origin    time.Time // what its clocks count from
	wake      chan struct{}
	closed    chan struct{}
	closeOnce sync.Once

	// Next's own.
	lanes  [kinds]*readerLane
	frames []Frame
	given  int // how many of frames have been returned
	timer  *time.Timer
}

// Frame is a picture or a packet of sound that a publisher sent.
type Frame struct {
	Kind media.Kind
	// Connection tells by which of the publisher's connections the frame came; it
	// rises.
	Connection uint64
	// Time is when the frame was captured, on the server's clock: late by the least
	// time that the network takes. It rises from frame to frame of a kind and a
	// connection.
	Time time.Time
	// Arrived is when the frame's last packet came.
	Arrived time.Time
	// Key marks an IDR picture, and all sound.
	Key bool
	// Payload is length-prefixed NAL units with the parameter sets before each IDR
	// picture, as in [media.Frame], or one packet of Opus. It is never written to again.
	Payload []byte
	// Video has the picture's parameters. The pointer stays the same for as long as
	// they do; it is nil for sound.
	Video *media.VideoParams
	// Lost is how long a time before this frame is missing of its kind for good; 0:
	// nothing is. Silence that is not sent (DTX) is no loss.
	Lost time.Duration
}

// Patience is how long a reader waits for a packet that is missing, from when the one
// behind it came. Nothing else delays a frame, but for the first half second of a
// connection: the clock is found in it.
const Patience = 3 * time.Second

// Read begins to read what the source's publishers send from now on, and what the
// cache holds of the newest connection, unless that has ended. Several readers may read
// one source. Who reads calls Close.
//
// Pictures begin with a key frame, for which the publisher is asked, and go on with the
// next one after a loss. B-frames are left out: a picture that is not shown later than
// the one before is none that WebRTC knows.
func (s *Source) Read() *Reader {
	r := &Reader{source: s, origin: time.Now(), wake: make(chan struct{}, 1), closed: make(chan struct{})}
	s.mu.Lock()
	newest := max(s.generations, s.ended+1)
	s.mu.Unlock()
	s.readers.Add(1)
	for kind, l := range s.lanes {
		r.lanes[kind] = newReaderLane(r, l, newest)
		l.mu.Lock()
		l.readers = append(l.readers, r)
		l.mu.Unlock()
	}
	return r
}

// Next returns the next frame, of either kind. It waits for one until ctx ends, and
// then returns its error. It returns io.EOF when the reader is closed, and when the
// source is and everything has been read. Only one goroutine may call it at a time.
func (r *Reader) Next(ctx context.Context) (Frame, error) {
	for {
		select {
		case <-r.closed:
			return Frame{}, io.EOF
		default:
		}
		if r.given < len(r.frames) {
			f := r.frames[r.given]
			r.frames[r.given] = Frame{} // the next may be long in coming
			r.given++
			return f, nil
		}
		r.frames, r.given = r.frames[:0], 0
		next, ended := r.read()
		switch {
		case len(r.frames) > 0 || next == 0:
		case ended:
			return Frame{}, io.EOF
		default:
			if err := r.wait(ctx, next); err != nil {
				return Frame{}, err
			}
		}
	}
}

// together is how long a time's packets are taken from both lanes at once: who is behind
// still gets sound and pictures as they came.
const together = 100 * time.Millisecond

// read takes some packets of each lane. It tells how long there is nothing more to do
// unless packets come, and whether none will ever come.
func (r *Reader) read() (next time.Duration, ended bool) {
	next, ended = Patience, true
	now := time.Now()
	until := now
	for _, l := range r.lanes {
		if first, some := l.unread(); some && first.Add(together).Before(until) {
			until = first.Add(together)
		}
	}
	for _, l := range r.lanes {
		again, end := l.read(now, until)
		next, ended = min(next, again), ended && end
	}
	return next, ended
}

// wait waits for packets, d at most, or an end.
func (r *Reader) wait(ctx context.Context, d time.Duration) error {
	if r.timer == nil {
		r.timer = time.NewTimer(d)
	} else {
		r.timer.Reset(d)
	}
	select {
	case <-r.wake:
	case <-r.closed:
	case <-r.timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// WantKeyFrame asks the publisher for a key frame, as for subscribers: every half
// second at most, until one has come.
func (r *Reader) WantKeyFrame() {
	l := r.source.lanes[video]
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wantKeyFrame()
}

// Close ends the reader: Next returns io.EOF. A second close does nothing.
func (r *Reader) Close() {
	r.closeOnce.Do(func() {
		close(r.closed)
		for _, l := range r.source.lanes {
			l.mu.Lock()
			l.readers = slices.DeleteFunc(l.readers, func(other *Reader) bool { return other == r })
			l.mu.Unlock()
		}
		r.source.readers.Add(-1)
	})
}

// waits is how long somebody can make use of a packet that is missing.
func (s *Source) waits() time.Duration {
	if s.readers.Load() > 0 {
		return askForRead
	}
	return askFor
}

// wakeReaders tells of packets, or an end. mu is held.
func (l *lane) wakeReaders() {
	for _, r := range l.readers {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}
