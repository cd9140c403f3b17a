package store

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"anabranch/internal/resource"
)

// happened names what happened to a participant, newest first.
func (f *fixture) happened(st resource.Stage, session, participant string) []resource.ParticipantEventName {
	f.t.Helper()
	events, _, err := f.ListParticipantEvents(f.t.Context(), st.ARN, session, participant, resource.Page{Size: maxPage})
	f.must(err)
	var names []resource.ParticipantEventName
	for _, e := range events {
		if e.ParticipantID != participant {
			f.t.Errorf("event is of %s: %+v", e.ParticipantID, e)
		}
		names = append(names, e.Name)
	}
	return names
}

func TestJoinStage(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	st := f.stage("")
	session := f.join(st, "plain")
	full := resource.Participant{
		Stage: st.ARN, SessionID: "ignored", ID: "full", UserID: "it's ana", State: resource.Disconnected, FirstJoinTime: noon,
		Attributes:        map[string]string{"role": `"host"`},
		ParticipantClient: resource.ParticipantClient{OSName: "Linux", BrowserName: "Firefox", BrowserVersion: "144"},
		Protocol:          resource.WHIP, TokenExpires: noon.Add(time.Hour),
	}
	if got, err := f.JoinStage(ctx, full); err != nil || !reflect.DeepEqual(got, session) {
		t.Errorf("session is %+v, %v; want %+v", got, err, session)
	}
	full.SessionID, full.State = session.ID, resource.Connected
	full.FillDefaults()
	plain := resource.Participant{Stage: st.ARN, SessionID: session.ID, ID: "plain", FirstJoinTime: noon}
	plain.FillDefaults()
	for _, want := range []resource.Participant{plain, full} {
		got, err := f.Participant(ctx, st.ARN, session.ID, want.ID)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("participant is\n%+v, %v; want\n%+v", got, err, want)
		}
		if got := f.happened(st, session.ID, want.ID); !slices.Equal(got, []resource.ParticipantEventName{resource.Joined}) {
			t.Errorf("%s: %v", want.ID, got)
		}
	}

	// Without a time, it came now.
	before := time.Now().Truncate(time.Millisecond)
	_, err := f.JoinStage(ctx, resource.Participant{Stage: st.ARN, ID: "now"})
	f.must(err)
	if p, err := f.Participant(ctx, st.ARN, session.ID, "now"); err != nil || p.FirstJoinTime.Before(before) || p.FirstJoinTime.After(time.Now()) {
		t.Errorf("participant is %+v, %v", p, err)
	}

	_, err = f.JoinStage(ctx, resource.Participant{Stage: place.ARN(resource.KindStage, "missing"), ID: "a"})
	wantKind(t, err, resource.NotFound)
	_, err = f.Participant(ctx, st.ARN, session.ID, "missing")
	wantKind(t, err, resource.NotFound)
	_, err = f.Participant(ctx, f.stage("").ARN, session.ID, "full")
	wantKind(t, err, resource.NotFound)
}

// Who comes back is who was there, with what the new token says.
func TestRejoin(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	st := f.stage("")
	session := f.join(st, "a")
	f.must(f.UpdateParticipant(ctx, st.ARN, session.ID, "a", func(p *resource.Participant) {
		p.Published, p.Protocol, p.State = true, resource.WHIP, resource.Disconnected
	}, []resource.ParticipantEvent{{Name: resource.Left}}))
	f.join(st, "b")

	back := resource.Participant{
		Stage: st.ARN, ID: "a", UserID: "ana", Attributes: map[string]string{"a": "b"}, FirstJoinTime: noon.Add(time.Minute),
		ParticipantClient: resource.ParticipantClient{BrowserName: "Firefox"}, TokenExpires: noon.Add(time.Hour),
	}
	again, err := f.JoinStage(ctx, back)
	if err != nil || again.ID != session.ID {
		t.Fatalf("session is %+v, %v", again, err)
	}
	want := back
	want.SessionID, want.FirstJoinTime, want.Published, want.Protocol = session.ID, noon, true, resource.WHIP
	want.FillDefaults()
	if got, err := f.Participant(ctx, st.ARN, session.ID, "a"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("participant is\n%+v, %v; want\n%+v", got, err, want)
	}
	if got := f.happened(st, session.ID, "a"); !slices.Equal(got, []resource.ParticipantEventName{resource.Joined, resource.Left, resource.Joined}) {
		t.Errorf("events are %v", got)
	}
	events, _, err := f.ListParticipantEvents(ctx, st.ARN, session.ID, "a", resource.Page{Size: 1})
	if err != nil || !events[0].EventTime.Equal(back.FirstJoinTime) {
		t.Errorf("newest event is %+v, %v", events, err)
	}
	all, _, err := f.ListParticipants(ctx, resource.ParticipantFilter{Stage: st.ARN, SessionID: session.ID}, resource.Page{Size: 9})
	if err != nil || len(all) != 2 || all[0].ID != "a" {
		t.Errorf("participants are %+v, %v", all, err)
	}
}

// A change of a participant, what happened, and the events that tell of it are
// one.
func TestUpdateParticipant(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	st := f.stage("")
	session := f.join(st, "a")
	f.join(st, "b")
	want := resource.Participant{
		Stage: st.ARN, SessionID: session.ID, ID: "a", UserID: "u", State: resource.Disconnected, FirstJoinTime: noon,
		Attributes: map[string]string{"k": "v"}, Published: true,
		ParticipantClient: resource.ParticipantClient{
			ISPName: "i", OSName: "o", OSVersion: "1", BrowserName: "b", BrowserVersion: "2", SDKVersion: "3"},
		RecordingBucket: "bucket", RecordingPrefix: "p/q", RecordingState: resource.ParticipantRecordingActive,
		Protocol: resource.RTMPS, ReplicationType: resource.ReplicationReplica, ReplicationState: resource.ReplicationStopped,
		SourceStageARN: place.ARN(resource.KindStage, "x"), SourceSessionID: "st-x", RedundantIngest: true,
		IngestConfigurationARN: place.ARN(resource.KindIngestConfiguration, "y"), TokenExpires: noon.Add(time.Hour),
	}
	published := resource.NewStageUpdate(&want, resource.ParticipantPublished, noon, "")
	failed := resource.NewStageUpdate(&want, resource.ParticipantPublishError, noon, resource.BitrateExceeded)
	happened := []resource.ParticipantEvent{
		{Name: resource.PublishStarted, EventTime: noon},
		{Name: resource.PublishError, EventTime: noon, ErrorCode: resource.BitrateExceeded},
		{Name: resource.SubscribeStarted, EventTime: noon.Add(time.Second), RemoteParticipantID: "b"},
	}
	f.must(f.UpdateParticipant(ctx, st.ARN, session.ID, "a", func(p *resource.Participant) {
		*p = want
		p.Stage, p.SessionID, p.ID = "another", "another", "b"
	}, happened, published, failed))

	if got, err := f.Participant(ctx, st.ARN, session.ID, "a"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("participant is\n%+v, %v; want\n%+v", got, err, want)
	}
	if got, err := f.Participant(ctx, st.ARN, session.ID, "b"); err != nil || got.UserID != "" {
		t.Errorf("the other is %+v, %v", got, err)
	}
	events, _, err := f.ListParticipantEvents(ctx, st.ARN, session.ID, "a", resource.Page{Size: 9})
	f.must(err)
	slices.Reverse(happened)
	for i, want := range happened {
		want.ParticipantID = "a"
		if i >= len(events) || !reflect.DeepEqual(events[i], want) {
			t.Errorf("events are\n%+v, want\n%+v", events, happened)
			break
		}
	}
	if told := f.told(); !slices.Equal(told, []string{resource.ParticipantPublished, resource.ParticipantPublishError}) {
		t.Errorf("told %v", told)
	}
	out, err := f.Events(ctx, 0, 9)
	if err != nil || out[0].Resource != st.ARN || out[0].DetailType != resource.StageUpdate {
		t.Errorf("events are %+v, %v", out, err)
	}

	// Nothing of it happens when a part cannot.
	_, err = f.writer.Exec(`CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk is full'); END`)
	f.must(err)
	err = f.UpdateParticipant(ctx, st.ARN, session.ID, "a", func(p *resource.Participant) { p.Published = false }, happened, published)
	if err == nil || kind(err) != resource.Internal {
		t.Errorf("error is %v", err)
	}
	if got, err := f.Participant(ctx, st.ARN, session.ID, "a"); err != nil || !got.Published {
		t.Errorf("participant is %+v, %v", got, err)
	}
	if got := f.happened(st, session.ID, "a"); len(got) != 4 {
		t.Errorf("events are %v", got)
	}

	// What happened needs no change, and needs no time.
	before := time.Now().Truncate(time.Millisecond)
	f.must(f.UpdateParticipant(ctx, st.ARN, session.ID, "b", nil, []resource.ParticipantEvent{{Name: resource.SubscribeError}}))
	if got, _, err := f.ListParticipantEvents(ctx, st.ARN, session.ID, "b", resource.Page{Size: 1}); err != nil ||
		got[0].Name != resource.SubscribeError || got[0].EventTime.Before(before) {
		t.Errorf("events are %+v, %v", got, err)
	}
	for name, err := range map[string]error{
		"participant": f.UpdateParticipant(ctx, st.ARN, session.ID, "missing", nil, nil),
		"session":     f.UpdateParticipant(ctx, st.ARN, "st-missing", "a", nil, nil),
		"stage":       f.UpdateParticipant(ctx, f.stage("").ARN, session.ID, "a", nil, nil),
	} {
		if kind(err) != resource.NotFound {
			t.Errorf("missing %s: %v", name, err)
		}
	}
}

// What is to have happened in a session that has ended is not stored: everybody
// left at its end. What a participant is called may change.
func TestUpdateParticipantAfterSession(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	st := f.stage("")
	session := f.join(st, "a")
	f.must(f.EndStageSession(ctx, st.ARN, session.ID, noon.Add(time.Minute)))
	stopped := []resource.ParticipantEvent{{Name: resource.PublishStopped}, {Name: resource.Left}}
	wantKind(t, f.UpdateParticipant(ctx, st.ARN, session.ID, "a", nil, stopped), resource.NotFound)
	if got := f.happened(st, session.ID, "a"); !slices.Equal(got, []resource.ParticipantEventName{resource.Left, resource.Joined}) {
		t.Errorf("events are %v", got)
	}
	f.must(f.UpdateParticipant(ctx, st.ARN, session.ID, "a", func(p *resource.Participant) { p.UserID = "ana" }, nil))
	if p, err := f.Participant(ctx, st.ARN, session.ID, "a"); err != nil || p.UserID != "ana" {
		t.Errorf("participant is %+v, %v", p, err)
	}
}

func TestListParticipants(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	st, other := f.stage(""), f.stage("")
	session := f.join(st, "quiet")
	f.join(other, "apart")
	for id, alter := range map[string]func(*resource.Participant){
		"host": func(p *resource.Participant) { p.UserID, p.Published = "ana", true },
		"left": func(p *resource.Participant) { p.UserID, p.State = "ben", resource.Disconnected },
		"film": func(p *resource.Participant) { p.RecordingState = resource.ParticipantRecordingActive },
	} {
		f.join(st, id)
		f.must(f.UpdateParticipant(ctx, st.ARN, session.ID, id, alter, nil))
	}
	for name, tt := range map[string]struct {
		filter resource.ParticipantFilter
		want   []string
	}{
		"all":             {resource.ParticipantFilter{}, []string{"film", "host", "left", "quiet"}},
		"user":            {resource.ParticipantFilter{UserID: "ben"}, []string{"left"}},
		"no such user":    {resource.ParticipantFilter{UserID: "it's nobody"}, nil},
		"published":       {resource.ParticipantFilter{Published: new(true)}, []string{"host"}},
		"not published":   {resource.ParticipantFilter{Published: new(false)}, []string{"film", "left", "quiet"}},
		"connected":       {resource.ParticipantFilter{State: resource.Connected}, []string{"film", "host", "quiet"}},
		"disconnected":    {resource.ParticipantFilter{State: resource.Disconnected}, []string{"left"}},
		"recording":       {resource.ParticipantFilter{RecordingState: resource.ParticipantRecordingActive}, []string{"film"}},
		"no recording":    {resource.ParticipantFilter{RecordingState: resource.ParticipantRecordingFailed}, nil},
		"another stage":   {resource.ParticipantFilter{Stage: other.ARN}, nil},
		"no such session": {resource.ParticipantFilter{SessionID: "st-missing"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.filter.Stage == "" {
				tt.filter.Stage = st.ARN
			}
			if tt.filter.SessionID == "" {
				tt.filter.SessionID = session.ID
			}
			got, next, err := f.ListParticipants(ctx, tt.filter, resource.Page{Size: 10})
			ids := names(got, func(p resource.Participant) string { return p.ID })
			slices.Sort(ids)
			if err != nil || next != "" || !slices.Equal(ids, tt.want) {
				t.Errorf("participants are %v, %q, %v; want %v", ids, next, err, tt.want)
			}
		})
	}
	// What happened to somebody is told by its own stage alone.
	if got, _, err := f.ListParticipantEvents(ctx, other.ARN, session.ID, "quiet", resource.Page{Size: 9}); err != nil || len(got) > 0 {
		t.Errorf("events are %+v, %v", got, err)
	}
}

// A killed participant stays so until its tokens would have expired, whether or
// not it was ever there.
func TestKillParticipant(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	st, other := f.stage(""), f.stage("")
	now := time.Now()
	killed := func(stage resource.Stage, id string) bool {
		t.Helper()
		yes, err := f.ParticipantKilled(ctx, stage.ARN, id)
		f.must(err)
		return yes
	}
	f.must(f.KillParticipant(ctx, st.ARN, "a", now.Add(time.Hour)))
	f.must(f.KillParticipant(ctx, st.ARN, "a", now.Add(-time.Hour))) // takes nothing back
	f.must(f.KillParticipant(ctx, st.ARN, "b", now.Add(-time.Hour)))
	f.must(f.KillParticipant(ctx, st.ARN, "b", now.Add(2*time.Hour)))
	f.must(f.KillParticipant(ctx, st.ARN, "c", now.Add(-time.Hour)))
	for id, want := range map[string]bool{"a": true, "b": true, "c": true, "d": false} {
		if killed(st, id) != want {
			t.Errorf("%s: killed = %t", id, !want)
		}
	}
	if killed(other, "a") {
		t.Error("killed on another stage")
	}
	for _, step := range []struct {
		before  time.Time
		deleted int
		a, b    bool
	}{{now, 1, true, true}, {now.Add(90 * time.Minute), 1, false, true}, {now.Add(3 * time.Hour), 1, false, false}} {
		n, err := f.DeleteOldKills(ctx, step.before)
		if err != nil || n != step.deleted || killed(st, "a") != step.a || killed(st, "b") != step.b || killed(st, "c") {
			t.Errorf("before %v: deleted %d, %v; a %t, b %t, c %t", step.before, n, err, killed(st, "a"), killed(st, "b"), killed(st, "c"))
		}
	}
	wantKind(t, f.KillParticipant(ctx, place.ARN(resource.KindStage, "missing"), "a", now), resource.NotFound)
}

// Who is killed publishes by an ingest configuration no more: it is detached.
func TestKillDetachesIngest(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	st := f.stage("")
	at := func(c *resource.IngestConfiguration) { c.StageARN = st.ARN }
	plain, redundant, other := f.ingest(at), f.ingest(at, func(c *resource.IngestConfiguration) { c.RedundantIngest = true }), f.ingest(at)
	f.activate(plain)
	f.activate(redundant)
	f.activate(other)
	for _, id := range []string{plain.ParticipantID, redundant.Credentials[1].ParticipantID, "nobody"} {
		f.must(f.KillParticipant(ctx, st.ARN, id, noon))
	}
	for c, want := range map[*resource.IngestConfiguration]resource.ARN{&plain: "", &redundant: "", &other: st.ARN} {
		got, err := f.IngestConfiguration(ctx, c.ARN)
		if err != nil || got.StageARN != want || (got.State == resource.IngestInactive) != (want == "") || got.StreamKey != c.StreamKey {
			t.Errorf("ingest configuration is %+v, %v", got, fmt.Sprint(err))
		}
	}
}
