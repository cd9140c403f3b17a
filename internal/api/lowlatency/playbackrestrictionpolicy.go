package lowlatency

import (
	"cmp"
	"context"

	"anabranch/internal/api"
	"anabranch/internal/resource"
)

// policySettings are the members of a playback restriction policy that callers
// choose; nil are those that were not given.
type policySettings struct {
	Name                          *string   `json:"name" shape:"PlaybackRestrictionPolicyName"`
	AllowedCountries              *[]string `json:"allowedCountries" shape:"PlaybackRestrictionPolicyAllowedCountryList"`
	AllowedOrigins                *[]string `json:"allowedOrigins" shape:"PlaybackRestrictionPolicyAllowedOriginList"`
	EnableStrictOriginEnforcement *bool     `json:"enableStrictOriginEnforcement"`
}

// apply changes p to what was given and leaves the rest as it is.
func (c *policySettings) apply(p *resource.PlaybackRestrictionPolicy) error {
	api.Assign(&p.Name, c.Name)
	api.Assign(&p.AllowedCountries, c.AllowedCountries)
	api.Assign(&p.AllowedOrigins, c.AllowedOrigins)
	api.Assign(&p.EnableStrictOriginEnforcement, c.EnableStrictOriginEnforcement)
	p.FillDefaults()
	return p.Validate()
}

type createPlaybackRestrictionPolicyRequest struct {
	policySettings
	Tags resource.Tags `json:"tags" shape:"Tags"`
}

type playbackRestrictionPolicyResponse struct {
	PlaybackRestrictionPolicy resource.PlaybackRestrictionPolicy `json:"playbackRestrictionPolicy"`
}

func (s *service) createPlaybackRestrictionPolicy(ctx context.Context, in *createPlaybackRestrictionPolicyRequest) (*playbackRestrictionPolicyResponse, error) {
	policy := resource.PlaybackRestrictionPolicy{
		ARN:  s.Place.ARN(resource.KindPlaybackRestrictionPolicy, resource.NewID()),
		Tags: in.Tags,
	}
	if err := in.apply(&policy); err != nil {
		return nil, err
	}
	if err := s.Store.CreatePlaybackRestrictionPolicy(ctx, policy); err != nil {
		return nil, err
	}
	return &playbackRestrictionPolicyResponse{policy}, nil
}

type playbackRestrictionPolicyRequest struct {
	ARN resource.ARN `json:"arn" shape:"PlaybackRestrictionPolicyArn,required"`
}

func (s *service) getPlaybackRestrictionPolicy(ctx context.Context, in *playbackRestrictionPolicyRequest) (*playbackRestrictionPolicyResponse, error) {
	policy, err := s.Store.PlaybackRestrictionPolicy(ctx, in.ARN)
	if err != nil {
		return nil, err
	}
	return &playbackRestrictionPolicyResponse{policy}, nil
}

type listPlaybackRestrictionPoliciesRequest struct {
	NextToken  string `json:"nextToken" shape:"PaginationToken"`
	MaxResults int    `json:"maxResults" shape:"MaxPlaybackRestrictionPolicyResults"`
}

type listPlaybackRestrictionPoliciesResponse struct {
	PlaybackRestrictionPolicies []resource.PlaybackRestrictionPolicy `json:"playbackRestrictionPolicies"`
	NextToken                   string                               `json:"nextToken,omitempty"`
}

func (s *service) listPlaybackRestrictionPolicies(ctx context.Context, in *listPlaybackRestrictionPoliciesRequest) (*listPlaybackRestrictionPoliciesResponse, error) {
	policies, next, err := api.List(s.Sealer, api.Listing{
		Operation: "ListPlaybackRestrictionPolicies", NextToken: in.NextToken, Size: cmp.Or(in.MaxResults, 1),
	}, func(p resource.Page) ([]resource.PlaybackRestrictionPolicy, string, error) {
		return s.Store.ListPlaybackRestrictionPolicies(ctx, p)
	})
	if err != nil {
		return nil, err
	}
	return &listPlaybackRestrictionPoliciesResponse{policies, next}, nil
}

type updatePlaybackRestrictionPolicyRequest struct {
	ARN resource.ARN `json:"arn" shape:"PlaybackRestrictionPolicyArn,required"`
	policySettings
}

func (s *service) updatePlaybackRestrictionPolicy(ctx context.Context, in *updatePlaybackRestrictionPolicyRequest) (*playbackRestrictionPolicyResponse, error) {
	policy, err := s.Store.UpdatePlaybackRestrictionPolicy(ctx, in.ARN, in.apply)
	if err != nil {
		return nil, err
	}
	return &playbackRestrictionPolicyResponse{policy}, nil
}

func (s *service) deletePlaybackRestrictionPolicy(ctx context.Context, in *playbackRestrictionPolicyRequest) (*api.None, error) {
	return nil, s.Store.DeletePlaybackRestrictionPolicy(ctx, in.ARN)
}
