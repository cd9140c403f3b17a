package lowlatency_test

import (
	"strings"

	"anabranch/internal/api/apitest"
)

const (
	arnPrefix = "arn:aws:ivs:eu-west-1:111122223333:"

	aChannel       = `"` + arnPrefix + `channel/AbCdEfGhIjKl"`
	aStreamKey     = `"` + arnPrefix + `stream-key/AbCdEfGhIjKl"`
	aRecording     = `"` + arnPrefix + `recording-configuration/AbCdEfGhIjKl"`
	aKeyPair       = `"` + arnPrefix + `playback-key/AbCdEfGhIjKl"`
	aPolicy        = `"` + arnPrefix + `playback-restriction-policy/AbCdEfGhIjKl"`
	anAd           = `"` + arnPrefix + `ad-configuration/AbCdEfGhIjKl"`
	aMediaTailor   = `{"playbackConfigurationArn":"arn:aws:mediatailor:eu-west-1:111122223333:playbackConfiguration/ads-1"}`
	someTags       = `"tags":{"key":"value"}`
	someChannel    = `"channelArn":` + aChannel
	aPage          = `"nextToken":"","maxResults":1`
	allOfAChannel  = `"name":"studio-A_1","type":"STANDARD","latencyMode":"LOW","preset":"HIGHER_BANDWIDTH_DELIVERY","containerFormat":"TS","authorized":true,"insecureIngest":true,"recordingConfigurationArn":` + aRecording + `,"playbackRestrictionPolicyArn":` + aPolicy + `,"adConfigurationArn":` + anAd
	aMultitrack    = `"type":"STANDARD","containerFormat":"FRAGMENTED_MP4","multitrackInputConfiguration":{"enabled":true,"policy":"ALLOW","maximumResolution":"HD"}`
	allOfAPolicy   = `"name":"policy-1","allowedCountries":["DE","US"],"allowedOrigins":["https://example.com","https://example.org"],"enableStrictOriginEnforcement":true`
	allOfAnAd      = `"name":"ads-1","mediaTailorPlaybackConfigurations":[` + aMediaTailor + `,` + aMediaTailor + `],"postRollConfiguration":{"enabled":true,"durationSeconds":15}`
	aViewerSession = someChannel + `,"viewerId":"viewer","viewerSessionVersionsLessThanOrEqualTo":1`
)

var examples = apitest.Examples{
	Calls: map[string][]string{
		"CreateChannel": {
			`{` + allOfAChannel + `,` + someTags + `}`,
			`{` + aMultitrack + `}`,
		},
		"GetChannel":      {`{"arn":` + aChannel + `}`},
		"BatchGetChannel": {`{"arns":[` + aChannel + `,` + aChannel + `]}`},
		"ListChannels": {
			`{"filterByName":"studio-A_1"}`,
			`{"filterByRecordingConfigurationArn":` + aRecording + `}`,
			`{"filterByPlaybackRestrictionPolicyArn":` + aPolicy + `}`,
			`{"filterByAdConfigurationArn":` + anAd + `,` + aPage + `}`,
		},
		"UpdateChannel": {
			`{"arn":` + aChannel + `,` + allOfAChannel + `}`,
			`{"arn":` + aChannel + `,` + aMultitrack + `}`,
		},
		"DeleteChannel": {`{"arn":` + aChannel + `}`},

		"CreateStreamKey":   {`{` + someChannel + `,` + someTags + `}`},
		"GetStreamKey":      {`{"arn":` + aStreamKey + `}`},
		"BatchGetStreamKey": {`{"arns":[` + aStreamKey + `,` + aStreamKey + `]}`},
		"ListStreamKeys":    {`{` + someChannel + `,` + aPage + `}`},
		"DeleteStreamKey":   {`{"arn":` + aStreamKey + `}`},

		"CreateRecordingConfiguration": {
			`{"name":"archive-1","destinationConfiguration":{"s3":{"bucketName":"bucket.one"}},"recordingReconnectWindowSeconds":60,
			"thumbnailConfiguration":{"recordingMode":"INTERVAL","targetIntervalSeconds":5,"resolution":"HD","storage":["SEQUENTIAL","LATEST"]},
			"renditionConfiguration":{"renditionSelection":"CUSTOM","renditions":["HD","SD"]},` + someTags + `}`,
		},
		"GetRecordingConfiguration":    {`{"arn":` + aRecording + `}`},
		"ListRecordingConfigurations":  {`{` + aPage + `}`},
		"DeleteRecordingConfiguration": {`{"arn":` + aRecording + `}`},

		"ImportPlaybackKeyPair": {`{"publicKeyMaterial":"` + strings.ReplaceAll(publicKey, "\n", `\n`) + `","name":"key-1",` + someTags + `}`},
		"GetPlaybackKeyPair":    {`{"arn":` + aKeyPair + `}`},
		"ListPlaybackKeyPairs":  {`{` + aPage + `}`},
		"DeletePlaybackKeyPair": {`{"arn":` + aKeyPair + `}`},

		"CreatePlaybackRestrictionPolicy": {`{` + allOfAPolicy + `,` + someTags + `}`},
		"GetPlaybackRestrictionPolicy":    {`{"arn":` + aPolicy + `}`},
		"ListPlaybackRestrictionPolicies": {`{` + aPage + `}`},
		"UpdatePlaybackRestrictionPolicy": {`{"arn":` + aPolicy + `,` + allOfAPolicy + `}`},
		"DeletePlaybackRestrictionPolicy": {`{"arn":` + aPolicy + `}`},

		"StartViewerSessionRevocation":      {`{` + aViewerSession + `}`},
		"BatchStartViewerSessionRevocation": {`{"viewerSessions":[{` + aViewerSession + `},{` + aViewerSession + `}]}`},

		"CreateAdConfiguration": {`{` + allOfAnAd + `,` + someTags + `}`},
		"GetAdConfiguration":    {`{"arn":` + anAd + `}`},
		"ListAdConfigurations":  {`{` + aPage + `}`},
		"UpdateAdConfiguration": {`{"arn":` + anAd + `,` + allOfAnAd + `}`},
		"DeleteAdConfiguration": {`{"arn":` + anAd + `}`},
		"InsertAdBreak":         {`{` + someChannel + `,"durationSeconds":30}`},

		"GetStream":          {`{` + someChannel + `}`},
		"ListStreams":        {`{"filterBy":{"health":"HEALTHY"},` + aPage + `}`},
		"StopStream":         {`{` + someChannel + `}`},
		"PutMetadata":        {`{` + someChannel + `,"metadata":"goal"}`},
		"GetStreamSession":   {`{` + someChannel + `,"streamId":"st-AbCdEfGhIjKlMnOpQrStUvW"}`},
		"ListStreamSessions": {`{` + someChannel + `,` + aPage + `}`},

		"ListTagsForResource": {`{"resourceArn":` + aChannel + `}`},
		"TagResource":         {`{"resourceArn":` + aChannel + `,` + someTags + `}`},
		"UntagResource":       {`{"resourceArn":` + aChannel + `,"tagKeys":["a"]}`}, // a signer sorts them
	},
	Longest: map[string]string{
		"PlaybackRestrictionPolicyAllowedOrigin": "https://" + strings.Repeat("a.", 56) + "test:443",
	},
	Rules: map[string]string{
		"allowedOrigins[1]":                 `"" is not an origin`,
		"destinationConfiguration.s3":       "required",
		"mediaTailorPlaybackConfigurations": "required",
		"nextToken":                         "is not a token of this list",
		"publicKeyMaterial":                 "must be a public key in PEM",
	},
}

// publicKey is one for ES384.
const publicKey = `-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEEHe8Xrgb0lFvpIhTXBC84sQQh3FmdSWE
J0LCE411a8P08TabcwIIenv+xy/Q0WO0wJLnIJZZ270NUxYnwOzhq+fL4il0Kky3
RkbUkx/lRs5ZVejswchQC4uSpo512stR
-----END PUBLIC KEY-----
`
