// Package ingest takes publishers in: it speaks their protocol and turns what
// they send into frames of a broadcast.
//
//	encoder ─TCP or TLS→ RTMPServer → wire ─messages→ rtmpConn ─FLV tags→ flvDemuxer → intake → Feed
//	                     accept,      chunks,         commands            access       hold,
//	                     bound        protocol                            units        describe
//
// A wire puts messages together from chunks, within bounds, and answers what
// the protocol itself asks. An rtmpConn leads one publisher through the
// commands and tells it in words why it is turned away or sent off. The
// flvDemuxer unpacks H.264 and AAC. The intake waits until it is known what the
// stream is made of, because a feed is described before its first frame.
//
// A connection is one goroutine that reads, with timers and contexts at its
// side which do no more than interrupt that read. Whoever ends a stream, the
// same goroutine writes the last message and closes the connection.
//
// A stream key is a secret. It appears in no log, and neither do URLs nor the
// application names of clients, which contain it when mistyped.
package ingest

import (
	"context"

	"anabranch/internal/broadcast"
	"anabranch/internal/media"
)

// Feed is where a publisher's frames go. *[broadcast.Feed] is one.
type Feed interface {
	// Describe comes before the first Write, and again whenever something in
	// the description changes.
	Describe(d media.Description) error
	// Received tells that n bytes came, whatever they are of and becomes of
	// them; an error ends the stream.
	Received(n int) error
	// Write takes a frame whose times are 90 kHz ticks on the publisher's
	// clock, wraps and jumps included.
	Write(f media.Frame) error
	// Done is closed when the stream has ended; Err then says why.
	Done() <-chan struct{}
	Err() error
	// Close ends the stream. The cause is nil when the publisher said so.
	Close(cause error)
	StreamID() string
	ChannelID() string
}

// PublishFunc opens a feed. It may take seconds, while it waits for another
// publisher to give way. The error is a *[broadcast.Refused] when the reason
// is meant for the publisher.
type PublishFunc func(ctx context.Context, req broadcast.Request) (Feed, error)

// Into publishes to the broadcasts of m.
func Into(m *broadcast.Manager) PublishFunc {
	return func(ctx context.Context, req broadcast.Request) (Feed, error) {
		f, err := m.Publish(ctx, req)
		if err != nil {
			return nil, err
		}
		return f, nil
	}
}

// rejected makes the error that ends a stream whose content cannot be taken.
func rejected(reason string) error {
	return &broadcast.Refused{Code: broadcast.CodeRejected, Reason: reason}
}
