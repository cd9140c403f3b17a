package lowlatency

import (
	"cmp"
	"context"

	"anabranch/internal/api"
	"anabranch/internal/resource"
)

// channelSettings are the members of a channel that callers choose; nil are
// those that were not given.
type channelSettings struct {
	Name                         *string                   `json:"name" shape:"ChannelName"`
	Type                         *resource.ChannelType     `json:"type" shape:"ChannelType"`
	LatencyMode                  *resource.LatencyMode     `json:"latencyMode" shape:"ChannelLatencyMode"`
	Preset                       *resource.TranscodePreset `json:"preset" shape:"TranscodePreset"`
	ContainerFormat              *resource.ContainerFormat `json:"containerFormat" shape:"ContainerFormat"`
	Authorized                   *bool                     `json:"authorized"`
	InsecureIngest               *bool                     `json:"insecureIngest"`
	Multitrack                   *multitrackSettings       `json:"multitrackInputConfiguration"`
	RecordingConfigurationARN    *resource.ARN             `json:"recordingConfigurationArn" shape:"ChannelRecordingConfigurationArn"`
	PlaybackRestrictionPolicyARN *resource.ARN             `json:"playbackRestrictionPolicyArn" shape:"ChannelPlaybackRestrictionPolicyArn"`
	AdConfigurationARN           *resource.ARN             `json:"adConfigurationArn" shape:"ChannelAdConfigurationArn"`
}

// multitrackSettings are part of channelSettings.
type multitrackSettings struct {
	Enabled           *bool   `json:"enabled"`
	Policy            *string `json:"policy" shape:"MultitrackPolicy"`
	MaximumResolution *string `json:"maximumResolution" shape:"MultitrackMaximumResolution"`
}

// apply changes ch to what was given and leaves the rest as it is.
func (c *channelSettings) apply(ch *resource.Channel) error {
	api.Assign(&ch.Name, c.Name)
	api.Assign(&ch.Type, c.Type)
	api.Assign(&ch.LatencyMode, c.LatencyMode)
	api.Assign(&ch.Preset, c.Preset)
	api.Assign(&ch.ContainerFormat, c.ContainerFormat)
	api.Assign(&ch.Authorized, c.Authorized)
	api.Assign(&ch.InsecureIngest, c.InsecureIngest)
	api.Assign(&ch.RecordingConfigurationARN, c.RecordingConfigurationARN)
	api.Assign(&ch.PlaybackRestrictionPolicyARN, c.PlaybackRestrictionPolicyARN)
	api.Assign(&ch.AdConfigurationARN, c.AdConfigurationARN)
	if m := c.Multitrack; m != nil {
		if m.Enabled != nil && *m.Enabled {
			// Turning it on takes policy and resolution along: those shown
			// while it is off were nobody's choice.
			ch.Multitrack = resource.MultitrackInputConfiguration{}
		}
		api.Assign(&ch.Multitrack.Enabled, m.Enabled)
		api.Assign(&ch.Multitrack.Policy, m.Policy)
		api.Assign(&ch.Multitrack.MaximumResolution, m.MaximumResolution)
	}
	ch.FillDefaults()
	return ch.Validate()
}

// checkRecording refuses a recording configuration that can never record. One
// that is still being checked may be used: it is a matter of seconds.
func (s *service) checkRecording(ctx context.Context, arn *resource.ARN) error {
	if arn == nil || *arn == "" {
		return nil
	}
	rc, err := s.Store.RecordingConfiguration(ctx, *arn)
	if err == nil && rc.State == resource.CreateFailed {
		err = resource.Errorf(resource.Invalid, "recordingConfigurationArn: %s is in state %s", rc.ARN, rc.State)
	}
	return err
}

// complete fills in where the channel is reached.
func (s *service) complete(ch *resource.Channel) {
	ch.IngestEndpoint = s.Endpoints.IngestHost
	ch.SRT.Endpoint = s.Endpoints.SRTHost
	ch.PlaybackURL = s.Endpoints.PlaybackURL(ch.ID())
}

type createChannelRequest struct {
	channelSettings
	Tags resource.Tags `json:"tags" shape:"Tags"`
}

type createChannelResponse struct {
	Channel   resource.Channel   `json:"channel"`
	StreamKey resource.StreamKey `json:"streamKey"`
}

func (s *service) createChannel(ctx context.Context, in *createChannelRequest) (*createChannelResponse, error) {
	if err := s.checkRecording(ctx, in.RecordingConfigurationARN); err != nil {
		return nil, err
	}
	ch := resource.Channel{
		ARN:  s.Place.ARN(resource.KindChannel, resource.NewID()),
		SRT:  resource.SRT{Passphrase: resource.RandomID(resource.PassphraseLength)},
		Tags: in.Tags,
	}
	if err := in.apply(&ch); err != nil {
		return nil, err
	}
	key := resource.NewStreamKey(s.Place, ch.ARN, nil)
	if err := s.Store.CreateChannel(ctx, ch, key); err != nil {
		return nil, err
	}
	s.complete(&ch)
	return &createChannelResponse{ch, key}, nil
}

type channelRequest struct {
	ARN resource.ARN `json:"arn" shape:"ChannelArn,required"`
}

type channelResponse struct {
	Channel resource.Channel `json:"channel"`
}

func (s *service) getChannel(ctx context.Context, in *channelRequest) (*channelResponse, error) {
	ch, err := s.Store.Channel(ctx, in.ARN)
	if err != nil {
		return nil, err
	}
	s.complete(&ch)
	return &channelResponse{ch}, nil
}

type batchGetChannelRequest struct {
	ARNs []resource.ARN `json:"arns" shape:"ChannelArnList,required"`
}

type batchGetChannelResponse struct {
	Channels []resource.Channel `json:"channels"`
	Errors   []batchError       `json:"errors"`
}

func (s *service) batchGetChannel(ctx context.Context, in *batchGetChannelRequest) (*batchGetChannelResponse, error) {
	found, err := s.Store.Channels(ctx, in.ARNs)
	if err != nil {
		return nil, err
	}
	channels, missing := batch(in.ARNs, found, func(ch *resource.Channel) resource.ARN { return ch.ARN })
	for i := range channels {
		s.complete(&channels[i])
	}
	return &batchGetChannelResponse{channels, missing}, nil
}

type listChannelsRequest struct {
	Name                         string       `json:"filterByName" shape:"ChannelName"`
	RecordingConfigurationARN    resource.ARN `json:"filterByRecordingConfigurationArn" shape:"ChannelRecordingConfigurationArn"`
	PlaybackRestrictionPolicyARN resource.ARN `json:"filterByPlaybackRestrictionPolicyArn" shape:"ChannelPlaybackRestrictionPolicyArn"`
	AdConfigurationARN           resource.ARN `json:"filterByAdConfigurationArn" shape:"ChannelAdConfigurationArn"`
	NextToken                    string       `json:"nextToken" shape:"PaginationToken"`
	MaxResults                   int          `json:"maxResults" shape:"MaxChannelResults"`
}

type listChannelsResponse struct {
	Channels  []channelSummary `json:"channels"`
	NextToken string           `json:"nextToken,omitempty"`
}

// channelSummary is a channel as a list tells it.
type channelSummary struct {
	ARN                          resource.ARN             `json:"arn"`
	Name                         string                   `json:"name"`
	LatencyMode                  resource.LatencyMode     `json:"latencyMode"`
	Type                         resource.ChannelType     `json:"type"`
	Preset                       resource.TranscodePreset `json:"preset"`
	Authorized                   bool                     `json:"authorized"`
	InsecureIngest               bool                     `json:"insecureIngest"`
	RecordingConfigurationARN    resource.ARN             `json:"recordingConfigurationArn"`
	PlaybackRestrictionPolicyARN resource.ARN             `json:"playbackRestrictionPolicyArn"`
	AdConfigurationARN           resource.ARN             `json:"adConfigurationArn"`
	Tags                         resource.Tags            `json:"tags"`
}

func (s *service) listChannels(ctx context.Context, in *listChannelsRequest) (*listChannelsResponse, error) {
	filters := 0
	for _, f := range []string{in.Name, string(in.RecordingConfigurationARN), string(in.PlaybackRestrictionPolicyARN), string(in.AdConfigurationARN)} {
		if f != "" {
			filters++
		}
	}
	if filters > 1 {
		return nil, resource.Errorf(resource.Conflict, "channels can be listed by one filter only, not by %d", filters)
	}
	filter := resource.ChannelFilter{
		Name:                         in.Name,
		RecordingConfigurationARN:    in.RecordingConfigurationARN,
		PlaybackRestrictionPolicyARN: in.PlaybackRestrictionPolicyARN,
		AdConfigurationARN:           in.AdConfigurationARN,
	}
	channels, next, err := api.List(s.Sealer, api.Listing{
		Operation: "ListChannels", Query: filter, NextToken: in.NextToken, Size: cmp.Or(in.MaxResults, 100),
	}, func(p resource.Page) ([]resource.Channel, string, error) { return s.Store.ListChannels(ctx, filter, p) })
	if err != nil {
		return nil, err
	}
	return &listChannelsResponse{api.Tell(channels, summarizeChannel), next}, nil
}

func summarizeChannel(ch *resource.Channel) channelSummary {
	return channelSummary{
		ARN:                          ch.ARN,
		Name:                         ch.Name,
		LatencyMode:                  ch.LatencyMode,
		Type:                         ch.Type,
		Preset:                       ch.Preset,
		Authorized:                   ch.Authorized,
		InsecureIngest:               ch.InsecureIngest,
		RecordingConfigurationARN:    ch.RecordingConfigurationARN,
		PlaybackRestrictionPolicyARN: ch.PlaybackRestrictionPolicyARN,
		AdConfigurationARN:           ch.AdConfigurationARN,
		Tags:                         ch.Tags,
	}
}

type updateChannelRequest struct {
	ARN resource.ARN `json:"arn" shape:"ChannelArn,required"`
	channelSettings
}

func (s *service) updateChannel(ctx context.Context, in *updateChannelRequest) (*channelResponse, error) {
	if err := s.checkRecording(ctx, in.RecordingConfigurationARN); err != nil {
		return nil, err
	}
	ch, err := s.Store.UpdateChannel(ctx, in.ARN, in.apply)
	if err != nil {
		return nil, err
	}
	s.OnAir.Changed(context.WithoutCancel(ctx), ch.ARN) // it has happened, whoever still listens
	s.complete(&ch)
	return &channelResponse{ch}, nil
}

func (s *service) deleteChannel(ctx context.Context, in *channelRequest) (*api.None, error) {
	if err := s.Store.DeleteChannel(ctx, in.ARN); err != nil {
		return nil, err
	}
	s.OnAir.Changed(context.WithoutCancel(ctx), in.ARN)
	return nil, nil
}
