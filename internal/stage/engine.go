package stage

import (
	"context"

	"anabranch/internal/rtc"
)

// Engine is what rooms need of package rtc; [Media] makes one.
type Engine interface {
	// Publish answers an offer whose media goes to src.
	Publish(ctx context.Context, offer []byte, src *rtc.Source, limits rtc.Limits) (Session, []byte, error)
	// Subscribe answers an offer that wants src's media.
	Subscribe(ctx context.Context, offer []byte, src *rtc.Source) (Session, []byte, error)
}

// Session is one WebRTC connection, as [rtc.Session].
type Session interface {
	ID() string
	ETag() string
	Patch(ifMatch string, fragment []byte) (answer []byte, etag string, err error)
	Connected() <-chan struct{}
	Flowing() <-chan struct{}
	Done() <-chan struct{}
	Err() error
	Close(cause error)
	Stats() rtc.Stats
}

// Media lets rooms use an engine of package rtc.
func Media(e *rtc.Engine) Engine { return media{e} }

type media struct{ engine *rtc.Engine }

func (m media) Publish(ctx context.Context, offer []byte, src *rtc.Source, limits rtc.Limits) (Session, []byte, error) {
	s, answer, err := m.engine.Publish(ctx, offer, src, limits)
	if err != nil {
		return nil, nil, err // not a Session that is a nil pointer
	}
	return s, answer, nil
}

func (m media) Subscribe(ctx context.Context, offer []byte, src *rtc.Source) (Session, []byte, error) {
	s, answer, err := m.engine.Subscribe(ctx, offer, src)
	if err != nil {
		return nil, nil, err
	}
	return s, answer, nil
}
