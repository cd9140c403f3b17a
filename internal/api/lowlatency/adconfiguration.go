package lowlatency

import (
	"cmp"
	"context"

	"anabranch/internal/api"
	"anabranch/internal/resource"
)

// adSettings are the members of an ad configuration that callers choose; nil
// are those that were not given.
type adSettings struct {
	Name        *string `json:"name" shape:"AdConfigurationName"`
	MediaTailor []struct {
		PlaybackConfigurationARN resource.ARN `json:"playbackConfigurationArn" shape:"MediaTailorPlaybackConfigurationArn,required"`
	} `json:"mediaTailorPlaybackConfigurations" shape:"MediaTailorPlaybackConfigurationsList"`
	PostRoll *struct {
		Enabled         bool `json:"enabled" shape:",required"`
		DurationSeconds int  `json:"durationSeconds" shape:"AdDurationSeconds,required"`
	} `json:"postRollConfiguration"`
}

// apply changes c to what was given and leaves the rest as it is.
func (a *adSettings) apply(c *resource.AdConfiguration) error {
	api.Assign(&c.Name, a.Name)
	if a.MediaTailor != nil {
		c.MediaTailor = nil
	}
	for _, m := range a.MediaTailor {
		c.MediaTailor = append(c.MediaTailor, resource.MediaTailorPlaybackConfiguration(m))
	}
	api.Assign(&c.PostRoll, (*resource.PostRollConfiguration)(a.PostRoll))
	c.FillDefaults()
	return c.Validate()
}

type createAdConfigurationRequest struct {
	adSettings
	Tags resource.Tags `json:"tags" shape:"Tags"`
}

type adConfigurationResponse struct {
	AdConfiguration resource.AdConfiguration `json:"adConfiguration"`
}

func (s *service) createAdConfiguration(ctx context.Context, in *createAdConfigurationRequest) (*adConfigurationResponse, error) {
	c := resource.AdConfiguration{
		ARN:  s.Place.ARN(resource.KindAdConfiguration, resource.NewID()),
		Tags: in.Tags,
	}
	if err := in.apply(&c); err != nil {
		return nil, err
	}
	if err := s.Store.CreateAdConfiguration(ctx, c); err != nil {
		return nil, err
	}
	return &adConfigurationResponse{c}, nil
}

type adConfigurationRequest struct {
	ARN resource.ARN `json:"arn" shape:"AdConfigurationArn,required"`
}

func (s *service) getAdConfiguration(ctx context.Context, in *adConfigurationRequest) (*adConfigurationResponse, error) {
	c, err := s.Store.AdConfiguration(ctx, in.ARN)
	if err != nil {
		return nil, err
	}
	return &adConfigurationResponse{c}, nil
}

type listAdConfigurationsRequest struct {
	NextToken  string `json:"nextToken" shape:"PaginationToken"`
	MaxResults int    `json:"maxResults" shape:"MaxAdConfigurationResults"`
}

type listAdConfigurationsResponse struct {
	AdConfigurations []resource.AdConfiguration `json:"adConfigurations"`
	NextToken        string                     `json:"nextToken,omitempty"`
}

func (s *service) listAdConfigurations(ctx context.Context, in *listAdConfigurationsRequest) (*listAdConfigurationsResponse, error) {
	list, next, err := api.List(s.Sealer, api.Listing{
		Operation: "ListAdConfigurations", NextToken: in.NextToken, Size: cmp.Or(in.MaxResults, 100),
	}, func(p resource.Page) ([]resource.AdConfiguration, string, error) {
		return s.Store.ListAdConfigurations(ctx, p)
	})
	if err != nil {
		return nil, err
	}
	return &listAdConfigurationsResponse{list, next}, nil
}

type updateAdConfigurationRequest struct {
	ARN resource.ARN `json:"arn" shape:"AdConfigurationArn,required"`
	adSettings
}

func (s *service) updateAdConfiguration(ctx context.Context, in *updateAdConfigurationRequest) (*adConfigurationResponse, error) {
	c, err := s.Store.UpdateAdConfiguration(ctx, in.ARN, in.apply)
	if err != nil {
		return nil, err
	}
	return &adConfigurationResponse{c}, nil
}

func (s *service) deleteAdConfiguration(ctx context.Context, in *adConfigurationRequest) (*api.None, error) {
	return nil, s.Store.DeleteAdConfiguration(ctx, in.ARN)
}
