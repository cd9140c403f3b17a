package resource

// AdConfiguration says where a channel's ads come from. Who chooses the ads is
// AWS Elemental MediaTailor; the server tells it, and players, where they go.
type AdConfiguration struct {
	ARN         ARN                                `json:"arn"`
	Name        string                             `json:"name"`
	MediaTailor []MediaTailorPlaybackConfiguration `json:"mediaTailorPlaybackConfigurations"` // 1–3
	PostRoll    PostRollConfiguration              `json:"postRollConfiguration"`
	Tags        Tags                               `json:"tags"`
}

// MediaTailorPlaybackConfiguration names a playback configuration of
// MediaTailor's.
type MediaTailorPlaybackConfiguration struct {
	PlaybackConfigurationARN ARN `json:"playbackConfigurationArn"`
}

// PostRollConfiguration says whether an ad break follows a stream's end.
type PostRollConfiguration struct {
	Enabled         bool `json:"enabled"`
	DurationSeconds int  `json:"durationSeconds"` // 1–300
}

// FillDefaults sets every member left empty to its documented default.
func (c *AdConfiguration) FillDefaults() {
	if c.PostRoll.DurationSeconds == 0 {
		c.PostRoll.DurationSeconds = 15
	}
	if c.Tags == nil {
		c.Tags = Tags{}
	}
}

// Validate checks what the decoding of one member cannot.
func (c *AdConfiguration) Validate() error {
	if len(c.MediaTailor) == 0 {
		return Errorf(Invalid, "mediaTailorPlaybackConfigurations: required")
	}
	return nil
}
