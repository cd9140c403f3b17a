package lowlatency

import (
	"context"

	"anabranch/internal/resource"
)

type insertAdBreakRequest struct {
	ChannelARN      resource.ARN `json:"channelArn" shape:"ChannelArn,required"`
	DurationSeconds int          `json:"durationSeconds" shape:"AdDurationSeconds,required"`
}

type insertAdBreakResponse struct {
	AdBreakID string `json:"adBreakId"`
}

// insertAdBreak marks where ads go. Who chooses them, and puts them there, is
// MediaTailor by the channel's ad configuration, so there must be one.
func (s *service) insertAdBreak(ctx context.Context, in *insertAdBreakRequest) (*insertAdBreakResponse, error) {
	ch, err := s.Store.Channel(ctx, in.ChannelARN)
	if err != nil {
		return nil, err
	}
	if ch.AdConfigurationARN == "" {
		return nil, resource.Errorf(resource.Invalid, "channelArn: the channel has no ad configuration; set its adConfigurationArn")
	}
	id, err := s.OnAir.InsertAdBreak(ctx, in.ChannelARN, in.DurationSeconds)
	if err != nil {
		return nil, err
	}
	return &insertAdBreakResponse{id}, nil
}
