// Package recordings shows what was recorded: it lists recordings, serves their
// media to players, and finds out whether they are whole.
//
//	GET /v1/recordings                      which there are
//	GET /v1/recordings/<id>                 one of them
//	GET /v1/recordings/<id>/verify          what is wrong with it, if anything
//	GET /recordings/media/<token>/media/…   what players load of it
//
// The first three are operations of the API, and signed. Those that tell of a
// recording hand out a token with its playback URL, which is good for its media
// alone and for half a day. Playlists name their media by relative URIs, so the
// token, which stands in the path, goes with whatever they lead to.
//
// A recording is a channel's or that of a participant of a stage; what differs in
// their trees is the name of the playlist to begin with, and that only channels'
// have byte-range playlists.
//
// A recording may be in the making. What the database does not know of it then,
// its length above all, the recorder tells.
package recordings

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"time"

	"anabranch/internal/api"
	"anabranch/internal/auth"
	"anabranch/internal/objectstore"
	"anabranch/internal/recorder"
	"anabranch/internal/resource"

	"golang.org/x/sync/semaphore"
)

// Store is what is needed of the database.
type Store interface {
	// ListRecordings lists those that started last first, and returns the
	// position of the next page, empty at the end.
	ListRecordings(ctx context.Context, f resource.RecordingFilter, p resource.Page) ([]resource.Recording, string, error)
	// Recording is NotFound when there is none.
	Recording(ctx context.Context, id string) (resource.Recording, error)
}

// Spool is what is needed of the recorder. It is false for recordings that are
// all in their bucket.
type Spool interface {
	Progress(id string) (recorder.Progress, bool)
	Stored(id string) ([]recorder.Object, bool)
}

// Objects is a store of objects. Its methods may be called from several
// goroutines at once.
type Objects interface {
	Read(ctx context.Context, bucket, key string, want objectstore.Reading) (*objectstore.Piece, error)
	Walk(ctx context.Context, bucket, prefix string, f func(objectstore.Object) bool) error
}

// Config is what a Server is made of.
type Config struct {
	Place     resource.Place
	PublicURL string // what playback URLs begin with, without a slash at the end
	Public    bool   // anybody may list and play
	Store     Store
	Spool     Spool
	Objects   Objects
	Sealer    *auth.Sealer // of page tokens and playback URLs
	Log       *slog.Logger
}

// Server tells of recordings. Its methods may be called from several goroutines
// at once.
type Server struct {
	Config
	reads  reads
	audits *semaphore.Weighted // one for each recording being verified
}

// New makes a Server.
func New(cfg Config) *Server {
	return &Server{Config: cfg, reads: reads{to: make(map[string]int)}, audits: semaphore.NewWeighted(maxAudits)}
}

// Service returns the operations of the API.
func (s *Server) Service() api.Service {
	list := api.NewOperation("ListRecordings", http.StatusOK, s.list).At(http.MethodGet, "/v1/recordings")
	get := api.NewOperation("GetRecording", http.StatusOK, s.get).At(http.MethodGet, "/v1/recordings/{id}")
	verify := api.NewOperation("VerifyRecording", http.StatusOK, s.verify).At(http.MethodGet, "/v1/recordings/{id}/verify").Unhurried()
	if s.Public {
		list, get = list.Public(), get.Public()
	}
	return api.Service{Shapes: shapes, Operations: []api.Operation{list, get, verify}}
}

var shapes = api.Shapes{
	"Channel":         {Min: 1, Max: 128, Pattern: `(arn:aws:ivs:[a-z0-9-]+:[0-9]+:channel/)?[a-zA-Z0-9-]+`},
	"Kind":            {Enum: []string{channels, participants}},
	"MaxResults":      {Min: 1, Max: 100},
	"PaginationToken": {Max: 1024, Pattern: `[a-zA-Z0-9_-]*`},
	"Participant":     {Min: 1, Max: 64, Pattern: `[a-zA-Z0-9-_]*`},
	"RecordingId":     {Min: 12, Max: 12, Pattern: `[a-zA-Z0-9]+`},
	"Stage":           {Min: 1, Max: 128, Pattern: `(arn:aws:ivs:[a-z0-9-]+:[0-9]+:stage/)?[a-zA-Z0-9-]+`},
	"StageSession":    {Min: 16, Max: 16, Pattern: `st-[a-zA-Z0-9]+`},
	"State":           {Enum: []string{"started", "ended", "failed"}},
	"Time":            {Min: 1, Max: 40},
}

// recording is a recording as it is told. What the other kind alone has is left
// out.
type recording struct {
	ID   string `json:"id"`
	Kind string `json:"kind"`

	SessionID       string                   `json:"sessionId,omitempty"`
	ChannelARN      resource.ARN             `json:"channelArn,omitempty"`
	ChannelName     string                   `json:"channelName,omitempty"`
	ContainerFormat resource.ContainerFormat `json:"containerFormat,omitempty"`

	StageARN        resource.ARN `json:"stageArn,omitempty"`
	StageSessionIDs []string     `json:"stageSessionIds,omitempty"` // oldest first; the first is in the prefix
	ParticipantID   string       `json:"participantId,omitempty"`
	UserID          string       `json:"userId,omitempty"`

	State         resource.RecordingState `json:"state"`
	StatusMessage string                  `json:"statusMessage,omitempty"`
	Bucket        string                  `json:"bucket"`
	Prefix        string                  `json:"prefix"`
	StreamIDs     []string                `json:"streamIds"`
	StartedAt     time.Time               `json:"startedAt"`
	EndedAt       time.Time               `json:"endedAt,omitzero"`
	Duration      float64                 `json:"duration"`  // of the media, in seconds
	Fragments     int                     `json:"fragments"` // streams that were merged
	// What players play; empty while the bucket holds no media.
	PlaybackURL          string      `json:"playbackUrl,omitempty"`
	ByteRangePlaybackURL string      `json:"byteRangePlaybackUrl,omitempty"`
	Renditions           []rendition `json:"renditions,omitempty"` // that have media, best first
	// One thumbnail: from the middle of those that are numbered, else the latest.
	ThumbnailURL string `json:"thumbnailUrl,omitempty"`
}

// The kinds of recordings.
const channels, participants = "channel", "participant"

// rendition is one of a recording's renditions as it is told.
type rendition struct {
	Name        string `json:"name"`
	Width       int    `json:"width,omitempty"` // in pixels; left out for sound alone
	Height      int    `json:"height,omitempty"`
	PlaybackURL string `json:"playbackUrl"`
}

// tell is r as it is now.
func (s *Server) tell(r *resource.Recording) recording {
	length, streams, media, playable := r.Duration, r.StreamIDs, r.Media, r.Duration > 0
	p, spooled := s.Spool.Progress(r.ID)
	if spooled {
		length, streams, media, playable = p.Duration, p.Streams, p.Media, p.Playable
	}
	told := recording{
		ID: r.ID, Kind: channels, SessionID: r.SessionID, ChannelARN: r.ChannelARN, ChannelName: r.ChannelName, ContainerFormat: r.ContainerFormat,
		StageARN: r.StageARN, StageSessionIDs: r.StageSessionIDs, ParticipantID: r.ParticipantID, UserID: r.UserID,
		State: r.State, StatusMessage: r.StatusMessage, Bucket: r.Bucket, Prefix: r.Prefix, StreamIDs: streams,
		StartedAt: resource.Time(r.StartedAt), Duration: seconds(length), Fragments: len(streams),
	}
	if r.OfParticipant() {
		told.Kind, told.SessionID = participants, "" // no event names it
	}
	if !r.EndedAt.IsZero() {
		told.EndedAt = resource.Time(r.EndedAt)
	}
	base := s.PublicURL + s.mediaPath(r.ID, time.Now())
	if playable {
		told.PlaybackURL = base + master(r)
		if !r.OfParticipant() && r.State != resource.RecordingStarted && !spooled { // it lags behind until then
			told.ByteRangePlaybackURL = base + byteRangePlaylist
		}
		for _, m := range media.Renditions {
			told.Renditions = append(told.Renditions, rendition{m.Name, m.Width, m.Height, base + "media/hls/" + m.Name + "/playlist.m3u8"})
		}
	}
	if media.Thumbnail != "" {
		told.ThumbnailURL = base + media.Thumbnail
	}
	return told
}

// abandoned says whether there is media of a recording whose length nobody
// knows: its spool was lost while it was being made.
func (s *Server) abandoned(ctx context.Context, r *resource.Recording) bool {
	if _, spooled := s.Spool.Progress(r.ID); spooled || r.State != resource.RecordingFailed || r.Duration > 0 || !s.reads.begin("") {
		return false
	}
	defer s.reads.end("")
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	piece, err := s.Objects.Read(ctx, r.Bucket, r.Prefix+"/"+master(r), objectstore.Reading{HeadOnly: true})
	if err != nil {
		return false
	}
	piece.Body.Close()
	return true
}

const (
	masterPlaylist       = "media/hls/master.m3u8"
	multivariantPlaylist = "media/hls/multivariant.m3u8"
	byteRangePlaylist    = "media/hls/byte-range-multivariant.m3u8"
)

// master is the playlist to begin with.
func master(r *resource.Recording) string {
	if r.OfParticipant() {
		return multivariantPlaylist
	}
	return masterPlaylist
}

type listRequest struct {
	Kind        string `json:"kind" shape:"Kind,query"`
	Channel     string `json:"channel" shape:"Channel,query"` // id or ARN
	Stage       string `json:"stage" shape:"Stage,query"`     // id or ARN
	Session     string `json:"session" shape:"StageSession,query"`
	Participant string `json:"participant" shape:"Participant,query"`
	State       string `json:"state" shape:"State,query"`
	From        string `json:"from" shape:"Time,query"`
	To          string `json:"to" shape:"Time,query"`
	MaxResults  int    `json:"maxResults" shape:"MaxResults,query"`
	NextToken   string `json:"nextToken" shape:"PaginationToken,query"`
}

type listResponse struct {
	Recordings []recording `json:"recordings"`
	NextToken  string      `json:"nextToken,omitempty"`
}

func (s *Server) list(ctx context.Context, in *listRequest) (*listResponse, error) {
	f, err := s.filter(in)
	if err != nil {
		return nil, err
	}
	found, next, err := api.List(s.Sealer, api.Listing{
		Operation: "ListRecordings", Query: f, NextToken: in.NextToken, Size: cmp.Or(in.MaxResults, 100),
	}, func(p resource.Page) ([]resource.Recording, string, error) { return s.Store.ListRecordings(ctx, f, p) })
	if err != nil {
		return nil, err
	}
	out := &listResponse{Recordings: make([]recording, len(found)), NextToken: next}
	for i := range found {
		out.Recordings[i] = s.tell(&found[i])
	}
	return out, nil
}

var states = map[string]resource.RecordingState{
	"": "", "started": resource.RecordingStarted, "ended": resource.RecordingEnded, "failed": resource.RecordingFailed,
}

var kinds = map[string]string{"": "", channels: resource.KindChannel, participants: resource.KindStage}

func (s *Server) filter(in *listRequest) (f resource.RecordingFilter, err error) {
	for _, of := range [][2]string{{"stage", in.Stage}, {"session", in.Session}, {"participant", in.Participant}} {
		switch {
		case of[1] == "":
		case in.Channel != "":
			return f, resource.Errorf(resource.Invalid, "%s: cannot be given with channel", of[0])
		case in.Kind == channels:
			return f, resource.Errorf(resource.Invalid, "%s: cannot be given with kind channel", of[0])
		}
	}
	if in.Channel != "" && in.Kind == participants {
		return f, resource.Errorf(resource.Invalid, "channel: cannot be given with kind participant")
	}
	f.State, f.Kind = states[in.State], kinds[in.Kind]
	f.ChannelARN = s.arn(resource.KindChannel, in.Channel)
	f.StageARN = s.arn(resource.KindStage, in.Stage)
	f.StageSessionID, f.ParticipantID = in.Session, in.Participant
	if f.From, err = parseTime("from", in.From); err != nil {
		return f, err
	}
	f.To, err = parseTime("to", in.To)
	return f, err
}

// arn is that of a resource of a kind, which is given by its id or ARN.
func (s *Server) arn(kind, name string) resource.ARN {
	if arn := resource.ARN(name); name == "" || arn.Kind() != "" {
		return arn
	}
	return s.Place.ARN(kind, name)
}

func parseTime(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, resource.Errorf(resource.Invalid, "%s: must be a time of RFC 3339 such as 2026-03-01T12:00:00Z", name)
	}
	return t.UTC(), nil
}

type getRequest struct {
	ID string `json:"id" shape:"RecordingId,required,path"`
}

type getResponse struct {
	Recording recording `json:"recording"`
}

func (s *Server) get(ctx context.Context, in *getRequest) (*getResponse, error) {
	r, err := s.Store.Recording(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	told := s.tell(&r)
	if told.PlaybackURL == "" && s.abandoned(ctx, &r) {
		told.PlaybackURL = s.PublicURL + s.mediaPath(r.ID, time.Now()) + master(&r)
	}
	return &getResponse{told}, nil
}
