package realtime_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"testing"
	"time"

	"anabranch/internal/api/apitest"
	"anabranch/internal/resource"

	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
)

const (
	theEndpoints = `{"events":"wss://stage.test/events","whip":"https://stage.test/whip",
		"rtmp":"rtmp://stage.test:1935/app/","rtmps":"rtmps://stage.test:443/app/"}`
	// notRecorded is a recording configuration that nobody gave.
	notRecorded = `{"storageConfigurationArn":"","mediaTypes":["AUDIO_VIDEO"],"recordingReconnectWindowSeconds":0,
		"thumbnailConfiguration":{"targetIntervalSeconds":60,"storage":["SEQUENTIAL"],"recordingMode":"DISABLED"},
		"hlsConfiguration":{"targetSegmentDurationSeconds":6},"recordParticipantReplicas":true}`
)

// post calls an operation that must work.
func (f *fixture) post(operation, body string) map[string]any {
	f.t.Helper()
	status, exception, answer := f.Post(operation, body)
	if status != http.StatusOK {
		f.t.Fatalf("%s %s: %d %s %v", operation, body, status, exception, answer)
	}
	return answer
}

// refused calls an operation that must not.
func (f *fixture) refused(operation, body, want string) {
	f.t.Helper()
	_, exception, answer := f.Post(operation, body)
	if got := fmt.Sprint(exception, ": ", answer["message"]); !regexp.MustCompile(`^` + want + `$`).MatchString(got) {
		f.t.Errorf("%s %.200s is refused with %q, want %s", operation, body, got, want)
	}
}

// A stage made of nothing has every default.
func TestCreateStageDefaults(t *testing.T) {
	f := newFixture(t)
	answer := f.post("CreateStage", ``)
	arn, _ := apitest.Object(answer, "stage")["arn"].(string)
	if !regexp.MustCompile(`^arn:aws:ivs:eu-west-1:111122223333:stage/[0-9A-Za-z]{12}$`).MatchString(arn) {
		t.Errorf("its ARN is %q", arn)
	}
	same(t, "CreateStage", answer, `{"participantTokens":[],"stage":{"arn":"`+arn+`","name":"","tags":{},
		"endpoints":`+theEndpoints+`,"autoParticipantRecordingConfiguration":`+notRecorded+`}}`)
	same(t, "GetStage", f.post("GetStage", `{"arn":"`+arn+`"}`)["stage"], `{"arn":"`+arn+`","name":"","tags":{},
		"endpoints":`+theEndpoints+`,"autoParticipantRecordingConfiguration":`+notRecorded+`}`)
	same(t, "ListStages", f.post("ListStages", ``), `{"stages":[{"arn":"`+arn+`","name":"","tags":{}}]}`)
}

// What is given is told again, by every operation that tells it; what is not
// given in an update stays.
func TestStageMembers(t *testing.T) {
	f := newFixture(t)
	storage, other := *f.storage().Arn, *f.storage().Arn
	arn := apitest.Object(f.post("CreateStage", `{"name":"stage-A_1","tags":{"a":"1"},
		"autoParticipantRecordingConfiguration":{"storageConfigurationArn":"`+storage+`"}}`), "stage")["arn"].(string)
	recording := func(storage, rest string) string { return `{"storageConfigurationArn":"` + storage + `",` + rest + `}` }
	const defaults = `"mediaTypes":["AUDIO_VIDEO"],"recordingReconnectWindowSeconds":0,
		"thumbnailConfiguration":{"targetIntervalSeconds":60,"storage":["SEQUENTIAL"],"recordingMode":"DISABLED"},
		"hlsConfiguration":{"targetSegmentDurationSeconds":6},"recordParticipantReplicas":true`
	const all = `"mediaTypes":["NONE"],"recordingReconnectWindowSeconds":300,
		"thumbnailConfiguration":{"targetIntervalSeconds":86400,"storage":["LATEST"],"recordingMode":"INTERVAL"},
		"hlsConfiguration":{"targetSegmentDurationSeconds":2},"recordParticipantReplicas":false`
	name := "stage-A_1"
	check := func(what, want string) {
		t.Helper()
		stage := `{"arn":"` + arn + `","name":"` + name + `","tags":{"a":"1"},"endpoints":` + theEndpoints + `,"autoParticipantRecordingConfiguration":` + want + `}`
		same(t, what, f.post("GetStage", `{"arn":"`+arn+`"}`)["stage"], stage)
	}
	check("as made", recording(storage, defaults))
	for _, tt := range []struct{ change, want string }{
		{``, recording(storage, defaults)},
		{`"autoParticipantRecordingConfiguration":` + recording(storage, all), recording(storage, all)},
		{`"name":"other"`, recording(storage, all)},
		{`"autoParticipantRecordingConfiguration":{"storageConfigurationArn":"` + other + `"}`, recording(other, all)},
		{`"autoParticipantRecordingConfiguration":{"storageConfigurationArn":"` + other + `","mediaTypes":[],"thumbnailConfiguration":{"storage":[]}}`,
			recording(other, `"mediaTypes":["AUDIO_VIDEO"],"recordingReconnectWindowSeconds":300,
				"thumbnailConfiguration":{"targetIntervalSeconds":86400,"storage":["SEQUENTIAL"],"recordingMode":"INTERVAL"},
				"hlsConfiguration":{"targetSegmentDurationSeconds":2},"recordParticipantReplicas":false`)},
		{`"autoParticipantRecordingConfiguration":{"storageConfigurationArn":"","mediaTypes":["NONE"]}`, notRecorded},
		{`"autoParticipantRecordingConfiguration":{"storageConfigurationArn":"` + storage + `"}`, recording(storage, defaults)},
		{`"name":""`, recording(storage, defaults)},
	} {
		comma := ","
		if tt.change == "" {
			comma = ""
		}
		answer := f.post("UpdateStage", `{"arn":"`+arn+`"`+comma+tt.change+`}`)
		name, _ = apitest.Object(answer, "stage")["name"].(string)
		check(tt.change, tt.want)
		same(t, tt.change, apitest.Object(answer, "stage")["autoParticipantRecordingConfiguration"], tt.want)
	}
	if name != "" {
		t.Errorf("the name is %q", name)
	}
}

func TestStageRefusals(t *testing.T) {
	f := newFixture(t)
	stage := *f.stage(nil).Stage.Arn
	none, nowhere := string(apitest.Place.ARN(resource.KindStage, "none")), string(apitest.Place.ARN(resource.KindStorageConfiguration, "none"))
	for _, tt := range []struct{ operation, body, want string }{
		{"GetStage", `{"arn":"` + none + `"}`, `ResourceNotFoundException: .*` + none + `.*`},
		{"UpdateStage", `{"arn":"` + none + `"}`, `ResourceNotFoundException: .*` + none + `.*`},
		{"DeleteStage", `{"arn":"` + none + `"}`, `ResourceNotFoundException: .*` + none + `.*`},
		{"CreateParticipantToken", `{"stageArn":"` + none + `"}`, `ResourceNotFoundException: .*` + none + `.*`},
		{"DisconnectParticipant", `{"stageArn":"` + none + `","participantId":"p"}`, `ResourceNotFoundException: .*` + none + `.*`},
		{"CreateStage", `{"autoParticipantRecordingConfiguration":{"storageConfigurationArn":"` + nowhere + `"}}`,
			`ValidationException: autoParticipantRecordingConfiguration.storageConfigurationArn: .*` + nowhere + `.*`},
		{"UpdateStage", `{"arn":"` + stage + `","autoParticipantRecordingConfiguration":{"storageConfigurationArn":"` + nowhere + `"}}`,
			`ValidationException: autoParticipantRecordingConfiguration.storageConfigurationArn: .*` + nowhere + `.*`},
	} {
		f.refused(tt.operation, tt.body, tt.want)
	}
	if len(f.rooms.deleted) > 0 {
		t.Errorf("the rooms were told that %v are gone", f.rooms.deleted)
	}
}

// While a participant is recorded the configuration stays, and the name may
// change.
func TestUpdateStageWhileRecording(t *testing.T) {
	f := newFixture(t)
	stage := *f.stage(nil).Stage.Arn
	storage := *f.storage().Arn
	set := `{"arn":"` + stage + `","autoParticipantRecordingConfiguration":{"storageConfigurationArn":"` + storage + `"}}`
	f.post("UpdateStage", set)
	session := f.join(&stage, resource.Participant{ID: "ana"})
	f.change(&stage, session, "ana", func(p *resource.Participant) { p.RecordingState = resource.ParticipantRecordingActive })

	f.refused("UpdateStage", `{"arn":"`+stage+`","autoParticipantRecordingConfiguration":{"storageConfigurationArn":""}}`,
		`ConflictException: autoParticipantRecordingConfiguration: .*`)
	f.post("UpdateStage", set) // changes nothing
	answer := apitest.Object(f.post("UpdateStage", `{"arn":"`+stage+`","name":"renamed"}`), "stage")
	if answer["name"] != "renamed" || answer["activeSessionId"] != session {
		t.Errorf("it is %v", answer)
	}
	f.change(&stage, session, "ana", func(p *resource.Participant) { p.RecordingState = resource.ParticipantRecordingStopped })
	f.post("UpdateStage", `{"arn":"`+stage+`","autoParticipantRecordingConfiguration":{"storageConfigurationArn":""}}`)
}

// A stage tells of its session while that runs. When the stage is deleted the
// rooms are told, and the session stays to be read.
func TestStageSessions(t *testing.T) {
	f := newFixture(t)
	stage := *f.stage(nil).Stage.Arn
	named := `"stageArn":"` + stage + `"`
	same(t, "before", f.post("ListStageSessions", `{`+named+`}`), `{"stageSessions":[]}`)

	came := time.Date(2031, 2, 3, 4, 5, 6, 789e6, time.UTC)
	first := f.join(&stage, resource.Participant{ID: "ana", FirstJoinTime: came})
	for what, answer := range map[string]map[string]any{
		"GetStage":   apitest.Object(f.post("GetStage", `{"arn":"`+stage+`"}`), "stage"),
		"ListStages": f.post("ListStages", ``)["stages"].([]any)[0].(map[string]any),
	} {
		if answer["activeSessionId"] != first {
			t.Errorf("%s tells %v, want the session %s", what, answer, first)
		}
	}
	running := `{"sessionId":"` + first + `","startTime":"2031-02-03T04:05:06Z"}`
	same(t, "running", f.post("GetStageSession", `{`+named+`,"sessionId":"`+first+`"}`), `{"stageSession":`+running+`}`)
	same(t, "running", f.post("ListStageSessions", `{`+named+`}`), `{"stageSessions":[`+running+`]}`)

	if err := f.store.EndStageSession(f.ctx, resource.ARN(stage), first, came.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got := apitest.Object(f.post("GetStage", `{"arn":"`+stage+`"}`), "stage")["activeSessionId"]; got != nil {
		t.Errorf("the session %v is active after its end", got)
	}
	second := f.join(&stage, resource.Participant{ID: "ana", FirstJoinTime: came.Add(time.Hour)})
	ended := `{"sessionId":"` + first + `","startTime":"2031-02-03T04:05:06Z","endTime":"2031-02-03T04:06:06Z"}`
	same(t, "newest first", f.post("ListStageSessions", `{`+named+`}`),
		`{"stageSessions":[{"sessionId":"`+second+`","startTime":"2031-02-03T05:05:06Z"},`+ended+`]}`)

	same(t, "DeleteStage", f.post("DeleteStage", `{"arn":"`+stage+`"}`), `{}`)
	if !slices.Equal(f.rooms.deleted, []resource.ARN{resource.ARN(stage)}) {
		t.Errorf("the rooms were told that %v are gone", f.rooms.deleted)
	}
	same(t, "ListStages", f.post("ListStages", ``), `{"stages":[]}`)
	same(t, "of a deleted stage", f.post("GetStageSession", `{`+named+`,"sessionId":"`+first+`"}`), `{"stageSession":`+ended+`}`)
	got := apitest.Object(f.post("GetStageSession", `{`+named+`,"sessionId":"`+second+`"}`), "stageSession")
	if got["endTime"] == nil {
		t.Errorf("the session of a deleted stage goes on: %v", got)
	}
	f.refused("GetStageSession", `{`+named+`,"sessionId":"st-AbCdEfGhIjKlM"}`, `ResourceNotFoundException: .*st-AbCdEfGhIjKlM.*`)
	f.refused("GetStage", `{"arn":"`+stage+`"}`, `ResourceNotFoundException: .*`)
}

// Lists of stages that are not there are empty: the model has no exception for
// them.
func TestListsOfUnknownStage(t *testing.T) {
	f := newFixture(t)
	none := `"stageArn":"` + string(apitest.Place.ARN(resource.KindStage, "none")) + `"`
	for _, tt := range []struct{ operation, body, want string }{
		{"ListStageSessions", `{` + none + `}`, `{"stageSessions":[]}`},
		{"ListParticipants", `{` + none + `,"sessionId":"st-AbCdEfGhIjKlM"}`, `{"participants":[]}`},
		{"ListParticipantEvents", `{` + none + `,"sessionId":"st-AbCdEfGhIjKlM","participantId":"p"}`, `{"events":[]}`},
		{"ListParticipantReplicas", `{"sourceS` + none[2:] + `,"participantId":"p"}`, `{"replicas":[]}`},
		{"ListIngestConfigurations", `{"filterByS` + none[2:] + `}`, `{"ingestConfigurations":[]}`},
		{"ListCompositions", `{"filterByS` + none[2:] + `}`, `{"compositions":[]}`},
	} {
		same(t, tt.operation, f.post(tt.operation, tt.body), tt.want)
	}
	// A session is one of its own stage only.
	stage, other := f.stage(nil), f.stage(nil)
	session := f.join(stage.Stage.Arn, resource.Participant{ID: "p"})
	elsewhere := `{"stageArn":"` + *other.Stage.Arn + `","sessionId":"` + session + `"`
	same(t, "ListParticipants", f.post("ListParticipants", elsewhere+`}`), `{"participants":[]}`)
	same(t, "ListParticipantEvents", f.post("ListParticipantEvents", elsewhere+`,"participantId":"p"}`), `{"events":[]}`)
	f.refused("GetStageSession", elsewhere+`}`, `ResourceNotFoundException: .*`)
	f.refused("GetParticipant", elsewhere+`,"participantId":"p"}`, `ResourceNotFoundException: .*`)
}

// What a call has answered is what the next one finds.
func TestStageReadAfterWrite(t *testing.T) {
	f := newFixture(t)
	arn := f.stage(nil).Stage.Arn
	for _, name := range []string{"one", "two", ""} {
		apitest.Must[*ivsrealtime.UpdateStageOutput](t)(f.UpdateStage(f.ctx, &ivsrealtime.UpdateStageInput{Arn: arn, Name: &name}))
		got := apitest.Must[*ivsrealtime.GetStageOutput](t)(f.GetStage(f.ctx, &ivsrealtime.GetStageInput{Arn: arn}))
		if *got.Stage.Name != name {
			t.Errorf("the name is %q, want %q", *got.Stage.Name, name)
		}
	}
}
