package rtc

import "time"

// Stats tells what a session carried since it began.
type Stats struct {
	Audio, Video Flow
	// RoundTrip is to the subscriber and back, by its receiver reports; 0 when not
	// known.
	RoundTrip time.Duration
}

// Flow is one kind of media on its way from a publisher, or to a subscriber.
type Flow struct {
	Packets, Bytes uint64 // payload; what is sent again is not counted
	Lost           uint64 // packets that never came, as the receiving end says
	Repaired       uint64 // packets sent again to a subscriber
	Skipped        uint64 // packets left out because a subscriber was slow

	// Of a publisher's best layer; 0 when not known.
	Width, Height int
	FrameRate     float64 // in the last second
	Bitrate       int     // bit/s in the last second
	// Layers are a publisher's, by RID; nil without simulcast.
	Layers map[string]Flow
}
