package capture

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/resource"
	"anabranch/internal/rtc"
)

// clips are a reader of frames that are there.
type clips []rtc.Frame

func (r *clips) Next(context.Context) (rtc.Frame, error) {
	if len(*r) == 0 {
		return rtc.Frame{}, io.EOF
	}
	f := (*r)[0]
	*r = (*r)[1:]
	return f, nil
}

func (r *clips) WantKeyFrame() {}
func (r *clips) Close()        {}

// A publication that ended before it was its turn has what came until its end, and
// nothing of those before and after.
func TestPublicationsFramesEndWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var came clips
		arrive := func(connection uint64) {
			came = append(came, rtc.Frame{Connection: connection, Arrived: time.Now()})
			time.Sleep(time.Millisecond)
		}
		b := &bounded{reader: &came, before: 1}
		arrive(b.before)
		for range 3 {
			arrive(2)
		}
		b.end()
		time.Sleep(time.Millisecond)
		arrive(3)
		arrive(3)
		b.end()
		var got []uint64
		for {
			f, err := b.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			got = append(got, f.Connection)
		}
		if want := []uint64{2, 2, 2}; !slices.Equal(got, want) {
			t.Errorf("frames of the connections %d, want %d", got, want)
		}
	})
}

// The recordings of a stage that is gone are released at once, and again when the
// captures that were not over have ended: what they record may have begun since.
func TestReleaseBehindCaptures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewManager(Config{Log: slog.New(slog.DiscardHandler)})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx) }()
		var mu sync.Mutex
		var open, released []string
		publish := func(stage resource.ARN, who string, flush time.Duration) (stop func()) {
			return m.start(subject{stage, who}, m.Log, func(ctx context.Context) {
				<-ctx.Done()
				time.Sleep(flush)
				mu.Lock()
				defer mu.Unlock()
				open = append(open, who)
			})
		}
		release := func(stage resource.ARN) {
			if stage != "gone" {
				t.Errorf("released %s", stage)
			}
			mu.Lock()
			defer mu.Unlock()
			released, open = append(released, open...), nil
		}
		publish("gone", "ana", time.Second)()
		publish("gone", "ana", time.Second)()
		publish("gone", "bob", 3*time.Second)()
		other := publish("other", "cid", 0)
		m.release("gone", release)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if want := []string{"ana", "ana", "bob"}; !slices.Equal(released, want) {
			t.Errorf("released were %s, want %s", released, want)
		}
		other()
		synctest.Wait()
		if len(open) != 1 {
			t.Error("the other stage's recording was released")
		}
		stop()
		<-ended
		m.release("gone", release) // the server stops
	})
}
