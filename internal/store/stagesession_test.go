package store

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch/internal/resource"
)

// join lets a participant into a stage at noon.
func (f *fixture) join(st resource.Stage, id string) resource.StageSession {
	f.t.Helper()
	session, err := f.JoinStage(f.t.Context(), resource.Participant{Stage: st.ARN, ID: id, FirstJoinTime: noon})
	f.must(err)
	return session
}

// active is the session that the stage itself tells of.
func (f *fixture) active(st resource.Stage) string {
	f.t.Helper()
	got, err := f.Stage(f.t.Context(), st.ARN)
	f.must(err)
	return got.ActiveSessionID
}

// A session begins with the first who comes, whoever comes next is in it, and
// after its end there is another.
func TestStageSessions(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	st, other := f.stage(""), f.stage("")
	if id := f.active(st); id != "" {
		t.Errorf("a new stage has the session %s", id)
	}
	first := f.join(st, "a")
	want := resource.StageSession{ID: first.ID, Stage: st.ARN, Start: noon}
	if !reflect.DeepEqual(first, want) || len(first.ID) != 16 || first.ID[:3] != "st-" {
		t.Errorf("session is %+v", first)
	}
	if next := f.join(st, "b"); !reflect.DeepEqual(next, want) {
		t.Errorf("the second is in %+v, want %+v", next, want)
	}
	apart := f.join(other, "a")
	if apart.ID == first.ID {
		t.Error("two stages share a session")
	}
	if f.active(st) != first.ID || f.active(other) != apart.ID {
		t.Errorf("active sessions are %s, %s", f.active(st), f.active(other))
	}
	renamed, err := f.UpdateStage(ctx, st.ARN, func(st *resource.Stage) error { st.Name = "n"; return nil })
	if err != nil || renamed.ActiveSessionID != first.ID {
		t.Errorf("updated stage is %+v, %v", renamed, err)
	}
	if got, err := f.ActiveStageSessions(ctx); err != nil || !reflect.DeepEqual(got, []resource.StageSession{want, apart}) {
		t.Errorf("active sessions are %+v, %v", got, err)
	}

	end := noon.Add(time.Minute)
	for range 2 { // the second time, nothing happens
		f.must(f.EndStageSession(ctx, st.ARN, first.ID, end))
		want.End = &end
		if got, err := f.StageSession(ctx, st.ARN, first.ID); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("session is %+v, %v; want %+v", got, err, want)
		}
		end = noon.Add(time.Minute)
		f.must(f.EndStageSession(ctx, st.ARN, first.ID, noon.Add(time.Hour)))
	}
	if id := f.active(st); id != "" {
		t.Errorf("active session is %s", id)
	}
	second := f.join(st, "a")
	if second.ID == first.ID {
		t.Error("a session that ended goes on")
	}
	got, _, err := f.ListStageSessions(ctx, st.ARN, resource.Page{Size: 10})
	if err != nil || !reflect.DeepEqual(got, []resource.StageSession{second, want}) {
		t.Errorf("sessions are %+v, %v", got, err)
	}

	// A clock that was set back makes no session shorter than nothing.
	f.must(f.EndStageSession(ctx, st.ARN, second.ID, noon.Add(-time.Hour)))
	if got, err := f.StageSession(ctx, st.ARN, second.ID); err != nil || !got.End.Equal(noon) {
		t.Errorf("session is %+v, %v", got, err)
	}

	_, err = f.StageSession(ctx, other.ARN, first.ID)
	wantKind(t, err, resource.NotFound)
	wantKind(t, f.EndStageSession(ctx, other.ARN, first.ID, noon), resource.NotFound)
	wantKind(t, f.EndStageSession(ctx, st.ARN, "st-missing", noon), resource.NotFound)
}

// Whoever is there when a session ends has left: once, at its end, each with an
// event of its own in the order of their coming.
func TestEveryoneLeavesAtTheEnd(t *testing.T) {
	const guests = 50
	f := open(t)
	ctx := t.Context()
	st := f.stage("")
	var session resource.StageSession
	for i := range guests {
		session = f.join(st, fmt.Sprintf("guest-%d", i))
	}
	end := noon.Add(time.Hour)
	f.must(f.EndStageSession(ctx, st.ARN, session.ID, end))
	var places []int64
	for i := range guests {
		var rows []participantEventRow
		f.must(f.reader.NewSelect().Model(&rows).Where("participant_id = ?", fmt.Sprintf("guest-%d", i)).Order("seq").Scan(ctx))
		if len(rows) != 2 || rows[1].Name != resource.Left || rows[1].HappenedAt != end.UnixMilli() {
			t.Fatalf("guest %d: %+v", i, rows)
		}
		places = append(places, rows[1].Seq)
	}
	if !slices.IsSorted(places) {
		t.Errorf("places are %v", places)
	}
	// They are places of their own.
	after := f.stage("")
	row, err := find[stageRow](ctx, f.reader, after.ARN)
	if err != nil || row.Seq <= places[guests-1] {
		t.Errorf("place %d comes after %d: %v", row.Seq, places[guests-1], err)
	}
}

// Whoever publishes when a session ends has stopped, and that is told.
func TestPublishersStopAtTheEnd(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	st := f.stage("")
	session := f.join(st, "viewer")
	publish := func(id string, happened ...resource.ParticipantEventName) {
		f.join(st, id)
		var events []resource.ParticipantEvent
		for _, name := range happened {
			events = append(events, resource.ParticipantEvent{Name: name})
		}
		f.must(f.UpdateParticipant(ctx, st.ARN, session.ID, id, func(p *resource.Participant) {
			p.UserID, p.Published = "user of "+id, true
			if happened[len(happened)-1] == resource.Left {
				p.State = resource.Disconnected
			}
		}, events))
	}
	publish("on", resource.PublishStarted, resource.SubscribeStarted, resource.PublishError)
	publish("again", resource.PublishStarted, resource.PublishStopped, resource.PublishStarted)
	publish("off", resource.PublishStarted, resource.PublishStopped)
	publish("gone", resource.PublishStarted, resource.Left) // which never happens

	end := noon.Add(time.Hour)
	f.must(f.EndStageSession(ctx, st.ARN, session.ID, end))
	for id, want := range map[string][]resource.ParticipantEventName{
		"viewer": {resource.Left, resource.Joined},
		"on":     {resource.Left, resource.PublishStopped, resource.PublishError},
		"again":  {resource.Left, resource.PublishStopped, resource.PublishStarted},
		"off":    {resource.Left, resource.PublishStopped, resource.PublishStarted},
		"gone":   {resource.Left, resource.PublishStarted, resource.Joined},
	} {
		if got := f.happened(st, session.ID, id); !slices.Equal(got[:len(want)], want) {
			t.Errorf("%s: %v, want %v", id, got, want)
		}
	}
	told, err := f.Events(ctx, 0, 9)
	f.must(err)
	var who []string
	for _, e := range told {
		var d resource.StageUpdateDetail
		f.must(json.Unmarshal(e.Detail.(json.RawMessage), &d))
		if e.Resource != st.ARN || !e.Time.Equal(end) || d.EventName != resource.ParticipantUnpublished || d.SessionID != session.ID ||
			d.UserID != "user of "+d.ParticipantID {
			t.Errorf("told %+v: %+v", e, d)
		}
		who = append(who, d.ParticipantID)
	}
	if !slices.Equal(who, []string{"on", "again"}) {
		t.Errorf("told of %v", who)
	}
}

// A session goes on when the server comes back.
func TestStageSessionSurvivesRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "anabranch.db")
	f := openAt(t, path)
	st := f.stage("studio")
	session := f.join(st, "a")
	f.must(f.KillParticipant(t.Context(), st.ARN, "b", time.Now().Add(time.Hour)))
	f.must(f.Close())

	f = openAt(t, path)
	if got, err := f.ActiveStageSessions(t.Context()); err != nil || !reflect.DeepEqual(got, []resource.StageSession{session}) {
		t.Errorf("active sessions are %+v, %v", got, err)
	}
	if next := f.join(st, "a"); next.ID != session.ID {
		t.Errorf("session is %s, want %s", next.ID, session.ID)
	}
	if killed, err := f.ParticipantKilled(t.Context(), st.ARN, "b"); err != nil || !killed {
		t.Errorf("killed = %t, %v", killed, err)
	}
}

// Old sessions go with all that was in them; those that run stay however old.
func TestDeleteOldStageSessions(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	st, running := f.stage(""), f.stage("")
	old := f.join(st, "a")
	f.must(f.EndStageSession(ctx, st.ARN, old.ID, noon.Add(time.Minute)))
	kept := f.join(st, "a")
	f.must(f.EndStageSession(ctx, st.ARN, kept.ID, noon.Add(2*time.Minute)))
	live := f.join(running, "a")
	_, err := f.writer.Exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= ?)
		INSERT INTO participants SELECT session_id, participant_id || i, 1000 + i, stage_arn, user_id, state, first_joined_at, attributes, published,
		client, '', '', recording_state, protocol, replication_type, '', '', '', FALSE, '', 0 FROM participants, n WHERE session_id = ?`, deletedAtOnce, old.ID)
	f.must(err)

	for _, want := range []struct{ sessions, transactions int }{{1, 3}, {0, 2}} {
		q := &queries{}
		s := &Store{writer: f.writer.WithQueryHook(q), turn: f.turn}
		if n, err := s.DeleteOldStageSessions(ctx, noon.Add(2*time.Minute)); err != nil || n != want.sessions {
			t.Errorf("deleted %d, %v; want %d", n, err, want.sessions)
		}
		if strings.Count(strings.Join(q.asked, "\n"), "COMMIT") != want.transactions {
			t.Errorf("want %d transactions: %q", want.transactions, q.asked)
		}
	}
	_, err = f.StageSession(ctx, st.ARN, old.ID)
	wantKind(t, err, resource.NotFound)
	_, err = f.Participant(ctx, st.ARN, old.ID, "a")
	wantKind(t, err, resource.NotFound)
	for _, s := range []resource.StageSession{kept, live} {
		if got := f.happened(resource.Stage{ARN: s.Stage}, s.ID, "a"); len(got) == 0 {
			t.Errorf("session %+v lost its events", s)
		}
	}
	for model, want := range map[any]int64{(*stageSessionRow)(nil): 2, (*participantRow)(nil): 2, (*participantEventRow)(nil): 3} {
		if n, err := f.reader.NewSelect().Model(model).Count(ctx); err != nil || n != want {
			t.Errorf("%T: %d rows, %v; want %d", model, n, err, want)
		}
	}
}
