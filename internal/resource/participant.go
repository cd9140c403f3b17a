package resource

import "time"

// Participant is who is, or was, in a session of a stage by one token. The same
// token in another session is another Participant.
type Participant struct {
	Stage     ARN    `json:"-"`
	SessionID string `json:"-"`
	// ID is the jti of the token; up to 64 characters.
	ID            string            `json:"participantId"`
	UserID        string            `json:"userId"` // as the token has it; up to 128 characters
	State         ParticipantState  `json:"state"`
	FirstJoinTime time.Time         `json:"firstJoinTime"` // in its stage's session
	Attributes    map[string]string `json:"attributes"`    // as the token has them; up to 1 KB
	Published     bool              `json:"published"`     // ever in its stage's session
	ParticipantClient
	RecordingBucket        string                    `json:"recordingS3BucketName"`
	RecordingPrefix        string                    `json:"recordingS3Prefix"`
	RecordingState         ParticipantRecordingState `json:"recordingState"`
	Protocol               ParticipantProtocol       `json:"protocol"`
	ReplicationType        ReplicationType           `json:"replicationType"`
	ReplicationState       ReplicationState          `json:"replicationState,omitempty"` // empty without a replication
	SourceStageARN         ARN                       `json:"sourceStageArn,omitempty"`   // of a replica
	SourceSessionID        string                    `json:"sourceSessionId,omitempty"`
	RedundantIngest        bool                      `json:"redundantIngest"`
	IngestConfigurationARN ARN                       `json:"ingestConfigurationArn,omitempty"`
	// TokenExpires is when the token that was shown last expires.
	TokenExpires time.Time `json:"-"`
}

// ParticipantClient is what a participant tells of its software. What is not
// known is empty.
type ParticipantClient struct {
	ISPName        string `json:"ispName"`
	OSName         string `json:"osName"`
	OSVersion      string `json:"osVersion"`
	BrowserName    string `json:"browserName"`
	BrowserVersion string `json:"browserVersion"`
	SDKVersion     string `json:"sdkVersion"`
}

// FillDefaults sets every member left empty to its documented default.
func (p *Participant) FillDefaults() {
	if p.State == "" {
		p.State = Connected
	}
	if p.Attributes == nil {
		p.Attributes = map[string]string{}
	}
	if p.RecordingState == "" {
		p.RecordingState = ParticipantRecordingDisabled
	}
	if p.Protocol == "" {
		p.Protocol = UnknownProtocol
	}
	if p.ReplicationType == "" {
		p.ReplicationType = NotReplicated
	}
}

// ParticipantState says whether a participant is there.
type ParticipantState string

// The states of a participant.
const (
	Connected    ParticipantState = "CONNECTED"
	Disconnected ParticipantState = "DISCONNECTED"
)

// ParticipantProtocol is how a participant publishes.
type ParticipantProtocol string

// The protocols of a participant. Who has not published has an unknown one.
const (
	UnknownProtocol ParticipantProtocol = "UNKNOWN"
	WHIP            ParticipantProtocol = "WHIP"
	RTMP            ParticipantProtocol = "RTMP"
	RTMPS           ParticipantProtocol = "RTMPS"
)

// ParticipantRecordingState is the state of a participant's recording.
type ParticipantRecordingState string

// The states of a participant's recording. While it is one of the first three
// the recording is active: its stage's recording configuration stays.
const (
	ParticipantRecordingStarting ParticipantRecordingState = "STARTING"
	ParticipantRecordingActive   ParticipantRecordingState = "ACTIVE"
	ParticipantRecordingStopping ParticipantRecordingState = "STOPPING"
	ParticipantRecordingStopped  ParticipantRecordingState = "STOPPED"
	ParticipantRecordingFailed   ParticipantRecordingState = "FAILED"
	ParticipantRecordingDisabled ParticipantRecordingState = "DISABLED"
)

// ReplicationType says whether a participant is shown in other stages (SOURCE),
// or comes from one (REPLICA).
type ReplicationType string

// The replication types.
const (
	ReplicationSource  ReplicationType = "SOURCE"
	ReplicationReplica ReplicationType = "REPLICA"
	NotReplicated      ReplicationType = "NONE"
)

// ReplicationState is ACTIVE or STOPPED.
type ReplicationState string

// The states of a replication.
const (
	ReplicationActive  ReplicationState = "ACTIVE"
	ReplicationStopped ReplicationState = "STOPPED"
)

// ParticipantFilter names a session, and narrows the list of its participants.
// Members left empty do not; the API lets callers set one.
type ParticipantFilter struct {
	Stage          ARN
	SessionID      string
	UserID         string
	Published      *bool
	State          ParticipantState
	RecordingState ParticipantRecordingState
}

// ParticipantEvent is something that happened to a participant, as a session
// lists it.
type ParticipantEvent struct {
	Name          ParticipantEventName `json:"name"`
	ParticipantID string               `json:"participantId"`
	EventTime     time.Time            `json:"eventTime"`
	// RemoteParticipantID is the publisher, of events of a subscription.
	RemoteParticipantID string               `json:"remoteParticipantId,omitempty"`
	ErrorCode           ParticipantErrorCode `json:"errorCode,omitempty"`
	// StreamID is the recorder's name of the publication that starts, if that is
	// recorded. It is not stored.
	StreamID string `json:"-"`
}

// ParticipantEventName says what happened.
type ParticipantEventName string

// The names of participant events.
const (
	Joined           ParticipantEventName = "JOINED"
	Left             ParticipantEventName = "LEFT"
	JoinError        ParticipantEventName = "JOIN_ERROR"
	PublishStarted   ParticipantEventName = "PUBLISH_STARTED"
	PublishStopped   ParticipantEventName = "PUBLISH_STOPPED"
	PublishError     ParticipantEventName = "PUBLISH_ERROR"
	SubscribeStarted ParticipantEventName = "SUBSCRIBE_STARTED"
	SubscribeStopped ParticipantEventName = "SUBSCRIBE_STOPPED"
	SubscribeError   ParticipantEventName = "SUBSCRIBE_ERROR"
)

// ParticipantErrorCode says why something was refused or ended.
type ParticipantErrorCode string

// The error codes of participant events.
const (
	InsufficientCapabilities ParticipantErrorCode = "INSUFFICIENT_CAPABILITIES" // the token does not allow it
	ParticipantQuotaExceeded ParticipantErrorCode = "QUOTA_EXCEEDED"            // as many publish or subscribe as may
	PublisherNotFound        ParticipantErrorCode = "PUBLISHER_NOT_FOUND"       // nobody to subscribe to
	BitrateExceeded          ParticipantErrorCode = "BITRATE_EXCEEDED"
	ResolutionExceeded       ParticipantErrorCode = "RESOLUTION_EXCEEDED"
	StreamDurationExceeded   ParticipantErrorCode = "STREAM_DURATION_EXCEEDED"
	InvalidAudioCodec        ParticipantErrorCode = "INVALID_AUDIO_CODEC"
	InvalidVideoCodec        ParticipantErrorCode = "INVALID_VIDEO_CODEC"
	InvalidProtocol          ParticipantErrorCode = "INVALID_PROTOCOL" // plain RTMP to an ingest that wants RTMPS
	InvalidStreamKey         ParticipantErrorCode = "INVALID_STREAM_KEY"
	ReuseOfStreamKey         ParticipantErrorCode = "REUSE_OF_STREAM_KEY"
	BFramePresent            ParticipantErrorCode = "B_FRAME_PRESENT"
	InvalidInput             ParticipantErrorCode = "INVALID_INPUT"
	InternalServerException  ParticipantErrorCode = "INTERNAL_SERVER_EXCEPTION"
)
