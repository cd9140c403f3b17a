package audit

import (
	"cmp"
	"encoding/json"
	"path"
	"regexp"
	"time"

	"anabranch/internal/resource"
)

// metadata is what events/recording-*.json tell.
type metadata struct {
	Status resource.RecordingState `json:"recording_status"`
	Media  struct {
		HLS *struct {
			tree
			DurationMS *int64 `json:"duration_ms"`
			Renditions []tree `json:"renditions"`
		} `json:"hls"`
	} `json:"media"`
}

// tree is a folder and the playlists in it.
type tree struct {
	Path      string `json:"path"`
	Playlist  string `json:"playlist"`
	ByteRange string `json:"byte_range_playlist"`
}

// The metadata files by the state they tell of.
var stateNames = map[resource.RecordingState]string{
	resource.RecordingStarted: "events/recording-started.json",
	resource.RecordingEnded:   "events/recording-ended.json",
	resource.RecordingFailed:  "events/recording-failed.json",
}

// read reads everything but media, from the metadata on, and compares it.
func (a *audit) read() ([]rendition, error) {
	m, err := a.readMetadata()
	if m == nil || m.Media.HLS == nil || err != nil {
		return nil, err
	}
	hls := m.Media.HLS
	whole, ranges := make(map[string]bool), make(map[string]bool) // playlists of the renditions
	var renditions []rendition
	for _, told := range hls.Renditions {
		r, err := a.readRendition(path.Join(hls.Path, told.Path), told)
		if err != nil {
			return nil, err
		}
		renditions = append(renditions, r)
		whole[path.Join(told.Path, told.Playlist)] = true
		ranges[path.Join(told.Path, told.ByteRange)] = true
	}
	if len(renditions) == 0 {
		return nil, nil // its configuration says so, or it failed before any media
	}
	if err := a.checkMaster(path.Join(hls.Path, hls.Playlist), whole, true); err != nil {
		return nil, err
	}
	if hls.ByteRange != "" {
		if err := a.checkMaster(path.Join(hls.Path, hls.ByteRange), ranges, a.rec.State == resource.RecordingEnded); err != nil {
			return nil, err
		}
	}
	a.checkDuration(stateNames[m.Status], hls.DurationMS, &renditions[0])
	return renditions, nil
}

// readMetadata reads the metadata of every state and returns that of the last
// one; nil when there is none that can be read.
func (a *audit) readMetadata() (*metadata, error) {
	told := make(map[resource.RecordingState]*metadata)
	for _, state := range []resource.RecordingState{resource.RecordingStarted, resource.RecordingEnded, resource.RecordingFailed} {
		name := stateNames[state]
		text, err := a.fetch(name, maxMetadata)
		if err != nil {
			return nil, err
		}
		if text == nil {
			// One that failed need not have started.
			if due := state == a.rec.State || state == resource.RecordingStarted && a.rec.State == resource.RecordingEnded; due && !a.rec.Open {
				a.problem(MetadataMissing, name, "the recording is %s, but this is missing", a.rec.State)
			}
			continue
		}
		a.known[name] = true
		m := new(metadata)
		switch err := json.Unmarshal(text, m); {
		case err != nil:
			a.problem(MetadataInvalid, name, "it is not the JSON of a recording: %v", err)
			continue
		case !m.local():
			a.problem(MetadataInvalid, name, "a path in it leads out of its folder, or there are too many")
			continue
		case m.Status != state:
			a.problem(StateMismatch, name, "it tells the state %q", m.Status)
			continue
		case state != resource.RecordingStarted && state != a.rec.State && !a.rec.Open:
			a.problem(StateMismatch, name, "the database has the state %s", a.rec.State)
		}
		told[state] = m
	}
	last := cmp.Or(told[a.rec.State], told[resource.RecordingEnded], told[resource.RecordingFailed], told[resource.RecordingStarted])
	if first := told[resource.RecordingStarted]; last != nil && first != nil {
		last.complete(first)
	}
	return last, nil
}

// inside is the form of the paths that metadata tells.
var inside = regexp.MustCompile(`^[\w-]+(/[\w-]+)*(\.m3u8)?$`)

// maxRenditions is far more than a stream has.
const maxRenditions = 32

func (m *metadata) local() bool {
	if m.Media.HLS == nil {
		return true
	}
	if len(m.Media.HLS.Renditions) > maxRenditions {
		return false
	}
	for _, t := range append([]tree{m.Media.HLS.tree}, m.Media.HLS.Renditions...) {
		if !inside.MatchString(t.Path) || !inside.MatchString(t.Playlist) || t.ByteRange != "" && !inside.MatchString(t.ByteRange) {
			return false
		}
	}
	return true
}

// complete adds what only the metadata of the start names: byte-range playlists
// of a recording that failed.
func (m *metadata) complete(first *metadata) {
	if m.Media.HLS == nil || first.Media.HLS == nil {
		return
	}
	m.Media.HLS.ByteRange = cmp.Or(m.Media.HLS.ByteRange, first.Media.HLS.ByteRange)
	for i := range m.Media.HLS.Renditions {
		for _, f := range first.Media.HLS.Renditions {
			if r := &m.Media.HLS.Renditions[i]; r.Path == f.Path {
				r.ByteRange = cmp.Or(r.ByteRange, f.ByteRange)
			}
		}
	}
}

// readRendition reads and compares the playlists of one rendition.
func (a *audit) readRendition(folder string, told tree) (r rendition, err error) {
	r.folder = folder
	name := path.Join(folder, told.Playlist)
	whole, err := a.readPlaylist(name, true)
	if err != nil {
		return r, err
	}
	var pieces *playlist
	if told.ByteRange != "" {
		if pieces, err = a.readPlaylist(path.Join(folder, told.ByteRange), a.rec.State == resource.RecordingEnded); err != nil {
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
	a.compare(name, r.objects, a.rec.Stored, true, 1)
	for i := range min(len(a.rec.Stored), len(r.objects)) {
		r.objects[i].Size = a.rec.Stored[i].Size
	}
	return r, nil
}

// compareRanges compares a playlist of byte ranges with the objects of the
// other one, and notes their sizes.
func (a *audit) compareRanges(name string, p *playlist, objects []Object) {
	ranged := p.objects(func(msg string) { a.problem(PlaylistInvalid, name, "%s", msg) })
	lags := a.rec.Open || a.rec.State != resource.RecordingEnded // it is refreshed less often
	a.compare(name, ranged, objects, lags, float64(len(p.entries))/float64(max(1, len(ranged))))
	for i := range min(len(ranged), len(objects)) {
		objects[i].Size = ranged[i].Size
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
// does; with partly one may know more of them than the other. Durations differ
// by rounding: each is the sum of so many.
func (a *audit) compare(name string, told, other []Object, partly bool, rounded float64) {
	if len(told) != len(other) && !partly {
		a.problem(PlaylistMismatch, name, "it tells of %d objects, elsewhere there are %d", len(told), len(other))
	}
	tolerance := time.Duration((1 + rounded) * float64(time.Millisecond))
	for i := range min(len(told), len(other)) {
		t, o := &told[i], &other[i]
		switch {
		case t.Name != o.Name:
			a.problem(PlaylistMismatch, name, "object %d of it is %s, elsewhere %s", i, t.Name, o.Name)
			return // the others are all shifted
		case (t.Duration - o.Duration).Abs() > tolerance:
			a.problem(PlaylistMismatch, name, "%s lasts %v, elsewhere %v", t.Name, t.Duration, o.Duration)
		case t.Time.Sub(o.Time).Abs() >= time.Millisecond:
			a.problem(PlaylistMismatch, name, "%s begins at %s, elsewhere at %s", t.Name, t.Time.Format(time.RFC3339Nano), o.Time.Format(time.RFC3339Nano))
		case t.Discontinuity != o.Discontinuity:
			a.problem(PlaylistMismatch, name, "EXT-X-DISCONTINUITY before %s is %s, elsewhere %s", t.Name, presence(t.Discontinuity), presence(o.Discontinuity))
		}
	}
}

// checkMaster checks that a multivariant playlist leads to the playlists of the
// renditions and to nothing else.
func (a *audit) checkMaster(name string, want map[string]bool, due bool) error {
	text, err := a.fetch(name, maxMetadata)
	if err != nil {
		return err
	}
	if text == nil {
		if due && !a.rec.Open {
			a.problem(PlaylistMissing, name, "it is missing")
		}
		return nil
	}
	a.known[name] = true
	variants, err := parseMultivariant(text)
	if err != nil {
		a.problem(PlaylistInvalid, name, "%v", err)
	}
	found := make(map[string]bool)
	for _, uri := range variants {
		if found[uri] = true; !want[uri] {
			a.problem(PlaylistMismatch, name, "it leads to %s, of which the metadata does not tell", uri)
		}
	}
	for uri := range want {
		if !found[uri] {
			a.problem(PlaylistMismatch, name, "it does not lead to %s", uri)
		}
	}
	return nil
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
	p, err := parsePlaylist(text)
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
