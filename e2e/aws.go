package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const region = "us-east-1"

func (s *server) credentials() string { return filepath.Join(s.dir, "credentials") }

func (s *server) config() aws.Config {
	s.t.Helper()
	cfg, err := config.LoadDefaultConfig(s.t.Context(), config.WithRegion(region),
		config.WithSharedCredentialsFiles([]string{s.credentials()}), config.WithSharedConfigFiles(nil))
	if err != nil {
		s.t.Fatal(err)
	}
	return cfg
}

// ivs is the SDK's client of the control API.
func (s *server) ivs() *ivs.Client {
	s.t.Helper()
	return ivs.NewFromConfig(s.config(), func(o *ivs.Options) { o.BaseEndpoint = aws.String("http://" + s.at.HTTP) })
}

// s3 is the SDK's client of the S3 endpoint that the server records to.
func (s *server) s3() *s3.Client {
	s.t.Helper()
	return s3.NewFromConfig(s.config(), func(o *s3.Options) {
		if s.storage != nil {
			o.Credentials = credentials.NewStaticCredentialsProvider(s.storage.accessKeyID, s.storage.secretAccessKey, "")
		}
		o.BaseEndpoint = aws.String("http://" + s.at.S3)
		o.UsePathStyle = true
		o.DisableLogOutputChecksumValidationSkipped = true
	})
}

// cli runs the AWS CLI against one of the server's addresses and returns what
// it prints, and its message when it fails.
func (s *server) cli(address string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(s.t.Context(), "aws",
		append([]string{"--endpoint-url", "http://" + address, "--region", region, "--output", "json"}, args...)...)
	cmd.Env = append(os.Environ(), "AWS_SHARED_CREDENTIALS_FILE="+s.credentials(), "AWS_CONFIG_FILE="+os.DevNull,
		"AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=")
	if s.storage != nil && address == s.at.S3 {
		cmd.Env = append(cmd.Env, s.storage.environment()...)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("aws %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

// awsIVS runs an operation of `aws ivs`, which must work, and decodes what it
// prints.
func awsIVS[T any](s *server, args ...string) (answer T) {
	s.t.Helper()
	out, err := s.cli(s.at.HTTP, append([]string{"ivs"}, args...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(bytes.TrimSpace(out)) == 0 {
		return answer // an operation that answers 204
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		s.t.Fatalf("aws ivs %s printed %q: %v", args[0], out, err)
	}
	return answer
}

// channel is a channel that a test has made.
type channel struct {
	*types.Channel
	server *server
	key    string
	viewer *viewer // nil before it is watched
}

// newChannel makes a channel that is not recorded.
func (s *server) newChannel(adjust ...func(*ivs.CreateChannelInput)) *channel {
	s.t.Helper()
	in := &ivs.CreateChannelInput{Name: aws.String("e2e"), Type: types.ChannelTypeBasicChannelType, InsecureIngest: true}
	for _, f := range adjust {
		f(in)
	}
	made, err := s.ivs().CreateChannel(s.t.Context(), in)
	if err != nil {
		s.t.Fatal(err)
	}
	return &channel{Channel: made.Channel, server: s, key: aws.ToString(made.StreamKey.Value)}
}

// newRecordedChannel makes a channel that is recorded, and whose recordings
// wait for their broadcaster for a time.
func (s *server) newRecordedChannel(window time.Duration, adjust ...func(*ivs.CreateChannelInput)) *channel {
	s.t.Helper()
	return s.newChannel(append(adjust, recordTo(s.newRecordingConfiguration(window)))...)
}

// recordTo attaches a recording configuration to a new channel.
func recordTo(arn string) func(*ivs.CreateChannelInput) {
	return func(in *ivs.CreateChannelInput) { in.RecordingConfigurationArn = aws.String(arn) }
}

// newRecordingConfiguration makes the bucket and a configuration that can be
// used. It has no thumbnails, unless adjust says otherwise.
func (s *server) newRecordingConfiguration(window time.Duration, adjust ...func(*ivs.CreateRecordingConfigurationInput)) (arn string) {
	s.t.Helper()
	_, err := s.s3().CreateBucket(s.t.Context(), &s3.CreateBucketInput{Bucket: &s.bucket})
	if err != nil && !isA[*s3types.BucketAlreadyOwnedByYou](err) {
		s.t.Fatal(err)
	}
	in := &ivs.CreateRecordingConfigurationInput{
		DestinationConfiguration:        &types.DestinationConfiguration{S3: &types.S3DestinationConfiguration{BucketName: &s.bucket}},
		RecordingReconnectWindowSeconds: int32(window / time.Second),
		ThumbnailConfiguration:          &types.ThumbnailConfiguration{RecordingMode: types.RecordingModeDisabled},
	}
	for _, f := range adjust {
		f(in)
	}
	made, err := s.ivs().CreateRecordingConfiguration(s.t.Context(), in)
	if err != nil {
		s.t.Fatal(err)
	}
	arn = aws.ToString(made.RecordingConfiguration.Arn)
	eventually(s.t, 20*time.Second, "the recording configuration is active", func() error {
		return s.recordingConfigurationIs(arn, types.RecordingConfigurationStateActive)
	})
	return arn
}

func (s *server) recordingConfigurationIs(arn string, want types.RecordingConfigurationState) error {
	got, err := s.ivs().GetRecordingConfiguration(s.t.Context(), &ivs.GetRecordingConfigurationInput{Arn: aws.String(arn)})
	if err != nil {
		return err
	}
	if state := got.RecordingConfiguration.State; state != want {
		return fmt.Errorf("state is %s, not %s", state, want)
	}
	return nil
}

// id is the last part of the channel's ARN.
func (c *channel) id() string {
	_, id, _ := strings.Cut(*c.Arn, "/")
	return id
}

// rtmp is the URL to publish to in the clear, rtmps the encrypted one.
func (c *channel) rtmp() string  { return "rtmp://" + c.server.at.RTMP + "/app/" + c.key }
func (c *channel) rtmps() string { return "rtmps://" + c.server.at.RTMPS + "/app/" + c.key }

// liveStream is the id of the stream that is live, an error when none is.
func (c *channel) liveStream() (string, error) {
	got, err := c.server.ivs().GetStream(c.server.t.Context(), &ivs.GetStreamInput{ChannelArn: c.Arn})
	if err != nil {
		return "", err
	}
	return aws.ToString(got.Stream.StreamId), nil
}

// waitLive waits until a stream is live, and returns its id.
func (c *channel) waitLive() (stream string) {
	c.server.t.Helper()
	eventually(c.server.t, 15*time.Second, "the channel is live", func() (err error) {
		stream, err = c.liveStream()
		return err
	})
	return stream
}

// waitOffline waits until no stream is live.
func (c *channel) waitOffline() {
	c.server.t.Helper()
	eventually(c.server.t, 15*time.Second, "the channel is offline", func() error {
		switch stream, err := c.liveStream(); {
		case err == nil:
			return fmt.Errorf("stream %s is live", stream)
		case !isA[*types.ChannelNotBroadcasting](err):
			return err
		}
		return nil
	})
}

// sessions are the ids of the channel's streams, newest first.
func (c *channel) sessions() (ids []string) {
	c.server.t.Helper()
	got, err := c.server.ivs().ListStreamSessions(c.server.t.Context(), &ivs.ListStreamSessionsInput{ChannelArn: c.Arn})
	if err != nil {
		c.server.t.Fatal(err)
	}
	for _, session := range got.StreamSessions {
		ids = append(ids, aws.ToString(session.StreamId))
	}
	return ids
}

// events are the names of what happened to a stream, oldest first.
func (c *channel) events(stream string) (names []string) {
	c.server.t.Helper()
	got, err := c.server.ivs().GetStreamSession(c.server.t.Context(),
		&ivs.GetStreamSessionInput{ChannelArn: c.Arn, StreamId: aws.String(stream)})
	if err != nil {
		c.server.t.Fatal(err)
	}
	for _, e := range got.StreamSession.TruncatedEvents {
		names = append([]string{aws.ToString(e.Name)}, names...)
	}
	return names
}

// endRecording detaches the channel, which is offline, from its recording
// configuration: a recording that waits for its broadcaster ends at once.
func (c *channel) endRecording() {
	c.server.t.Helper()
	_, err := c.server.ivs().UpdateChannel(c.server.t.Context(),
		&ivs.UpdateChannelInput{Arn: c.Arn, RecordingConfigurationArn: aws.String("")})
	if err != nil {
		c.server.t.Fatal(err)
	}
}
