package recorder

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"anabranch/internal/media"
)

// Loss is media that was lost on its way here: in its place there is silence, or
// the picture before goes on.
type Loss struct {
	Kind     media.Kind
	From     time.Time // by the server's clock
	Duration time.Duration
}

func (l *Loss) end() time.Time { return l.From.Add(l.Duration) }

// widen makes l last over o as well.
func (l *Loss) widen(o *Loss) {
	end := l.end()
	if o.end().After(end) {
		end = o.end()
	}
	if o.From.Before(l.From) {
		l.From = o.From
	}
	l.Duration = end.Sub(l.From)
}

// Lost says what is missing of the stream. It comes before the Write of the part
// that it begins in. Playlists tell of it with the object that the part belongs
// to: of all losses of a kind there as one, from the first to the last.
func (t *Take) Lost(l Loss) {
	if l.Duration <= 0 || l.Kind > media.Audio {
		return
	}
	l.From, l.Duration = l.From.UTC(), max(l.Duration, time.Millisecond) // as playlists tell it
	if old := t.losses[l.Kind]; old != nil {
		old.widen(&l)
		return
	}
	t.losses[l.Kind] = &l
}

// lost says that something is missing in an object, or more of what is missing.
type lost struct {
	Object int `json:"object"`
	Loss
}

func (l *lost) apply(s *state) error {
	if old := s.lossOf(l.Object, l.Kind); old != nil {
		old.widen(&l.Loss)
		return nil
	}
	s.losses = append(s.losses, *l)
	return nil
}

// lossOf is what is missing of a kind in an object that is among the last; nil
// when nothing is.
func (s *state) lossOf(n int, kind media.Kind) *lost {
	for i := len(s.losses) - 1; i >= 0 && s.losses[i].Object >= n; i-- {
		if s.losses[i].Object == n && s.losses[i].Kind == kind {
			return &s.losses[i]
		}
	}
	return nil
}

// unlose drops what is missing in an object from a time on, of which nothing is
// there: another object may get its number.
func (s *state) unlose(n int, from time.Time) {
	s.losses = slices.DeleteFunc(s.losses, func(l lost) bool { return l.Object == n && !l.From.Before(from) })
}

// recordLosses journals what is missing in the open object as of t's next part.
func (rec *recording) recordLosses(t *Take) error {
	n := rec.open().N
	for kind, l := range t.losses {
		if l == nil {
			continue
		}
		if t.losses[kind] = nil; l.Kind == media.Video && t.tracks[0].params.Video == nil {
			continue // of sound alone nothing is missing
		}
		if err := rec.record(&lost{n, *l}); err != nil {
			return err
		}
	}
	return nil
}

// tellLosses writes what is missing in the objects up to n that is not written yet
// (RFC 8216 §4.3.2.7), and returns what is behind.
func tellLosses(b *bytes.Buffer, losses []lost, n int) []lost {
	for ; len(losses) > 0 && losses[0].Object <= n; losses = losses[1:] {
		l := &losses[0]
		fmt.Fprintf(b, "#EXT-X-DATERANGE:ID=\"loss-%d-%s\",CLASS=\"anabranch.loss\",START-DATE=%q,DURATION=%.3f,X-KIND=%q\n",
			l.Object, l.Kind, l.From.Format(timeFormat), l.Duration.Seconds(), l.Kind.String())
	}
	return losses
}
