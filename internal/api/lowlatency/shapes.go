package lowlatency

import "anabranch/internal/api"

// shapes are the constraints of the model's types that callers may send.
var shapes = api.Common.With(api.Shapes{
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

	"PlaybackKeyPairArn":        {Min: 1, Max: 128, Pattern: arnOf + `playback-key/[a-zA-Z0-9-]+`},
	"PlaybackKeyPairName":       {Max: 128, Pattern: name},
	"PlaybackPublicKeyMaterial": {}, // read as a key

	"PlaybackRestrictionPolicyArn":            {Min: 1, Max: 128, Pattern: arnOf + `playback-restriction-policy/[a-zA-Z0-9-]+`},
	"PlaybackRestrictionPolicyName":           {Max: 128, Pattern: name},
	"PlaybackRestrictionPolicyAllowedCountry": {Min: 2, Max: 2},
	"PlaybackRestrictionPolicyAllowedOrigin":  {Max: 128},
	// The model leaves these open; the quotas bound them.
	"PlaybackRestrictionPolicyAllowedCountryList": {Max: 200, Of: "PlaybackRestrictionPolicyAllowedCountry"},
	"PlaybackRestrictionPolicyAllowedOriginList":  {Max: 5, Of: "PlaybackRestrictionPolicyAllowedOrigin"},

	"BatchStartViewerSessionRevocationViewerSessionList": {Min: 1, Max: 20},
	"ViewerId":             {Min: 1, Max: 40, Pattern: `[^\x00]+`}, // no text of SQL may have that
	"ViewerSessionVersion": {},

	"AdConfigurationArn":                    {Max: 128, Pattern: arnOf + `ad-configuration/[a-zA-Z0-9-]+`},
	"AdConfigurationName":                   {Max: 128, Pattern: name},
	"AdDurationSeconds":                     {Min: 1, Max: 300},
	"MediaTailorPlaybackConfigurationArn":   {Max: 128, Pattern: `arn:aws:mediatailor:[a-z0-9-]+:[0-9]+:playbackConfiguration/[a-zA-Z0-9-]+`},
	"MediaTailorPlaybackConfigurationsList": {Min: 1, Max: 3},

	"StreamMetadata": {Min: 1}, // and bounded in bytes

	"StreamHealth": {Enum: []string{"HEALTHY", "STARVING", "UNKNOWN"}},
	"StreamId":     {Min: 26, Max: 26, Pattern: `st-[a-zA-Z0-9]+`},

	"MaxAdConfigurationResults":           {Min: 1, Max: 100},
	"MaxChannelResults":                   {Min: 1, Max: 100},
	"MaxPlaybackKeyPairResults":           {Min: 1, Max: 100},
	"MaxPlaybackRestrictionPolicyResults": {Min: 1, Max: 100},
	"MaxRecordingConfigurationResults":    {Min: 1, Max: 100},
	"MaxStreamKeyResults":                 {Min: 1, Max: 50},
	"MaxStreamResults":                    {Min: 1, Max: 100},
})

const (
	arnOf = `arn:aws:ivs:[a-z0-9-]+:[0-9]+:`
	name  = `[a-zA-Z0-9-_]*`
)
