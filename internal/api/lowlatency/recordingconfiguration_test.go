package lowlatency_test

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"anabranch/internal/api/apitest"
	"anabranch/internal/resource"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

func TestRecordingConfigurationDefaults(t *testing.T) {
	f := newFixture(t)
	rc := f.recording(resource.Creating)
	if !strings.HasPrefix(*rc.Arn, "arn:aws:ivs:eu-west-1:111122223333:recording-configuration/") || rc.State != "CREATING" || *rc.Name != "" ||
		*rc.DestinationConfiguration.S3.BucketName != "bucket" || rc.RecordingReconnectWindowSeconds != 0 ||
		rc.RenditionConfiguration.RenditionSelection != "ALL" || rc.ThumbnailConfiguration.RecordingMode != "INTERVAL" ||
		*rc.ThumbnailConfiguration.TargetIntervalSeconds != 60 || rc.ThumbnailConfiguration.Resolution != "" ||
		!slices.Equal(rc.ThumbnailConfiguration.Storage, []types.ThumbnailConfigurationStorage{"SEQUENTIAL"}) {
		t.Errorf("made %+v", rc)
	}
	if f.created != 1 {
		t.Errorf("told %d times that one was created", f.created)
	}
}

func TestRecordingConfigurationMembers(t *testing.T) {
	f := newFixture(t)
	made := apitest.Must[*ivs.CreateRecordingConfigurationOutput](t)(f.CreateRecordingConfiguration(f.ctx, &ivs.CreateRecordingConfigurationInput{
		Name:                            aws.String("archive"),
		DestinationConfiguration:        &types.DestinationConfiguration{S3: &types.S3DestinationConfiguration{BucketName: aws.String("a.bucket-1")}},
		RecordingReconnectWindowSeconds: 300,
		RenditionConfiguration:          &types.RenditionConfiguration{RenditionSelection: "CUSTOM", Renditions: []types.RenditionConfigurationRendition{"HD", "LOWEST_RESOLUTION"}},
		ThumbnailConfiguration: &types.ThumbnailConfiguration{RecordingMode: "INTERVAL", TargetIntervalSeconds: aws.Int64(5), Resolution: "SD",
			Storage: []types.ThumbnailConfigurationStorage{"LATEST", "SEQUENTIAL"}},
		Tags: map[string]string{"a": "b"},
	})).RecordingConfiguration
	got := apitest.Must[*ivs.GetRecordingConfigurationOutput](t)(f.GetRecordingConfiguration(f.ctx, &ivs.GetRecordingConfigurationInput{Arn: made.Arn})).RecordingConfiguration
	if !reflect.DeepEqual(made, got) {
		t.Errorf("made %+v, got %+v", made, got)
	}
	if *got.Name != "archive" || *got.DestinationConfiguration.S3.BucketName != "a.bucket-1" || got.RecordingReconnectWindowSeconds != 300 ||
		len(got.RenditionConfiguration.Renditions) != 2 || *got.ThumbnailConfiguration.TargetIntervalSeconds != 5 ||
		got.ThumbnailConfiguration.Resolution != "SD" || len(got.ThumbnailConfiguration.Storage) != 2 || got.Tags["a"] != "b" {
		t.Errorf("got %+v", got)
	}
	_, _, answer := f.Post("ListRecordingConfigurations", "")
	list, _ := answer["recordingConfigurations"].([]any)
	if len(list) != 1 {
		t.Fatalf("listed %v", answer)
	}
	if got := strings.Join(apitest.Members(list[0].(map[string]any)), " "); got != "arn destinationConfiguration name state tags" {
		t.Errorf("a summary has %s", got)
	}
}

func TestRecordingConfigurationRules(t *testing.T) {
	f := newFixture(t)
	const s3 = `"destinationConfiguration":{"s3":{"bucketName":"bucket"}}`
	for _, tt := range []struct{ body, member string }{
		{`{"destinationConfiguration":{}}`, "destinationConfiguration.s3"},
		{`{` + s3 + `,"renditionConfiguration":{"renditionSelection":"CUSTOM"}}`, "renditionConfiguration.renditions"},
	} {
		status, exception, answer := f.Post("CreateRecordingConfiguration", tt.body)
		if message, _ := answer["message"].(string); status != 400 || exception != "ValidationException" || !strings.HasPrefix(message, tt.member+": ") {
			t.Errorf("%s: %d %s %s", tt.body, status, exception, message)
		}
	}
	if f.created != 0 {
		t.Errorf("told %d times that one was created", f.created)
	}
}

func TestDeleteRecordingConfiguration(t *testing.T) {
	f := newFixture(t)
	rc := f.recording(resource.Active)
	ch := f.channel(&ivs.CreateChannelInput{RecordingConfigurationArn: rc.Arn}).Channel
	_, err := f.DeleteRecordingConfiguration(f.ctx, &ivs.DeleteRecordingConfigurationInput{Arn: rc.Arn})
	apitest.Fails(t, err, "ConflictException", *ch.Arn)

	_, err = f.UpdateChannel(f.ctx, &ivs.UpdateChannelInput{Arn: ch.Arn, RecordingConfigurationArn: aws.String("")})
	if err != nil {
		t.Fatal(err)
	}
	if status, _, answer := f.Post("DeleteRecordingConfiguration", `{"arn":"`+*rc.Arn+`"}`); status != http.StatusNoContent || answer != nil {
		t.Errorf("answered %d %v", status, answer)
	}
	_, err = f.GetRecordingConfiguration(f.ctx, &ivs.GetRecordingConfigurationInput{Arn: rc.Arn})
	apitest.Fails(t, err, "ResourceNotFoundException", *rc.Arn)
	_, err = f.DeleteRecordingConfiguration(f.ctx, &ivs.DeleteRecordingConfigurationInput{Arn: rc.Arn})
	apitest.Fails(t, err, "ResourceNotFoundException", *rc.Arn)
}
