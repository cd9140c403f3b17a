package lowlatency_test

import (
	"net/http"
	"strings"
	"testing"

	"anabranch/internal/resource"
)

// Each constraint of the model, broken by itself, is answered with the member
// and what is wrong with it.
func TestConstraints(t *testing.T) {
	const (
		s3      = `"destinationConfiguration":{"s3":{"bucketName":"bucket"}}`
		arn     = "arn:aws:ivs:eu-west-1:111122223333:"
		longARN = arn + "channel/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	)
	long := strings.Repeat("a", 129)
	many := func(n int, item string) string { return "[" + strings.Repeat(item+",", n-1) + item + "]" }
	fiftyOne := `{"a":""`
	for i := range 50 {
		fiftyOne += `,"` + strings.Repeat("b", i+1) + `":""`
	}
	fiftyOne += "}"

	tests := []struct{ operation, body, want string }{
		{"CreateChannel", `{"name":"a b"}`, "name: must match [a-zA-Z0-9-_]*"},
		{"CreateChannel", `{"name":"` + long + `"}`, "name: length must be at most 128 characters"},
		{"CreateChannel", `{"name":7}`, "name: must be a string"},
		{"CreateChannel", `{"type":"PREMIUM"}`, "type: must be one of BASIC, STANDARD, ADVANCED_SD, ADVANCED_HD"},
		{"CreateChannel", `{"latencyMode":"low"}`, "latencyMode: must be one of NORMAL, LOW"},
		{"CreateChannel", `{"preset":""}`, "preset: must be one of HIGHER_BANDWIDTH_DELIVERY, CONSTRAINED_BANDWIDTH_DELIVERY"},
		{"CreateChannel", `{"containerFormat":"MP4"}`, "containerFormat: must be one of TS, FRAGMENTED_MP4"},
		{"CreateChannel", `{"authorized":"true"}`, "authorized: must be true or false"},
		{"CreateChannel", `{"insecureIngest":1}`, "insecureIngest: must be true or false"},
		{"CreateChannel", `{"recordingConfigurationArn":"` + arn + `channel/a"}`, "recordingConfigurationArn: must match "},
		{"CreateChannel", `{"recordingConfigurationArn":"` + longARN + `"}`, "recordingConfigurationArn: length must be at most 128"},
		{"CreateChannel", `{"playbackRestrictionPolicyArn":"x"}`, "playbackRestrictionPolicyArn: must match "},
		{"CreateChannel", `{"adConfigurationArn":"x"}`, "adConfigurationArn: must match "},
		{"CreateChannel", `{"multitrackInputConfiguration":true}`, "multitrackInputConfiguration: must be an object"},
		{"CreateChannel", `{"multitrackInputConfiguration":{"enabled":"yes"}}`, "multitrackInputConfiguration.enabled: must be true or false"},
		{"CreateChannel", `{"multitrackInputConfiguration":{"policy":"DENY"}}`, "multitrackInputConfiguration.policy: must be one of ALLOW, REQUIRE"},
		{"CreateChannel", `{"multitrackInputConfiguration":{"maximumResolution":"4K"}}`, "multitrackInputConfiguration.maximumResolution: must be one of SD, HD, FULL_HD"},
		{"CreateChannel", `{"tags":` + fiftyOne + `}`, "tags: must have at most 50 entries"},
		{"CreateChannel", `{"tags":{"":"x"}}`, "tags key: length must be between 1 and 128 characters"},
		{"CreateChannel", `{"tags":{"` + long + `":"x"}}`, "tags key: length must be between 1 and 128 characters"},
		{"CreateChannel", `{"tags":{"a*":"x"}}`, "tags key: must match "},
		{"CreateChannel", `{"tags":{"a":"*"}}`, "tags.a: must match "},
		{"CreateChannel", `{"tags":{"a":"` + long + long + `"}}`, "tags.a: length must be at most 256 characters"},
		{"CreateChannel", `{"tags":["a"]}`, "tags: must be an object"},

		{"GetChannel", `{}`, "arn: required"},
		{"GetChannel", `{"ARN":"` + arn + `channel/a"}`, "arn: required"},
		{"GetChannel", `{"arn":""}`, "arn: length must be between 1 and 128 characters"},
		{"GetChannel", `{"arn":"` + longARN + `"}`, "arn: length must be between 1 and 128 characters"},
		{"GetChannel", `{"arn":"` + arn + `stream-key/a"}`, "arn: must match "},
		{"GetChannel", `{"arn":"` + arn + `channel/a/b"}`, "arn: must match "},
		{"UpdateChannel", `{"name":"a"}`, "arn: required"},
		{"UpdateChannel", `{"arn":"` + arn + `channel/a","name":"/"}`, "name: must match "},
		{"DeleteChannel", `{}`, "arn: required"},
		{"BatchGetChannel", `{}`, "arns: required"},
		{"BatchGetChannel", `{"arns":[]}`, "arns: must have between 1 and 50 items"},
		{"BatchGetChannel", `{"arns":` + many(51, `"`+arn+`channel/a"`) + `}`, "arns: must have between 1 and 50 items"},
		{"BatchGetChannel", `{"arns":["` + arn + `channel/a","x"]}`, "arns[1]: must match "},
		{"ListChannels", `{"maxResults":0}`, "maxResults: must be between 1 and 100"},
		{"ListChannels", `{"maxResults":101}`, "maxResults: must be between 1 and 100"},
		{"ListChannels", `{"maxResults":"5"}`, "maxResults: must be a whole number"},
		{"ListChannels", `{"nextToken":"*"}`, "nextToken: must match "},
		{"ListChannels", `{"nextToken":"` + strings.Repeat("a", 1025) + `"}`, "nextToken: length must be at most 1024"},
		{"ListChannels", `{"nextToken":"abc"}`, "nextToken: is not a token of this list"},
		{"ListChannels", `{"filterByName":"*"}`, "filterByName: must match "},
		{"ListChannels", `{"filterByRecordingConfigurationArn":"*"}`, "filterByRecordingConfigurationArn: must match "},
		{"ListChannels", `{"filterByPlaybackRestrictionPolicyArn":"*"}`, "filterByPlaybackRestrictionPolicyArn: must match "},
		{"ListChannels", `{"filterByAdConfigurationArn":"*"}`, "filterByAdConfigurationArn: must match "},

		{"CreateStreamKey", `{}`, "channelArn: required"},
		{"CreateStreamKey", `{"channelArn":"` + arn + `channel/a","tags":{"":""}}`, "tags key: length "},
		{"GetStreamKey", `{"arn":"` + arn + `channel/a"}`, "arn: must match "},
		{"BatchGetStreamKey", `{"arns":` + many(51, `"`+arn+`stream-key/a"`) + `}`, "arns: must have between 1 and 50 items"},
		{"BatchGetStreamKey", `{"arns":["` + arn + `channel/a"]}`, "arns[0]: must match "},
		{"ListStreamKeys", `{"channelArn":"` + arn + `channel/a","maxResults":51}`, "maxResults: must be between 1 and 50"},
		{"ListStreamKeys", `{}`, "channelArn: required"},
		{"DeleteStreamKey", `{}`, "arn: required"},

		{"CreateRecordingConfiguration", `{}`, "destinationConfiguration: required"},
		{"CreateRecordingConfiguration", `{"destinationConfiguration":{"s3":{}}}`, "destinationConfiguration.s3.bucketName: required"},
		{"CreateRecordingConfiguration", `{"destinationConfiguration":{"s3":{"bucketName":"ab"}}}`, "destinationConfiguration.s3.bucketName: length must be between 3 and 63 characters"},
		{"CreateRecordingConfiguration", `{"destinationConfiguration":{"s3":{"bucketName":"` + long[:64] + `"}}}`, "destinationConfiguration.s3.bucketName: length must be between 3 and 63 characters"},
		{"CreateRecordingConfiguration", `{"destinationConfiguration":{"s3":{"bucketName":"Bucket"}}}`, "destinationConfiguration.s3.bucketName: must match [a-z0-9-.]+"},
		{"CreateRecordingConfiguration", `{` + s3 + `,"name":"*"}`, "name: must match "},
		{"CreateRecordingConfiguration", `{` + s3 + `,"name":"` + long + `"}`, "name: length must be at most 128"},
		{"CreateRecordingConfiguration", `{` + s3 + `,"recordingReconnectWindowSeconds":-1}`, "recordingReconnectWindowSeconds: must be between 0 and 300"},
		{"CreateRecordingConfiguration", `{` + s3 + `,"recordingReconnectWindowSeconds":301}`, "recordingReconnectWindowSeconds: must be between 0 and 300"},
		{"CreateRecordingConfiguration", `{` + s3 + `,"recordingReconnectWindowSeconds":1.5}`, "recordingReconnectWindowSeconds: must be a whole number"},
		{"CreateRecordingConfiguration", `{` + s3 + `,"renditionConfiguration":{"renditionSelection":"SOME"}}`, "renditionConfiguration.renditionSelection: must be one of ALL, NONE, CUSTOM"},
		{"CreateRecordingConfiguration", `{` + s3 + `,"renditionConfiguration":{"renditions":["4K"]}}`, "renditionConfiguration.renditions[0]: must be one of SD, HD, FULL_HD, LOWEST_RESOLUTION"},
		{"CreateRecordingConfiguration", `{` + s3 + `,"renditionConfiguration":{"renditions":` + many(5, `"HD"`) + `}}`, "renditionConfiguration.renditions: must have at most 4 items"},
		{"CreateRecordingConfiguration", `{` + s3 + `,"thumbnailConfiguration":{"recordingMode":"ALWAYS"}}`, "thumbnailConfiguration.recordingMode: must be one of DISABLED, INTERVAL"},
		{"CreateRecordingConfiguration", `{` + s3 + `,"thumbnailConfiguration":{"targetIntervalSeconds":0}}`, "thumbnailConfiguration.targetIntervalSeconds: must be between 1 and 60"},
		{"CreateRecordingConfiguration", `{` + s3 + `,"thumbnailConfiguration":{"targetIntervalSeconds":61}}`, "thumbnailConfiguration.targetIntervalSeconds: must be between 1 and 60"},
		{"CreateRecordingConfiguration", `{` + s3 + `,"thumbnailConfiguration":{"resolution":"4K"}}`, "thumbnailConfiguration.resolution: must be one of SD, HD, FULL_HD, LOWEST_RESOLUTION"},
		{"CreateRecordingConfiguration", `{` + s3 + `,"thumbnailConfiguration":{"storage":["FIRST"]}}`, "thumbnailConfiguration.storage[0]: must be one of SEQUENTIAL, LATEST"},
		{"CreateRecordingConfiguration", `{` + s3 + `,"thumbnailConfiguration":{"storage":` + many(3, `"LATEST"`) + `}}`, "thumbnailConfiguration.storage: must have at most 2 items"},
		{"CreateRecordingConfiguration", `{` + s3 + `,"tags":{"a":7}}`, "tags.a: must be a string"},
		{"GetRecordingConfiguration", `{"arn":""}`, "arn: must match "},
		{"GetRecordingConfiguration", `{"arn":"` + arn + `channel/a"}`, "arn: must match "},
		{"DeleteRecordingConfiguration", `{}`, "arn: required"},
		{"ListRecordingConfigurations", `{"maxResults":101}`, "maxResults: must be between 1 and 100"},

		{"GetStream", `{}`, "channelArn: required"},
		{"StopStream", `{"channelArn":"x"}`, "channelArn: must match "},
		{"ListStreams", `{"filterBy":{"health":"FINE"}}`, "filterBy.health: must be one of HEALTHY, STARVING, UNKNOWN"},
		{"ListStreams", `{"filterBy":"FINE"}`, "filterBy: must be an object"},
		{"ListStreams", `{"maxResults":101}`, "maxResults: must be between 1 and 100"},
		{"GetStreamSession", `{}`, "channelArn: required"},
		{"GetStreamSession", `{"channelArn":"` + arn + `channel/a","streamId":"st-1"}`, "streamId: length must be 26 characters"},
		{"GetStreamSession", `{"channelArn":"` + arn + `channel/a","streamId":"` + long[:26] + `"}`, "streamId: must match st-[a-zA-Z0-9]+"},
		{"ListStreamSessions", `{}`, "channelArn: required"},
		{"ListStreamSessions", `{"channelArn":"` + arn + `channel/a","maxResults":-1}`, "maxResults: must be between 1 and 100"},

		{"tags/" + strings.ReplaceAll(arn, ":", "%3A") + "channel%2Fa", `{}`, "tags: required"},
		{"tags/" + arn + "channel/a", `{"tags":` + fiftyOne + `}`, "tags: must have at most 50 entries"},
		{"tags/" + arn + "channel", `{"tags":{}}`, "resourceArn: must match "},
		{"tags/" + longARN, `{"tags":{}}`, "resourceArn: length must be between 1 and 128"},
	}
	f := newFixture(t)
	for _, tt := range tests {
		status, exception, answer := f.post(tt.operation, tt.body)
		message, _ := answer["message"].(string)
		if status != http.StatusBadRequest || exception != "ValidationException" || !strings.HasPrefix(message, tt.want) {
			t.Errorf("%s %.200s: %d %s %q, want %q", tt.operation, tt.body, status, exception, message, tt.want)
		}
	}
	if channels, _, err := f.store.ListChannels(f.ctx, resource.ChannelFilter{}, resource.Page{Size: 1}); err != nil || len(channels) > 0 {
		t.Errorf("made %v, %v", channels, err)
	}
}

// What is just within the bounds is taken.
func TestBounds(t *testing.T) {
	f := newFixture(t)
	for _, tt := range []struct{ operation, body string }{
		{"CreateChannel", ``},
		{"CreateChannel", `{"name":"` + strings.Repeat("a", 128) + `"}`},
		{"CreateChannel", `{"name":"","recordingConfigurationArn":"","playbackRestrictionPolicyArn":"","adConfigurationArn":"","tags":{}}`},
		{"CreateChannel", `{"tags":{"` + strings.Repeat("é", 128) + `":"` + strings.Repeat("ü ", 128) + `","Aa1_.:/=+-@":""}}`},
		{"CreateRecordingConfiguration", `{"destinationConfiguration":{"s3":{"bucketName":"a.b"}},"recordingReconnectWindowSeconds":300}`},
		{"CreateRecordingConfiguration", `{"destinationConfiguration":{"s3":{"bucketName":"a-b"}},"thumbnailConfiguration":{"recordingMode":"DISABLED"}}`},
		{"ListChannels", `{"maxResults":100,"filterByName":"","nextToken":""}`},
		{"ListStreams", `{"maxResults":1,"filterBy":{}}`},
	} {
		if status, exception, answer := f.post(tt.operation, tt.body); status != http.StatusOK {
			t.Errorf("%s %.100s: %d %s %v", tt.operation, tt.body, status, exception, answer)
		}
	}
}
