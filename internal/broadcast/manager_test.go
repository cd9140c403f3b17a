package broadcast_test

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/broadcast"
	"anabranch/internal/disk"
	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/recorder"
	"anabranch/internal/resource"
	"anabranch/internal/store"
)

var place = resource.Place{Region: "us-east-1", Account: "123456789012"}

// bucket takes every object and keeps none.
type bucket struct {
	mu   sync.Mutex
	keys []string
}

func (b *bucket) Check(context.Context, string) error { return nil }
func (b *bucket) Put(_ context.Context, _, key, _ string, body io.ReadSeeker) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keys = append(b.keys, key)
	_, err := io.Copy(io.Discard, body)
	return err
}

// failing is a store whose next EndStreams fail, and whose answers about a
// channel may take a while.
type failing struct {
	*store.Store
	ends atomic.Int32
	slow atomic.Int64 // how long, once
}

func (f *failing) Channel(ctx context.Context, arn resource.ARN) (resource.Channel, error) {
	defer time.Sleep(time.Duration(f.slow.Swap(0)))
	return f.Store.Channel(ctx, arn)
}

func (f *failing) EndStream(ctx context.Context, streamID string, at time.Time, failure string, breached ...resource.LimitBreachDetail) error {
	if f.ends.Add(-1) >= 0 {
		return errors.New("disk full")
	}
	return f.Store.EndStream(ctx, streamID, at, failure, breached...)
}

// station is a server's middle: store, recorder and broadcasts, on a folder
// that outlives it.
type station struct {
	t       *testing.T
	store   *store.Store
	failing *failing
	bucket  *bucket
	m       *broadcast.Manager
	channel resource.Channel
	key     resource.StreamKey
	stop    func()
	// stopBroadcasting stops the broadcasts alone.
	stopBroadcasting func()
}

func start(t *testing.T, dir string) *station {
	t.Helper()
	return startWith(t, dir, broadcast.Config{})
}

// startWith starts a station with the bounds and the transcoder of cfg.
func startWith(t *testing.T, dir string, cfg broadcast.Config) *station {
	t.Helper()
	ctx := context.Background()
	log := slog.New(slog.DiscardHandler)
	db, err := store.Open(ctx, store.Config{
		Path: filepath.Join(dir, "db"), Quotas: store.Quotas{ConcurrentStreams: cfg.MaxStreams}, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	objects := &bucket{}
	rec, err := recorder.Open(ctx, recorder.Config{
		Dir: filepath.Join(dir, "spool"), FS: disk.OS, Objects: objects, Ledger: db, Place: place, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	sessions := &failing{Store: db}
	cfg.Dir, cfg.Grace, cfg.Place = filepath.Join(dir, "live"), 15*time.Second, place
	cfg.MediaBase, cfg.SisterURI = mediaBase, func(from, to string) string { return from + "-" + to }
	cfg.Sessions, cfg.Recorder, cfg.Log = sessions, rec, log
	m, err := broadcast.NewManager(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := &station{t: t, store: db, failing: sessions, bucket: objects, m: m}
	recording, stopRecording := context.WithCancel(ctx)
	broadcasting, stopBroadcasting := context.WithCancel(ctx)
	var recorded, broadcasted sync.WaitGroup
	recorded.Go(func() { rec.Run(recording) })
	broadcasted.Go(func() { m.Run(broadcasting) })
	s.stopBroadcasting = func() {
		stopBroadcasting()
		broadcasted.Wait()
	}
	s.stop = sync.OnceFunc(func() {
		s.stopBroadcasting()
		stopRecording()
		recorded.Wait()
		db.Close()
	})
	return s
}

// withChannel makes the station's channel; recorded says with what reconnect
// window, nil for none.
func (s *station) withChannel(insecure bool, window *int) *station {
	s.t.Helper()
	ch := resource.Channel{ARN: place.ARN(resource.KindChannel, resource.NewID()), InsecureIngest: insecure}
	if window != nil {
		rc := resource.RecordingConfiguration{
			ARN:                    place.ARN(resource.KindRecordingConfiguration, resource.NewID()),
			Destination:            resource.DestinationConfiguration{S3: &resource.S3DestinationConfiguration{BucketName: "bucket"}},
			ReconnectWindowSeconds: *window,
		}
		rc.FillDefaults()
		if err := s.store.CreateRecordingConfiguration(s.t.Context(), rc); err != nil {
			s.t.Fatal(err)
		}
		ch.RecordingConfigurationARN = rc.ARN
	}
	ch.FillDefaults()
	s.channel, s.key = ch, resource.NewStreamKey(place, ch.ARN, nil)
	if err := s.store.CreateChannel(s.t.Context(), s.channel, s.key); err != nil {
		s.t.Fatal(err)
	}
	return s
}

// update changes the station's channel.
func (s *station) update(change func(*resource.Channel)) {
	s.t.Helper()
	_, err := s.store.UpdateChannel(s.t.Context(), s.channel.ARN, func(ch *resource.Channel) error {
		change(ch)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *station) publish() (*broadcast.Feed, error) {
	return s.m.Publish(s.t.Context(), broadcast.Request{Key: s.key.Value, Protocol: "RTMPS", Secure: true, RemoteAddr: "192.0.2.1:1"})
}

func (s *station) mustPublish() *broadcast.Feed {
	s.t.Helper()
	f, err := s.publish()
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

// events lists the names of the events the channel's newest session knows,
// oldest first.
func (s *station) events() []string {
	s.t.Helper()
	session, err := s.store.StreamSession(s.t.Context(), s.channel.ARN, "")
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for _, e := range slices.Backward(session.TruncatedEvents) {
		names = append(names, e.Name)
	}
	return names
}

func description(t *testing.T) media.Description {
	t.Helper()
	sps, _ := hex.DecodeString("6764001facd9405005bb011000000300100000030320f1831960")
	video, err := media.ParseH264(sps, []byte{0x68, 0xeb, 0xe3, 0xcb})
	if err != nil {
		t.Fatal(err)
	}
	return media.Description{Params: media.Params{Video: video}, FrameRate: 30, VideoBitrate: 1_000_000}
}

// send describes the stream if need be and writes seconds of 30 fps video with
// a key frame each second, in step with the clock.
func send(t *testing.T, f *broadcast.Feed, seconds int) error {
	t.Helper()
	if err := f.Describe(description(t)); err != nil {
		return err
	}
	for i := range seconds * 30 {
		nal := []byte{0, 0, 0, 4, 0x41, 1, 2, 3}
		if i%30 == 0 {
			nal[4] = 0x65
		}
		at := media.Ticks(i * 3000)
		fr := media.Frame{DTS: at, PTS: at, Key: i%30 == 0, Payload: nal, Captured: time.Now()}
		if err := f.Write(fr); err != nil {
			return err
		}
		time.Sleep(time.Second / 30)
	}
	return nil
}

func refusal(err error) *broadcast.Refused {
	var r *broadcast.Refused
	errors.As(err, &r)
	return r
}

// Who is turned away, and with which words.
func TestRefusals(t *testing.T) {
	s := start(t, t.TempDir()).withChannel(false, nil)
	defer s.stop()
	for _, tt := range []struct {
		name   string
		req    broadcast.Request
		code   string
		reason string
	}{
		{"wrong key", broadcast.Request{Key: "sk_x", Secure: true}, broadcast.CodeRejected, "stream key"},
		{"plain RTMP", broadcast.Request{Key: s.key.Value}, broadcast.CodeRejected, "insecureIngest"},
	} {
		_, err := s.m.Publish(t.Context(), tt.req)
		if r := refusal(err); r == nil || r.Code != tt.code || !strings.Contains(r.Reason, tt.reason) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	f := s.mustPublish()
	defer f.Close(nil)
	if err := f.Describe(media.Description{}); refusal(err) == nil {
		t.Errorf("a stream without video: %v", err)
	}
}

// A second publisher is refused while the first delivers media, and takes over
// after 2.5 s when it does not.
func TestSecondPublisher(t *testing.T) {
	for _, alive := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, t.TempDir()).withChannel(true, nil)
			defer s.stop()
			first := s.mustPublish()
			sent := make(chan error, 1)
			go func() { sent <- send(t, first, 10) }()
			if alive {
				time.Sleep(time.Second)
			} else {
				<-sent
			}
			began := time.Now()
			second, err := s.publish()
			waited := time.Since(began)
			if alive {
				if r := refusal(err); r == nil || r.Code != broadcast.CodeBadName {
					t.Errorf("while the first delivers media: %v", err)
				}
				if waited > 100*time.Millisecond {
					t.Errorf("refused after %v", waited)
				}
				<-sent
			} else {
				if err != nil {
					t.Fatal(err)
				}
				if waited < 2400*time.Millisecond || waited > 2600*time.Millisecond {
					t.Errorf("took over after %v", waited)
				}
				if r := refusal(first.Err()); r == nil || r.Code != broadcast.CodeBadName {
					t.Errorf("the first was told %v", first.Err())
				}
				second.Close(nil)
			}
			first.Close(nil)
		})
	}
}

// A stream that sends nothing for 30 s ends.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir()).withChannel(true, nil)
		defer s.stop()
		f := s.mustPublish()
		if err := send(t, f, 1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(29 * time.Second)
		if f.Err() != nil {
			t.Fatalf("ended after 29 s: %v", f.Err())
		}
		if got := s.m.Health(s.channel.ARN); got != resource.Starving {
			t.Errorf("health is %s", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if r := refusal(f.Err()); r == nil || !strings.Contains(r.Reason, "30s") {
			t.Errorf("after 31 s: %v", f.Err())
		}
	})
}

// The events of a stream come in IVS's order, each once.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		window := 0
		s := start(t, t.TempDir()).withChannel(true, &window)
		defer s.stop()
		f := s.mustPublish()
		if err := send(t, f, 5); err != nil {
			t.Fatal(err)
		}
		if err := s.m.Stop(t.Context(), s.channel.ARN); err != nil {
			t.Fatal(err)
		}
		if err := s.m.Stop(t.Context(), s.channel.ARN); !errors.As(err, new(*resource.Error)) {
			t.Errorf("stopping what is offline: %v", err)
		}
		time.Sleep(10 * time.Second)
		want := []string{"Session Created", "Stream Start", "Recording Start", "Stream End", "Session Ended", "Recording End"}
		if got := s.events(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// The live playlist outlives its publisher by the grace or the reconnect
// window, whichever is longer, and its end by a minute.
func TestLivePlaylistLife(t *testing.T) {
	for _, tt := range []struct {
		window int
		life   time.Duration
	}{{0, 15 * time.Second}, {60, 60 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, t.TempDir()).withChannel(true, &tt.window)
			defer s.stop()
			f := s.mustPublish()
			if err := send(t, f, 3); err != nil {
				t.Fatal(err)
			}
			f.Close(io.EOF)
			ended := func() bool {
				v, ok := s.m.Lookup(s.channel.ID())
				return !ok || v.Window.Info().Ended
			}
			time.Sleep(tt.life - time.Second)
			if ended() {
				t.Errorf("ended within %v", tt.life)
			}
			time.Sleep(2 * time.Second)
			if !ended() {
				t.Errorf("still open after %v", tt.life)
			}
			if _, ok := s.m.Lookup(s.channel.ID()); !ok {
				t.Error("not served any more once ended")
			}
			time.Sleep(time.Minute)
			if _, ok := s.m.Lookup(s.channel.ID()); ok {
				t.Error("still served a minute after its end")
			}
		})
	}
}

// Streams of one broadcast, also on both sides of a restart, share a timeline:
// each begins exactly where the last one ended, in the same playlist.
func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		window := 60
		s := start(t, dir).withChannel(true, &window)
		position := func() media.Ticks {
			v, ok := s.m.Lookup(s.channel.ID())
			if !ok {
				t.Fatal("not on air")
			}
			at, _ := v.Window.Position()
			return at
		}
		total := packager.Origin
		for i, restart := range []bool{false, false, true} {
			if i > 0 {
				time.Sleep(4 * time.Second)
			}
			if restart {
				s.stop()
				channel, key := s.channel, s.key
				s = start(t, dir)
				s.channel, s.key = channel, key
			}
			f := s.mustPublish()
			if err := send(t, f, 3); err != nil {
				t.Fatal(err)
			}
			f.Close(io.EOF)
			total += 3 * media.VideoRate
			if got := position(); got != total {
				t.Errorf("stream %d ends at %d, want %d", i, got, total)
			}
		}
		s.stop()
	})
}

// A session whose end cannot be stored is ended as soon as it can be.
func TestEndIsStoredLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir()).withChannel(true, nil)
		defer s.stop()
		f := s.mustPublish()
		if err := send(t, f, 1); err != nil {
			t.Fatal(err)
		}
		s.failing.ends.Store(5)
		ended := time.Now()
		f.Close(io.EOF)
		if time.Since(ended) < time.Second {
			t.Errorf("five failures took %v", time.Since(ended))
		}
		session, err := s.store.StreamSession(t.Context(), s.channel.ARN, "")
		if err != nil || session.EndTime == nil || session.EndTime.After(ended) {
			t.Errorf("session %+v, %v", session, err)
		}
		s.mustPublish().Close(nil)
	})
}

// A session that a crash cut off ends when its last media did, not when the
// server is back.
func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := start(t, dir).withChannel(true, nil)
		f := s.mustPublish()
		if err := send(t, f, 3); err != nil {
			t.Fatal(err)
		}
		last := time.Now()
		crashed := t.TempDir()
		if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		f.Close(nil)
		s.stop()

		time.Sleep(time.Hour)
		channel := s.channel.ARN
		s = start(t, crashed)
		defer s.stop()
		session, err := s.store.StreamSession(t.Context(), channel, "")
		if err != nil || session.EndTime == nil || last.Sub(*session.EndTime).Abs() > 2*time.Second {
			t.Errorf("last media at %v, session %+v, %v", last, session, err)
		}
	})
}

// A connection that sends no media does not make the playlist wait any longer.
func TestNoMediaNoPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir()).withChannel(true, nil)
		defer s.stop()
		f := s.mustPublish()
		if err := send(t, f, 3); err != nil {
			t.Fatal(err)
		}
		f.Close(io.EOF)
		for range 8 {
			time.Sleep(2 * time.Second)
			s.mustPublish().Close(io.EOF)
		}
		synctest.Wait()
		if v, ok := s.m.Lookup(s.channel.ID()); ok && !v.Window.Info().Ended {
			t.Error("still open 16 s after the last media")
		}
	})
}

// A recording whose configuration was detached just before a crash ends at the
// next start.
func TestDetachedBeforeCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		window := 300
		s := start(t, dir).withChannel(true, &window)
		f := s.mustPublish()
		if err := send(t, f, 3); err != nil {
			t.Fatal(err)
		}
		f.Close(nil)
		time.Sleep(time.Second)
		if _, err := s.store.UpdateChannel(t.Context(), s.channel.ARN, func(ch *resource.Channel) error {
			ch.RecordingConfigurationARN = ""
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		s.stop()

		channel := s.channel
		s = start(t, dir)
		defer s.stop()
		s.channel = channel
		time.Sleep(time.Second)
		if got := s.events(); !slices.Contains(got, "Recording End") {
			t.Errorf("events %q", got)
		}
	})
}

// What is not a channel's among the live windows neither stops a start nor is
// touched; a window that cannot be read is given up.
func TestOddWindows(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir).withChannel(true, nil)
	channel := s.channel
	s.stop()
	odd := filepath.Join(dir, "live", "lost+found", "x")
	broken := filepath.Join(dir, "live", channel.ID(), "journal", "x")
	for _, folder := range []string{odd, broken} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s = start(t, dir)
	defer s.stop()
	if _, err := os.Stat(odd); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(broken); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the broken window: %v", err)
	}
}
