package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"
)

// Bounds of an HTTP exchange. They are wide enough for a blocked playlist
// request (RFC 8216bis §6.2.5.2), which is answered within five seconds, and
// for a slow reader: 5 MB, a segment of the highest bit rate, take 80 s at
// 500 kbit/s.
const (
	// readHeaderTimeout is for who sends a request byte by byte, or nothing
	// after the handshake.
	readHeaderTimeout = 10 * time.Second
	// readTimeout is for a request with its body, of 1 MB at most. It does not
	// run while a request without one waits for its answer.
	readTimeout = 30 * time.Second
	// writeTimeout is for the answer, from the end of the request's header.
	// It is what gets rid of who reads too slowly, or not at all.
	writeTimeout = 2 * time.Minute
	// idleTimeout is between requests. A player that is paused for longer
	// connects anew.
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 32 << 10 // tokens of 2 KB in the URI, and a proxy's additions
	// maxStreams is how many requests an HTTP/2 connection may have under way.
	// A player needs a handful; the rest is for proxies, which carry many
	// players, most of them blocked.
	maxStreams = 250
	// writeByteTimeout closes an HTTP/2 connection that takes no byte, sooner
	// than its streams' writeTimeout. It has to be longer than the kernel's
	// buffer, of which a third is free before it takes more, lasts a slow
	// reader: of 4 MB, 22 s at 500 kbit/s. For the same reason there are no
	// pings: theirs would come back too late. TCP finds out who is gone.
	writeByteTimeout = 30 * time.Second
	// politeStop is how long requests under way may go on when the server
	// stops, and finalStop how long they have after their contexts ended.
	politeStop = 2 * time.Second
	finalStop  = time.Second
)

// httpServer makes a server of h with time limits, whose connections conns
// counts.
func httpServer(h http.Handler, conns *connections, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, WriteByteTimeout: writeByteTimeout},
		ConnContext:       withConn,
		ConnState:         conns.state,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// maxConnections leaves half of the files that the process may have open to
// publishers, media and recordings.
func maxConnections() int64 {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 10_000
	}
	return int64(min(files.Cur/2, 1<<20))
}

// connections counts a server's open connections, and closes every one beyond
// the first most. One that a handler has taken over counts until released is
// called.
type connections struct {
	most int64
	open atomic.Int64
}

// state is the [http.Server]'s ConnState.
func (c *connections) state(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if c.open.Add(1) > c.most {
			conn.Close()
		}
	case http.StateClosed:
		c.open.Add(-1)
	}
}

// released counts off a connection that was taken over and is closed.
func (c *connections) released() { c.open.Add(-1) }

// serveHTTP accepts on every listener until ctx ends, lets the requests under
// way finish within seconds, and returns nil. It closes the listeners. The
// contexts of requests that take longer end with [http.ErrServerClosed] for a
// cause, so that their handlers can still say why.
func serveHTTP(ctx context.Context, server *http.Server, listeners ...net.Listener) error {
	requests, endRequests := context.WithCancelCause(context.WithoutCancel(ctx))
	defer endRequests(nil)
	server.BaseContext = func(net.Listener) context.Context { return requests }

	failed := make(chan error, len(listeners))
	for _, ln := range listeners {
		go func() { failed <- server.Serve(ln) }()
	}
	left := len(listeners)
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		err = fmt.Errorf("serve HTTP: %w", err)
		left--
	}

	if !shutdown(server, politeStop) {
		endRequests(http.ErrServerClosed)
		if !shutdown(server, finalStop) {
			server.Close()
		}
	}
	for range left {
		if e := <-failed; err == nil && !errors.Is(e, http.ErrServerClosed) {
			err = fmt.Errorf("serve HTTP: %w", e)
		}
	}
	return err
}

// shutdown says whether every request was answered in time.
func shutdown(server *http.Server, within time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return server.Shutdown(ctx) == nil
}
