package recorder

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Uploads go in the order of need: first what is small, then the oldest media;
// and what waits for one bucket does not hold up another.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		begun := time.Now()
		age := func(n int) time.Time { return begun.Add(time.Duration(n) * time.Second) }
		var mu sync.Mutex
		var order []int
		busy, most := 0, 0
		pass := func(bucket string, n int, d time.Duration, err error) {
			g.pass(t.Context(), bucket, age(n), func() error {
				mu.Lock()
				order = append(order, n)
				busy++
				most = max(most, busy)
				mu.Unlock()
				time.Sleep(d)
				mu.Lock()
				busy--
				mu.Unlock()
				return err
			})
		}
		var all sync.WaitGroup
		for range maxPutsEach {
			all.Go(func() { pass("a", 0, time.Minute, nil) })
		}
		synctest.Wait()
		order = nil
		for _, n := range rand.Perm(20) {
			all.Go(func() { pass("a", n, time.Second, nil) })
		}
		synctest.Wait()
		pass("b", 99, 0, nil)
		if at := time.Since(begun); at != 0 {
			t.Errorf("another bucket waited for %v", at)
		}
		all.Wait()
		for i := 1; i < len(order); i += maxPutsEach { // those that go at the same time are in any order
			group := order[i:min(i+maxPutsEach, len(order))]
			slices.Sort(group)
		}
		if want := slices.Concat([]int{99}, order[1:]); !slices.Equal(order, want) || !slices.IsSorted(order[1:]) || most > maxPutsEach+1 {
			t.Errorf("uploaded in the order %v, %d at a time", order, most)
		}

		// A bucket that cannot be reached is tried by one at a time.
		order, most = nil, 0
		for n := range 30 {
			all.Go(func() { pass("a", n, 10*time.Second, errNetwork) })
		}
		time.Sleep(time.Minute)
		mu.Lock()
		if most != maxPutsEach {
			t.Errorf("%d at first", most)
		}
		most = 0
		mu.Unlock()
		time.Sleep(time.Minute)
		mu.Lock()
		if most > 1 || len(order) > maxPutsEach+12 {
			t.Errorf("a bucket that is away is tried by %d at a time, %d times", most, len(order))
		}
		mu.Unlock()
		begun = time.Now()
		pass("b", 0, 0, nil)
		if at := time.Since(begun); at != 0 {
			t.Errorf("another bucket waited for %v", at)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.pass(ctx, "a", time.Now().Add(time.Hour), func() error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one that is called off while it waits: %v", err)
		}
		all.Wait()
		if g.busy != 0 || len(g.waiting) != 0 || g.buckets["a"].busy != 0 {
			t.Errorf("%d busy, %d wait", g.busy, len(g.waiting))
		}
	})
}
