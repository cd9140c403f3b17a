package realtime

import (
	"cmp"
	"context"

	"anabranch/internal/api"
	"anabranch/internal/resource"
)

type stageSessionRequest struct {
	StageARN  resource.ARN `json:"stageArn" shape:"StageArn,required"`
	SessionID string       `json:"sessionId" shape:"StageSessionId,required"`
}

type stageSessionResponse struct {
	StageSession resource.StageSession `json:"stageSession"`
}

func (s *service) getStageSession(ctx context.Context, in *stageSessionRequest) (*stageSessionResponse, error) {
	session, err := s.Store.StageSession(ctx, in.StageARN, in.SessionID)
	if err != nil {
		return nil, err
	}
	return &stageSessionResponse{tellStageSession(&session)}, nil
}

// tellStageSession is a session with its times as the API tells them.
func tellStageSession(session *resource.StageSession) resource.StageSession {
	told := *session
	told.Start = resource.Time(told.Start)
	if told.End != nil {
		told.End = new(resource.Time(*told.End))
	}
	return told
}

type listStageSessionsRequest struct {
	StageARN   resource.ARN `json:"stageArn" shape:"StageArn,required"`
	NextToken  string       `json:"nextToken" shape:"PaginationToken"`
	MaxResults int          `json:"maxResults" shape:"MaxStageSessionResults"`
}

type listStageSessionsResponse struct {
	StageSessions []resource.StageSession `json:"stageSessions"`
	NextToken     string                  `json:"nextToken,omitempty"`
}

func (s *service) listStageSessions(ctx context.Context, in *listStageSessionsRequest) (*listStageSessionsResponse, error) {
	sessions, next, err := api.List(s.Sealer, api.Listing{
		Operation: "ListStageSessions", Query: in.StageARN, NextToken: in.NextToken, Size: cmp.Or(in.MaxResults, 50),
	}, func(p resource.Page) ([]resource.StageSession, string, error) {
		return s.Store.ListStageSessions(ctx, in.StageARN, p)
	})
	if err != nil {
		return nil, err
	}
	return &listStageSessionsResponse{api.Tell(sessions, tellStageSession), next}, nil
}
