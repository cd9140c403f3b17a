package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Bounds of an HTTP exchange. A blocked playlist request (RFC 8216bis §6.2.5.2)
// is answered within five seconds, and a media segment within the rest.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 2 * time.Minute
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
	// politeStop is how long requests under way may go on when the server
	// stops, and finalStop how long they have after their contexts ended.
	politeStop = 2 * time.Second
	finalStop  = time.Second
)

// httpServer makes a server of h with time limits.
func httpServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnContext:       withConn,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// serveHTTP accepts on every listener until ctx ends, lets the requests under
// way finish within seconds, and returns nil. It closes the listeners.
func serveHTTP(ctx context.Context, server *http.Server, listeners ...net.Listener) error {
	requests, endRequests := context.WithCancel(context.WithoutCancel(ctx))
	defer endRequests()
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
		endRequests()
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
