package e2e

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// crowd is a number of clients who fetch as fast as they can what players fetch
// at the live edge: a playlist, then a part, and again, each over a connection
// that it keeps. It tells what a server can do, whatever the pace of the media.
type crowd struct {
	host string
	edge atomic.Pointer[crowdEdge] // changes as a live edge does

	received atomic.Int64 // bytes
	requests atomic.Int64
	failures failures
}

// crowdEdge is what everyone fetches now.
type crowdEdge struct {
	query string // behind the path of a client's playlist
	part  string // path
}

// run lets clients fetch for d, one for each path of a playlist.
func (c *crowd) run(playlists []string, d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var ended sync.WaitGroup
	defer ended.Wait()
	for _, playlist := range playlists {
		ended.Go(func() {
			if err := c.fetch(ctx, playlist); err != nil && ctx.Err() == nil {
				c.failures.add(err)
			}
		})
	}
}

func (c *crowd) fetch(ctx context.Context, playlist string) error {
	client, err := dialLoad(c.host)
	if err != nil {
		return err
	}
	defer client.close()
	var request []byte
	for ctx.Err() == nil {
		edge := c.edge.Load()
		for _, target := range [2][2]string{{playlist, edge.query}, {edge.part}} {
			request = appendRequest(request[:0], c.host, target[0], target[1])
			if _, err := client.ask(request); err != nil {
				return err
			}
			if err := client.skip(); err != nil {
				return err
			}
		}
		c.requests.Add(2)
		c.received.Add(client.received)
		client.received = 0
	}
	return nil
}
