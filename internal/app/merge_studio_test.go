package app

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"anabranch/internal/api"
	"anabranch/internal/api/lowlatency"
	"anabranch/internal/auth"
	"anabranch/internal/broadcast"
	"anabranch/internal/disk"
	"anabranch/internal/media"
	"anabranch/internal/playback"
	"anabranch/internal/recorder"
	"anabranch/internal/resource"
	"anabranch/internal/store"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

// studio is a server without its sockets, on virtual time: API, broadcasts,
// recorder and database as the server joins them, with one channel, above a
// bucket in memory.
type studio struct {
	*testing.T
	dir       string
	bucket    *bucket
	began     time.Time
	cable     *cable // to the bucket
	store     *store.Store
	channels  *broadcast.Manager
	api       *ivs.Client
	stop      func()
	stopped   sync.WaitGroup // servers that were killed, too
	channel   *string        // ARN
	recording *string        // the ARN of its first recording configuration
	key       string

	mu    sync.Mutex
	stays map[string]stay // the streams, by id
}

// stay is a stream: its number, and when its media began and ended.
type stay struct {
	n          int
	from, till time.Time
}

// newStudio opens a studio whose channel is recorded, with a reconnect window
// in seconds.
func newStudio(t *testing.T, window int) *studio {
	s := &studio{
		T: t, dir: t.TempDir(), bucket: &bucket{objects: make(map[string][]byte)},
		began: time.Now(), stays: make(map[string]stay),
	}
	t.Cleanup(s.close)
	s.start()
	s.recording = s.configuration("clips", window)
	made, err := s.api.CreateChannel(s.Context(), &ivs.CreateChannelInput{RecordingConfigurationArn: s.recording})
	if err != nil {
		s.Fatal(err)
	}
	s.channel, s.key = made.Channel.Arn, *made.StreamKey.Value
	return s
}

// again is the same studio in another bubble, on a copy of its folder, before
// the server is started.
func (s *studio) again(t *testing.T, dir string) *studio {
	next := &studio{
		T: t, dir: dir, bucket: s.bucket, began: time.Now(), stop: func() {},
		channel: s.channel, recording: s.recording, key: s.key, stays: s.stays,
	}
	t.Cleanup(next.close)
	return next
}

// start starts the server.
func (s *studio) start() {
	s.Helper()
	ctx := context.Background()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(s.Output(), nil))
	}
	place := resource.Place{Region: "eu-west-1", Account: "111122223333"}
	db, err := store.Open(ctx, store.Config{Path: filepath.Join(s.dir, "db"), Log: log})
	if err != nil {
		s.Fatal(err)
	}
	wire := &cable{bucket: s.bucket}
	rec, err := recorder.Open(ctx, recorder.Config{
		Dir: filepath.Join(s.dir, "spool"), FS: disk.OS, Objects: wire, Ledger: db, Place: place, Log: log,
	})
	if err != nil {
		s.Fatal(err)
	}
	channels, err := broadcast.NewManager(ctx, broadcast.Config{
		Dir: filepath.Join(s.dir, "live"), Grace: 15 * time.Second, MediaBase: func(*resource.Channel, string) string { return "" },
		SisterURI: func(_, to string) string { return to }, Place: place, Sessions: db, Recorder: rec, Log: log,
	})
	if err != nil {
		s.Fatal(err)
	}
	s.cable, s.store, s.channels = wire, db, channels
	s.api = ivs.New(ivs.Options{
		Region: place.Region, BaseEndpoint: aws.String("http://studio"), Retryer: aws.NopRetryer{},
		Credentials: awscredentials.NewStaticCredentialsProvider("AKID", "secret", ""),
		HTTPClient: direct{api.New(api.Config{
			Signatures: &auth.SigV4{Region: place.Region, Service: "ivs", Secret: func(string) (string, bool) { return "secret", true }},
			Log:        log,
			Services: []api.Service{lowlatency.Service(lowlatency.Config{
				Place: place, Endpoints: lowlatency.Endpoints{PlaybackURL: func(string) string { return "" }},
				Store: db, OnAir: onAir{channels, playback.NewViews()}, Sealer: auth.NewSealer([]byte("key")), ConfigurationCreated: func() {},
			})},
		})},
	})
	recording, stopRecording := context.WithCancel(ctx)
	broadcasting, stopBroadcasting := context.WithCancel(ctx)
	var recorded, broadcasted sync.WaitGroup
	recorded.Go(func() { rec.Run(recording) })
	broadcasted.Go(func() { channels.Run(broadcasting) })
	s.stop = sync.OnceFunc(func() {
		stopBroadcasting()
		broadcasted.Wait()
		stopRecording()
		recorded.Wait()
		db.Close()
	})
}

// kill kills the server: what is on the disk now is all that the next start
// finds. What it had on air ends.
func (s *studio) kill() {
	s.Helper()
	s.cable.cut()
	dir := s.TempDir()
	if err := os.CopyFS(dir, os.DirFS(s.dir)); err != nil {
		s.Fatal(err)
	}
	s.dir = dir
	s.stopped.Go(s.stop)
}

// close ends the studio.
func (s *studio) close() {
	s.stop()
	s.stopped.Wait()
}

// direct hands requests to a handler, without a network.
type direct struct{ handler http.Handler }

func (d direct) Do(r *http.Request) (*http.Response, error) {
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// configuration makes a recording configuration.
func (s *studio) configuration(bucket string, window int) (arn *string) {
	s.Helper()
	made, err := s.api.CreateRecordingConfiguration(s.Context(), &ivs.CreateRecordingConfigurationInput{
		DestinationConfiguration:        &types.DestinationConfiguration{S3: &types.S3DestinationConfiguration{BucketName: &bucket}},
		RecordingReconnectWindowSeconds: int32(window),
	})
	if err != nil {
		s.Fatal(err)
	}
	return made.RecordingConfiguration.Arn
}

// update changes the channel.
func (s *studio) update(change func(*ivs.UpdateChannelInput)) {
	s.Helper()
	in := &ivs.UpdateChannelInput{Arn: s.channel}
	change(in)
	if _, err := s.api.UpdateChannel(s.Context(), in); err != nil {
		s.Fatal(err)
	}
}

// attach changes the channel's recording configuration; "" detaches it.
func (s *studio) attach(arn string) {
	s.Helper()
	s.update(func(in *ivs.UpdateChannelInput) { in.RecordingConfigurationArn = &arn })
}

// encoder is what a broadcaster sends: pictures of size bytes each.
type encoder struct {
	width, height int
	profile       byte
	rate          float64 // of the pictures
	size          int
	sampleRate    int // 0: no sound
	channels      int
	toldRate      float64 // 0: not told
	toldBitrate   int
}

// plain is the encoder of most rows. Of its pictures 200 bytes are what it
// tells, 48 kbit/s.
var plain = encoder{
	width: 1280, height: 720, profile: 0x42, rate: 30, size: 200, sampleRate: 48000, channels: 2, toldRate: 30, toldBitrate: 48_000,
}

// but is e with something changed.
func (e encoder) but(change func(*encoder)) encoder {
	change(&e)
	return e
}

func (e *encoder) description(t *testing.T) media.Description {
	t.Helper()
	sps, _ := hex.DecodeString("6742c01fda014016ec0440000003004000000f03c60ca8")
	video, err := media.ParseH264(sps, []byte{0x68, 0xce, byte(e.width), byte(e.height)})
	if err != nil {
		t.Fatal(err)
	}
	video.Width, video.Height, video.Profile, video.TimingRate = e.width, e.height, e.profile, 0
	video.SPS[1] = e.profile
	d := media.Description{Params: media.Params{Video: video}, FrameRate: e.toldRate, VideoBitrate: e.toldBitrate}
	if e.sampleRate > 0 {
		index := map[int]byte{48000: 3, 44100: 4}[e.sampleRate]
		if d.Audio, err = media.ParseAAC([]byte{0x10 | index>>1, index<<7 | byte(e.channels)<<3}); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// publish connects a publisher.
func (s *studio) publish() (*broadcast.Feed, error) {
	return s.channels.Publish(s.Context(), broadcast.Request{Key: s.key, Protocol: "RTMPS", Secure: true, RemoteAddr: "192.0.2.1:1"})
}

// send sends d of media from e, as fast as time goes.
func (s *studio) send(f *broadcast.Feed, e encoder, d time.Duration) error {
	if err := f.Describe(e.description(s.T)); err != nil {
		return err
	}
	s.mu.Lock()
	at, goesOn := s.stays[f.StreamID()]
	if !goesOn {
		at.n = len(s.stays) + 1
	}
	if at.from.IsZero() && d > 0 {
		at.from = time.Now()
	}
	s.stays[f.StreamID()] = at
	s.mu.Unlock()
	began, frame := time.Now(), media.Ticks(math.Round(media.VideoRate/e.rate))
	samples := 0
	for at := media.Ticks(0); at < media.TicksOf(d, media.VideoRate); at += frame {
		for ; e.sampleRate > 0; samples++ {
			sound := media.Ticks(samples*media.SamplesPerFrame).Rescale(e.sampleRate, media.VideoRate)
			if sound > at {
				break
			}
			if err := f.Write(media.Frame{Kind: media.Audio, DTS: sound, PTS: sound, Key: true, Payload: []byte{0x21, 0x10}, Captured: time.Now()}); err != nil {
				return err
			}
		}
		key := at%media.VideoRate < frame // one a second
		picture := make([]byte, e.size)
		binary.BigEndian.PutUint32(picture, uint32(e.size-4))
		if picture[4] = 0x41; key {
			picture[4] = 0x65
		}
		if err := f.Write(media.Frame{DTS: at, PTS: at, Key: key, Payload: picture, Captured: time.Now()}); err != nil {
			return err
		}
		time.Sleep(time.Until(began.Add((at + frame).Duration(media.VideoRate))))
		s.mu.Lock()
		stay := s.stays[f.StreamID()]
		stay.till = time.Now()
		s.stays[f.StreamID()] = stay
		s.mu.Unlock()
	}
	return nil
}

// begin is a stream that stays on air.
func (s *studio) begin(e encoder, d time.Duration) *broadcast.Feed {
	s.Helper()
	f, err := s.publish()
	if err != nil {
		s.Fatal(err)
	}
	if err := s.send(f, e, d); err != nil {
		s.Fatal(err)
	}
	return f
}

// idle keeps f on air for d without media that counts: sound from nowhere near
// the pictures.
func (s *studio) idle(f *broadcast.Feed, d time.Duration) {
	s.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(min(25*time.Second, time.Until(end)))
		if err := f.Write(media.Frame{Kind: media.Audio, DTS: 1 << 40, Payload: []byte{0x21}, Captured: time.Now()}); err != nil {
			s.Fatal(err)
		}
	}
}

// fragmented makes the channel one that is recorded as fragmented MP4.
func (s *studio) fragmented() {
	s.Helper()
	s.update(func(in *ivs.UpdateChannelInput) { in.ContainerFormat = types.ContainerFormatFragmentedMP4 })
}

// stream is a whole stream, whose connection breaks at its end.
func (s *studio) stream(e encoder, d time.Duration) {
	s.Helper()
	s.begin(e, d).Close(io.EOF)
}
