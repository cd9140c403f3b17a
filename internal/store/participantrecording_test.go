package store

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch/internal/resource"
)

// recorded is a stage with ana in it, whom a recorder records.
type recorded struct {
	*fixture
	stage    resource.Stage
	sessions []resource.StageSession
	begun    time.Time // of the next recording
}

func newRecorded(t *testing.T) *recorded {
	f := open(t)
	r := &recorded{fixture: f, stage: f.stage("", recordedTo(f.storage(""))), begun: noon}
	r.join()
	return r
}

func (r *recorded) join() {
	r.t.Helper()
	r.sessions = append(r.sessions, r.fixture.join(r.stage, "ana"))
	r.fixture.join(r.stage, "bob")
}

// session is the one that runs.
func (r *recorded) session() string { return r.sessions[len(r.sessions)-1].ID }

// recording is one that begins now, a minute after the last.
func (r *recorded) recording(id string) resource.Recording {
	at := r.begun
	r.begun = at.Add(time.Minute)
	return resource.Recording{
		ID: id, SessionID: resource.NewID(), StageARN: r.stage.ARN, StageSessionIDs: []string{r.session()},
		ParticipantID: "ana", UserID: "ana's user", StorageConfigurationARN: r.stage.Recording.StorageConfigurationARN,
		Bucket: "vods", Prefix: r.stage.ID() + "/" + r.session() + "/ana/" + id, ContainerFormat: resource.FragmentedMP4,
		StreamIDs: []string{"st-" + id}, ReconnectWindow: time.Minute, State: resource.RecordingStarted, StartedAt: at,
	}
}

// do does one of the steps of the tests.
func (r *recorded) do(step string) error {
	ctx, at := r.t.Context(), r.begun.Add(30*time.Second)
	what, id, _ := strings.Cut(step, " ")
	id, stream, _ := strings.Cut(id, " ") // of its own, if it is named
	why := resource.RecordingFailure{Code: resource.RecordingDenied, Reason: "no rights"}
	event := map[string]resource.ParticipantEventName{"publish": resource.PublishStarted, "unpublish": resource.PublishStopped}[what]
	switch what {
	case "publish", "unpublish":
		return r.UpdateParticipant(ctx, r.stage.ARN, r.session(), "ana", func(p *resource.Participant) { p.Published = true },
			[]resource.ParticipantEvent{{Name: event, StreamID: "st-" + id}})
	case "come-and-go":
		return r.UpdateParticipant(ctx, r.stage.ARN, r.session(), "ana", nil,
			[]resource.ParticipantEvent{{Name: resource.PublishStarted, StreamID: "st-" + id}, {Name: resource.PublishStopped}})
	case "start":
		return r.StartRecording(ctx, r.recording(id))
	case "join":
		return r.JoinRecording(ctx, id, resource.RecordedStream{ID: "st-" + cmp.Or(stream, resource.NewID()), StageSessionID: r.session()})
	case "end":
		return r.EndRecording(ctx, id, at, 42*time.Second)
	case "fail":
		return r.FailRecording(ctx, id, at, time.Second, why)
	case "refuse":
		return r.RefuseRecording(ctx, r.recording(id), why)
	case "end-session":
		return r.EndStageSession(ctx, r.stage.ARN, r.session(), at)
	case "next-session":
		r.join()
		return nil
	case "delete":
		return r.DeleteStage(ctx, r.stage.ARN)
	case "forget":
		_, err := r.DeleteOldStageSessions(ctx, at.Add(time.Hour))
		return err
	}
	r.t.Fatalf("no such step: %s", step)
	return nil
}

// states are the states of ana in all sessions, with what follows the
// participant's id in the prefix.
func (r *recorded) states() string {
	var all []string
	for _, s := range r.sessions {
		p, err := r.Participant(r.t.Context(), r.stage.ARN, s.ID, "ana")
		if kind(err) == resource.NotFound {
			all = append(all, "gone")
			continue
		}
		r.must(err)
		_, id, _ := strings.Cut(p.RecordingPrefix, "/ana/")
		if (p.RecordingBucket == "vods") != (id != "") {
			r.t.Errorf("bucket %q, prefix %q", p.RecordingBucket, p.RecordingPrefix)
		}
		all = append(all, strings.TrimSpace(string(p.RecordingState)+" "+id))
		if bob, err := r.Participant(r.t.Context(), r.stage.ARN, s.ID, "bob"); err != nil || bob.RecordingState != resource.ParticipantRecordingDisabled || bob.RecordingPrefix != "" {
			r.t.Errorf("bob is %+v, %v", bob, err)
		}
	}
	return strings.Join(all, ", ")
}

// What a participant's recording does shows in the participant, and is told once.
func TestParticipantRecordings(t *testing.T) {
	const start, end, endFailure, startFailure = resource.RecordingStart, resource.RecordingEnd, resource.RecordingEndFailure, resource.RecordingStartFailure
	type steps [][2]string // a step, and what ana's state is then, in each session
	for _, tt := range []struct {
		name  string
		steps steps
		told  []string
	}{
		{"recorded", steps{{"publish", "STARTING"}, {"start 1", "ACTIVE 1"}, {"unpublish", "STOPPING 1"}, {"end 1", "STOPPED 1"}}, []string{start, end}},
		{"nothing came", steps{{"publish", "STARTING"}, {"unpublish", "STOPPED"}}, nil},
		{"stopped twice", steps{{"publish", "STARTING"}, {"start 1", "ACTIVE 1"}, {"unpublish", "STOPPING 1"}, {"unpublish", "STOPPING 1"}}, []string{start}},
		{"not recorded", steps{{"unpublish", "DISABLED"}}, nil},
		{"told after the publication", steps{{"publish", "STARTING"}, {"unpublish", "STOPPED"}, {"start 1", "STOPPING 1"}, {"end 1", "STOPPED 1"}}, []string{start, end}},
		{"ended before the publication", steps{{"publish", "STARTING"}, {"start 1", "ACTIVE 1"}, {"end 1", "STOPPED 1"}, {"unpublish", "STOPPED 1"}}, []string{start, end}},
		{"told before the publication", steps{{"start 1", "ACTIVE 1"}, {"publish 1", "ACTIVE 1"}, {"unpublish", "STOPPING 1"}, {"end 1", "STOPPED 1"}}, []string{start, end}},
		{"told and over before the publication", steps{{"start 1", "ACTIVE 1"}, {"end 1", "STOPPED 1"}, {"publish 1", "STOPPED 1"}, {"unpublish", "STOPPED 1"}}, []string{start, end}},
		{"failed before the publication", steps{{"start 1", "ACTIVE 1"}, {"fail 1", "FAILED 1"}, {"publish 1", "FAILED 1"}, {"unpublish", "FAILED 1"}}, []string{start, endFailure}},
		{"refused before the publication", steps{{"refuse 1", "FAILED"}, {"publish 1", "FAILED"}, {"unpublish", "FAILED"}}, []string{startFailure}},
		{"the publication is told whole", steps{{"come-and-go 1", "STOPPED"}, {"start 1", "STOPPING 1"}, {"end 1", "STOPPED 1"}}, []string{start, end}},
		{"told before all of the publication", steps{{"start 1", "ACTIVE 1"}, {"come-and-go 1", "STOPPING 1"}, {"end 1", "STOPPED 1"}}, []string{start, end}},
		{"started twice", steps{{"publish", "STARTING"}, {"start 1", "ACTIVE 1"}, {"unpublish", "STOPPING 1"}, {"start 1", "STOPPING 1"}, {"end 1", "STOPPED 1"}, {"end 1", "STOPPED 1"}}, []string{start, end}},
		{"failed", steps{{"publish", "STARTING"}, {"start 1", "ACTIVE 1"}, {"fail 1", "FAILED 1"}, {"unpublish", "FAILED 1"}, {"fail 1", "FAILED 1"}}, []string{start, endFailure}},
		{"failed in the window", steps{{"publish", "STARTING"}, {"start 1", "ACTIVE 1"}, {"unpublish", "STOPPING 1"}, {"fail 1", "FAILED 1"}}, []string{start, endFailure}},
		{"refused", steps{{"publish", "STARTING"}, {"refuse 1", "FAILED"}, {"unpublish", "FAILED"}}, []string{startFailure}},
		{"refused after the publication", steps{{"publish", "STARTING"}, {"unpublish", "STOPPED"}, {"refuse 1", "FAILED"}}, []string{startFailure}},
		{"recorded after a refusal", steps{{"refuse 1", "FAILED"}, {"publish", "STARTING"}, {"start 2", "ACTIVE 2"}}, []string{startFailure, start}},
		{"refused twice", steps{{"refuse 1", "FAILED"}, {"publish", "STARTING"}, {"refuse 1", "STARTING"}}, []string{startFailure}},

		{"back", steps{
			{"publish", "STARTING"}, {"start 1", "ACTIVE 1"}, {"unpublish", "STOPPING 1"},
			{"publish", "STARTING 1"}, {"join 1", "ACTIVE 1"}, {"unpublish", "STOPPING 1"}, {"end 1", "STOPPED 1"},
		}, []string{start, end}},
		{"back, told before the publication", steps{
			{"publish 1", "STARTING"}, {"start 1", "ACTIVE 1"}, {"unpublish", "STOPPING 1"},
			{"join 1 2", "STOPPING 1"}, {"publish 2", "ACTIVE 1"}, {"unpublish", "STOPPING 1"}, {"end 1", "STOPPED 1"},
		}, []string{start, end}},
		{"back without media", steps{
			{"publish", "STARTING"}, {"start 1", "ACTIVE 1"}, {"unpublish", "STOPPING 1"}, {"publish", "STARTING 1"}, {"unpublish", "STOPPING 1"}, {"end 1", "STOPPED 1"},
		}, []string{start, end}},
		{"back in the last moment", steps{
			{"publish", "STARTING"}, {"start 1", "ACTIVE 1"}, {"unpublish", "STOPPING 1"}, {"publish", "STARTING 1"}, {"end 1", "STARTING 1"}, {"start 2", "ACTIVE 2"},
		}, []string{start, end, start}},
		{"back too late", steps{
			{"publish", "STARTING"}, {"start 1", "ACTIVE 1"}, {"unpublish", "STOPPING 1"}, {"end 1", "STOPPED 1"},
			{"publish", "STARTING 1"}, {"start 2", "ACTIVE 2"}, {"unpublish", "STOPPING 2"}, {"end 2", "STOPPED 2"},
		}, []string{start, end, start, end}},
		{"another, while the first waits", steps{
			{"publish", "STARTING"}, {"start 1", "ACTIVE 1"}, {"unpublish", "STOPPING 1"}, {"publish", "STARTING 1"}, {"start 2", "ACTIVE 2"},
			{"end 1", "ACTIVE 2"}, {"unpublish", "STOPPING 2"}, {"end 2", "STOPPED 2"},
		}, []string{start, start, end, end}},
		{"the first fails, the second goes on", steps{{"publish", "STARTING"}, {"start 1", "ACTIVE 1"}, {"start 2", "ACTIVE 2"}, {"fail 1", "ACTIVE 2"}}, []string{start, start, endFailure}},
		{"the second is refused, the first waits", steps{{"publish", "STARTING"}, {"start 1", "ACTIVE 1"}, {"unpublish", "STOPPING 1"}, {"refuse 2", "STOPPING 1"}}, []string{start, startFailure}},

		{"in another session", steps{
			{"publish", "STARTING"}, {"start 1", "ACTIVE 1"}, {"unpublish", "STOPPING 1"}, {"end-session", "STOPPING 1"},
			{"next-session", "STOPPING 1, DISABLED"}, {"publish", "STOPPING 1, STARTING"}, {"join 1", "STOPPING 1, ACTIVE 1"},
			{"unpublish", "STOPPING 1, STOPPING 1"}, {"end 1", "STOPPED 1, STOPPED 1"},
		}, []string{start, end}},
		{"the session ends meanwhile", steps{{"publish", "STARTING"}, {"start 1", "ACTIVE 1"}, {"end-session", "STOPPING 1"}, {"end 1", "STOPPED 1"}}, []string{start, resource.ParticipantUnpublished, end}},
		{"the stage is deleted", steps{{"publish", "STARTING"}, {"start 1", "ACTIVE 1"}, {"delete", "STOPPING 1"}, {"end 1", "STOPPED 1"}}, []string{start, resource.ParticipantUnpublished, end}},
		{"the stage is deleted before it began", steps{{"publish", "STARTING"}, {"delete", "STOPPED"}}, []string{resource.ParticipantUnpublished}},
		{"the session is forgotten", steps{
			{"publish", "STARTING"}, {"start 1", "ACTIVE 1"}, {"unpublish", "STOPPING 1"}, {"end-session", "STOPPING 1"}, {"next-session", "STOPPING 1, DISABLED"},
			{"forget", "gone, DISABLED"}, {"join 1", "gone, ACTIVE 1"}, {"end 1", "gone, STOPPED 1"},
		}, []string{start, end}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRecorded(t)
			for i, s := range tt.steps {
				if err := r.do(s[0]); err != nil {
					t.Fatalf("step %d, %s: %v", i, s[0], err)
				}
				if got := r.states(); got != s[1] {
					t.Fatalf("after step %d, %s: %s, want %s", i, s[0], got, s[1])
				}
			}
			if got := r.told(); !slices.Equal(got, tt.told) {
				t.Errorf("events are %q, want %q", got, tt.told)
			}
		})
	}
}

// A recording that is told late, for its bucket was away, does not hide what began
// behind it.
func TestParticipantShowsTheYoungestRecording(t *testing.T) {
	r := newRecorded(t)
	late := r.recording("late")
	for _, step := range []string{"publish", "start 2"} {
		r.must(r.do(step))
	}
	r.must(r.StartRecording(t.Context(), late))
	if got := r.states(); got != "ACTIVE 2" {
		t.Errorf("the participant is %s", got)
	}
	r.must(r.do("end late"))
	r.must(r.do("start 3"))
	if got := r.states(); got != "ACTIVE 3" {
		t.Errorf("the participant is %s", got)
	}
}

// A recording reads as it was stored, through all its sessions, and its events name
// the session now.
func TestParticipantRecordingIsReadAsWritten(t *testing.T) {
	r := newRecorded(t)
	ctx := t.Context()
	want := r.recording("1")
	first := r.session()
	r.must(r.StartRecording(ctx, want))
	r.must(r.do("end-session"))
	r.join()
	second := r.session()
	for range 2 { // each session is there once
		r.must(r.JoinRecording(ctx, "1", resource.RecordedStream{ID: "st-back", StageSessionID: second}))
		r.must(r.JoinRecording(ctx, "1", resource.RecordedStream{ID: "st-again", StageSessionID: second}))
	}
	want.StreamIDs = append(want.StreamIDs, "st-back", "st-again")
	want.StageSessionIDs = append(want.StageSessionIDs, second)
	if got, err := r.OpenRecordings(ctx); err != nil || len(got) != 1 || fmt.Sprintf("%+v", got[0]) != fmt.Sprintf("%+v", want) || !got[0].OfParticipant() {
		t.Errorf("open recordings are\n%+v, %v; want\n%+v", got, err, want)
	}
	at := noon.Add(time.Minute)
	r.must(r.FailRecording(ctx, "1", at, 600_120*time.Millisecond, resource.RecordingFailure{Code: resource.RecordingNoBucket, Reason: "bucket vods is gone"}))
	refused := r.recording("2")
	r.must(r.RefuseRecording(ctx, refused, resource.RecordingFailure{Code: resource.RecordingDenied, Reason: "bucket vods refuses writes"}))

	common := func(session, name, prefix string) string {
		return fmt.Sprintf(`{"session_id":%q,"event_name":%q,"participant_id":"ana","recording_s3_bucket_name":"vods","recording_s3_key_prefix":%q`, session, name, prefix)
	}
	wantEvents := []string{
		common(first, "Recording Start", want.Prefix) + `}`,
		common(second, "Recording End Failure", want.Prefix) +
			`,"recording_duration_ms":600120,"error_code":"ResourceNotFoundException","reason":"bucket vods is gone"}`,
		common(second, "Recording Start Failure", refused.Prefix) + `,"error_code":"AccessDeniedException","reason":"bucket vods refuses writes"}`,
	}
	events, err := r.Events(ctx, 0, 100)
	r.must(err)
	var got []string
	for _, e := range events {
		got = append(got, detail(e))
		if e.DetailType != "IVS Participant Recording State Change" || e.Resource != r.stage.ARN {
			t.Errorf("event is %+v", e)
		}
	}
	if !slices.Equal(got, wantEvents) {
		t.Errorf("details are\n%q, want\n%q", got, wantEvents)
	}
	if !events[1].Time.Equal(at) {
		t.Errorf("it failed at %v", events[1].Time)
	}
	if _, err := r.Recording(ctx, "2"); kind(err) != resource.NotFound {
		t.Errorf("a refused recording is stored: %v", err)
	}
}

func TestListParticipantRecordings(t *testing.T) {
	r := newRecorded(t)
	ctx := t.Context()
	ch, _ := r.channel("studio")
	r.must(r.StartRecording(ctx, recording(ch, "st-x")))
	first := r.session()
	for _, step := range []string{"start 1", "end-session", "next-session", "join 1", "start 2", "delete"} {
		r.must(r.do(step))
	}
	bobs := r.recording("3")
	bobs.ParticipantID = "bob"
	r.must(r.StartRecording(ctx, bobs))
	for name, tt := range map[string]struct {
		filter resource.RecordingFilter
		want   string
	}{
		"a stage":             {resource.RecordingFilter{StageARN: r.stage.ARN}, "3 2 1"},
		"no stage":            {resource.RecordingFilter{StageARN: "arn"}, ""},
		"its first session":   {resource.RecordingFilter{StageSessionID: first}, "1"},
		"its second session":  {resource.RecordingFilter{StageSessionID: r.session()}, "3 2 1"},
		"no session":          {resource.RecordingFilter{StageSessionID: "st-"}, ""},
		"two sessions":        {resource.RecordingFilter{StageSessionID: first + `","` + r.session()}, ""},
		"a participant":       {resource.RecordingFilter{ParticipantID: "ana"}, "2 1"},
		"one in a session":    {resource.RecordingFilter{ParticipantID: "ana", StageSessionID: first, StageARN: r.stage.ARN}, "1"},
		"one not there":       {resource.RecordingFilter{ParticipantID: "bob", StageSessionID: first}, ""},
		"those of a channel":  {resource.RecordingFilter{ChannelARN: ch.ARN, StageARN: r.stage.ARN}, ""},
		"of all, the started": {resource.RecordingFilter{StageARN: r.stage.ARN, State: resource.RecordingStarted}, "3 2 1"},
	} {
		items, _, err := r.ListRecordings(ctx, tt.filter, resource.Page{Size: 10})
		r.must(err)
		if got := strings.Join(names(items, func(r resource.Recording) string { return r.ID }), " "); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// How a stage is recorded stays while a recording waits for its participant, though
// the session it began in is over.
func TestStageStaysWhileARecordingWaits(t *testing.T) {
	r := newRecorded(t)
	update := func() error {
		_, err := r.UpdateStage(t.Context(), r.stage.ARN, func(st *resource.Stage) error { st.Recording.ReconnectWindowSeconds++; return nil })
		return err
	}
	for _, step := range []string{"publish", "start 1", "unpublish", "end-session"} {
		r.must(r.do(step))
	}
	wantKind(t, update(), resource.Conflict)
	r.must(r.do("end 1"))
	r.must(update())
}
