package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/uptrace/bun"
)

// Changes are made in the order in which they were asked for, without those
// that nobody waits for any more.
func TestChangesInTurn(t *testing.T) {
	empty() // its goroutines are not the bubble's
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		const waiting = 20
		var (
			made  []int
			calls sync.WaitGroup
			free  = make(chan struct{})
		)
		calls.Go(func() {
			_ = s.change(t.Context(), "hold up the others", func(context.Context, bun.Tx) error { <-free; return nil })
		})
		synctest.Wait()
		gaveUp, giveUp := context.WithCancel(t.Context())
		for i := range waiting {
			ctx, patient := t.Context(), i%5 != 3
			if !patient {
				ctx = gaveUp
			}
			calls.Go(func() {
				err := s.change(ctx, "note the order", func(context.Context, bun.Tx) error { made = append(made, i); return nil })
				if patient != (err == nil) || !patient && !errors.Is(err, context.Canceled) {
					t.Errorf("change %d: %v", i, err)
				}
			})
			synctest.Wait() // until it waits
		}
		giveUp()
		synctest.Wait()
		close(free)
		calls.Wait()
		if len(made) != waiting-waiting/5 || !slices.IsSorted(made) {
			t.Errorf("changes were made in the order %v", made)
		}
	})
}
