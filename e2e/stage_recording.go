package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"anabranch/e2e/hls"
)

// take is one recording of a participant, in the bucket.
type take struct {
	recording
	guest *guest
}

// settings are a stage's autoParticipantRecordingConfiguration, which is more
// than the Go SDK knows, but for where to.
type settings map[string]any

// newRecordedRoom makes a stage whose participants are recorded, in segments of
// 2 s if the settings do not say otherwise.
func (s *server) newRecordedRoom(adjust settings) *room {
	s.t.Helper()
	_, err := s.s3().CreateBucket(s.t.Context(), &s3.CreateBucketInput{Bucket: &s.bucket})
	if err != nil && !isA[*s3types.BucketAlreadyOwnedByYou](err) {
		s.t.Fatal(err)
	}
	storage, err := s.realtime().CreateStorageConfiguration(s.t.Context(),
		&ivsrealtime.CreateStorageConfigurationInput{S3: &types.S3StorageConfiguration{BucketName: &s.bucket}})
	if err != nil {
		s.t.Fatal(err)
	}
	recording := settings{
		"storageConfigurationArn": storage.StorageConfiguration.Arn,
		"hlsConfiguration":        settings{"targetSegmentDurationSeconds": 2},
	}
	for name, value := range adjust {
		recording[name] = value
	}
	var made struct{ Stage struct{ ARN string } }
	s.calls("CreateStage", settings{"autoParticipantRecordingConfiguration": recording}, &made)
	return s.roomOf(made.Stage.ARN)
}

// calls calls an operation on stages as it is written down, which must work.
func (s *server) calls(operation string, input, answer any) {
	s.t.Helper()
	c, err := dialLoad(s.at.HTTP)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.close()
	caller := newAPICaller(s)
	if err := caller.ask(c, caller.call(s.t, operation, input), answer); err != nil {
		s.t.Fatalf("%s: %v", operation, err)
	}
}

// takes are the participant's recordings, oldest first.
func (g *guest) takes() (all []take) {
	s := g.room.server
	root := s.bucketDir(g.room.id() + "/")
	// <stage>/<session>/<participant>/<time>
	found, err := filepath.Glob(filepath.Join(root, g.room.id(), "*", g.id, "*"))
	if err != nil {
		g.t.Fatal(err)
	}
	for _, dir := range found {
		prefix, err := filepath.Rel(root, dir)
		if err != nil {
			g.t.Fatal(err)
		}
		all = append(all, take{recording{dir, filepath.ToSlash(prefix)}, g})
	}
	slices.SortFunc(all, func(a, b take) int { return strings.Compare(filepath.Base(a.prefix), filepath.Base(b.prefix)) })
	return all
}

// waitTakes waits until the participant's n recordings have ended.
func (g *guest) waitTakes(n int) []take {
	g.t.Helper()
	return waitEnded(g.t, n, g.id, g.takes)
}

// waitStored waits until n segments of the participant's recordings are stored.
func (g *guest) waitStored(n int) {
	g.t.Helper()
	eventually(g.t, time.Minute, fmt.Sprintf("%d segments of %s are stored", n, g.id), func() error {
		got := 0
		for _, r := range g.takes() {
			found, _ := filepath.Glob(filepath.Join(r.dir, "media", "hls", "high", "[0-9]*.mp4"))
			got += len(found)
		}
		if got < n {
			return fmt.Errorf("there are %d", got)
		}
		return nil
	})
}

// recordingState waits until the API tells a state of the participant's
// recording, and returns the participant.
func (g *guest) waitRecordingState(session string, want types.ParticipantRecordingState) (p *types.Participant) {
	g.t.Helper()
	eventually(g.t, 30*time.Second, fmt.Sprintf("the recording of %s is %s", g.id, want), func() error {
		if p = g.participant(session); p.RecordingState != want {
			return fmt.Errorf("it is %s", p.RecordingState)
		}
		return nil
	})
	return p
}

// takeMetadata is what events/recording-*.json tell of a participant.
type takeMetadata struct {
	Version       string `json:"version"`
	StageARN      string `json:"stage_arn"`
	SessionID     string `json:"session_id"`
	ParticipantID string `json:"participant_id"`
	StartedAt     string `json:"recording_started_at"`
	EndedAt       string `json:"recording_ended_at"`
	Status        string `json:"recording_status"`
	Message       string `json:"recording_status_message"`
	Media         struct {
		HLS *struct {
			DurationMS *int64       `json:"duration_ms"`
			Path       string       `json:"path"`
			Playlist   string       `json:"playlist"`
			Renditions []takeFolder `json:"renditions"`
		} `json:"hls"`
		Thumbnails *takeStills `json:"thumbnails"`
		Latest     *takeStills `json:"latest_thumbnail"`
	} `json:"media"`
}

type takeFolder struct {
	Path     string `json:"path"`
	Playlist string `json:"playlist"`
}

type takeStills struct {
	Path       string       `json:"path"`
	Renditions []takeFolder `json:"renditions"`
}

// told reads one of these files, which must not have more in it than that.
func (r take) told(t testing.TB, name string) (m takeMetadata) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, "events", name))
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		t.Errorf("%s: %v\n%s", name, err, text)
	}
	_, session, _ := strings.Cut(r.prefix, "/")
	session, _, _ = strings.Cut(session, "/")
	if m.Version != "v1" || m.StageARN != aws.ToString(r.guest.room.Arn) || m.SessionID != session || m.ParticipantID != r.guest.id {
		t.Errorf("%s of %s: %s", name, r.prefix, text)
	}
	// The name is of the second of the start, or of the next that no other recording may
	// have had.
	named, err := time.Parse("2006-01-02T15-04-05Z", filepath.Base(r.prefix))
	if err != nil {
		t.Error(err)
	}
	if at, err := time.Parse(time.RFC3339, m.StartedAt); err != nil || named.Before(at) || named.Sub(at) > 2*time.Second {
		t.Errorf("%s begins at %s, and is below %s", name, m.StartedAt, r.prefix)
	}
	return m
}

// check looks at everything below the prefix of a recording that has ended, and
// returns what its media playlist lists, nil where no media was to be recorded.
func (r take) check(t testing.TB) (p *hls.Playlist) {
	t.Helper()
	started, ended := r.told(t, "recording-started.json"), r.told(t, "recording-ended.json")
	if started.Status != "RECORDING_STARTED" || started.EndedAt != "" || ended.Status != "RECORDING_ENDED" || ended.EndedAt < ended.StartedAt {
		t.Errorf("%s begins so: %+v\nand ends so: %+v", r.prefix, started, ended)
	}
	want := []string{"events/recording-started.json", "events/recording-ended.json"}
	if m := ended.Media.HLS; m != nil && m.Playlist != "" {
		if m.Path != "media/hls" || m.Playlist != "multivariant.m3u8" || !slices.Equal(m.Renditions, []takeFolder{{"high", "playlist.m3u8"}}) || m.DurationMS == nil {
			t.Fatalf("recording-ended.json of %s tells of media: %+v", r.prefix, *m)
		}
		if started.Media.HLS.DurationMS != nil {
			t.Errorf("recording-started.json of %s tells a duration", r.prefix)
		}
		p = r.mediaPlaylist(t, "media/hls/high/playlist.m3u8")
		if told := time.Duration(*m.DurationMS) * time.Millisecond; (told - p.Duration()).Abs() > 50*time.Millisecond {
			t.Errorf("recording-ended.json tells %v, the playlist %v", told, p.Duration())
		}
		want = append(want, "media/hls/multivariant.m3u8", "media/hls/high/playlist.m3u8")
		for _, name := range checkTake(t, p) {
			want = append(want, "media/hls/high/"+name)
		}
	}
	if m := ended.Media.Thumbnails; m != nil {
		for n := range r.stillsInSequence() {
			want = append(want, fmt.Sprintf("media/thumbnails/high/%d.jpg", n+1))
		}
	}
	if m := ended.Media.Latest; m != nil {
		want = append(want, "media/latest_thumbnail/high/thumb.jpg")
	}
	slices.Sort(want)
	if got := r.files(t); !slices.Equal(got, slices.Compact(want)) {
		t.Errorf("%s holds\n%v\nbut it is told of\n%v", r.prefix, got, want)
	}
	return p
}

// stillsInSequence are the numbered thumbnails in the bucket.
func (r take) stillsInSequence() (all [][]byte) {
	for n := 1; ; n++ {
		text, err := os.ReadFile(filepath.Join(r.dir, "media", "thumbnails", "high", fmt.Sprintf("%d.jpg", n)))
		if err != nil {
			return all
		}
		all = append(all, text)
	}
}

// checkTake checks what a participant's media playlist tells, and returns the
// names of its objects and init sections.
func checkTake(t testing.TB, p *hls.Playlist) (names []string) {
	t.Helper()
	pieces := p.Count("EXT-X-DISCONTINUITY") + 1
	switch {
	case len(p.Segments) == 0:
		t.Fatalf("there is nothing in\n%s", p.Text)
	case p.Version != 7 || !p.Ended || !strings.Contains(p.Text, "\n#EXT-X-PLAYLIST-TYPE:VOD\n") || p.Sequence != 0,
		p.Count("EXT-X-MAP") != pieces || p.Count("EXT-X-PROGRAM-DATE-TIME") != pieces || p.Count("EXT-X-BYTERANGE")+p.Count("EXT-X-GAP") > 0:
		t.Errorf("this is no playlist of %d pieces that is over:\n%s", pieces, p.Text)
	}
	piece := 0
	for i, s := range p.Segments {
		if s.Discontinuity {
			piece++
		}
		if want := fmt.Sprintf("%d.mp4", i); s.URI != want {
			t.Errorf("segment %d is named %s", i, s.URI)
		}
		if want := fmt.Sprintf("init-%d.mp4", piece); s.Init != want {
			t.Errorf("the init section of %s is %s, not %s", s.URI, s.Init, want)
		}
		if (i == 0 || s.Discontinuity) != !s.Time.IsZero() {
			t.Errorf("%s has the time %v", s.URI, s.Time)
		}
		if s.Duration.Round(time.Second) > p.Target {
			t.Errorf("%s lasts %v, the target duration is %v", s.URI, s.Duration, p.Target)
		}
		names = append(names, s.URI, s.Init)
	}
	return names
}
