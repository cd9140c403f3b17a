package lowlatency

import (
	"cmp"
	"context"

	"anabranch/internal/api"
	"anabranch/internal/resource"
)

type importPlaybackKeyPairRequest struct {
	PublicKeyMaterial string        `json:"publicKeyMaterial" shape:"PlaybackPublicKeyMaterial,required"`
	Name              string        `json:"name" shape:"PlaybackKeyPairName"`
	Tags              resource.Tags `json:"tags" shape:"Tags"`
}

type playbackKeyPairResponse struct {
	KeyPair resource.PlaybackKeyPair `json:"keyPair"`
}

func (s *service) importPlaybackKeyPair(ctx context.Context, in *importPlaybackKeyPairRequest) (*playbackKeyPairResponse, error) {
	pair, err := resource.NewPlaybackKeyPair(s.Place, in.Name, in.PublicKeyMaterial, in.Tags)
	if err != nil {
		return nil, err
	}
	if err := s.Store.ImportPlaybackKeyPair(ctx, pair); err != nil {
		return nil, err
	}
	return &playbackKeyPairResponse{pair}, nil
}

type playbackKeyPairRequest struct {
	ARN resource.ARN `json:"arn" shape:"PlaybackKeyPairArn,required"`
}

func (s *service) getPlaybackKeyPair(ctx context.Context, in *playbackKeyPairRequest) (*playbackKeyPairResponse, error) {
	pair, err := s.Store.PlaybackKeyPair(ctx, in.ARN)
	if err != nil {
		return nil, err
	}
	return &playbackKeyPairResponse{pair}, nil
}

type listPlaybackKeyPairsRequest struct {
	NextToken  string `json:"nextToken" shape:"PaginationToken"`
	MaxResults int    `json:"maxResults" shape:"MaxPlaybackKeyPairResults"`
}

type listPlaybackKeyPairsResponse struct {
	KeyPairs  []playbackKeyPairSummary `json:"keyPairs"`
	NextToken string                   `json:"nextToken,omitempty"`
}

// playbackKeyPairSummary is a playback key pair as a list tells it: without its
// fingerprint.
type playbackKeyPairSummary struct {
	ARN  resource.ARN  `json:"arn"`
	Name string        `json:"name"`
	Tags resource.Tags `json:"tags"`
}

func (s *service) listPlaybackKeyPairs(ctx context.Context, in *listPlaybackKeyPairsRequest) (*listPlaybackKeyPairsResponse, error) {
	pairs, next, err := api.List(s.Sealer, api.Listing{
		Operation: "ListPlaybackKeyPairs", NextToken: in.NextToken, Size: cmp.Or(in.MaxResults, 100),
	}, func(p resource.Page) ([]resource.PlaybackKeyPair, string, error) {
		return s.Store.ListPlaybackKeyPairs(ctx, p)
	})
	if err != nil {
		return nil, err
	}
	return &listPlaybackKeyPairsResponse{api.Tell(pairs, func(pair *resource.PlaybackKeyPair) playbackKeyPairSummary {
		return playbackKeyPairSummary{pair.ARN, pair.Name, pair.Tags}
	}), next}, nil
}

func (s *service) deletePlaybackKeyPair(ctx context.Context, in *playbackKeyPairRequest) (*api.None, error) {
	return &api.None{}, s.Store.DeletePlaybackKeyPair(ctx, in.ARN)
}
