package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

// terraform calls the API in the order and with the members of Terraform's
// provider "aws": what each of its resources does to be created, read, updated
// and deleted, and how it waits for that.
type terraform struct {
	t           *testing.T
	api         *ivs.Client
	defaultTags map[string]string // default_tags of the provider
}

// attributes are what a resource's state has, by Terraform's names. A resource
// is planned anew when they differ from its configuration.
type attributes map[string]any

func (a attributes) arn() string { return a["arn"].(string) }

// createChannel is the creation of aws_ivs_channel.
func (tf *terraform) createChannel(config attributes) attributes {
	tf.t.Helper()
	made, err := tf.makeChannel(config)
	tf.must(err)
	return tf.planned(config, made)
}

func (tf *terraform) makeChannel(config attributes) (attributes, error) {
	in := &ivs.CreateChannelInput{Tags: tf.allTags(config)}
	in.Authorized, _ = config["authorized"].(bool)
	in.LatencyMode, _ = config["latency_mode"].(types.ChannelLatencyMode)
	in.Type, _ = config["type"].(types.ChannelType)
	in.Name = given(config, "name")
	in.RecordingConfigurationArn = given(config, "recording_configuration_arn")
	out, err := tf.api.CreateChannel(tf.t.Context(), in)
	if err != nil {
		return nil, fmt.Errorf("create channel: %w", err)
	}
	return tf.untilThere(tf.readChannel, *out.Channel.Arn)
}

func (tf *terraform) readChannel(arn string) (attributes, error) {
	out, err := tf.api.GetChannel(tf.t.Context(), &ivs.GetChannelInput{Arn: &arn})
	if err != nil {
		return nil, gone(err)
	}
	c := out.Channel
	if !maps.Equal(c.Tags, tf.listTags(arn)) {
		return nil, fmt.Errorf("channel %s has tags %v and %v", arn, c.Tags, tf.listTags(arn))
	}
	return attributes{
		"arn": aws.ToString(c.Arn), "authorized": c.Authorized, "ingest_endpoint": aws.ToString(c.IngestEndpoint), "latency_mode": c.LatencyMode,
		"name": aws.ToString(c.Name), "playback_url": aws.ToString(c.PlaybackUrl),
		"recording_configuration_arn": aws.ToString(c.RecordingConfigurationArn), "type": c.Type, "tags_all": c.Tags,
	}, nil
}

// updateChannel sends only what changes, then waits until it shows.
func (tf *terraform) updateChannel(state, change attributes) attributes {
	tf.t.Helper()
	in := &ivs.UpdateChannelInput{Arn: aws.String(state.arn())}
	for name, value := range change {
		switch name {
		case "name":
			in.Name = aws.String(value.(string)) // the empty one is sent, too
		case "recording_configuration_arn":
			in.RecordingConfigurationArn = aws.String(value.(string))
		case "latency_mode":
			in.LatencyMode = value.(types.ChannelLatencyMode)
		case "type":
			in.Type = value.(types.ChannelType)
		}
	}
	_, err := tf.api.UpdateChannel(tf.t.Context(), in)
	tf.must(err)
	want := maps.Clone(state)
	maps.Copy(want, change)
	now, err := tf.untilThere(tf.readChannel, state.arn())
	tf.must(err)
	tf.expect("updated channel", now, want)
	return now
}

func (tf *terraform) deleteChannel(arn string) error {
	_, err := tf.api.DeleteChannel(tf.t.Context(), &ivs.DeleteChannelInput{Arn: &arn})
	return tf.untilGone(tf.readChannel, arn, err)
}

// streamKey is the data source aws_ivs_stream_key.
func (tf *terraform) streamKey(channel string) attributes {
	tf.t.Helper()
	list, err := tf.api.ListStreamKeys(tf.t.Context(), &ivs.ListStreamKeysInput{ChannelArn: &channel})
	tf.must(err)
	if len(list.StreamKeys) == 0 {
		tf.t.Fatal("the channel has no stream key")
	}
	out, err := tf.api.GetStreamKey(tf.t.Context(), &ivs.GetStreamKeyInput{Arn: list.StreamKeys[0].Arn})
	tf.must(err)
	return attributes{"arn": aws.ToString(out.StreamKey.Arn), "channel_arn": aws.ToString(out.StreamKey.ChannelArn), "value": aws.ToString(out.StreamKey.Value)}
}

// createRecordingConfiguration is the creation of
// aws_ivs_recording_configuration, whose blocks are flattened here.
func (tf *terraform) createRecordingConfiguration(config attributes) attributes {
	tf.t.Helper()
	made, err := tf.makeRecordingConfiguration(config)
	tf.must(err)
	return tf.planned(config, made)
}

func (tf *terraform) makeRecordingConfiguration(config attributes) (attributes, error) {
	in := &ivs.CreateRecordingConfigurationInput{
		DestinationConfiguration: &types.DestinationConfiguration{S3: &types.S3DestinationConfiguration{BucketName: given(config, "bucket")}},
		Name:                     given(config, "name"), Tags: tf.allTags(config),
	}
	in.RecordingReconnectWindowSeconds, _ = config["window"].(int32)
	if mode, ok := config["recording_mode"].(types.RecordingMode); ok {
		in.ThumbnailConfiguration = &types.ThumbnailConfiguration{RecordingMode: mode, TargetIntervalSeconds: aws.Int64(config["interval"].(int64))}
	}
	out, err := tf.api.CreateRecordingConfiguration(tf.t.Context(), in)
	if err != nil {
		return nil, fmt.Errorf("create recording configuration: %w", err)
	}
	return tf.untilThere(tf.readRecordingConfiguration, *out.RecordingConfiguration.Arn)
}

func (tf *terraform) readRecordingConfiguration(arn string) (attributes, error) {
	out, err := tf.api.GetRecordingConfiguration(tf.t.Context(), &ivs.GetRecordingConfigurationInput{Arn: &arn})
	if err != nil {
		return nil, gone(err)
	}
	rc := out.RecordingConfiguration
	return attributes{
		"arn": aws.ToString(rc.Arn), "name": aws.ToString(rc.Name), "state": string(rc.State), "window": rc.RecordingReconnectWindowSeconds,
		"bucket": aws.ToString(rc.DestinationConfiguration.S3.BucketName), "recording_mode": rc.ThumbnailConfiguration.RecordingMode,
		"interval": aws.ToInt64(rc.ThumbnailConfiguration.TargetIntervalSeconds), "tags_all": tf.listTags(arn),
	}, nil
}

func (tf *terraform) deleteRecordingConfiguration(arn string) error {
	_, err := tf.api.DeleteRecordingConfiguration(tf.t.Context(), &ivs.DeleteRecordingConfigurationInput{Arn: &arn})
	return tf.untilGone(tf.readRecordingConfiguration, arn, err)
}

// createPlaybackKeyPair is the creation of aws_ivs_playback_key_pair.
func (tf *terraform) createPlaybackKeyPair(config attributes) attributes {
	tf.t.Helper()
	out, err := tf.api.ImportPlaybackKeyPair(tf.t.Context(), &ivs.ImportPlaybackKeyPairInput{
		PublicKeyMaterial: given(config, "public_key"), Name: given(config, "name"), Tags: tf.allTags(config),
	})
	tf.must(err)
	made, err := tf.untilThere(tf.readPlaybackKeyPair, *out.KeyPair.Arn)
	tf.must(err)
	made["public_key"] = config["public_key"] // which cannot be read
	return tf.planned(config, made)
}

func (tf *terraform) readPlaybackKeyPair(arn string) (attributes, error) {
	out, err := tf.api.GetPlaybackKeyPair(tf.t.Context(), &ivs.GetPlaybackKeyPairInput{Arn: &arn})
	if err != nil {
		return nil, gone(err)
	}
	return attributes{
		"arn": aws.ToString(out.KeyPair.Arn), "name": aws.ToString(out.KeyPair.Name), "fingerprint": aws.ToString(out.KeyPair.Fingerprint), "tags_all": tf.listTags(arn),
	}, nil
}

func (tf *terraform) deletePlaybackKeyPair(arn string) error {
	_, err := tf.api.DeletePlaybackKeyPair(tf.t.Context(), &ivs.DeletePlaybackKeyPairInput{Arn: &arn})
	return tf.untilGone(tf.readPlaybackKeyPair, arn, err)
}

// updateTags changes a channel's own tags, first those that go.
func (tf *terraform) updateTags(state attributes, tags map[string]string) attributes {
	tf.t.Helper()
	old, wanted := state["tags_all"].(map[string]string), tf.allTags(attributes{"tags": tags})
	var removed []string
	for name := range old {
		if _, ok := wanted[name]; !ok {
			removed = append(removed, name)
		}
	}
	if len(removed) > 0 {
		_, err := tf.api.UntagResource(tf.t.Context(), &ivs.UntagResourceInput{ResourceArn: aws.String(state.arn()), TagKeys: removed})
		tf.must(err)
	}
	updated := maps.Clone(wanted)
	maps.DeleteFunc(updated, func(name, value string) bool { was, ok := old[name]; return ok && was == value })
	if len(updated) > 0 {
		_, err := tf.api.TagResource(tf.t.Context(), &ivs.TagResourceInput{ResourceArn: aws.String(state.arn()), Tags: updated})
		tf.must(err)
	}
	want := maps.Clone(state)
	want["tags_all"] = wanted
	now := tf.read(tf.readChannel, state.arn())
	tf.expect("tagged channel", now, want)
	return now
}

func (tf *terraform) listTags(arn string) map[string]string {
	out, err := tf.api.ListTagsForResource(tf.t.Context(), &ivs.ListTagsForResourceInput{ResourceArn: &arn})
	if err != nil {
		return map[string]string{"error": err.Error()}
	}
	return out.Tags
}

// allTags is tags_all: the provider's, overridden by the resource's.
func (tf *terraform) allTags(config attributes) map[string]string {
	all := maps.Clone(tf.defaultTags)
	own, _ := config["tags"].(map[string]string)
	maps.Copy(all, own)
	return all
}

type reader func(arn string) (attributes, error)

// errGone says that the API answered ResourceNotFoundException.
var errGone = errors.New("is gone")

func gone(err error) error {
	if isA[*types.ResourceNotFoundException](err) {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return err
}

// unexpectedState is one that is neither waited for nor on the way there.
type unexpectedState string

func (u unexpectedState) Error() string { return "unexpected state " + string(u) }

// untilThere waits until a new resource has been there twice in a row, active
// if it has a state.
func (tf *terraform) untilThere(read reader, arn string) (now attributes, err error) {
	seen := 0
	return now, tf.poll(func() (bool, error) {
		now, err = read(arn)
		if err != nil {
			return false, err // the provider would be more patient
		}
		state, _ := now["state"].(string)
		switch cmp.Or(state, "ACTIVE") {
		case "ACTIVE":
			seen++
		case "CREATING":
			seen = 0
		default:
			return false, unexpectedState(state)
		}
		return seen == 2, nil
	})
}

// untilGone waits, after a deletion, until the resource cannot be read. That it
// was gone before is no error.
func (tf *terraform) untilGone(read reader, arn string, err error) error {
	if isA[*types.ResourceNotFoundException](err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", arn, err)
	}
	return tf.poll(func() (bool, error) {
		_, err := read(arn)
		if errors.Is(err, errGone) {
			return true, nil
		}
		return false, err
	})
}

func (tf *terraform) poll(done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(tf.t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// planned fails the test when a resource that was just made would be planned
// anew.
func (tf *terraform) planned(config, state attributes) attributes {
	tf.t.Helper()
	for name, want := range config {
		if name != "tags" && state[name] != want {
			tf.t.Errorf("%s is configured as %v and read as %v", name, want, state[name])
		}
	}
	if all := tf.allTags(config); !maps.Equal(all, state["tags_all"].(map[string]string)) {
		tf.t.Errorf("tags are configured as %v and read as %v", all, state["tags_all"])
	}
	return state
}

// refresh reads resources again, which must be as they were.
func (tf *terraform) refresh(read reader, states ...attributes) {
	tf.t.Helper()
	for _, state := range states {
		tf.expect("refreshed", tf.read(read, state.arn()), without(state, "public_key"))
	}
}

func (tf *terraform) read(read reader, arn string) attributes {
	tf.t.Helper()
	now, err := read(arn)
	tf.must(err)
	return now
}

func (tf *terraform) expect(what string, got, want attributes) {
	tf.t.Helper()
	names := slices.Collect(maps.Keys(got))
	names = append(names, slices.Collect(maps.Keys(want))...)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if g, w := fmt.Sprint(got[name]), fmt.Sprint(want[name]); g != w {
			tf.t.Errorf("%s %s: %s is %s, not %s", what, want["arn"], name, g, w)
		}
	}
}

func (tf *terraform) must(err error) {
	tf.t.Helper()
	if err != nil {
		tf.t.Fatal(err)
	}
}

// given is an argument, nil where it is absent or empty.
func given(config attributes, name string) *string {
	if v, ok := config[name].(string); ok && v != "" {
		return &v
	}
	return nil
}

func without(a attributes, name string) attributes {
	a = maps.Clone(a)
	delete(a, name)
	return a
}
