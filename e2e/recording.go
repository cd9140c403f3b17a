package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch/e2e/hls"
)

// recording is one recording in the bucket.
type recording struct {
	dir    string // the prefix, as a folder
	prefix string
}

// recordings are those of a channel, oldest first.
func (c *channel) recordings() (all []recording) {
	c.server.t.Helper()
	root := c.server.bucketDir("ivs/v1/123456789012/" + c.id() + "/")
	// ivs/v1/<account>/<channel>/<year>/<month>/<day>/<hours>/<minutes>/<recording id>
	found, err := filepath.Glob(filepath.Join(root, "ivs", "v1", "*", c.id(), "*", "*", "*", "*", "*", "*"))
	if err != nil {
		c.server.t.Fatal(err)
	}
	for _, dir := range found {
		prefix, err := filepath.Rel(root, dir)
		if err != nil {
			c.server.t.Fatal(err)
		}
		all = append(all, recording{dir, filepath.ToSlash(prefix)})
	}
	slices.SortFunc(all, func(a, b recording) int { return strings.Compare(a.startedAt(), b.startedAt()) })
	return all
}

// metadata is what events/recording-*.json tell.
type metadata struct {
	ChannelARN string `json:"channel_arn"`
	StartedAt  string `json:"recording_started_at"`
	EndedAt    string `json:"recording_ended_at"`
	Status     string `json:"recording_status"`
	Media      struct {
		HLS struct {
			DurationMS int64  `json:"duration_ms"`
			Path       string `json:"path"`
			Playlist   string `json:"playlist"`
			ByteRange  string `json:"byte_range_playlist"`
			Renditions []struct {
				Path      string `json:"path"`
				Playlist  string `json:"playlist"`
				ByteRange string `json:"byte_range_playlist"`
				Width     int    `json:"resolution_width"`
				Height    int    `json:"resolution_height"`
			} `json:"renditions"`
		} `json:"hls"`
	} `json:"media"`
}

func (r recording) metadata(name string) (m metadata, err error) {
	text, err := os.ReadFile(filepath.Join(r.dir, "events", name))
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(text, &m)
}

// startedAt orders recordings.
func (r recording) startedAt() string {
	m, _ := r.metadata("recording-started.json")
	return m.StartedAt
}

// ended says whether all of the recording is in the bucket: this file is the
// last.
func (r recording) ended() bool {
	_, err := os.Stat(filepath.Join(r.dir, "events", "recording-ended.json"))
	return err == nil
}

// waitRecordings waits until the channel's n recordings have ended.
func (c *channel) waitRecordings(n int) []recording {
	c.server.t.Helper()
	return waitEnded(c.server.t, n, "the channel", c.recordings)
}

// waitEnded waits until there are n recordings of somebody, and all have ended.
func waitEnded[R interface{ ended() bool }](t testing.TB, n int, whose string, list func() []R) (all []R) {
	t.Helper()
	eventually(t, time.Minute, fmt.Sprintf("%d recordings of %s have ended", n, whose), func() error {
		all = list()
		for _, r := range all {
			if !r.ended() {
				return fmt.Errorf("%v has not", r)
			}
		}
		if len(all) < n {
			return fmt.Errorf("there are %d", len(all))
		}
		return nil
	})
	if len(all) > n {
		t.Fatalf("%d recordings of %s, not %d: %v", len(all), whose, n, all)
	}
	return all
}

// files are the names of all objects below the prefix, sorted.
func (r recording) files(t testing.TB) (names []string) {
	t.Helper()
	err := filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(r.dir, path)
		names = append(names, filepath.ToSlash(name))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// master is the path of the Multivariant Playlist.
func (r recording) master() string { return filepath.Join(r.dir, "media", "hls", "master.m3u8") }

// check looks at everything in a recording that has ended, and returns what its
// media playlist lists: the first rendition's, if there are several.
func (r recording) check(t testing.TB) *hls.Playlist {
	t.Helper()
	m, err := r.metadata("recording-ended.json")
	if err != nil {
		t.Fatal(err)
	}
	if m.Status != "RECORDING_ENDED" || m.EndedAt < m.StartedAt || len(m.Media.HLS.Renditions) == 0 {
		t.Fatalf("recording-ended.json: %+v", m)
	}
	want := []string{
		"events/ivs-check", "events/recording-started.json", "events/recording-ended.json",
		m.Media.HLS.Path + "/" + m.Media.HLS.Playlist,
	}
	if m.Media.HLS.ByteRange != "" {
		want = append(want, m.Media.HLS.Path+"/"+m.Media.HLS.ByteRange)
	}
	var first *hls.Playlist
	for i, rendition := range m.Media.HLS.Renditions {
		folder := m.Media.HLS.Path + "/" + rendition.Path
		p := r.mediaPlaylist(t, folder+"/"+rendition.Playlist)
		if told := time.Duration(m.Media.HLS.DurationMS) * time.Millisecond; (told - p.Duration()).Abs() > 50*time.Millisecond {
			t.Errorf("recording-ended.json tells %v, the playlist of %s %v", told, rendition.Path, p.Duration())
		}
		want = append(want, folder+"/"+rendition.Playlist)
		if rendition.ByteRange != "" {
			want = append(want, folder+"/"+rendition.ByteRange)
			r.checkByteRanges(t, folder, rendition.ByteRange, p)
		}
		for _, name := range checkObjects(t, p) {
			want = append(want, folder+"/"+name)
		}
		if i == 0 {
			first = p
		} else if d := cuts(first.Segments, p.Segments); d != "" {
			t.Errorf("%s is not cut as the rendition before it: %s", rendition.Path, d)
		}
	}
	slices.Sort(want)
	if got := r.files(t); !slices.Equal(got, slices.Compact(want)) {
		t.Errorf("the prefix holds\n%v\nbut its playlists name\n%v", got, want)
	}
	return first
}

// checkObjects checks what a rendition's playlist tells of its objects, and
// returns their names and those of init sections.
func checkObjects(t testing.TB, p *hls.Playlist) (names []string) {
	t.Helper()
	if !p.Ended || !p.Event {
		t.Errorf("this is no event that is over:\n%s", p.Text)
	}
	for i, s := range p.Segments {
		if !s.Gap {
			names = append(names, s.URI)
		}
		if s.Init != "" {
			names = append(names, s.Init)
		}
		if !strings.HasPrefix(s.URI, fmt.Sprintf("%d.", i)) {
			t.Errorf("segment %d is named %s", i, s.URI)
		}
		if s.Duration.Round(time.Second) > p.Target {
			t.Errorf("%s lasts %v, the target duration is %v", s.URI, s.Duration, p.Target)
		}
	}
	return names
}

// cuts says where two lists of segments are not cut at the same instants, "" when
// they are.
func cuts(a, b []hls.Segment) string {
	if len(a) != len(b) {
		return fmt.Sprintf("%d segments are %d", len(a), len(b))
	}
	for i, s := range a {
		if z := b[i]; s.Number != z.Number || s.Duration != z.Duration || !s.Time.Equal(z.Time) || s.Discontinuity != z.Discontinuity {
			return fmt.Sprintf("%s is %s", &s, &z)
		}
	}
	return ""
}

func (r recording) mediaPlaylist(t testing.TB, name string) *hls.Playlist {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	p, err := hls.Parse(string(text))
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, text)
	}
	return p
}

// checkByteRanges checks that the byte-range playlist cuts the same media into
// finer pieces that leave nothing out.
func (r recording) checkByteRanges(t testing.TB, folder, name string, whole *hls.Playlist) {
	t.Helper()
	p := r.mediaPlaylist(t, folder+"/"+name)
	if d := p.Duration(); (d - whole.Duration()).Abs() > 50*time.Millisecond {
		t.Errorf("%s lasts %v, the playlist of whole objects %v", name, d, whole.Duration())
	}
	ends := map[string]int64{}
	for _, s := range p.Segments {
		if s.Gap {
			continue
		}
		if s.Offset != ends[s.URI] {
			t.Errorf("%s: a piece of %s begins at %d, the one before ended at %d", name, s.URI, s.Offset, ends[s.URI])
		}
		ends[s.URI] = s.Offset + s.Size
	}
	for uri, end := range ends {
		info, err := os.Stat(filepath.Join(r.dir, filepath.FromSlash(folder), uri))
		if err != nil {
			t.Error(err)
		} else if info.Size() != end {
			t.Errorf("%s: the pieces of %s end at %d, it has %d bytes", name, uri, end, info.Size())
		}
	}
}
