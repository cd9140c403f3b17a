package hls

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// history is what all readers together have learned of one playlist. What
// several of them see at about the same time may come in any order.
type history struct {
	c      *Checker
	url    string
	media  *media
	keeper *keeper

	mu       sync.Mutex
	first    *Playlist // the first version that came
	newest   *Playlist
	final    *Playlist // with EXT-X-ENDLIST
	segments map[uint64]*told
	oldest   uint64                // number of the first segment ever told
	hints    map[position]string   // what was hinted at
	versions map[string]*rendering // by key
	keys     []string              // of versions, oldest first
	progress []progress            // when the end of the playlist moved
	etags    map[string]string     // text of each
}

// told is all that was told of a segment.
type told struct {
	Segment                     // with all parts
	whole         bool          // its URI was told
	begun         bool          // one of its parts, or all of it
	discontinuity uint64        // Discontinuity Sequence Number
	removed       bool          // it has left the playlist
	unparted      bool          // its parts have
	seen          time.Time     // when it was last asked for and told
	partsSeen     time.Time     // and its parts
	longest       time.Duration // of the playlists that list it
}

// rendering is a version of the playlist.
type rendering struct {
	full   *Playlist
	deltas []*Playlist // filled in, that came before
}

type progress struct {
	next position
	at   time.Time
}

// maxVersions is how many versions are remembered.
const maxVersions = 200

func newHistory(c *Checker, url string, m *media, k *keeper) *history {
	return &history{
		c: c, url: url, media: m, keeper: k,
		segments: map[uint64]*told{}, hints: map[position]string{}, versions: map[string]*rendering{}, etags: map[string]string{},
	}
}

// accept takes the next version that a reader came by, after last, between sent
// and got. delta says that it was filled in.
func (h *history) accept(last, p *Playlist, delta bool, sent, got time.Time) {
	h.c.checkVersion(p)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.first == nil {
		h.first, h.oldest = p, p.Sequence
	}
	h.c.checkConstants(h.first, p)
	if last != nil {
		h.c.checkOrder(last, p)
	}
	h.compareRenderings(p, delta)
	h.compareSegments(p, sent)
	h.checkHints(p)
	if h.oldest < p.Sequence && p.Told() < 3*p.Target {
		h.c.complain("6.2.2", p, "", "%v are left, less than three target durations, though segments have been removed", p.Told())
	}
	if h.newest == nil || h.newest.next().before(p.next()) || h.newest.key() != p.key() && h.newest.next() == p.next() {
		h.newest = p
		h.progress = append(h.progress, progress{p.next(), got})
		h.remove(p)
	}
	h.checkEnd(p)
}

// compareRenderings checks that all renderings of one version are the same.
func (h *history) compareRenderings(p *Playlist, delta bool) {
	key := p.key()
	v := h.versions[key]
	if v == nil {
		v = &rendering{}
		h.versions[key] = v
		if h.keys = append(h.keys, key); len(h.keys) > maxVersions {
			delete(h.versions, h.keys[0])
			h.keys = h.keys[1:]
		}
	}
	switch {
	case delta && v.full == nil:
		v.deltas = append(v.deltas, p)
	case delta:
		h.compareDelta(v.full, p)
	case v.full == nil:
		v.full = p
		for _, d := range v.deltas {
			h.compareDelta(p, d)
		}
		v.deltas = nil
	case v.full.text() != p.text():
		h.c.complain("6.2.1", p, "", "two texts of one version:\n%s\n%s", v.full.Text, p.Text)
	}
}

func (h *history) compareDelta(full, filled *Playlist) {
	if d := difference(full, filled); d != "" {
		h.c.complain("6.2.5.1", full, "", "a delta update gives another playlist than the full one: %s", d)
	}
}

// compareSegments checks that what was told of segments and their parts stays
// true, and has the media looked at that is new.
func (h *history) compareSegments(p *Playlist, sent time.Time) {
	discontinuity, length := p.Discontinuity, p.Told()
	for i, s := range p.all() {
		if s.Discontinuity {
			discontinuity++
		}
		k := h.segments[s.Number]
		if k == nil {
			k = &told{Segment: Segment{Number: s.Number}, discontinuity: discontinuity}
			h.segments[s.Number] = k
		}
		k.longest = max(k.longest, length)
		if k.seen.Before(sent) {
			k.seen = sent
		}
		if len(s.Parts) > 0 && k.partsSeen.Before(sent) {
			k.partsSeen = sent
		}
		if discontinuity != k.discontinuity {
			h.c.complain("4.4.3.3", p, p.line("#EXT-X-DISCONTINUITY-SEQUENCE"),
				"the Discontinuity Sequence Number of segment %d was %d and is %d", s.Number, k.discontinuity, discontinuity)
		}
		if k.begun && (s.Init != k.Init || !s.Time.Equal(k.Time) || s.Discontinuity != k.Discontinuity) ||
			k.whole && s.URI != "" && (s.URI != k.URI || s.Duration != k.Duration || s.Gap != k.Gap) {
			h.c.complain("6.2.1", p, p.line(s.URI), "segment %s is now %s", &k.Segment, &p.all()[i])
			continue
		}
		h.compareParts(p, k, s)
		k.begun = true
		k.Init, k.Time, k.Discontinuity = s.Init, s.Time, s.Discontinuity
		if s.URI != "" && !k.whole {
			k.whole, k.URI, k.Duration, k.Gap = true, s.URI, s.Duration, s.Gap
			h.media.segment(k.Segment)
		}
	}
}

// compareParts checks that the parts of one version are the beginning of those
// of another, and keeps the longer list.
func (h *history) compareParts(p *Playlist, k *told, s Segment) {
	for i := range min(len(s.Parts), len(k.Parts)) {
		if s.Parts[i] != k.Parts[i] {
			h.c.complain("6.2.1", p, p.line(s.Parts[i].URI), "part %d of segment %d was %+v", i, s.Number, k.Parts[i])
			return
		}
	}
	if len(s.Parts) > 0 && s.URI != "" && len(s.Parts) < len(k.Parts) || k.whole && len(k.Parts) > 0 && len(s.Parts) > len(k.Parts) {
		h.c.complain("6.2.1", p, p.line(s.URI), "segment %d of %d parts has %d when it is whole", s.Number, len(k.Parts), len(s.Parts))
		return
	}
	for i := len(k.Parts); i < len(s.Parts); i++ {
		if hint, ok := h.hints[position{s.Number, i}]; ok && hint != s.Parts[i].URI {
			h.c.complain("4.4.5.3", p, p.line(s.Parts[i].URI), "the hint for part %d of segment %d was %s", i, s.Number, hint)
		}
		k.Parts = append(k.Parts, s.Parts[i])
		h.media.part(s, i, s.Parts[i])
	}
}

// checkHints notes what is hinted at, and complains of hints that cannot come
// true any more although nothing was torn.
func (h *history) checkHints(p *Playlist) {
	if p.Hint != "" {
		h.hints[p.next()] = p.Hint
	}
	all := p.all()
	for i, s := range all[:max(len(all)-1, 0)] {
		at := position{s.Number, len(s.Parts)}
		if hint, ok := h.hints[at]; ok && len(s.Parts) > 0 && s.URI != "" && !all[i+1].Discontinuity {
			h.c.complain("4.4.5.3", p, p.line(s.URI), "%s was hinted at and never came", hint)
			delete(h.hints, at)
		}
	}
}

// remove notes which segments and parts have left the playlist: what they
// promise the server must keep for a while (RFC 8216bis §6.2.2).
func (h *history) remove(p *Playlist) {
	listed := map[uint64]bool{} // with parts
	for _, s := range p.all() {
		listed[s.Number] = len(s.Parts) > 0
	}
	for n, k := range h.segments {
		parts, there := listed[n]
		if !there && !k.removed && k.whole && n < p.Sequence {
			k.removed = true
			h.keeper.removed(h.url, k.URI, k.seen.Add(k.Duration+k.longest))
		}
		if !parts && !k.unparted && k.whole {
			k.unparted = true
			for _, q := range k.Parts {
				h.keeper.removed(h.url, q.URI, k.partsSeen.Add(3*p.Target))
			}
		}
	}
}

// checkEnd checks that nothing comes behind EXT-X-ENDLIST.
func (h *history) checkEnd(p *Playlist) {
	if p.Ended && h.final == nil {
		h.final = p
	}
	if h.final == nil {
		return
	}
	if h.final.next().before(p.next()) || p.Ended && p.text() != h.final.text() {
		h.c.complain("4.4.3.4", p, "#EXT-X-ENDLIST", "the playlist has ended, but is another now")
	}
}

// reached is when the first reader saw a playlist that holds want.
func (h *history) reached(want position) (time.Time, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if want.part < 0 {
		want = position{want.number + 1, -1}
	}
	for _, p := range h.progress {
		if want.before(p.next) && len(h.progress) > 1 {
			return p.at, p != h.progress[0]
		}
	}
	return time.Time{}, false
}

// tag notes what an entity tag stands for, and says whether that is as before.
func (h *history) tag(etag, text string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if before, ok := h.etags[etag]; ok {
		return before == text
	}
	h.etags[etag] = text
	return true
}

func (h *history) newestVersion() *Playlist {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.newest
}

// all are the segments that were told, in order.
func (h *history) all() (all []Segment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range h.segments {
		s := k.Segment
		s.Parts = slices.Clone(s.Parts)
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Segment) int { return cmp.Compare(a.Number, b.Number) })
	return all
}

func (h *history) over() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.final != nil
}

// joins is how many discontinuities were told, but for that of the first
// segment.
func (h *history) joins() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for number, s := range h.segments {
		if s.Discontinuity && number != h.oldest {
			n++
		}
	}
	return n
}
