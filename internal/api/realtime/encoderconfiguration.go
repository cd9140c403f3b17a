package realtime

import (
	"cmp"
	"context"

	"anabranch/internal/api"
	"anabranch/internal/resource"
)

type createEncoderConfigurationRequest struct {
	Name  string `json:"name" shape:"EncoderConfigurationName"`
	Video struct {
		Width     int     `json:"width" shape:"Width"`
		Height    int     `json:"height" shape:"Height"`
		Framerate float64 `json:"framerate" shape:"Framerate"`
		Bitrate   int     `json:"bitrate" shape:"Bitrate"`
	} `json:"video"`
	Tags resource.Tags `json:"tags" shape:"Tags"`
}

type encoderConfigurationResponse struct {
	EncoderConfiguration resource.EncoderConfiguration `json:"encoderConfiguration"`
}

func (s *service) createEncoderConfiguration(ctx context.Context, in *createEncoderConfigurationRequest) (*encoderConfigurationResponse, error) {
	c := resource.EncoderConfiguration{
		ARN:   s.Place.ARN(resource.KindEncoderConfiguration, resource.NewID()),
		Name:  in.Name,
		Video: resource.Video(in.Video),
		Tags:  in.Tags,
	}
	c.FillDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := s.Store.CreateEncoderConfiguration(ctx, c); err != nil {
		return nil, err
	}
	return &encoderConfigurationResponse{c}, nil
}

type encoderConfigurationRequest struct {
	ARN resource.ARN `json:"arn" shape:"EncoderConfigurationArn,required"`
}

func (s *service) getEncoderConfiguration(ctx context.Context, in *encoderConfigurationRequest) (*encoderConfigurationResponse, error) {
	c, err := s.Store.EncoderConfiguration(ctx, in.ARN)
	if err != nil {
		return nil, err
	}
	return &encoderConfigurationResponse{c}, nil
}

type listEncoderConfigurationsRequest struct {
	NextToken  string `json:"nextToken" shape:"PaginationToken"`
	MaxResults int    `json:"maxResults" shape:"MaxEncoderConfigurationResults"`
}

type listEncoderConfigurationsResponse struct {
	EncoderConfigurations []encoderConfigurationSummary `json:"encoderConfigurations"`
	NextToken             string                        `json:"nextToken,omitempty"`
}

// encoderConfigurationSummary is an encoder configuration as a list tells it:
// without what it says of video.
type encoderConfigurationSummary struct {
	ARN  resource.ARN  `json:"arn"`
	Name string        `json:"name"`
	Tags resource.Tags `json:"tags"`
}

func (s *service) listEncoderConfigurations(ctx context.Context, in *listEncoderConfigurationsRequest) (*listEncoderConfigurationsResponse, error) {
	list, next, err := api.List(s.Sealer, api.Listing{
		Operation: "ListEncoderConfigurations", NextToken: in.NextToken, Size: cmp.Or(in.MaxResults, 100),
	}, func(p resource.Page) ([]resource.EncoderConfiguration, string, error) {
		return s.Store.ListEncoderConfigurations(ctx, p)
	})
	if err != nil {
		return nil, err
	}
	return &listEncoderConfigurationsResponse{api.Tell(list, func(c *resource.EncoderConfiguration) encoderConfigurationSummary {
		return encoderConfigurationSummary{c.ARN, c.Name, c.Tags}
	}), next}, nil
}

func (s *service) deleteEncoderConfiguration(ctx context.Context, in *encoderConfigurationRequest) (*api.None, error) {
	return &api.None{}, s.Store.DeleteEncoderConfiguration(ctx, in.ARN)
}
