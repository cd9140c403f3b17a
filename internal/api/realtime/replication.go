package realtime

import (
	"cmp"
	"context"

	"anabranch/internal/api"
	"anabranch/internal/resource"
)

// replicationRequest says which participant is shown in which other stage.
type replicationRequest struct {
	SourceStageARN      resource.ARN `json:"sourceStageArn" shape:"StageArn,required"`
	DestinationStageARN resource.ARN `json:"destinationStageArn" shape:"StageArn,required"`
	ParticipantID       string       `json:"participantId" shape:"ParticipantId,required"`
}

type startParticipantReplicationRequest struct {
	replicationRequest
	ReconnectWindowSeconds int               `json:"reconnectWindowSeconds" shape:"ReconnectWindowSeconds"`
	Attributes             map[string]string `json:"attributes" shape:"ParticipantAttributes"`
}

func (s *service) startParticipantReplication(ctx context.Context, in *startParticipantReplicationRequest) (*api.None, error) {
	if in.SourceStageARN == in.DestinationStageARN {
		return nil, resource.Errorf(resource.Invalid, "destinationStageArn: must be another stage than sourceStageArn")
	}
	if err := checkAttributes("", in.Attributes); err != nil {
		return nil, err
	}
	for _, arn := range []resource.ARN{in.SourceStageARN, in.DestinationStageARN} {
		if _, err := s.Store.Stage(ctx, arn); err != nil {
			return nil, err
		}
	}
	return nil, api.NotImplemented("StartParticipantReplication")
}

func (s *service) stopParticipantReplication(_ context.Context, in *replicationRequest) (*api.None, error) {
	return nil, resource.Errorf(resource.NotFound, "participant %s of %s is not replicated to %s", in.ParticipantID, in.SourceStageARN, in.DestinationStageARN)
}

type listParticipantReplicasRequest struct {
	SourceStageARN resource.ARN `json:"sourceStageArn" shape:"StageArn,required"`
	ParticipantID  string       `json:"participantId" shape:"ParticipantId,required"`
	NextToken      string       `json:"nextToken" shape:"PaginationToken"`
	MaxResults     int          `json:"maxResults" shape:"MaxParticipantReplicaResults"`
}

type listParticipantReplicasResponse struct {
	Replicas  []api.None `json:"replicas"`
	NextToken string     `json:"nextToken,omitempty"`
}

func (s *service) listParticipantReplicas(_ context.Context, in *listParticipantReplicasRequest) (*listParticipantReplicasResponse, error) {
	replicas, next, err := api.List(s.Sealer, api.Listing{
		Operation: "ListParticipantReplicas", Query: []string{string(in.SourceStageARN), in.ParticipantID},
		NextToken: in.NextToken, Size: cmp.Or(in.MaxResults, 50),
	}, nothing)
	if err != nil {
		return nil, err
	}
	return &listParticipantReplicasResponse{replicas, next}, nil
}

// nothing is the only page of a list that is empty.
func nothing(resource.Page) ([]api.None, string, error) { return []api.None{}, "", nil }
