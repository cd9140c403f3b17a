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
