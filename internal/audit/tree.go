package audit

import (
	"maps"
	"path"
	"slices"
	"time"

	"anabranch/internal/resource"
)

// readRenditions reads all playlists that m tells of, and compares them.
func (a *audit) readRenditions(m *metadata) ([]rendition, error) {
	if m == nil || m.Media.HLS == nil {
		return nil, nil // its configuration says so, or nothing can be known
	}
	hls := m.Media.HLS
	var renditions []rendition
	whole, ranges := make(variants), make(variants)
	for i := range hls.Renditions {
		told := &hls.Renditions[i]
		// Of several some may have no media yet, which the end would tell.
		due := m.Status != resource.RecordingStarted || len(hls.Renditions) == 1
		r, err := a.readRendition(path.Join(hls.Path, told.Path), told, due)
		if err != nil {
			return nil, err
		}
		renditions = append(renditions, r)
		due = due || !r.unread
		whole[path.Join(told.Path, told.Playlist)] = listed{told.resolution(), due}
		ranges[path.Join(told.Path, told.ByteRange)] = listed{told.resolution(), due}
	}
	for _, name := range slices.Sorted(maps.Keys(a.rec.Stored)) {
		if m.rendition(name) == nil && slices.ContainsFunc(a.rec.Stored[name], func(o Object) bool { return !o.Gap }) {
			a.problem(MetadataInvalid, stateNames[m.Status], "it does not tell of the rendition %s, which is recorded", name)
		}
	}
	if len(renditions) == 0 {
		return nil, nil // it failed before any media
	}
	led, err := a.checkMaster(path.Join(hls.Path, hls.Playlist), whole, true)
	if err != nil {
		return nil, err
	}
	renditions[0].variants = led
	if hls.ByteRange != "" {
		if _, err := a.checkMaster(path.Join(hls.Path, hls.ByteRange), ranges, a.rec.State == resource.RecordingEnded); err != nil {
			return nil, err
		}
	}
	a.checkDuration(stateNames[m.Status], hls.DurationMS, a.checkCuts(renditions))
	return renditions, nil
}

// checkCuts checks that all renditions are cut as the first that can be read,
// which it returns. Where none can be it is the first.
func (a *audit) checkCuts(renditions []rendition) *rendition {
	var first *rendition
	for i := range renditions {
		switch r := &renditions[i]; {
		case r.duration == 0:
		case first == nil:
			first = r
		default:
			a.compare(RenditionCut, r.playlist, r.objects, first.objects, a.rec.Open, 0)
		}
	}
	if first == nil {
		return &renditions[0]
	}
	return first
}

// readRendition reads and compares the playlists of one rendition.
func (a *audit) readRendition(folder string, told *tree, due bool) (r rendition, err error) {
	name := path.Join(folder, told.Playlist)
	r.folder, r.playlist = folder, name
	whole, err := a.readPlaylist(name, due)
	if err != nil {
		return r, err
	}
	var pieces *playlist
	if told.ByteRange != "" {
		if pieces, err = a.readPlaylist(path.Join(folder, told.ByteRange), due && a.rec.State == resource.RecordingEnded); err != nil {
			return r, err
		}
	}
	if whole == nil {
		// What there is of it tells at least what the objects are.
		if r.unread = pieces == nil; !r.unread {
			r.objects = pieces.objects(func(string) {})
		}
		return r, nil
	}
	r.objects = whole.objects(func(msg string) { a.problem(PlaylistInvalid, name, "%s", msg) })
	if a.rec.OfParticipant() {
		a.checkStretches(name, whole)
		r.target, r.lost = time.Duration(whole.target)*time.Second, whole.lost()
	}
	for i := range r.objects {
		r.duration += r.objects[i].Duration
	}
	a.Duration = max(a.Duration, r.duration)
	a.checkNumbers(name, r.objects)
	if over := a.rec.State != resource.RecordingStarted; whole.ended != over && !a.rec.Open {
		a.problem(PlaylistEnd, name, "EXT-X-ENDLIST is %s, and the recording %s", presence(whole.ended), a.rec.State)
	}
	if pieces != nil {
		a.compareRanges(path.Join(folder, told.ByteRange), pieces, r.objects)
	}
	stored := a.rec.Stored[told.Path]
	a.compare(PlaylistMismatch, name, r.objects, stored, true, 2*time.Millisecond)
	for i := range min(len(stored), len(r.objects)) {
		r.objects[i].Size = stored[i].Size
	}
	return r, nil
}

// compareRanges compares a playlist of byte ranges with the objects of the
// other one, and notes their sizes and pieces.
func (a *audit) compareRanges(name string, p *playlist, objects []Object) {
	ranged := p.objects(func(msg string) { a.problem(PlaylistInvalid, name, "%s", msg) })
	lags := a.rec.Open || a.rec.State != resource.RecordingEnded // it is refreshed less often
	// Durations differ by rounding: each is the sum of so many.
	rounded := 2 + len(p.entries)/max(1, len(ranged))
	a.compare(PlaylistMismatch, name, ranged, objects, lags, time.Duration(rounded)*time.Millisecond)
	for i := range min(len(ranged), len(objects)) {
		objects[i].Size, objects[i].pieces = ranged[i].Size, ranged[i].pieces
	}
}

func presence(there bool) string {
	if there {
		return "there"
	}
	return "missing"
}

// checkNumbers checks that what is missing between objects is told.
func (a *audit) checkNumbers(name string, objects []Object) {
	next := 0
	for i := range objects {
		o := &objects[i]
		switch n := number(o.Name); {
		case n < next:
			a.problem(NumberGap, name, "%s comes behind %d", o.Name, next-1)
		case n > next && !o.Discontinuity && i > 0:
			a.problem(NumberGap, name, "%s comes behind %d, without EXT-X-DISCONTINUITY", o.Name, next-1)
		default:
			next = n
		}
		next++
		if i > 0 && o.Time.Before(objects[i-1].Time) {
			a.problem(PlaylistInvalid, name, "%s has an earlier EXT-X-PROGRAM-DATE-TIME than the object before", o.Name)
		}
	}
}

// compare checks that a playlist tells of the same objects as something else
// does; with partly one may know more of them than the other.
func (a *audit) compare(code Code, name string, told, other []Object, partly bool, tolerance time.Duration) {
	if len(told) != len(other) && !partly {
		a.problem(code, name, "it tells of %d objects, elsewhere there are %d", len(told), len(other))
	}
	for i := range min(len(told), len(other)) {
		t, o := &told[i], &other[i]
		switch {
		case t.Name != o.Name:
			a.problem(code, name, "object %d of it is %s, elsewhere %s", i, t.Name, o.Name)
			return // the others are all shifted
		case (t.Duration - o.Duration).Abs() > tolerance:
			a.problem(code, name, "%s lasts %v, elsewhere %v", t.Name, t.Duration, o.Duration)
		case t.Time.Sub(o.Time).Abs() >= t.slip()+time.Millisecond:
			a.problem(code, name, "%s begins at %s, elsewhere at %s", t.Name, t.Time.Format(time.RFC3339Nano), o.Time.Format(time.RFC3339Nano))
		case t.Discontinuity != o.Discontinuity:
			a.problem(code, name, "EXT-X-DISCONTINUITY before %s is %s, elsewhere %s", t.Name, presence(t.Discontinuity), presence(o.Discontinuity))
		case t.Gap != o.Gap && code != RenditionCut:
			a.problem(code, name, "EXT-X-GAP of %s is %s, elsewhere %s", t.Name, presence(t.Gap), presence(o.Gap))
		}
	}
}

// slip is by how much its time may be wrong where it was not told: by how much
// durations are rounded.
func (o *Object) slip() time.Duration {
	if o.added {
		return time.Millisecond
	}
	return 0
}

// variants are what a multivariant playlist may lead to, by URI.
type variants map[string]listed

type listed struct {
	resolution string
	due        bool // it must lead there
}

// checkMaster checks that a multivariant playlist leads to the playlists of the
// renditions, each with its resolution, and to nothing else. It returns where it
// leads. The metadata of participants' recordings tells no resolution.
func (a *audit) checkMaster(name string, want variants, due bool) ([]variant, error) {
	text, err := a.fetch(name, maxMetadata)
	if err != nil {
		return nil, err
	}
	if text == nil {
		if due && !a.rec.Open {
			a.problem(PlaylistMissing, name, "it is missing")
		}
		return nil, nil
	}
	a.known[name] = true
	all, err := parseMultivariant(text)
	if err != nil {
		a.problem(PlaylistInvalid, name, "%v", err)
	}
	found := make(map[string]bool)
	for _, v := range all {
		switch l, told := want[v.uri]; {
		case !told:
			a.problem(PlaylistMismatch, name, "it leads to %s, of which the metadata does not tell", v.uri)
		case found[v.uri]:
			a.problem(PlaylistMismatch, name, "it leads to %s twice", v.uri)
		case v.resolution != l.resolution && !a.rec.OfParticipant():
			a.problem(PlaylistMismatch, name, "the resolution of %s is %q, in the metadata %q", v.uri, v.resolution, l.resolution)
		}
		found[v.uri] = true
	}
	for _, uri := range slices.Sorted(maps.Keys(want)) {
		if want[uri].due && !found[uri] && !a.rec.Open {
			a.problem(PlaylistMismatch, name, "it does not lead to %s", uri)
		}
	}
	return all, nil
}

// readPlaylist reads a media playlist; nil when there is none to be read.
func (a *audit) readPlaylist(name string, due bool) (*playlist, error) {
	text, err := a.fetch(name, maxPlaylist)
	if err != nil {
		return nil, err
	}
	if text == nil {
		if due && !a.rec.Open {
			a.problem(PlaylistMissing, name, "it is missing")
		}
		return nil, nil
	}
	a.known[name] = true
	p, err := parsePlaylist(text, a.rec.OfParticipant())
	if err != nil {
		a.problem(PlaylistInvalid, name, "%v", err)
		return nil, nil
	}
	return p, nil
}

// checkDuration checks the length that the metadata tells.
func (a *audit) checkDuration(name string, told *int64, r *rendition) {
	if a.rec.Open || name == stateNames[resource.RecordingStarted] || r.duration == 0 && len(r.objects) > 0 || r.unread {
		return
	}
	if told == nil {
		a.problem(DurationMismatch, name, "it tells no duration_ms")
		return
	}
	d := time.Duration(*told) * time.Millisecond
	if rounding := time.Duration(len(r.objects)+2) * time.Millisecond / 2; (d - r.duration).Abs() > rounding {
		a.problem(DurationMismatch, name, "it tells %v, the playlist %v", d, r.duration)
	}
	if d != a.rec.Duration.Truncate(time.Millisecond) {
		a.problem(DurationMismatch, name, "it tells %v, the database %v", d, a.rec.Duration)
	}
}
