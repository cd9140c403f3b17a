package ingest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"anabranch/internal/broadcast"
	"anabranch/internal/media"
)

// recordedFeed is a Feed that keeps what it gets.
type recordedFeed struct {
	request broadcast.Request

	// mu guards what follows.
	mu           sync.Mutex
	descriptions []media.Description
	frames       []media.Frame
	describedAt  []int // how many frames came before each description
	cause        error
	err          error // why it was ended
	writeErr     error // what Write returns
	panics       bool  // Write panics
	received     []int // the lengths of messages
	receivedErr  error // what Received returns

	done, closed         chan struct{}
	onceDone, onceClosed sync.Once
}

func newRecordedFeed() *recordedFeed {
	return &recordedFeed{done: make(chan struct{}), closed: make(chan struct{})}
}

func (f *recordedFeed) Describe(d media.Description) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.descriptions = append(f.descriptions, d)
	f.describedAt = append(f.describedAt, len(f.frames))
	return nil
}

func (f *recordedFeed) Write(fr media.Frame) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.panics {
		panic("no room for stream key " + f.request.Key)
	}
	if len(f.descriptions) == 0 {
		return errors.New("a frame came before the description")
	}
	f.frames = append(f.frames, fr)
	return f.writeErr
}

func (f *recordedFeed) Received(n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.received = append(f.received, n)
	return f.receivedErr
}

func (f *recordedFeed) Done() <-chan struct{} { return f.done }

func (f *recordedFeed) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *recordedFeed) Close(cause error) {
	f.onceClosed.Do(func() {
		f.mu.Lock()
		f.cause = cause
		f.mu.Unlock()
		close(f.closed)
	})
}

func (f *recordedFeed) StreamID() string  { return "st-1" }
func (f *recordedFeed) ChannelID() string { return "abc" }

// stop ends the feed from the server's side.
func (f *recordedFeed) stop(err error) {
	f.onceDone.Do(func() {
		f.mu.Lock()
		f.err = err
		f.mu.Unlock()
		close(f.done)
	})
}

// kind returns the frames of one kind.
func (f *recordedFeed) kind(k media.Kind) (frames []media.Frame) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fr := range f.frames {
		if fr.Kind == k {
			frames = append(frames, fr)
		}
	}
	return frames
}

// last returns the description in force.
func (f *recordedFeed) last(t *testing.T) media.Description {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.descriptions) == 0 {
		t.Fatal("the stream was not described")
	}
	return f.descriptions[len(f.descriptions)-1]
}

// publishers hands out feeds, or refuses.
type publishers struct {
	refusal error
	feeds   chan *recordedFeed
	prepare func(*recordedFeed)
}

func newPublishers() *publishers { return &publishers{feeds: make(chan *recordedFeed, 16)} }

func (s *publishers) publish(_ context.Context, req broadcast.Request) (Feed, error) {
	if s.refusal != nil {
		return nil, s.refusal
	}
	f := newRecordedFeed()
	f.request = req
	if s.prepare != nil {
		s.prepare(f)
	}
	s.feeds <- f
	return f, nil
}
