package lowlatency_test

import (
	"testing"

	"anabranch/internal/api/apitest"
	"anabranch/internal/resource"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
)

func TestInsertAdBreak(t *testing.T) {
	f := newFixture(t)
	bare := f.channel(&ivs.CreateChannelInput{})
	made := f.channel(&ivs.CreateChannelInput{AdConfigurationArn: f.ads()})
	insert := func(channel *string, seconds int32) (*ivs.InsertAdBreakOutput, error) {
		return f.InsertAdBreak(f.ctx, &ivs.InsertAdBreakInput{ChannelArn: channel, DurationSeconds: &seconds})
	}
	for _, tt := range []struct {
		name      string
		channel   *string
		seconds   int32
		exception string
		words     string
	}{
		{"no channel", aws.String(string(place.ARN(resource.KindChannel, "none"))), 30, "ResourceNotFoundException", ""},
		{"no ad configuration", bare.Channel.Arn, 30, "ValidationException", "adConfigurationArn"},
		{"offline", made.Channel.Arn, 30, "ChannelNotBroadcasting", ""},
		{"too short", made.Channel.Arn, 0, "ValidationException", "durationSeconds"},
		{"too long", made.Channel.Arn, 301, "ValidationException", "durationSeconds"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := insert(tt.channel, tt.seconds)
			apitest.Fails(t, err, tt.exception, tt.words)
		})
	}
	f.live(made, resource.Healthy)
	got := apitest.Must[*ivs.InsertAdBreakOutput](t)(insert(made.Channel.Arn, 300))
	if *got.AdBreakId != "break0000300" {
		t.Errorf("the break is %s", *got.AdBreakId)
	}
	_, err := insert(made.Channel.Arn, 1)
	apitest.Fails(t, err, "ConflictException")
}
