package lowlatency_test

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"anabranch/internal/api/apitest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

// policy makes a playback restriction policy.
func (f *fixture) policy(in ivs.CreatePlaybackRestrictionPolicyInput) *types.PlaybackRestrictionPolicy {
	f.t.Helper()
	return apitest.Must[*ivs.CreatePlaybackRestrictionPolicyOutput](f.t)(f.CreatePlaybackRestrictionPolicy(f.ctx, &in)).PlaybackRestrictionPolicy
}

func TestPlaybackRestrictionPolicies(t *testing.T) {
	f := newFixture(t)
	status, _, answer := f.Post("CreatePlaybackRestrictionPolicy", "")
	plain := apitest.Object(answer, "playbackRestrictionPolicy")
	arn, _ := plain["arn"].(string)
	if status != http.StatusOK || !strings.HasPrefix(arn, "arn:aws:ivs:eu-west-1:111122223333:playback-restriction-policy/") {
		t.Errorf("answered %d %v", status, answer)
	}
	delete(plain, "arn")
	if want := map[string]any{"name": "", "allowedCountries": []any{}, "allowedOrigins": []any{}, "enableStrictOriginEnforcement": false,
		"tags": map[string]any{}}; !reflect.DeepEqual(plain, want) {
		t.Errorf("the defaults are %v, want %v", plain, want)
	}

	full := f.policy(ivs.CreatePlaybackRestrictionPolicyInput{
		Name: aws.String("europe"), AllowedCountries: []string{"DE", "FR"}, AllowedOrigins: []string{"https://*.example.com", "http://localhost:3000"},
		EnableStrictOriginEnforcement: aws.Bool(true), Tags: map[string]string{"a": "b"},
	})
	if *full.Name != "europe" || !slices.Equal(full.AllowedCountries, []string{"DE", "FR"}) || !*full.EnableStrictOriginEnforcement ||
		!slices.Equal(full.AllowedOrigins, []string{"https://*.example.com", "http://localhost:3000"}) || full.Tags["a"] != "b" {
		t.Errorf("made %+v", full)
	}
	got := apitest.Must[*ivs.GetPlaybackRestrictionPolicyOutput](t)(f.GetPlaybackRestrictionPolicy(f.ctx, &ivs.GetPlaybackRestrictionPolicyInput{Arn: full.Arn}))
	if !reflect.DeepEqual(got.PlaybackRestrictionPolicy, full) {
		t.Errorf("got %+v, made %+v", got.PlaybackRestrictionPolicy, full)
	}

	// A page has one, unless more are asked for.
	for size, pages := range map[int32]int{0: 2, 1: 2, 2: 1} {
		in := &ivs.ListPlaybackRestrictionPoliciesInput{}
		if size > 0 {
			in.MaxResults = &size
		}
		var listed []types.PlaybackRestrictionPolicySummary
		n := 0
		for p := ivs.NewListPlaybackRestrictionPoliciesPaginator(f, in); p.HasMorePages(); n++ {
			listed = append(listed, apitest.Must[*ivs.ListPlaybackRestrictionPoliciesOutput](t)(p.NextPage(f.ctx)).PlaybackRestrictionPolicies...)
		}
		if n != pages || len(listed) != 2 || *listed[0].Arn != arn || *listed[1].Arn != *full.Arn || listed[1].AllowedOrigins[1] != full.AllowedOrigins[1] ||
			listed[1].AllowedCountries[0] != "DE" || !*listed[1].EnableStrictOriginEnforcement || listed[1].Tags["a"] != "b" || *listed[1].Name != "europe" {
			t.Errorf("%d pages of %d list %+v", n, size, listed)
		}
	}
}

// An update changes what it names and nothing else.
func TestUpdatePlaybackRestrictionPolicy(t *testing.T) {
	f := newFixture(t)
	made := f.policy(ivs.CreatePlaybackRestrictionPolicyInput{Name: aws.String("old"), AllowedCountries: []string{"DE"},
		AllowedOrigins: []string{"https://a.test"}, EnableStrictOriginEnforcement: aws.Bool(true), Tags: map[string]string{"a": "b"}})
	want := map[string]any{"arn": *made.Arn, "name": "old", "allowedCountries": []any{"DE"}, "allowedOrigins": []any{"https://a.test"},
		"enableStrictOriginEnforcement": true, "tags": map[string]any{"a": "b"}}
	for _, step := range []struct {
		given  string
		member string
		value  any
	}{
		{`"name":"new"`, "name", "new"},
		{`"allowedCountries":["FR","GB"]`, "allowedCountries", []any{"FR", "GB"}},
		{`"allowedOrigins":null`, "", nil},
		{`"allowedOrigins":[]`, "allowedOrigins", []any{}},
		{`"enableStrictOriginEnforcement":false`, "enableStrictOriginEnforcement", false},
		{`"tags":{"x":"y"}`, "", nil},
		{`"name":""`, "name", ""},
	} {
		if step.member != "" {
			want[step.member] = step.value
		}
		status, _, answer := f.Post("UpdatePlaybackRestrictionPolicy", `{"arn":"`+*made.Arn+`",`+step.given+`}`)
		if got := apitest.Object(answer, "playbackRestrictionPolicy"); status != http.StatusOK || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %d %v, want %v", step.given, status, answer, want)
		}
		_, _, answer = f.Post("GetPlaybackRestrictionPolicy", `{"arn":"`+*made.Arn+`"}`)
		if got := apitest.Object(answer, "playbackRestrictionPolicy"); !reflect.DeepEqual(got, want) {
			t.Errorf("after %s it is %v, want %v", step.given, got, want)
		}
	}
}

// Each item is checked by itself, and named.
func TestPlaybackRestrictionPolicyRules(t *testing.T) {
	f := newFixture(t)
	made := f.policy(ivs.CreatePlaybackRestrictionPolicyInput{})
	for _, tt := range []struct{ members, want string }{
		{`"allowedCountries":["DE","UK"]`, "allowedCountries[1]: "},
		{`"allowedCountries":["de"]`, "allowedCountries[0]: "},
		{`"allowedOrigins":["https://a.test","https://*.a.test","a.test"]`, "allowedOrigins[2]: "},
		{`"allowedOrigins":["https://a.test/"]`, "allowedOrigins[0]: "},
		{`"allowedOrigins":["https://a.test","",null]`, "allowedOrigins["},
	} {
		for operation, body := range map[string]string{
			"CreatePlaybackRestrictionPolicy": `{` + tt.members + `}`,
			"UpdatePlaybackRestrictionPolicy": `{"arn":"` + *made.Arn + `",` + tt.members + `}`,
		} {
			status, exception, answer := f.Post(operation, body)
			if message, _ := answer["message"].(string); status != 400 || exception != "ValidationException" || !strings.HasPrefix(message, tt.want) {
				t.Errorf("%s %s: %d %s %s", operation, body, status, exception, message)
			}
		}
	}
	if all, err := f.store.AllPlaybackRestrictionPolicies(f.ctx); err != nil || len(all) != 1 || len(all[0].AllowedCountries)+len(all[0].AllowedOrigins) > 0 {
		t.Errorf("stored %+v, %v", all, err)
	}
}

// A policy outlives the channels that refer to it.
func TestDeletePlaybackRestrictionPolicy(t *testing.T) {
	f := newFixture(t)
	policy := f.policy(ivs.CreatePlaybackRestrictionPolicyInput{})
	ch := f.channel(&ivs.CreateChannelInput{PlaybackRestrictionPolicyArn: policy.Arn}).Channel
	other := f.channel(&ivs.CreateChannelInput{}).Channel
	if *ch.PlaybackRestrictionPolicyArn != *policy.Arn || *other.PlaybackRestrictionPolicyArn != "" {
		t.Errorf("channels have %q and %q", *ch.PlaybackRestrictionPolicyArn, *other.PlaybackRestrictionPolicyArn)
	}
	listed := apitest.Must[*ivs.ListChannelsOutput](t)(f.ListChannels(f.ctx, &ivs.ListChannelsInput{FilterByPlaybackRestrictionPolicyArn: policy.Arn}))
	if len(listed.Channels) != 1 || *listed.Channels[0].Arn != *ch.Arn || *listed.Channels[0].PlaybackRestrictionPolicyArn != *policy.Arn {
		t.Errorf("listed %+v", listed.Channels)
	}
	_, err := f.DeletePlaybackRestrictionPolicy(f.ctx, &ivs.DeletePlaybackRestrictionPolicyInput{Arn: policy.Arn})
	apitest.Fails(t, err, "ConflictException", *policy.Arn, *ch.Arn)

	if _, err := f.UpdateChannel(f.ctx, &ivs.UpdateChannelInput{Arn: ch.Arn, PlaybackRestrictionPolicyArn: aws.String("")}); err != nil {
		t.Fatal(err)
	}
	if status, _, answer := f.Post("DeletePlaybackRestrictionPolicy", `{"arn":"`+*policy.Arn+`"}`); status != http.StatusNoContent || answer != nil {
		t.Errorf("answered %d %v", status, answer)
	}
	_, err = f.UpdateChannel(f.ctx, &ivs.UpdateChannelInput{Arn: ch.Arn, PlaybackRestrictionPolicyArn: policy.Arn})
	apitest.Fails(t, err, "ResourceNotFoundException", *policy.Arn)
	_, err = f.GetPlaybackRestrictionPolicy(f.ctx, &ivs.GetPlaybackRestrictionPolicyInput{Arn: policy.Arn})
	apitest.Fails(t, err, "ResourceNotFoundException", *policy.Arn)
	_, err = f.UpdatePlaybackRestrictionPolicy(f.ctx, &ivs.UpdatePlaybackRestrictionPolicyInput{Arn: policy.Arn})
	apitest.Fails(t, err, "ResourceNotFoundException", *policy.Arn)
	_, err = f.DeletePlaybackRestrictionPolicy(f.ctx, &ivs.DeletePlaybackRestrictionPolicyInput{Arn: policy.Arn})
	apitest.Fails(t, err, "ResourceNotFoundException", *policy.Arn)
}
