package lowlatency

import (
	"context"

	"anabranch/internal/resource"
)

type listTagsForResourceRequest struct {
	ARN resource.ARN `json:"resourceArn" shape:"ResourceArn,required,path"`
}

type listTagsForResourceResponse struct {
	Tags resource.Tags `json:"tags"`
}

func (s *service) listTagsForResource(ctx context.Context, in *listTagsForResourceRequest) (*listTagsForResourceResponse, error) {
	tags, err := s.Store.Tags(ctx, in.ARN)
	if err != nil {
		return nil, err
	}
	return &listTagsForResourceResponse{tags}, nil
}

type tagResourceRequest struct {
	ARN  resource.ARN  `json:"resourceArn" shape:"ResourceArn,required,path"`
	Tags resource.Tags `json:"tags" shape:"Tags,required"`
}

func (s *service) tagResource(ctx context.Context, in *tagResourceRequest) (*none, error) {
	return &none{}, s.Store.TagResource(ctx, in.ARN, in.Tags)
}

type untagResourceRequest struct {
	ARN     resource.ARN `json:"resourceArn" shape:"ResourceArn,required,path"`
	TagKeys []string     `json:"tagKeys" shape:"TagKeyList,required,query"`
}

func (s *service) untagResource(ctx context.Context, in *untagResourceRequest) (*none, error) {
	return &none{}, s.Store.UntagResource(ctx, in.ARN, in.TagKeys)
}
