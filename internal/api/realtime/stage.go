package realtime

import (
	"cmp"
	"context"

	"anabranch/internal/api"
	"anabranch/internal/resource"
)

// recordingSettings are what callers choose of how participants are recorded;
// nil are those that were not given.
type recordingSettings struct {
	StorageConfigurationARN resource.ARN `json:"storageConfigurationArn" shape:"AutoParticipantRecordingStorageConfigurationArn,required"`
	MediaTypes              *[]string    `json:"mediaTypes" shape:"ParticipantRecordingMediaTypeList"`
	Thumbnail               struct {
		TargetIntervalSeconds *int      `json:"targetIntervalSeconds" shape:"ThumbnailIntervalSeconds"`
		Storage               *[]string `json:"storage" shape:"ThumbnailStorageTypeList"`
		RecordingMode         *string   `json:"recordingMode" shape:"ThumbnailRecordingMode"`
	} `json:"thumbnailConfiguration"`
	ReconnectWindowSeconds *int `json:"recordingReconnectWindowSeconds" shape:"ParticipantRecordingReconnectWindowSeconds"`
	HLS                    struct {
		TargetSegmentDurationSeconds *int `json:"targetSegmentDurationSeconds" shape:"ParticipantRecordingTargetSegmentDurationSeconds"`
	} `json:"hlsConfiguration"`
	RecordReplicas *bool `json:"recordParticipantReplicas"`
}

// apply changes r to what was given and leaves the rest as it is, but for no
// storage configuration: that sets all back.
func (c *recordingSettings) apply(r *resource.ParticipantRecording) {
	r.StorageConfigurationARN = c.StorageConfigurationARN
	api.Assign(&r.MediaTypes, c.MediaTypes)
	api.Assign(&r.Thumbnail.TargetIntervalSeconds, c.Thumbnail.TargetIntervalSeconds)
	api.Assign(&r.Thumbnail.Storage, c.Thumbnail.Storage)
	api.Assign(&r.Thumbnail.RecordingMode, c.Thumbnail.RecordingMode)
	api.Assign(&r.ReconnectWindowSeconds, c.ReconnectWindowSeconds)
	api.Assign(&r.HLS.TargetSegmentDurationSeconds, c.HLS.TargetSegmentDurationSeconds)
	if c.RecordReplicas != nil {
		r.RecordReplicas = c.RecordReplicas
	}
}

// stageSettings are the members of a stage that callers choose.
type stageSettings struct {
	Name      *string            `json:"name" shape:"StageName"`
	Recording *recordingSettings `json:"autoParticipantRecordingConfiguration"`
}

func (c *stageSettings) apply(st *resource.Stage) error {
	api.Assign(&st.Name, c.Name)
	if c.Recording != nil {
		c.Recording.apply(&st.Recording)
	}
	st.FillDefaults()
	return nil
}

// complete fills in where the stage is reached.
func (s *service) complete(st *resource.Stage) { st.Endpoints = &s.Endpoints }

type createStageRequest struct {
	stageSettings
	Tokens []tokenSettings `json:"participantTokenConfigurations" shape:"ParticipantTokenConfigurations"`
	Tags   resource.Tags   `json:"tags" shape:"Tags"`
}

type createStageResponse struct {
	Stage  resource.Stage     `json:"stage"`
	Tokens []participantToken `json:"participantTokens"`
}

func (s *service) createStage(ctx context.Context, in *createStageRequest) (*createStageResponse, error) {
	st := resource.Stage{ARN: s.Place.ARN(resource.KindStage, resource.NewID()), Tags: in.Tags}
	if err := in.apply(&st); err != nil {
		return nil, err
	}
	tokens := make([]participantToken, len(in.Tokens))
	for i := range in.Tokens {
		var err error
		if tokens[i], err = s.mint(st.ARN, &in.Tokens[i], indexed("participantTokenConfigurations", i)); err != nil {
			return nil, err
		}
	}
	if err := s.Store.CreateStage(ctx, st); err != nil {
		return nil, err
	}
	s.complete(&st)
	return &createStageResponse{st, tokens}, nil
}

type stageRequest struct {
	ARN resource.ARN `json:"arn" shape:"StageArn,required"`
}

type stageResponse struct {
	Stage resource.Stage `json:"stage"`
}

func (s *service) getStage(ctx context.Context, in *stageRequest) (*stageResponse, error) {
	st, err := s.Store.Stage(ctx, in.ARN)
	if err != nil {
		return nil, err
	}
	s.complete(&st)
	return &stageResponse{st}, nil
}

type listStagesRequest struct {
	NextToken  string `json:"nextToken" shape:"PaginationToken"`
	MaxResults int    `json:"maxResults" shape:"MaxStageResults"`
}

type listStagesResponse struct {
	Stages    []stageSummary `json:"stages"`
	NextToken string         `json:"nextToken,omitempty"`
}

// stageSummary is a stage as a list tells it.
type stageSummary struct {
	ARN             resource.ARN  `json:"arn"`
	Name            string        `json:"name"`
	ActiveSessionID string        `json:"activeSessionId,omitempty"`
	Tags            resource.Tags `json:"tags"`
}

func (s *service) listStages(ctx context.Context, in *listStagesRequest) (*listStagesResponse, error) {
	stages, next, err := api.List(s.Sealer, api.Listing{
		Operation: "ListStages", NextToken: in.NextToken, Size: cmp.Or(in.MaxResults, 50),
	}, func(p resource.Page) ([]resource.Stage, string, error) { return s.Store.ListStages(ctx, p) })
	if err != nil {
		return nil, err
	}
	return &listStagesResponse{api.Tell(stages, func(st *resource.Stage) stageSummary {
		return stageSummary{st.ARN, st.Name, st.ActiveSessionID, st.Tags}
	}), next}, nil
}

type updateStageRequest struct {
	ARN resource.ARN `json:"arn" shape:"StageArn,required"`
	stageSettings
}

func (s *service) updateStage(ctx context.Context, in *updateStageRequest) (*stageResponse, error) {
	st, err := s.Store.UpdateStage(ctx, in.ARN, in.apply)
	if err != nil {
		return nil, err
	}
	s.complete(&st)
	return &stageResponse{st}, nil
}

func (s *service) deleteStage(ctx context.Context, in *stageRequest) (*api.None, error) {
	if err := s.Store.DeleteStage(ctx, in.ARN); err != nil {
		return nil, err
	}
	s.Rooms.Deleted(in.ARN)
	return &api.None{}, nil
}
