package realtime_test

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	"anabranch/internal/api/apitest"
	"anabranch/internal/resource"
)

// arnOf is the ARN in an answer.
func arnOf(t *testing.T, noun map[string]any, kind string) string {
	t.Helper()
	arn, _ := noun["arn"].(string)
	if !regexp.MustCompile(`^arn:aws:ivs:eu-west-1:111122223333:` + kind + `/[0-9A-Za-z]{12}$`).MatchString(arn) {
		t.Errorf("the ARN is %q", arn)
	}
	return arn
}

func TestPublicKey(t *testing.T) {
	f := newFixture(t)
	quoted, err := json.Marshal(publicKey)
	if err != nil {
		t.Fatal(err)
	}
	made := apitest.Object(f.post("ImportPublicKey", `{"publicKeyMaterial":`+string(quoted)+`,"name":"key","tags":{"a":"1"}}`), "publicKey")
	arn := arnOf(t, made, "public-key")
	want := `{"arn":"` + arn + `","name":"key","tags":{"a":"1"},"publicKeyMaterial":` + string(quoted) + `,"fingerprint":"` + fingerprint + `"}`
	same(t, "ImportPublicKey", made, want)
	same(t, "GetPublicKey", f.post("GetPublicKey", `{"arn":"`+arn+`"}`)["publicKey"], want)
	same(t, "ListPublicKeys", f.post("ListPublicKeys", ``), `{"publicKeys":[{"arn":"`+arn+`","name":"key","tags":{"a":"1"}}]}`)

	f.refused("ImportPublicKey", `{"publicKeyMaterial":`+string(quoted)+`}`, `ConflictException: .*`)
	f.refused("ImportPublicKey", `{"publicKeyMaterial":"`+strings.Repeat("x", 100)+`"}`, `ValidationException: publicKeyMaterial: .*`)
	same(t, "DeletePublicKey", f.post("DeletePublicKey", `{"arn":"`+arn+`"}`), `{}`)
	f.refused("GetPublicKey", `{"arn":"`+arn+`"}`, `ResourceNotFoundException: .*`)
	f.refused("DeletePublicKey", `{"arn":"`+arn+`"}`, `ResourceNotFoundException: .*`)
}

// fingerprint is the MD5 of publicKey's DER form.
const fingerprint = "26:ff:5a:7f:00:6c:d9:f3:9b:f0:16:7d:10:0b:86:2e"

func TestIngestConfiguration(t *testing.T) {
	f := newFixture(t)
	stage := *f.stage(nil).Stage.Arn
	bare := apitest.Object(f.post("CreateIngestConfiguration", `{"ingestProtocol":"RTMPS"}`), "ingestConfiguration")
	arn := arnOf(t, bare, "ingest-configuration")
	key := regexp.MustCompile(`^rt_111122223333_eu-west-1_[0-9A-Za-z]{12}_[0-9A-Za-z]{30}$`)
	id := regexp.MustCompile(`^[0-9A-Za-z]{12}$`)
	streamKey, participant := bare["streamKey"].(string), bare["participantId"].(string)
	if !key.MatchString(streamKey) || !id.MatchString(participant) {
		t.Errorf("stream key %q, participant %q", streamKey, participant)
	}
	summary := func(stage string) string {
		return `"arn":"` + arn + `","name":"","ingestProtocol":"RTMPS","stageArn":"` + stage + `","participantId":"` + participant + `",
			"state":"INACTIVE","userId":"","redundantIngest":false`
	}
	whole := func(stage string) string {
		return `{` + summary(stage) + `,"streamKey":"` + streamKey + `","attributes":{},"tags":{}}`
	}
	same(t, "CreateIngestConfiguration", bare, whole(""))
	same(t, "GetIngestConfiguration", f.post("GetIngestConfiguration", `{"arn":"`+arn+`"}`)["ingestConfiguration"], whole(""))
	same(t, "ListIngestConfigurations", f.post("ListIngestConfigurations", ``), `{"ingestConfigurations":[{`+summary("")+`}]}`)
	same(t, "UpdateIngestConfiguration", f.post("UpdateIngestConfiguration", `{"arn":"`+arn+`","stageArn":"`+stage+`"}`)["ingestConfiguration"], whole(stage))
	same(t, "nothing to update", f.post("UpdateIngestConfiguration", `{"arn":"`+arn+`"}`)["ingestConfiguration"], whole(stage))
	same(t, "by stage", f.post("ListIngestConfigurations", `{"filterByStageArn":"`+stage+`"}`), `{"ingestConfigurations":[{`+summary(stage)+`}]}`)
	same(t, "by state", f.post("ListIngestConfigurations", `{"filterByState":"INACTIVE"}`), `{"ingestConfigurations":[{`+summary(stage)+`}]}`)
	same(t, "by another state", f.post("ListIngestConfigurations", `{"filterByState":"ACTIVE"}`), `{"ingestConfigurations":[]}`)
	f.refused("ListIngestConfigurations", `{"filterByState":"ACTIVE","filterByStageArn":"`+stage+`"}`, `ValidationException: .* one filter only, not by 2`)

	// A disconnected participant's configuration has no stage any more, and a
	// deleted stage has no configurations.
	f.post("DisconnectParticipant", `{"stageArn":"`+stage+`","participantId":"`+participant+`"}`)
	same(t, "disconnected", f.post("GetIngestConfiguration", `{"arn":"`+arn+`"}`)["ingestConfiguration"], whole(""))
	f.post("UpdateIngestConfiguration", `{"arn":"`+arn+`","stageArn":"`+stage+`"}`)
	same(t, "detached", f.post("UpdateIngestConfiguration", `{"arn":"`+arn+`","stageArn":""}`)["ingestConfiguration"], whole(""))
	f.post("UpdateIngestConfiguration", `{"arn":"`+arn+`","stageArn":"`+stage+`"}`)
	f.post("DeleteStage", `{"arn":"`+stage+`"}`)
	same(t, "stage deleted", f.post("GetIngestConfiguration", `{"arn":"`+arn+`"}`)["ingestConfiguration"], whole(""))

	none := string(apitest.Place.ARN(resource.KindStage, "none"))
	for _, tt := range []struct{ operation, body, want string }{
		{"CreateIngestConfiguration", `{"ingestProtocol":"RTMP"}`, `ValidationException: insecureIngest: must be true when ingestProtocol is RTMP`},
		{"CreateIngestConfiguration", `{"ingestProtocol":"RTMPS","stageArn":"` + none + `"}`, `ValidationException: stageArn: .*` + none + `.*`},
		{"UpdateIngestConfiguration", `{"arn":"` + arn + `","stageArn":"` + none + `"}`, `ValidationException: stageArn: .*` + none + `.*`},
		{"UpdateIngestConfiguration", `{"arn":"` + arn + `0"}`, `ResourceNotFoundException: .*`},
		{"DeleteIngestConfiguration", `{"arn":"` + arn + `0","force":true}`, `ResourceNotFoundException: .*`},
	} {
		f.refused(tt.operation, tt.body, tt.want)
	}
	same(t, "DeleteIngestConfiguration", f.post("DeleteIngestConfiguration", `{"arn":"`+arn+`"}`), `{}`)
	f.refused("GetIngestConfiguration", `{"arn":"`+arn+`"}`, `ResourceNotFoundException: .*`)
}

// A redundant ingest has two credentials, which come and go with that.
func TestRedundantIngest(t *testing.T) {
	f := newFixture(t)
	made := apitest.Object(f.post("CreateIngestConfiguration", `{"name":"twice","ingestProtocol":"RTMP","insecureIngest":true,"redundantIngest":true,
		"userId":"Ana","attributes":{"role":"host"},"tags":{"a":"1"}}`), "ingestConfiguration")
	arn := arnOf(t, made, "ingest-configuration")
	credentials := func(noun map[string]any) (keys map[any]bool) {
		keys = map[any]bool{noun["streamKey"]: true, noun["participantId"]: true}
		list, _ := noun["redundantIngestCredentials"].([]any)
		for _, c := range list {
			for _, v := range c.(map[string]any) {
				keys[v] = true
			}
		}
		return keys
	}
	if n := len(credentials(made)); n != 6 {
		t.Errorf("%d different keys and ids in %v", n, made)
	}
	if made["userId"] != "Ana" || made["name"] != "twice" || made["redundantIngest"] != true {
		t.Errorf("it is %v", made)
	}
	same(t, "attributes", made["attributes"], `{"role":"host"}`)
	for redundant, want := range map[string]int{"true": 6, "false": 2} {
		got := apitest.Object(f.post("UpdateIngestConfiguration", `{"arn":"`+arn+`","redundantIngest":`+redundant+`}`), "ingestConfiguration")
		if n := len(credentials(got)); n != want || (got["redundantIngestCredentials"] != nil) != (want == 6) {
			t.Errorf("redundant %s: %v", redundant, got)
		}
	}
}

func TestEncoderConfiguration(t *testing.T) {
	f := newFixture(t)
	for _, tt := range []struct{ given, want string }{
		{``, `{"width":1280,"height":720,"framerate":30,"bitrate":2500000}`},
		{`"video":{"framerate":29.97}`, `{"width":1280,"height":720,"framerate":29.97,"bitrate":2500000}`},
		{`"video":{"width":1080,"height":1920,"framerate":60,"bitrate":8500000}`, `{"width":1080,"height":1920,"framerate":60,"bitrate":8500000}`},
	} {
		made := apitest.Object(f.post("CreateEncoderConfiguration", `{`+tt.given+`}`), "encoderConfiguration")
		arn := arnOf(t, made, "encoder-configuration")
		want := `{"arn":"` + arn + `","name":"","tags":{},"video":` + tt.want + `}`
		same(t, tt.given, made, want)
		same(t, tt.given, f.post("GetEncoderConfiguration", `{"arn":"`+arn+`"}`)["encoderConfiguration"], want)
		same(t, tt.given, f.post("ListEncoderConfigurations", ``), `{"encoderConfigurations":[{"arn":"`+arn+`","name":"","tags":{}}]}`)
		same(t, tt.given, f.post("DeleteEncoderConfiguration", `{"arn":"`+arn+`"}`), `{}`)
		f.refused("GetEncoderConfiguration", `{"arn":"`+arn+`"}`, `ResourceNotFoundException: .*`)
	}
	for video, want := range map[string]string{
		`{"width":1281}`:               `video.width: must be even, not 1281`,
		`{"height":721}`:               `video.height: must be even, not 721`,
		`{"width":1920,"height":1082}`: `video: 1920x1082 has .*`,
		`{"height":1622}`:              `video: 1280x1622 has .*`, // with the width that nobody gave
	} {
		f.refused("CreateEncoderConfiguration", `{"video":`+video+`}`, `ValidationException: `+want)
	}
}

func TestStorageConfiguration(t *testing.T) {
	f := newFixture(t)
	var asked []string
	f.bucket = func(_ context.Context, name string) error {
		asked = append(asked, name)
		return nil
	}
	made := apitest.Object(f.post("CreateStorageConfiguration", `{"name":"shelf","s3":{"bucketName":"bucket.one"},"tags":{"a":"1"}}`), "storageConfiguration")
	arn := arnOf(t, made, "storage-configuration")
	want := `{"arn":"` + arn + `","name":"shelf","s3":{"bucketName":"bucket.one"},"tags":{"a":"1"}}`
	same(t, "CreateStorageConfiguration", made, want)
	same(t, "GetStorageConfiguration", f.post("GetStorageConfiguration", `{"arn":"`+arn+`"}`), `{"storageConfiguration":`+want+`}`)
	same(t, "ListStorageConfigurations", f.post("ListStorageConfigurations", ``), `{"storageConfigurations":[`+want+`]}`)
	if len(asked) != 1 || asked[0] != "bucket.one" {
		t.Errorf("the buckets looked at are %q", asked)
	}

	stage := apitest.Object(f.post("CreateStage", `{"autoParticipantRecordingConfiguration":{"storageConfigurationArn":"`+arn+`"}}`), "stage")["arn"].(string)
	f.refused("DeleteStorageConfiguration", `{"arn":"`+arn+`"}`, `ConflictException: .*`+stage+`.*`)
	f.post("DeleteStage", `{"arn":"`+stage+`"}`)
	same(t, "DeleteStorageConfiguration", f.post("DeleteStorageConfiguration", `{"arn":"`+arn+`"}`), `{}`)
	f.refused("GetStorageConfiguration", `{"arn":"`+arn+`"}`, `ResourceNotFoundException: .*`)
}

// A bucket that cannot be recorded to makes no storage configuration.
func TestStorageConfigurationRefused(t *testing.T) {
	f := newFixture(t)
	f.bucket = func(_ context.Context, name string) error { return errors.New("bucket " + name + " does not exist") }
	f.refused("CreateStorageConfiguration", `{"s3":{"bucketName":"nowhere"}}`, `ValidationException: s3.bucketName: bucket nowhere does not exist`)
	same(t, "ListStorageConfigurations", f.post("ListStorageConfigurations", ``), `{"storageConfigurations":[]}`)
}
