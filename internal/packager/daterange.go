package packager

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"time"

	"anabranch/internal/media"
)

// AdBreak is a stretch of a broadcast that ads may take the place of. Playlists
// tell it in two EXT-X-DATERANGE tags of one ID (RFC 8216bis §4.4.5.1): before
// the segment that it begins with, and before the first segment behind it. There
// are readers that go by these places alone, not by the dates. Both segments
// begin with a key frame, so that ads can be put in between.
type AdBreak struct {
	ID      string        `json:"id"` // letters and digits
	Start   time.Time     `json:"start"`
	Planned time.Duration `json:"planned"`
	// End is when it ended, zero before. It is a little later than planned, for
	// segments begin where they begin, and earlier if the playlist ended first.
	End time.Time `json:"end,omitzero"`
}

// Closed is b, ended at a time if it goes on until then.
func (b AdBreak) Closed(at time.Time) AdBreak {
	switch until := b.until(); {
	case at.After(until):
		at = until
	case at.Before(b.Start): // the clock was set back
		at = b.Start
	}
	b.End = at.UTC().Round(time.Millisecond)
	return b
}

func (b *AdBreak) until() time.Time { return b.Start.Add(b.Planned) }

// AppendOut appends the tag of b's beginning, a line of its own.
func (b *AdBreak) AppendOut(dst []byte) []byte {
	dst = b.appendID(dst)
	dst = appendSeconds(append(dst, ",PLANNED-DURATION="...), b.Planned.Microseconds())
	return b.appendSCTE35(append(dst, ",SCTE35-OUT=0x"...), true)
}

// AppendIn appends the tag of b's end, a line of its own.
func (b *AdBreak) AppendIn(dst []byte) []byte {
	dst = append(b.appendID(dst), `,END-DATE="`...)
	dst = append(appendDate(dst, b.End), `",DURATION=`...)
	dst = appendSeconds(dst, b.End.Round(time.Millisecond).Sub(b.Start.Round(time.Millisecond)).Microseconds())
	return b.appendSCTE35(append(dst, ",SCTE35-IN=0x"...), false)
}

func (b *AdBreak) appendID(dst []byte) []byte {
	dst = append(append(dst, `#EXT-X-DATERANGE:ID="`...), b.ID...)
	dst = append(dst, `",START-DATE="`...)
	return append(appendDate(dst, b.Start), '"')
}

func (b *AdBreak) appendSCTE35(dst []byte, out bool) []byte {
	var section [40]byte
	event := crc32.ChecksumIEEE([]byte(b.ID))
	return fmt.Appendf(dst, "%X\n", appendSpliceInsert(section[:0], event, out, b.Planned))
}

// appendDate writes a date as EXT-X-PROGRAM-DATE-TIME has it.
func appendDate(dst []byte, t time.Time) []byte {
	return t.UTC().Round(time.Millisecond).AppendFormat(dst, "2006-01-02T15:04:05.000Z")
}

// ErrInAdBreak says that an ad break goes on, or is to begin.
var ErrInAdBreak = errors.New("an ad break is under way")

// spliceTolerance is how much earlier than planned an ad break may end: dates go
// by the publisher's clock, corrected to the server's.
const spliceTolerance = 100 * time.Millisecond

// maxAdWait is how long an ad break waits at least for the segment that it begins
// with, however short it is itself: key frames may be many seconds apart.
const maxAdWait = 30 * time.Second

// InsertAdBreak lets an ad break begin with the next segment that begins with a
// key frame, or behind the last one if the playlist ends first. If neither comes
// within [maxAdWait], or before a longer one would be over, there is none. It
// returns [ErrInAdBreak] while there is another.
func (w *Window) InsertAdBreak(id string, planned time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.edge.Load()
	if err := e.writable(); err != nil {
		return fmt.Errorf("insert ad break: %w", err)
	}
	now := time.Now()
	if e.inAdBreak(now) {
		return ErrInAdBreak
	}
	b := adBreak{AdBreak: AdBreak{ID: id, Start: now.UTC(), Planned: planned}}
	if err := w.log.Append(entry{AdBreaks: []adBreak{b}}.encode()); err != nil {
		return fmt.Errorf("insert ad break: %w", err)
	}
	next := e.copy()
	next.put(b)
	next.superseded, next.texts = e.superseded, e.texts // nothing that a reader sees
	w.edge.Store(next)
	return nil
}

// InAdBreak says whether an ad break goes on or is to begin.
func (w *Window) InAdBreak() bool { return w.edge.Load().inAdBreak(time.Now()) }

// AdBreak is the newest ad break that has begun. It is false when the playlist
// knows of none.
func (w *Window) AdBreak() (AdBreak, bool) {
	for _, b := range slices.Backward(w.edge.Load().breaks) {
		if b.Out != 0 {
			return b.AdBreak, true
		}
	}
	return AdBreak{}, false
}

// NextSegment is about when the next segment begins, by its program date and
// time, going by the duration of the last whole one.
func (w *Window) NextSegment() time.Time {
	e := w.edge.Load()
	last := e.last()
	if last == nil {
		return time.Now()
	}
	next := last.until()
	if whole := e.whole(); e.open && len(whole) > 0 {
		usual := last.time.Add(whole[len(whole)-1].duration().Duration(media.VideoRate))
		if usual.After(next) {
			next = usual
		}
	}
	return next.Round(time.Millisecond)
}

// adBreak is an ad break of a window, in the journal too.
type adBreak struct {
	AdBreak
	// Out and In are the Media Sequence Numbers of the segments that begin it
	// and that follow it, 0 before. Until Out is known, Start is when the break
	// was asked for.
	Out int64 `json:"out,omitempty"`
	In  int64 `json:"in,omitempty"`
}

// over says whether b is at its planned end, or has waited too long to begin.
func (b *adBreak) over(at time.Time) bool {
	if b.Out == 0 {
		return !at.Before(b.Start.Add(max(b.Planned, maxAdWait)))
	}
	return !at.Add(spliceTolerance).Before(b.until())
}

// newestBreak is nil when there is none.
func (e *edge) newestBreak() *adBreak {
	if n := len(e.breaks); n > 0 {
		return &e.breaks[n-1]
	}
	return nil
}

func (e *edge) inAdBreak(now time.Time) bool {
	b := e.newestBreak()
	return b != nil && b.End.IsZero() && (b.Out != 0 || !b.over(now))
}

// put adds b, or what has become of it. It takes the place of one that never
// began.
func (e *edge) put(b adBreak) {
	breaks := e.breaks
	if newest := e.newestBreak(); newest != nil && (newest.ID == b.ID || newest.Out == 0) {
		breaks = breaks[:len(breaks)-1]
	}
	e.breaks = append(slices.Clip(breaks), b) // older edges share what there is
}

// splice begins or ends an ad break with s, the next segment, if it is time, and
// returns what the journal must know.
func (e *edge) splice(s *mediaSegment) []adBreak {
	newest := e.newestBreak()
	if newest == nil || !newest.End.IsZero() {
		return nil
	}
	b := *newest
	over := b.over(s.time)
	switch {
	case b.Out == 0 && !over:
		b.Out, b.Start = s.msn, s.time.UTC().Round(time.Millisecond)
	case b.Out != 0 && over:
		// Where the publisher was away, the break ended by its clock.
		end := b.until()
		if last := e.last(); last != nil && last.until().After(end) {
			end = last.until()
		}
		if s.time.Before(end) {
			end = s.time
		}
		b.In, b.End = s.msn, end.UTC().Round(time.Millisecond)
	default:
		return nil
	}
	e.put(b)
	return []adBreak{b}
}

// endBreaks closes the ad break that goes on at the end of the playlist. Behind
// the last segment comes postRoll, or else a break that was still to begin.
func (e *edge) endBreaks(now time.Time, postRoll *AdBreak) (changed []adBreak) {
	last := e.last()
	if last == nil {
		return nil
	}
	var next *adBreak
	if e.inAdBreak(now) {
		b := *e.newestBreak()
		if b.Out == 0 {
			next = &b
		} else {
			b.In, b.AdBreak = last.msn+1, b.Closed(now)
			changed = append(changed, b)
		}
	}
	if postRoll != nil {
		next = &adBreak{AdBreak: *postRoll}
	}
	if next != nil {
		next.Out, next.Start = last.msn+1, last.until().UTC().Round(time.Millisecond)
		changed = append(changed, *next)
	}
	for _, b := range changed {
		e.put(b)
	}
	return changed
}

// forgetBreaks drops the ad breaks that ended before the playlist's first
// segment. Any other must be told as long as the playlist has media of it
// (RFC 8216bis §4.4.5.1).
func (e *edge) forgetBreaks() {
	listed := e.listed()
	for len(listed) > 0 && len(e.breaks) > 0 && e.breaks[0].In != 0 && e.breaks[0].In <= listed[0].msn {
		e.breaks = e.breaks[1:]
	}
}

// tearBreaks takes back what was told of segments that are lost.
func (e *edge) tearBreaks() {
	last, newest := e.last(), e.newestBreak()
	if newest == nil || e.ended {
		return
	}
	b := *newest
	if last == nil || b.Out > last.msn {
		b.Out = 0
	}
	if last == nil || b.In > last.msn {
		b.In, b.End = 0, time.Time{}
	}
	e.put(b)
}

// adBreaks writes what is told between two segments: that before the first in
// the playlist comes behind segment 0, and that behind the last before no other.
func (p *playlist) adBreaks(breaks []adBreak, after, before int64) {
	for i := range breaks {
		b := &breaks[i]
		if b.Out > after && b.Out <= before {
			*p = b.AppendOut(*p)
		}
		if b.In > after && b.In <= before {
			*p = b.AppendIn(*p)
		}
	}
}

// noSegment is behind every Media Sequence Number.
const noSegment = math.MaxInt64
