package lowlatency

import (
	"cmp"
	"context"

	"anabranch/internal/api"
	"anabranch/internal/resource"
)

type createRecordingConfigurationRequest struct {
	Name        string `json:"name" shape:"RecordingConfigurationName"`
	Destination struct {
		S3 *struct {
			BucketName string `json:"bucketName" shape:"S3DestinationBucketName,required"`
		} `json:"s3"`
	} `json:"destinationConfiguration" shape:",required"`
	ReconnectWindowSeconds int `json:"recordingReconnectWindowSeconds" shape:"RecordingReconnectWindowSeconds"`
	Thumbnail              struct {
		RecordingMode         string   `json:"recordingMode" shape:"RecordingMode"`
		TargetIntervalSeconds int      `json:"targetIntervalSeconds" shape:"TargetIntervalSeconds"`
		Resolution            string   `json:"resolution" shape:"ThumbnailConfigurationResolution"`
		Storage               []string `json:"storage" shape:"ThumbnailConfigurationStorageList"`
	} `json:"thumbnailConfiguration"`
	Rendition struct {
		Selection  string   `json:"renditionSelection" shape:"RenditionConfigurationRenditionSelection"`
		Renditions []string `json:"renditions" shape:"RenditionConfigurationRenditionList"`
	} `json:"renditionConfiguration"`
	Tags resource.Tags `json:"tags" shape:"Tags"`
}

type recordingConfigurationResponse struct {
	RecordingConfiguration resource.RecordingConfiguration `json:"recordingConfiguration"`
}

// createRecordingConfiguration answers before anybody looked at the bucket:
// the configuration becomes ACTIVE or CREATE_FAILED soon.
func (s *service) createRecordingConfiguration(ctx context.Context, in *createRecordingConfigurationRequest) (*recordingConfigurationResponse, error) {
	rc := resource.RecordingConfiguration{
		ARN:                    s.Place.ARN(resource.KindRecordingConfiguration, resource.NewID()),
		Name:                   in.Name,
		State:                  resource.Creating,
		Tags:                   in.Tags,
		ReconnectWindowSeconds: in.ReconnectWindowSeconds,
		Thumbnail: resource.ThumbnailConfiguration{
			RecordingMode:         in.Thumbnail.RecordingMode,
			TargetIntervalSeconds: in.Thumbnail.TargetIntervalSeconds,
			Resolution:            in.Thumbnail.Resolution,
			Storage:               in.Thumbnail.Storage,
		},
		Rendition: resource.RenditionConfiguration{Selection: in.Rendition.Selection, Renditions: in.Rendition.Renditions},
	}
	if s3 := in.Destination.S3; s3 != nil {
		rc.Destination.S3 = &resource.S3DestinationConfiguration{BucketName: s3.BucketName}
	}
	if err := rc.Validate(); err != nil {
		return nil, err
	}
	rc.FillDefaults()
	if err := s.Store.CreateRecordingConfiguration(ctx, rc); err != nil {
		return nil, err
	}
	s.ConfigurationCreated()
	return &recordingConfigurationResponse{rc}, nil
}

type recordingConfigurationRequest struct {
	ARN resource.ARN `json:"arn" shape:"RecordingConfigurationArn,required"`
}

func (s *service) getRecordingConfiguration(ctx context.Context, in *recordingConfigurationRequest) (*recordingConfigurationResponse, error) {
	rc, err := s.Store.RecordingConfiguration(ctx, in.ARN)
	if err != nil {
		return nil, err
	}
	return &recordingConfigurationResponse{rc}, nil
}

type listRecordingConfigurationsRequest struct {
	NextToken  string `json:"nextToken" shape:"PaginationToken"`
	MaxResults int    `json:"maxResults" shape:"MaxRecordingConfigurationResults"`
}

type listRecordingConfigurationsResponse struct {
	RecordingConfigurations []recordingConfigurationSummary `json:"recordingConfigurations"`
	NextToken               string                          `json:"nextToken,omitempty"`
}

// recordingConfigurationSummary is a recording configuration as a list tells it.
type recordingConfigurationSummary struct {
	ARN         resource.ARN                         `json:"arn"`
	Name        string                               `json:"name"`
	Destination resource.DestinationConfiguration    `json:"destinationConfiguration"`
	State       resource.RecordingConfigurationState `json:"state"`
	Tags        resource.Tags                        `json:"tags"`
}

func (s *service) listRecordingConfigurations(ctx context.Context, in *listRecordingConfigurationsRequest) (*listRecordingConfigurationsResponse, error) {
	list, next, err := api.List(s.Sealer, api.Listing{
		Operation: "ListRecordingConfigurations", NextToken: in.NextToken, Size: cmp.Or(in.MaxResults, 100),
	}, func(p resource.Page) ([]resource.RecordingConfiguration, string, error) {
		return s.Store.ListRecordingConfigurations(ctx, p)
	})
	if err != nil {
		return nil, err
	}
	return &listRecordingConfigurationsResponse{api.Tell(list, func(rc *resource.RecordingConfiguration) recordingConfigurationSummary {
		return recordingConfigurationSummary{rc.ARN, rc.Name, rc.Destination, rc.State, rc.Tags}
	}), next}, nil
}

func (s *service) deleteRecordingConfiguration(ctx context.Context, in *recordingConfigurationRequest) (*api.None, error) {
	return nil, s.Store.DeleteRecordingConfiguration(ctx, in.ARN)
}
