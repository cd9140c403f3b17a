package realtime

import (
	"cmp"
	"context"
	"time"

	"anabranch/internal/api"
	"anabranch/internal/resource"
)

type participantRequest struct {
	StageARN      resource.ARN `json:"stageArn" shape:"StageArn,required"`
	SessionID     string       `json:"sessionId" shape:"StageSessionId,required"`
	ParticipantID string       `json:"participantId" shape:"ParticipantId,required"`
}

type participantResponse struct {
	Participant resource.Participant `json:"participant"`
}

func (s *service) getParticipant(ctx context.Context, in *participantRequest) (*participantResponse, error) {
	p, err := s.Store.Participant(ctx, in.StageARN, in.SessionID, in.ParticipantID)
	if err != nil {
		return nil, err
	}
	p.FirstJoinTime = resource.Time(p.FirstJoinTime)
	return &participantResponse{p}, nil
}

type listParticipantsRequest struct {
	StageARN       resource.ARN                       `json:"stageArn" shape:"StageArn,required"`
	SessionID      string                             `json:"sessionId" shape:"StageSessionId,required"`
	UserID         string                             `json:"filterByUserId" shape:"UserId"`
	Published      *bool                              `json:"filterByPublished"`
	State          resource.ParticipantState          `json:"filterByState" shape:"ParticipantState"`
	RecordingState resource.ParticipantRecordingState `json:"filterByRecordingState" shape:"ParticipantRecordingFilterByRecordingState"`
	NextToken      string                             `json:"nextToken" shape:"PaginationToken"`
	MaxResults     int                                `json:"maxResults" shape:"MaxParticipantResults"`
}

type listParticipantsResponse struct {
	Participants []participantSummary `json:"participants"`
	NextToken    string               `json:"nextToken,omitempty"`
}

// participantSummary is a participant as a list tells it: without attributes and
// what is known of its client.
type participantSummary struct {
	ID                     string                             `json:"participantId"`
	UserID                 string                             `json:"userId"`
	State                  resource.ParticipantState          `json:"state"`
	FirstJoinTime          time.Time                          `json:"firstJoinTime"`
	Published              bool                               `json:"published"`
	RecordingState         resource.ParticipantRecordingState `json:"recordingState"`
	ReplicationType        resource.ReplicationType           `json:"replicationType"`
	ReplicationState       resource.ReplicationState          `json:"replicationState,omitempty"`
	SourceStageARN         resource.ARN                       `json:"sourceStageArn,omitempty"`
	SourceSessionID        string                             `json:"sourceSessionId,omitempty"`
	RedundantIngest        bool                               `json:"redundantIngest"`
	IngestConfigurationARN resource.ARN                       `json:"ingestConfigurationArn,omitempty"`
}

func (s *service) listParticipants(ctx context.Context, in *listParticipantsRequest) (*listParticipantsResponse, error) {
	if err := oneFilter(in.UserID != "", in.Published != nil, in.State != "", in.RecordingState != ""); err != nil {
		return nil, err
	}
	filter := resource.ParticipantFilter{
		Stage: in.StageARN, SessionID: in.SessionID,
		UserID: in.UserID, Published: in.Published, State: in.State, RecordingState: in.RecordingState,
	}
	participants, next, err := api.List(s.Sealer, api.Listing{
		Operation: "ListParticipants", Query: filter, NextToken: in.NextToken, Size: cmp.Or(in.MaxResults, 50),
	}, func(p resource.Page) ([]resource.Participant, string, error) {
		return s.Store.ListParticipants(ctx, filter, p)
	})
	if err != nil {
		return nil, err
	}
	return &listParticipantsResponse{api.Tell(participants, summarizeParticipant), next}, nil
}

// oneFilter refuses a list that is narrowed by more than one member.
func oneFilter(given ...bool) error {
	filters := 0
	for _, yes := range given {
		if yes {
			filters++
		}
	}
	if filters > 1 {
		return resource.Errorf(resource.Invalid, "the list can be narrowed by one filter only, not by %d", filters)
	}
	return nil
}

func summarizeParticipant(p *resource.Participant) participantSummary {
	return participantSummary{
		ID:                     p.ID,
		UserID:                 p.UserID,
		State:                  p.State,
		FirstJoinTime:          resource.Time(p.FirstJoinTime),
		Published:              p.Published,
		RecordingState:         p.RecordingState,
		ReplicationType:        p.ReplicationType,
		ReplicationState:       p.ReplicationState,
		SourceStageARN:         p.SourceStageARN,
		SourceSessionID:        p.SourceSessionID,
		RedundantIngest:        p.RedundantIngest,
		IngestConfigurationARN: p.IngestConfigurationARN,
	}
}

type listParticipantEventsRequest struct {
	StageARN      resource.ARN `json:"stageArn" shape:"StageArn,required"`
	SessionID     string       `json:"sessionId" shape:"StageSessionId,required"`
	ParticipantID string       `json:"participantId" shape:"ParticipantId,required"`
	NextToken     string       `json:"nextToken" shape:"PaginationToken"`
	MaxResults    int          `json:"maxResults" shape:"MaxParticipantEventResults"`
}

type listParticipantEventsResponse struct {
	Events    []resource.ParticipantEvent `json:"events"`
	NextToken string                      `json:"nextToken,omitempty"`
}

func (s *service) listParticipantEvents(ctx context.Context, in *listParticipantEventsRequest) (*listParticipantEventsResponse, error) {
	events, next, err := api.List(s.Sealer, api.Listing{
		Operation: "ListParticipantEvents", Query: []string{string(in.StageARN), in.SessionID, in.ParticipantID},
		NextToken: in.NextToken, Size: cmp.Or(in.MaxResults, 50),
	}, func(p resource.Page) ([]resource.ParticipantEvent, string, error) {
		return s.Store.ListParticipantEvents(ctx, in.StageARN, in.SessionID, in.ParticipantID, p)
	})
	if err != nil {
		return nil, err
	}
	for i := range events {
		events[i].EventTime = resource.Time(events[i].EventTime)
	}
	return &listParticipantEventsResponse{events, next}, nil
}
