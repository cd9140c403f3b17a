package store

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"anabranch/internal/resource"
)

// Of one viewer of a channel the greatest version holds, whoever comes later.
func TestRevoke(t *testing.T) {
	f := open(t)
	now := time.Now().UTC().Truncate(time.Millisecond)
	later := now.Add(time.Minute)
	a, b := place.ARN(resource.KindChannel, "a"), place.ARN(resource.KindChannel, "b")
	type revocations = []resource.Revocation
	of := func(channel resource.ARN, viewer string, version int64, at time.Time) resource.Revocation {
		return resource.Revocation{ChannelARN: channel, ViewerID: viewer, Version: version, At: at}
	}
	var last int64
	for i, step := range []struct{ revoke, told revocations }{
		{nil, nil},
		{revocations{of(a, "v", 0, now)}, revocations{of(a, "v", 0, now)}},
		{revocations{of(a, "v", 3, now), of(a, "it's ü\n", 1, now), of(b, "v", 0, now)},
			revocations{of(a, "v", 3, now), of(a, "it's ü\n", 1, now), of(b, "v", 0, now)}},
		{revocations{of(a, "v", 2, later)}, revocations{of(a, "v", 3, later)}},
		{revocations{of(b, "v", 5, now), of(b, "v", math.MaxInt64, now), of(b, "v", 4, now)}, revocations{of(b, "v", math.MaxInt64, now)}},
	} {
		f.must(f.Revoke(t.Context(), step.revoke))
		told, next, err := f.Revocations(t.Context(), last)
		if err != nil || len(told) != len(step.told) || len(told) > 0 && !reflect.DeepEqual(told, step.told) {
			t.Errorf("step %d tells %v, %v; want %v", i, told, err, step.told)
		}
		last = next
	}
	want := revocations{of(a, "it's ü\n", 1, now), of(a, "v", 3, later), of(b, "v", math.MaxInt64, now)}
	for _, reopened := range []bool{false, true} {
		if reopened {
			f = openAt(t, f.path)
		}
		if all, n, err := f.Revocations(t.Context(), 0); err != nil || !reflect.DeepEqual(all, want) || n != last {
			t.Errorf("there are %v up to %d, %v; want %v up to %d", all, n, err, want, last)
		}
	}
	if _, n, err := f.Revocations(t.Context(), last); err != nil || n != last {
		t.Errorf("with nothing new the position is %d, %v; was %d", n, err, last)
	}
}

// A call that fails leaves nothing behind.
func TestRevokeIsWhole(t *testing.T) {
	f := open(t)
	if _, err := f.writer.Exec(`CREATE TRIGGER full BEFORE INSERT ON revocations WHEN NEW.viewer_id = 'second'
		BEGIN SELECT RAISE(ABORT, 'disk is full'); END`); err != nil {
		t.Fatal(err)
	}
	err := f.Revoke(t.Context(), []resource.Revocation{{ViewerID: "first", At: time.Now()}, {ViewerID: "second", At: time.Now()}})
	if err == nil || !strings.Contains(err.Error(), "revoke viewer sessions") {
		t.Errorf("error is %v", err)
	}
	if got, _, err := f.Revocations(t.Context(), 0); err != nil || len(got) > 0 {
		t.Errorf("there are %v, %v", got, err)
	}
}

func TestOldRevocationsAreDeleted(t *testing.T) {
	f := open(t)
	old := time.Now().Add(-resource.RevocationsKept)
	f.must(f.Revoke(t.Context(), []resource.Revocation{
		{ViewerID: "too old", At: old.Add(-time.Minute)},
		{ViewerID: "old", At: old.Add(time.Minute)},
		{ViewerID: "renewed", Version: 7, At: old.Add(-time.Minute)},
		{ViewerID: "renewed", Version: 1, At: time.Now()},
	}))
	got, _, err := f.Revocations(t.Context(), 0)
	if err != nil || len(got) != 2 || got[0].ViewerID != "old" || got[1].ViewerID != "renewed" || got[1].Version != 7 {
		t.Errorf("there are %v, %v", got, err)
	}
}

func TestUseOnce(t *testing.T) {
	f := open(t)
	a, b := place.ARN(resource.KindChannel, "a"), place.ARN(resource.KindChannel, "b")
	soon := time.Now().Add(time.Minute)
	for i, step := range []struct {
		channel resource.ARN
		uuid    string
		want    bool
	}{
		{a, "one", true},
		{a, "one", false},
		{b, "one", true},
		{a, "two", true},
		{a, "", true},
		{a, "", false},
		{a, "\x00'; --", true},
		{a, "\x00'; -", true},
		{a, strings.Repeat("x", 1<<16), true},
	} {
		if got, err := f.UseOnce(t.Context(), step.channel, step.uuid, soon); err != nil || got != step.want {
			t.Errorf("step %d: %t, %v; want %t", i, got, err, step.want)
		}
	}
	again := openAt(t, f.path)
	if got, err := again.UseOnce(t.Context(), a, "one", soon); err != nil || got {
		t.Errorf("after a restart: %t, %v", got, err)
	}
}

// Of all who come at once with a token, one is the first.
func TestUseOnceRace(t *testing.T) {
	f := open(t)
	var first atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if ok, err := f.UseOnce(t.Context(), "a", "one", time.Now().Add(time.Minute)); err != nil {
				t.Error(err)
			} else if ok {
				first.Add(1)
			}
		})
	}
	wg.Wait()
	if n := first.Load(); n != 1 {
		t.Errorf("%d were the first", n)
	}
}

// Those who come while another change is made share one transaction, and each is
// told the truth.
func TestUseOnceTogether(t *testing.T) {
	f := open(t)
	f.turn <- struct{}{} // another change is made
	var first atomic.Int32
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			ok, err := f.UseOnce(t.Context(), "a", strconv.Itoa(i/2), time.Now().Add(time.Minute))
			if err != nil {
				t.Error(err)
			} else if ok {
				first.Add(1)
			}
		})
	}
	for waits := 0; waits < 40; time.Sleep(time.Millisecond) {
		f.uses.mu.Lock()
		waits = len(f.uses.waiting)
		f.uses.mu.Unlock()
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.UseOnce(gone, "a", "gone", time.Now().Add(time.Minute)); !errors.Is(err, context.Canceled) {
		t.Errorf("who left was told %v", err)
	}
	<-f.turn
	wg.Wait()
	if n := first.Load(); n != 20 {
		t.Errorf("%d were the first with 20 tokens", n)
	}
}

func TestUsedTokensAreForgotten(t *testing.T) {
	f := open(t)
	now := time.Now()
	for uuid, expires := range map[string]time.Time{
		"long expired": now.Add(-2 * usedTokensKept), "just expired": now.Add(-usedTokensKept / 2), "valid": now.Add(time.Minute),
	} {
		if first, err := f.UseOnce(t.Context(), "a", uuid, expires); err != nil || !first {
			t.Fatalf("%s: %t, %v", uuid, first, err)
		}
	}
	if n, err := f.reader.NewSelect().Model((*usedTokenRow)(nil)).Count(t.Context()); err != nil || n != 2 {
		t.Errorf("%d are remembered, %v; want 2", n, err)
	}
}
