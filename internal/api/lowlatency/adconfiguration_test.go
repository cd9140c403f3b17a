package lowlatency_test

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"anabranch/internal/api/apitest"
	"anabranch/internal/resource"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

// mediaTailor is the ARN of a playback configuration of MediaTailor's.
const mediaTailor = "arn:aws:mediatailor:eu-west-1:111122223333:playbackConfiguration/"

// ads makes an ad configuration and returns its ARN.
func (f *fixture) ads() *string {
	f.t.Helper()
	out := apitest.Must[*ivs.CreateAdConfigurationOutput](f.t)(f.CreateAdConfiguration(f.ctx, &ivs.CreateAdConfigurationInput{
		MediaTailorPlaybackConfigurations: []types.MediaTailorPlaybackConfiguration{{PlaybackConfigurationArn: aws.String(mediaTailor + "a")}},
	}))
	return out.AdConfiguration.Arn
}

// item is an item of mediaTailorPlaybackConfigurations.
func item(name string) map[string]any {
	return map[string]any{"playbackConfigurationArn": mediaTailor + name}
}

// An update changes what it names and nothing else, and every operation tells
// the same.
func TestAdConfigurations(t *testing.T) {
	f := newFixture(t)
	status, _, answer := f.Post("CreateAdConfiguration", `{"mediaTailorPlaybackConfigurations":[{"playbackConfigurationArn":"`+mediaTailor+`a"}],"tags":{"a":"b"}}`)
	made := apitest.Object(answer, "adConfiguration")
	arn, _ := made["arn"].(string)
	want := map[string]any{"arn": arn, "name": "", "mediaTailorPlaybackConfigurations": []any{item("a")},
		"postRollConfiguration": map[string]any{"enabled": false, "durationSeconds": 15.}, "tags": map[string]any{"a": "b"}}
	if status != http.StatusOK || !reflect.DeepEqual(made, want) || !strings.HasPrefix(arn, "arn:aws:ivs:eu-west-1:111122223333:ad-configuration/") {
		t.Errorf("answered %d %v, want %v", status, answer, want)
	}
	for _, step := range []struct {
		given  string
		member string
		value  any
	}{
		{`"name":"ads"`, "name", "ads"},
		{`"postRollConfiguration":{"enabled":true,"durationSeconds":300}`, "postRollConfiguration", map[string]any{"enabled": true, "durationSeconds": 300.}},
		{`"mediaTailorPlaybackConfigurations":[{"playbackConfigurationArn":"` + mediaTailor + `c"},{"playbackConfigurationArn":"` + mediaTailor + `b"}]`,
			"mediaTailorPlaybackConfigurations", []any{item("c"), item("b")}},
		{`"mediaTailorPlaybackConfigurations":null,"postRollConfiguration":null`, "", nil},
		{`"postRollConfiguration":{"enabled":false,"durationSeconds":1}`, "postRollConfiguration", map[string]any{"enabled": false, "durationSeconds": 1.}},
		{`"name":""`, "name", ""},
	} {
		if step.member != "" {
			want[step.member] = step.value
		}
		status, _, answer := f.Post("UpdateAdConfiguration", `{"arn":"`+arn+`",`+step.given+`}`)
		if got := apitest.Object(answer, "adConfiguration"); status != http.StatusOK || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %d %v, want %v", step.given, status, answer, want)
		}
		_, _, answer = f.Post("GetAdConfiguration", `{"arn":"`+arn+`"}`)
		if got := apitest.Object(answer, "adConfiguration"); !reflect.DeepEqual(got, want) {
			t.Errorf("after %s it is %v, want %v", step.given, got, want)
		}
		_, _, answer = f.Post("ListAdConfigurations", "")
		if got, _ := answer["adConfigurations"].([]any); !reflect.DeepEqual(got, []any{want}) {
			t.Errorf("after %s the list is %v, want %v", step.given, got, want)
		}
	}
}

func TestListAdConfigurations(t *testing.T) {
	f := newFixture(t)
	want := []string{*f.ads(), *f.ads(), *f.ads()}
	var arns []string
	for p := ivs.NewListAdConfigurationsPaginator(f, &ivs.ListAdConfigurationsInput{MaxResults: aws.Int32(2)}); p.HasMorePages(); {
		for _, c := range apitest.Must[*ivs.ListAdConfigurationsOutput](t)(p.NextPage(f.ctx)).AdConfigurations {
			arns = append(arns, *c.Arn)
		}
	}
	if !slices.Equal(arns, want) {
		t.Errorf("listed %v, want %v", arns, want)
	}
}

func TestAdConfigurationRules(t *testing.T) {
	f := newFixture(t)
	arn := *f.ads()
	const good = `{"playbackConfigurationArn":"` + mediaTailor + `a"}`
	for _, tt := range []struct{ operation, members, want string }{
		{"CreateAdConfiguration", ``, "mediaTailorPlaybackConfigurations: required"},
		{"CreateAdConfiguration", `"mediaTailorPlaybackConfigurations":[` + good + `],"postRollConfiguration":{"enabled":true}`, "postRollConfiguration.durationSeconds: required"},
		{"UpdateAdConfiguration", `"arn":"` + arn + `","mediaTailorPlaybackConfigurations":[]`, "mediaTailorPlaybackConfigurations: must have between 1 and 3"},
		{"UpdateAdConfiguration", `"arn":"` + arn + `","mediaTailorPlaybackConfigurations":[` + good + `,{}]`, "mediaTailorPlaybackConfigurations[1].playbackConfigurationArn: required"},
		{"UpdateAdConfiguration", `"arn":"` + arn + `","postRollConfiguration":{"durationSeconds":15}`, "postRollConfiguration.enabled: required"},
	} {
		status, exception, answer := f.Post(tt.operation, `{`+tt.members+`}`)
		if message, _ := answer["message"].(string); status != 400 || exception != "ValidationException" || !strings.HasPrefix(message, tt.want) {
			t.Errorf("%s %s: %d %s %s", tt.operation, tt.members, status, exception, message)
		}
	}
}

func TestDeleteAdConfiguration(t *testing.T) {
	f := newFixture(t)
	ads := f.ads()
	ch := f.channel(&ivs.CreateChannelInput{AdConfigurationArn: ads}).Channel
	f.channel(&ivs.CreateChannelInput{})
	listed := apitest.Must[*ivs.ListChannelsOutput](t)(f.ListChannels(f.ctx, &ivs.ListChannelsInput{FilterByAdConfigurationArn: ads}))
	if len(listed.Channels) != 1 || *listed.Channels[0].Arn != *ch.Arn || *listed.Channels[0].AdConfigurationArn != *ads {
		t.Errorf("listed %+v", listed.Channels)
	}
	_, err := f.DeleteAdConfiguration(f.ctx, &ivs.DeleteAdConfigurationInput{Arn: ads})
	apitest.Fails(t, err, "ConflictException", *ads, *ch.Arn)
	_, err = f.UpdateChannel(f.ctx, &ivs.UpdateChannelInput{Arn: ch.Arn, ContainerFormat: types.ContainerFormatFragmentedMP4})
	apitest.Fails(t, err, "ValidationException", "containerFormat: ")

	if _, err := f.UpdateChannel(f.ctx, &ivs.UpdateChannelInput{Arn: ch.Arn, AdConfigurationArn: aws.String("")}); err != nil {
		t.Fatal(err)
	}
	if status, _, answer := f.Post("DeleteAdConfiguration", `{"arn":"`+*ads+`"}`); status != http.StatusNoContent || answer != nil {
		t.Errorf("answered %d %v", status, answer)
	}
	_, err = f.CreateChannel(f.ctx, &ivs.CreateChannelInput{AdConfigurationArn: ads})
	apitest.Fails(t, err, "ResourceNotFoundException", *ads)
	_, err = f.GetAdConfiguration(f.ctx, &ivs.GetAdConfigurationInput{Arn: ads})
	apitest.Fails(t, err, "ResourceNotFoundException", *ads)
	_, err = f.DeleteAdConfiguration(f.ctx, &ivs.DeleteAdConfigurationInput{Arn: ads})
	apitest.Fails(t, err, "ResourceNotFoundException", *ads)
	none := string(place.ARN(resource.KindAdConfiguration, "none"))
	if status, exception, _ := f.Post("UpdateAdConfiguration", `{"arn":"`+none+`"}`); status != http.StatusNotFound || exception != "ResourceNotFoundException" {
		t.Errorf("answered %d %s", status, exception)
	}
}
