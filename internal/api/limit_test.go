package api

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/resource"
)

// A second's calls may come at once, each access key's of each operation for
// themselves.
func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(map[string]int{"Sing": 3, "Say": 1})
		admitted := func(operation, accessKeyID string, calls int) (n int) {
			for range calls {
				err := l.admit(operation, accessKeyID)
				var told *resource.Error
				switch {
				case err == nil:
					n++
				case !errors.As(err, &told) || told.Kind != resource.Throttled:
					t.Errorf("refused with %v", err)
				}
			}
			return n
		}
		for _, tt := range []struct {
			after       time.Duration
			op, key     string
			calls, want int
		}{
			{0, "Sing", "A", 10, 3},
			{0, "Sing", "B", 10, 3},
			{0, "Say", "A", 10, 1},
			{0, "Shout", "A", 10, 10}, // no rate
			{time.Second / 3, "Sing", "A", 10, 1},
			{time.Second/3 - 2, "Sing", "A", 10, 0},
			{3, "Sing", "A", 10, 1},
			{0, "Sing", "B", 10, 2},
			{time.Hour, "Sing", "A", 10, 3}, // nothing is saved up
		} {
			time.Sleep(tt.after)
			if n := admitted(tt.op, tt.key, tt.calls); n != tt.want {
				t.Errorf("after %v: %d of %d calls of %s by %s let in, want %d", tt.after, n, tt.calls, tt.op, tt.key, tt.want)
			}
		}
	})
}

// A call too many is answered with 429, and only who is known can use up a
// rate.
func TestThrottling(t *testing.T) {
	f := newFixture(t)
	for range 3 {
		f.send(f.request("POST", "/Hurry", ""))
	}
	if a := f.call("POST", "/Hurry", ""); a.StatusCode != 200 {
		t.Errorf("first call: %d %s", a.StatusCode, a.body)
	}
	a := f.call("POST", "/Hurry", "")
	for range 50 { // a machine may be so slow that more than a second lies between two
		if a.StatusCode == 200 {
			a = f.call("POST", "/Hurry", "")
		}
	}
	f.failed(a, 429, "ThrottlingException", "Rate exceeded: Hurry may be called 1 times a second")
}
