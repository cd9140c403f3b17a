package api

import (
	"sync"
	"time"

	"anabranch/internal/resource"
)

// limiter bounds how often each access key may call an operation. As much as
// one second allows may come at once; after that calls are let in at an even
// pace (the generic cell rate algorithm, ITU-T I.371 appendix I).
type limiter struct {
	rates map[string]int // calls a second by operation; one that is missing has no bound

	mu   sync.Mutex
	next map[caller]time.Time // when the calls let in so far are due
}

type caller struct{ operation, accessKeyID string }

func newLimiter(rates map[string]int) *limiter {
	return &limiter{rates: rates, next: make(map[caller]time.Time)}
}

// admit is Throttled for a call that comes too soon. Those without a signature
// count as one caller.
func (l *limiter) admit(operation, accessKeyID string) error {
	rate := l.rates[operation]
	if rate == 0 {
		return nil
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	who := caller{operation, accessKeyID}
	due := l.next[who]
	if due.Before(now) {
		due = now
	}
	due = due.Add(time.Second / time.Duration(rate))
	if due.After(now.Add(time.Second)) {
		return resource.Errorf(resource.Throttled, "Rate exceeded: %s may be called %d times a second", operation, rate)
	}
	l.next[who] = due
	return nil
}
