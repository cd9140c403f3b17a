package e2e

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"anabranch/e2e/hls"
)

// view is a rendition that was watched, or recorded.
type view struct {
	name string // such as "360p30"; empty for the source, where it is watched
	sight
	holes []span  // what was told to be missing
	torn  bool    // its encoder was struck: some of the last part before a key frame may be missing, too
	joins []int64 // where another stream begins
}

// watched ends the viewing, and is what has been seen of each rendition, the
// best first.
func (c *channel) watched() (all []*view) {
	t := c.server.t
	t.Helper()
	c.viewer.stop()
	for _, r := range c.viewer.Renditions() {
		media := r.Media()
		if len(media) != 1 {
			t.Fatalf("%s has media of %d init sections", r.Name(), len(media))
		}
		file := filepath.Join(t.TempDir(), "seen.mp4")
		if err := os.WriteFile(file, media[0], 0o600); err != nil {
			t.Fatal(err)
		}
		one := &view{name: path.Dir(r.Name()), sight: look(t, file)}
		if one.name == c.id() {
			one.name = ""
		}
		one.tell(r.Segments())
		all = append(all, one)
	}
	return all
}

// recorded is what a recording shows in each rendition, the best first.
func (r recording) recorded(t testing.TB) (all []*view) {
	t.Helper()
	m, err := r.metadata("recording-ended.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, rendition := range m.Media.HLS.Renditions {
		folder := filepath.Join(r.dir, filepath.FromSlash(m.Media.HLS.Path), rendition.Path)
		p := r.mediaPlaylist(t, path.Join(m.Media.HLS.Path, rendition.Path, rendition.Playlist))
		var content []byte
		var init string
		for _, s := range p.Segments {
			if s.Gap {
				continue
			}
			names := []string{s.URI}
			if s.Init != init {
				init, names = s.Init, []string{s.Init, s.URI}
			}
			for _, name := range names {
				part, err := os.ReadFile(filepath.Join(folder, name))
				if err != nil {
					t.Fatal(err)
				}
				content = append(content, part...)
			}
		}
		file := filepath.Join(t.TempDir(), "recorded")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		one := &view{name: rendition.Path, sight: look(t, file)}
		if one.width != rendition.Width || one.height != rendition.Height {
			t.Errorf("%s is told to be %dx%d, it is %dx%d", rendition.Path, rendition.Width, rendition.Height, one.width, one.height)
		}
		one.tell(p.Segments)
		all = append(all, one)
	}
	return all
}

// tell notes what a playlist says of gaps and joins.
func (v *view) tell(segments []hls.Segment) {
	at, known := int64(0), false
	for _, s := range segments {
		known = known || !s.Gap
		if !known {
			at -= durationTicks(s.Duration)
		}
	}
	switch {
	case len(v.pictures) > 0:
		at += v.pictures[0].at
	case len(v.sound) > 0:
		at += v.sound[0].at
	}
	for i, s := range segments {
		lasts := durationTicks(s.Duration)
		if s.URI == "" {
			lasts = 0
			for _, q := range s.Parts {
				lasts += durationTicks(q.Duration)
			}
		}
		if s.Gap {
			v.holes = append(v.holes, span{at, lasts})
		}
		if s.Discontinuity && i > 0 {
			v.joins = append(v.joins, at)
		}
		at += lasts
	}
}

// alsoMissing notes what may be missing of a recording, because live it was told
// to be: a recording does not tell where an object has only some of its media.
func alsoMissing(recorded, live []*view) {
	for i := range min(len(recorded), len(live)) {
		if len(recorded[0].pictures) == 0 || len(live[0].pictures) == 0 {
			return
		}
		shift := recorded[0].pictures[0].at - live[0].pictures[0].at
		for _, h := range live[i].holes {
			recorded[i].holes = append(recorded[i].holes, span{h.at + shift, h.lasts})
		}
	}
}

func durationTicks(d time.Duration) int64 { return int64(d.Seconds()*ticks + 0.5) }

// rounding is how far a time that is a sum of rounded durations may be off.
const rounding = ticks / 200

// missing says whether a picture or sound is in a hole, or so close to one that
// it may have gone with it.
func missing(s span, holes []span) bool {
	return slices.ContainsFunc(holes, func(h span) bool { return s.end() > h.at-rounding && s.at < h.end()+rounding })
}

// compare says where a rendition is not what its source shows. fresh says that
// it has key frames of its own, halved that it leaves out every other picture.
func (v *view) compare(source *view, halved, fresh bool) (wrong []string) {
	c := comparison{source: source, view: v}
	if len(source.pictures) == 0 || len(source.sound) == 0 {
		c.complain("the source has %d pictures and %d frames of sound", len(source.pictures), len(source.sound))
		return c.wrong
	}
	if v.width > 0 {
		c.pictures(halved, fresh)
	} else if len(v.pictures) > 0 {
		c.complain("it has pictures")
	}
	c.sound()
	if v.width > 0 && len(v.holes) == 0 {
		c.edges()
	}
	return c.wrong
}

// compareReel says where a rendition is not what was published: the reel from its
// beginning, as often as there are streams, each torn off somewhere.
func (v *view) compareReel(r *reel) (wrong []string) {
	c := comparison{source: &view{sight: r.shown}, view: v}
	if len(v.pictures) == 0 {
		c.complain("nothing is there")
		return c.wrong
	}
	bounds := append([]int64{v.pictures[0].at}, v.joins...)
	for i, begin := range bounds {
		end := int64(1 << 62)
		if i+1 < len(bounds) {
			end = bounds[i+1]
		}
		c.piece(begin-rounding, end-rounding)
	}
	return c.wrong
}

// piece compares what is seen of one stream.
func (c *comparison) piece(begin, end int64) {
	film := c.source
	var pictures []shown
	for _, p := range c.view.pictures {
		if p.at >= begin && p.at < end {
			pictures = append(pictures, p)
		}
	}
	if len(pictures) < 10 {
		c.complain("%d pictures from %s on", len(pictures), clock(begin))
		return
	}
	// A stream's first picture is shown as soon as it is decoded.
	offset := pictures[1].at - film.pictures[1].at
	pictures[0].at = film.pictures[0].at + offset
	for i, p := range pictures {
		switch of := slices.IndexFunc(film.pictures, func(q shown) bool { return q.at+offset == p.at }); {
		case of < 0:
			c.complain("no picture was sent for that at %s", clock(p.at))
		case p.number != film.pictures[of].number:
			c.complain("the picture at %s has the number %d, what was sent %d", clock(p.at), p.number, film.pictures[of].number)
		case of != i && i < len(pictures)-4: // B-frames may miss where it was torn off
			c.complain("the picture at %s is the %dth that was sent, but the %dth that is there", clock(p.at), of, i)
		case film.pictures[of].key && !p.key:
			c.complain("the picture at %s is no key frame, what was sent is", clock(p.at))
		}
	}
	for _, at := range c.view.beeps {
		near := func(sent int64) bool { return (time.Duration(at-sent-offset) * time.Second / ticks).Abs() <= skew }
		if at >= begin && at < end && !slices.ContainsFunc(film.beeps, near) {
			c.complain("it beeps at %s, %s behind the first picture", clock(at), clock(at-begin-rounding))
		}
	}
}

type comparison struct {
	source, view *view
	wrong        []string
}

func (c *comparison) complain(format string, args ...any) {
	if len(c.wrong) < 8 {
		c.wrong = append(c.wrong, fmt.Sprintf("%q: ", c.view.name)+fmt.Sprintf(format, args...))
	}
}

// pictures checks that each picture is the source's that is shown at the same
// time, and that none is missing outside of what was told.
func (c *comparison) pictures(halved, fresh bool) {
	known := make(map[int64]shown)
	for _, p := range c.source.pictures {
		known[p.at] = p
	}
	there := make(map[int64]bool)
	lastKey, limit := int64(-1), int64(0)
	for _, p := range c.view.pictures {
		of, ok := known[p.at]
		if there[p.at] = true; !ok {
			c.complain("the picture at %s is none of the source's", clock(p.at))
			continue
		}
		if p.number != of.number {
			c.complain("the picture at %s has the number %d, the source's %d", clock(p.at), p.number, of.number)
		}
		if p.key != of.key && !(fresh && p.key) {
			c.complain("the picture at %s is a key frame: %t, the source's: %t", clock(p.at), p.key, of.key)
		}
		if p.key {
			lastKey, limit = p.at, p.at+2*ticks
		}
		if p.key && c.begins(p.at) {
			limit += ticks / 3 // it is shown as soon as it is decoded, those behind it as stamped
		}
		if fresh && p.at > limit {
			c.complain("at %s there has been no key frame for %s", clock(p.at), clock(p.at-lastKey))
			limit = p.at + 2*ticks
		}
	}
	sinceKey := 0
	for _, p := range c.source.pictures {
		if sinceKey++; p.key {
			sinceKey = 0
		}
		if want := !halved || sinceKey%2 == 0; want != there[p.at] && !missing(p.span, c.view.holes) && !c.tornBefore(p.at) {
			c.complain("the picture at %s, %d behind a key frame, is there: %t", clock(p.at), sinceKey, there[p.at])
		}
	}
}

// tornBefore says whether a picture may be missing because the encoder began anew
// within the time of a part.
func (c *comparison) tornBefore(at int64) bool {
	const part = ticks / 3
	return c.view.torn && slices.ContainsFunc(c.view.pictures, func(p shown) bool { return p.key && p.at > at && p.at <= at+part+rounding })
}

// begins says whether a stream begins at a time.
func (c *comparison) begins(at int64) bool {
	return at == c.source.pictures[0].at || slices.ContainsFunc(c.source.joins, func(join int64) bool { return at >= join-rounding && at <= join+rounding })
}

// sound checks that each frame has the time of one of the source's, and none is
// missing; and where the beeps are.
func (c *comparison) sound() {
	const alike = ticks / 1000 // MPEG-TS does not tell the time of every frame
	const reach = ticks / 3    // with B-frames, sound belongs to a part that ended before
	left := c.view.sound
	for _, s := range c.source.sound {
		for len(left) > 0 && left[0].at < s.at-alike {
			c.complain("the sound at %s is not the source's", clock(left[0].at))
			left = left[1:]
		}
		switch {
		case len(left) > 0 && left[0].at <= s.at+alike:
			left = left[1:]
		case !missing(span{s.at - reach, reach + s.lasts}, c.view.holes):
			c.complain("the sound at %s is missing", clock(s.at))
		}
	}
	if len(left) > 0 {
		c.complain("the sound at %s is not the source's", clock(left[0].at))
	}
	if len(c.view.holes) > 0 || c.view.torn {
		return // how long a hole is cannot be heard
	}
	if len(c.view.beeps) != len(c.source.beeps) {
		c.complain("it beeps %d times, the source %d times", len(c.view.beeps), len(c.source.beeps))
		return
	}
	for i, at := range c.view.beeps {
		if d := at - c.source.beeps[i]; d > durationTicks(skew) || d < -durationTicks(skew) {
			c.complain("it beeps at %s, the source at %s", clock(at), clock(c.source.beeps[i]))
		}
	}
}

// edges checks that sound and pictures begin and end together, as the source's
// do. Those of a source that was torn off amid B-frames end a moment apart.
func (c *comparison) edges() {
	if len(c.view.pictures) == 0 || len(c.view.sound) == 0 {
		c.complain("it has %d pictures and %d frames of sound", len(c.view.pictures), len(c.view.sound))
		return
	}
	limit := durationTicks(skew)
	begin, end := c.view.edges()
	if begin > limit || begin < -limit {
		c.complain("sound begins %s after the picture", clock(begin))
	}
	_, sourceEnd := c.source.edges()
	if d := end - sourceEnd; d > limit || d < -limit || end > ticks/3 || end < -limit {
		c.complain("sound ends %s after the picture, the source's %s", clock(end), clock(sourceEnd))
	}
}

// edges is how long after the pictures sound begins and ends.
func (v *view) edges() (begin, end int64) {
	return v.sound[0].at - v.pictures[0].at, v.sound[len(v.sound)-1].end() - v.pictures[len(v.pictures)-1].end()
}

// clock is a time of day that begins with the stream.
func clock(at int64) string { return strconv.FormatFloat(float64(at)/ticks, 'f', 4, 64) + " s" }
