package recorder

import (
	"encoding/json"
	"fmt"
	"time"

	"anabranch/internal/resource"
)

// metadata is the content of events/recording-*.json: where everything of a
// recording lies. Each path is relative to the level above.
type metadata struct {
	Version       string                  `json:"version"`
	StartedAt     string                  `json:"recording_started_at"`
	EndedAt       string                  `json:"recording_ended_at,omitempty"`
	ChannelARN    resource.ARN            `json:"channel_arn"`
	Status        resource.RecordingState `json:"recording_status"`
	StatusMessage string                  `json:"recording_status_message,omitempty"`
	Media         mediaMetadata           `json:"media"`
}

type mediaMetadata struct {
	HLS *hlsMetadata `json:"hls,omitempty"`
}

type hlsMetadata struct {
	DurationMS        *int64              `json:"duration_ms,omitempty"`
	Path              string              `json:"path"`
	Playlist          string              `json:"playlist"`
	ByteRangePlaylist string              `json:"byte_range_playlist,omitempty"`
	Renditions        []renditionMetadata `json:"renditions"`
}

type renditionMetadata struct {
	Path              string `json:"path"`
	Playlist          string `json:"playlist"`
	ByteRangePlaylist string `json:"byte_range_playlist,omitempty"`
	Width             int    `json:"resolution_width"`
	Height            int    `json:"resolution_height"`
}

// metadata renders the file that tells of a state. As with IVS, that of a
// failure does not name the byte-range playlists.
func (s *state) metadata(status resource.RecordingState) ([]byte, error) {
	m := metadata{
		Version: "v1", StartedAt: s.Recording.StartedAt.UTC().Format(time.RFC3339),
		ChannelARN: s.Recording.ChannelARN, Status: status,
	}
	if !s.Bare {
		hls := &hlsMetadata{Path: "media/hls", Playlist: masterName, Renditions: []renditionMetadata{}}
		rendition := renditionMetadata{Path: s.rendition(), Playlist: mediaName, Width: s.Format.Width, Height: s.Format.Height}
		if status != resource.RecordingFailed {
			hls.ByteRangePlaylist, rendition.ByteRangePlaylist = rangeMasterName, rangesName
		}
		if status == resource.RecordingStarted || len(s.objects) > 0 {
			hls.Renditions = append(hls.Renditions, rendition)
		}
		m.Media.HLS = hls
	}
	if status != resource.RecordingStarted {
		m.EndedAt = s.ending.At.UTC().Format(time.RFC3339)
		m.StatusMessage = s.ending.Failure
		if m.Media.HLS != nil {
			ms := s.duration().Milliseconds()
			m.Media.HLS.DurationMS = &ms
		}
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode recording metadata: %w", err)
	}
	return b, nil
}
