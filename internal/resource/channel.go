package resource

// ChannelType says how a channel's input becomes renditions.
type ChannelType string

// The channel types.
const (
	Basic      ChannelType = "BASIC"
	Standard   ChannelType = "STANDARD"
	AdvancedSD ChannelType = "ADVANCED_SD"
	AdvancedHD ChannelType = "ADVANCED_HD"
)

// Advanced says whether every rendition of the type is transcoded.
func (t ChannelType) Advanced() bool { return t == AdvancedSD || t == AdvancedHD }

// LatencyMode is LOW or NORMAL.
type LatencyMode string

// The latency modes.
const (
	LowLatency    LatencyMode = "LOW"
	NormalLatency LatencyMode = "NORMAL"
)

// TranscodePreset chooses an ADVANCED channel's bitrates; empty on other types.
type TranscodePreset string

// The transcode presets.
const (
	HigherBandwidth      TranscodePreset = "HIGHER_BANDWIDTH_DELIVERY"
	ConstrainedBandwidth TranscodePreset = "CONSTRAINED_BANDWIDTH_DELIVERY"
)

// ContainerFormat is the container of a channel's recordings.
type ContainerFormat string

// The container formats.
const (
	TS            ContainerFormat = "TS"
	FragmentedMP4 ContainerFormat = "FRAGMENTED_MP4"
)

// Channel is a place to broadcast to.
type Channel struct {
	ARN                          ARN                          `json:"arn"`
	Name                         string                       `json:"name"`
	LatencyMode                  LatencyMode                  `json:"latencyMode"`
	Type                         ChannelType                  `json:"type"`
	RecordingConfigurationARN    ARN                          `json:"recordingConfigurationArn"`
	IngestEndpoint               string                       `json:"ingestEndpoint,omitempty"`
	PlaybackURL                  string                       `json:"playbackUrl,omitempty"`
	Authorized                   bool                         `json:"authorized"`
	Tags                         Tags                         `json:"tags"`
	InsecureIngest               bool                         `json:"insecureIngest"`
	Preset                       TranscodePreset              `json:"preset"`
	SRT                          SRT                          `json:"srt"`
	PlaybackRestrictionPolicyARN ARN                          `json:"playbackRestrictionPolicyArn"`
	Multitrack                   MultitrackInputConfiguration `json:"multitrackInputConfiguration"`
	ContainerFormat              ContainerFormat              `json:"containerFormat"`
	AdConfigurationARN           ARN                          `json:"adConfigurationArn"`
}

// SRT is how to reach a channel by SRT. Endpoint is a bare host.
type SRT struct {
	Endpoint   string `json:"endpoint"`
	Passphrase string `json:"passphrase"`
}

// MultitrackInputConfiguration says whether an encoder may send several video
// tracks, and how large.
type MultitrackInputConfiguration struct {
	Enabled           bool   `json:"enabled"`
	Policy            string `json:"policy"`            // ALLOW or REQUIRE
	MaximumResolution string `json:"maximumResolution"` // SD, HD or FULL_HD
}

// ID is the last part of the channel's ARN.
func (c *Channel) ID() string { return c.ARN.ID() }

// Restricted says whether not everybody may watch the channel everywhere: its
// media is for those alone who were let in.
func (c *Channel) Restricted() bool { return c.Authorized || c.PlaybackRestrictionPolicyARN != "" }

// FillDefaults sets every member left empty to its documented default.
func (c *Channel) FillDefaults() {
	if c.Type == "" {
		c.Type = Standard
	}
	if c.LatencyMode == "" {
		c.LatencyMode = LowLatency
	}
	if c.ContainerFormat == "" {
		c.ContainerFormat = TS
	}
	switch {
	case !c.Type.Advanced():
		c.Preset = ""
	case c.Preset == "":
		c.Preset = HigherBandwidth
	}
	if c.Multitrack.Policy == "" && !c.Multitrack.Enabled {
		c.Multitrack.Policy = "ALLOW"
	}
	if c.Multitrack.MaximumResolution == "" && !c.Multitrack.Enabled {
		c.Multitrack.MaximumResolution = "FULL_HD"
	}
	if c.Tags == nil {
		c.Tags = Tags{}
	}
}

// Validate checks the rules that span several members; those of one member
// are checked where it is decoded.
func (c *Channel) Validate() error {
	m := c.Multitrack
	switch {
	case m.Enabled && c.Type != Standard:
		return Errorf(Invalid, "multitrackInputConfiguration.enabled: multitrack input needs type STANDARD, not %s", c.Type)
	case m.Enabled && m.Policy == "":
		return Errorf(Invalid, "multitrackInputConfiguration.policy: required when multitrack input is enabled")
	case m.Enabled && m.MaximumResolution == "":
		return Errorf(Invalid, "multitrackInputConfiguration.maximumResolution: required when multitrack input is enabled")
	case m.Enabled && c.ContainerFormat != FragmentedMP4:
		return Errorf(Invalid, "containerFormat: multitrack input needs FRAGMENTED_MP4, not %s", c.ContainerFormat)
	case c.AdConfigurationARN != "" && c.ContainerFormat == FragmentedMP4:
		return Errorf(Invalid, "containerFormat: FRAGMENTED_MP4 cannot be used together with adConfigurationArn")
	}
	return nil
}

// ChannelFilter narrows a list of channels; at most one member may be set.
type ChannelFilter struct {
	Name                         string
	RecordingConfigurationARN    ARN
	PlaybackRestrictionPolicyARN ARN
	AdConfigurationARN           ARN
}

// StreamKey lets its holder broadcast to a channel. Value is a secret.
type StreamKey struct {
	ARN        ARN    `json:"arn"`
	Value      string `json:"value,omitempty"`
	ChannelARN ARN    `json:"channelArn"`
	Tags       Tags   `json:"tags"`
}

// NewStreamKey makes a key for a channel at p.
func NewStreamKey(p Place, channel ARN, tags Tags) StreamKey {
	if tags == nil {
		tags = Tags{}
	}
	return StreamKey{
		ARN:        p.ARN(KindStreamKey, NewID()),
		Value:      "sk_" + p.Region + "_" + NewID() + "_" + RandomID(30),
		ChannelARN: channel,
		Tags:       tags,
	}
}

// PassphraseLength is how many letters and digits an SRT passphrase has.
const PassphraseLength = 69
