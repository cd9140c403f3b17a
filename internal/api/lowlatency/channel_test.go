package lowlatency_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"anabranch/internal/api/apitest"
	"anabranch/internal/resource"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

// A channel made of nothing has every default, and a stream key.
func TestCreateChannelDefaults(t *testing.T) {
	f := newFixture(t)
	out := f.channel(&ivs.CreateChannelInput{})
	ch, key := out.Channel, out.StreamKey
	id := resource.ARN(*ch.Arn).ID()
	for what, pair := range map[string][2]string{
		"arn":           {*ch.Arn, `^arn:aws:ivs:eu-west-1:111122223333:channel/[0-9A-Za-z]{12}$`},
		"name":          {*ch.Name, `^$`},
		"type":          {string(ch.Type), `^STANDARD$`},
		"latency":       {string(ch.LatencyMode), `^LOW$`},
		"preset":        {string(ch.Preset), `^$`},
		"container":     {string(ch.ContainerFormat), `^TS$`},
		"recording":     {*ch.RecordingConfigurationArn, `^$`},
		"policy":        {*ch.PlaybackRestrictionPolicyArn, `^$`},
		"ads":           {*ch.AdConfigurationArn, `^$`},
		"ingest":        {*ch.IngestEndpoint, `^ingest\.test$`},
		"srt":           {*ch.Srt.Endpoint, `^srt\.test$`},
		"passphrase":    {*ch.Srt.Passphrase, `^[0-9A-Za-z]{69}$`},
		"playback":      {*ch.PlaybackUrl, `^http://play\.test/` + id + `\.m3u8$`},
		"multitrack":    {fmt.Sprintf("%t %s %s", ch.MultitrackInputConfiguration.Enabled, ch.MultitrackInputConfiguration.Policy, ch.MultitrackInputConfiguration.MaximumResolution), `^false ALLOW FULL_HD$`},
		"booleans":      {fmt.Sprint(ch.Authorized, ch.InsecureIngest), `^false false$`},
		"tags":          {fmt.Sprint(len(ch.Tags), ch.Tags != nil), `^0 true$`},
		"key's arn":     {*key.Arn, `^arn:aws:ivs:eu-west-1:111122223333:stream-key/[0-9A-Za-z]{12}$`},
		"key's value":   {*key.Value, `^sk_eu-west-1_[0-9A-Za-z]{12}_[0-9A-Za-z]{30}$`},
		"key's channel": {*key.ChannelArn, `^` + *ch.Arn + `$`},
	} {
		if !regexp.MustCompile(pair[1]).MatchString(pair[0]) {
			t.Errorf("%s is %q, want %s", what, pair[0], pair[1])
		}
	}
}

// Every member given is stored and told, by every operation that tells it.
func TestChannelMembers(t *testing.T) {
	f := newFixture(t)
	rc := f.recording(resource.Active)
	made := f.channel(&ivs.CreateChannelInput{
		Name: aws.String("Studio-A_1"), Type: types.ChannelTypeStandardChannelType, LatencyMode: types.ChannelLatencyModeNormalLatency,
		Authorized: true, InsecureIngest: true, ContainerFormat: types.ContainerFormatFragmentedMP4,
		RecordingConfigurationArn:    rc.Arn,
		MultitrackInputConfiguration: &types.MultitrackInputConfiguration{Enabled: true, Policy: "REQUIRE", MaximumResolution: "HD"},
		Tags:                         map[string]string{"team": "blue green"},
	})
	got := apitest.Must[*ivs.GetChannelOutput](t)(f.GetChannel(f.ctx, &ivs.GetChannelInput{Arn: made.Channel.Arn}))
	batch := apitest.Must[*ivs.BatchGetChannelOutput](t)(f.BatchGetChannel(f.ctx, &ivs.BatchGetChannelInput{Arns: []string{*made.Channel.Arn}}))
	for i, ch := range []*types.Channel{made.Channel, got.Channel, &batch.Channels[0]} {
		m := ch.MultitrackInputConfiguration
		if *ch.Name != "Studio-A_1" || ch.LatencyMode != "NORMAL" || !ch.Authorized || !ch.InsecureIngest ||
			ch.ContainerFormat != "FRAGMENTED_MP4" || *ch.RecordingConfigurationArn != *rc.Arn || !m.Enabled || m.Policy != "REQUIRE" ||
			m.MaximumResolution != "HD" || ch.Tags["team"] != "blue green" || *ch.Srt.Passphrase != *made.Channel.Srt.Passphrase ||
			*ch.IngestEndpoint != "ingest.test" || *ch.Srt.Endpoint != "srt.test" || *ch.PlaybackUrl != *made.Channel.PlaybackUrl {
			t.Errorf("channel %d is %+v", i, ch)
		}
	}

	_, _, answer := f.Post("ListChannels", "{}")
	summary, _ := answer["channels"].([]any)[0].(map[string]any)
	if got := strings.Join(apitest.Members(summary), " "); got != "adConfigurationArn arn authorized insecureIngest latencyMode name "+
		"playbackRestrictionPolicyArn preset recordingConfigurationArn tags type" {
		t.Errorf("a summary has %s", got)
	}
	if summary["name"] != "Studio-A_1" || summary["authorized"] != true || summary["recordingConfigurationArn"] != *rc.Arn {
		t.Errorf("summary is %v", summary)
	}
}

func TestPreset(t *testing.T) {
	f := newFixture(t)
	const higher, constrained = "HIGHER_BANDWIDTH_DELIVERY", "CONSTRAINED_BANDWIDTH_DELIVERY"
	arn := ""
	for i, step := range []struct{ body, want string }{
		{`{"type":"BASIC","preset":"` + higher + `"}`, ""},
		{`{"type":"ADVANCED_SD"}`, higher},
		{`{"preset":"` + constrained + `"}`, constrained},
		{`{"type":"ADVANCED_HD"}`, constrained},
		{`{"type":"STANDARD"}`, ""},
		{`{"preset":"` + constrained + `"}`, ""},
		{`{"type":"ADVANCED_HD","preset":"` + constrained + `"}`, constrained},
	} {
		operation, body := "UpdateChannel", strings.Replace(step.body, "{", `{"arn":"`+arn+`",`, 1)
		if i == 0 {
			operation, body = "CreateChannel", step.body
		}
		status, _, answer := f.Post(operation, body)
		ch := apitest.Object(answer, "channel")
		if status != http.StatusOK || ch["preset"] != step.want {
			t.Errorf("%s %s: %d, preset %v, want %q", operation, step.body, status, ch["preset"], step.want)
		}
		arn, _ = ch["arn"].(string)
	}
}

// Rules between members are kept when a channel is made and when it changes.
func TestChannelRules(t *testing.T) {
	f := newFixture(t)
	const on = `"multitrackInputConfiguration":{"enabled":true,"policy":"ALLOW","maximumResolution":"HD"}`
	for _, tt := range []struct{ before, change, member string }{
		{`{}`, `{` + on + `}`, "containerFormat"},
		{`{"containerFormat":"FRAGMENTED_MP4"}`, `{` + on + `}`, ""},
		{`{}`, `{"containerFormat":"FRAGMENTED_MP4",` + on + `}`, ""},
		{`{"containerFormat":"FRAGMENTED_MP4"}`, `{"multitrackInputConfiguration":{"enabled":true}}`, "multitrackInputConfiguration.policy"},
		{`{"containerFormat":"FRAGMENTED_MP4"}`, `{"multitrackInputConfiguration":{"enabled":true,"policy":"ALLOW"}}`, "multitrackInputConfiguration.maximumResolution"},
		{`{"containerFormat":"FRAGMENTED_MP4","type":"BASIC"}`, `{` + on + `}`, "multitrackInputConfiguration.enabled"},
		{`{"containerFormat":"FRAGMENTED_MP4",` + on + `}`, `{"type":"BASIC"}`, "multitrackInputConfiguration.enabled"},
		{`{"containerFormat":"FRAGMENTED_MP4",` + on + `}`, `{"containerFormat":"TS"}`, "containerFormat"},
		{`{"containerFormat":"FRAGMENTED_MP4",` + on + `}`, `{"containerFormat":"TS","multitrackInputConfiguration":{"enabled":false}}`, ""},
		{`{"containerFormat":"FRAGMENTED_MP4",` + on + `}`, `{"multitrackInputConfiguration":{"policy":"REQUIRE"}}`, ""},
	} {
		_, _, answer := f.Post("CreateChannel", tt.before)
		arn, _ := apitest.Object(answer, "channel")["arn"].(string)
		status, exception, answer := f.Post("UpdateChannel", strings.Replace(tt.change, "{", `{"arn":"`+arn+`",`, 1))
		switch message, _ := answer["message"].(string); {
		case tt.member == "" && status != http.StatusOK:
			t.Errorf("%s, then %s: %d %s", tt.before, tt.change, status, message)
		case tt.member != "" && (exception != "ValidationException" || !strings.HasPrefix(message, tt.member+": ")):
			t.Errorf("%s, then %s: %d %s %s, want it about %s", tt.before, tt.change, status, exception, message, tt.member)
		}
	}
}

// An update changes what it names and nothing else.
func TestUpdateChannelMerges(t *testing.T) {
	f := newFixture(t)
	rc := f.recording(resource.Active)
	made := f.channel(&ivs.CreateChannelInput{
		Name: aws.String("old"), Authorized: true, RecordingConfigurationArn: rc.Arn, Tags: map[string]string{"a": "b"},
		ContainerFormat:              types.ContainerFormatFragmentedMP4,
		MultitrackInputConfiguration: &types.MultitrackInputConfiguration{Enabled: true, Policy: "REQUIRE", MaximumResolution: "HD"},
	}).Channel
	update := func(members string) map[string]any {
		t.Helper()
		status, exception, answer := f.Post("UpdateChannel", `{"arn":"`+*made.Arn+`",`+members+`}`)
		if status != http.StatusOK {
			t.Fatalf("%s: %d %s %v", members, status, exception, answer)
		}
		return apitest.Object(answer, "channel")
	}
	ch := update(`"latencyMode":"NORMAL"`)
	if ch["name"] != "old" || ch["authorized"] != true || ch["recordingConfigurationArn"] != *rc.Arn || ch["latencyMode"] != "NORMAL" ||
		ch["containerFormat"] != "FRAGMENTED_MP4" || apitest.Object(ch, "multitrackInputConfiguration")["policy"] != "REQUIRE" ||
		apitest.Object(ch, "tags")["a"] != "b" || apitest.Object(ch, "srt")["passphrase"] != *made.Srt.Passphrase || ch["playbackUrl"] != *made.PlaybackUrl {
		t.Errorf("became %v", ch)
	}
	ch = update(`"name":"","authorized":false,"insecureIngest":true,"recordingConfigurationArn":"","multitrackInputConfiguration":{"maximumResolution":"SD"}`)
	m := apitest.Object(ch, "multitrackInputConfiguration")
	if ch["name"] != "" || ch["authorized"] != false || ch["insecureIngest"] != true || ch["recordingConfigurationArn"] != "" ||
		m["enabled"] != true || m["policy"] != "REQUIRE" || m["maximumResolution"] != "SD" || ch["latencyMode"] != "NORMAL" {
		t.Errorf("became %v", ch)
	}
	if want := resource.ARN(*made.Arn); !slices.Equal(f.onAir.changed, []resource.ARN{want, want}) {
		t.Errorf("told of changes of %v", f.onAir.changed)
	}
}

// What a channel refers to must exist, and be of use.
func TestChannelReferences(t *testing.T) {
	f := newFixture(t)
	failed, creating := f.recording(resource.CreateFailed), f.recording(resource.Creating)
	unknown := string(place.ARN(resource.KindRecordingConfiguration, "none"))
	policy := string(place.ARN(resource.KindPlaybackRestrictionPolicy, "none"))
	made := f.channel(&ivs.CreateChannelInput{RecordingConfigurationArn: creating.Arn}).Channel

	_, err := f.CreateChannel(f.ctx, &ivs.CreateChannelInput{RecordingConfigurationArn: failed.Arn})
	apitest.Fails(t, err, "ValidationException", "recordingConfigurationArn: ", "CREATE_FAILED")
	_, err = f.UpdateChannel(f.ctx, &ivs.UpdateChannelInput{Arn: made.Arn, RecordingConfigurationArn: failed.Arn})
	apitest.Fails(t, err, "ValidationException", "recordingConfigurationArn: ", "CREATE_FAILED")
	_, err = f.CreateChannel(f.ctx, &ivs.CreateChannelInput{RecordingConfigurationArn: &unknown})
	apitest.Fails(t, err, "ResourceNotFoundException", unknown)
	_, err = f.UpdateChannel(f.ctx, &ivs.UpdateChannelInput{Arn: made.Arn, RecordingConfigurationArn: &unknown})
	apitest.Fails(t, err, "ResourceNotFoundException", unknown)
	_, err = f.CreateChannel(f.ctx, &ivs.CreateChannelInput{PlaybackRestrictionPolicyArn: &policy})
	apitest.Fails(t, err, "ResourceNotFoundException", policy)
}

func TestChannelNotFound(t *testing.T) {
	f := newFixture(t)
	made := f.channel(&ivs.CreateChannelInput{}).Channel
	for _, arn := range []string{
		string(place.ARN(resource.KindChannel, "none")),
		strings.Replace(*made.Arn, "eu-west-1", "us-east-1", 1),
		strings.Replace(*made.Arn, "111122223333", "999999999999", 1),
	} {
		_, err := f.GetChannel(f.ctx, &ivs.GetChannelInput{Arn: &arn})
		apitest.Fails(t, err, "ResourceNotFoundException", arn)
		_, err = f.UpdateChannel(f.ctx, &ivs.UpdateChannelInput{Arn: &arn, Name: aws.String("x")})
		apitest.Fails(t, err, "ResourceNotFoundException", arn)
		_, err = f.DeleteChannel(f.ctx, &ivs.DeleteChannelInput{Arn: &arn})
		apitest.Fails(t, err, "ResourceNotFoundException", arn)
	}
	if len(f.onAir.changed) != 0 {
		t.Errorf("told of changes of %v", f.onAir.changed)
	}
}

func TestDeleteChannel(t *testing.T) {
	f := newFixture(t)
	made := f.channel(&ivs.CreateChannelInput{})
	if status, _, answer := f.Post("DeleteChannel", `{"arn":"`+*made.Channel.Arn+`"}`); status != http.StatusNoContent || answer != nil {
		t.Errorf("answered %d %v", status, answer)
	}
	_, err := f.GetChannel(f.ctx, &ivs.GetChannelInput{Arn: made.Channel.Arn})
	apitest.Fails(t, err, "ResourceNotFoundException")
	_, err = f.GetStreamKey(f.ctx, &ivs.GetStreamKeyInput{Arn: made.StreamKey.Arn})
	apitest.Fails(t, err, "ResourceNotFoundException")
	if !slices.Equal(f.onAir.changed, []resource.ARN{resource.ARN(*made.Channel.Arn)}) {
		t.Errorf("told of changes of %v", f.onAir.changed)
	}
}

// A live channel stays as it is until its stream is stopped.
func TestLiveChannel(t *testing.T) {
	f := newFixture(t)
	made := f.channel(&ivs.CreateChannelInput{})
	arn := made.Channel.Arn
	f.live(made, resource.Healthy)
	_, err := f.UpdateChannel(f.ctx, &ivs.UpdateChannelInput{Arn: arn, Name: aws.String("x")})
	apitest.Fails(t, err, "ConflictException")
	_, err = f.DeleteChannel(f.ctx, &ivs.DeleteChannelInput{Arn: arn})
	apitest.Fails(t, err, "ConflictException")
	if len(f.onAir.changed) != 0 {
		t.Errorf("told of changes of %v", f.onAir.changed)
	}
	if _, err := f.StopStream(f.ctx, &ivs.StopStreamInput{ChannelArn: arn}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.DeleteChannel(f.ctx, &ivs.DeleteChannelInput{Arn: arn}); err != nil {
		t.Error(err)
	}
}

// A batch answers in order, each ARN once, and says what it did not find.
func TestBatchGetChannel(t *testing.T) {
	f := newFixture(t)
	one, two := *f.channel(&ivs.CreateChannelInput{}).Channel.Arn, *f.channel(&ivs.CreateChannelInput{}).Channel.Arn
	none := string(place.ARN(resource.KindChannel, "none"))
	out := apitest.Must[*ivs.BatchGetChannelOutput](t)(f.BatchGetChannel(f.ctx, &ivs.BatchGetChannelInput{Arns: []string{two, none, one, two, none}}))
	if len(out.Channels) != 2 || *out.Channels[0].Arn != two || *out.Channels[1].Arn != one {
		t.Errorf("channels %v", out.Channels)
	}
	if len(out.Errors) != 1 || *out.Errors[0].Arn != none || *out.Errors[0].Code != "404" || !strings.Contains(*out.Errors[0].Message, none) {
		t.Errorf("errors %v", out.Errors)
	}
	_, _, answer := f.Post("BatchGetChannel", `{"arns":["`+none+`"]}`)
	if channels, ok := answer["channels"].([]any); !ok || len(channels) != 0 {
		t.Errorf("answered %v", answer)
	}
}

// Pages lead through all channels of a filter, each once.
func TestListChannels(t *testing.T) {
	f := newFixture(t)
	rc := f.recording(resource.Active)
	var all, named []string
	for i := range 7 {
		in := &ivs.CreateChannelInput{Name: aws.String("odd")}
		if i%2 == 0 {
			in = &ivs.CreateChannelInput{Name: aws.String("even"), RecordingConfigurationArn: rc.Arn}
		}
		arn := *f.channel(in).Channel.Arn
		all = append(all, arn)
		if i%2 == 0 {
			named = append(named, arn)
		}
	}
	list := func(in *ivs.ListChannelsInput) (arns []string) {
		t.Helper()
		for pages := ivs.NewListChannelsPaginator(f, in); pages.HasMorePages(); {
			page := apitest.Must[*ivs.ListChannelsOutput](t)(pages.NextPage(f.ctx))
			for _, ch := range page.Channels {
				arns = append(arns, *ch.Arn)
			}
		}
		return arns
	}
	for _, tt := range []struct {
		in   *ivs.ListChannelsInput
		want []string
	}{
		{&ivs.ListChannelsInput{}, all},
		{&ivs.ListChannelsInput{MaxResults: aws.Int32(3)}, all},
		{&ivs.ListChannelsInput{FilterByName: aws.String("even"), MaxResults: aws.Int32(1)}, named},
		{&ivs.ListChannelsInput{FilterByRecordingConfigurationArn: rc.Arn, MaxResults: aws.Int32(3)}, named},
		{&ivs.ListChannelsInput{FilterByName: aws.String("eve")}, nil},
	} {
		if got := list(tt.in); !slices.Equal(got, tt.want) {
			t.Errorf("listed %v, want %v", got, tt.want)
		}
	}
	_, err := f.ListChannels(f.ctx, &ivs.ListChannelsInput{FilterByName: aws.String("even"), FilterByRecordingConfigurationArn: rc.Arn})
	apitest.Fails(t, err, "ConflictException", "filter")

	first := apitest.Must[*ivs.ListChannelsOutput](t)(f.ListChannels(f.ctx, &ivs.ListChannelsInput{MaxResults: aws.Int32(1)}))
	_, err = f.ListChannels(f.ctx, &ivs.ListChannelsInput{FilterByName: aws.String("even"), NextToken: first.NextToken})
	apitest.Fails(t, err, "ValidationException", "nextToken: ")
	_, err = f.ListStreams(f.ctx, &ivs.ListStreamsInput{NextToken: first.NextToken})
	apitest.Fails(t, err, "ValidationException", "nextToken: ")
}
