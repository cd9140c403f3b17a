package packager

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"anabranch/internal/media"
)

// edge is what readers may see of a window between one change and the next.
// Neither it nor anything it leads to is ever written to again, but for the
// texts, which are made when first asked for.
type edge struct {
	cfg *WindowConfig
	// segments are all that can be fetched, oldest first, numbered without a
	// hole. The first few have left the playlist.
	segments []*mediaSegment
	unlisted int // how many have
	breaks   []adBreak
	sisters  []Sister // the playlist reports on
	open     bool     // the last segment still grows
	gap      bool     // nobody publishes; never while open
	ended    bool     // ENDLIST
	closed   bool     // nothing is served any more

	superseded chan struct{} // closed when another edge is in this one's place
	texts      *texts        // one for each version of the playlist
}

// texts are the forms of one playlist, see edge.text.
type texts [2 * codings]text

// text is a rendering that is made once.
type text struct {
	asked atomic.Bool // by a reader
	once  sync.Once
	bytes []byte
}

// mediaSegment is a Media Segment. While the window's last one grows, each part
// makes a new value of it.
type mediaSegment struct {
	msn             int64 // Media Sequence Number
	init            *initSection
	time            time.Time        // EXT-X-PROGRAM-DATE-TIME
	discontinuity   bool             // EXT-X-DISCONTINUITY
	discontinuities int64            // Discontinuity Sequence Number
	parts           []partialSegment // never empty once published; behind a gap only gaps
	expires         time.Time        // when it may be deleted; zero while it is listed
}

// partialSegment is a Partial Segment: a slice of its segment's file.
type partialSegment struct {
	offset, size    int64 // bytes
	start, duration media.Ticks
	independent     bool
	frames          int         // of video
	tail            media.Ticks // Chunk.Tail
	gap             bool        // this rendition lacks it
	data            []byte      // nil when it is in the file alone
}

// initSection is a Media Initialization Section. Its number is that of the
// first segment it belongs to.
type initSection struct {
	number int64
	params media.Params
	data   []byte
}

func (s *mediaSegment) size() int64 {
	if len(s.parts) == 0 {
		return 0
	}
	last := s.parts[len(s.parts)-1]
	return last.offset + last.size
}

// gap says whether the segment lacks a part: then it cannot be had as a whole.
func (s *mediaSegment) gap() bool {
	n := len(s.parts)
	return n > 0 && s.parts[n-1].gap
}

func (s *mediaSegment) end() media.Ticks {
	last := s.parts[len(s.parts)-1]
	return last.start + last.duration
}

func (s *mediaSegment) duration() (d media.Ticks) {
	for i := range s.parts {
		d += s.parts[i].duration
	}
	return d
}

// until is the program date and time of the segment's end.
func (s *mediaSegment) until() time.Time {
	return s.time.Add(s.duration().Duration(media.VideoRate))
}

// copy returns an edge that may be changed until it is published.
func (e *edge) copy() *edge {
	return &edge{
		cfg: e.cfg, segments: slices.Clone(e.segments), unlisted: e.unlisted, breaks: e.breaks, sisters: e.sisters,
		open: e.open, gap: e.gap, ended: e.ended, closed: e.closed,
		superseded: make(chan struct{}), texts: new(texts),
	}
}

func (e *edge) last() *mediaSegment {
	if len(e.segments) == 0 {
		return nil
	}
	return e.segments[len(e.segments)-1]
}

// find is the segment of a number, nil when it cannot be fetched.
func (e *edge) find(msn int64) *mediaSegment {
	if len(e.segments) == 0 {
		return nil
	}
	i := msn - e.segments[0].msn
	if i < 0 || i >= int64(len(e.segments)) {
		return nil
	}
	return e.segments[i]
}

// listed are the segments in the playlist, the open one too.
func (e *edge) listed() []*mediaSegment { return e.segments[e.unlisted:] }

// whole are the segments in the playlist that do not grow any more.
func (e *edge) whole() []*mediaSegment {
	if e.open {
		return e.segments[e.unlisted : len(e.segments)-1]
	}
	return e.listed()
}

// empty says that there is nothing to list.
func (e *edge) empty() bool {
	return len(e.listed()) == 0 || e.cfg.NoParts && len(e.whole()) == 0
}

// lastClosed is the number of the newest segment that is whole, -1 when there
// is none.
func (e *edge) lastClosed() int64 {
	if whole := e.whole(); len(whole) > 0 {
		return whole[len(whole)-1].msn
	}
	return -1
}

// unlist takes the oldest segments off the playlist while span is left without
// them. They stay available for the time RFC 8216bis §6.2.2 asks for, and
// longer: their own duration and that of the playlist, from now.
func (e *edge) unlist(span time.Duration, now time.Time) (gone []unlistedEntry) {
	var total media.Ticks
	for _, s := range e.listed() {
		total += s.duration()
	}
	for ; len(e.listed()) > 0; e.unlisted++ {
		old := *e.listed()[0]
		d := old.duration()
		if (total - d).Duration(media.VideoRate) < span {
			return gone
		}
		old.expires = now.Add((total + d).Duration(media.VideoRate))
		e.segments[e.unlisted] = &old
		gone = append(gone, unlistedEntry{MSN: old.msn, Expires: old.expires})
		total -= d
	}
	return gone
}

// expire drops the segments that need not be available any more.
func (e *edge) expire(now time.Time) (gone []*mediaSegment) {
	for e.unlisted > 0 && e.segments[0].expires.Before(now) {
		gone = append(gone, e.segments[0])
		e.segments = e.segments[1:]
		e.unlisted--
	}
	return gone
}

// release leaves all but the newest n segments to their files.
func (e *edge) release(n int) {
	for i := len(e.segments) - n - 1; i >= 0 && e.segments[i].parts[0].data != nil; i-- {
		old := *e.segments[i]
		old.parts = slices.Clone(old.parts)
		for k := range old.parts {
			old.parts[k].data = nil
		}
		e.segments[i] = &old
	}
}
