package resource

import "time"

// Event is something that happened to a resource, in EventBridge's envelope.
// It is stored in the transaction that made it true, and delivered from there.
type Event struct {
	ID         string    `json:"id"` // a UUID, made where the event is stored
	DetailType string    `json:"detail-type"`
	Time       time.Time `json:"time"`
	Resource   ARN       `json:"-"`
	// StreamID files the event under a stream session too; may be empty.
	StreamID string `json:"-"`
	// Detail marshals to the envelope's detail object.
	Detail any `json:"detail"`
}

// The detail types of channel events.
const (
	StreamStateChange    = "IVS Stream State Change"
	StreamHealthChange   = "IVS Stream Health Change"
	LimitBreach          = "IVS Limit Breach"
	RecordingStateChange = "IVS Recording State Change"
	AdBreakStateChange   = "IVS Ad Break State Change"
)

// The names of stream state changes.
const (
	SessionCreated = "Session Created"
	StreamStart    = "Stream Start"
	StreamEnd      = "Stream End"
	SessionEnded   = "Session Ended"
	StreamFailure  = "Stream Failure"
)

// The names of stream health changes.
const (
	StarvationStart = "Starvation Start"
	StarvationEnd   = "Starvation End"
)

// The statuses of recording state changes.
const (
	RecordingStart        = "Recording Start"
	RecordingEnd          = "Recording End"
	RecordingStartFailure = "Recording Start Failure"
	RecordingEndFailure   = "Recording End Failure"
)

// AdBreakInserted is the name of an ad break state change.
const AdBreakInserted = "Ad Break Inserted"

// StreamStateDetail is the detail of a stream state or health change.
type StreamStateDetail struct {
	EventName   string `json:"event_name"`
	ChannelName string `json:"channel_name"`
	StreamID    string `json:"stream_id,omitempty"`
	Reason      string `json:"reason,omitempty"`
	Code        string `json:"code,omitempty"`
}

// RecordingStateDetail is the detail of a recording state change.
type RecordingStateDetail struct {
	Status           string   `json:"recording_status"`
	StatusReason     string   `json:"recording_status_reason"`
	BucketName       string   `json:"recording_s3_bucket_name"`
	KeyPrefix        string   `json:"recording_s3_key_prefix"`
	DurationMS       int64    `json:"recording_duration_ms"`
	ChannelName      string   `json:"channel_name"`
	StreamID         string   `json:"stream_id"`
	SessionID        string   `json:"recording_session_id"`
	SessionStreamIDs []string `json:"recording_session_stream_ids"`
}

// AdBreakDetail is the detail of an ad break state change.
type AdBreakDetail struct {
	EventName       string    `json:"event_name"`
	ChannelName     string    `json:"channel_name"`
	StreamID        string    `json:"stream_id"`
	AdBreakID       string    `json:"ad_break_id"`
	DurationSeconds int       `json:"duration_seconds"`
	TargetStartTime time.Time `json:"target_start_time"` // about when it begins, to the second
}

// StageUpdate is the detail type of what happens to a stage's participants.
const StageUpdate = "IVS Stage Update"

// ParticipantRecordingStateChange is the detail type of what happens to the
// recordings of a stage's participants.
const ParticipantRecordingStateChange = "IVS Participant Recording State Change"

// ParticipantRecordingStateDetail is the detail of a participant recording state
// change. Its names are those of a channel's statuses.
type ParticipantRecordingStateDetail struct {
	// SessionID is the session now; that in the prefix is the one it began in.
	SessionID     string             `json:"session_id"`
	EventName     string             `json:"event_name"`
	ParticipantID string             `json:"participant_id"`
	BucketName    string             `json:"recording_s3_bucket_name"`
	KeyPrefix     string             `json:"recording_s3_key_prefix"`
	DurationMS    *int64             `json:"recording_duration_ms,omitempty"` // of one that started, at its end
	ErrorCode     RecordingErrorCode `json:"error_code,omitempty"`            // of a failure
	Reason        string             `json:"reason,omitempty"`                // of a failure
}

// The names of stage updates.
const (
	ParticipantPublished    = "Participant Published"
	ParticipantUnpublished  = "Participant Unpublished"
	ParticipantPublishError = "Participant Publish Error"
)

// StageUpdateDetail is the detail of a stage update.
type StageUpdateDetail struct {
	SessionID        string               `json:"session_id"`
	EventName        string               `json:"event_name"`
	EventTime        time.Time            `json:"event_time"` // to the second
	EventTimePrecise *time.Time           `json:"event_time_precise,omitempty"`
	UserID           string               `json:"user_id"`
	ParticipantID    string               `json:"participant_id"`
	ErrorCode        ParticipantErrorCode `json:"error_code,omitempty"` // of an error
	Replica          bool                 `json:"replica"`
	SourceStageARN   ARN                  `json:"source_stage_arn,omitempty"` // of a replica
	SourceSessionID  string               `json:"source_session_id,omitempty"`
}

// NewStageUpdate is the event that something happened to a participant; code is
// that of an error, otherwise empty.
func NewStageUpdate(p *Participant, name string, at time.Time, code ParticipantErrorCode) Event {
	d := StageUpdateDetail{
		SessionID:       p.SessionID,
		EventName:       name,
		EventTime:       Time(at),
		UserID:          p.UserID,
		ParticipantID:   p.ID,
		ErrorCode:       code,
		Replica:         p.ReplicationType == ReplicationReplica,
		SourceStageARN:  p.SourceStageARN,
		SourceSessionID: p.SourceSessionID,
	}
	if code == "" {
		d.EventTimePrecise = new(at.UTC().Truncate(time.Microsecond))
	}
	return Event{DetailType: StageUpdate, Time: at, Resource: p.Stage, Detail: d}
}
