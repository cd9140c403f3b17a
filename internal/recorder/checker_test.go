package recorder

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/resource"
)

var discard = slog.New(slog.DiscardHandler)

// configurations is a store of recording configurations, and of buckets that
// answer or not.
type configurations struct {
	mu      sync.Mutex
	states  map[resource.ARN]resource.RecordingConfigurationState
	settled map[resource.ARN]time.Duration // after the start
	start   time.Time
	listing error
	check   func(ctx context.Context, bucket string) error
}

func (c *configurations) PendingRecordingConfigurations(context.Context) (pending []resource.RecordingConfiguration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for arn, state := range c.states {
		if state == resource.Creating {
			pending = append(pending, resource.RecordingConfiguration{
				ARN: arn, Destination: resource.DestinationConfiguration{S3: &resource.S3DestinationConfiguration{BucketName: string(arn)}},
			})
		}
	}
	return pending, c.listing
}

func (c *configurations) SettleRecordingConfiguration(_ context.Context, arn resource.ARN, state resource.RecordingConfigurationState) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.states[arn], c.settled[arn] = state, time.Since(c.start)
	return nil
}

func (c *configurations) Check(ctx context.Context, bucket string) error { return c.check(ctx, bucket) }

func TestChecker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		store := &configurations{
			states:  map[resource.ARN]resource.RecordingConfigurationState{"good": resource.Creating, "denied": resource.Creating, "lost": resource.Creating, "hangs": resource.Creating},
			settled: make(map[resource.ARN]time.Duration),
			start:   time.Now(), listing: errors.New("database is locked"),
		}
		store.check = func(ctx context.Context, bucket string) error {
			switch bucket {
			case "denied":
				return errDenied()
			case "lost":
				return errNetwork
			case "hangs":
				<-ctx.Done()
				return ctx.Err()
			case "flaky":
				if calls++; calls < 3 {
					return errNetwork
				}
			}
			return nil
		}
		c := &Checker{Store: store, Objects: store, Log: discard}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := c.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Second)
		store.mu.Lock()
		store.listing = nil
		store.states["flaky"] = resource.Creating
		store.mu.Unlock()
		c.Poke()
		c.Poke()
		time.Sleep(time.Minute)
		store.mu.Lock()
		defer store.mu.Unlock()
		for arn, want := range map[resource.ARN]struct {
			state resource.RecordingConfigurationState
			by    time.Duration
		}{
			"good": {resource.Active, 0}, "denied": {resource.CreateFailed, 0},
			"lost": {resource.CreateFailed, 20 * time.Second}, "hangs": {resource.CreateFailed, 20 * time.Second},
			"flaky": {resource.Active, 5 * time.Second},
		} {
			if store.states[arn] != want.state || store.settled[arn] > want.by {
				t.Errorf("%s is %s after %v, want %s by %v", arn, store.states[arn], store.settled[arn], want.state, want.by)
			}
		}
		cancel()
		running.Wait()
	})
}
