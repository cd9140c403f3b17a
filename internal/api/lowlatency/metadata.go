package lowlatency

import (
	"context"

	"anabranch/internal/api"
	"anabranch/internal/resource"
)

// maxMetadata is how long metadata may be, in bytes of UTF-8.
const maxMetadata = 1024

type putMetadataRequest struct {
	ChannelARN resource.ARN `json:"channelArn" shape:"ChannelArn,required"`
	Metadata   string       `json:"metadata" shape:"StreamMetadata,required"`
}

func (s *service) putMetadata(ctx context.Context, in *putMetadataRequest) (*api.None, error) {
	if n := len(in.Metadata); n > maxMetadata {
		return nil, resource.Errorf(resource.Invalid, "metadata: has %d bytes, at most %d are taken", n, maxMetadata)
	}
	if _, err := s.Store.Channel(ctx, in.ChannelARN); err != nil {
		return nil, err
	}
	if err := s.OnAir.PutMetadata(in.ChannelARN, in.Metadata); err != nil {
		return nil, err
	}
	return &api.None{}, nil
}
