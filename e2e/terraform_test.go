package e2e

import (
	"errors"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"
)

// Terraform makes, changes, imports and destroys a channel with its recording
// configuration and key pair, and never plans a change that nobody asked for.
func testTerraform(t *testing.T, s *server) {
	tf := &terraform{t: t, api: s.ivs(), defaultTags: map[string]string{"managed-by": "terraform"}}
	if _, err := s.s3().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &s.bucket}); err != nil {
		t.Fatal(err)
	}

	first := tf.createRecordingConfiguration(attributes{"bucket": s.bucket, "name": "first", "window": int32(60)})
	whole := attributes{"bucket": s.bucket, "name": "whole", "window": int32(0), "recording_mode": types.RecordingModeInterval, "interval": int64(30)}
	second := tf.createRecordingConfiguration(whole)
	pair := tf.createPlaybackKeyPair(attributes{"name": "viewers", "public_key": publicKeyPEM(t)})
	bare := tf.createChannel(attributes{})
	if bare["name"] != "" || bare["recording_configuration_arn"] != "" || bare["authorized"] != false || bare["latency_mode"] != types.ChannelLatencyModeLowLatency ||
		bare["type"] != types.ChannelTypeStandardChannelType || bare["tags_all"].(map[string]string)["managed-by"] != "terraform" {
		t.Errorf("a channel without arguments is %v", bare)
	}
	channel := tf.createChannel(attributes{
		"name": "main", "type": types.ChannelTypeBasicChannelType, "latency_mode": types.ChannelLatencyModeNormalLatency,
		"authorized": true, "recording_configuration_arn": first.arn(), "tags": map[string]string{"team": "river", "empty": ""},
	})
	key := tf.streamKey(channel.arn())
	if key["value"] == "" || key["channel_arn"] != channel.arn() {
		t.Error("the data source has no key")
	}
	tf.refresh(tf.readRecordingConfiguration, first, second)
	tf.refresh(tf.readPlaybackKeyPair, pair)
	tf.refresh(tf.readChannel, channel, bare)

	// All arguments of a recording configuration force replacement. As it is in
	// use, that takes create_before_destroy.
	if err := tf.deleteRecordingConfiguration(first.arn()); !isA[*types.ConflictException](err) {
		t.Errorf("deleting what is in use: %v", err)
	}
	channel = tf.updateChannel(channel, attributes{"recording_configuration_arn": second.arn(), "name": "renamed"})
	tf.must(tf.deleteRecordingConfiguration(first.arn()))
	channel = tf.updateChannel(channel, attributes{"type": types.ChannelTypeStandardChannelType, "latency_mode": types.ChannelLatencyModeLowLatency})
	channel = tf.updateChannel(channel, attributes{"recording_configuration_arn": ""})
	channel = tf.updateChannel(channel, attributes{"name": ""})
	channel = tf.updateTags(channel, map[string]string{"team": "lake", "stage": "delta"})
	channel = tf.updateTags(channel, nil)
	tf.defaultTags = map[string]string{"managed-by": "opentofu"}
	channel = tf.updateTags(channel, map[string]string{"team": "sea"})
	tf.refresh(tf.readChannel, channel)

	// Import knows nothing but the ARN.
	tf.expect("imported channel", tf.read(tf.readChannel, channel.arn()), channel)
	tf.expect("imported key pair", tf.read(tf.readPlaybackKeyPair, pair.arn()), without(pair, "public_key"))

	// What somebody else has deleted is made again.
	if _, err := tf.api.DeleteChannel(t.Context(), &ivs.DeleteChannelInput{Arn: aws.String(channel.arn())}); err != nil {
		t.Fatal(err)
	}
	if _, err := tf.readChannel(channel.arn()); !errors.Is(err, errGone) {
		t.Errorf("reading what was deleted: %v", err)
	}
	tf.must(tf.deleteChannel(channel.arn())) // and nobody minds
	again := tf.createChannel(attributes{"name": "main"})
	if again.arn() == channel.arn() || tf.streamKey(again.arn())["value"] == key["value"] {
		t.Error("the channel is the old one")
	}

	// Destroy, and look whether anything is left.
	tf.must(tf.deleteChannel(again.arn()))
	tf.must(tf.deleteChannel(bare.arn()))
	tf.must(tf.deleteRecordingConfiguration(second.arn()))
	tf.must(tf.deletePlaybackKeyPair(pair.arn()))
	if left, err := tf.api.ListChannels(t.Context(), &ivs.ListChannelsInput{}); err != nil || len(left.Channels) != 0 {
		t.Errorf("%d channels are left, %v", len(left.Channels), err)
	}

	// A configuration that cannot be used fails fast, not when time is up.
	if _, err := tf.makeRecordingConfiguration(attributes{"bucket": "nowhere"}); !errors.As(err, new(unexpectedState)) {
		t.Errorf("a configuration without a bucket: %v", err)
	}

	// Terraform makes ten resources at a time.
	var together errgroup.Group
	for i := range 10 {
		together.Go(func() error {
			made, err := tf.makeChannel(attributes{"name": fmt.Sprint("channel-", i), "tags": map[string]string{"i": fmt.Sprint(i)}})
			if err == nil {
				err = tf.deleteChannel(made.arn())
			}
			return err
		})
	}
	if err := together.Wait(); err != nil {
		t.Error(err)
	}
}
