package realtime_test

import (
	"strings"

	"anabranch/internal/api/apitest"
)

const (
	arnPrefix = "arn:aws:ivs:eu-west-1:111122223333:"

	aStage         = `"` + arnPrefix + `stage/AbCdEfGhIjKl"`
	anotherStage   = `"` + arnPrefix + `stage/LkJiHgFeDcBa"`
	aPublicKey     = `"` + arnPrefix + `public-key/AbCdEfGhIjKl"`
	anIngest       = `"` + arnPrefix + `ingest-configuration/AbCdEfGhIjKl"`
	anEncoder      = `"` + arnPrefix + `encoder-configuration/AbCdEfGhIjKl"`
	aStorage       = `"` + arnPrefix + `storage-configuration/AbCdEfGhIjKl"`
	aComposition   = `"` + arnPrefix + `composition/AbCdEfGhIjKl"`
	aChannel       = `"` + arnPrefix + `channel/AbCdEfGhIjKl"`
	someTags       = `"tags":{"key":"value"}`
	someAttributes = `"attributes":{"key":"value"}`
	aPage          = `"nextToken":"","maxResults":2`
	someStage      = `"stageArn":` + aStage
	someSession    = someStage + `,"sessionId":"st-AbCdEfGhIjKlM"`
	someone        = someSession + `,"participantId":"AbCdEfGhIjKl"`
	allOfAToken    = `"duration":60,"userId":"ana",` + someAttributes + `,"capabilities":["PUBLISH","SUBSCRIBE"]`
	allOfAStage    = `"name":"stage-1","autoParticipantRecordingConfiguration":{"storageConfigurationArn":` + aStorage + `,
		"mediaTypes":["AUDIO_ONLY"],"recordingReconnectWindowSeconds":60,"hlsConfiguration":{"targetSegmentDurationSeconds":4},
		"thumbnailConfiguration":{"targetIntervalSeconds":5,"storage":["SEQUENTIAL","LATEST"],"recordingMode":"INTERVAL"},
		"recordParticipantReplicas":false}`
	aReplication = `"sourceStageArn":` + aStage + `,"destinationStageArn":` + anotherStage + `,"participantId":"AbCdEfGhIjKl"`
	aGrid        = `"grid":{"featuredParticipantAttribute":"featured","omitStoppedVideo":true,"videoAspectRatio":"VIDEO","videoFillMode":"FILL",
		"gridGap":2,"participantOrderAttribute":"order"}`
	aPiP = `"pip":{"featuredParticipantAttribute":"featured","omitStoppedVideo":true,"videoFillMode":"FILL","gridGap":2,
		"pipParticipantAttribute":"small","pipBehavior":"STATIC","pipOffset":2,"pipPosition":"TOP_LEFT","pipWidth":320,"pipHeight":180,
		"participantOrderAttribute":"order"}`
	toAChannel = `{"name":"channel-1","channel":{"channelArn":` + aChannel + `,"encoderConfigurationArn":` + anEncoder + `}}`
	toS3       = `{"s3":{"storageConfigurationArn":` + aStorage + `,"encoderConfigurationArns":[` + anEncoder + `],
		"recordingConfiguration":{"hlsConfiguration":{"targetSegmentDurationSeconds":4},"format":"HLS"},
		"thumbnailConfigurations":[{"targetIntervalSeconds":5,"storage":["SEQUENTIAL","LATEST"]}]}}`
)

var examples = apitest.Examples{
	Calls: map[string][]string{
		"CreateStage":            {`{` + allOfAStage + `,"participantTokenConfigurations":[{},{` + allOfAToken + `}],` + someTags + `}`},
		"GetStage":               {`{"arn":` + aStage + `}`},
		"ListStages":             {`{` + aPage + `}`},
		"UpdateStage":            {`{"arn":` + aStage + `,` + allOfAStage + `}`},
		"DeleteStage":            {`{"arn":` + aStage + `}`},
		"CreateParticipantToken": {`{` + someStage + `,` + allOfAToken + `}`},

		"GetStageSession":   {`{` + someSession + `}`},
		"ListStageSessions": {`{` + someStage + `,` + aPage + `}`},
		"GetParticipant":    {`{` + someone + `}`},
		"ListParticipants": {
			`{` + someSession + `,"filterByUserId":"ana"}`,
			`{` + someSession + `,"filterByPublished":true}`,
			`{` + someSession + `,"filterByState":"CONNECTED"}`,
			`{` + someSession + `,"filterByRecordingState":"ACTIVE",` + aPage + `}`,
		},
		"ListParticipantEvents": {`{` + someone + `,` + aPage + `}`},
		"DisconnectParticipant": {`{` + someStage + `,"participantId":"AbCdEfGhIjKl","reason":"enough"}`},

		"StartParticipantReplication": {`{` + aReplication + `,"reconnectWindowSeconds":60,` + someAttributes + `}`},
		"StopParticipantReplication":  {`{` + aReplication + `}`},
		"ListParticipantReplicas":     {`{"sourceStageArn":` + aStage + `,"participantId":"AbCdEfGhIjKl",` + aPage + `}`},

		"ImportPublicKey": {`{"publicKeyMaterial":"` + strings.ReplaceAll(publicKey, "\n", `\n`) + `","name":"key-1",` + someTags + `}`},
		"GetPublicKey":    {`{"arn":` + aPublicKey + `}`},
		"ListPublicKeys":  {`{` + aPage + `}`},
		"DeletePublicKey": {`{"arn":` + aPublicKey + `}`},

		"CreateIngestConfiguration": {`{"name":"ingest-1",` + someStage + `,"userId":"ana",` + someAttributes + `,"ingestProtocol":"RTMP",
			"insecureIngest":true,"redundantIngest":true,` + someTags + `}`},
		"GetIngestConfiguration": {`{"arn":` + anIngest + `}`},
		"ListIngestConfigurations": {
			`{"filterByStageArn":` + aStage + `}`,
			`{"filterByState":"ACTIVE",` + aPage + `}`,
		},
		"UpdateIngestConfiguration": {`{"arn":` + anIngest + `,` + someStage + `,"redundantIngest":true}`},
		"DeleteIngestConfiguration": {`{"arn":` + anIngest + `,"force":true}`},

		"CreateEncoderConfiguration": {
			`{"name":"encoder-1","video":{"width":1280,"height":720,"framerate":29.97,"bitrate":2500000},` + someTags + `}`,
			`{"video":{"width":1920,"height":2}}`, // either may be that large, but not both
			`{"video":{"width":2,"height":1920}}`,
		},
		"GetEncoderConfiguration":    {`{"arn":` + anEncoder + `}`},
		"ListEncoderConfigurations":  {`{` + aPage + `}`},
		"DeleteEncoderConfiguration": {`{"arn":` + anEncoder + `}`},

		"CreateStorageConfiguration": {`{"name":"storage-1","s3":{"bucketName":"bucket.one"},` + someTags + `}`},
		"GetStorageConfiguration":    {`{"arn":` + aStorage + `}`},
		"ListStorageConfigurations":  {`{` + aPage + `}`},
		"DeleteStorageConfiguration": {`{"arn":` + aStorage + `}`},

		"StartComposition": {
			`{` + someStage + `,"idempotencyToken":"once","layout":{` + aGrid + `},"destinations":[` + toS3 + `,` + toAChannel + `],` + someTags + `}`,
			`{` + someStage + `,"layout":{` + aPiP + `},"destinations":[` + toAChannel + `,` + toS3 + `]}`,
		},
		"GetComposition":   {`{"arn":` + aComposition + `}`},
		"ListCompositions": {`{"filterByStageArn":` + aStage + `,"filterByEncoderConfigurationArn":` + anEncoder + `,` + aPage + `}`},
		"StopComposition":  {`{"arn":` + aComposition + `}`},

		"ListTagsForResource": {`{"resourceArn":` + aStage + `}`},
		"TagResource":         {`{"resourceArn":` + aStage + `,` + someTags + `}`},
		"UntagResource":       {`{"resourceArn":` + aStage + `,"tagKeys":["a"]}`}, // a signer sorts them
	},
	Rules: map[string]string{
		"nextToken":         "is not a token of this list",
		"publicKeyMaterial": "must be a public key in PEM",
		"participantId":     "must not be empty",
		"stageArn":          arnPrefix,
		"insecureIngest":    "must be true when ingestProtocol is RTMP",
		"autoParticipantRecordingConfiguration.storageConfigurationArn": arnPrefix,
	},
}

// publicKey is one for ES384.
const publicKey = `-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEEHe8Xrgb0lFvpIhTXBC84sQQh3FmdSWE
J0LCE411a8P08TabcwIIenv+xy/Q0WO0wJLnIJZZ270NUxYnwOzhq+fL4il0Kky3
RkbUkx/lRs5ZVejswchQC4uSpo512stR
-----END PUBLIC KEY-----
`
