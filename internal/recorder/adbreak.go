package recorder

import (
	"bytes"
	"slices"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/packager"
)

// marked says that an ad break begins before an object, or ends there if it has
// an End. Breaks begin and end where objects do, and in playlists their tags
// stand before the object's entry.
type marked struct {
	packager.AdBreak
	Object int `json:"object"`
}

func (m *marked) apply(s *state) error {
	s.marks = append(s.marks, *m)
	return nil
}

// adBreak is the ad break that goes on, nil when none does.
func (s *state) adBreak() *packager.AdBreak {
	if n := len(s.marks); n > 0 && s.marks[n-1].End.IsZero() {
		return &s.marks[n-1].AdBreak
	}
	return nil
}

// marksFor are the marks that the next object begins with, at a time, for a
// stream whose newest ad break is b: nil when it has had none.
func (s *state) marksFor(b *packager.AdBreak, at time.Time) (marks []record) {
	n := s.nextObject()
	if on := s.adBreak(); on != nil {
		ended := *on
		switch {
		case b == nil || b.ID != on.ID: // its end was another recording's, or playlist's
			ended = on.Closed(at)
		case b.End.IsZero():
			return nil
		default:
			ended.End = b.End
		}
		marks = append(marks, &marked{ended, n})
	}
	if b != nil && b.End.IsZero() {
		marks = append(marks, &marked{*b, n})
	}
	return marks
}

// unmark drops the marks of the objects from n on, which are another
// recording's.
func (s *state) unmark(n int) {
	for len(s.marks) > 0 && s.marks[len(s.marks)-1].Object >= n {
		s.marks = s.marks[:len(s.marks)-1]
	}
}

// adBreaks writes the marks of the objects up to n that are not written yet, and
// returns those behind.
func adBreaks(b *bytes.Buffer, marks []marked, n int) []marked {
	for ; len(marks) > 0 && marks[0].Object <= n; marks = marks[1:] {
		if m := &marks[0]; m.End.IsZero() {
			b.Write(m.AppendOut(b.AvailableBuffer()))
		} else {
			b.Write(m.AppendIn(b.AvailableBuffer()))
		}
	}
	return marks
}

// allMarks are the marks of a recording that has ended: an ad break that went on
// ended with it, or by its clock. Another follows the last object if its last
// stream has one to follow it, unless the recording failed.
func (s *state) allMarks() []marked {
	marks, n := slices.Clone(s.marks), s.nextObject()
	if on := s.adBreak(); on != nil {
		marks = append(marks, marked{on.Closed(s.ending.At), n})
	}
	if len(s.objects) == 0 || len(s.streams) == 0 || s.failed() {
		return marks
	}
	if d := s.streams[len(s.streams)-1].PostRoll; d > 0 {
		last := &s.objects[len(s.objects)-1]
		end := last.Time.Add(last.Duration.Duration(media.VideoRate))
		marks = append(marks, marked{packager.AdBreak{ID: s.Recording.ID, Start: end, Planned: d}, n})
	}
	return marks
}
