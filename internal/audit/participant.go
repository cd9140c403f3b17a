package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"anabranch/internal/resource"
)

// What participants' recordings have other than channels': every member of their
// metadata is known beforehand, and their one media playlist is told in stretches.
//
//	stretch   │ 640x360                 │ 1280x720        │ 1280x720, after a return
//	objects   │    0    │    1    │  2  │    3    │   4   │    5    │    6 …
//	playlist  MAP, date             MAP, date         MAP, date
//	tracks    pictures and sound from the beginning to the end, or sound alone

// stampFormat is that of the last part of a prefix.
const stampFormat = "2006-01-02T15-04-05Z"

// solid are the objects that there are: a participant's playlist leaves out what
// could not be stored, and tells of a discontinuity instead.
func solid(objects []Object) (there []Object) {
	for i, o := range objects {
		if o.Gap {
			continue
		}
		o.Discontinuity = len(there) > 0 && (o.Discontinuity || objects[i-1].Gap)
		there = append(there, o)
	}
	return there
}

// checkTold checks every member of a metadata file. Whether the length is right is
// checked with the playlist.
func (a *audit) checkTold(name string, text []byte, m *metadata) {
	r := &a.rec.Recording
	var told map[string]any
	if err := json.Unmarshal(text, &told); err != nil {
		a.problem(MetadataInvalid, name, "it is not the JSON of a recording: %v", err)
		return
	}
	want := map[string]any{
		"version": "v1", "stage_arn": string(r.StageARN), "participant_id": r.ParticipantID, "recording_status": string(m.Status),
		"recording_started_at": r.StartedAt.UTC().Format(time.RFC3339), "session_id": told["session_id"],
	}
	if session, _ := told["session_id"].(string); !slices.Contains(r.StageSessionIDs, session) && !a.rec.Open {
		a.problem(MetadataInvalid, name, "session_id is none of the sessions that the recording went through")
	}
	if m.Status != resource.RecordingStarted {
		want["recording_ended_at"] = r.EndedAt.UTC().Format(time.RFC3339)
		if r.EndedAt.IsZero() { // the database is about to be told
			want["recording_ended_at"] = told["recording_ended_at"]
		}
	}
	if m.Status == resource.RecordingFailed && (r.StatusMessage != "" || a.rec.Open) {
		want["recording_status_message"] = r.StatusMessage
		if r.State != resource.RecordingFailed {
			want["recording_status_message"] = told["recording_status_message"]
		}
	}
	want["media"] = m.wanted()
	if where := differ("", told, want); where != "" {
		a.problem(MetadataInvalid, name, "%s is not what it should be", where)
	}
	stamp, in := strings.CutPrefix(r.Prefix, path.Join(r.StageARN.ID(), first(r.StageSessionIDs), r.ParticipantID)+"/")
	if _, err := time.Parse(stampFormat, stamp); m.Status == resource.RecordingStarted && (!in || err != nil) {
		a.problem(MetadataInvalid, "", "the prefix is not stage, session, participant and time")
	}
}

func first(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

// wanted is what stands in a participant's metadata of the media that m tells of.
func (m *metadata) wanted() map[string]any {
	media := make(map[string]any)
	if hls := m.Media.HLS; hls != nil {
		want := map[string]any{"path": "media/hls", "playlist": "multivariant.m3u8", "renditions": []any{}}
		if len(hls.Renditions) > 0 {
			want["renditions"] = []any{map[string]any{"path": "high", "playlist": "playlist.m3u8"}}
		}
		if hls.DurationMS != nil && m.Status != resource.RecordingStarted {
			want["duration_ms"] = float64(*hls.DurationMS)
		}
		media["hls"] = want
	}
	high := []any{map[string]any{"path": "high"}}
	if m.Media.Thumbnails != nil {
		media["thumbnails"] = map[string]any{"path": "media/thumbnails", "renditions": high}
	}
	if m.Media.Latest != nil {
		media["latest_thumbnail"] = map[string]any{"path": "media/latest_thumbnail", "renditions": high}
	}
	return media
}

// differ names the first member of told that is not as wanted; "" for none.
func differ(at string, told, want any) string {
	t, tok := told.(map[string]any)
	w, wok := want.(map[string]any)
	if !tok || !wok {
		if reflect.DeepEqual(told, want) {
			return ""
		}
		return strings.TrimPrefix(at, ".")
	}
	names := make(map[string]bool)
	for _, m := range []map[string]any{t, w} {
		for name := range m {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if where := differ(at+"."+name, t[name], w[name]); where != "" {
			return where
		}
	}
	return ""
}

// stretch checks the next object of a playlist that is told in stretches, and dates
// it when it is not the first of one.
func (p *playlist) stretch(e *entry) error {
	begins := e.Discontinuity || len(p.entries) == 0
	switch {
	case e.ranged:
		return errors.New("a byte range")
	case e.mapped != begins:
		return errors.New("EXT-X-MAP is not where a stretch begins, and only there")
	case e.Time.IsZero() == begins:
		return errors.New("EXT-X-PROGRAM-DATE-TIME is not where a stretch begins, and only there")
	case begins:
		return nil
	}
	last := &p.entries[len(p.entries)-1]
	e.Time, e.added = last.Time.Add(last.Duration), true
	return nil
}

// loss is an EXT-X-DATERANGE (RFC 8216bis §4.4.5.1) that tells of what a participant
// sent and did not arrive.
type loss struct {
	id       string
	kind     lossKind
	object   int // it stands before this one
	start    time.Time
	duration time.Duration
}

type lossKind string

const (
	lossClass             = "anabranch.loss"
	lostSound    lossKind = "audio"
	lostPictures lossKind = "video"
)

var attributePattern = regexp.MustCompile(`(?:^|,)([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s]+)`)

// lose takes in the attributes of an EXT-X-DATERANGE.
func (p *playlist) lose(attributes string) (err error) {
	told := make(map[string]string)
	for _, m := range attributePattern.FindAllStringSubmatch(attributes, -1) {
		told[m[1]] = strings.Trim(m[2], `"`)
	}
	if told["CLASS"] != lossClass {
		return fmt.Errorf("the CLASS is not %s", lossClass)
	}
	l := loss{id: told["ID"], kind: lossKind(told["X-KIND"]), object: len(p.entries)}
	if l.id == "" || l.kind != lostSound && l.kind != lostPictures {
		return errors.New("an ID or an X-KIND is missing")
	}
	if l.start, err = time.Parse(time.RFC3339, told["START-DATE"]); err != nil {
		return errors.New("START-DATE is not a date")
	}
	seconds, err := strconv.ParseFloat(told["DURATION"], 64)
	if err != nil || !(seconds > 0 && seconds < resource.MaxRecordingAge.Seconds()) {
		return errors.New("DURATION is not a duration")
	}
	l.duration = time.Duration(seconds * float64(time.Second)).Round(time.Microsecond)
	p.losses = append(p.losses, l)
	return nil
}

// lost sums up what is lost of each kind.
func (p *playlist) lost() map[lossKind]time.Duration {
	sums := make(map[lossKind]time.Duration)
	for i := range p.losses {
		sums[p.losses[i].kind] += p.losses[i].duration
	}
	return sums
}

const (
	// minStretch is how long an object lasts at least that is the last of a stretch,
	// unless its publisher left. Who is back at once leaves no gap between the dates.
	minStretch = time.Second
	// maxSlip is by how much a date may lie outside of the object that it is in.
	maxSlip = time.Second
)

// checkStretches checks what a participant's playlist promises.
func (a *audit) checkStretches(name string, p *playlist) {
	kind := "EVENT"
	if p.ended {
		kind = "VOD"
	}
	switch {
	case p.version != 7:
		a.problem(PlaylistInvalid, name, "EXT-X-VERSION is %d", p.version)
	case p.kind != kind:
		a.problem(PlaylistInvalid, name, "EXT-X-PLAYLIST-TYPE is %q and should be %s", p.kind, kind)
	case p.target < 4 || p.target > 20 || p.target%2 != 0:
		a.problem(PlaylistInvalid, name, "EXT-X-TARGETDURATION is %d, and not twice a target of 2 to 10 s", p.target)
		return
	}
	header := -1
	returns := max(0, len(a.rec.StreamIDs)-1) // those that no gap tells of, at most
	for i := range p.entries {
		e := &p.entries[i]
		// Where an object could not be stored, one stretch is told as two.
		torn := i > 0 && number(e.Name) > number(p.entries[i-1].Name)+1
		if e.mapped && number(e.header) <= header && !(torn && number(e.header) == header) {
			a.problem(PlaylistInvalid, name, "the stretch of %s has no initialization segment of its own", e.Name)
		}
		header = max(header, number(e.header))
		if e.Duration.Round(time.Second) > time.Duration(p.target)*time.Second {
			a.problem(PlaylistInvalid, name, "%s lasts %v, EXT-X-TARGETDURATION is %d", e.Name, e.Duration, p.target)
		}
		if i+1 == len(p.entries) {
			break // it ends where the recording does
		}
		next := &p.entries[i+1]
		least := time.Duration(p.target) * time.Second / 2
		if away := next.Time.Sub(e.Time.Add(e.Duration)); next.Discontinuity && away > maxSkew {
			least = 0 // the publisher was away
		} else if next.Discontinuity {
			least = minStretch
			if e.Duration < least-time.Millisecond && (returns > 0 || a.rec.Open) {
				returns--
				continue
			}
		}
		if e.Duration < least-time.Millisecond {
			a.problem(ObjectShort, name, "%s lasts %v, and %v at least would be right", e.Name, e.Duration, least)
		}
	}
	a.checkLosses(name, p)
}

// checkLosses checks that losses are told once, and where they are.
func (a *audit) checkLosses(name string, p *playlist) {
	type place struct {
		object int
		kind   lossKind
	}
	ids, places := make(map[string]bool), make(map[place]bool)
	for i := range p.losses {
		l := &p.losses[i]
		at := place{l.object, l.kind}
		switch {
		case ids[l.id]:
			a.problem(PlaylistInvalid, name, "two of EXT-X-DATERANGE have the ID %s", l.id)
		case places[at]:
			a.problem(PlaylistInvalid, name, "losses of one kind are told twice of object %d", l.object)
		}
		ids[l.id], places[at] = true, true
		if l.object == len(p.entries) {
			if !p.ended {
				continue // the object is to come
			}
			at.object--
		}
		if at.object < 0 {
			continue
		}
		e := &p.entries[at.object]
		if l.start.Before(e.Time.Add(-maxSlip)) || l.start.After(e.Time.Add(e.Duration+maxSlip)) {
			a.problem(PlaylistInvalid, name, "a loss at %s is told of %s, which begins at %s",
				l.start.Format(time.RFC3339Nano), e.Name, e.Time.Format(time.RFC3339Nano))
		}
	}
}

// checkSize checks that the multivariant playlist tells of pictures if there are any,
// and that none are larger: such may have been about to come.
func (a *audit) checkSize(r *rendition, largest int) {
	for _, v := range r.variants {
		var width, height int
		_, _ = fmt.Sscanf(v.resolution, "%dx%d", &width, &height) // 0 when it tells none
		if told := width * height; !a.rec.Open && len(r.objects) > 0 && (told < largest || largest == 0 && told > 0) {
			a.problem(PlaylistMismatch, r.playlist, "the resolution in the multivariant playlist is %q, and the largest pictures have %d pixels", v.resolution, largest)
		}
	}
}

// checkCover checks that every track has media from the beginning of object i to its
// end, and that the object begins with a key frame, if there was one in time.
func (a *audit) checkCover(r *rendition, i int, begin beginnings, f *fmp4Reader) {
	o := &r.objects[i]
	name := path.Join(r.folder, o.Name)
	start, shown := begin.decoded, begin.shown
	if start == absent {
		start, shown = begin.heard, begin.heard
	}
	sounds := false
	for _, t := range f.tracks {
		what, slip := "sound", maxSkew
		if t.video {
			what, slip = "pictures", maxGap
		}
		sounds = sounds || !t.video
		short := start + o.Duration - t.time(t.end)
		if short > slip+(shown-start) || short < -slip { // what is decoded early is shown longer
			a.problem(MediaGap, name, "its %s end %v %s it", what, short.Abs().Round(time.Millisecond), side(-short))
		}
	}
	if !sounds {
		a.problem(MediaGap, name, "it has no track of sound")
	}
	begins := i == 0 || o.Discontinuity
	if due := begins || r.objects[i-1].Duration < r.target-time.Second; due && begin.decoded != absent && !begin.key {
		a.problem(MediaBroken, name, "it does not begin with a key frame")
	}
}
