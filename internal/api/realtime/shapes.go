package realtime

import "anabranch/internal/api"

// shapes are the constraints of the model's types that callers may send.
var shapes = api.Common.With(api.Shapes{
	"StageArn":  {Min: 1, Max: 128, Pattern: arnOf + `stage/[a-zA-Z0-9-]+`},
	"StageName": {Max: 128, Pattern: name},

	"AutoParticipantRecordingStorageConfigurationArn":  {Max: 128, Pattern: `^$|` + arnOf + `storage-configuration/[a-zA-Z0-9-]+`},
	"ParticipantRecordingMediaType":                    {Enum: []string{"AUDIO_VIDEO", "AUDIO_ONLY", "NONE"}},
	"ParticipantRecordingMediaTypeList":                {Max: 1, Of: "ParticipantRecordingMediaType"},
	"ParticipantRecordingReconnectWindowSeconds":       {Max: 300},
	"ParticipantRecordingTargetSegmentDurationSeconds": {Min: 2, Max: 10},
	"ThumbnailIntervalSeconds":                         {Min: 1, Max: 86400},
	"ThumbnailRecordingMode":                           {Enum: []string{"INTERVAL", "DISABLED"}},
	"ThumbnailStorageType":                             {Enum: []string{"SEQUENTIAL", "LATEST"}},
	"ThumbnailStorageTypeList":                         {Max: 2, Of: "ThumbnailStorageType"},

	"ParticipantTokenAttributes":      {Keys: "String", Of: "String"}, // bounded in bytes
	"ParticipantTokenCapabilities":    {Max: 2, Of: "ParticipantTokenCapability"},
	"ParticipantTokenCapability":      {Enum: []string{"PUBLISH", "SUBSCRIBE"}},
	"ParticipantTokenConfigurations":  {Max: 12},
	"ParticipantTokenDurationMinutes": {Min: 1, Max: 20160},
	"ParticipantTokenId":              {Max: 64, Pattern: name},
	"ParticipantTokenUserId":          {Max: 128, Pattern: `[^\x00]*`}, // no text of SQL may have that
	"String":                          {Pattern: `[^\x00]*`},

	"StageSessionId": {Min: 16, Max: 16, Pattern: `st-[a-zA-Z0-9]+`},
	// A participant's id is that of its token, which may have an underscore.
	"ParticipantId":                              {Max: 64, Pattern: name},
	"ParticipantAttributes":                      {Keys: "String", Of: "String"}, // bounded in bytes
	"ParticipantState":                           {Enum: []string{"CONNECTED", "DISCONNECTED"}},
	"ParticipantRecordingFilterByRecordingState": {Enum: []string{"STARTING", "ACTIVE", "STOPPING", "STOPPED", "FAILED"}},
	"UserId":                      {Max: 128, Pattern: `[^\x00]*`},
	"DisconnectParticipantReason": {Max: 128},
	"ReconnectWindowSeconds":      {Max: 300},

	"PublicKeyArn":      {Min: 1, Max: 128, Pattern: arnOf + `public-key/[a-zA-Z0-9-]+`},
	"PublicKeyName":     {Max: 128, Pattern: name},
	"PublicKeyMaterial": {}, // read as a key

	"IngestConfigurationArn":      {Min: 1, Max: 128, Pattern: arnOf + `ingest-configuration/[a-zA-Z0-9-]+`},
	"IngestConfigurationName":     {Max: 128, Pattern: name},
	"IngestConfigurationStageArn": {Max: 128, Pattern: `^$|` + arnOf + `stage/[a-zA-Z0-9-]+`},
	"IngestConfigurationState":    {Enum: []string{"ACTIVE", "INACTIVE"}},
	"IngestProtocol":              {Enum: []string{"RTMP", "RTMPS"}},

	"EncoderConfigurationArn":  {Min: 1, Max: 128, Pattern: arnOf + `encoder-configuration/[a-zA-Z0-9-]+`},
	"EncoderConfigurationName": {Max: 128, Pattern: name},
	"Width":                    {Min: 2, Max: 1920},
	"Height":                   {Min: 2, Max: 1920},
	"Framerate":                {Min: 1, Max: 60},
	"Bitrate":                  {Min: 1, Max: 8500000},

	"StorageConfigurationArn":  {Min: 1, Max: 128, Pattern: arnOf + `storage-configuration/[a-zA-Z0-9-]+`},
	"StorageConfigurationName": {Max: 128, Pattern: name},
	"S3BucketName":             {Min: 3, Max: 63, Pattern: `[a-z0-9-.]+`},

	"CompositionArn":         {Min: 1, Max: 128, Pattern: arnOf + `composition/[a-zA-Z0-9-]+`},
	"CompositionClientToken": {Min: 1, Max: 64, Pattern: name},
	"CompositionRecordingTargetSegmentDurationSeconds": {Min: 2, Max: 10},
	"CompositionThumbnailConfigurationList":            {Max: 1},
	"ChannelArn":                                       {Min: 1, Max: 128, Pattern: arnOf + `channel/[a-zA-Z0-9-]+`},
	"DestinationConfigurationList":                     {Min: 1, Max: 2},
	"DestinationConfigurationName":                     {Max: 128, Pattern: name},
	"EncoderConfigurationArnList":                      {Min: 1, Max: 1, Of: "EncoderConfigurationArn"},
	"RecordingConfigurationFormat":                     {Enum: []string{"HLS"}},
	"AttributeKey":                                     {Max: 128, Pattern: name},
	"GridGap":                                          {},
	"PipBehavior":                                      {Enum: []string{"STATIC", "DYNAMIC"}},
	"PipHeight":                                        {Min: 1},
	"PipOffset":                                        {},
	"PipPosition":                                      {Enum: []string{"TOP_LEFT", "TOP_RIGHT", "BOTTOM_LEFT", "BOTTOM_RIGHT"}},
	"PipWidth":                                         {Min: 1},
	"VideoAspectRatio":                                 {Enum: []string{"AUTO", "VIDEO", "SQUARE", "PORTRAIT"}},
	"VideoFillMode":                                    {Enum: []string{"FILL", "COVER", "CONTAIN"}},

	"MaxCompositionResults":          {Min: 1, Max: 100},
	"MaxEncoderConfigurationResults": {Min: 1, Max: 100},
	"MaxIngestConfigurationResults":  {Min: 1, Max: 100},
	"MaxParticipantEventResults":     {Min: 1, Max: 100},
	"MaxParticipantReplicaResults":   {Min: 1, Max: 50},
	"MaxParticipantResults":          {Min: 1, Max: 100},
	"MaxPublicKeyResults":            {Min: 1, Max: 100},
	"MaxStageResults":                {Min: 1, Max: 100},
	"MaxStageSessionResults":         {Min: 1, Max: 100},
	"MaxStorageConfigurationResults": {Min: 1, Max: 100},
})

const (
	arnOf = `arn:aws:ivs:[a-z0-9-]+:[0-9]+:`
	name  = `[a-zA-Z0-9-_]*`
)
