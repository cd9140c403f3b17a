package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

// The AWS CLI walks through all that it knows.
func callWithTheCLI(t *testing.T, s *server) (known []string) {
	walkThroughWithTheCLI(t, s)
	restrictWithTheCLI(t, s)
	goOnAirWithTheCLI(t, s)
	return cliOperations(t, s, "ivs", 40)
}

// cliOperations are the operations of a service that the CLI knows, at least n.
func cliOperations(t *testing.T, s *server, service string, n int) (known []string) {
	t.Helper()
	// It lists them when it is asked for another.
	_, err := s.cli(s.at.HTTP, service, "no-such-operation")
	if err == nil {
		t.Fatal("the CLI knows no-such-operation")
	}
	_, choices, _ := strings.Cut(err.Error(), "valid choices are:")
	for name := range strings.FieldsFuncSeq(choices, func(r rune) bool { return r == '|' || r == ' ' || r == '\n' }) {
		if name == "help" {
			continue
		}
		var operation strings.Builder
		for word := range strings.SplitSeq(name, "-") {
			operation.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
		known = append(known, operation.String())
	}
	if len(known) < n {
		t.Fatalf("the CLI names %d operations: %v", len(known), err)
	}
	return known
}

// restrictWithTheCLI makes what decides who may watch and what breaks are
// filled with, and removes it.
func restrictWithTheCLI(t *testing.T, s *server) {
	t.Helper()
	type noun struct {
		ARN         string `json:"arn"`
		Name        string
		Fingerprint string
	}
	type answer struct {
		KeyPair                     noun
		KeyPairs                    []noun
		PlaybackRestrictionPolicy   noun
		PlaybackRestrictionPolicies []noun
		AdConfiguration             noun
		AdConfigurations            []noun
		Errors                      []struct{ ChannelARN, ViewerID, Code string }
	}
	run := func(args ...string) answer { t.Helper(); return awsIVS[answer](s, args...) }
	check := func(operation string, got noun, want noun) {
		t.Helper()
		if got.ARN != want.ARN || got.Name != want.Name || got.ARN == "" {
			t.Errorf("%s: %+v, not %+v", operation, got, want)
		}
	}
	only := func(operation string, got []noun, want noun) {
		t.Helper()
		if len(got) != 1 {
			t.Fatalf("%s: %+v", operation, got)
		}
		check(operation, got[0], want)
	}

	file := filepath.Join(t.TempDir(), "public.pem")
	if err := os.WriteFile(file, []byte(publicKeyPEM(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	pair := run("import-playback-key-pair", "--name", "viewers", "--public-key-material", "file://"+file).KeyPair
	if len(pair.Fingerprint) != 16*3-1 {
		t.Errorf("the fingerprint is %q", pair.Fingerprint)
	}
	check("get-playback-key-pair", run("get-playback-key-pair", "--arn", pair.ARN).KeyPair, pair)
	only("list-playback-key-pairs", run("list-playback-key-pairs").KeyPairs, pair)
	run("delete-playback-key-pair", "--arn", pair.ARN)

	policy := run("create-playback-restriction-policy", "--name", "home", "--allowed-countries", "CH", "DE",
		"--allowed-origins", `["https://example.com"]`).PlaybackRestrictionPolicy
	check("get-playback-restriction-policy", run("get-playback-restriction-policy", "--arn", policy.ARN).PlaybackRestrictionPolicy, policy)
	policy.Name = "away"
	check("update-playback-restriction-policy", run("update-playback-restriction-policy", "--arn", policy.ARN, "--name", "away").PlaybackRestrictionPolicy, policy)
	only("list-playback-restriction-policies", run("list-playback-restriction-policies").PlaybackRestrictionPolicies, policy)
	run("delete-playback-restriction-policy", "--arn", policy.ARN)

	ads := run("create-ad-configuration", "--name", "ads", "--media-tailor-playback-configurations",
		"playbackConfigurationArn=arn:aws:mediatailor:us-east-1:123456789012:playbackConfiguration/breaks").AdConfiguration
	check("get-ad-configuration", run("get-ad-configuration", "--arn", ads.ARN).AdConfiguration, ads)
	only("list-ad-configurations", run("list-ad-configurations").AdConfigurations, ads)
	run("delete-ad-configuration", "--arn", ads.ARN)

	c := s.newChannel()
	run("start-viewer-session-revocation", "--channel-arn", *c.Arn, "--viewer-id", "one")
	missing := strings.Replace(*c.Arn, "/", "/none", 1)
	if got := run("batch-start-viewer-session-revocation", "--viewer-sessions",
		"channelArn="+*c.Arn+",viewerId=two,viewerSessionVersionsLessThanOrEqualTo=7", "channelArn="+missing+",viewerId=three").Errors; len(got) != 1 || got[0].ViewerID != "three" {
		t.Errorf("batch-start-viewer-session-revocation: %+v", got)
	}
}

// goOnAirWithTheCLI does what can be done with a stream.
func goOnAirWithTheCLI(t *testing.T, s *server) {
	t.Helper()
	arn := s.newRecordingConfiguration(0)
	c := s.newChannel(recordTo(arn), func(in *ivs.CreateChannelInput) {
		made, err := s.ivs().CreateAdConfiguration(t.Context(), adConfiguration())
		if err != nil {
			t.Fatal(err)
		}
		in.AdConfigurationArn = made.AdConfiguration.Arn
	})
	keys, err := s.ivs().ListStreamKeys(t.Context(), &ivs.ListStreamKeysInput{ChannelArn: c.Arn})
	if err != nil {
		t.Fatal(err)
	}
	keyARN := aws.ToString(keys.StreamKeys[0].Arn)
	type answer struct {
		Stream struct {
			StreamID string
			State    string
		}
		StreamSession           struct{ StreamID string }
		StreamKeys              []struct{ ARN string }
		RecordingConfiguration  cliRecordingConfiguration
		RecordingConfigurations []cliRecordingConfiguration
		AdBreakID               string
	}
	run := func(args ...string) answer { t.Helper(); return awsIVS[answer](s, args...) }
	if got := run("batch-get-stream-key", "--arns", keyARN).StreamKeys; len(got) != 1 || got[0].ARN != keyARN {
		t.Errorf("batch-get-stream-key: %+v", got)
	}
	if got := run("get-recording-configuration", "--arn", arn).RecordingConfiguration; got.ARN != arn || got.State != "ACTIVE" {
		t.Errorf("get-recording-configuration: %+v", got)
	}
	if got := run("list-recording-configurations").RecordingConfigurations; len(got) != 1 || got[0].ARN != arn {
		t.Errorf("list-recording-configurations: %+v", got)
	}

	publish(t, c.rtmp(), testPicture())
	stream := c.waitLive()
	eventually(t, 20*time.Second, "the stream has started", func() error {
		if events := c.events(stream); !slices.Contains(events, "Stream Start") {
			return fmt.Errorf("its events are %v", events)
		}
		return nil
	})
	if got := run("get-stream", "--channel-arn", *c.Arn).Stream; got.StreamID != stream || got.State != "LIVE" {
		t.Errorf("get-stream: %+v", got)
	}
	run("put-metadata", "--channel-arn", *c.Arn, "--metadata", "from the shell")
	if got := run("insert-ad-break", "--channel-arn", *c.Arn, "--duration-seconds", "10").AdBreakID; len(got) != 12 {
		t.Errorf("insert-ad-break: %q", got)
	}
	if got := run("get-stream-session", "--channel-arn", *c.Arn).StreamSession; got.StreamID != stream {
		t.Errorf("get-stream-session: %+v", got)
	}
	run("stop-stream", "--channel-arn", *c.Arn)
	c.waitOffline()
}

func adConfiguration() *ivs.CreateAdConfigurationInput {
	return &ivs.CreateAdConfigurationInput{MediaTailorPlaybackConfigurations: []types.MediaTailorPlaybackConfiguration{{
		PlaybackConfigurationArn: aws.String("arn:aws:mediatailor:us-east-1:123456789012:playbackConfiguration/breaks"),
	}}}
}
