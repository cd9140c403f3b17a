package packager

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"anabranch/internal/metrics"
)

// Follow publishes the part that lead has published last in this rendition too:
// as c, whose CMAF chunk is cmaf, or as a gap where c is nil. It keeps cmaf, which
// must not be written to any more. Segments have the numbers, dates,
// discontinuities and parts that they have in lead, ad breaks are at the same
// places, and what has left that playlist leaves this one.
//
// What lead has published since the last Follow becomes a gap, and so does the rest
// of a segment of which a part is: players get all of a segment, or none (RFC
// 8216bis §4.4.4.7). An empty window, or one whose last segment lead has no more,
// begins with the first part of a segment that is no gap; until then nothing is
// published.
//
// After an error the window is as after Interrupt, and Follow may be tried again
// with a later part.
func (w *Window) Follow(lead *Window, c *Chunk, cmaf []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	began := time.Now()
	e := w.edge.Load()
	if err := e.writable(); err != nil {
		return fmt.Errorf("follow live window: %w", err)
	}
	next, err := w.follow(e, lead.edge.Load(), c, cmaf)
	if next != e {
		w.publish(e, next)
	}
	if err != nil {
		w.interrupt(next)
		return fmt.Errorf("follow live window: %w", err)
	}
	if next == e {
		return nil
	}
	if !next.open {
		w.closeFile()
	}
	w.compact()
	metrics.WindowParts.Inc()
	metrics.WindowBytes.Add(float64(len(cmaf)))
	metrics.WindowAppend.Observe(time.Since(began).Seconds())
	return nil
}

// follow returns the edge that has what lead has, or as much of it as could be
// stored.
func (w *Window) follow(e, lead *edge, c *Chunk, cmaf []byte) (*edge, error) {
	of := lead.last()
	if of == nil {
		return e, errors.New("lead is empty")
	}
	newest := len(of.parts) - 1
	if p := &of.parts[newest]; c != nil && (len(cmaf) == 0 || c.Start != p.start || c.Duration != p.duration) {
		return e, fmt.Errorf("part of %d bytes at %d (+%d), where that of lead is at %d (+%d)", len(cmaf), c.Start, c.Duration, p.start, p.duration)
	}
	next := e
	if !e.precedes(lead) {
		next = e.copy()
		if err := w.forget(next); err != nil {
			return e, err
		}
	}
	if next.last() == nil {
		if newest > 0 || c == nil {
			return next, nil
		}
		return w.mirror(next, lead, of, newest, c, cmaf)
	}
	for _, s := range lead.segments {
		for i := range s.parts {
			last := next.last()
			if s.msn < last.msn || s.msn == last.msn && i < len(last.parts) {
				continue
			}
			var err error
			if s == of && i == newest {
				next, err = w.mirror(next, lead, s, i, c, cmaf)
			} else {
				next, err = w.mirror(next, lead, s, i, nil, nil)
			}
			if err != nil {
				return next, err
			}
		}
	}
	return next, nil
}

// precedes says whether e ends before lead's newest part, and where a part of lead
// does. After a power cut lead can have lost more than its followers.
func (e *edge) precedes(lead *edge) bool {
	last := e.last()
	if last == nil {
		return true
	}
	s := lead.find(last.msn)
	if s == nil {
		return false
	}
	i, n := len(last.parts)-1, len(s.parts)
	if s == lead.last() {
		n--
	}
	return i < n && last.parts[i].start == s.parts[i].start && last.discontinuities == s.discontinuities
}

// forget empties the window.
func (w *Window) forget(next *edge) error {
	if err := w.log.Rewrite(nil); err != nil {
		return fmt.Errorf("begin anew: %w", err)
	}
	w.closeFile()
	w.delete(next.segments)
	next.segments, next.unlisted, next.breaks, next.open = nil, 0, nil, false
	return nil
}

// mirror stores part i of lead's segment s and returns the edge that shows it, or e
// with an error. Without c it is a gap.
func (w *Window) mirror(e, lead *edge, s *mediaSegment, i int, c *Chunk, cmaf []byte) (*edge, error) {
	next := e.copy()
	rec := entry{AdBreaks: next.takeBreaks(lead)}
	if i == 0 {
		if err := w.beginLike(next, &rec, lead, s, c); err != nil {
			return e, err
		}
	}
	of, last := &s.parts[i], next.last()
	p := partialSegment{start: of.start, duration: of.duration, tail: of.tail, gap: true}
	if c != nil && w.file != nil && !last.gap() && last.init.params.Equal(c.Params) {
		p.size, p.independent, p.frames, p.tail, p.gap = int64(len(cmaf)), c.Independent, len(c.Video), c.Tail, false
	}
	if err := w.grow(next, &rec, p, cmaf); err != nil {
		return e, err
	}
	next.open, next.gap = lead.open || s != lead.last(), false
	w.numbering = numbering{msn: s.msn + 1, discontinuities: s.discontinuities}
	return next, nil
}

// beginLike adds an empty segment to next that is told like lead's segment s. If
// it begins with a gap it has no file, and as good an init section as any.
func (w *Window) beginLike(next *edge, rec *entry, lead *edge, s *mediaSegment, c *Chunk) error {
	now := time.Now()
	own := &mediaSegment{msn: s.msn, time: s.time, discontinuity: s.discontinuity, discontinuities: s.discontinuities}
	rec.Unlisted = next.unlistWith(lead, now)
	if c == nil {
		return w.push(next, rec, own, next.last().init.params, now)
	}
	if err := w.push(next, rec, own, c.Params, now); err != nil {
		return err
	}
	return w.openFile(own.msn)
}

// unlistWith takes the segments off the playlist that lead has taken off its own,
// for as long.
func (e *edge) unlistWith(lead *edge, now time.Time) (gone []unlistedEntry) {
	first := lead.listed()[0].msn
	for ; len(e.listed()) > 0 && e.listed()[0].msn < first; e.unlisted++ {
		old := *e.listed()[0]
		old.expires = now
		if s := lead.find(old.msn); s != nil {
			old.expires = s.expires
		}
		e.segments[e.unlisted] = &old
		gone = append(gone, unlistedEntry{MSN: old.msn, Expires: old.expires})
	}
	return gone
}

// takeBreaks makes lead's ad breaks those of e, and returns what the journal must
// know.
func (e *edge) takeBreaks(lead *edge) (changed []adBreak) {
	for _, b := range lead.breaks {
		if !slices.Contains(e.breaks, b) {
			changed = append(changed, b)
		}
	}
	e.breaks = lead.breaks
	return changed
}

// EndWith ends the playlist as lead has ended, with the same ad breaks.
func (w *Window) EndWith(lead *Window) error {
	return w.end(func(next *edge) []adBreak { return next.takeBreaks(lead.edge.Load()) })
}
