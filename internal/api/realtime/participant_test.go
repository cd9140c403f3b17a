package realtime_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"anabranch/internal/resource"
)

var came = time.Date(2031, 2, 3, 4, 5, 6, 789e6, time.UTC)

// A participant is told with every member, and without what it has not.
func TestGetParticipant(t *testing.T) {
	f := newFixture(t)
	stage := *f.stage(nil).Stage.Arn
	session := f.join(&stage, resource.Participant{ID: "bare_1", FirstJoinTime: came})
	f.join(&stage, resource.Participant{
		ID: "ana", UserID: "Ana", FirstJoinTime: came, Attributes: map[string]string{"role": "host"},
		ParticipantClient: resource.ParticipantClient{
			ISPName: "isp", OSName: "os", OSVersion: "1", BrowserName: "browser", BrowserVersion: "2", SDKVersion: "3",
		},
	})
	f.change(&stage, session, "ana", func(p *resource.Participant) {
		p.State, p.Published, p.Protocol = resource.Disconnected, true, resource.WHIP
		p.RecordingBucket, p.RecordingPrefix, p.RecordingState = "bucket", "a/b/c", resource.ParticipantRecordingStopped
		p.ReplicationType, p.ReplicationState = resource.ReplicationReplica, resource.ReplicationActive
		p.SourceStageARN, p.SourceSessionID = "arn:aws:ivs:eu-west-1:111122223333:stage/other", "st-AbCdEfGhIjKlM"
	})
	for id, want := range map[string]string{
		"bare_1": `{"participantId":"bare_1","userId":"","state":"CONNECTED","firstJoinTime":"2031-02-03T04:05:06Z","attributes":{},"published":false,
			"ispName":"","osName":"","osVersion":"","browserName":"","browserVersion":"","sdkVersion":"",
			"recordingS3BucketName":"","recordingS3Prefix":"","recordingState":"DISABLED","protocol":"UNKNOWN","replicationType":"NONE","redundantIngest":false}`,
		"ana": `{"participantId":"ana","userId":"Ana","state":"DISCONNECTED","firstJoinTime":"2031-02-03T04:05:06Z","attributes":{"role":"host"},"published":true,
			"ispName":"isp","osName":"os","osVersion":"1","browserName":"browser","browserVersion":"2","sdkVersion":"3",
			"recordingS3BucketName":"bucket","recordingS3Prefix":"a/b/c","recordingState":"STOPPED","protocol":"WHIP",
			"replicationType":"REPLICA","replicationState":"ACTIVE","sourceStageArn":"arn:aws:ivs:eu-west-1:111122223333:stage/other",
			"sourceSessionId":"st-AbCdEfGhIjKlM","redundantIngest":false}`,
	} {
		named := `{"stageArn":"` + stage + `","sessionId":"` + session + `","participantId":"` + id + `"}`
		same(t, id, f.post("GetParticipant", named)["participant"], want)
	}
	same(t, "ListParticipants", f.post("ListParticipants", `{"stageArn":"`+stage+`","sessionId":"`+session+`"}`), `{"participants":[
		{"participantId":"bare_1","userId":"","state":"CONNECTED","firstJoinTime":"2031-02-03T04:05:06Z","published":false,"recordingState":"DISABLED",
			"replicationType":"NONE","redundantIngest":false},
		{"participantId":"ana","userId":"Ana","state":"DISCONNECTED","firstJoinTime":"2031-02-03T04:05:06Z","published":true,"recordingState":"STOPPED",
			"replicationType":"REPLICA","replicationState":"ACTIVE","sourceStageArn":"arn:aws:ivs:eu-west-1:111122223333:stage/other",
			"sourceSessionId":"st-AbCdEfGhIjKlM","redundantIngest":false}]}`)
	f.refused("GetParticipant", `{"stageArn":"`+stage+`","sessionId":"`+session+`","participantId":"nobody"}`, `ResourceNotFoundException: .*nobody.*`)
}

// The list of participants is narrowed by one filter at most.
func TestParticipantFilters(t *testing.T) {
	f := newFixture(t)
	stage := *f.stage(nil).Stage.Arn
	var session string
	for _, p := range []resource.Participant{
		{ID: "ana", UserID: "one"}, {ID: "ben", UserID: "one"}, {ID: "cem", UserID: "two"}, {ID: "dan"},
	} {
		session = f.join(&stage, p)
	}
	f.change(&stage, session, "ben", func(p *resource.Participant) {
		p.Published, p.RecordingState = true, resource.ParticipantRecordingActive
	})
	f.change(&stage, session, "cem", func(p *resource.Participant) { p.State = resource.Disconnected })
	named := `{"stageArn":"` + stage + `","sessionId":"` + session + `"`
	for filter, want := range map[string][]string{
		``:                                   {"ana", "ben", "cem", "dan"},
		`,"filterByUserId":"one"`:            {"ana", "ben"},
		`,"filterByUserId":""`:               {"ana", "ben", "cem", "dan"},
		`,"filterByUserId":"three"`:          {},
		`,"filterByPublished":true`:          {"ben"},
		`,"filterByPublished":false`:         {"ana", "cem", "dan"},
		`,"filterByState":"CONNECTED"`:       {"ana", "ben", "dan"},
		`,"filterByState":"DISCONNECTED"`:    {"cem"},
		`,"filterByRecordingState":"ACTIVE"`: {"ben"},
		`,"filterByRecordingState":"FAILED"`: {},
	} {
		got := []string{}
		for _, p := range f.post("ListParticipants", named+filter+`}`)["participants"].([]any) {
			got = append(got, p.(map[string]any)["participantId"].(string))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s lists %v, want %v", filter, got, want)
		}
	}
	filters := []string{`"filterByUserId":"one"`, `"filterByPublished":false`, `"filterByState":"CONNECTED"`, `"filterByRecordingState":"ACTIVE"`}
	for i, a := range filters {
		for _, b := range filters[i+1:] {
			f.refused("ListParticipants", named+`,`+a+`,`+b+`}`, `ValidationException: the list can be narrowed by one filter only, not by 2`)
		}
	}
	f.refused("ListParticipants", named+`,`+filters[0]+`,`+filters[1]+`,`+filters[2]+`}`, `ValidationException: .* not by 3`)
}

// What happened to a participant is told newest first.
func TestListParticipantEvents(t *testing.T) {
	f := newFixture(t)
	stage := *f.stage(nil).Stage.Arn
	session := f.join(&stage, resource.Participant{ID: "ana", FirstJoinTime: came})
	f.join(&stage, resource.Participant{ID: "ben", FirstJoinTime: came})
	f.change(&stage, session, "ana", nil,
		resource.ParticipantEvent{Name: resource.SubscribeStarted, EventTime: came, RemoteParticipantID: "ben"},
		resource.ParticipantEvent{Name: resource.PublishError, EventTime: came.Add(time.Second), ErrorCode: resource.BitrateExceeded})
	named := fmt.Sprintf(`{"stageArn":%q,"sessionId":%q,"participantId":`, stage, session)
	same(t, "ana", f.post("ListParticipantEvents", named+`"ana"}`), `{"events":[
		{"name":"PUBLISH_ERROR","participantId":"ana","eventTime":"2031-02-03T04:05:07Z","errorCode":"BITRATE_EXCEEDED"},
		{"name":"SUBSCRIBE_STARTED","participantId":"ana","eventTime":"2031-02-03T04:05:06Z","remoteParticipantId":"ben"},
		{"name":"JOINED","participantId":"ana","eventTime":"2031-02-03T04:05:06Z"}]}`)
	same(t, "ben", f.post("ListParticipantEvents", named+`"ben"}`), `{"events":[{"name":"JOINED","participantId":"ben","eventTime":"2031-02-03T04:05:06Z"}]}`)
	same(t, "nobody", f.post("ListParticipantEvents", named+`"nobody"}`), `{"events":[]}`)
}
