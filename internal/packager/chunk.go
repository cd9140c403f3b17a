package packager

import (
	"slices"
	"time"

	"anabranch/internal/media"
)

const (
	// PartTarget is EXT-X-PART-INF:PART-TARGET (RFC 8216bis §4.4.3.7). No part
	// is longer, and none but a segment's last is shorter than 85 % of it.
	PartTarget = 335 * time.Millisecond

	// TargetDuration is EXT-X-TARGETDURATION (RFC 8216bis §4.4.3.1). No segment
	// is longer.
	TargetDuration = 4 * time.Second

	// Origin is where a run's timeline begins, in 90 kHz ticks: ten seconds
	// above zero, so that audio and presentation times that lie a little
	// before the first frame stay positive.
	Origin media.Ticks = 10 * media.VideoRate
)

// Chunk is what the [Cutter] yields: the frames of one partial segment, cut
// once for every writer.
//
// A chunk and its slices are the cutter's, which uses them again as soon as emit
// has returned. The payloads are never written to and may be kept.
type Chunk struct {
	// Params describes the tracks.
	Params media.Params
	// Start is where the chunk begins on the run timeline, in 90 kHz ticks. It
	// is the DTS of the first video frame, unless a frame of an earlier chunk
	// lasts beyond it.
	Start media.Ticks
	// Duration is in 90 kHz ticks. Start+Duration is the next chunk's Start,
	// except that a Discontinuity may start later.
	Duration media.Ticks
	// Tail is how far pictures of this chunk and those before it are shown
	// beyond End, in 90 kHz ticks, and sound is there for them: with B-frames
	// pictures are shown later than they are decoded. A stream torn off here
	// lasts that much longer. It is [PartTarget] at most.
	Tail media.Ticks
	// Time is EXT-X-PROGRAM-DATE-TIME of Start, by the server's clock. It is
	// the Time at which the chunk before ended, except where a Segment begins:
	// there it may be later, or a little earlier.
	Time time.Time
	// Ready is when the picture arrived that told where the chunk ends: what comes
	// after that is the server's delay. It is zero where the stream ended.
	Ready time.Time
	// Segment and SegmentEnd say that the chunk begins and ends a segment.
	Segment, SegmentEnd bool
	// NextKey is the PTS of the key frame that begins the next segment, where
	// SegmentEnd stands before one, and End where the stream ends: what belongs to
	// this chunk or those before it is shown before that. Else it is 0.
	NextKey media.Ticks
	// Discontinuity marks the first chunk after a join, a jump or a change of
	// Params. It implies Segment and Independent.
	Discontinuity bool
	// Independent says that the first video frame is a key frame, or that there is
	// no video track.
	Independent bool
	// Video and Audio are frames in decoding order, with their durations: the
	// pictures whose DTS lies in the chunk, and the audio from where that of the
	// chunk before ended to End+Tail. Video times are 90 kHz ticks, audio times
	// count samples. Video is empty where one frame lasts longer than a chunk;
	// Audio, if there is a track, may hold silence that the cutter put in.
	Video, Audio []media.Frame
	// Metadata is what is to be handed to viewers at places from Start to End,
	// in the order of these.
	Metadata []Metadata
}

// firstPTS is that of the first picture, or where the chunk starts if there is none.
func (c *Chunk) firstPTS() media.Ticks {
	if len(c.Video) > 0 {
		return c.Video[0].PTS
	}
	return c.Start
}

// keyed says whether the chunk begins a segment with a key frame.
func (c *Chunk) keyed() bool {
	return c.Segment && c.Independent && len(c.Video) > 0 && c.Video[0].DTS == c.Start
}

// End is where the next chunk starts, in 90 kHz ticks.
func (c *Chunk) End() media.Ticks { return c.Start + c.Duration }

// Clone is c with slices of its own, to be kept. Payloads are shared.
func (c *Chunk) Clone() *Chunk {
	own := *c
	own.Video, own.Audio, own.Metadata = slices.Clone(c.Video), slices.Clone(c.Audio), slices.Clone(c.Metadata)
	return &own
}

// SoundOnly is c without its pictures, for a rendition of sound alone. It is made
// in into, and has the slices of c.
func (c *Chunk) SoundOnly(into *Chunk) *Chunk {
	*into = *c
	into.Params.Video, into.Video = nil, nil
	into.Independent = true
	return into
}
