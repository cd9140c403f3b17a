package realtime

import (
	"cmp"
	"context"

	"anabranch/internal/api"
	"anabranch/internal/resource"
)

type importPublicKeyRequest struct {
	PublicKeyMaterial string        `json:"publicKeyMaterial" shape:"PublicKeyMaterial,required"`
	Name              string        `json:"name" shape:"PublicKeyName"`
	Tags              resource.Tags `json:"tags" shape:"Tags"`
}

type publicKeyResponse struct {
	PublicKey resource.PublicKey `json:"publicKey"`
}

func (s *service) importPublicKey(ctx context.Context, in *importPublicKeyRequest) (*publicKeyResponse, error) {
	key, err := resource.NewPublicKey(s.Place, in.Name, in.PublicKeyMaterial, in.Tags)
	if err != nil {
		return nil, err
	}
	if err := s.Store.ImportPublicKey(ctx, key); err != nil {
		return nil, err
	}
	return &publicKeyResponse{key}, nil
}

type publicKeyRequest struct {
	ARN resource.ARN `json:"arn" shape:"PublicKeyArn,required"`
}

func (s *service) getPublicKey(ctx context.Context, in *publicKeyRequest) (*publicKeyResponse, error) {
	key, err := s.Store.PublicKey(ctx, in.ARN)
	if err != nil {
		return nil, err
	}
	return &publicKeyResponse{key}, nil
}

type listPublicKeysRequest struct {
	NextToken  string `json:"nextToken" shape:"PaginationToken"`
	MaxResults int    `json:"maxResults" shape:"MaxPublicKeyResults"`
}

type listPublicKeysResponse struct {
	PublicKeys []publicKeySummary `json:"publicKeys"`
	NextToken  string             `json:"nextToken,omitempty"`
}

// publicKeySummary is a public key as a list tells it: without the key.
type publicKeySummary struct {
	ARN  resource.ARN  `json:"arn"`
	Name string        `json:"name"`
	Tags resource.Tags `json:"tags"`
}

func (s *service) listPublicKeys(ctx context.Context, in *listPublicKeysRequest) (*listPublicKeysResponse, error) {
	keys, next, err := api.List(s.Sealer, api.Listing{
		Operation: "ListPublicKeys", NextToken: in.NextToken, Size: cmp.Or(in.MaxResults, 50),
	}, func(p resource.Page) ([]resource.PublicKey, string, error) { return s.Store.ListPublicKeys(ctx, p) })
	if err != nil {
		return nil, err
	}
	return &listPublicKeysResponse{api.Tell(keys, func(key *resource.PublicKey) publicKeySummary {
		return publicKeySummary{key.ARN, key.Name, key.Tags}
	}), next}, nil
}

func (s *service) deletePublicKey(ctx context.Context, in *publicKeyRequest) (*api.None, error) {
	return &api.None{}, s.Store.DeletePublicKey(ctx, in.ARN)
}
