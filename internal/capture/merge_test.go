package capture

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/disk"
	"anabranch/internal/recorder"
	"anabranch/internal/resource"
)

// bucket is what a recorder stores in, and tells of, in memory.
type bucket struct {
	recorder.Ledger // what is not used here

	mu      sync.Mutex
	objects map[string]string
	started []resource.Recording
	joined  int
	ended   map[string]time.Duration
}

func (b *bucket) Put(_ context.Context, _, key, _ string, body io.ReadSeeker) error {
	data, err := io.ReadAll(body)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects[key] = string(data)
	return err
}

func (b *bucket) Check(context.Context, string) error { return nil }

func (b *bucket) OpenRecordings(context.Context) ([]resource.Recording, error) { return nil, nil }

func (b *bucket) StartRecording(_ context.Context, r resource.Recording) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.started = append(b.started, r)
	return nil
}

func (b *bucket) JoinRecording(context.Context, string, resource.RecordedStream) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.joined++
	return nil
}

func (b *bucket) DescribeRecording(context.Context, string, resource.RecordedMedia) error { return nil }

func (b *bucket) EndRecording(_ context.Context, id string, _ time.Time, d time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended[id] = d
	return nil
}

// Publications of one participant are one recording if they come soon enough one after
// the other, with a discontinuity where they meet and nothing else between.
func TestMerge(t *testing.T) {
	for _, tt := range []struct {
		name       string
		gap        time.Duration
		other      bool // participant
		recordings int
	}{
		{name: "back at once", recordings: 1},
		{name: "back within the window", gap: 20 * time.Second, recordings: 1},
		{name: "back after the window", gap: 40 * time.Second, recordings: 2},
		{name: "another participant", gap: 10 * time.Second, other: true, recordings: 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &bucket{objects: make(map[string]string), ended: make(map[string]time.Duration)}
				log := slog.New(slog.NewTextHandler(t.Output(), nil))
				r, err := recorder.Open(t.Context(), recorder.Config{
					Dir: t.TempDir(), FS: disk.OS, Objects: b, Ledger: b, Place: resource.Place{Region: "eu-west-1", Account: "111122223333"}, Log: log,
				})
				if err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(context.Background())
				var running sync.WaitGroup
				running.Go(func() { _ = r.Run(ctx) })
				publish := func(id string) *guest { return publishInto(t, everything, r.Begin(streamOf(id))) }

				g := publish("ana")
				g.both(5 * time.Second)
				g.size, g.key = size(1280, 0), true
				g.both(5 * time.Second)
				g.leave()
				time.Sleep(tt.gap)
				id := "ana"
				if tt.other {
					id = "ben"
				}
				g = publish(id)
				g.both(5 * time.Second)
				g.leave()
				time.Sleep(time.Minute)
				stop()
				running.Wait()

				if len(b.started) != tt.recordings || len(b.ended) != tt.recordings || b.joined != 2-tt.recordings {
					t.Fatalf("%d recordings started, %d streams joined, %d ended", len(b.started), b.joined, len(b.ended))
				}
				var sum time.Duration
				for i, rec := range b.started {
					playlist := b.objects[rec.Prefix+"/media/hls/high/playlist.m3u8"]
					t.Log(playlist)
					stretches := 1 + strings.Count(playlist, "#EXT-X-DISCONTINUITY\n")
					if want := []int{3 - (tt.recordings - 1), 1}[i]; stretches != want {
						t.Errorf("recording %d has %d stretches, want %d", i, stretches, want)
					}
					if !strings.HasSuffix(playlist, "#EXT-X-ENDLIST\n") {
						t.Errorf("the playlist of recording %d has no end", i)
					}
					sum += b.ended[rec.ID]
					for _, uri := range regexp.MustCompile(`(?m)^[0-9]+\.mp4$`).FindAllString(playlist, -1) {
						if b.objects[rec.Prefix+"/media/hls/high/"+uri] == "" {
							t.Errorf("recording %d lacks %s", i, uri)
						}
					}
				}
				if (sum - 15*time.Second).Abs() > 100*time.Millisecond {
					t.Errorf("%v are recorded, want 15 s", sum)
				}
			})
		})
	}
}

// streamOf is a publication of a participant.
func streamOf(id string) recorder.Stream {
	c := resource.ParticipantRecording{StorageConfigurationARN: "arn:aws:ivs:eu-west-1:111122223333:storage-configuration/s", ReconnectWindowSeconds: 30}
	c.HLS.TargetSegmentDurationSeconds = 2
	c.FillDefaults()
	return recorder.Stream{ID: resource.NewStreamID(), Participant: &recorder.Participant{
		Stage: "arn:aws:ivs:eu-west-1:111122223333:stage/a", SessionID: "st-1", ID: id, Recording: c,
		Storage: resource.StorageConfiguration{ARN: c.StorageConfigurationARN, S3: resource.S3StorageConfiguration{BucketName: "clips"}},
	}}
}

// A participant's captures follow one another: the next waits until all of the one
// before is recorded. Those of others do not wait.
func TestOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewManager(Config{Log: slog.New(slog.DiscardHandler)})
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx) }()
		var mu sync.Mutex
		var log []string
		note := func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			log = append(log, fmt.Sprintf(format, args...))
		}
		publish := func(who string, n int) (stop func()) {
			return m.start(subject{"stage", who}, m.Log, func(ctx context.Context) {
				note("%s %d begins", who, n)
				<-ctx.Done()
				time.Sleep(time.Second) // ffmpeg
				note("%s %d ends", who, n)
				if n == 2 {
					panic("at the end")
				}
			})
		}
		publish("ana", 1)()
		synctest.Wait()
		publish("ana", 2) // whose end nobody tells
		publish("ana", 3)
		publish("ben", 4)
		time.Sleep(5 * time.Second)
		stop()
		<-ended
		publish("ana", 5)()
		synctest.Wait()
		want := []string{"ana 1 begins", "ben 4 begins", "ana 1 ends", "ana 2 begins", "ana 2 ends", "ana 3 begins"}
		if len(log) != 8 || !slices.Equal(log[:6], want) {
			t.Errorf("got %q, want %q and two ends", log, want)
		}
		if len(m.newest) != 0 {
			t.Errorf("%d publications are remembered", len(m.newest))
		}
	})
}
