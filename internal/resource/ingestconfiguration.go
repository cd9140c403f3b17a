package resource

// IngestConfiguration lets the holder of its stream key publish to a stage by
// RTMP, as the participant it names. Stream keys are secrets.
type IngestConfiguration struct {
	ARN      ARN            `json:"arn"`
	Name     string         `json:"name"`
	Protocol IngestProtocol `json:"ingestProtocol"`
	// InsecureIngest lets publishers come without TLS. It is not told.
	InsecureIngest bool   `json:"-"`
	StreamKey      string `json:"streamKey"`
	// StageARN is where the publisher appears; empty: nowhere, and the key
	// opens nothing.
	StageARN ARN `json:"stageArn"`
	// ParticipantID is made with the configuration and never changes.
	ParticipantID   string                   `json:"participantId"`
	State           IngestConfigurationState `json:"state"`
	UserID          string                   `json:"userId"`
	RedundantIngest bool                     `json:"redundantIngest"`
	// Credentials are two when the ingest is redundant, otherwise none.
	Credentials []IngestCredential `json:"redundantIngestCredentials,omitempty"`
	Attributes  map[string]string  `json:"attributes"`
	Tags        Tags               `json:"tags"`
}

// IngestCredential is one way into a redundant ingest: each stream is a
// participant of its own.
type IngestCredential struct {
	ParticipantID string `json:"participantId"`
	StreamKey     string `json:"streamKey"`
}

// IngestProtocol is RTMP or RTMPS.
type IngestProtocol string

// The ingest protocols.
const (
	IngestRTMP  IngestProtocol = "RTMP"
	IngestRTMPS IngestProtocol = "RTMPS"
)

// IngestConfigurationState says whether somebody publishes by a configuration.
type IngestConfigurationState string

// The states of an ingest configuration.
const (
	IngestActive   IngestConfigurationState = "ACTIVE"
	IngestInactive IngestConfigurationState = "INACTIVE"
)

// IngestConfigurationFilter narrows a list of ingest configurations; at most
// one member may be set.
type IngestConfigurationFilter struct {
	StageARN ARN
	State    IngestConfigurationState
}

// NewIngestConfiguration completes what the caller chose of a configuration at
// p: its ARN, participant and keys are made here. It is Invalid when the
// protocol is RTMP and insecure ingest is not allowed.
func NewIngestConfiguration(p Place, c IngestConfiguration) (IngestConfiguration, error) {
	if c.Protocol == IngestRTMP && !c.InsecureIngest {
		return IngestConfiguration{}, Errorf(Invalid, "insecureIngest: must be true when ingestProtocol is RTMP")
	}
	c.ARN = p.ARN(KindIngestConfiguration, NewID())
	c.ParticipantID = NewID()
	c.StreamKey = c.newStreamKey()
	c.State = IngestInactive
	if c.Attributes == nil {
		c.Attributes = map[string]string{}
	}
	if c.Tags == nil {
		c.Tags = Tags{}
	}
	c.SetRedundant(c.RedundantIngest)
	return c, nil
}

// SetRedundant says whether two publishers may send the same. Credentials are
// made when there are none yet, and dropped when they have no use.
func (c *IngestConfiguration) SetRedundant(redundant bool) {
	c.RedundantIngest = redundant
	switch {
	case !redundant:
		c.Credentials = nil
	case len(c.Credentials) == 0:
		for range 2 {
			c.Credentials = append(c.Credentials, IngestCredential{ParticipantID: NewID(), StreamKey: c.newStreamKey()})
		}
	}
}

// newStreamKey makes a key that names its configuration, so that who is shown
// one knows which to compare it with.
func (c *IngestConfiguration) newStreamKey() string {
	return "rt_" + c.ARN.account() + "_" + c.ARN.region() + "_" + c.ARN.ID() + "_" + RandomID(30)
}
