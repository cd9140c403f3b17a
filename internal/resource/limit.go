package resource

import "time"

// The documented limits of one stream. None can be raised here: encoders and
// players are built for them.
const (
	// MaxPixels and MaxEdge bound a picture: its area, and its width and its
	// height, so that 1080x1920 is as good as 1920x1080.
	MaxPixels = 2_100_000
	MaxEdge   = 1920
	// MaxStreamDuration is how long a stream may last.
	MaxStreamDuration = 48 * time.Hour
)

// MaxIngestBitrate is how much a stream of pictures of this size may send, in
// bit/s, sound included. A size of zero is not known yet.
func (t ChannelType) MaxIngestBitrate(width, height int) int {
	// 480p is told by the smaller edge: a picture held upright is no larger.
	edge := min(width, height)
	switch {
	case t != Basic:
		return 8_500_000
	case edge > 0 && edge <= 480:
		return 1_500_000
	}
	return 3_500_000
}

// The names of the limits of one stream, and of all, and their units.
const (
	IngestBitrate    = "Ingest Bitrate"
	IngestResolution = "Ingest Resolution"
	StreamDuration   = "Stream Duration" // IVS keeps this limit, too, but has no name for it

	ConcurrentBroadcasts = "Concurrent Broadcasts"

	BitsPerSecond = "bits per second"
	TotalPixels   = "total pixels"
	PixelsPerEdge = "pixels per edge"
	Seconds       = "seconds"
	ActiveStreams = "active streams"
)

// LimitBreachDetail is the detail of a limit breach.
type LimitBreachDetail struct {
	LimitName   string `json:"limit_name"`
	LimitValue  int64  `json:"limit_value"`
	ExceededBy  int64  `json:"exceeded_by"`
	LimitUnit   string `json:"limit_unit"`
	ChannelName string `json:"channel_name"`
	StreamID    string `json:"stream_id,omitempty"` // of a limit of one stream
}
