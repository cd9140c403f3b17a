package realtime

import (
	"cmp"
	"context"

	"anabranch/internal/api"
	"anabranch/internal/resource"
)

type createIngestConfigurationRequest struct {
	Name            string                  `json:"name" shape:"IngestConfigurationName"`
	StageARN        resource.ARN            `json:"stageArn" shape:"IngestConfigurationStageArn"`
	UserID          string                  `json:"userId" shape:"UserId"`
	Attributes      map[string]string       `json:"attributes" shape:"ParticipantAttributes"`
	Protocol        resource.IngestProtocol `json:"ingestProtocol" shape:"IngestProtocol,required"`
	InsecureIngest  bool                    `json:"insecureIngest"`
	RedundantIngest bool                    `json:"redundantIngest"`
	Tags            resource.Tags           `json:"tags" shape:"Tags"`
}

type ingestConfigurationResponse struct {
	IngestConfiguration resource.IngestConfiguration `json:"ingestConfiguration"`
}

func (s *service) createIngestConfiguration(ctx context.Context, in *createIngestConfigurationRequest) (*ingestConfigurationResponse, error) {
	if err := checkAttributes("", in.Attributes); err != nil {
		return nil, err
	}
	c, err := resource.NewIngestConfiguration(s.Place, resource.IngestConfiguration{
		Name: in.Name, StageARN: in.StageARN, UserID: in.UserID, Attributes: in.Attributes,
		Protocol: in.Protocol, InsecureIngest: in.InsecureIngest, RedundantIngest: in.RedundantIngest, Tags: in.Tags,
	})
	if err != nil {
		return nil, err
	}
	if err := s.Store.CreateIngestConfiguration(ctx, c); err != nil {
		return nil, err
	}
	return &ingestConfigurationResponse{c}, nil
}

type ingestConfigurationRequest struct {
	ARN resource.ARN `json:"arn" shape:"IngestConfigurationArn,required"`
}

func (s *service) getIngestConfiguration(ctx context.Context, in *ingestConfigurationRequest) (*ingestConfigurationResponse, error) {
	c, err := s.Store.IngestConfiguration(ctx, in.ARN)
	if err != nil {
		return nil, err
	}
	return &ingestConfigurationResponse{c}, nil
}

type listIngestConfigurationsRequest struct {
	StageARN   resource.ARN                      `json:"filterByStageArn" shape:"StageArn"`
	State      resource.IngestConfigurationState `json:"filterByState" shape:"IngestConfigurationState"`
	NextToken  string                            `json:"nextToken" shape:"PaginationToken"`
	MaxResults int                               `json:"maxResults" shape:"MaxIngestConfigurationResults"`
}

type listIngestConfigurationsResponse struct {
	IngestConfigurations []ingestConfigurationSummary `json:"ingestConfigurations"`
	NextToken            string                       `json:"nextToken,omitempty"`
}

// ingestConfigurationSummary is an ingest configuration as a list tells it:
// without its stream keys.
type ingestConfigurationSummary struct {
	ARN             resource.ARN                      `json:"arn"`
	Name            string                            `json:"name"`
	Protocol        resource.IngestProtocol           `json:"ingestProtocol"`
	StageARN        resource.ARN                      `json:"stageArn"`
	ParticipantID   string                            `json:"participantId"`
	State           resource.IngestConfigurationState `json:"state"`
	UserID          string                            `json:"userId"`
	RedundantIngest bool                              `json:"redundantIngest"`
}

func (s *service) listIngestConfigurations(ctx context.Context, in *listIngestConfigurationsRequest) (*listIngestConfigurationsResponse, error) {
	if err := oneFilter(in.StageARN != "", in.State != ""); err != nil {
		return nil, err
	}
	filter := resource.IngestConfigurationFilter{StageARN: in.StageARN, State: in.State}
	list, next, err := api.List(s.Sealer, api.Listing{
		Operation: "ListIngestConfigurations", Query: filter, NextToken: in.NextToken, Size: cmp.Or(in.MaxResults, 50),
	}, func(p resource.Page) ([]resource.IngestConfiguration, string, error) {
		return s.Store.ListIngestConfigurations(ctx, filter, p)
	})
	if err != nil {
		return nil, err
	}
	return &listIngestConfigurationsResponse{api.Tell(list, func(c *resource.IngestConfiguration) ingestConfigurationSummary {
		return ingestConfigurationSummary{c.ARN, c.Name, c.Protocol, c.StageARN, c.ParticipantID, c.State, c.UserID, c.RedundantIngest}
	}), next}, nil
}

type updateIngestConfigurationRequest struct {
	ARN             resource.ARN  `json:"arn" shape:"IngestConfigurationArn,required"`
	StageARN        *resource.ARN `json:"stageArn" shape:"IngestConfigurationStageArn"`
	RedundantIngest *bool         `json:"redundantIngest"`
}

func (s *service) updateIngestConfiguration(ctx context.Context, in *updateIngestConfigurationRequest) (*ingestConfigurationResponse, error) {
	c, err := s.Store.UpdateIngestConfiguration(ctx, in.ARN, func(c *resource.IngestConfiguration) error {
		api.Assign(&c.StageARN, in.StageARN)
		if in.RedundantIngest != nil {
			c.SetRedundant(*in.RedundantIngest)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ingestConfigurationResponse{c}, nil
}

type deleteIngestConfigurationRequest struct {
	ARN   resource.ARN `json:"arn" shape:"IngestConfigurationArn,required"`
	Force bool         `json:"force"`
}

func (s *service) deleteIngestConfiguration(ctx context.Context, in *deleteIngestConfigurationRequest) (*api.None, error) {
	return &api.None{}, s.Store.DeleteIngestConfiguration(ctx, in.ARN, in.Force)
}
