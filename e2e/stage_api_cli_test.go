package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// cliStage is what the CLI prints of anything on stages.
type cliStage struct {
	Stage                 cliNoun
	Stages                []cliNoun
	ParticipantTokens     []cliToken
	ParticipantToken      cliToken
	StageSession          cliSession
	StageSessions         []cliSession
	Participant           cliParticipant
	Participants          []cliParticipant
	Events                []struct{ Name string }
	PublicKey             cliNoun
	PublicKeys            []cliNoun
	IngestConfiguration   cliNoun
	IngestConfigurations  []cliNoun
	EncoderConfiguration  cliNoun
	EncoderConfigurations []cliNoun
	StorageConfiguration  cliNoun
	StorageConfigurations []cliNoun
	Tags                  map[string]string
}

type cliNoun struct {
	ARN, Name, StageARN, StreamKey, Fingerprint string
	Endpoints                                   struct{ Events, WHIP, RTMP, RTMPS string }
	Recording                                   struct{ StorageConfigurationARN string } `json:"autoParticipantRecordingConfiguration"`
	S3                                          struct{ BucketName string }
	Video                                       struct{ Width, Height, Bitrate, Framerate float64 }
}

type cliToken struct {
	ParticipantID, Token, UserID, ExpirationTime string
	Duration                                     int
	Capabilities                                 []string
}

type cliSession struct{ SessionID, StartTime, EndTime string }

type cliParticipant struct{ ParticipantID, UserID, State string }

// stageWithTheCLI does a whole life of a stage from a shell.
func stageWithTheCLI(t *testing.T, s *server) (known []string) {
	if _, err := s.s3().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &s.bucket}); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (answer cliStage) {
		t.Helper()
		out, err := s.cli(s.at.HTTP, append([]string{"ivs-realtime"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		if len(out) > 0 {
			if err := json.Unmarshal(out, &answer); err != nil {
				t.Fatalf("%s printed %q: %v", args[0], out, err)
			}
		}
		return answer
	}
	only := func(operation string, list []cliNoun, want cliNoun) {
		t.Helper()
		if len(list) != 1 || list[0].ARN != want.ARN || list[0].Name != want.Name || want.ARN == "" {
			t.Errorf("%s: %+v, not %+v", operation, list, want)
		}
	}

	storage := run("create-storage-configuration", "--name", "shelf", "--s3", "bucketName="+s.bucket).StorageConfiguration
	equal(t, run("get-storage-configuration", "--arn", storage.ARN).StorageConfiguration, storage)
	only("list-storage-configurations", run("list-storage-configurations").StorageConfigurations, storage)
	if _, err := s.cli(s.at.HTTP, "ivs-realtime", "create-storage-configuration", "--s3", "bucketName=nowhere"); err == nil || !strings.Contains(err.Error(), "(ValidationException)") ||
		!strings.Contains(err.Error(), "s3.bucketName: bucket nowhere does not exist") {
		t.Errorf("a bucket that is not there: %v", err)
	}

	encoder := run("create-encoder-configuration", "--name", "hd", "--video", "width=640,height=360,framerate=29.97,bitrate=900000").EncoderConfiguration
	equal(t, encoder.Video.Framerate, 29.97)
	equal(t, run("get-encoder-configuration", "--arn", encoder.ARN).EncoderConfiguration, encoder)
	only("list-encoder-configurations", run("list-encoder-configurations").EncoderConfigurations, encoder)

	file := filepath.Join(t.TempDir(), "public.pem")
	if err := os.WriteFile(file, []byte(publicKeyPEM(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	key := run("import-public-key", "--name", "app", "--public-key-material", "file://"+file).PublicKey
	if len(key.Fingerprint) != 16*3-1 {
		t.Errorf("the fingerprint is %q", key.Fingerprint)
	}
	equal(t, run("get-public-key", "--arn", key.ARN).PublicKey, key)
	only("list-public-keys", run("list-public-keys").PublicKeys, key)

	made := run("create-stage", "--name", "studio", "--participant-token-configurations",
		`[{"userId":"ana","capabilities":["PUBLISH"],"duration":60},{}]`)
	if len(made.ParticipantTokens) != 2 {
		t.Fatalf("%d tokens", len(made.ParticipantTokens))
	}
	stage, token := made.Stage, made.ParticipantTokens[0]
	if token.UserID != "ana" || token.Duration != 60 || len(token.Capabilities) != 1 || made.ParticipantTokens[1].Duration != 720 {
		t.Errorf("the tokens are %+v", made.ParticipantTokens)
	}
	for address, want := range map[string]string{
		stage.Endpoints.Events: `^ws://.*/events$`, stage.Endpoints.WHIP: `^http://.*/whip$`,
		stage.Endpoints.RTMP: `^rtmp://.*:\d+/app/$`, stage.Endpoints.RTMPS: `^rtmps://.*:\d+/app/$`,
	} {
		if !regexp.MustCompile(want).MatchString(address) {
			t.Errorf("an endpoint is %q, want %s", address, want)
		}
	}
	stage = run("update-stage", "--arn", stage.ARN, "--name", "studio-b", "--auto-participant-recording-configuration",
		"storageConfigurationArn="+storage.ARN).Stage
	equal(t, stage.Recording.StorageConfigurationARN, storage.ARN)
	equal(t, run("get-stage", "--arn", stage.ARN).Stage, stage)
	only("list-stages", run("list-stages").Stages, stage)
	if got := run("create-participant-token", "--stage-arn", stage.ARN, "--capabilities", "SUBSCRIBE").ParticipantToken; len(got.Capabilities) != 1 || got.ExpirationTime == "" {
		t.Errorf("create-participant-token: %+v", got)
	}

	ingest := run("create-ingest-configuration", "--ingest-protocol", "RTMPS", "--name", "camera").IngestConfiguration
	ingest = run("update-ingest-configuration", "--arn", ingest.ARN, "--stage-arn", stage.ARN).IngestConfiguration
	equal(t, ingest.StageARN, stage.ARN)
	equal(t, run("get-ingest-configuration", "--arn", ingest.ARN).IngestConfiguration, ingest)
	only("list-ingest-configurations", run("list-ingest-configurations", "--filter-by-stage-arn", stage.ARN).IngestConfigurations, ingest)

	run("tag-resource", "--resource-arn", stage.ARN, "--tags", "a=1,b=2")
	run("untag-resource", "--resource-arn", stage.ARN, "--tag-keys", "a")
	equal(t, run("list-tags-for-resource", "--resource-arn", stage.ARN).Tags, map[string]string{"b": "2"})

	meetFromTheCLI(t, s, run, stage, token)

	run("list-compositions")
	run("list-participant-replicas", "--source-stage-arn", stage.ARN, "--participant-id", token.ParticipantID)
	if _, err := s.cli(s.at.HTTP, "ivs-realtime", "start-composition", "--stage-arn", stage.ARN, "--destinations",
		"s3={storageConfigurationArn="+storage.ARN+",encoderConfigurationArns=["+encoder.ARN+"]}"); err == nil || !strings.Contains(err.Error(), "StartComposition is not implemented by this server") {
		t.Errorf("start-composition: %v", err)
	}
	other := run("create-stage").Stage
	replication := []string{"--source-stage-arn", stage.ARN, "--destination-stage-arn", other.ARN, "--participant-id", token.ParticipantID}
	for operation, want := range map[string]string{"start-participant-replication": "is not implemented by this server", "stop-participant-replication": "is not replicated to"} {
		if _, err := s.cli(s.at.HTTP, append([]string{"ivs-realtime", operation}, replication...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", operation, err)
		}
	}
	run("delete-stage", "--arn", stage.ARN)
	run("delete-ingest-configuration", "--arn", ingest.ARN)
	run("delete-public-key", "--arn", key.ARN)
	run("delete-encoder-configuration", "--arn", encoder.ARN)
	run("delete-storage-configuration", "--arn", storage.ARN)
	return cliOperations(t, s, "ivs-realtime", 36)
}

// meetFromTheCLI lets a participant join, and reads what is told of that.
func meetFromTheCLI(t *testing.T, s *server, run func(args ...string) cliStage, stage cliNoun, token cliToken) {
	t.Helper()
	g := &guest{room: s.roomOf(stage.ARN), t: t, token: token.Token, id: token.ParticipantID}
	g.listen()
	session := s.waitSession(&stage.ARN)
	named := []string{"--stage-arn", stage.ARN, "--session-id", session}
	if got := run(append([]string{"get-stage-session"}, named...)...).StageSession; got.SessionID != session || got.StartTime == "" || got.EndTime != "" {
		t.Errorf("get-stage-session: %+v", got)
	}
	if got := run("list-stage-sessions", "--stage-arn", stage.ARN).StageSessions; len(got) != 1 || got[0].SessionID != session {
		t.Errorf("list-stage-sessions: %+v", got)
	}
	want := cliParticipant{ParticipantID: g.id, UserID: "ana", State: "CONNECTED"}
	equal(t, run(append([]string{"get-participant", "--participant-id", g.id}, named...)...).Participant, want)
	equal(t, run(append([]string{"list-participants", "--filter-by-state", "CONNECTED"}, named...)...).Participants, []cliParticipant{want})
	if got := run(append([]string{"list-participant-events", "--participant-id", g.id}, named...)...).Events; len(got) != 1 || got[0].Name != "JOINED" {
		t.Errorf("list-participant-events: %+v", got)
	}
	run("disconnect-participant", "--stage-arn", stage.ARN, "--participant-id", g.id, "--reason", "enough")
}
