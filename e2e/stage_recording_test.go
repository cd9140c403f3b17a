package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"
)

// beats is what is recorded in most tests.
var beats = scene{width: 320, height: 180, bitrate: 260_000, beats: true}

// Participants are recorded, whatever they publish and whatever of it is wanted.
func TestStageRecordings(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	t.Run("together", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *server){
			"whole":       recordWhole,
			"several":     recordSeveral,
			"returns":     recordReturn,
			"no window":   recordWithoutWindow,
			"takeover":    recordTakeover,
			"sizes":       recordSizes,
			"mute":        recordMute,
			"sound alone": recordSoundAlone,
			"media types": recordMediaTypes,
			"off":         recordNothing,
			"clients":     recordClients,
			"deleted":     recordDeleted,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, s.in(t))
			})
		}
	})
	all := s.shelf("--kind", "participant")
	if len(all) == 0 {
		t.Error("no recording is listed")
	}
	for _, r := range all {
		s.wholeRecording(r.ID)
	}
	s.stop()
	checkTakesTold(t, s)
}

// leave ends a publication that has sent d, and returns the participant's
// recordings when they have ended.
func (out *outgoing) leave(d time.Duration, recordings int) []take {
	out.t.Helper()
	out.waitSent(d)
	out.hangUp()
	out.stop()
	return out.guest.waitTakes(recordings)
}

// whole is a recording of one publication with beats: all is there that was
// sent from its first key frame on, when it was sent.
func (r take) whole(t testing.TB, out *outgoing) {
	t.Helper()
	p := r.check(t)
	all := r.stretches(t, p)
	if len(all) != 1 {
		t.Fatalf("%s is in %d pieces:\n%s", r.prefix, len(all), p.Text)
	}
	all[0].of(t, out)
}

// of checks a stretch that has all of a connection.
func (s *stretch) of(t testing.TB, out *outgoing) {
	t.Helper()
	sent := len(out.shots())
	// The last may be torn off on their way, and the first before the connection is ready: then all before the next key frame.
	if r := s.keepsTime(t, out); r.beats < sent/tapeRate-2 || r.pictures < sent-tapeRate-tapeRate/6 {
		t.Errorf("of %d pictures there are %v", sent, r)
	}
}

// keepsTime checks that nothing is missing within a stretch of a connection, and
// that all is shown and heard when it was due.
func (s *stretch) keepsTime(t testing.TB, out *outgoing) rhythm {
	t.Helper()
	r, late := s.rhythm(), s.behind(out)
	t.Logf("%v; %v; behind the clock by %.1f to %.1f ms", &s.sight, r, late.at(0), late.at(1))
	r.inStep(t, 2)
	if r.missing > 0 || r.jitter > skew.Seconds() {
		t.Errorf("pictures are not shown when they were made: %v", r)
	}
	if max(-late.at(0), late.at(1)) > float64(skew.Milliseconds()) {
		t.Errorf("by its dates the recording is %.1f to %.1f ms late", late.at(0), late.at(1))
	}
	return r
}

// A participant publishes, is recorded, and leaves. The API tells of the
// recording in all its states.
func recordWhole(t *testing.T, s *server) {
	r := s.newRecordedRoom(settings{
		"thumbnailConfiguration": settings{"recordingMode": "INTERVAL", "targetIntervalSeconds": 2, "storage": []string{"SEQUENTIAL", "LATEST"}},
	})
	ana := r.guest()
	listener := ana.listen()
	listener.waitState(5*time.Second, ana.id)
	session := r.session()
	out := ana.publish(beats)
	states := []types.ParticipantRecordingState{ana.waitRecordingState(session, types.ParticipantRecordingStateActive).RecordingState}
	out.waitSent(4 * time.Second)
	p := ana.participant(session)
	now := ana.takes()
	if len(now) != 1 || aws.ToString(p.RecordingS3BucketName) != s.bucket || aws.ToString(p.RecordingS3Prefix) != now[0].prefix || !strings.HasPrefix(now[0].prefix, r.id()+"/"+session+"/"+ana.id+"/") {
		t.Fatalf("GetParticipant tells of the recording: %v %v; there are %v", aws.ToString(p.RecordingS3BucketName), aws.ToString(p.RecordingS3Prefix), now)
	}
	ana.waitStored(1)
	if going := now[0].mediaPlaylist(t, "media/hls/high/playlist.m3u8"); !going.Event || going.Ended {
		t.Errorf("while it goes on:\n%s", going.Text)
	}
	for state, want := range map[types.ParticipantRecordingFilterByRecordingState]int{"ACTIVE": 1, "STARTING": 0, "STOPPED": 0, "FAILED": 0} {
		if got := r.recorded(session, state); got != want {
			t.Errorf("%d participants are recorded in the state %s", got, state)
		}
	}
	all := out.leave(9*time.Second, 1)
	states = append(states, ana.waitRecordingState(session, types.ParticipantRecordingStateStopped).RecordingState)
	if got := r.recorded(session, "STOPPED"); got != 1 {
		t.Errorf("at its end, %d participants are recorded in the state STOPPED; states were %v", got, states)
	}
	all[0].whole(t, out)
	playlist := all[0].mediaPlaylist(t, "media/hls/high/playlist.m3u8")
	if playlist.Target != 4*time.Second || len(playlist.Segments) < 4 {
		t.Errorf("of segments of 2 s:\n%s", playlist.Text)
	}
	for _, one := range playlist.Segments[:len(playlist.Segments)-1] {
		if one.Duration < 1900*time.Millisecond || one.Duration > 3100*time.Millisecond { // a key frame comes each second
			t.Errorf("%s lasts %v", one.URI, one.Duration)
		}
	}
	if frames := decode(t, all[0].multivariant()); frames < 8*tapeRate {
		t.Errorf("ffmpeg decodes %d pictures", frames)
	}
	m := all[0].told(t, "recording-ended.json")
	if m.Media.Thumbnails == nil || m.Media.Thumbnails.Path != "media/thumbnails" || !slices.Equal(m.Media.Thumbnails.Renditions, []takeFolder{{Path: "high"}}) ||
		m.Media.Latest == nil || m.Media.Latest.Path != "media/latest_thumbnail" || !slices.Equal(m.Media.Latest.Renditions, []takeFolder{{Path: "high"}}) {
		t.Errorf("told of thumbnails: %+v", m.Media)
	}
	stills := all[0].stillsInSequence()
	if len(stills) < 4 || len(stills) > 6 {
		t.Errorf("%d thumbnails of 9 s", len(stills))
	}
	for _, still := range stills {
		thumbnail(t, still, 320, 180)
	}
}

// multivariant is the path of the Multivariant Playlist.
func (r take) multivariant() string { return r.dir + "/media/hls/multivariant.m3u8" }

// recorded is how many participants of a session are in a state of recording.
func (r *room) recorded(session string, state types.ParticipantRecordingFilterByRecordingState) int {
	r.server.t.Helper()
	got, err := r.server.realtime().ListParticipants(r.server.t.Context(),
		&ivsrealtime.ListParticipantsInput{StageArn: r.Arn, SessionId: &session, FilterByRecordingState: state})
	if err != nil {
		r.server.t.Fatal(err)
	}
	for _, p := range got.Participants {
		if string(p.RecordingState) != string(state) {
			r.server.t.Errorf("of those in the state %s one is %s", state, p.RecordingState)
		}
	}
	return len(got.Participants)
}

// Several participants are recorded at once, each by itself, and by their dates
// they can be laid side by side. One leaves and comes back meanwhile.
func recordSeveral(t *testing.T, s *server) {
	r := s.newRecordedRoom(settings{"recordingReconnectWindowSeconds": 15})
	all := r.guests(3)
	var outs []*outgoing
	for _, g := range all {
		outs = append(outs, g.publish(beats))
	}
	outs[0].waitSent(4 * time.Second)
	outs[0].hangUp()
	outs[0].stop()
	again := all[0].publish(beats)
	again.waitSent(4 * time.Second)
	for _, out := range append(outs[1:], again) {
		out.hangUp()
		out.stop()
	}
	for i, g := range all {
		r := g.waitTakes(1)[0]
		p := r.check(t)
		pieces := r.stretches(t, p)
		if want := map[bool]int{true: 2, false: 1}[i == 0]; len(pieces) != want {
			t.Fatalf("%s is in %d pieces, not %d:\n%s", r.prefix, len(pieces), want, p.Text)
		}
		pieces[0].of(t, outs[i])
		if i == 0 {
			pieces[1].of(t, again)
		}
	}
}

// checkTakesTold checks that everything about the recordings of participants was
// told, once and in order. The server is stopped.
func checkTakesTold(t *testing.T, s *server) {
	t.Helper()
	states := make(map[any][]string) // by prefix
	for _, e := range s.stored("%") {
		name, _ := e.detail["event_name"].(string)
		if !strings.HasPrefix(name, "Recording ") {
			continue
		}
		prefix := e.detail["recording_s3_key_prefix"]
		states[prefix] = append(states[prefix], name)
		text, ok := prefix.(string)
		id, _ := e.detail["participant_id"].(string)
		if session, _ := e.detail["session_id"].(string); !ok || !strings.HasPrefix(session, "st-") || strings.Split(text+"///", "/")[2] != id || e.detail["recording_s3_bucket_name"] != s.bucket {
			t.Errorf("the event %s has the detail %v", name, e.detail)
		}
		if _, ok := e.detail["recording_duration_ms"].(float64); ok != (name == "Recording End") {
			t.Errorf("the event %s has the detail %v", name, e.detail)
		}
	}
	if len(states) == 0 {
		t.Error("no recording was told of")
	}
	for prefix, names := range states {
		if !slices.Equal(names, []string{"Recording Start", "Recording End"}) {
			t.Errorf("of %v was told: %v", prefix, names)
		}
	}
}
