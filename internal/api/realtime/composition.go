package realtime

import (
	"cmp"
	"context"

	"anabranch/internal/api"
	"anabranch/internal/resource"
)

type startCompositionRequest struct {
	StageARN         resource.ARN  `json:"stageArn" shape:"StageArn,required"`
	IdempotencyToken string        `json:"idempotencyToken" shape:"CompositionClientToken"`
	Layout           layout        `json:"layout"`
	Destinations     []destination `json:"destinations" shape:"DestinationConfigurationList,required"`
	Tags             resource.Tags `json:"tags" shape:"Tags"`
}

// layout says where participants are in the picture.
type layout struct {
	Grid *struct {
		FeaturedParticipantAttribute string `json:"featuredParticipantAttribute" shape:"AttributeKey"`
		OmitStoppedVideo             bool   `json:"omitStoppedVideo"`
		VideoAspectRatio             string `json:"videoAspectRatio" shape:"VideoAspectRatio"`
		VideoFillMode                string `json:"videoFillMode" shape:"VideoFillMode"`
		GridGap                      int    `json:"gridGap" shape:"GridGap"`
		ParticipantOrderAttribute    string `json:"participantOrderAttribute" shape:"AttributeKey"`
	} `json:"grid"`
	PiP *struct {
		FeaturedParticipantAttribute string `json:"featuredParticipantAttribute" shape:"AttributeKey"`
		OmitStoppedVideo             bool   `json:"omitStoppedVideo"`
		VideoFillMode                string `json:"videoFillMode" shape:"VideoFillMode"`
		GridGap                      int    `json:"gridGap" shape:"GridGap"`
		PiPParticipantAttribute      string `json:"pipParticipantAttribute" shape:"AttributeKey"`
		PiPBehavior                  string `json:"pipBehavior" shape:"PipBehavior"`
		PiPOffset                    int    `json:"pipOffset" shape:"PipOffset"`
		PiPPosition                  string `json:"pipPosition" shape:"PipPosition"`
		PiPWidth                     int    `json:"pipWidth" shape:"PipWidth"`
		PiPHeight                    int    `json:"pipHeight" shape:"PipHeight"`
		ParticipantOrderAttribute    string `json:"participantOrderAttribute" shape:"AttributeKey"`
	} `json:"pip"`
}

// destination says where a composition goes.
type destination struct {
	Name    string `json:"name" shape:"DestinationConfigurationName"`
	Channel *struct {
		ChannelARN              resource.ARN `json:"channelArn" shape:"ChannelArn,required"`
		EncoderConfigurationARN resource.ARN `json:"encoderConfigurationArn" shape:"EncoderConfigurationArn"`
	} `json:"channel"`
	S3 *struct {
		StorageConfigurationARN  resource.ARN   `json:"storageConfigurationArn" shape:"StorageConfigurationArn,required"`
		EncoderConfigurationARNs []resource.ARN `json:"encoderConfigurationArns" shape:"EncoderConfigurationArnList,required"`
		Recording                struct {
			HLS struct {
				TargetSegmentDurationSeconds int `json:"targetSegmentDurationSeconds" shape:"CompositionRecordingTargetSegmentDurationSeconds"`
			} `json:"hlsConfiguration"`
			Format string `json:"format" shape:"RecordingConfigurationFormat"`
		} `json:"recordingConfiguration"`
		Thumbnails []struct {
			TargetIntervalSeconds int      `json:"targetIntervalSeconds" shape:"ThumbnailIntervalSeconds"`
			Storage               []string `json:"storage" shape:"ThumbnailStorageTypeList"`
		} `json:"thumbnailConfigurations" shape:"CompositionThumbnailConfigurationList"`
	} `json:"s3"`
}

// compositionResponse is the answer of those that would tell a composition.
type compositionResponse struct {
	Composition api.None `json:"composition"`
}

func (s *service) startComposition(ctx context.Context, in *startCompositionRequest) (*compositionResponse, error) {
	if in.Layout.Grid != nil && in.Layout.PiP != nil {
		return nil, resource.Errorf(resource.Invalid, "layout: must be either grid or pip")
	}
	for i, d := range in.Destinations {
		if (d.Channel == nil) == (d.S3 == nil) {
			return nil, resource.Errorf(resource.Invalid, "destinations[%d]: must be either channel or s3", i)
		}
	}
	if _, err := s.Store.Stage(ctx, in.StageARN); err != nil {
		return nil, err
	}
	return nil, api.NotImplemented("StartComposition")
}

type compositionRequest struct {
	ARN resource.ARN `json:"arn" shape:"CompositionArn,required"`
}

func (s *service) getComposition(_ context.Context, in *compositionRequest) (*compositionResponse, error) {
	return nil, resource.NotFoundError(in.ARN)
}

type listCompositionsRequest struct {
	StageARN                resource.ARN `json:"filterByStageArn" shape:"StageArn"`
	EncoderConfigurationARN resource.ARN `json:"filterByEncoderConfigurationArn" shape:"EncoderConfigurationArn"`
	NextToken               string       `json:"nextToken" shape:"PaginationToken"`
	MaxResults              int          `json:"maxResults" shape:"MaxCompositionResults"`
}

type listCompositionsResponse struct {
	Compositions []api.None `json:"compositions"`
	NextToken    string     `json:"nextToken,omitempty"`
}

func (s *service) listCompositions(_ context.Context, in *listCompositionsRequest) (*listCompositionsResponse, error) {
	compositions, next, err := api.List(s.Sealer, api.Listing{
		Operation: "ListCompositions", Query: []resource.ARN{in.StageARN, in.EncoderConfigurationARN},
		NextToken: in.NextToken, Size: cmp.Or(in.MaxResults, 100),
	}, nothing)
	if err != nil {
		return nil, err
	}
	return &listCompositionsResponse{compositions, next}, nil
}

func (s *service) stopComposition(_ context.Context, in *compositionRequest) (*api.None, error) {
	return nil, resource.NotFoundError(in.ARN)
}
