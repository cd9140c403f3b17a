package recorder

import (
	"time"

	"anabranch/internal/media"
	"anabranch/internal/packager"
)

// object is one piece of the recording, a media file in each rendition that has
// media there. All renditions have the same objects: what one misses is a hole in
// that one, and moves nothing in the others.
type object struct {
	N               int // its name
	Start, Duration media.Ticks
	Time            time.Time // EXT-X-PROGRAM-DATE-TIME
	Discontinuity   bool
	Closed, Stored  bool
	// Tail is how far its pictures are shown beyond its end. It becomes part of
	// Duration if the stream ends here.
	Tail media.Ticks

	of     []held  // by rendition
	pieces []piece // one after the other
	// parts is kept while the object is open, and during a replay until it is
	// stored.
	parts    []part
	closedAt time.Time // zero after a restart
	pictures int       // of the source, as far as they came since the start
}

// held is what a rendition has of an object.
type held struct {
	Size   int64 // in bytes; 0 where it has no media, and no file
	TS     packager.TSState
	Header int
	sizes  []uint32 // of its pieces, in bytes
}

// piece is an entry of the byte-range playlist: the live segments from a key
// frame to the next, or from where an object begins. Two days have 86,400 of
// them, so it is packed.
type piece struct {
	Duration uint32 // in 90 kHz ticks
	Late     int32  // how much later it begins, in ms, than the object's Time and what is before it tell
}

// add puts p behind the parts that are there.
func (o *object) add(p part) {
	if len(o.parts) == 0 {
		o.Start, o.Time = p.Start, p.Time
	}
	begins := len(o.pieces) == 0 || p.Segment && p.Independent
	if begins {
		late := p.Time.Sub(o.Time.Add(o.Duration.Duration(media.VideoRate)))
		o.pieces = append(o.pieces, piece{Late: int32(late.Round(time.Millisecond).Milliseconds())})
	}
	last := len(o.pieces) - 1
	o.pieces[last].Duration += uint32(p.Duration)
	for i := range o.of {
		h := &o.of[i]
		if begins {
			h.sizes = append(h.sizes, 0)
		}
		h.sizes[last] += uint32(p.Of[i].Size)
		h.Size += p.Of[i].Size
		h.TS = p.Of[i].TS
	}
	o.parts = append(o.parts, p)
	o.Duration += p.Duration
	o.Tail = p.Tail
}

// keep drops the parts behind the first n.
func (o *object) keep(n int) {
	parts := o.parts[:n]
	o.parts, o.pieces, o.Duration, o.Tail = nil, nil, 0, 0
	for i := range o.of {
		o.of[i] = held{Header: o.of[i].Header}
	}
	for _, p := range parts {
		o.add(p)
	}
}

// lose makes all of a rendition's media a hole.
func (o *object) lose(i int) {
	o.of[i].Size = 0
	clear(o.of[i].sizes)
	for n := range o.parts {
		o.parts[n].Of[i].Size = 0
	}
}

// void says whether the object has no parts.
func (o *object) void() bool { return len(o.pieces) == 0 }

// size is that of all its files, in bytes.
func (o *object) size() (sum int64) {
	for i := range o.of {
		sum += o.of[i].Size
	}
	return sum
}
