package resource

import "time"

// StreamHealth says whether media arrives as it should.
type StreamHealth string

// The states of health.
const (
	Healthy       StreamHealth = "HEALTHY"
	Starving      StreamHealth = "STARVING"
	UnknownHealth StreamHealth = "UNKNOWN"
)

// StreamSession is one publisher's stay on a channel, from the accepted
// connection to its end. While EndTime is nil the channel is live.
type StreamSession struct {
	StreamID               string                  `json:"streamId"`
	ChannelARN             ARN                     `json:"-"`
	StartTime              time.Time               `json:"startTime"`
	EndTime                *time.Time              `json:"endTime,omitempty"`
	HasErrorEvent          bool                    `json:"-"`
	Channel                Channel                 `json:"channel"` // as it was when going live
	RecordingConfiguration *RecordingConfiguration `json:"recordingConfiguration,omitempty"`
	IngestConfiguration    *InputConfiguration     `json:"ingestConfiguration,omitempty"`
	IngestConfigurations   *InputConfigurations    `json:"ingestConfigurations,omitempty"`
	// TruncatedEvents are the newest 500, newest first.
	TruncatedEvents []StreamEvent `json:"truncatedEvents"`
}

// StreamEvent is an event as a stream session lists it.
type StreamEvent struct {
	Name      string    `json:"name"`
	Type      string    `json:"type"`
	EventTime time.Time `json:"eventTime"`
	Code      string    `json:"code,omitempty"`
}

// InputConfiguration describes a single-track input. The API calls it an ingest
// configuration, as it does [IngestConfiguration].
type InputConfiguration struct {
	Video *VideoConfiguration `json:"video,omitempty"`
	Audio *AudioConfiguration `json:"audio,omitempty"`
}

// InputConfigurations describes an input track by track.
type InputConfigurations struct {
	Video []VideoConfiguration `json:"videoConfigurations"`
	Audio []AudioConfiguration `json:"audioConfigurations"`
}

// VideoConfiguration describes a video track. AVCProfile and AVCLevel are
// told in the single-track form only.
type VideoConfiguration struct {
	AVCProfile      string `json:"avcProfile,omitempty"`
	AVCLevel        string `json:"avcLevel,omitempty"`
	Codec           string `json:"codec"`
	Encoder         string `json:"encoder"`
	Level           string `json:"level"`
	Profile         string `json:"profile"`
	TargetBitrate   int    `json:"targetBitrate"`
	TargetFramerate int    `json:"targetFramerate"`
	Track           string `json:"track"`
	VideoHeight     int    `json:"videoHeight"`
	VideoWidth      int    `json:"videoWidth"`
}

// AudioConfiguration describes an audio track.
type AudioConfiguration struct {
	Channels      int    `json:"channels"`
	Codec         string `json:"codec"`
	SampleRate    int    `json:"sampleRate"`
	TargetBitrate int    `json:"targetBitrate"`
	Track         string `json:"track"`
}
