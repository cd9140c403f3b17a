package broadcast_test

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/resource"
)

// kind is that of a resource error, Internal of any other and of none.
func kind(err error) resource.Kind {
	var e *resource.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return resource.Internal
}

// liveMedia are a channel's segments, one behind the other.
func liveMedia(t *testing.T, dir string, channel resource.Channel) (media string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "live", channel.ID(), "*.m4s"))
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(files, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		media += string(data)
	}
	return media
}

// Metadata is taken while somebody publishes, and is then in the part being made.
func TestPutMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		window, dir := 60, t.TempDir()
		s := start(t, dir).withChannel(true, &window)
		defer s.stop()
		put := func(when string, want resource.Kind) {
			t.Helper()
			if err := s.m.PutMetadata(s.channel.ARN, when); kind(err) != want {
				t.Errorf("%s: %v", when, err)
			}
		}
		put("before there was a stream", resource.NotBroadcasting)
		f := s.mustPublish()
		put("before the stream is described", resource.NotBroadcasting)
		if err := f.Describe(description(t)); err != nil {
			t.Fatal(err)
		}
		put("before the first picture", resource.Internal)
		if err := send(t, f, 2); err != nil {
			t.Fatal(err)
		}
		put("newest", resource.Internal)
		s.failing.ends.Store(1)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			f.Close(nil)
		}()
		synctest.Wait()
		put("while the end is not stored yet", resource.NotBroadcasting)
		<-ended
		put("in the gap", resource.NotBroadcasting)
		again := s.mustPublish()
		if err := send(t, again, 1); err != nil {
			t.Fatal(err)
		}
		put("after the join", resource.Internal)
		again.Close(nil)

		live := liveMedia(t, dir, s.channel)
		at := 0
		for _, want := range []string{"before the first picture", "newest", "after the join"} {
			if n := strings.Count(live, "metadata.live-video.net\x00"+want); n != 1 {
				t.Errorf("%q is %d times in the live media", want, n)
			}
			if next := strings.Index(live, want); next < at {
				t.Errorf("%q comes too early", want)
			} else {
				at = next
			}
		}
		if n := strings.Count(live, "metadata.live-video.net"); n != 3 {
			t.Errorf("%d pieces of metadata in the live media", n)
		}
	})
}

// Metadata is taken five times a second for a channel and 155 times in all, and
// as often at once.
func TestMetadataRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir())
		defer s.stop()
		var on []resource.ARN
		var streams sync.WaitGroup
		defer streams.Wait()
		for range 40 {
			f := s.withChannel(true, nil).mustPublish()
			on = append(on, s.channel.ARN)
			if err := f.Describe(description(t)); err != nil {
				t.Fatal(err)
			}
			streams.Go(func() {
				defer f.Close(nil)
				if err := send(t, f, 8); err != nil {
					t.Error(err)
				}
			})
		}
		// puts tries for each of the channels often, and says how many were taken.
		puts := func(channels []resource.ARN, often int) (taken int) {
			t.Helper()
			for i := range often {
				for _, arn := range channels {
					switch err := s.m.PutMetadata(arn, fmt.Sprint(i)); {
					case err == nil:
						taken++
					case kind(err) != resource.Throttled:
						t.Fatal(err)
					}
				}
			}
			return taken
		}
		for _, step := range []struct {
			after    time.Duration
			channels []resource.ARN
			often    int
			want     int
		}{
			{time.Second, on[:1], 10, 5},
			{199 * time.Millisecond, on[:1], 10, 0},
			{time.Millisecond, on[:1], 10, 1},
			{400 * time.Millisecond, on[:1], 10, 2},
			{2 * time.Second, on[:1], 10, 5},
			{2 * time.Second, on, 10, 155},
			{200 * time.Millisecond, on, 10, 31},
		} {
			time.Sleep(step.after)
			if got := puts(step.channels, step.often); got != step.want {
				t.Errorf("%v later %d of %d channels' were taken, not %d", step.after, got, len(step.channels), step.want)
			}
		}
	})
}

// What waits for a publisher who stalls is bounded.
func TestMetadataOfStalledPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := start(t, dir).withChannel(true, nil)
		defer s.stop()
		f := s.mustPublish()
		if err := send(t, f, 1); err != nil {
			t.Fatal(err)
		}
		const bound = 64
		for i := range bound + 1 {
			time.Sleep(200 * time.Millisecond)
			if err := s.m.PutMetadata(s.channel.ARN, "x"); (err == nil) != (i < bound) || err != nil && kind(err) != resource.Throttled {
				t.Fatalf("number %d: %v", i+1, err)
			}
		}
		f.Close(nil)
		if n := strings.Count(liveMedia(t, dir, s.channel), "metadata.live-video.net"); n != bound {
			t.Errorf("%d are in the live media", n)
		}
	})
}
