package resource_test

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"anabranch/internal/resource"
)

// A stage tells every member of its recording configuration, also when nothing
// is recorded; and when it is not, what was chosen before is forgotten.
func TestParticipantRecordingDefaults(t *testing.T) {
	const rest = `"mediaTypes":["AUDIO_VIDEO"],"thumbnailConfiguration":{"targetIntervalSeconds":60,"storage":["SEQUENTIAL"],"recordingMode":"DISABLED"},` +
		`"recordingReconnectWindowSeconds":0,"hlsConfiguration":{"targetSegmentDurationSeconds":6},"recordParticipantReplicas":true}`
	chosen := resource.ParticipantRecording{
		StorageConfigurationARN: "arn",
		MediaTypes:              []string{"NONE"},
		Thumbnail:               resource.ParticipantThumbnail{TargetIntervalSeconds: 1, Storage: []string{"LATEST"}, RecordingMode: "INTERVAL"},
		ReconnectWindowSeconds:  300,
		HLS:                     resource.ParticipantHLS{TargetSegmentDurationSeconds: 2},
		RecordReplicas:          new(false),
	}
	off := chosen
	off.StorageConfigurationARN = ""
	for name, tt := range map[string]struct {
		given resource.ParticipantRecording
		want  string
	}{
		"none": {resource.ParticipantRecording{}, `{"storageConfigurationArn":"",` + rest},
		"on":   {resource.ParticipantRecording{StorageConfigurationARN: "arn"}, `{"storageConfigurationArn":"arn",` + rest},
		"off":  {off, `{"storageConfigurationArn":"",` + rest},
		"chosen": {chosen, `{"storageConfigurationArn":"arn","mediaTypes":["NONE"],` +
			`"thumbnailConfiguration":{"targetIntervalSeconds":1,"storage":["LATEST"],"recordingMode":"INTERVAL"},` +
			`"recordingReconnectWindowSeconds":300,"hlsConfiguration":{"targetSegmentDurationSeconds":2},"recordParticipantReplicas":false}`},
	} {
		st := resource.Stage{Recording: tt.given}
		st.FillDefaults()
		got, err := json.Marshal(st.Recording)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %s, %v\nwant %s", name, got, err, tt.want)
		}
		if st.Recording.On() != strings.Contains(tt.want, `"arn"`) {
			t.Errorf("%s: on = %t", name, st.Recording.On())
		}
	}
}

// A stage that keeps neither media nor thumbnails of its participants records
// nothing.
func TestParticipantRecordingRecords(t *testing.T) {
	for name, tt := range map[string]struct {
		arn   resource.ARN
		media string
		mode  string
		want  bool
	}{
		"sound and pictures":   {"arn", "AUDIO_VIDEO", "DISABLED", true},
		"sound":                {"arn", "AUDIO_ONLY", "DISABLED", true},
		"media and thumbnails": {"arn", "AUDIO_VIDEO", "INTERVAL", true},
		"thumbnails":           {"arn", "NONE", "INTERVAL", true},
		"nothing":              {"arn", "NONE", "DISABLED", false},
		"nowhere":              {"", "AUDIO_VIDEO", "INTERVAL", false},
	} {
		r := resource.ParticipantRecording{
			StorageConfigurationARN: tt.arn, MediaTypes: []string{tt.media}, Thumbnail: resource.ParticipantThumbnail{RecordingMode: tt.mode},
		}
		if got := r.Records(); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestParticipantDefaults(t *testing.T) {
	p := resource.Participant{ID: "guest", FirstJoinTime: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	p.FillDefaults()
	const want = `{"participantId":"guest","userId":"","state":"CONNECTED","firstJoinTime":"2026-03-01T12:00:00Z","attributes":{},"published":false,` +
		`"ispName":"","osName":"","osVersion":"","browserName":"","browserVersion":"","sdkVersion":"",` +
		`"recordingS3BucketName":"","recordingS3Prefix":"","recordingState":"DISABLED","protocol":"UNKNOWN","replicationType":"NONE","redundantIngest":false}`
	if got, err := json.Marshal(p); err != nil || string(got) != want {
		t.Errorf("participant is %s, %v\nwant %s", got, err, want)
	}
}

func TestNewIngestConfiguration(t *testing.T) {
	place := resource.Place{Region: "eu-west-1", Account: "111122223333"}
	for name, tt := range map[string]struct {
		chosen resource.IngestConfiguration
		valid  bool
	}{
		"RTMPS":           {resource.IngestConfiguration{Protocol: resource.IngestRTMPS}, true},
		"RTMPS, insecure": {resource.IngestConfiguration{Protocol: resource.IngestRTMPS, InsecureIngest: true}, true},
		"RTMP":            {resource.IngestConfiguration{Protocol: resource.IngestRTMP, InsecureIngest: true}, true},
		"RTMP, secure":    {resource.IngestConfiguration{Protocol: resource.IngestRTMP}, false},
	} {
		c, err := resource.NewIngestConfiguration(place, tt.chosen)
		if (err == nil) != tt.valid || err != nil && !strings.HasPrefix(err.Error(), "insecureIngest: ") {
			t.Errorf("%s: %v", name, err)
		}
		key := regexp.MustCompile(`^rt_111122223333_eu-west-1_` + c.ARN.ID() + `_[0-9A-Za-z]{30}$`)
		if err == nil && (c.State != resource.IngestInactive || len(c.ParticipantID) != 12 || c.Attributes == nil || c.Tags == nil ||
			c.ARN.Kind() != "ingest-configuration" || !key.MatchString(c.StreamKey) || c.Credentials != nil) {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// A redundant ingest has two ways in, each with its own participant and key,
// which stay while it is redundant.
func TestRedundantIngest(t *testing.T) {
	place := resource.Place{Region: "eu-west-1", Account: "111122223333"}
	c, err := resource.NewIngestConfiguration(place, resource.IngestConfiguration{Protocol: resource.IngestRTMPS, RedundantIngest: true})
	if err != nil || !c.RedundantIngest || len(c.Credentials) != 2 {
		t.Fatalf("configuration is %+v, %v", c, err)
	}
	seen := map[string]bool{c.ParticipantID: true, c.StreamKey: true}
	for _, way := range c.Credentials {
		seen[way.ParticipantID], seen[way.StreamKey] = true, true
		if !strings.HasPrefix(way.StreamKey, "rt_111122223333_eu-west-1_"+c.ARN.ID()+"_") {
			t.Errorf("key is %s", way.StreamKey)
		}
	}
	if len(seen) != 6 {
		t.Errorf("they share what is theirs: %+v", c)
	}
	before := c.Credentials
	if c.SetRedundant(true); !reflect.DeepEqual(c.Credentials, before) {
		t.Errorf("credentials became %+v", c.Credentials)
	}
	if c.SetRedundant(false); c.RedundantIngest || c.Credentials != nil {
		t.Errorf("configuration became %+v", c)
	}
}

func TestEncoderDefaults(t *testing.T) {
	for _, tt := range []struct{ given, want resource.Video }{
		{resource.Video{}, resource.Video{Width: 1280, Height: 720, Framerate: 30, Bitrate: 2_500_000}},
		{resource.Video{Width: 640}, resource.Video{Width: 640, Height: 720, Framerate: 30, Bitrate: 2_500_000}},
		{resource.Video{Width: 2, Height: 4, Framerate: 29.97, Bitrate: 1}, resource.Video{Width: 2, Height: 4, Framerate: 29.97, Bitrate: 1}},
	} {
		c := resource.EncoderConfiguration{Video: tt.given}
		if c.FillDefaults(); c.Video != tt.want || c.Tags == nil {
			t.Errorf("%+v became %+v, want %+v", tt.given, c.Video, tt.want)
		}
	}
}

// A stage update reads as EventBridge documents it: the precise time of what
// went well, the code of what did not, and the source of a replica.
func TestStageUpdate(t *testing.T) {
	at := time.Date(2031, 2, 3, 5, 5, 6, 482193999, time.FixedZone("CET", 3600))
	p := resource.Participant{Stage: "arn:stage", SessionID: "st-0a1B2c3D4e5F6", ID: "guest", UserID: "ana"}
	replica := p
	replica.ReplicationType, replica.SourceStageARN, replica.SourceSessionID = resource.ReplicationReplica, "arn:source", "st-source"
	for _, tt := range []struct {
		of   resource.Participant
		name string
		code resource.ParticipantErrorCode
		want string
	}{
		{p, resource.ParticipantPublished, "", `{"session_id":"st-0a1B2c3D4e5F6","event_name":"Participant Published","event_time":"2031-02-03T04:05:06Z",` +
			`"event_time_precise":"2031-02-03T04:05:06.482193Z","user_id":"ana","participant_id":"guest","replica":false}`},
		{p, resource.ParticipantPublishError, resource.BitrateExceeded, `{"session_id":"st-0a1B2c3D4e5F6","event_name":"Participant Publish Error",` +
			`"event_time":"2031-02-03T04:05:06Z","user_id":"ana","participant_id":"guest","error_code":"BITRATE_EXCEEDED","replica":false}`},
		{replica, resource.ParticipantUnpublished, "", `{"session_id":"st-0a1B2c3D4e5F6","event_name":"Participant Unpublished","event_time":"2031-02-03T04:05:06Z",` +
			`"event_time_precise":"2031-02-03T04:05:06.482193Z","user_id":"ana","participant_id":"guest","replica":true,` +
			`"source_stage_arn":"arn:source","source_session_id":"st-source"}`},
	} {
		e := resource.NewStageUpdate(&tt.of, tt.name, at, tt.code)
		got, err := json.Marshal(e.Detail)
		if err != nil || string(got) != tt.want || e.Resource != "arn:stage" || e.DetailType != "IVS Stage Update" || !e.Time.Equal(at) {
			t.Errorf("%s: %+v, %s, %v\nwant %s", tt.name, e, got, err, tt.want)
		}
	}
}
