package hls

import (
	"fmt"
	"slices"
	"strings"
)

// Apply fills in what delta, a Playlist Delta Update, has left out, from p, an
// older version of the playlist (RFC 8216bis §6.3.7).
func (p *Playlist) Apply(delta *Playlist) (*Playlist, error) {
	if delta.Skipped == 0 {
		return delta, nil
	}
	full := *delta
	full.Segments, full.Skipped = nil, 0
	for n := delta.Sequence; n < delta.Sequence+uint64(delta.Skipped); n++ {
		i := slices.IndexFunc(p.Segments, func(s Segment) bool { return s.Number == n })
		if i < 0 {
			return nil, fmt.Errorf("segment %d is left out, but not in the version of %s", n, p.next())
		}
		full.Segments = append(full.Segments, p.Segments[i])
	}
	init := full.Segments[delta.Skipped-1].Init
	inherit := func(s Segment) Segment {
		if s.Init == "" {
			s.Init = init
		}
		init = s.Init
		return s
	}
	for _, s := range delta.Segments {
		full.Segments = append(full.Segments, inherit(s))
	}
	full.Open = inherit(full.Open)
	return &full, nil
}

// difference says where two renderings of one version differ, "" where they do
// not. Parts that one of them has left out already do not count: they may be
// left out at any time.
func difference(a, b *Playlist) string {
	type header struct {
		version        int
		sequence, disc uint64
		hint           string
		ended          bool
	}
	of := func(p *Playlist) header {
		return header{p.Version, p.Sequence, p.Discontinuity, p.Hint, p.Ended}
	}
	if of(a) != of(b) {
		return fmt.Sprintf("%+v is %+v", of(a), of(b))
	}
	x, y := a.all(), b.all()
	if len(x) != len(y) {
		return fmt.Sprintf("%d segments are %d", len(x), len(y))
	}
	for i := range x {
		if d := x[i].difference(&y[i]); d != "" {
			return d
		}
	}
	return ""
}

// difference says what two versions of a segment do not have in common, ""
// when that is nothing but parts that one of them does not tell any more.
func (s *Segment) difference(t *Segment) string {
	if s.Number != t.Number || s.URI != t.URI || s.Init != t.Init || s.Duration != t.Duration ||
		!s.Time.Equal(t.Time) || s.Discontinuity != t.Discontinuity || s.Gap != t.Gap {
		return fmt.Sprintf("%s is %s", s, t)
	}
	if len(s.Parts) > 0 && len(t.Parts) > 0 && !slices.Equal(s.Parts, t.Parts) {
		return fmt.Sprintf("the parts of segment %d, %v, are %v", s.Number, s.Parts, t.Parts)
	}
	return ""
}

func (s *Segment) String() string {
	return fmt.Sprintf("{%d %s init %s, %v from %s, discontinuity %t, gap %t}",
		s.Number, s.URI, s.Init, s.Duration, s.Time.Format("15:04:05.000"), s.Discontinuity, s.Gap)
}

// key names a version: two renderings of the same version have the same key,
// and must have the same text.
func (p *Playlist) key() string {
	return fmt.Sprint(p.Sequence, p.next(), p.Hint, p.Ended)
}

// text is what all renderings of a version have in common. Rendition reports
// tell of other playlists, which go on meanwhile, and comments are nobody's
// business.
func (p *Playlist) text() string {
	var b strings.Builder
	for line := range strings.Lines(p.Text) {
		comment := strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "#EXT")
		if !comment && !strings.HasPrefix(line, "#EXT-X-RENDITION-REPORT:") {
			b.WriteString(line)
		}
	}
	return b.String()
}
