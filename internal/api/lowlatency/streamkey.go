package lowlatency

import (
	"cmp"
	"context"

	"anabranch/internal/api"
	"anabranch/internal/resource"
)

type createStreamKeyRequest struct {
	ChannelARN resource.ARN  `json:"channelArn" shape:"ChannelArn,required"`
	Tags       resource.Tags `json:"tags" shape:"Tags"`
}

type streamKeyResponse struct {
	StreamKey resource.StreamKey `json:"streamKey"`
}

func (s *service) createStreamKey(ctx context.Context, in *createStreamKeyRequest) (*streamKeyResponse, error) {
	key := resource.NewStreamKey(s.Place, in.ChannelARN, in.Tags)
	if err := s.Store.CreateStreamKey(ctx, key); err != nil {
		return nil, err
	}
	return &streamKeyResponse{key}, nil
}

type streamKeyRequest struct {
	ARN resource.ARN `json:"arn" shape:"StreamKeyArn,required"`
}

func (s *service) getStreamKey(ctx context.Context, in *streamKeyRequest) (*streamKeyResponse, error) {
	key, err := s.Store.StreamKey(ctx, in.ARN)
	if err != nil {
		return nil, err
	}
	return &streamKeyResponse{key}, nil
}

type batchGetStreamKeyRequest struct {
	ARNs []resource.ARN `json:"arns" shape:"StreamKeyArnList,required"`
}

type batchGetStreamKeyResponse struct {
	StreamKeys []resource.StreamKey `json:"streamKeys"`
	Errors     []batchError         `json:"errors"`
}

func (s *service) batchGetStreamKey(ctx context.Context, in *batchGetStreamKeyRequest) (*batchGetStreamKeyResponse, error) {
	found, err := s.Store.StreamKeys(ctx, in.ARNs)
	if err != nil {
		return nil, err
	}
	keys, missing := batch(in.ARNs, found, func(key *resource.StreamKey) resource.ARN { return key.ARN })
	return &batchGetStreamKeyResponse{keys, missing}, nil
}

type listStreamKeysRequest struct {
	ChannelARN resource.ARN `json:"channelArn" shape:"ChannelArn,required"`
	NextToken  string       `json:"nextToken" shape:"PaginationToken"`
	MaxResults int          `json:"maxResults" shape:"MaxStreamKeyResults"`
}

type listStreamKeysResponse struct {
	StreamKeys []streamKeySummary `json:"streamKeys"`
	NextToken  string             `json:"nextToken,omitempty"`
}

// streamKeySummary is a stream key as a list tells it: without its value.
type streamKeySummary struct {
	ARN        resource.ARN  `json:"arn"`
	ChannelARN resource.ARN  `json:"channelArn"`
	Tags       resource.Tags `json:"tags"`
}

func (s *service) listStreamKeys(ctx context.Context, in *listStreamKeysRequest) (*listStreamKeysResponse, error) {
	keys, next, err := api.List(s.Sealer, api.Listing{
		Operation: "ListStreamKeys", Query: in.ChannelARN, NextToken: in.NextToken, Size: cmp.Or(in.MaxResults, 1),
	}, func(p resource.Page) ([]resource.StreamKey, string, error) {
		return s.Store.ListStreamKeys(ctx, in.ChannelARN, p)
	})
	if err != nil {
		return nil, err
	}
	return &listStreamKeysResponse{api.Tell(keys, func(key *resource.StreamKey) streamKeySummary {
		return streamKeySummary{key.ARN, key.ChannelARN, key.Tags}
	}), next}, nil
}

func (s *service) deleteStreamKey(ctx context.Context, in *streamKeyRequest) (*api.None, error) {
	return nil, s.Store.DeleteStreamKey(ctx, in.ARN)
}
