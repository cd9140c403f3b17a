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
	HLS             *hlsMetadata       `json:"hls,omitempty"`
	Thumbnails      *thumbnailMetadata `json:"thumbnails,omitempty"`
	LatestThumbnail *thumbnailMetadata `json:"latest_thumbnail,omitempty"`
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
	// Sound alone has no size.
	Width  int `json:"resolution_width,omitempty"`
	Height int `json:"resolution_height,omitempty"`
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
		told := s.variants(s.objects)
		if status == resource.RecordingStarted { // all that are to be recorded
			told = told[:0]
			for i, r := range s.renditions() {
				told = append(told, s.variant(i, r))
			}
		}
		ranges := rangesName
		if status != resource.RecordingFailed {
			hls.ByteRangePlaylist = rangeMasterName
		} else {
			ranges = ""
		}
		for _, v := range told {
			hls.Renditions = append(hls.Renditions, renditionMetadata{
				Path: v.name, Playlist: mediaName, ByteRangePlaylist: ranges, Width: v.Width, Height: v.Height,
			})
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
	m.Media.Thumbnails, m.Media.LatestThumbnail = s.thumbnailMetadata(status == resource.RecordingStarted)
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode recording metadata: %w", err)
	}
	return b, nil
}
