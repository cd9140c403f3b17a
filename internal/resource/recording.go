package resource

import "time"

// RecordingConfigurationState says whether a configuration can be used.
type RecordingConfigurationState string

// The states of a recording configuration.
const (
	Creating     RecordingConfigurationState = "CREATING"
	CreateFailed RecordingConfigurationState = "CREATE_FAILED"
	Active       RecordingConfigurationState = "ACTIVE"
)

// RecordingConfiguration says where and how a channel is recorded. It never
// changes but for its state and tags.
type RecordingConfiguration struct {
	ARN                    ARN                         `json:"arn"`
	Name                   string                      `json:"name"`
	Destination            DestinationConfiguration    `json:"destinationConfiguration"`
	State                  RecordingConfigurationState `json:"state"`
	Tags                   Tags                        `json:"tags"`
	Thumbnail              ThumbnailConfiguration      `json:"thumbnailConfiguration"`
	ReconnectWindowSeconds int                         `json:"recordingReconnectWindowSeconds"` // 0–300
	Rendition              RenditionConfiguration      `json:"renditionConfiguration"`
}

// DestinationConfiguration says where recordings go.
type DestinationConfiguration struct {
	S3 *S3DestinationConfiguration `json:"s3,omitempty"`
}

// S3DestinationConfiguration names a bucket.
type S3DestinationConfiguration struct {
	BucketName string `json:"bucketName"`
}

// ThumbnailConfiguration says which stills are kept.
type ThumbnailConfiguration struct {
	RecordingMode         string   `json:"recordingMode"`                   // INTERVAL or DISABLED
	TargetIntervalSeconds int      `json:"targetIntervalSeconds,omitempty"` // 1–60
	Resolution            string   `json:"resolution,omitempty"`            // empty: the source's
	Storage               []string `json:"storage,omitempty"`               // SEQUENTIAL, LATEST
}

// RenditionConfiguration says which renditions are recorded.
type RenditionConfiguration struct {
	Selection  string   `json:"renditionSelection"`   // ALL, NONE or CUSTOM
	Renditions []string `json:"renditions,omitempty"` // of CUSTOM; without meaning otherwise
}

// Bucket is where the recordings go.
func (r *RecordingConfiguration) Bucket() string {
	if r.Destination.S3 == nil {
		return ""
	}
	return r.Destination.S3.BucketName
}

// ReconnectWindow is how long a recording waits for its broadcaster's return.
func (r *RecordingConfiguration) ReconnectWindow() time.Duration {
	return time.Duration(r.ReconnectWindowSeconds) * time.Second
}

// FillDefaults sets every member left empty to its documented default.
func (r *RecordingConfiguration) FillDefaults() {
	if r.State == "" {
		r.State = Creating
	}
	t := &r.Thumbnail
	if t.RecordingMode == "" {
		t.RecordingMode = "INTERVAL"
	}
	if t.RecordingMode == "INTERVAL" {
		if t.TargetIntervalSeconds == 0 {
			t.TargetIntervalSeconds = 60
		}
		if len(t.Storage) == 0 {
			t.Storage = []string{"SEQUENTIAL"}
		}
	}
	if r.Rendition.Selection == "" {
		r.Rendition.Selection = "ALL"
	}
	if r.Tags == nil {
		r.Tags = Tags{}
	}
}

// Validate checks the rules that span several members. It runs before
// FillDefaults, on what the caller asked for.
func (r *RecordingConfiguration) Validate() error {
	switch {
	case r.Destination.S3 == nil:
		return Errorf(Invalid, "destinationConfiguration.s3: required")
	case r.Rendition.Selection == "CUSTOM" && len(r.Rendition.Renditions) == 0:
		return Errorf(Invalid, "renditionConfiguration.renditions: required when renditionSelection is CUSTOM")
	}
	return nil
}

// RecordingState is the state of one recording.
type RecordingState string

// The states of a recording. Only the first is not final.
const (
	RecordingStarted RecordingState = "RECORDING_STARTED"
	RecordingEnded   RecordingState = "RECORDING_ENDED"
	RecordingFailed  RecordingState = "RECORDING_ENDED_WITH_FAILURE"
)

// MaxMergedStreams bounds a channel's recording, MaxRecordingAge any: the stream
// after either starts a new one.
const (
	MaxMergedStreams = 20
	MaxRecordingAge  = 48 * time.Hour
)

// RecordingErrorCode says why a participant's recording failed.
type RecordingErrorCode string

// The error codes of participants' recordings.
const (
	RecordingNoBucket     RecordingErrorCode = "ResourceNotFoundException" // the bucket does not exist
	RecordingDenied       RecordingErrorCode = "AccessDeniedException"     // the bucket takes nothing from us
	RecordingInvalidMedia RecordingErrorCode = "ValidationException"       // a codec that cannot be recorded; of a start only
	RecordingServerError  RecordingErrorCode = "InternalServerException"
)

// RecordingFailure is why a recording failed, or never started.
type RecordingFailure struct {
	Code   RecordingErrorCode `json:"code"`
	Reason string             `json:"reason"` // for people
}

// RecordedStream is a stream that joins a recording: one of a channel, or a
// publication of a participant.
type RecordedStream struct {
	ID             string
	StageSessionID string // of a publication
}

// RecordingFilter narrows a list of recordings. Members left empty do not.
type RecordingFilter struct {
	Kind           string // KindChannel, or KindStage for those of participants
	ChannelARN     ARN
	StageARN       ARN
	StageSessionID string // any of those that it went through
	ParticipantID  string
	State          RecordingState
	// From and To bound the time of the start; To itself is not within.
	From, To time.Time
}

// Recording is one recording: a prefix in a bucket, and the streams in it. It is
// a channel's or a participant's; the members of the other are empty.
type Recording struct {
	ID        string `json:"id"`        // last part of a channel's prefix
	SessionID string `json:"sessionId"` // as a channel's events name it

	ChannelARN                ARN             `json:"channelArn"`
	ChannelName               string          `json:"channelName"`
	RecordingConfigurationARN ARN             `json:"recordingConfigurationArn"`
	ContainerFormat           ContainerFormat `json:"containerFormat"`

	StageARN ARN `json:"stageArn,omitempty"`
	// StageSessionIDs are the sessions it went through, each once, oldest first. The
	// first one is in the prefix.
	StageSessionIDs         []string `json:"stageSessionIds,omitempty"`
	ParticipantID           string   `json:"participantId,omitempty"`
	UserID                  string   `json:"userId,omitempty"` // as the token had it at the start
	StorageConfigurationARN ARN      `json:"storageConfigurationArn,omitempty"`

	Bucket string `json:"bucket"`
	Prefix string `json:"prefix"`
	// StreamIDs are the streams merged into it, oldest first: 1–20 of a channel, up
	// to 1,000 publications of a participant.
	StreamIDs       []string       `json:"streamIds"`
	ReconnectWindow time.Duration  `json:"reconnectWindow"`
	State           RecordingState `json:"state"`
	StatusMessage   string         `json:"statusMessage,omitempty"` // why it failed
	StartedAt       time.Time      `json:"startedAt"`
	EndedAt         time.Time      `json:"endedAt,omitzero"`
	Duration        time.Duration  `json:"duration"` // of the media, not the wall
	// Media is told at the end; empty for recordings from before it was.
	Media RecordedMedia `json:"media,omitzero"`
}

// OfParticipant says whether it is a participant's recording, not a channel's.
func (r *Recording) OfParticipant() bool { return r.StageARN != "" }
