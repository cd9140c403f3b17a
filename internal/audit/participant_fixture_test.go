package audit

import (
	"fmt"
	"strings"
	"time"

	"anabranch/internal/resource"

	"github.com/Eyevinn/mp4ff/mp4"
)

const (
	high       = "media/hls/high"
	highMedia  = high + "/playlist.m3u8"
	highMaster = "media/hls/multivariant.m3u8"
	still2     = "media/thumbnails/high/2.jpg"
	lastStill  = "media/latest_thumbnail/high/thumb.jpg"
)

// guestRow is what the database knows of a participant's recording of 20 s.
func guestRow() Recording {
	return Recording{Recording: resource.Recording{
		ID: "r", StageARN: "arn:aws:ivs:eu-west-1:111122223333:stage/Qw3rTy7uIoP1", StageSessionIDs: []string{"st-0000000000001", "st-0000000000002"},
		ParticipantID: "guestA1b2C3d", Bucket: "vod", Prefix: guestPrefix, State: resource.RecordingEnded,
		StartedAt: time.Date(2026, 3, 1, 12, 0, 0, 5e8, time.UTC), EndedAt: time.Date(2026, 3, 1, 12, 2, 0, 0, time.UTC), Duration: guestLength,
	}}
}

const guestPrefix = "Qw3rTy7uIoP1/st-0000000000001/guestA1b2C3d/2026-03-01T12-00-00Z"

// cut is an object of a participant's recording.
type cut struct {
	lasts time.Duration
	date  string // where a stretch begins
	size  [2]uint16
}

// The guest's pictures grow after 10.5 s, in the third object, and the guest leaves
// amid the fourth, and comes back after 40 s. The target is 4 s.
var guestCuts = []cut{
	{lasts: 4 * time.Second, date: "2026-03-01T12:00:00.500Z", size: [2]uint16{320, 180}},
	{lasts: 5 * time.Second},
	{lasts: 1500 * time.Millisecond},
	{lasts: 500 * time.Millisecond, date: "2026-03-01T12:00:11.000Z", size: [2]uint16{640, 360}},
	{lasts: 6 * time.Second, date: "2026-03-01T12:00:51.500Z", size: [2]uint16{640, 360}},
	{lasts: 3 * time.Second},
}

const guestLength = 20 * time.Second

// The guest's losses: pictures in the second object, both in the fifth.
const (
	loss1 = `#EXT-X-DATERANGE:ID="loss-1",CLASS="anabranch.loss",START-DATE="2026-03-01T12:00:06.250Z",DURATION=0.750,X-KIND="video"` + "\n"
	loss2 = `#EXT-X-DATERANGE:ID="loss-2",CLASS="anabranch.loss",START-DATE="2026-03-01T12:00:52.000Z",DURATION=0.040,X-KIND="audio"` + "\n"
	loss3 = `#EXT-X-DATERANGE:ID="loss-3",CLASS="anabranch.loss",START-DATE="2026-03-01T12:00:52.000Z",DURATION=1.5,X-KIND="video"` + "\n"
)

// guest is the bucket of a participant's recording that ended.
func guest() bucket { return guestOf(1, 2) }

// guestOf makes it of some of the tracks: 1 are pictures, 2 is sound.
func guestOf(tracks ...uint32) bucket {
	b := bucket{
		still2: thumbnail(), "media/thumbnails/high/1.jpg": thumbnail(), lastStill: thumbnail(),
		startedJSON: []byte(guestTold(resource.RecordingStarted)), endedJSON: []byte(guestTold(resource.RecordingEnded)),
	}
	resolution := ""
	if tracks[0] == 1 {
		resolution = ",RESOLUTION=640x360"
	}
	b[highMaster] = []byte("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000" + resolution + "\nhigh/playlist.m3u8\n")
	text := "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:8\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MEDIA-SEQUENCE:0\n"
	at, headers := time.Hour, 0
	for i, c := range guestCuts {
		if c.date != "" {
			if i > 0 {
				text += "#EXT-X-DISCONTINUITY\n"
			}
			header := fmt.Sprintf("init-%d.mp4", headers)
			b[high+"/"+header] = guestInit(c.size, tracks...)
			text += fmt.Sprintf("#EXT-X-MAP:URI=%q\n#EXT-X-PROGRAM-DATE-TIME:%s\n", header, c.date)
			headers++
		}
		text += map[int]string{1: loss1, 4: loss2 + loss3}[i]
		name := fmt.Sprint(i, ".mp4")
		b[high+"/"+name] = guestMedia(at, at, c.lasts, tracks...)
		text += fmt.Sprintf("#EXTINF:%.3f,\n%s\n", c.lasts.Seconds(), name)
		at += c.lasts
	}
	b[highMedia] = []byte(text + "#EXT-X-ENDLIST\n")
	return b
}

func guestInit(size [2]uint16, tracks ...uint32) []byte {
	init := mp4.CreateEmptyInit()
	for _, track := range tracks {
		if track == 2 {
			trak := init.AddEmptyTrack(48_000, "audio", "und")
			trak.Tkhd.TrackID, init.Moov.Mvex.Trexs[len(init.Moov.Mvex.Trexs)-1].TrackID = 2, 2
			continue
		}
		trak := init.AddEmptyTrack(90_000, "video", "und")
		trak.Tkhd.Width, trak.Tkhd.Height = mp4.Fixed32(size[0])<<16, mp4.Fixed32(size[1])<<16
	}
	return encoded(init)
}

// guestMedia is an object of a fragment every half second, the first of which is a
// key frame.
func guestMedia(video, audio, length time.Duration, tracks ...uint32) (b []byte) {
	const step = 500 * time.Millisecond
	flags := mp4.SyncSampleFlags
	for at := time.Duration(0); at < length; at += step {
		f, err := mp4.CreateMultiTrackFragment(1, tracks)
		if err != nil {
			panic(err)
		}
		for _, track := range tracks {
			scale, start := 48_000*time.Nanosecond, audio
			if track == 1 {
				scale, start = 90_000, video
			}
			sample := mp4.Sample{Flags: flags, Dur: uint32(scale * min(step, length-at) / time.Second), Size: 100}
			f.AddFullSampleToTrack(mp4.FullSample{Sample: sample, DecodeTime: uint64(scale * (start + at) / time.Second), Data: make([]byte, 100)}, track)
		}
		b = append(b, encoded(f)...)
		flags = mp4.NonSyncSampleFlags
	}
	return b
}

// guestTold is the metadata of a state.
func guestTold(state resource.RecordingState) string {
	ended, duration, session := "", "", "1"
	if state != resource.RecordingStarted {
		ended, duration, session = `"recording_ended_at":"2026-03-01T12:02:00Z",`, `"duration_ms":20000,`, "2"
	}
	return `{"version":"v1","stage_arn":"arn:aws:ivs:eu-west-1:111122223333:stage/Qw3rTy7uIoP1","session_id":"st-000000000000` + session +
		`","participant_id":"guestA1b2C3d","recording_started_at":"2026-03-01T12:00:00Z",` + ended + `"recording_status":"` + string(state) +
		`","media":{"hls":{` + duration + `"path":"media/hls","playlist":"multivariant.m3u8","renditions":[{"path":"high","playlist":"playlist.m3u8"}]},` +
		`"thumbnails":{"path":"media/thumbnails","renditions":[{"path":"high"}]},"latest_thumbnail":{"path":"media/latest_thumbnail","renditions":[{"path":"high"}]}}}`
}

// short leaves the folder of the media out of problems.
func short(problems string) string { return strings.ReplaceAll(problems, high+"/", "") }
