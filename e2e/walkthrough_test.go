package e2e

import (
	"context"
	"errors"
	nethttp "net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

// The shapes in which the AWS CLI prints.
type (
	cliChannel struct {
		ARN                       string            `json:"arn"`
		Name                      string            `json:"name"`
		LatencyMode               string            `json:"latencyMode"`
		Type                      string            `json:"type"`
		RecordingConfigurationARN string            `json:"recordingConfigurationArn"`
		IngestEndpoint            string            `json:"ingestEndpoint"`
		PlaybackURL               string            `json:"playbackUrl"`
		Authorized                bool              `json:"authorized"`
		Tags                      map[string]string `json:"tags"`
	}
	cliStreamKey struct {
		ARN        string `json:"arn"`
		Value      string `json:"value"`
		ChannelARN string `json:"channelArn"`
	}
	cliRecordingConfiguration struct {
		ARN   string `json:"arn"`
		State string `json:"state"`
	}
	cliAnswer struct {
		Channel                 cliChannel                   `json:"channel"`
		Channels                []cliChannel                 `json:"channels"`
		StreamKey               cliStreamKey                 `json:"streamKey"`
		StreamKeys              []cliStreamKey               `json:"streamKeys"`
		Streams                 []struct{}                   `json:"streams"`
		StreamSessions          []struct{}                   `json:"streamSessions"`
		RecordingConfiguration  cliRecordingConfiguration    `json:"recordingConfiguration"`
		RecordingConfigurations []cliRecordingConfiguration  `json:"recordingConfigurations"`
		Tags                    map[string]string            `json:"tags"`
		Errors                  []struct{ ARN, Code string } `json:"errors"`
	}
)

// Someone who knows IVS takes the AWS CLI, changes the endpoint URL, and finds
// what they know.
func walkThroughWithTheCLI(t *testing.T, s *server) {
	run := func(args ...string) cliAnswer { t.Helper(); return awsIVS[cliAnswer](s, args...) }
	fails := func(message string, args ...string) {
		t.Helper()
		if _, err := s.cli(s.at.HTTP, append([]string{"ivs"}, args...)...); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("error is %v, not %q", err, message)
		}
	}

	if _, err := s.cli(s.at.S3, "s3", "mb", "s3://"+s.bucket); err != nil {
		t.Fatal(err)
	}
	rc := run("create-recording-configuration", "--name", "walk", "--recording-reconnect-window-seconds", "60",
		"--destination-configuration", "s3={bucketName="+s.bucket+"}").RecordingConfiguration
	if rc.State != "CREATING" && rc.State != "ACTIVE" {
		t.Errorf("a new recording configuration is %s", rc.State)
	}
	eventually(t, 20*time.Second, "the recording configuration is active", func() error {
		return s.recordingConfigurationIs(rc.ARN, types.RecordingConfigurationStateActive)
	})

	made := run("create-channel", "--name", "walk", "--type", "BASIC", "--latency-mode", "LOW",
		"--recording-configuration-arn", rc.ARN, "--tags", "team=river")
	ch, key := made.Channel, made.StreamKey
	if ch.Name != "walk" || ch.Type != "BASIC" || ch.RecordingConfigurationARN != rc.ARN || ch.Tags["team"] != "river" ||
		ch.IngestEndpoint == "" || !strings.HasPrefix(ch.PlaybackURL, "http") || key.ChannelARN != ch.ARN || key.Value == "" {
		t.Errorf("created %+v with %+v", ch, key)
	}
	if got := run("get-channel", "--arn", ch.ARN).Channel; got.ARN != ch.ARN || got.PlaybackURL != ch.PlaybackURL {
		t.Errorf("get-channel: %+v", got)
	}
	if got := run("list-channels", "--filter-by-name", "walk").Channels; len(got) != 1 || got[0].ARN != ch.ARN {
		t.Errorf("list-channels: %+v", got)
	}
	missing := strings.Replace(ch.ARN, "/", "/none", 1)
	if got := run("batch-get-channel", "--arns", ch.ARN, missing); len(got.Channels) != 1 || len(got.Errors) != 1 || got.Errors[0].ARN != missing {
		t.Errorf("batch-get-channel: %+v", got)
	}
	if got := run("update-channel", "--arn", ch.ARN, "--name", "walked", "--latency-mode", "NORMAL").Channel; got.Name != "walked" ||
		got.LatencyMode != "NORMAL" || got.RecordingConfigurationARN != rc.ARN {
		t.Errorf("update-channel: %+v", got)
	}

	run("tag-resource", "--resource-arn", ch.ARN, "--tags", "stage=delta,team=lake")
	if got := run("list-tags-for-resource", "--resource-arn", ch.ARN).Tags; len(got) != 2 || got["team"] != "lake" || got["stage"] != "delta" {
		t.Errorf("tags: %v", got)
	}
	run("untag-resource", "--resource-arn", ch.ARN, "--tag-keys", "team")
	if got := run("list-tags-for-resource", "--resource-arn", ch.ARN).Tags; len(got) != 1 {
		t.Errorf("tags: %v", got)
	}

	fails("ServiceQuotaExceededException", "create-stream-key", "--channel-arn", ch.ARN)
	run("delete-stream-key", "--arn", key.ARN)
	again := run("create-stream-key", "--channel-arn", ch.ARN).StreamKey
	if again.Value == key.Value || again.Value == "" {
		t.Error("the key was not reset")
	}
	if got := run("get-stream-key", "--arn", again.ARN).StreamKey; got.Value != again.Value {
		t.Error("get-stream-key has another value")
	}
	if got := run("list-stream-keys", "--channel-arn", ch.ARN).StreamKeys; len(got) != 1 || got[0].ARN != again.ARN || got[0].Value != "" {
		t.Error("list-stream-keys lists something else, or tells the secret")
	}

	fails("ChannelNotBroadcasting", "get-stream", "--channel-arn", ch.ARN)
	fails("ChannelNotBroadcasting", "stop-stream", "--channel-arn", ch.ARN)
	if got := run("list-streams").Streams; len(got) != 0 {
		t.Errorf("%d streams", len(got))
	}
	if got := run("list-stream-sessions", "--channel-arn", ch.ARN).StreamSessions; len(got) != 0 {
		t.Errorf("%d stream sessions", len(got))
	}

	fails("ConflictException", "delete-recording-configuration", "--arn", rc.ARN)
	run("update-channel", "--arn", ch.ARN, "--recording-configuration-arn", "")
	run("delete-recording-configuration", "--arn", rc.ARN)
	run("delete-channel", "--arn", ch.ARN)
	fails("ResourceNotFoundException", "get-channel", "--arn", ch.ARN)
}

// A recording configuration whose bucket does not exist cannot be used.
func TestUnknownBucket(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	made, err := s.ivs().CreateRecordingConfiguration(t.Context(), &ivs.CreateRecordingConfigurationInput{
		DestinationConfiguration: &types.DestinationConfiguration{S3: &types.S3DestinationConfiguration{BucketName: aws.String("nowhere")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	arn := aws.ToString(made.RecordingConfiguration.Arn)
	eventually(t, 20*time.Second, "the recording configuration has failed", func() error {
		return s.recordingConfigurationIs(arn, types.RecordingConfigurationStateCreateFailed)
	})
	if log := string(s.logTail(64 << 10)); !strings.Contains(log, "nowhere") {
		t.Error("the log does not tell which bucket")
	}
}

// Errors reach the SDK as the types it knows.
func TestErrorsInTheSDK(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.newChannel()
	api := s.ivs()

	_, err := api.GetChannel(t.Context(), &ivs.GetChannelInput{Arn: aws.String(*c.Arn + "x")})
	if missing := (*types.ResourceNotFoundException)(nil); !errors.As(err, &missing) || aws.ToString(missing.ExceptionMessage) == "" {
		t.Errorf("unknown channel: %v", err)
	}
	_, err = api.CreateChannel(t.Context(), &ivs.CreateChannelInput{Name: aws.String("not a name!")})
	if invalid := (*types.ValidationException)(nil); !errors.As(err, &invalid) || !strings.Contains(aws.ToString(invalid.ExceptionMessage), "name") {
		t.Errorf("bad name: %v", err)
	}
	_, err = api.GetStream(t.Context(), &ivs.GetStreamInput{ChannelArn: c.Arn})
	if !isA[*types.ChannelNotBroadcasting](err) {
		t.Errorf("offline: %v", err)
	}
	_, err = api.GetPlaybackKeyPair(t.Context(), &ivs.GetPlaybackKeyPairInput{Arn: aws.String("arn:aws:ivs:us-east-1:123456789012:playback-key/abcdefghijkl")})
	if !isA[*types.ResourceNotFoundException](err) {
		t.Errorf("unknown key pair: %v", err)
	}

	stranger := ivs.New(api.Options(), func(o *ivs.Options) {
		o.Credentials = aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "not the secret"}, nil
		})
	})
	_, err = stranger.ListChannels(t.Context(), &ivs.ListChannelsInput{})
	if answer := (*http.ResponseError)(nil); !errors.As(err, &answer) || answer.HTTPStatusCode() != nethttp.StatusForbidden {
		t.Errorf("a stranger: %v", err)
	}
}

// Lists are read page by page, and miss nothing.
func TestPages(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	var want, got []string
	for range 7 {
		want = append(want, *s.newChannel().Arn)
	}
	for pages := ivs.NewListChannelsPaginator(s.ivs(), &ivs.ListChannelsInput{MaxResults: aws.Int32(3)}); pages.HasMorePages(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, ch := range page.Channels {
			got = append(got, aws.ToString(ch.Arn))
		}
	}
	slices.Sort(want)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("listed\n%v\nof\n%v", got, want)
	}
}
