package app

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
)

// parts are the goroutines of a server. Each is started after those it leans
// on, and stopped before them: the last first, one after the other. When one
// ends by itself, with an error or without, all are stopped.
type parts struct {
	ctx   context.Context // ends when the server is to stop
	group *errgroup.Group
	stops []func() // in the order of start; each waits until its part has ended
}

// newParts makes an empty set, to be stopped when ctx ends.
func newParts(ctx context.Context) *parts {
	group, ctx := errgroup.WithContext(ctx)
	return &parts{ctx: ctx, group: group}
}

// start runs a part. Its context ends when its turn to stop has come, and run
// is to return nil then.
func (p *parts) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(p.ctx))
	ended := make(chan struct{})
	p.group.Go(func() error {
		defer close(ended)
		err := run(ctx)
		if err == nil && ctx.Err() == nil {
			return fmt.Errorf("%s ended by itself", name)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
	p.stops = append(p.stops, func() { cancel(); <-ended })
}

// wait returns when the server is to stop: it was told to, or a part failed.
func (p *parts) wait() { <-p.ctx.Done() }

// stop stops all parts and returns the error of the first that failed.
func (p *parts) stop() error {
	for _, stop := range slices.Backward(p.stops) {
		stop()
	}
	p.stops = nil
	return p.group.Wait()
}
