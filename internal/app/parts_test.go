package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPartsStopInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := newParts(ctx)
		var ended []string
		part := func(name string) {
			p.start(name, func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(time.Second) // the others must not overtake it
				ended = append(ended, name)
				return nil
			})
		}
		part("store")
		part("recorder")
		part("ingest")
		time.AfterFunc(time.Hour, cancel)
		p.wait()
		if err := p.stop(); err != nil {
			t.Error(err)
		}
		if want := []string{"ingest", "recorder", "store"}; !slices.Equal(ended, want) {
			t.Errorf("ended %v, want %v", ended, want)
		}
	})
}

func TestADeadPartStopsAll(t *testing.T) {
	boom := errors.New("boom")
	for _, err := range []error{boom, nil} {
		synctest.Test(t, func(t *testing.T) {
			p := newParts(t.Context())
			stopped := false
			p.start("other", func(ctx context.Context) error {
				<-ctx.Done()
				stopped = true
				return nil
			})
			p.start("broken", func(context.Context) error { return err })
			p.wait()
			got := p.stop()
			if got == nil || !strings.Contains(got.Error(), "broken") || err != nil && !errors.Is(got, err) {
				t.Errorf("stopped with %v, want it to name the part", got)
			}
			if !stopped {
				t.Error("the other part goes on")
			}
		})
	}
}
