package lowlatency_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"anabranch/internal/api/apitest"
	"anabranch/internal/resource"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
)

func TestPutMetadata(t *testing.T) {
	f := newFixture(t)
	made := f.channel(&ivs.CreateChannelInput{})
	put := func(arn *string, metadata string) error {
		_, err := f.PutMetadata(f.ctx, &ivs.PutMetadataInput{ChannelArn: arn, Metadata: &metadata})
		return err
	}
	apitest.Fails(t, put(made.Channel.Arn, "early"), "ChannelNotBroadcasting", "Channel: "+*made.Channel.Arn+" is not currently online")
	apitest.Fails(t, put(aws.String(string(place.ARN(resource.KindChannel, "none"))), "x"), "ResourceNotFoundException")

	f.live(made, resource.Healthy)
	var taken []string
	for _, tt := range []struct{ metadata, member string }{
		{"x", ""},
		{strings.Repeat("x", 1024), ""},
		{strings.Repeat("ö", 512), ""},
		{"\x00 <b>\n{\"a\":1}", ""},
		{"", "metadata"},
		{strings.Repeat("x", 1025), "metadata: has 1025 bytes"},
		{strings.Repeat("ö", 512) + "x", "metadata: has 1025 bytes"},
		{strings.Repeat("x", 100_000), "metadata: has 100000 bytes"},
	} {
		if err := put(made.Channel.Arn, tt.metadata); tt.member != "" {
			apitest.Fails(t, err, "ValidationException", tt.member)
			continue
		} else if err != nil {
			t.Error(err)
		}
		taken = append(taken, tt.metadata)
	}
	if !slices.Equal(f.onAir.metadata, taken) {
		t.Errorf("%.99q is on air, want %.99q", f.onAir.metadata, taken)
	}
	if status, _, answer := f.Post("PutMetadata", `{"channelArn":"`+*made.Channel.Arn+`","metadata":"x"}`); status != http.StatusNoContent || len(answer) > 0 {
		t.Errorf("answered %d %v", status, answer)
	}
}
