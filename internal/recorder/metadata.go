package recorder

import (
	"encoding/json"
	"fmt"
	"time"

	"anabranch/internal/resource"
)

// startFailed is the recording_status of what could not start.
const startFailed resource.RecordingState = "RECORDING_START_FAILED"

// channelMetadata is the content of events/recording-*.json of a channel's
// recording: where everything lies. Each path is relative to the level above.
type channelMetadata struct {
	Version       string                  `json:"version"`
	StartedAt     string                  `json:"recording_started_at"`
	EndedAt       string                  `json:"recording_ended_at,omitempty"`
	ChannelARN    resource.ARN            `json:"channel_arn"`
	Status        resource.RecordingState `json:"recording_status"`
	StatusMessage string                  `json:"recording_status_message,omitempty"`
	Media         mediaMetadata           `json:"media"`
}

// participantMetadata is the same of a participant's recording.
type participantMetadata struct {
	Version       string                  `json:"version"`
	StageARN      resource.ARN            `json:"stage_arn"`
	SessionID     string                  `json:"session_id"` // now; that in the prefix is the first
	ParticipantID string                  `json:"participant_id"`
	StartedAt     string                  `json:"recording_started_at,omitempty"` // empty when it could not start
	EndedAt       string                  `json:"recording_ended_at,omitempty"`
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
	Playlist          string `json:"playlist,omitempty"` // thumbnails have none
	ByteRangePlaylist string `json:"byte_range_playlist,omitempty"`
	// Sound alone has no size, nor has what participants publish: it changes.
	Width  int `json:"resolution_width,omitempty"`
	Height int `json:"resolution_height,omitempty"`
}

// thumbnailMetadata tells of one thumbnail, or of the folder of many: of a channel
// with their size, of a participant by rendition.
type thumbnailMetadata struct {
	Path       string              `json:"path"`
	Height     int                 `json:"resolution_height,omitempty"`
	Width      int                 `json:"resolution_width,omitempty"`
	Renditions []renditionMetadata `json:"renditions,omitempty"`
}

// metadata renders the file that tells of a state.
func (s *state) metadata(status resource.RecordingState) ([]byte, error) {
	b, err := json.Marshal(s.layout().metadata(s, status))
	if err != nil {
		return nil, fmt.Errorf("encode recording metadata: %w", err)
	}
	return b, nil
}

func (channelLayout) tellsRefusal() bool { return false } // IVS has no such status for channels

// metadata does not name the byte-range playlists of a failure, as with IVS.
func (channelLayout) metadata(s *state, status resource.RecordingState) any {
	m := channelMetadata{
		Version: "v1", StartedAt: s.startedAt(), ChannelARN: s.Recording.ChannelARN, Status: status,
		Media: mediaMetadata{HLS: s.hlsMetadata(status)},
	}
	m.EndedAt, m.StatusMessage = s.endedAt(status)
	if hls := m.Media.HLS; hls != nil && status != resource.RecordingFailed {
		hls.ByteRangePlaylist = rangeMasterName
		for i := range hls.Renditions {
			hls.Renditions[i].ByteRangePlaylist = rangesName
		}
	}
	// At the start of those that are to come, later only if some did.
	if t := s.Thumbnails; t != nil && (status == resource.RecordingStarted || s.thumbs.stored > 0) {
		m.Media.Thumbnails, m.Media.LatestThumbnail = t.metadata(
			thumbnailMetadata{Path: thumbnailsPath, Height: t.Height, Width: t.Width},
			thumbnailMetadata{Path: s.layout().latest(), Height: t.Height, Width: t.Width})
	}
	return m
}

func (*participantLayout) tellsRefusal() bool { return true }

func (*participantLayout) metadata(s *state, status resource.RecordingState) any {
	m := participantMetadata{
		Version: "v1", StageARN: s.Recording.StageARN, SessionID: s.stageSession(), ParticipantID: s.Recording.ParticipantID,
		StartedAt: s.startedAt(), Status: status,
		Media: mediaMetadata{HLS: s.hlsMetadata(status)},
	}
	if status == startFailed {
		m.StartedAt = ""
	}
	m.EndedAt, m.StatusMessage = s.endedAt(status)
	if m.Media.HLS != nil {
		for i := range m.Media.HLS.Renditions {
			r := &m.Media.HLS.Renditions[i]
			r.Width, r.Height = 0, 0
		}
	}
	if s.Thumbnails != nil {
		of := []renditionMetadata{{Path: participantFolder}}
		m.Media.Thumbnails, m.Media.LatestThumbnail = s.Thumbnails.metadata(
			thumbnailMetadata{Path: thumbnailsPath, Renditions: of}, thumbnailMetadata{Path: latestThumbnailPath, Renditions: of})
	}
	return m
}

func (s *state) startedAt() string { return s.Recording.StartedAt.UTC().Format(time.RFC3339) }

// endedAt is empty at the start, and so is the message unless the recording
// failed.
func (s *state) endedAt(status resource.RecordingState) (at, message string) {
	if status == resource.RecordingStarted {
		return "", ""
	}
	return s.ending.At.UTC().Format(time.RFC3339), s.ending.Failure
}

// hlsMetadata tells of the media: at the start of all renditions that are to be
// recorded, later of those that have media. It is nil if there are none to be.
func (s *state) hlsMetadata(status resource.RecordingState) *hlsMetadata {
	if s.Bare {
		return nil
	}
	hls := &hlsMetadata{Path: "media/hls", Playlist: s.layout().masterName(), Renditions: []renditionMetadata{}}
	var told []variant
	switch status {
	case resource.RecordingStarted:
		for i, r := range s.renditions() {
			told = append(told, s.variant(i, r))
		}
	case startFailed: // whatever there was is not stored
		hls.DurationMS = new(int64)
	default:
		ms := s.duration().Milliseconds()
		told, hls.DurationMS = s.variants(s.objects), &ms
	}
	for _, v := range told {
		hls.Renditions = append(hls.Renditions, renditionMetadata{Path: v.name, Playlist: mediaName, Width: v.Width, Height: v.Height})
	}
	return hls
}

// metadata is what is told of those thumbnails that are kept.
func (t *thumbnails) metadata(all, newest thumbnailMetadata) (sequential, latest *thumbnailMetadata) {
	if t.Sequential {
		sequential = &all
	}
	if t.Latest {
		latest = &newest
	}
	return sequential, latest
}
