package packager

import (
	"fmt"
	"os"
	"time"

	"anabranch/internal/media"
)

// write stores the part and returns the edge that shows it.
func (w *Window) write(e *edge, c *Chunk, cmaf []byte) (*edge, error) {
	next := e.copy()
	var rec entry
	numbering := w.numbering
	if c.Segment || !e.open || !e.last().init.params.Equal(c.Params) {
		if err := w.begin(next, &rec, &numbering, c); err != nil {
			return nil, err
		}
	}
	p := partialSegment{
		size: int64(len(cmaf)), start: c.Start, duration: c.Duration,
		independent: c.Independent, frames: len(c.Video), tail: c.Tail,
	}
	if err := w.grow(next, &rec, p, cmaf); err != nil {
		return nil, err
	}
	next.open, next.gap = !c.SegmentEnd, false
	w.numbering = numbering
	return next, nil
}

// grow adds p to the last segment of next.
func (w *Window) grow(next *edge, rec *entry, p partialSegment, cmaf []byte) error {
	grown := *next.last()
	p.offset = grown.size()
	rec.Part = p.entry()
	var err error
	if !p.gap {
		if !w.cfg.NoParts {
			p.data = cmaf
		}
		_, err = w.file.Write(cmaf)
	}
	if err == nil {
		err = w.log.Append(rec.encode())
	}
	if err != nil {
		if !p.gap {
			_ = w.file.Truncate(p.offset) // the file is the segment, without torn parts
		}
		return fmt.Errorf("write part: %w", err)
	}
	// Older edges share the array behind parts, but not the place behind
	// their last part.
	grown.parts = append(grown.parts, p)
	next.segments[len(next.segments)-1] = &grown
	return nil
}

// begin adds an empty segment to next, behind a discontinuity where c tells
// one or follows a gap.
func (w *Window) begin(next *edge, rec *entry, n *numbering, c *Chunk) error {
	now := time.Now()
	s := &mediaSegment{time: c.Time}
	if last := next.last(); last != nil {
		// A publisher who was faster than the clock has left it ahead. A stream
		// that goes on is brought back as the cutter does it, a join never is.
		earliest := last.until()
		if !c.Discontinuity && !next.gap {
			earliest = last.time.Add(last.duration().Duration(media.VideoRate) / 2)
		}
		if s.time.Before(earliest) {
			s.time = earliest
		}
	}
	switch {
	case n.msn == 0:
		// A later run of the same channel has the same URIs but for the
		// number, and caches keep media: counting from the clock gives no
		// number twice, as there are less than a thousand segments a second.
		n.msn = now.UnixMilli()
	case c.Discontinuity || next.gap:
		s.discontinuity = true
		n.discontinuities++
	}
	s.msn, s.discontinuities = n.msn, n.discontinuities
	n.msn++

	if c.Independent {
		rec.AdBreaks = next.splice(s)
	}
	rec.Unlisted = next.unlist(w.cfg.Span, now)
	next.forgetBreaks()
	if err := w.push(next, rec, s, c.Params, now); err != nil {
		return err
	}
	return w.openFile(s.msn)
}

// push adds s, an empty segment of the tracks p, behind the others, and lets go of
// what nobody needs any more.
func (w *Window) push(next *edge, rec *entry, s *mediaSegment, p media.Params, now time.Time) error {
	if last := next.last(); last != nil && last.init.params.Equal(p) {
		s.init = last.init
	} else {
		data, err := CMAFInit(p)
		if err != nil {
			return fmt.Errorf("write init section: %w", err)
		}
		s.init = &initSection{number: s.msn, params: p, data: data}
		rec.Init = s.init.entry()
	}
	rec.Segment = s.entry()
	w.delete(next.expire(now))
	next.release(heldSegments - 1)
	next.segments = append(next.segments, s)
	w.closeFile()
	return nil
}

// openFile makes the file of the segment that begins.
func (w *Window) openFile(msn int64) (err error) {
	w.file, err = os.OpenFile(w.path(msn), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		w.file = nil
		return fmt.Errorf("begin segment: %w", err)
	}
	return nil
}
