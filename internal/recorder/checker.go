package recorder

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"anabranch/internal/objectstore"
	"anabranch/internal/resource"
)

const (
	// checkPatience is how long a recording configuration may stay CREATING
	// while its bucket cannot be reached.
	checkPatience = 20 * time.Second
	checkPause    = 2 * time.Second
)

// Configurations is what a [Checker] needs of the database.
type Configurations interface {
	// PendingRecordingConfigurations lists those in state CREATING.
	PendingRecordingConfigurations(ctx context.Context) ([]resource.RecordingConfiguration, error)
	// SettleRecordingConfiguration gives one its final state. It is NotFound
	// when it was deleted meanwhile.
	SettleRecordingConfiguration(ctx context.Context, arn resource.ARN, state resource.RecordingConfigurationState) error
}

// Checker decides whether new recording configurations can be used: it finds
// out whether their buckets take objects, and makes them ACTIVE or
// CREATE_FAILED.
type Checker struct {
	Store   Configurations
	Objects interface {
		Check(ctx context.Context, bucket string) error
	}
	Log *slog.Logger

	making sync.Once
	poked  chan struct{}
}

// Poke says that there may be a new configuration. It does not block.
func (c *Checker) Poke() { signal(c.pokes()) }

func (c *Checker) pokes() chan struct{} {
	c.making.Do(func() { c.poked = make(chan struct{}, 1) })
	return c.poked
}

// Run checks the configurations that are pending, and again after each Poke,
// until ctx ends. Those under way then stay pending.
func (c *Checker) Run(ctx context.Context) error {
	var checks sync.WaitGroup
	defer checks.Wait()
	// busy holds the configurations being checked: one whose bucket cannot be
	// reached does not hold up the others.
	var mu sync.Mutex
	busy := make(map[resource.ARN]bool)
	for {
		pending, err := c.Store.PendingRecordingConfigurations(ctx)
		if err != nil && ctx.Err() == nil {
			c.Log.Error("pending recording configurations cannot be listed", "error", err)
		}
		for _, rc := range pending {
			mu.Lock()
			taken := busy[rc.ARN]
			busy[rc.ARN] = true
			mu.Unlock()
			if taken {
				continue
			}
			checks.Go(func() {
				if err := c.settle(ctx, &rc); err != nil && ctx.Err() == nil {
					c.Log.Error("recording configuration cannot be settled", "configuration", rc.ARN, "error", err)
				}
				mu.Lock()
				delete(busy, rc.ARN)
				mu.Unlock()
			})
		}
		if !c.pause(ctx, err != nil) {
			return nil
		}
	}
}

// pause waits for a poke, or after an error for a while. It is false when ctx
// has ended.
func (c *Checker) pause(ctx context.Context, failed bool) bool {
	var retry <-chan time.Time
	if failed {
		retry = time.After(checkPause)
	}
	select {
	case <-ctx.Done():
		return false
	case <-c.pokes():
	case <-retry:
	}
	return true
}

// settle checks the bucket of rc and stores the outcome.
func (c *Checker) settle(ctx context.Context, rc *resource.RecordingConfiguration) error {
	log := c.Log.With("configuration", rc.ARN, "bucket", rc.Bucket())
	state := resource.Active
	if err := c.check(ctx, rc.Bucket()); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		log.Error("recording configuration failed", "reason", err)
		state = resource.CreateFailed
	} else {
		log.Info("recording configuration is active")
	}
	if err := c.Store.SettleRecordingConfiguration(ctx, rc.ARN, state); err != nil {
		return fmt.Errorf("settle recording configuration: %w", err)
	}
	return nil
}

// check checks a bucket, until the store says yes or no or the patience ends.
func (c *Checker) check(ctx context.Context, bucket string) error {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	var last error
	for {
		err := c.Objects.Check(ctx, bucket)
		if err == nil || objectstore.Refused(err) {
			return err
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(checkPause):
		}
	}
}
