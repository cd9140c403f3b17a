package recorder

import (
	"math"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/packager"
)

const (
	// minObject is how long an object lasts at least, unless its stream ends, or
	// an ad break begins or ends.
	minObject = 10 * media.VideoRate
	// maxObject is how long it lasts at most.
	maxObject = 20 * media.VideoRate
	// minTarget is the least EXT-X-TARGETDURATION, in seconds.
	minTarget = 12
)

// object is one media file of the recording.
type object struct {
	N               int // its name
	Start, Duration media.Ticks
	Size            int64
	Time            time.Time // EXT-X-PROGRAM-DATE-TIME
	TS              packager.TSState
	Discontinuity   bool
	Header          int
	Closed, Stored  bool
	// Tail is how far its pictures are shown beyond its end. It becomes part of
	// Duration if the stream ends here.
	Tail media.Ticks

	pieces []piece // one after the other
	// parts is kept while the object is open, and during a replay until it is
	// stored.
	parts    []part
	closedAt time.Time // zero after a restart
}

// piece is an entry of the byte-range playlist: the live segments from a key
// frame to the next, or from where an object begins. Two days have 86,400 of
// them, so it is packed.
type piece struct {
	Size     uint32 // in bytes
	Duration uint32 // in 90 kHz ticks
	Late     int32  // how much later it begins, in ms, than the object's Time and what is before it tell
}

// add puts p behind the parts that are there.
func (o *object) add(p part) {
	if len(o.parts) == 0 {
		o.Start, o.Time = p.Start, p.Time
	}
	if len(o.pieces) == 0 || p.Segment && p.Independent {
		late := p.Time.Sub(o.Time.Add(o.Duration.Duration(media.VideoRate)))
		o.pieces = append(o.pieces, piece{Late: int32(late.Round(time.Millisecond).Milliseconds())})
	}
	last := &o.pieces[len(o.pieces)-1]
	last.Size += uint32(p.Size)
	last.Duration += uint32(p.Duration)
	o.parts = append(o.parts, p)
	o.Size += p.Size
	o.Duration += p.Duration
	o.TS, o.Tail = p.TS, p.Tail
}

// keep drops the parts behind the first n.
func (o *object) keep(n int) {
	parts := o.parts[:n]
	o.parts, o.pieces, o.Size, o.Duration, o.TS, o.Tail = nil, nil, 0, 0, packager.TSState{}, 0
	for _, p := range parts {
		o.add(p)
	}
}

// targetFor fixes EXT-X-TARGETDURATION when o, the first object, closes: room
// for the least duration of an object and the longest group of pictures after
// it (RFC 8216 §4.3.3.1).
func targetFor(o *object) int {
	var longest media.Ticks
	for i := range o.pieces {
		longest = max(longest, media.Ticks(o.pieces[i].Duration))
	}
	seconds := math.Ceil(float64(min(maxObject, minObject+longest)) / media.VideoRate)
	return max(minTarget, int(seconds))
}
