package lowlatency_test

import (
	"fmt"
	"maps"
	"testing"

	"anabranch/internal/api/apitest"
	"anabranch/internal/resource"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
)

func TestTags(t *testing.T) {
	f := newFixture(t)
	made := f.channel(&ivs.CreateChannelInput{Tags: map[string]string{"a": "1"}})
	rc := f.recording(resource.Active)
	for _, arn := range []*string{made.Channel.Arn, made.StreamKey.Arn, rc.Arn} {
		_, err := f.TagResource(f.ctx, &ivs.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"a": "2", "b/c + d": "", "b-c": "x", "é": "=@"}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.UntagResource(f.ctx, &ivs.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"b/c + d", "b-c", "none"}})
		if err != nil {
			t.Fatal(err)
		}
		got := apitest.Must[*ivs.ListTagsForResourceOutput](t)(f.ListTagsForResource(f.ctx, &ivs.ListTagsForResourceInput{ResourceArn: arn})).Tags
		if !maps.Equal(got, map[string]string{"a": "2", "é": "=@"}) {
			t.Errorf("%s has %v", *arn, got)
		}
	}
	got := apitest.Must[*ivs.GetChannelOutput](t)(f.GetChannel(f.ctx, &ivs.GetChannelInput{Arn: made.Channel.Arn}))
	if got.Channel.Tags["a"] != "2" {
		t.Errorf("the channel has %v", got.Channel.Tags)
	}
}

func TestTagErrors(t *testing.T) {
	f := newFixture(t)
	made := f.channel(&ivs.CreateChannelInput{Tags: map[string]string{"a": "1"}})
	for _, arn := range []resource.ARN{place.ARN(resource.KindChannel, "none"), place.ARN("no-such-kind", "none")} {
		_, err := f.ListTagsForResource(f.ctx, &ivs.ListTagsForResourceInput{ResourceArn: aws.String(string(arn))})
		apitest.Fails(t, err, "ResourceNotFoundException", string(arn))
	}
	_, err := f.ListTagsForResource(f.ctx, &ivs.ListTagsForResourceInput{ResourceArn: aws.String("arn:aws:ivs:x:1:CHANNEL/a")})
	apitest.Fails(t, err, "ValidationException", "resourceArn: ")
	_, err = f.UntagResource(f.ctx, &ivs.UntagResourceInput{ResourceArn: made.Channel.Arn, TagKeys: []string{"a", "b*"}})
	apitest.Fails(t, err, "ValidationException", "tagKeys[1]: ")

	fifty := make(map[string]string)
	for i := range 50 {
		fifty[fmt.Sprint(i)] = ""
	}
	_, err = f.TagResource(f.ctx, &ivs.TagResourceInput{ResourceArn: made.Channel.Arn, Tags: fifty})
	apitest.Fails(t, err, "ValidationException", "tags: ")
	got := apitest.Must[*ivs.ListTagsForResourceOutput](t)(f.ListTagsForResource(f.ctx, &ivs.ListTagsForResourceInput{ResourceArn: made.Channel.Arn})).Tags
	if !maps.Equal(got, map[string]string{"a": "1"}) {
		t.Errorf("it has %v", got)
	}
}
