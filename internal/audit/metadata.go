package audit

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"

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
		// At the start those that are to come are told, then those there are.
		Thumbnails *still `json:"thumbnails"`
		Latest     *still `json:"latest_thumbnail"`
	} `json:"media"`
}

// tree is a folder and the playlists in it.
type tree struct {
	Path      string `json:"path"`
	Playlist  string `json:"playlist"`
	ByteRange string `json:"byte_range_playlist"`
	Width     int    `json:"resolution_width"` // 0 with sound alone
	Height    int    `json:"resolution_height"`
}

// resolution is as in multivariant playlists; empty for sound alone.
func (t *tree) resolution() string {
	if t.Width == 0 && t.Height == 0 {
		return ""
	}
	return fmt.Sprintf("%dx%d", t.Width, t.Height)
}

// still is a channel's thumbnail, the folder of many, or what a participant has
// instead: the folder of a rendition's folder.
type still struct {
	Path       string `json:"path"`
	Renditions []struct {
		Path string `json:"path"`
	} `json:"renditions"`
}

// The metadata files by the state they tell of.
var stateNames = map[resource.RecordingState]string{
	resource.RecordingStarted: "events/recording-started.json",
	resource.RecordingEnded:   "events/recording-ended.json",
	resource.RecordingFailed:  "events/recording-failed.json",
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
		if a.rec.OfParticipant() {
			a.checkTold(name, text, m)
		}
		told[state] = m
	}
	last := cmp.Or(told[a.rec.State], told[resource.RecordingEnded], told[resource.RecordingFailed], told[resource.RecordingStarted])
	if first := told[resource.RecordingStarted]; last != nil && first != nil {
		if wrong := last.agrees(first); wrong != "" {
			a.problem(MetadataInvalid, stateNames[last.Status], "%s", wrong)
		}
		last.complete(first)
	}
	return last, nil
}

// inside is the form of the paths that metadata tells.
var inside = regexp.MustCompile(`^[\w-]+(/[\w-]+)*(\.m3u8|\.jpg)?$`)

// maxRenditions is far more than a stream has.
const maxRenditions = 32

func (m *metadata) local() bool {
	for _, s := range []*still{m.Media.Thumbnails, m.Media.Latest} {
		if s == nil {
			continue
		}
		if !inside.MatchString(s.Path) || len(s.Renditions) > 1 || len(s.Renditions) == 1 && !inside.MatchString(s.Renditions[0].Path) {
			return false
		}
	}
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
		r := &m.Media.HLS.Renditions[i]
		if f := first.rendition(r.Path); f != nil {
			r.ByteRange = cmp.Or(r.ByteRange, f.ByteRange)
		}
	}
}

// rendition is the one in a folder, nil when m does not tell of it.
func (m *metadata) rendition(folder string) *tree {
	if m.Media.HLS == nil {
		return nil
	}
	for i := range m.Media.HLS.Renditions {
		if r := &m.Media.HLS.Renditions[i]; r.Path == folder {
			return r
		}
	}
	return nil
}

// agrees says what of the end another story was told of at the start: "" for
// nothing. A rendition of which nothing came is told at the start alone.
func (m *metadata) agrees(first *metadata) string {
	if m.Media.HLS == nil {
		return ""
	}
	told := make(map[string]bool)
	for i := range m.Media.HLS.Renditions {
		r := &m.Media.HLS.Renditions[i]
		f := first.rendition(r.Path)
		switch {
		case told[r.Path]:
			return "it tells twice of " + r.Path
		case f == nil:
			return "it tells of " + r.Path + ", of which the start does not"
		case f.resolution() != r.resolution():
			return "the resolution of " + r.Path + " is not that of the start"
		}
		told[r.Path] = true
	}
	return ""
}
