package hls

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// multivariant is a Multivariant Playlist.
type multivariant struct{ variants []variant }

// variant is one of its EXT-X-STREAM-INF.
type variant struct {
	url  string
	told Attributes
}

// ParseMultivariant reads a Multivariant Playlist: what it tells of each
// variant, which has its URI as URI.
func ParseMultivariant(text string) (all []Attributes, err error) {
	if !strings.HasPrefix(text, "#EXTM3U\n") {
		return nil, errors.New("the first line is not #EXTM3U")
	}
	var next Attributes
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if told, ok := strings.CutPrefix(line, "#EXT-X-STREAM-INF:"); ok {
			if next != nil {
				return nil, fmt.Errorf("%q: the one before has no URI", line)
			}
			next = ParseAttributes(told)
			continue
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if next == nil {
			return nil, fmt.Errorf("%q: no EXT-X-STREAM-INF before it", line)
		}
		next["URI"] = line
		all, next = append(all, next), nil
	}
	if next != nil || len(all) == 0 {
		return nil, errors.New("no variant")
	}
	return all, nil
}

// awaitMultivariant waits until the stream can be played.
func (c *Checker) awaitMultivariant(ctx context.Context) (*multivariant, error) {
	for {
		m, err := c.multivariant(ctx, true)
		if m != nil || ctx.Err() != nil {
			return m, ctx.Err()
		}
		if err != nil {
			c.complain("4.1", nil, "", "multivariant playlist: %v", err)
		}
		if !pause(ctx, 250*time.Millisecond) {
			return nil, ctx.Err()
		}
	}
}

// multivariant reads the Multivariant Playlist. It is nil, without an error,
// when the server is away, or the stream has not begun.
func (c *Checker) multivariant(ctx context.Context, early bool) (*multivariant, error) {
	began := time.Now()
	a, err := c.fetch(ctx, c.cfg.URL)
	switch {
	case ctx.Err() != nil:
		return nil, nil
	case err == nil && a.status == http.StatusOK:
	case c.away(began), early && err == nil && a.status == http.StatusNotFound:
		return nil, nil
	case err != nil:
		return nil, err
	default:
		return nil, fmt.Errorf("status %d: %s", a.status, bytes.TrimSpace(a.body))
	}
	c.checkType(a, c.cfg.URL, playlistType)
	if age := a.freshness(); age > 5*time.Second {
		c.complain("B.1", nil, "", "the multivariant playlist, which changes, may be kept for %v", age)
	}
	told, err := ParseMultivariant(string(a.body))
	if err != nil {
		return nil, err
	}
	m := &multivariant{}
	for _, t := range told {
		address, err := resolve(c.cfg.URL, t["URI"])
		if err != nil {
			return nil, err
		}
		m.variants = append(m.variants, variant{address, t})
	}
	return m, nil
}

// followMultivariant compares what is told of the renditions with what they are,
// every few seconds, and has those watched that are new.
func (c *Checker) followMultivariant(ctx context.Context, watch func(variant)) {
	for pause(ctx, 4*time.Second) {
		renditions := c.Renditions()
		before := make([]*Playlist, len(renditions))
		for i, r := range renditions {
			before[i] = r.history.newestVersion()
		}
		m, err := c.multivariant(ctx, false)
		if ctx.Err() != nil || c.over() {
			return
		}
		if err != nil {
			c.complain("4.1", nil, "", "multivariant playlist: %v", err)
		}
		if m == nil {
			continue // the server is away
		}
		for i, r := range renditions {
			after := r.history.newestVersion()
			told, listed := m.variant(r.c.name)
			switch {
			case r.history.over() || before[i] == nil:
			case listed:
				r.checkVariant(told, before[i], after)
			case slices.ContainsFunc(before[i].Segments, func(s Segment) bool { return !s.Gap }):
				c.complain("6.2.1", after, "", "the variant of %s is not told any more", r.c.name)
			}
			if after != nil {
				c.checkReports(ctx, r, after)
			}
		}
		for _, v := range m.variants {
			if !slices.ContainsFunc(renditions, func(r *Rendition) bool { return r.c.name == v.name() }) {
				watch(v)
			}
		}
	}
}

// name tells the variant from the others, whatever the session: the last two
// names in its path.
func (v variant) name() string {
	u, err := url.Parse(v.url)
	if err != nil {
		return v.url
	}
	names := strings.Split(u.Path, "/")
	return strings.Join(names[max(0, len(names)-2):], "/")
}

// variant is what is told of the one with a name.
func (m *multivariant) variant(name string) (told Attributes, listed bool) {
	for _, v := range m.variants {
		if v.name() == name {
			return v.told, true
		}
	}
	return nil, false
}

// checkVariant compares what is told of a variant with the segments that were
// listed all the while.
func (r *Rendition) checkVariant(told Attributes, before, after *Playlist) {
	c := r.c
	known := r.media.listed(after.Sequence, before.Open.Number)
	if len(known) == 0 || len(after.Segments) == 0 || after.Segments[len(after.Segments)-1].Init != before.Segments[len(before.Segments)-1].Init {
		return // a new init section may be told already, or not yet
	}
	init := known[0].init
	line := fmt.Sprint(told)
	var codecs []string
	for _, k := range []*track{init.video, init.audio} {
		if k != nil {
			codecs = append(codecs, k.codec)
		}
	}
	if got := told["CODECS"]; !strings.EqualFold(got, strings.Join(codecs, ",")) {
		c.complain("4.4.6.2", after, line, "CODECS is %q, the init section has %v", got, codecs)
	}
	if v := init.video; v != nil {
		if got, want := told["RESOLUTION"], fmt.Sprintf("%dx%d", v.width, v.height); got != want {
			c.complain("4.4.6.2", after, line, "RESOLUTION is %q, the init section has %s", got, want)
		}
	}
	peak, pictures, length := peak(known, after.Target), 0, time.Duration(0)
	for _, k := range known {
		pictures += k.pictures
		length += k.duration
	}
	if got := told.Number("BANDWIDTH"); got < peak {
		c.complain("4.4.6.2", after, line, "BANDWIDTH is %.0f, but the peak segment bit rate %.0f", got, peak)
	}
	if told.Number("AVERAGE-BANDWIDTH") > told.Number("BANDWIDTH") {
		c.complain("4.4.6.2", after, line, "AVERAGE-BANDWIDTH is greater than BANDWIDTH")
	}
	rate := float64(pictures) / length.Seconds()
	if init.video == nil {
		for _, name := range []string{"RESOLUTION", "FRAME-RATE"} {
			if told[name] != "" {
				c.complain("4.4.6.2", after, line, "%s is told of sound alone", name)
			}
		}
	} else if got := told.Number("FRAME-RATE"); length > 3*time.Second && (got < rate*0.85 || got > rate*1.15) {
		c.complain("4.4.6.2", after, line, "FRAME-RATE is %.3f, but there are %.3f pictures a second", got, rate)
	}
}

// peak is the peak segment bit rate in bit/s: that of the heaviest run of
// segments, without a gap, that lasts 0.5 to 1.5 target durations.
func peak(all []rate, target time.Duration) (peak float64) {
	for i := range all {
		var bytes int
		var length time.Duration
		for n, s := range all[i:] {
			if s.number != all[i].number+uint64(n) || n > 0 && length+s.duration > target*3/2 {
				break
			}
			bytes += s.bytes
			length += s.duration
			if length >= target/2 {
				peak = max(peak, float64(bytes)*8/length.Seconds())
			}
		}
	}
	return float64(int(peak))
}

// checkReports checks that rendition reports name playlists, and how far these
// have come: the report is compared with what they were before, and are after.
func (c *Checker) checkReports(ctx context.Context, r *Rendition, p *Playlist) {
	for _, report := range p.Reports {
		uri := report["URI"]
		url, err := resolve(r.url, uri)
		if err != nil || uri == "" {
			c.complain("4.4.5.4", p, "", "a rendition report's URI is %q", uri)
			continue
		}
		before := c.reported(ctx, url)
		own := r.read(ctx, &reader{}, request{})
		after := c.reported(ctx, url)
		if before == nil || own == nil || after == nil {
			continue
		}
		for _, report := range own.Reports {
			if report["URI"] != uri {
				continue
			}
			told, least, most := reportedPlace(report), before.places(), after.places()
			if n := len(least); n > 1 && told.before(least[n-2]) || len(most) > 0 && most[len(most)-1].before(told) {
				c.complain("4.4.5.4", own, own.line(uri), "reported is %s, the playlist went from %s to %s", told, before.next(), after.next())
			}
		}
	}
}

// reported fetches a playlist that a rendition report names.
func (c *Checker) reported(ctx context.Context, url string) *Playlist {
	a, _ := c.expect(ctx, "4.4.5.4", url)
	if a == nil {
		return nil
	}
	p, err := Parse(string(a.body))
	if err != nil {
		c.complain("4.4.5.4", nil, "", "%s, which a rendition report names: %v", path(url), err)
		return nil
	}
	return p
}

// wholeSegment stands for the last part of a segment without parts.
const wholeSegment = math.MaxInt

func reportedPlace(report Attributes) position {
	last := position{uint64(max(report.Number("LAST-MSN"), 0)), wholeSegment}
	if n := report.Number("LAST-PART"); n >= 0 {
		last.part = int(n)
	}
	return last
}

// places are those of all parts, and of segments without.
func (p *Playlist) places() (all []position) {
	for _, s := range p.all() {
		for i := range s.Parts {
			all = append(all, position{s.Number, i})
		}
		if len(s.Parts) == 0 {
			all = append(all, position{s.Number, wholeSegment})
		}
	}
	return all
}
