package lowlatency_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch/internal/api"
	"anabranch/internal/api/lowlatency"
	"anabranch/internal/auth"
	"anabranch/internal/resource"
	"anabranch/internal/store"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
	"github.com/aws/smithy-go"
)

var place = resource.Place{Region: "eu-west-1", Account: "111122223333"}

// fixture is a server over a real database, and the SDK's client to it.
type fixture struct {
	*ivs.Client
	t     *testing.T
	ctx   context.Context
	url   string
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
	f.onAir.store = f.store
	server := httptest.NewServer(api.New(api.Config{
		Signatures: &auth.SigV4{Region: place.Region, Service: "ivs", Secret: func(id string) (string, bool) { return "secret", id == "AKID" }},
		Log:        quiet,
		Services: []api.Service{lowlatency.Service(lowlatency.Config{
			Place: place,
			Endpoints: lowlatency.Endpoints{
				IngestHost: "ingest.test", SRTHost: "srt.test",
				PlaybackURL: func(id string) string { return "http://play.test/" + id + ".m3u8" },
			},
			Store: f.store, OnAir: f.onAir, Sealer: auth.NewSealer([]byte("key")),
			ConfigurationCreated: func() { f.count(&f.created) },
		})},
	}))
	t.Cleanup(func() {
		server.Close()
		f.store.Close()
	})
	f.url = server.URL
	f.Client = ivs.New(ivs.Options{
		Region: place.Region, BaseEndpoint: &f.url, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""),
	})
	return f
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

// must fails the test when a call fails.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// channel makes a channel.
func (f *fixture) channel(in *ivs.CreateChannelInput) *ivs.CreateChannelOutput {
	f.t.Helper()
	return must[*ivs.CreateChannelOutput](f.t)(f.CreateChannel(f.ctx, in))
}

// recording makes a recording configuration in a state.
func (f *fixture) recording(state resource.RecordingConfigurationState) *types.RecordingConfiguration {
	f.t.Helper()
	out := must[*ivs.CreateRecordingConfigurationOutput](f.t)(f.CreateRecordingConfiguration(f.ctx, &ivs.CreateRecordingConfigurationInput{
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
	return must[resource.StreamSession](f.t)(
		f.store.BeginStream(f.ctx, arn, *ch.StreamKey.Value, resource.NewStreamID(), time.Now()))
}

// fails checks an error's exception and that its text has some words.
func fails(t *testing.T, err error, exception string, words ...string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != exception {
		t.Errorf("got %v, want %s", err, exception)
		return
	}
	text := e.ErrorMessage()
	if f := reflect.ValueOf(e).Elem().FieldByName("ExceptionMessage"); f.IsValid() && !f.IsNil() {
		text = f.Elem().String() // where the SDK puts it, for exceptions of the model
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%s says %q, want %q in it", exception, text, word)
		}
	}
}

// post calls an operation without the SDK, which checks too much itself.
func (f *fixture) post(operation, body string) (status int, exception string, answer map[string]any) {
	f.t.Helper()
	return f.send("POST", "/"+operation, body)
}

// send sends any signed request.
func (f *fixture) send(method, target, body string) (status int, exception string, answer map[string]any) {
	f.t.Helper()
	r := must[*http.Request](f.t)(http.NewRequest(method, f.url+target, strings.NewReader(body)))
	hash := sha256.Sum256([]byte(body))
	err := v4.NewSigner().SignHTTP(f.ctx, aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"},
		r, hex.EncodeToString(hash[:]), "ivs", place.Region, time.Now())
	if err != nil {
		f.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	text := must[[]byte](f.t)(io.ReadAll(resp.Body))
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&answer); err != nil && err != io.EOF {
		f.t.Errorf("%s %s answered %q: %v", method, target, text, err)
	}
	if bytes.Contains(text, []byte(":null")) || bytes.Contains(text, []byte("[null")) {
		f.t.Errorf("%s %s answered null: %s", method, target, text)
	}
	return resp.StatusCode, resp.Header.Get("x-amzn-ErrorType"), answer
}

// object gets an object out of an answer.
func object(answer map[string]any, path ...string) map[string]any {
	for _, name := range path {
		answer, _ = answer[name].(map[string]any)
	}
	return answer
}

// members are an object's member names, in order.
func members(object map[string]any) []string {
	var names []string
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Every operation of the model is there, and tried.
func TestOperations(t *testing.T) {
	tried := maps.Clone(examples)
	operations := lowlatency.Service(lowlatency.Config{}).Operations
	for _, o := range operations {
		op := o.Describe()
		if op.Output == nil {
			t.Errorf("%s is not implemented", op.Name)
		}
		if len(tried[op.Name]) == 0 {
			t.Errorf("%s has no example", op.Name)
		}
		delete(tried, op.Name)
	}
	if len(operations) != 41 || len(tried) > 0 {
		t.Errorf("%d operations, and the model has 41; examples of others: %v", len(operations), tried)
	}
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
		fails(t, err, tt.exception)
	}
}
