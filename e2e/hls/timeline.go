package hls

import (
	"bytes"
	"slices"
	"time"
)

// timeline follows the media's own clock from part to part.
type timeline struct {
	c        *Checker
	at       time.Duration // where the next part begins
	anchored bool          // at is known
	video    end
	audio    end
	shown    time.Duration // until then, the pictures so far
	init     *initSection
	looked   time.Time // when the last fragment was looked at
	torn     bool      // the last one joins, and the server was away before it
	missing  bool      // what comes next comes after a gap
}

// end is where a track has come to.
type end struct {
	known bool
	at    time.Duration
}

// Standards besides RFC 8216bis.
const (
	fragments = "ISO/IEC 14496-12 §8.8"
	coverage  = "sound covers its pictures"
	comeback  = "a rendition comes back with a segment that begins with a key frame"
)

// frame is how long an AAC frame lasts. Where a stream joins another, the sound
// may overlap, or be away, for as long.
func (k *track) frame() time.Duration { return 1024 * time.Second / time.Duration(k.rate) }

// part looks at the next part.
func (t *timeline) part(init *initSection, i item, data []byte) {
	all, err := parseFragments(init, data)
	if err != nil {
		t.c.promise(fragments, i.URI, "%s: %v", i.URI, err)
		return
	}
	begin := position{i.segment.Number, i.part}
	t.back(init, i.URI, begin, i.Independent)
	for n, f := range all {
		t.check(init, i, f, i.segment.Discontinuity && i.part == 0 && n == 0)
	}
	first := all[0]
	if len(first.video) > 0 && i.Independent != independent(first.video[0]) {
		t.c.complain("4.4.4.9", nil, i.URI, "INDEPENDENT=YES is %t, but for the first picture %t", i.Independent, independent(first.video[0]))
	}
	t.interval(init, i.URI, begin, i.Independent, i.Duration, all)
}

// segment looks at a segment whose parts are not known.
func (t *timeline) segment(init *initSection, i item, data []byte) {
	all, err := parseFragments(init, data)
	if err != nil {
		t.c.promise(fragments, i.segment.URI, "%s: %v", i.segment.URI, err)
		return
	}
	begin, key := position{i.segment.Number, 0}, len(all[0].video) > 0 && all[0].video[0].Sync
	t.back(init, i.segment.URI, begin, key)
	for n, f := range all {
		t.check(init, i, f, i.segment.Discontinuity && n == 0)
	}
	t.interval(init, i.segment.URI, begin, key, i.segment.Duration, all)
}

// gap passes over media that is told to be missing: the clock goes on.
func (t *timeline) gap(d time.Duration) {
	t.at += d
	t.missing = true
}

// back looks at where media comes after a gap, if it does.
func (t *timeline) back(init *initSection, uri string, at position, key bool) {
	if !t.missing {
		return
	}
	t.missing, t.video.known, t.audio.known = false, false, false
	if at.part > 0 || init.video != nil && !key {
		t.c.promise(comeback, uri, "%s, %s, comes after a gap, and begins with a key frame: %t", uri, at, key)
	}
}

func independent(s Sample) bool {
	p, err := parsePicture(s.Data)
	return err == nil && s.Sync && p.idr && len(p.sps) > 0 && len(p.pps) > 0
}

// tail is how far a join may begin behind the last DTS, and sound reach behind
// the end of a part: with B-frames pictures are shown later than decoded, and for
// a while longer where some before the last one are missing.
const tail = time.Second / 3

// late is how much longer than they are decoded pictures may last.
func (t *timeline) late() time.Duration {
	if t.shown > t.video.at {
		return tail
	}
	return 0
}

// check looks at a fragment that follows the one before. join says that another
// stream begins with it.
func (t *timeline) check(init *initSection, i item, f fragment, join bool) {
	uri := i.URI
	if i.part < 0 {
		uri = i.segment.URI
	}
	const ago = 10 * time.Second // what was made before may have been told after
	t.torn = join && t.c.away(t.looked.Add(-ago))
	t.looked = time.Now()
	var lost time.Duration
	if t.torn {
		lost = tail
	}
	if init.video != nil {
		allowed := init.video.tick()
		if join {
			allowed = max(t.late(), lost) + init.video.tick()
		}
		t.follow(&t.video, init.video, "video", uri, f.video, allowed)
		for _, s := range f.video {
			t.shown = max(t.shown, s.PTS+s.Duration)
		}
	}
	if init.audio != nil {
		allowed := init.audio.tick()
		if join {
			allowed = init.audio.frame() + lost
		}
		t.follow(&t.audio, init.audio, "audio", uri, f.audio, allowed)
	}
	if t.init != nil && t.init != init && !join {
		t.c.complain("4.4.4.3", nil, uri, "the init section changes with %s, without EXT-X-DISCONTINUITY", uri)
	}
	t.init = init
	for n, s := range f.video {
		t.picture(init, uri, n, s)
	}
	if t.c.cfg.Sample != nil {
		for _, s := range append(slices.Clone(f.video), f.audio...) {
			t.c.cfg.Sample(s)
		}
	}
}

// follow checks that a track goes on where it ended.
func (t *timeline) follow(e *end, k *track, name, uri string, samples []Sample, allowed time.Duration) {
	if len(samples) == 0 {
		return
	}
	if step := samples[0].DTS - e.at; e.known && step.Abs() > allowed {
		t.c.promise("ISO/IEC 14496-12 §8.8.12 (tfdt)", uri, "%s: %s goes on at %v, it ended at %v: %v off", uri, name, samples[0].DTS, e.at, step)
	}
	for _, s := range samples {
		if s.Duration <= 0 {
			t.c.promise("ISO/IEC 14496-12 §8.8.8 (trun)", uri, "%s: %s at %v has no duration", uri, name, s.DTS)
		}
	}
	last := samples[len(samples)-1]
	e.known, e.at = true, last.DTS+last.Duration
}

// picture checks one picture.
func (t *timeline) picture(init *initSection, uri string, n int, s Sample) {
	p, err := parsePicture(s.Data)
	if err != nil {
		t.c.promise("ISO/IEC 14496-15 §5.3", uri, "%s: picture %d: %v", uri, n, err)
		return
	}
	if p.idr != s.Sync {
		t.c.promise("ISO/IEC 14496-12 §8.8.3.1", uri, "%s: picture %d is an IDR picture: %t, a sync sample: %t", uri, n, p.idr, s.Sync)
	}
	if p.idr && (len(p.sps) == 0 || len(p.pps) == 0) {
		t.c.complain("3", nil, uri, "%s: picture %d, an IDR picture, has no parameter sets before it", uri, n)
	}
	for _, sps := range p.sps {
		if !slices.ContainsFunc(init.video.sps, func(known []byte) bool { return bytes.Equal(known, sps) }) {
			t.c.complain("4.4.4.5", nil, uri, "%s: picture %d has an SPS that its init section does not tell", uri, n)
		}
	}
}

// interval checks that what has come is what the playlist told: the pictures that
// begin in the time of the part or segment, which last until its end, and their
// sound.
func (t *timeline) interval(init *initSection, uri string, at position, key bool, told time.Duration, all []fragment) {
	var video, audio []Sample
	for _, f := range all {
		video, audio = append(video, f.video...), append(audio, f.audio...)
	}
	switch {
	case init.video == nil && len(audio) > 0 && !t.anchored:
		t.anchored, t.at = true, audio[0].DTS
	case len(video) == 0 || !key:
	case (!t.anchored || t.torn) && at.part == 0:
		t.anchored, t.at = true, video[0].DTS
		if len(audio) > 0 && (audio[0].DTS-t.at).Abs() > 40*time.Millisecond {
			t.c.promise(coverage, uri, "%s: sound begins %v after the picture", uri, audio[0].DTS-t.at)
		}
	case (video[0].DTS - t.at).Abs() < tolerance:
		t.at = video[0].DTS // sums of rounded durations are set right again
	}
	if !t.anchored {
		return
	}
	begin, end := t.at, t.at+told
	t.at = end
	for _, s := range video {
		if s.DTS < begin-tolerance || s.DTS >= end+tolerance {
			t.c.complain("4.4.4.9", nil, uri, "%s, %s, lasts from %v to %v, but has a picture at %v", uri, at, begin, end, s.DTS)
			break
		}
	}
	if init.video != nil && t.video.at+t.late() < end-tolerance {
		t.c.complain("4.4.4.9", nil, uri, "%s, %s, lasts until %v, its pictures until %v", uri, at, end, t.video.at)
	}
	least := end - tolerance
	if init.video == nil {
		least -= init.audio.frame() // sound alone is anchored by itself
	}
	if init.audio != nil && t.audio.at < least {
		t.c.promise(coverage, uri, "%s, %s, lasts until %v, its sound until %v", uri, at, end, t.audio.at)
	}
	most := max(end+t.late(), min(t.shown, end+tail))
	if t.c.sisters() {
		most = end + tail // sound is cut alike in all, and for that with the most B-frames
	}
	if init.audio != nil && t.audio.at > most+init.audio.frame()+tolerance {
		t.c.promise(coverage, uri, "%s, %s, lasts until %v, its sound until %v", uri, at, end, t.audio.at)
	}
}
