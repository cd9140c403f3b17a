package lowlatency

import "anabranch/internal/api"

// shapes are the constraints of the model's types that callers may send.
var shapes = api.Shapes{
	"ChannelArn":                          {Min: 1, Max: 128, Pattern: arnOf + `channel/[a-zA-Z0-9-]+`},
	"ChannelArnList":                      {Min: 1, Max: 50, Of: "ChannelArn"},
	"ChannelName":                         {Max: 128, Pattern: name},
	"ChannelType":                         {Enum: []string{"BASIC", "STANDARD", "ADVANCED_SD", "ADVANCED_HD"}},
	"ChannelLatencyMode":                  {Enum: []string{"NORMAL", "LOW"}},
	"ChannelRecordingConfigurationArn":    {Max: 128, Pattern: `^$|` + arnOf + `recording-configuration/[a-zA-Z0-9-]+`},
	"ChannelPlaybackRestrictionPolicyArn": {Max: 128, Pattern: `^$|` + arnOf + `playback-restriction-policy/[a-zA-Z0-9-]+`},
	"ChannelAdConfigurationArn":           {Max: 128, Pattern: `^$|` + arnOf + `ad-configuration/[a-zA-Z0-9-]+`},
	"ContainerFormat":                     {Enum: []string{"TS", "FRAGMENTED_MP4"}},
	"MultitrackPolicy":                    {Enum: []string{"ALLOW", "REQUIRE"}},
	"MultitrackMaximumResolution":         {Enum: []string{"SD", "HD", "FULL_HD"}},
	"TranscodePreset":                     {Enum: []string{"HIGHER_BANDWIDTH_DELIVERY", "CONSTRAINED_BANDWIDTH_DELIVERY"}},

	"StreamKeyArn":     {Min: 1, Max: 128, Pattern: arnOf + `stream-key/[a-zA-Z0-9-]+`},
	"StreamKeyArnList": {Min: 1, Max: 50, Of: "StreamKeyArn"},

	"RecordingConfigurationArn":                {Max: 128, Pattern: arnOf + `recording-configuration/[a-zA-Z0-9-]+`},
	"RecordingConfigurationName":               {Max: 128, Pattern: name},
	"RecordingMode":                            {Enum: []string{"DISABLED", "INTERVAL"}},
	"RecordingReconnectWindowSeconds":          {Min: 0, Max: 300},
	"RenditionConfigurationRendition":          {Enum: []string{"SD", "HD", "FULL_HD", "LOWEST_RESOLUTION"}},
	"RenditionConfigurationRenditionSelection": {Enum: []string{"ALL", "NONE", "CUSTOM"}},
	"S3DestinationBucketName":                  {Min: 3, Max: 63, Pattern: `[a-z0-9-.]+`},
	"TargetIntervalSeconds":                    {Min: 1, Max: 60},
	"ThumbnailConfigurationResolution":         {Enum: []string{"SD", "HD", "FULL_HD", "LOWEST_RESOLUTION"}},
	"ThumbnailConfigurationStorage":            {Enum: []string{"SEQUENTIAL", "LATEST"}},
	// The model leaves these open; more items than values say nothing new.
	"RenditionConfigurationRenditionList": {Max: 4, Of: "RenditionConfigurationRendition"},
	"ThumbnailConfigurationStorageList":   {Max: 2, Of: "ThumbnailConfigurationStorage"},

	"StreamHealth": {Enum: []string{"HEALTHY", "STARVING", "UNKNOWN"}},
	"StreamId":     {Min: 26, Max: 26, Pattern: `st-[a-zA-Z0-9]+`},

	// The model's pattern has room for a kind of one letter only.
	"ResourceArn": {Min: 1, Max: 128, Pattern: arnOf + `[a-z-]+/[a-zA-Z0-9-]+`},
	"Tags":        {Max: 50, Keys: "TagKey", Of: "TagValue"},
	"TagKey":      {Min: 1, Max: 128, Pattern: `[\p{L}\p{Z}\p{N}_.:/=+\-@]+`},
	"TagKeyList":  {Max: 50, Of: "TagKey"},
	"TagValue":    {Max: 256, Pattern: `[\p{L}\p{Z}\p{N}_.:/=+\-@]*`},

	"PaginationToken":                  {Max: 1024, Pattern: `[a-zA-Z0-9+/=_-]*`},
	"MaxChannelResults":                {Min: 1, Max: 100},
	"MaxRecordingConfigurationResults": {Min: 1, Max: 100},
	"MaxStreamKeyResults":              {Min: 1, Max: 50},
	"MaxStreamResults":                 {Min: 1, Max: 100},
}

const (
	arnOf = `arn:aws:ivs:[a-z0-9-]+:[0-9]+:`
	name  = `[a-zA-Z0-9-_]*`
)
