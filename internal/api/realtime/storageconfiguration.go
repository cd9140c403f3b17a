package realtime

import (
	"cmp"
	"context"
	"time"

	"anabranch/internal/api"
	"anabranch/internal/resource"
)

// bucketPatience is how long the look at a new configuration's bucket may take.
const bucketPatience = 20 * time.Second

type createStorageConfigurationRequest struct {
	Name string `json:"name" shape:"StorageConfigurationName"`
	S3   struct {
		BucketName string `json:"bucketName" shape:"S3BucketName,required"`
	} `json:"s3" shape:",required"`
	Tags resource.Tags `json:"tags" shape:"Tags"`
}

type storageConfigurationResponse struct {
	StorageConfiguration resource.StorageConfiguration `json:"storageConfiguration"`
}

// createStorageConfiguration looks at the bucket before it answers: a storage
// configuration has no state that could tell later that it cannot be used.
func (s *service) createStorageConfiguration(ctx context.Context, in *createStorageConfigurationRequest) (*storageConfigurationResponse, error) {
	patience, cancel := context.WithTimeout(ctx, bucketPatience)
	defer cancel()
	err := s.Buckets.Check(patience, in.S3.BucketName)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, resource.Errorf(resource.Invalid, "s3.bucketName: %v", err)
	}
	c := resource.StorageConfiguration{
		ARN:  s.Place.ARN(resource.KindStorageConfiguration, resource.NewID()),
		Name: in.Name,
		S3:   resource.S3StorageConfiguration{BucketName: in.S3.BucketName},
		Tags: in.Tags,
	}
	c.FillDefaults()
	if err := s.Store.CreateStorageConfiguration(ctx, c); err != nil {
		return nil, err
	}
	return &storageConfigurationResponse{c}, nil
}

type storageConfigurationRequest struct {
	ARN resource.ARN `json:"arn" shape:"StorageConfigurationArn,required"`
}

func (s *service) getStorageConfiguration(ctx context.Context, in *storageConfigurationRequest) (*storageConfigurationResponse, error) {
	c, err := s.Store.StorageConfiguration(ctx, in.ARN)
	if err != nil {
		return nil, err
	}
	return &storageConfigurationResponse{c}, nil
}

type listStorageConfigurationsRequest struct {
	NextToken  string `json:"nextToken" shape:"PaginationToken"`
	MaxResults int    `json:"maxResults" shape:"MaxStorageConfigurationResults"`
}

type listStorageConfigurationsResponse struct {
	StorageConfigurations []resource.StorageConfiguration `json:"storageConfigurations"`
	NextToken             string                          `json:"nextToken,omitempty"`
}

func (s *service) listStorageConfigurations(ctx context.Context, in *listStorageConfigurationsRequest) (*listStorageConfigurationsResponse, error) {
	list, next, err := api.List(s.Sealer, api.Listing{
		Operation: "ListStorageConfigurations", NextToken: in.NextToken, Size: cmp.Or(in.MaxResults, 100),
	}, func(p resource.Page) ([]resource.StorageConfiguration, string, error) {
		return s.Store.ListStorageConfigurations(ctx, p)
	})
	if err != nil {
		return nil, err
	}
	return &listStorageConfigurationsResponse{list, next}, nil
}

func (s *service) deleteStorageConfiguration(ctx context.Context, in *storageConfigurationRequest) (*api.None, error) {
	return &api.None{}, s.Store.DeleteStorageConfiguration(ctx, in.ARN)
}
