package realtime_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"anabranch/internal/api"
	"anabranch/internal/api/apitest"
	"anabranch/internal/api/realtime"
	"anabranch/internal/api/tags"
	"anabranch/internal/auth"
	"anabranch/internal/resource"
	"anabranch/internal/store"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"
)

var endpoints = resource.StageEndpoints{
	Events: "wss://stage.test/events", WHIP: "https://stage.test/whip",
	RTMP: "rtmp://stage.test:1935/app/", RTMPS: "rtmps://stage.test:443/app/",
}

// fixture is a server over a real database, and the SDK's client to it.
type fixture struct {
	*ivsrealtime.Client
	*apitest.Server
	t      *testing.T
	ctx    context.Context
	store  *store.Store
	rooms  *rooms
	tokens *tokens
	// bucket is what is told of every bucket.
	bucket func(ctx context.Context, name string) error
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, ctx: t.Context(), tokens: new(tokens)}
	var err error
	f.store, err = store.Open(f.ctx, store.Config{Path: filepath.Join(t.TempDir(), "test.db"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.store.Close() })
	f.rooms = &rooms{store: f.store}
	f.Server = apitest.NewServer(t, realtime.Service(realtime.Config{
		Place: apitest.Place, Endpoints: endpoints, Store: f.store, Rooms: f.rooms, Tokens: f.tokens,
		Buckets: f, Sealer: auth.NewSealer([]byte("key")),
	}), tags.Service(f.store))
	f.Client = ivsrealtime.New(ivsrealtime.Options{
		Region: apitest.Place.Region, BaseEndpoint: &f.URL, Retryer: aws.NopRetryer{},
		Credentials: credentials.StaticCredentialsProvider{Value: apitest.Credentials},
	})
	return f
}

// services are those of the model, for nobody to call.
func services() []api.Service {
	return []api.Service{realtime.Service(realtime.Config{}), tags.Service(nil)}
}

func (f *fixture) Check(ctx context.Context, name string) error {
	if f.bucket == nil {
		return nil
	}
	return f.bucket(ctx, name)
}

// rooms stand for the stages that somebody is in: they write down what they are
// told.
type rooms struct {
	store *store.Store
	// mu guards the rest.
	mu           sync.Mutex
	disconnected []string
	deleted      []resource.ARN
}

func (r *rooms) Disconnect(ctx context.Context, stage resource.ARN, participantID, reason string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.disconnected = append(r.disconnected, participantID+" "+reason)
	return r.store.KillParticipant(ctx, stage, participantID, time.Now().Add(time.Hour))
}

func (r *rooms) Deleted(stage resource.ARN) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deleted = append(r.deleted, stage)
}

// tokens are not signed: they name their claims, which are kept here.
type tokens struct {
	real   *auth.ParticipantTokens // makes them, when it is there
	mu     sync.Mutex
	claims []auth.ParticipantClaims
	err    error
}

func (k *tokens) Mint(c auth.ParticipantClaims) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return "", k.err
	}
	if k.real != nil {
		return k.real.Mint(c)
	}
	k.claims = append(k.claims, c)
	return "token-" + c.ID, nil
}

// of are the claims of a token.
func (k *tokens) of(t *testing.T, token string) auth.ParticipantClaims {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.IndexFunc(k.claims, func(c auth.ParticipantClaims) bool { return "token-"+c.ID == token })
	if i < 0 {
		t.Fatalf("%q was never made", token)
	}
	return k.claims[i]
}

// stage makes a stage.
func (f *fixture) stage(in *ivsrealtime.CreateStageInput) *ivsrealtime.CreateStageOutput {
	f.t.Helper()
	return apitest.Must[*ivsrealtime.CreateStageOutput](f.t)(f.CreateStage(f.ctx, in))
}

// storage makes a storage configuration.
func (f *fixture) storage() *types.StorageConfiguration {
	f.t.Helper()
	return apitest.Must[*ivsrealtime.CreateStorageConfigurationOutput](f.t)(f.CreateStorageConfiguration(f.ctx,
		&ivsrealtime.CreateStorageConfigurationInput{S3: &types.S3StorageConfiguration{BucketName: aws.String("bucket")}})).StorageConfiguration
}

// join lets a participant come to a stage.
func (f *fixture) join(stage *string, p resource.Participant) (session string) {
	f.t.Helper()
	p.Stage = resource.ARN(*stage)
	return apitest.Must[resource.StageSession](f.t)(f.store.JoinStage(f.ctx, p)).ID
}

// change changes a participant of a session.
func (f *fixture) change(stage *string, session, participant string, change func(*resource.Participant), happened ...resource.ParticipantEvent) {
	f.t.Helper()
	if err := f.store.UpdateParticipant(f.ctx, resource.ARN(*stage), session, participant, change, happened); err != nil {
		f.t.Fatal(err)
	}
}

func TestModel(t *testing.T) {
	f := newFixture(t)
	apitest.Model{
		File: "ivs-realtime/2020-07-14",
		Differences: map[string]string{
			"ParticipantId pattern":          "a token signed elsewhere may have an underscore in its id",
			"ParticipantTokenUserId pattern": "NUL, which no text of a database may have",
			"String pattern":                 "NUL, which no text of a database may have",
			"UserId pattern":                 "NUL, which no text of a database may have",
			"PublicKeyMaterial pattern":      "it is read as a key",
			"ResourceArn pattern":            "the model's has room for a kind of one letter only",
			"TagKey pattern":                 "what AWS takes anywhere",
			"TagValue pattern":               "what AWS takes anywhere",
			"Event.destinationStageArn":      "of replication, which is not there",
			"Event.destinationSessionId":     "of replication, which is not there",
			"Event.replica":                  "of replication, which is not there",
			"Event.previousToken":            "tokens are not exchanged",
			"Event.newToken":                 "tokens are not exchanged",
		},
		Untold: []string{"Composition", "CompositionSummary", "ParticipantReplica"},
	}.Check(t, f.Server, services()...)
}

// leastRows is how many constraints have been broken before, one by one: so many
// do not go away by oversight.
const leastRows = 2462

func TestConstraints(t *testing.T) {
	if n := examples.BreakConstraints(t, newFixture(t).Server, services()...); n < leastRows {
		t.Errorf("%d rows; there were %d before", n, leastRows)
	}
}

// An error of no kind is the server's, and tells nothing.
func TestMintFails(t *testing.T) {
	f := newFixture(t)
	f.tokens.err = errors.New("the secret is lost")
	status, exception, answer := f.Post("CreateStage", `{"participantTokenConfigurations":[{}]}`)
	if status != 500 || exception != "InternalServerException" || answer["stage"] != nil {
		t.Errorf("%d %s %v", status, exception, answer)
	}
	if got := apitest.Must[*ivsrealtime.ListStagesOutput](t)(f.ListStages(f.ctx, nil)).Stages; len(got) > 0 {
		t.Errorf("there is a stage: %v", got)
	}
}

// same checks what was answered against JSON.
func same(t *testing.T, what string, got any, want string) {
	t.Helper()
	var tree any
	if err := json.Unmarshal([]byte(want), &tree); err != nil {
		t.Fatalf("%s: %v in %s", what, err, want)
	}
	if !reflect.DeepEqual(got, tree) {
		text, _ := json.Marshal(got)
		t.Errorf("%s is %s, want %s", what, text, want)
	}
}
