package hls

import (
	"fmt"
	"slices"
	"time"
)

// tolerance is for what is told in milliseconds, and by sums of rounded
// numbers.
const tolerance = 2 * time.Millisecond

// reanchor is how far program date and time must be behind the clock for it to
// be set again without a discontinuity.
const reanchor = 300 * time.Millisecond

// maxAhead is how far program date and time may be ahead of the clock. Where a
// publisher stalled for longer than a segment and then made up for it, it is as
// far ahead for a segment or two.
const maxAhead = 3 * time.Second

// checkVersion checks what can be told from one version alone.
func (c *Checker) checkVersion(p *Playlist) {
	c.checkHead(p)
	all := p.all()
	uris := map[string]bool{}
	for i, s := range all {
		c.checkSegment(p, &s)
		c.checkParts(p, &s)
		if i > 0 {
			c.checkTime(p, &all[i-1], &s)
		}
		for _, uri := range append([]string{s.URI}, partURIs(s.Parts)...) {
			if uri != "" && uris[uri] {
				c.complain("4.4.4", p, uri, "two of one name")
			}
			uris[uri] = true
		}
	}
	if len(all) == 0 {
		c.complain("4.1", p, "", "no media")
		return
	}
	c.checkReach(p)
	if p.Hint != "" && uris[p.Hint] {
		c.complain("4.4.5.3", p, p.line(p.Hint), "the hint is there already")
	}
	if p.Ended && (p.Hint != "" || len(p.Open.Parts) > 0) {
		c.complain("4.4.3.4", p, "#EXT-X-ENDLIST", "a playlist that has ended promises more")
	}
	if ahead := time.Until(p.end()); ahead > maxAhead {
		c.note(Complaint{Section: "program date and time", Version: p.next().String(),
			Text: fmt.Sprintf("about %v ahead of the clock", ahead.Round(time.Second/2))})
	}
}

// checkReach checks that a player which keeps PART-HOLD-BACK from the end finds
// the parts there.
func (c *Checker) checkReach(p *Playlist) {
	all, distance := p.all(), p.Control.Seconds("PART-HOLD-BACK")
	var parts time.Duration
	for i := len(all) - 1; i >= 0 && len(all[i].Parts) > 0; i-- {
		parts += sum(all[i].Parts)
	}
	if p.PartTarget > 0 && parts < min(distance, p.Told()) {
		c.complain("6.2.2", p, "", "the parts told reach back %v, less than PART-HOLD-BACK", parts)
	}
}

func partURIs(parts []Part) (uris []string) {
	for _, q := range parts {
		uris = append(uris, q.URI)
	}
	return uris
}

// checkHead checks what the playlist says of itself.
func (c *Checker) checkHead(p *Playlist) {
	if p.Target <= 0 {
		c.complain("4.4.3.1", p, "", "no EXT-X-TARGETDURATION")
	}
	if p.Version < 9 {
		c.complain("8", p, "", "EXT-X-VERSION is %d, below 9, which EXT-X-SKIP needs", p.Version)
	}
	const control = "#EXT-X-SERVER-CONTROL"
	if d := p.Control.Seconds("HOLD-BACK"); p.Control["HOLD-BACK"] != "" && d < 3*p.Target {
		c.complain("4.4.3.8", p, control, "HOLD-BACK is %v, less than three target durations", d)
	}
	if d := p.Control.Seconds("CAN-SKIP-UNTIL"); p.Control["CAN-SKIP-UNTIL"] != "" && d < 6*p.Target {
		c.complain("4.4.3.8", p, control, "CAN-SKIP-UNTIL is %v, less than six target durations", d)
	}
	if p.Control["CAN-BLOCK-RELOAD"] != "YES" {
		c.complain("4.4.3.8", p, control, "CAN-BLOCK-RELOAD is not YES")
	}
	if d := p.Control.Seconds("PART-HOLD-BACK"); p.PartTarget > 0 && d < 2*p.PartTarget {
		c.complain("4.4.3.8", p, control, "PART-HOLD-BACK is %v, less than two part target durations", d)
	}
}

// checkSegment checks a segment, which may still be open, by itself.
func (c *Checker) checkSegment(p *Playlist, s *Segment) {
	if s.Duration.Round(time.Second) > p.Target {
		c.complain("4.4.3.1", p, p.line(s.URI), "segment %d lasts %v, the target duration is %v", s.Number, s.Duration, p.Target)
	}
	if s.Init == "" && !s.Gap {
		c.complain("4.4.4.5", p, p.line(s.URI), "segment %d has no EXT-X-MAP", s.Number)
	}
	if s.Time.IsZero() {
		c.complain("4.4.4.6", p, p.line(s.URI), "segment %d has no EXT-X-PROGRAM-DATE-TIME", s.Number)
	}
	if gaps := slices.ContainsFunc(s.Parts, func(q Part) bool { return q.Gap }); s.URI != "" && len(s.Parts) > 0 && gaps != s.Gap {
		c.complain("4.4.4.7", p, p.line(s.URI), "segment %d is a gap: %t, one of its parts is: %t", s.Number, s.Gap, gaps)
	}
	if d := sum(s.Parts); s.URI != "" && len(s.Parts) > 0 && (d-s.Duration).Abs() > tolerance {
		c.complain("4.4.4.9", p, p.line(s.URI), "segment %d lasts %v, its parts %v", s.Number, s.Duration, d)
	}
}

// checkParts checks the durations of parts. The last of an open segment may
// turn out to be the last of all.
func (c *Checker) checkParts(p *Playlist, s *Segment) {
	for i, q := range s.Parts {
		if p.PartTarget == 0 {
			c.complain("4.4.3.7", p, p.line(q.URI), "parts without EXT-X-PART-INF")
		}
		if q.Duration > p.PartTarget {
			c.complain("4.4.4.9", p, p.line(q.URI), "a part of %v is longer than the part target duration, %v", q.Duration, p.PartTarget)
		}
		if least := p.PartTarget * 85 / 100; q.Duration < least && i < len(s.Parts)-1 {
			c.complain("4.4.4.9", p, p.line(q.URI), "a part of %v is shorter than 85 %% of the part target duration, %v", q.Duration, p.PartTarget)
		}
		if i > 0 && s.Parts[i-1].Gap && !q.Gap {
			c.promise(comeback, p.line(q.URI), "part %d of segment %d is there, but the one before is a gap", i, s.Number)
		}
	}
}

// checkTime checks that program date and time goes on with the media, give or
// take a hundredth; or is set forward, where it was far behind, or back, where
// it was far ahead, but never to before what came before.
func (c *Checker) checkTime(p *Playlist, before, s *Segment) {
	step, little := s.Time.Sub(before.Time)-before.Duration, before.Duration/100+tolerance
	switch {
	case step < -before.Duration/2-tolerance, step < -tolerance && s.Discontinuity:
		c.complain("4.4.4.6", p, p.line(s.URI), "segment %d begins %v before segment %d ends", s.Number, -step, before.Number)
	case step > little && step < reanchor && !s.Discontinuity:
		c.complain("4.4.4.6", p, p.line(s.URI), "segment %d begins %v after segment %d ends", s.Number, step, before.Number)
	}
}

// checkConstants checks what all versions must have in common.
func (c *Checker) checkConstants(first, p *Playlist) {
	if p.Target != first.Target {
		c.complain("4.4.3.1", p, "#EXT-X-TARGETDURATION", "the target duration was %v and is %v", first.Target, p.Target)
	}
	if p.PartTarget != first.PartTarget {
		c.complain("4.4.3.7", p, "#EXT-X-PART-INF", "the part target duration was %v and is %v", first.PartTarget, p.PartTarget)
	}
	for _, name := range []string{"CAN-SKIP-UNTIL", "HOLD-BACK", "PART-HOLD-BACK", "CAN-BLOCK-RELOAD"} {
		if p.Control[name] != first.Control[name] {
			c.complain("4.4.3.8", p, "#EXT-X-SERVER-CONTROL", "%s was %q and is %q", name, first.Control[name], p.Control[name])
		}
	}
}

// checkOrder checks what a reader must not see after last.
func (c *Checker) checkOrder(last, p *Playlist) {
	if p.Sequence < last.Sequence {
		c.complain("4.4.3.2", p, "#EXT-X-MEDIA-SEQUENCE", "the media sequence number was %d and is %d", last.Sequence, p.Sequence)
	}
	if p.Discontinuity < last.Discontinuity {
		c.complain("4.4.3.3", p, "#EXT-X-DISCONTINUITY-SEQUENCE",
			"the discontinuity sequence number was %d and is %d", last.Discontinuity, p.Discontinuity)
	}
	if p.next().before(last.next()) {
		c.complain("6.2.1", p, "", "the playlist before %s came after that before %s", p.next(), last.next())
	}
}

// checkSkipped checks that the segments which a delta update has left out, the
// first of p, lie behind the skip boundary.
func (c *Checker) checkSkipped(p *Playlist, skipped int) {
	boundary := p.Control.Seconds("CAN-SKIP-UNTIL")
	if boundary < 0 {
		c.complain("6.2.5.1", p, "#EXT-X-SKIP", "a delta update without CAN-SKIP-UNTIL")
	}
	behind := p.Told()
	for _, s := range p.Segments[:skipped] {
		behind -= s.Duration
	}
	if behind < boundary {
		c.complain("6.2.5.1", p, "#EXT-X-SKIP", "left out is what lies %v from the end, CAN-SKIP-UNTIL is %v", behind, boundary)
	}
}
