package recorder

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

var stageARN = place.ARN(resource.KindStage, "Qw3rTy7uIoP1")

// newPublisher is the camera of a stage's participant. It delivers one rendition:
// what its media types say.
func newPublisher(window int) *camera {
	c := newCamera(0)
	c.stream.Participant = &Participant{
		Stage: stageARN, SessionID: "st-0a1B2c3D4e5F6", ID: "guestA1b2C3d", UserID: "ana",
		Storage: resource.StorageConfiguration{
			ARN: place.ARN(resource.KindStorageConfiguration, "St0rAgE12345"), S3: resource.S3StorageConfiguration{BucketName: "clips"},
		},
	}
	p := &c.stream.Participant.Recording
	p.StorageConfigurationARN, p.ReconnectWindowSeconds = c.stream.Participant.Storage.ARN, window
	p.FillDefaults()
	return c
}

func newFragmented(window int) *camera {
	c := newCamera(window)
	c.stream.Channel.ContainerFormat = resource.FragmentedMP4
	return c
}

// subjects are those whose media a recording may have, and cameras of theirs with a
// reconnect window.
var subjects = []struct {
	name   string
	camera func(window int) *camera
}{
	{"TS", newCamera},
	{"FRAGMENTED_MP4", newFragmented},
	{"participant", newPublisher},
}

// setWindow changes the reconnect window of the camera's streams.
func (c *camera) setWindow(seconds int) {
	c.stream.Configuration.ReconnectWindowSeconds = seconds
	if p := c.stream.Participant; p != nil {
		other := *p
		other.Recording.ReconnectWindowSeconds = seconds
		c.stream.Participant = &other
	}
}

// session lets the camera's next streams be of another session of the stage.
func (c *camera) session(id string) {
	other := *c.stream.Participant
	other.SessionID = id
	c.stream.Participant = &other
}

// begin records the camera's stream.
func (c *camera) begin(r *Recorder) *Take {
	if p := c.stream.Participant; p != nil {
		return r.Begin(Stream{ID: c.stream.ID, Participant: p})
	}
	return r.Begin(c.stream)
}

// position is where the camera's next stream had best begin.
func (c *camera) position(r *Recorder) (media.Ticks, bool) {
	if p := c.stream.Participant; p != nil {
		return r.position(owner{stage: p.Stage, participant: p.ID})
	}
	return r.Position(c.stream.Channel.ARN)
}

// publish is a chunk as a participant's media types have it recorded.
func (c *camera) publish(t *testing.T, ch *packager.Chunk) []Rendered {
	t.Helper()
	one := Rendered{Chunk: ch, Blank: c.blank}
	switch c.stream.Participant.Recording.MediaTypes[0] {
	case "NONE":
		return []Rendered{{Blank: c.blank}}
	case "AUDIO_ONLY":
		one.Chunk = ch.SoundOnly(new(packager.Chunk))
		one.Chunk.Audio = nil
	}
	data, err := c.cmaf.Append(nil, one.Chunk)
	if err != nil {
		t.Fatal(err)
	}
	one.CMAF = data
	return []Rendered{one}
}

// folder is the name of the camera's source, as it is recorded.
func (c *camera) folder() string {
	if c.stream.Participant != nil {
		return "high"
	}
	return "720p30"
}

// resize has the camera deliver pictures of another size from its next chunk on,
// behind a discontinuity.
func (c *camera) resize(width, height int, level byte) {
	v := *video720p
	v.Width, v.Height, v.Level = width, height, level
	v.PPS = []byte{0x68, 0xce, 0x0f, byte(height)}
	c.stream.Description.Video = &v
	c.fresh, c.n = true, 0
}

// wantWholeParticipant checks that what the bucket has of a participant's recording
// that ended is complete, in order and within its bounds, and returns its media
// playlist.
func wantWholeParticipant(t *testing.T, w *world, r resource.Recording) string {
	t.Helper()
	playlist := w.object(r, "media/hls/high/playlist.m3u8")
	if !strings.HasSuffix(playlist, "#EXT-X-ENDLIST\n") || strings.Count(playlist, "#EXT-X-ENDLIST") != 1 {
		t.Errorf("playlist has no end:\n%s", playlist)
	}
	if !strings.Contains(playlist, "#EXT-X-VERSION:7\n") || !strings.Contains(playlist, "#EXT-X-PLAYLIST-TYPE:VOD\n") {
		t.Errorf("playlist begins with\n%.200s", playlist)
	}
	// Every stretch begins with an initialization segment and a date, and only there
	// are any.
	want := regexp.MustCompile(`^#EXTM3U\n(#.*\n){4}` +
		`(#EXT-X-MAP:URI="init-\d+.mp4"\n#EXT-X-PROGRAM-DATE-TIME:\S+\n((#EXT-X-DATERANGE:\S+\n)*#EXTINF:\d+\.\d{3},\n\d+\.mp4\n)+(#EXT-X-DISCONTINUITY\n)?)+#EXT-X-ENDLIST\n$`)
	if !want.MatchString(playlist) {
		t.Errorf("playlist is\n%s", playlist)
	}
	var target float64
	fmt.Sscanf(playlist[strings.Index(playlist, "#EXT-X-TARGETDURATION:"):], "#EXT-X-TARGETDURATION:%f", &target)
	for _, m := range entryLines.FindAllStringSubmatch(playlist, -1) {
		var seconds float64
		if fmt.Sscanf(m[1], "%f", &seconds); seconds > target {
			t.Errorf("object %s lasts %v s, the target duration is %v", m[2], seconds, target)
		}
		if w.object(r, "media/hls/high/"+m[2]) == "" {
			t.Errorf("object %s is missing", m[2])
		}
	}
	if master := w.object(r, "media/hls/multivariant.m3u8"); !strings.HasSuffix(master, "\nhigh/playlist.m3u8\n") {
		t.Errorf("multivariant playlist:\n%s", master)
	}
	if ended := w.object(r, "events/recording-ended.json"); !strings.Contains(ended, `"RECORDING_ENDED"`) {
		t.Errorf("recording-ended.json: %s", ended)
	}
	if started := w.object(r, "events/recording-started.json"); !strings.Contains(started, `"renditions":[{"path":"high","playlist":"playlist.m3u8"}]`) {
		t.Errorf("recording-started.json: %s", started)
	}
	return playlist
}
