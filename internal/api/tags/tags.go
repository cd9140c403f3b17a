// Package tags has the three operations on tags. Every model of IVS has them,
// at the same path for all kinds of resource, so one service serves them all.
package tags

import (
	"context"
	"net/http"

	"anabranch/internal/api"
	"anabranch/internal/resource"
)

// Store is what the operations need of the database. Errors that a caller can
// act on are of type [resource.Error].
type Store interface {
	Tags(ctx context.Context, arn resource.ARN) (resource.Tags, error)
	TagResource(ctx context.Context, arn resource.ARN, tags resource.Tags) error
	UntagResource(ctx context.Context, arn resource.ARN, keys []string) error
}

// Service returns the operations.
func Service(store Store) api.Service {
	s := &service{store}
	const path = "/tags/{resourceArn}"
	return api.Service{Shapes: shapes, Operations: []api.Operation{
		api.NewOperation("ListTagsForResource", http.StatusOK, s.list).At(http.MethodGet, path),
		api.NewOperation("TagResource", http.StatusOK, s.tag).At(http.MethodPost, path),
		api.NewOperation("UntagResource", http.StatusOK, s.untag).At(http.MethodDelete, path),
	}}
}

// shapes are those that only these operations have.
var shapes = api.Common.With(api.Shapes{
	// The models' pattern has room for a kind of one letter only.
	"ResourceArn": {Min: 1, Max: 128, Pattern: `arn:aws:ivs:[a-z0-9-]+:[0-9]+:[a-z-]+/[a-zA-Z0-9-]+`},
	"TagKeyList":  {Max: 50, Of: "TagKey"},
})

type service struct{ store Store }

type listRequest struct {
	ARN resource.ARN `json:"resourceArn" shape:"ResourceArn,required,path"`
}

type listResponse struct {
	Tags resource.Tags `json:"tags"`
}

func (s *service) list(ctx context.Context, in *listRequest) (*listResponse, error) {
	tags, err := s.store.Tags(ctx, in.ARN)
	if err != nil {
		return nil, err
	}
	return &listResponse{tags}, nil
}

type tagRequest struct {
	ARN  resource.ARN  `json:"resourceArn" shape:"ResourceArn,required,path"`
	Tags resource.Tags `json:"tags" shape:"Tags,required"`
}

func (s *service) tag(ctx context.Context, in *tagRequest) (*api.None, error) {
	return &api.None{}, s.store.TagResource(ctx, in.ARN, in.Tags)
}

type untagRequest struct {
	ARN     resource.ARN `json:"resourceArn" shape:"ResourceArn,required,path"`
	TagKeys []string     `json:"tagKeys" shape:"TagKeyList,required,query"`
}

func (s *service) untag(ctx context.Context, in *untagRequest) (*api.None, error) {
	return &api.None{}, s.store.UntagResource(ctx, in.ARN, in.TagKeys)
}
