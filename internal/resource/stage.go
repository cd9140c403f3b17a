package resource

import (
	"slices"
	"time"
)

// Stage is a room whose participants see and hear each other in real time.
type Stage struct {
	ARN ARN `json:"arn"`
	// Name need not be unique; up to 128 characters.
	Name string `json:"name"`
	// ActiveSessionID names the session that runs; empty when nobody is there.
	ActiveSessionID string               `json:"activeSessionId,omitempty"`
	Tags            Tags                 `json:"tags"`
	Recording       ParticipantRecording `json:"autoParticipantRecordingConfiguration"`
	Endpoints       *StageEndpoints      `json:"endpoints,omitempty"`
}

// StageEndpoints are the URLs where participants reach a stage.
type StageEndpoints struct {
	Events string `json:"events"`
	WHIP   string `json:"whip"`
	RTMP   string `json:"rtmp"`
	RTMPS  string `json:"rtmps"`
}

// ID is the last part of the stage's ARN: the topic of its participants' tokens.
func (s *Stage) ID() string { return s.ARN.ID() }

// FillDefaults sets every member left empty to its documented default.
func (s *Stage) FillDefaults() {
	s.Recording.FillDefaults()
	if s.Tags == nil {
		s.Tags = Tags{}
	}
}

// ParticipantRecording says whether and how each participant that publishes is
// recorded. Every member has a value, also when nothing is recorded.
type ParticipantRecording struct {
	// StorageConfigurationARN says where to; empty: nothing is recorded.
	StorageConfigurationARN ARN                  `json:"storageConfigurationArn"`
	MediaTypes              []string             `json:"mediaTypes"` // one of AUDIO_VIDEO, AUDIO_ONLY and NONE
	Thumbnail               ParticipantThumbnail `json:"thumbnailConfiguration"`
	ReconnectWindowSeconds  int                  `json:"recordingReconnectWindowSeconds"` // 0–300
	HLS                     ParticipantHLS       `json:"hlsConfiguration"`
	RecordReplicas          *bool                `json:"recordParticipantReplicas"`
}

// ParticipantThumbnail says which stills of a participant are kept.
type ParticipantThumbnail struct {
	TargetIntervalSeconds int      `json:"targetIntervalSeconds"` // 1–86,400
	Storage               []string `json:"storage"`               // SEQUENTIAL, LATEST
	RecordingMode         string   `json:"recordingMode"`         // INTERVAL or DISABLED
}

// ParticipantHLS says how a participant's recording is cut.
type ParticipantHLS struct {
	TargetSegmentDurationSeconds int `json:"targetSegmentDurationSeconds"` // 2–10
}

// On says whether participants are recorded.
func (r *ParticipantRecording) On() bool { return r.StorageConfigurationARN != "" }

// Records says whether there is something to write: participants are recorded,
// and media, thumbnails or both are kept of them.
func (r *ParticipantRecording) Records() bool {
	return r.On() && (!slices.Contains(r.MediaTypes, "NONE") || r.Thumbnail.RecordingMode == "INTERVAL")
}

// ReconnectWindow is how long a recording waits for its participant's return.
func (r *ParticipantRecording) ReconnectWindow() time.Duration {
	return time.Duration(r.ReconnectWindowSeconds) * time.Second
}

// FillDefaults sets every member left empty to its documented default, and all
// of them when nothing is recorded: the rest says how a recording is made.
func (r *ParticipantRecording) FillDefaults() {
	if !r.On() {
		*r = ParticipantRecording{}
	}
	if len(r.MediaTypes) == 0 {
		r.MediaTypes = []string{"AUDIO_VIDEO"}
	}
	if r.Thumbnail.TargetIntervalSeconds == 0 {
		r.Thumbnail.TargetIntervalSeconds = 60
	}
	if len(r.Thumbnail.Storage) == 0 {
		r.Thumbnail.Storage = []string{"SEQUENTIAL"}
	}
	if r.Thumbnail.RecordingMode == "" {
		r.Thumbnail.RecordingMode = "DISABLED"
	}
	if r.HLS.TargetSegmentDurationSeconds == 0 {
		r.HLS.TargetSegmentDurationSeconds = 6
	}
	if r.RecordReplicas == nil {
		r.RecordReplicas = new(true)
	}
}

// StageSession is a stage's life from its first participant's coming to a
// while after its last one's leaving. While End is nil it runs.
type StageSession struct {
	ID    string     `json:"sessionId"`
	Stage ARN        `json:"-"`
	Start time.Time  `json:"startTime"`
	End   *time.Time `json:"endTime,omitempty"`
}

// NewStageSessionID returns "st-" and 13 letters and digits.
func NewStageSessionID() string { return "st-" + RandomID(13) }
