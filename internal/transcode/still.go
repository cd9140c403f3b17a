package transcode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"anabranch/internal/media"
	"anabranch/internal/metrics"
)

const (
	// stillWorkers is how many stills are made at a time.
	stillWorkers = 2

	// maxStillOwners and maxStillBytes bound what waits to be made: the owners,
	// and the bytes of their pictures.
	maxStillOwners = 512
	maxStillBytes  = 64 << 20
)

// errStillStopped is told to those whose stills are not made, for the server stops.
var errStillStopped = errors.New("the server stops")

// Stills makes JPEGs of key frames, two at a time, whoever wants them. It
// works on the side: what is refused, replaced or goes wrong costs that still
// and nothing else.
type Stills struct {
	ffmpeg string
	log    *slog.Logger
	wake   chan struct{} // something waits
	cannot sync.Once     // said that the program cannot be run

	// mu guards what follows.
	mu      sync.Mutex
	waiting map[string]*still // by owner
	queue   []string          // the owners of waiting, in the order they came
	busy    map[string]bool   // owners whose still is being made
	bytes   int               // of the pictures in waiting
	stopped bool
}

// still is one to be made.
type still struct {
	video *media.VideoParams
	key   media.Frame
	done  func(jpeg []byte, err error)
}

// NewStills makes stills with ffmpeg, a path or a name in $PATH, once Run
// runs.
func NewStills(ffmpeg string, log *slog.Logger) *Stills {
	return &Stills{
		ffmpeg: ffmpeg, log: log, wake: make(chan struct{}, stillWorkers),
		waiting: make(map[string]*still), busy: make(map[string]bool),
	}
}

// Take asks for a JPEG of key, a key frame of a track v, in the size it has. It
// does not block, and keeps the payload until the still is made.
//
// An owner's stills are made one after the other, and its newest request
// replaces the one that has not begun, which is forgotten. Any other ends with
// done, called once from a goroutine of Run's, with the JPEG or why there is
// none; done may block, at the cost of other stills alone. Where ok is false the
// request is refused, because too many wait or Run has ended, and done is not
// called.
func (s *Stills) Take(owner string, v *media.VideoParams, key media.Frame, done func(jpeg []byte, err error)) (ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	older := s.waiting[owner]
	grows := len(key.Payload)
	if older != nil {
		grows -= len(older.key.Payload)
	}
	if s.stopped || older == nil && len(s.queue) >= maxStillOwners || s.bytes+grows > maxStillBytes {
		metrics.StillsRefused.Inc()
		return false
	}
	if older != nil {
		metrics.StillsReplaced.Inc()
	} else {
		s.queue = append(s.queue, owner)
	}
	s.waiting[owner] = &still{v, key, done}
	s.bytes += grows
	select {
	case s.wake <- struct{}{}:
	default: // as many as there are workers know
	}
	return true
}

// Run makes stills until ctx ends, which also ends those under way.
func (s *Stills) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	for range stillWorkers {
		workers.Go(func() { s.work(ctx) })
	}
	workers.Wait()

	s.mu.Lock()
	s.stopped = true
	left := s.waiting
	s.waiting, s.queue, s.bytes = nil, nil, 0
	s.mu.Unlock()
	for _, r := range left {
		r.done(nil, errStillStopped)
	}
	return nil
}

// work makes one still after the other.
func (s *Stills) work(ctx context.Context) {
	for ctx.Err() == nil {
		owner, r := s.next()
		if r == nil {
			select {
			case <-s.wake:
			case <-ctx.Done():
			}
			continue
		}
		jpeg, err := s.make(ctx, r)
		r.done(jpeg, err)
		s.mu.Lock()
		delete(s.busy, owner)
		s.mu.Unlock()
	}
}

// next takes the still that has waited longest, of an owner for whom none is
// being made: whoever makes that comes for the next.
func (s *Stills) next() (owner string, r *still) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.queue, func(owner string) bool { return !s.busy[owner] })
	if i < 0 {
		return "", nil
	}
	owner = s.queue[i]
	r = s.waiting[owner]
	s.queue = slices.Delete(s.queue, i, i+1)
	delete(s.waiting, owner)
	s.bytes -= len(r.key.Payload)
	s.busy[owner] = true
	return owner, r
}

// make decodes the picture and encodes it anew.
func (s *Stills) make(ctx context.Context, r *still) ([]byte, error) {
	jpeg, err := stillOf(ctx, s.ffmpeg, r.video, r.key.Payload)
	if ctx.Err() != nil {
		return nil, errStillStopped
	}
	if err != nil {
		metrics.StillsFailed.Inc()
		if errors.Is(err, errCannotRun) {
			s.cannot.Do(func() { s.log.Warn("stills cannot be made", "error", err) })
		}
		return nil, fmt.Errorf("make still: %w", err)
	}
	return jpeg, nil
}
