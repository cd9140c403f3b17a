package lowlatency_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"anabranch/internal/api"
	"anabranch/internal/api/apitest"
	"anabranch/internal/api/lowlatency"
	"anabranch/internal/api/tags"
	"anabranch/internal/auth"
	"anabranch/internal/resource"
	"anabranch/internal/store"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

var place = apitest.Place

// fixture is a server over a real database, and the SDK's client to it.
type fixture struct {
	*ivs.Client
	*apitest.Server
	t     *testing.T
	ctx   context.Context
	store *store.Store
	onAir *onAir
	// mu guards the rest from calls side by side.
	mu sync.Mutex
	// created counts calls of ConfigurationCreated.
	created int
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, ctx: t.Context(), onAir: &onAir{health: make(map[resource.ARN]resource.StreamHealth), viewers: make(map[resource.ARN]int)}}
	quiet := slog.New(slog.DiscardHandler)
	var err error
	f.store, err = store.Open(f.ctx, store.Config{Path: filepath.Join(t.TempDir(), "test.db"), Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.store.Close() })
	f.onAir.store = f.store
	f.Server = apitest.NewServer(t, services(f)...)
	f.Client = ivs.New(ivs.Options{
		Region: place.Region, BaseEndpoint: &f.URL, Retryer: aws.NopRetryer{},
		Credentials: credentials.StaticCredentialsProvider{Value: apitest.Credentials},
	})
	return f
}

// services are those of the model, for f to call, or for nobody.
func services(f *fixture) []api.Service {
	if f == nil {
		return []api.Service{lowlatency.Service(lowlatency.Config{}), tags.Service(nil)}
	}
	return []api.Service{lowlatency.Service(lowlatency.Config{
		Place: place,
		Endpoints: lowlatency.Endpoints{
			IngestHost: "ingest.test", SRTHost: "srt.test",
			PlaybackURL: func(id string) string { return "http://play.test/" + id + ".m3u8" },
		},
		Store: f.store, OnAir: f.onAir, Sealer: auth.NewSealer([]byte("key")),
		ConfigurationCreated: func() { f.count(&f.created) },
	}), tags.Service(f.store)}
}

func (f *fixture) count(calls *int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*calls++
}

// onAir stands for the channels on air: a stream in the database is all there
// is to one.
type onAir struct {
	store *store.Store
	// mu guards the rest.
	mu       sync.Mutex
	health   map[resource.ARN]resource.StreamHealth
	viewers  map[resource.ARN]int
	changed  []resource.ARN
	adBreak  string // id of the break under way
	metadata []string
}

func (o *onAir) Stop(ctx context.Context, channel resource.ARN) error {
	session, err := o.store.LiveStream(ctx, channel)
	if err != nil {
		return err
	}
	return o.store.EndStream(ctx, session.StreamID, time.Now(), "")
}

func (o *onAir) InsertAdBreak(ctx context.Context, channel resource.ARN, seconds int) (string, error) {
	if _, err := o.store.LiveStream(ctx, channel); err != nil {
		return "", err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.adBreak != "" {
		return "", resource.Errorf(resource.Conflict, "in an ad break already")
	}
	o.adBreak = fmt.Sprintf("break0000%03d", seconds)
	return o.adBreak, nil
}

func (o *onAir) PutMetadata(channel resource.ARN, payload string) error {
	if _, err := o.store.LiveStream(context.Background(), channel); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.metadata = append(o.metadata, payload)
	return nil
}

func (o *onAir) Changed(_ context.Context, channel resource.ARN) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.changed = append(o.changed, channel)
}

func (o *onAir) Health(channel resource.ARN) resource.StreamHealth {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.health[channel]
}

func (o *onAir) Viewers(channel resource.ARN) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.viewers[channel]
}

// channel makes a channel.
func (f *fixture) channel(in *ivs.CreateChannelInput) *ivs.CreateChannelOutput {
	f.t.Helper()
	return apitest.Must[*ivs.CreateChannelOutput](f.t)(f.CreateChannel(f.ctx, in))
}

// recording makes a recording configuration in a state.
func (f *fixture) recording(state resource.RecordingConfigurationState) *types.RecordingConfiguration {
	f.t.Helper()
	out := apitest.Must[*ivs.CreateRecordingConfigurationOutput](f.t)(f.CreateRecordingConfiguration(f.ctx, &ivs.CreateRecordingConfigurationInput{
		DestinationConfiguration: &types.DestinationConfiguration{S3: &types.S3DestinationConfiguration{BucketName: aws.String("bucket")}},
	}))
	if state != resource.Creating {
		if err := f.store.SettleRecordingConfiguration(f.ctx, resource.ARN(*out.RecordingConfiguration.Arn), state); err != nil {
			f.t.Fatal(err)
		}
	}
	return out.RecordingConfiguration
}

// live begins a stream on a channel.
func (f *fixture) live(ch *ivs.CreateChannelOutput, health resource.StreamHealth) resource.StreamSession {
	f.t.Helper()
	arn := resource.ARN(*ch.Channel.Arn)
	f.onAir.health[arn] = health
	return apitest.Must[resource.StreamSession](f.t)(
		f.store.BeginStream(f.ctx, arn, *ch.StreamKey.Value, resource.NewStreamID(), time.Now()))
}

// What a call has answered is what the next one finds, whoever else calls.
func TestReadAfterWrite(t *testing.T) {
	f := newFixture(t)
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for range 5 {
				if err := f.readAfterWrite(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
}

func (f *fixture) readAfterWrite() error {
	made, err := f.CreateChannel(f.ctx, &ivs.CreateChannelInput{})
	if err != nil {
		return err
	}
	arn := made.Channel.Arn
	for _, name := range []string{"", "one", "two"} {
		if _, err := f.UpdateChannel(f.ctx, &ivs.UpdateChannelInput{Arn: arn, Name: &name}); err != nil {
			return err
		}
		got, err := f.GetChannel(f.ctx, &ivs.GetChannelInput{Arn: arn})
		if err != nil {
			return err
		}
		batch, err := f.BatchGetChannel(f.ctx, &ivs.BatchGetChannelInput{Arns: []string{*arn}})
		if err != nil {
			return err
		}
		if *got.Channel.Name != name || len(batch.Channels) != 1 || *batch.Channels[0].Name != name {
			return fmt.Errorf("%q is %q and %v", name, *got.Channel.Name, batch.Channels)
		}
	}
	key, err := f.GetStreamKey(f.ctx, &ivs.GetStreamKeyInput{Arn: made.StreamKey.Arn})
	if err != nil || *key.StreamKey.Value != *made.StreamKey.Value {
		return fmt.Errorf("the key %s: %w", *made.StreamKey.Arn, err)
	}
	if _, err := f.TagResource(f.ctx, &ivs.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"a": "b"}}); err != nil {
		return err
	}
	tags, err := f.ListTagsForResource(f.ctx, &ivs.ListTagsForResourceInput{ResourceArn: arn})
	if err != nil || tags.Tags["a"] != "b" {
		return fmt.Errorf("the tags of %s: %w", *arn, err)
	}
	if _, err := f.DeleteChannel(f.ctx, &ivs.DeleteChannelInput{Arn: arn}); err != nil {
		return err
	}
	var gone *types.ResourceNotFoundException
	if _, err := f.GetChannel(f.ctx, &ivs.GetChannelInput{Arn: arn}); !errors.As(err, &gone) {
		return fmt.Errorf("get %s after it was deleted: %w", *arn, err)
	}
	return nil
}

func TestWrongKeys(t *testing.T) {
	f := newFixture(t)
	for _, tt := range []struct{ key, secret, exception string }{
		{"AKID", "guess", "InvalidSignatureException"},
		{"DIKA", "secret", "UnrecognizedClientException"},
	} {
		_, err := f.ListChannels(f.ctx, nil, func(o *ivs.Options) {
			o.Credentials = credentials.NewStaticCredentialsProvider(tt.key, tt.secret, "")
		})
		apitest.Fails(t, err, tt.exception)
	}
}
