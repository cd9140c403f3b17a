package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// notThere are the operations on what the server does not have: they answer, but
// cannot work.
var notThere = []string{
	"StartComposition", "GetComposition", "StopComposition", "StartParticipantReplication", "StopParticipantReplication",
}

// Stock clients call every operation on stages that they know.
func TestStageOperations(t *testing.T) {
	t.Parallel()
	table := operationTable{calls: make(map[string]map[string]int), known: make(map[string][]string)}
	t.Cleanup(func() { table.check(t) }) // when all of the below have ended
	for _, client := range []struct {
		name string
		use  func(*testing.T, *server) (known []string)
	}{
		{"AWS SDK for JavaScript", stageWithTheJavaScriptSDK},
		{"AWS SDK for Go", stageWithTheGoSDK},
		{"AWS CLI", stageWithTheCLI},
	} {
		t.Run(client.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			known := slices.DeleteFunc(client.use(t, s), func(name string) bool { return slices.Contains(notThere, name) })
			table.add(client.name, known, s.answeredCalls())
		})
	}
}

func stageWithTheJavaScriptSDK(t *testing.T, s *server) (known []string) {
	return tellStory(t, s, "stages.mjs", func(line storyLine) {
		if j := line.Join; j != nil {
			g := &guest{room: s.roomOf(j.ARN), t: t, token: j.Token, id: j.ID}
			g.listen()
		}
	})
}

// stageWithTheGoSDK does a whole life of a stage, and looks at what is told on
// the way.
func stageWithTheGoSDK(t *testing.T, s *server) (known []string) {
	api, ctx := s.realtime(), t.Context()
	if _, err := s.s3().CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &s.bucket}); err != nil {
		t.Fatal(err)
	}
	tags := map[string]string{"team": "river"}

	storage := works(t, api.CreateStorageConfiguration, &ivsrealtime.CreateStorageConfigurationInput{S3: &types.S3StorageConfiguration{BucketName: &s.bucket}}).StorageConfiguration
	equal(t, works(t, api.GetStorageConfiguration, &ivsrealtime.GetStorageConfigurationInput{Arn: storage.Arn}).StorageConfiguration, storage)
	equal(t, len(works(t, api.ListStorageConfigurations, nil).StorageConfigurations), 1)
	_, err := api.CreateStorageConfiguration(ctx, &ivsrealtime.CreateStorageConfigurationInput{S3: &types.S3StorageConfiguration{BucketName: aws.String("nowhere")}})
	if !isA[*types.ValidationException](err) {
		t.Errorf("a bucket that is not there: %v", err)
	}

	encoder := works(t, api.CreateEncoderConfiguration, &ivsrealtime.CreateEncoderConfigurationInput{Video: &types.Video{Framerate: aws.Float32(23.5)}}).EncoderConfiguration
	equal(t, *encoder.Video, types.Video{Width: aws.Int32(1280), Height: aws.Int32(720), Framerate: aws.Float32(23.5), Bitrate: aws.Int32(2_500_000)})
	equal(t, works(t, api.GetEncoderConfiguration, &ivsrealtime.GetEncoderConfigurationInput{Arn: encoder.Arn}).EncoderConfiguration, encoder)
	equal(t, *works(t, api.ListEncoderConfigurations, nil).EncoderConfigurations[0].Arn, *encoder.Arn)

	key := works(t, api.ImportPublicKey, &ivsrealtime.ImportPublicKeyInput{PublicKeyMaterial: aws.String(publicKeyPEM(t))}).PublicKey
	equal(t, works(t, api.GetPublicKey, &ivsrealtime.GetPublicKeyInput{Arn: key.Arn}).PublicKey, key)
	equal(t, *works(t, api.ListPublicKeys, nil).PublicKeys[0].Arn, *key.Arn)

	made := works(t, api.CreateStage, &ivsrealtime.CreateStageInput{Name: aws.String("studio"), Tags: tags,
		ParticipantTokenConfigurations: []types.ParticipantTokenConfiguration{{UserId: aws.String("ana")}}})
	stage, token := made.Stage, made.ParticipantTokens[0]
	stage = works(t, api.UpdateStage, &ivsrealtime.UpdateStageInput{Arn: stage.Arn,
		AutoParticipantRecordingConfiguration: &types.AutoParticipantRecordingConfiguration{StorageConfigurationArn: storage.Arn}}).Stage
	equal(t, works(t, api.GetStage, &ivsrealtime.GetStageInput{Arn: stage.Arn}).Stage, stage)
	equal(t, *stage.AutoParticipantRecordingConfiguration.StorageConfigurationArn, *storage.Arn)
	equal(t, len(works(t, api.ListStages, nil).Stages), 1)
	other := works(t, api.CreateParticipantToken, &ivsrealtime.CreateParticipantTokenInput{StageArn: stage.Arn}).ParticipantToken
	if *other.ParticipantId == *token.ParticipantId || time.Until(*other.ExpirationTime) < 11*time.Hour {
		t.Errorf("a second token is of %s and expires %v", *other.ParticipantId, other.ExpirationTime)
	}

	ingest := works(t, api.CreateIngestConfiguration, &ivsrealtime.CreateIngestConfigurationInput{IngestProtocol: types.IngestProtocolRtmps}).IngestConfiguration
	ingest = works(t, api.UpdateIngestConfiguration, &ivsrealtime.UpdateIngestConfigurationInput{Arn: ingest.Arn, StageArn: stage.Arn}).IngestConfiguration
	equal(t, works(t, api.GetIngestConfiguration, &ivsrealtime.GetIngestConfigurationInput{Arn: ingest.Arn}).IngestConfiguration, ingest)
	equal(t, *ingest.StageArn, *stage.Arn)
	equal(t, len(works(t, api.ListIngestConfigurations, nil).IngestConfigurations), 1)

	works(t, api.TagResource, &ivsrealtime.TagResourceInput{ResourceArn: stage.Arn, Tags: map[string]string{"a": "b"}})
	works(t, api.UntagResource, &ivsrealtime.UntagResourceInput{ResourceArn: stage.Arn, TagKeys: []string{"team"}})
	equal(t, works(t, api.ListTagsForResource, &ivsrealtime.ListTagsForResourceInput{ResourceArn: stage.Arn}).Tags, map[string]string{"a": "b"})

	g := &guest{room: s.roomOf(*stage.Arn), t: t, token: *token.Token, id: *token.ParticipantId}
	g.listen()
	session := s.waitSession(stage.Arn)
	equal(t, *works(t, api.GetStageSession, &ivsrealtime.GetStageSessionInput{StageArn: stage.Arn, SessionId: &session}).StageSession.SessionId, session)
	equal(t, *works(t, api.ListStageSessions, &ivsrealtime.ListStageSessionsInput{StageArn: stage.Arn}).StageSessions[0].SessionId, session)
	equal(t, *works(t, api.GetParticipant, &ivsrealtime.GetParticipantInput{StageArn: stage.Arn, SessionId: &session, ParticipantId: &g.id}).Participant.UserId, "ana")
	participants := works(t, api.ListParticipants, &ivsrealtime.ListParticipantsInput{StageArn: stage.Arn, SessionId: &session, FilterByUserId: aws.String("ana")}).Participants
	equal(t, len(participants), 1)
	works(t, api.DisconnectParticipant, &ivsrealtime.DisconnectParticipantInput{StageArn: stage.Arn, ParticipantId: &g.id})
	eventually(t, 10*time.Second, "the participant has left", func() error {
		events := works(t, api.ListParticipantEvents, &ivsrealtime.ListParticipantEventsInput{StageArn: stage.Arn, SessionId: &session, ParticipantId: &g.id}).Events
		if len(events) != 2 || events[0].Name != types.EventNameLeft {
			return fmt.Errorf("the events are %v", events)
		}
		return nil
	})

	stageOperationsNotThere(t, s, stage.Arn)
	works(t, api.ListCompositions, nil)

	works(t, api.DeleteStage, &ivsrealtime.DeleteStageInput{Arn: stage.Arn})
	ended := works(t, api.GetStageSession, &ivsrealtime.GetStageSessionInput{StageArn: stage.Arn, SessionId: &session}).StageSession
	if ended.EndTime == nil {
		t.Error("the session of the deleted stage has not ended")
	}
	equal(t, *works(t, api.GetIngestConfiguration, &ivsrealtime.GetIngestConfigurationInput{Arn: ingest.Arn}).IngestConfiguration.StageArn, "")
	works(t, api.DeleteIngestConfiguration, &ivsrealtime.DeleteIngestConfigurationInput{Arn: ingest.Arn})
	works(t, api.DeletePublicKey, &ivsrealtime.DeletePublicKeyInput{Arn: key.Arn})
	works(t, api.DeleteEncoderConfiguration, &ivsrealtime.DeleteEncoderConfigurationInput{Arn: encoder.Arn})
	works(t, api.DeleteStorageConfiguration, &ivsrealtime.DeleteStorageConfigurationInput{Arn: storage.Arn})

	for method := range reflect.TypeFor[*ivsrealtime.Client]().Methods() {
		if method.Name != "Options" {
			known = append(known, method.Name)
		}
	}
	return known
}

// stageOperationsNotThere calls what the server does not have.
func stageOperationsNotThere(t *testing.T, s *server, stage *string) {
	t.Helper()
	api, ctx := s.realtime(), t.Context()
	once := func(o *ivsrealtime.Options) { o.Retryer = aws.NopRetryer{} }
	_, started := api.StartComposition(ctx, &ivsrealtime.StartCompositionInput{StageArn: stage, Destinations: []types.DestinationConfiguration{{
		Channel: &types.ChannelDestinationConfiguration{ChannelArn: aws.String("arn:aws:ivs:us-east-1:123456789012:channel/AbCdEfGhIjKl")},
	}}}, once)
	composition := aws.String("arn:aws:ivs:us-east-1:123456789012:composition/AbCdEfGhIjKl")
	_, got := api.GetComposition(ctx, &ivsrealtime.GetCompositionInput{Arn: composition}, once)
	_, stopped := api.StopComposition(ctx, &ivsrealtime.StopCompositionInput{Arn: composition}, once)
	answers := map[string]int{}
	for operation, err := range map[string]error{"StartComposition": started, "GetComposition": got, "StopComposition": stopped} {
		if answer := (*awshttp.ResponseError)(nil); errors.As(err, &answer) {
			answers[operation] = answer.HTTPStatusCode()
		}
	}
	want := map[string]int{"StartComposition": 501, "GetComposition": 404, "StopComposition": 404}
	if !maps.Equal(answers, want) {
		t.Errorf("what is not there is answered %v, want %v", answers, want)
	}
}

// waitSession waits until a session runs on a stage.
func (s *server) waitSession(stage *string) (session string) {
	s.t.Helper()
	eventually(s.t, 10*time.Second, "the stage has a session", func() error {
		got, err := s.realtime().GetStage(s.t.Context(), &ivsrealtime.GetStageInput{Arn: stage})
		if err == nil && got.Stage.ActiveSessionId == nil {
			err = errors.New("none")
		}
		if err == nil {
			session = *got.Stage.ActiveSessionId
		}
		return err
	})
	return session
}

// works calls an operation, which must work.
func works[In, Out any](t *testing.T, operation func(context.Context, *In, ...func(*ivsrealtime.Options)) (*Out, error), in *In) *Out {
	t.Helper()
	answer, err := operation(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// equal fails the test when two things are not told alike.
func equal[T any](t *testing.T, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		g, _ := json.Marshal(got)
		w, _ := json.Marshal(want)
		t.Errorf("got %s, want %s", g, w)
	}
}
