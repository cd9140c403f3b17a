package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"anabranch/internal/broadcast"
	"anabranch/internal/metrics"
)

const (
	// publishTimeout is how long a client may take to its publish command,
	// whatever else it sends.
	publishTimeout = 10 * time.Second
	// idleTimeout is how long a publisher may take for a whole message; those
	// of the protocol itself do not count.
	idleTimeout = 30 * time.Second
	// lingerTimeout is how long a client may take to read the last message
	// and to hang up.
	lingerTimeout = time.Second
	// maxLinger bounds what is read of it meanwhile, in bytes.
	maxLinger = 16 << 20
)

// Why the server ends a connection by itself.
var (
	errSlow     = fmt.Errorf("no publish command came within %v", publishTimeout)
	errIdle     = fmt.Errorf("no message came for %v", idleTimeout)
	errStopping = errors.New("the server is stopping; reconnect to go on")
	errInternal = errors.New("internal error")
)

// rtmpConn is one connection. Everything reads and writes on the goroutine of
// serve; who wants to end the connection cancels its context, which interrupts
// the read.
type rtmpConn struct {
	publish  PublishFunc
	settled  func() // to be called when publishing begins
	log      *slog.Logger
	conn     net.Conn
	wire     *wire
	protocol string
	began    time.Time
	timer    *time.Timer // ends the connection when the client is too slow
	watch    sync.WaitGroup

	app   string // of the connect command; secret, as it may hold the key
	key   string // the stream key; secret
	agent string // what the client calls itself
	told  bool   // the client knows why it is sent off
	feed  Feed   // nil before publishing
	demux flvDemuxer
}

func newRTMPConn(cfg *RTMPConfig, conn net.Conn, protocol string, settled func()) *rtmpConn {
	return &rtmpConn{
		publish: cfg.Publish, settled: settled,
		log:  cfg.Log.With("protocol", protocol, "remote", conn.RemoteAddr().String()),
		conn: conn, wire: newWire(conn), protocol: protocol, began: time.Now(),
	}
}

// serve leads the client from the handshake to the end of its stream.
func (c *rtmpConn) serve(ctx context.Context) {
	defer c.watch.Wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() {
		_ = c.conn.SetReadDeadline(time.Unix(1, 0)) // long ago: interrupts the read
	})
	defer stop()
	c.timer = time.AfterFunc(publishTimeout, func() { cancel(errSlow) })
	defer func() { c.timer.Stop() }()

	err := c.protect(func() error { return c.session(ctx, cancel) })
	if ctx.Err() != nil && (errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.Canceled)) {
		if err = context.Cause(ctx); errors.Is(err, context.Canceled) {
			err = errStopping
		}
	}
	_ = c.protect(func() error { c.end(err); return nil })
}

// protect turns a panic in f into an error, so that one client cannot end the
// streams of all.
func (c *rtmpConn) protect(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("panic while serving a publisher", "panic", c.redact(fmt.Sprint(p)), "stack", string(debug.Stack()))
			err = errInternal
		}
	}()
	return f()
}

// session is what happens between the first byte and the end of the stream. It
// returns nil when the publisher ended it in due form.
func (c *rtmpConn) session(ctx context.Context, cancel context.CancelCauseFunc) error {
	if err := c.wire.open(); err != nil {
		return err
	}
	if err := c.negotiate(); err != nil {
		return err
	}
	c.timer.Stop() // the wait for another publisher to give way is not the client's fault
	feed, err := c.publish(ctx, broadcast.Request{
		Key: c.key, Secure: c.protocol == "RTMPS", Protocol: c.protocol, RemoteAddr: c.conn.RemoteAddr().String(),
	})
	if err != nil {
		return err
	}
	c.feed = feed
	c.demux.in = &intake{feed: feed}
	c.watch.Go(func() {
		select {
		case <-feed.Done():
			cancel(feed.Err())
		case <-ctx.Done():
		}
	})
	c.settled()
	c.wire.accepted(feed.Received)
	c.log = c.log.With("channel", feed.ChannelID(), "stream", feed.StreamID())
	c.log.Info("publisher connected", "agent", c.agent)
	if err := c.wire.publishing(); err != nil {
		return err
	}
	c.timer = time.AfterFunc(idleTimeout, func() { cancel(errIdle) })
	return c.receive()
}

// receive takes in media until the stream ends.
func (c *rtmpConn) receive() error {
	total := metrics.IngestBytes.WithLabelValues(c.protocol)
	var counted uint64
	for {
		m, err := c.wire.read()
		arrived := time.Now()
		total.Add(float64(c.wire.received - counted))
		counted = c.wire.received
		if err != nil {
			return err
		}
		c.timer.Reset(idleTimeout)
		switch m.kind {
		case msgVideo, msgAudio, msgDataAMF0, msgDataAMF3, msgAggregate:
			err = c.media(m, arrived)
		case msgCommandAMF0, msgCommandAMF3:
			var call command
			if call, err = parseCommand(m); err == nil && call.endsStream() {
				return nil
			}
		}
		if err != nil {
			return err
		}
	}
}

// media takes in a message of the stream.
func (c *rtmpConn) media(m message, arrived time.Time) error {
	if m.kind != msgAggregate {
		return c.unpack(m, arrived)
	}
	for part, err := range m.parts() {
		if err == nil {
			err = c.unpack(part, arrived)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unpack turns a message into frames or a description.
func (c *rtmpConn) unpack(m message, arrived time.Time) error {
	stamp := time.Duration(m.timestamp) * time.Millisecond
	switch m.kind {
	case msgVideo:
		return c.demux.video(stamp, m.body, arrived)
	case msgAudio:
		return c.demux.audio(stamp, m.body, arrived)
	case msgDataAMF0, msgDataAMF3:
		return c.demux.data(m.amf0())
	}
	return nil
}

// end tells the client and the feed that the stream is over, and why.
func (c *rtmpConn) end(err error) {
	gone := c.wire.out == nil || c.wire.err != nil && errors.Is(err, c.wire.err)
	if !gone && !c.told {
		_ = c.wire.ended(c.explain(err))
	}
	reason := "unpublished"
	if err != nil {
		reason = c.redact(err.Error())
	}
	if c.feed != nil {
		c.feed.Close(err)
		c.log.Info("publisher disconnected", "reason", reason, "bytes", c.wire.received,
			"duration", time.Since(c.began).Round(time.Millisecond))
	} else {
		c.log.Debug("connection closed before publishing", "reason", reason)
	}
	if !gone {
		c.linger()
	}
}

// explain puts the end of a stream into words for the publisher: nil if it
// ended the stream itself. An error that is ours is logged and not shown.
func (c *rtmpConn) explain(err error) *broadcast.Refused {
	var refused *broadcast.Refused
	switch {
	case err == nil || errors.As(err, &refused):
	case errors.Is(err, errSlow), errors.Is(err, errIdle), errors.Is(err, errStopping), errors.Is(err, errInternal):
		refused = &broadcast.Refused{Code: broadcast.CodeFailed, Reason: err.Error()}
	default:
		c.log.Error("publisher cannot be served", "error", c.redact(err.Error()))
		refused = &broadcast.Refused{Code: broadcast.CodeFailed, Reason: errInternal.Error()}
	}
	return refused
}

// linger lets the client read the last message: closing a connection while
// bytes of the client are unread would reset it, and the message with it.
func (c *rtmpConn) linger() {
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	if c.conn.SetReadDeadline(time.Now().Add(lingerTimeout)) == nil {
		_, _ = io.CopyN(io.Discard, c.conn, maxLinger)
	}
}

// redact takes the stream key out of a text for the log, in case that another
// package's error or panic repeats it.
func (c *rtmpConn) redact(text string) string {
	if c.key == "" {
		return text
	}
	return strings.ReplaceAll(text, c.key, "<stream key>")
}
