package lowlatency

import (
	"cmp"
	"context"
	"time"

	"anabranch/internal/api"
	"anabranch/internal/resource"
)

type streamRequest struct {
	ChannelARN resource.ARN `json:"channelArn" shape:"ChannelArn,required"`
}

type streamResponse struct {
	Stream stream `json:"stream"`
}

// stream is a live stream; a list tells it without its playback URL.
type stream struct {
	ChannelARN  resource.ARN          `json:"channelArn"`
	StreamID    string                `json:"streamId"`
	PlaybackURL string                `json:"playbackUrl,omitempty"`
	StartTime   time.Time             `json:"startTime"`
	State       string                `json:"state"` // LIVE
	Health      resource.StreamHealth `json:"health"`
	ViewerCount int                   `json:"viewerCount"`
}

func (s *service) live(session *resource.StreamSession) stream {
	return stream{
		ChannelARN:  session.ChannelARN,
		StreamID:    session.StreamID,
		StartTime:   resource.Time(session.StartTime),
		State:       "LIVE",
		Health:      s.OnAir.Health(session.ChannelARN),
		ViewerCount: s.OnAir.Viewers(session.ChannelARN),
	}
}

func (s *service) getStream(ctx context.Context, in *streamRequest) (*streamResponse, error) {
	session, err := s.Store.LiveStream(ctx, in.ChannelARN)
	if err != nil {
		return nil, err
	}
	live := s.live(&session)
	live.PlaybackURL = s.Endpoints.PlaybackURL(session.ChannelARN.ID())
	return &streamResponse{live}, nil
}

type listStreamsRequest struct {
	FilterBy struct {
		Health resource.StreamHealth `json:"health" shape:"StreamHealth"`
	} `json:"filterBy"`
	NextToken  string `json:"nextToken" shape:"PaginationToken"`
	MaxResults int    `json:"maxResults" shape:"MaxStreamResults"`
}

type listStreamsResponse struct {
	Streams   []stream `json:"streams"`
	NextToken string   `json:"nextToken,omitempty"`
}

func (s *service) listStreams(ctx context.Context, in *listStreamsRequest) (*listStreamsResponse, error) {
	health := in.FilterBy.Health
	streams, next, err := api.List(s.Sealer, api.Listing{
		Operation: "ListStreams", Query: health, NextToken: in.NextToken, Size: cmp.Or(in.MaxResults, 100),
	}, func(p resource.Page) ([]stream, string, error) { return s.streamsInHealth(ctx, health, p) })
	if err != nil {
		return nil, err
	}
	return &listStreamsResponse{streams, next}, nil
}

// streamsInHealth reads a page of the live streams with a health, or with any
// when that is empty. The database does not know health, so it reads on, never
// more than fit into the page, until the page is full or the list at its end.
func (s *service) streamsInHealth(ctx context.Context, health resource.StreamHealth, p resource.Page) ([]stream, string, error) {
	page := make([]stream, 0, p.Size)
	for {
		sessions, next, err := s.Store.ListLiveStreams(ctx, resource.Page{Size: p.Size - len(page), After: p.After})
		if err != nil {
			return nil, "", err
		}
		for i := range sessions {
			if live := s.live(&sessions[i]); health == "" || live.Health == health {
				page = append(page, live)
			}
		}
		if next == "" || len(page) == p.Size {
			return page, next, nil
		}
		p.After = next
	}
}

func (s *service) stopStream(ctx context.Context, in *streamRequest) (*api.None, error) {
	if _, err := s.Store.Channel(ctx, in.ChannelARN); err != nil {
		return nil, err
	}
	if err := s.OnAir.Stop(ctx, in.ChannelARN); err != nil {
		return nil, err
	}
	return &api.None{}, nil
}

type getStreamSessionRequest struct {
	ChannelARN resource.ARN `json:"channelArn" shape:"ChannelArn,required"`
	StreamID   string       `json:"streamId" shape:"StreamId"`
}

type getStreamSessionResponse struct {
	StreamSession resource.StreamSession `json:"streamSession"`
}

func (s *service) getStreamSession(ctx context.Context, in *getStreamSessionRequest) (*getStreamSessionResponse, error) {
	session, err := s.Store.StreamSession(ctx, in.ChannelARN, in.StreamID)
	if err != nil {
		return nil, err
	}
	s.complete(&session.Channel)
	session.StartTime = resource.Time(session.StartTime)
	session.EndTime = wholeSecond(session.EndTime)
	session.TruncatedEvents = api.Tell(session.TruncatedEvents, func(e *resource.StreamEvent) resource.StreamEvent {
		told := *e
		told.EventTime = resource.Time(e.EventTime)
		return told
	})
	return &getStreamSessionResponse{session}, nil
}

type listStreamSessionsRequest struct {
	ChannelARN resource.ARN `json:"channelArn" shape:"ChannelArn,required"`
	NextToken  string       `json:"nextToken" shape:"PaginationToken"`
	MaxResults int          `json:"maxResults" shape:"MaxStreamResults"`
}

type listStreamSessionsResponse struct {
	StreamSessions []streamSessionSummary `json:"streamSessions"`
	NextToken      string                 `json:"nextToken,omitempty"`
}

// streamSessionSummary is a stream session as a list tells it. A live one has
// no end.
type streamSessionSummary struct {
	StreamID      string     `json:"streamId"`
	StartTime     time.Time  `json:"startTime"`
	EndTime       *time.Time `json:"endTime,omitempty"`
	HasErrorEvent bool       `json:"hasErrorEvent"`
}

func (s *service) listStreamSessions(ctx context.Context, in *listStreamSessionsRequest) (*listStreamSessionsResponse, error) {
	sessions, next, err := api.List(s.Sealer, api.Listing{
		Operation: "ListStreamSessions", Query: in.ChannelARN, NextToken: in.NextToken, Size: cmp.Or(in.MaxResults, 100),
	}, func(p resource.Page) ([]resource.StreamSession, string, error) {
		return s.Store.ListStreamSessions(ctx, in.ChannelARN, p)
	})
	if err != nil {
		return nil, err
	}
	return &listStreamSessionsResponse{api.Tell(sessions, func(session *resource.StreamSession) streamSessionSummary {
		return streamSessionSummary{session.StreamID, resource.Time(session.StartTime), wholeSecond(session.EndTime), session.HasErrorEvent}
	}), next}, nil
}

// wholeSecond is t as the API tells times, nil when it has not come.
func wholeSecond(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	cut := resource.Time(*t)
	return &cut
}
