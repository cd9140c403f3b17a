package lowlatency_test

import (
	"testing"

	"anabranch/internal/api/apitest"
)

func TestModel(t *testing.T) {
	f := newFixture(t)
	apitest.Model{
		File: "ivs/2020-07-14",
		Differences: map[string]string{
			"CreateAdConfigurationRequest.mediaTailorPlaybackConfigurations required": "a rule of ad configurations, as an update need not have them",

			"MediaTailorPlaybackConfiguration.playbackConfigurationArn required": "without it nothing is configured",
			"StreamSummary.playbackUrl": "left out there, but of one type with Stream",

			"PlaybackRestrictionPolicyAllowedCountryList max": "the quota",
			"PlaybackRestrictionPolicyAllowedOriginList max":  "the quota",
			"RenditionConfigurationRenditionList max":         "there are no more values",
			"ThumbnailConfigurationStorageList max":           "there are no more values",
			"ResourceArn pattern":                             "the model's has room for a kind of one letter only",
			"ViewerId pattern":                                "NUL, which no text of a database may have",
		},
		Newer: []string{"UpdateAdConfiguration", "postRollConfiguration", "PostRollConfiguration"},
	}.Check(t, f.Server, services(nil)...)
}
