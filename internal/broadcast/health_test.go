package broadcast_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/resource"
	"anabranch/internal/store"
)

// A stream that starves says so, once, before its end.
func TestStarvation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir()).withChannel(true, nil)
		defer s.stop()
		health := func(want resource.StreamHealth) {
			t.Helper()
			if got := s.m.Health(s.channel.ARN); got != want {
				t.Errorf("health is %s, want %s", got, want)
			}
		}
		f := s.mustPublish()
		health(resource.UnknownHealth)
		for i, pause := range []time.Duration{0, 4 * time.Second, 12 * time.Second} {
			time.Sleep(pause)
			if pause > 5*time.Second {
				health(resource.Starving)
			}
			// The pictures of the pause were lost: the publisher's clock went on.
			if err := send(t, f, 12); err != nil {
				t.Fatal(i, err)
			}
			health(resource.Healthy)
		}
		time.Sleep(31 * time.Second)
		want := []string{"Session Created", "Stream Start", "Starvation Start", "Starvation End", "Starvation Start", "Stream End", "Session Ended"}
		if got := s.events(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		events, err := s.store.Events(t.Context(), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(events, func(e store.Event) bool { return e.DetailType == resource.StreamHealthChange })
		want0 := fmt.Sprintf(`{"event_name":"Starvation Start","channel_name":"","stream_id":%q}`, f.StreamID())
		if got := string(events[i].Detail.(json.RawMessage)); got != want0 {
			t.Errorf("detail %s, want %s", got, want0)
		}
	})
}

// Frames that a publisher leaves out are missing, though its clock goes on; a
// slide show is as healthy as any other stream.
func TestSparsePictures(t *testing.T) {
	for pause, want := range map[time.Duration]resource.StreamHealth{
		time.Second: resource.Healthy, 2500 * time.Millisecond: resource.Starving,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, t.TempDir()).withChannel(true, nil)
			defer s.stop()
			f := s.mustPublish()
			defer f.Close(nil)
			err := f.Describe(description(t))
			for range 10 {
				err = errors.Join(err, still(f))
				time.Sleep(pause)
			}
			if got := s.m.Health(s.channel.ARN); got != want || err != nil {
				t.Errorf("a picture every %v: %s, %v", pause, got, err)
			}
		})
	}
}
