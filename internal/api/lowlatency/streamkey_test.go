package lowlatency_test

import (
	"net/http"
	"strings"
	"testing"

	"anabranch/internal/api/apitest"
	"anabranch/internal/resource"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
)

// A channel has one key at a time; it is replaced by deleting it first.
func TestStreamKeys(t *testing.T) {
	f := newFixture(t)
	made := f.channel(&ivs.CreateChannelInput{})
	create := &ivs.CreateStreamKeyInput{ChannelArn: made.Channel.Arn, Tags: map[string]string{"a": "b"}}
	_, err := f.CreateStreamKey(f.ctx, create)
	apitest.Fails(t, err, "ServiceQuotaExceededException")
	if status, _, _ := f.Post("CreateStreamKey", `{"channelArn":"`+*made.Channel.Arn+`"}`); status != http.StatusPaymentRequired {
		t.Errorf("answered %d", status)
	}

	if status, _, answer := f.Post("DeleteStreamKey", `{"arn":"`+*made.StreamKey.Arn+`"}`); status != http.StatusNoContent || answer != nil {
		t.Errorf("answered %d %v", status, answer)
	}
	key := apitest.Must[*ivs.CreateStreamKeyOutput](t)(f.CreateStreamKey(f.ctx, create)).StreamKey
	if *key.Value == *made.StreamKey.Value || *key.ChannelArn != *made.Channel.Arn || key.Tags["a"] != "b" {
		t.Errorf("made %+v", key)
	}
	got := apitest.Must[*ivs.GetStreamKeyOutput](t)(f.GetStreamKey(f.ctx, &ivs.GetStreamKeyInput{Arn: key.Arn})).StreamKey
	if *got.Value != *key.Value || *got.ChannelArn != *key.ChannelArn || got.Tags["a"] != "b" {
		t.Errorf("got %+v", got)
	}
	batch := apitest.Must[*ivs.BatchGetStreamKeyOutput](t)(f.BatchGetStreamKey(f.ctx, &ivs.BatchGetStreamKeyInput{Arns: []string{*made.StreamKey.Arn, *key.Arn}}))
	if len(batch.StreamKeys) != 1 || *batch.StreamKeys[0].Value != *key.Value || len(batch.Errors) != 1 || *batch.Errors[0].Arn != *made.StreamKey.Arn {
		t.Errorf("got %+v", batch)
	}

	_, _, answer := f.Post("ListStreamKeys", `{"channelArn":"`+*made.Channel.Arn+`"}`)
	keys, _ := answer["streamKeys"].([]any)
	if len(keys) != 1 || answer["nextToken"] != nil {
		t.Fatalf("listed %v", answer)
	}
	if got := strings.Join(apitest.Members(keys[0].(map[string]any)), " "); got != "arn channelArn tags" {
		t.Errorf("a summary has %s", got)
	}
}

func TestStreamKeyNotFound(t *testing.T) {
	f := newFixture(t)
	key, channel := aws.String(string(place.ARN(resource.KindStreamKey, "none"))), aws.String(string(place.ARN(resource.KindChannel, "none")))
	_, err := f.GetStreamKey(f.ctx, &ivs.GetStreamKeyInput{Arn: key})
	apitest.Fails(t, err, "ResourceNotFoundException", *key)
	_, err = f.DeleteStreamKey(f.ctx, &ivs.DeleteStreamKeyInput{Arn: key})
	apitest.Fails(t, err, "ResourceNotFoundException", *key)
	_, err = f.CreateStreamKey(f.ctx, &ivs.CreateStreamKeyInput{ChannelArn: channel})
	apitest.Fails(t, err, "ResourceNotFoundException", *channel)
	_, err = f.ListStreamKeys(f.ctx, &ivs.ListStreamKeysInput{ChannelArn: channel})
	apitest.Fails(t, err, "ResourceNotFoundException", *channel)
}
