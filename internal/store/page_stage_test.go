package store

import (
	"context"
	"testing"
	"time"

	"anabranch/internal/resource"
)

// stageLists has every paged list of stages and what belongs to them.
var stageLists = []pagedList{
	{name: "stages", open: func(f *fixture) (func() string, func(string), pager) {
		return func() string { return string(f.stage("").ARN) },
			func(arn string) { f.must(f.DeleteStage(f.t.Context(), resource.ARN(arn))) },
			func(ctx context.Context, p resource.Page) ([]string, string, error) {
				items, next, err := f.ListStages(ctx, p)
				return names(items, func(s resource.Stage) string { return string(s.ARN) }), next, err
			}
	}},
	{name: "public keys", open: func(f *fixture) (func() string, func(string), pager) {
		return func() string {
				k := f.publicKey("", nil)
				f.must(f.ImportPublicKey(f.t.Context(), k))
				return string(k.ARN)
			},
			func(arn string) { f.must(f.DeletePublicKey(f.t.Context(), resource.ARN(arn))) },
			func(ctx context.Context, p resource.Page) ([]string, string, error) {
				items, next, err := f.ListPublicKeys(ctx, p)
				return names(items, func(k resource.PublicKey) string { return string(k.ARN) }), next, err
			}
	}},
	{name: "encoder configurations", open: func(f *fixture) (func() string, func(string), pager) {
		return func() string { return string(f.encoder("").ARN) },
			func(arn string) { f.must(f.DeleteEncoderConfiguration(f.t.Context(), resource.ARN(arn))) },
			func(ctx context.Context, p resource.Page) ([]string, string, error) {
				items, next, err := f.ListEncoderConfigurations(ctx, p)
				return names(items, func(c resource.EncoderConfiguration) string { return string(c.ARN) }), next, err
			}
	}},
	{name: "storage configurations", open: func(f *fixture) (func() string, func(string), pager) {
		return func() string { return string(f.storage("").ARN) },
			func(arn string) { f.must(f.DeleteStorageConfiguration(f.t.Context(), resource.ARN(arn))) },
			func(ctx context.Context, p resource.Page) ([]string, string, error) {
				items, next, err := f.ListStorageConfigurations(ctx, p)
				return names(items, func(c resource.StorageConfiguration) string { return string(c.ARN) }), next, err
			}
	}},
	{name: "ingest configurations", open: func(f *fixture) (func() string, func(string), pager) {
		return ingestPages(f, resource.IngestConfigurationFilter{})
	}},
	{name: "ingest configurations of a stage", open: func(f *fixture) (func() string, func(string), pager) {
		return ingestPages(f, resource.IngestConfigurationFilter{StageARN: f.stage("").ARN})
	}},
	{name: "stage sessions", newestFirst: true, open: func(f *fixture) (func() string, func(string), pager) {
		st := f.stage("")
		return func() string {
				s := f.join(st, "a") // all at the same time: only the order of their making tells them apart
				f.must(f.EndStageSession(f.t.Context(), st.ARN, s.ID, noon))
				return s.ID
			},
			func(id string) {
				// Sessions go by age; make this one the oldest.
				_, err := f.writer.Exec("UPDATE stage_sessions SET ended_at = 1 WHERE session_id = ?", id)
				f.must(err)
				_, err = f.DeleteOldStageSessions(f.t.Context(), time.UnixMilli(2))
				f.must(err)
			},
			func(ctx context.Context, p resource.Page) ([]string, string, error) {
				items, next, err := f.ListStageSessions(ctx, st.ARN, p)
				return names(items, func(s resource.StageSession) string { return s.ID }), next, err
			}
	}},
	{name: "participants", open: func(f *fixture) (func() string, func(string), pager) {
		return participantPages(f, resource.ParticipantFilter{}, nil)
	}},
	{name: "participants by user", open: func(f *fixture) (func() string, func(string), pager) {
		return participantPages(f, resource.ParticipantFilter{UserID: "ana"}, func(p *resource.Participant) { p.UserID = "ana" })
	}},
	{name: "participants who published", open: func(f *fixture) (func() string, func(string), pager) {
		return participantPages(f, resource.ParticipantFilter{Published: new(true)}, func(p *resource.Participant) { p.Published = true })
	}},
	{name: "participants by state", open: func(f *fixture) (func() string, func(string), pager) {
		return participantPages(f, resource.ParticipantFilter{State: resource.Disconnected},
			func(p *resource.Participant) { p.State = resource.Disconnected })
	}},
	{name: "participants by recording", open: func(f *fixture) (func() string, func(string), pager) {
		return participantPages(f, resource.ParticipantFilter{RecordingState: resource.ParticipantRecordingActive},
			func(p *resource.Participant) { p.RecordingState = resource.ParticipantRecordingActive })
	}},
	{name: "participant events", newestFirst: true, open: func(f *fixture) (func() string, func(string), pager) {
		st := f.stage("")
		session := f.join(st, "a")
		_, err := f.writer.Exec("DELETE FROM participant_events")
		f.must(err)
		return func() string {
				remote := resource.NewID()
				f.must(f.UpdateParticipant(f.t.Context(), st.ARN, session.ID, "a", nil,
					[]resource.ParticipantEvent{{Name: resource.SubscribeStarted, RemoteParticipantID: remote}}))
				return remote
			},
			func(remote string) {
				_, err := f.writer.Exec("DELETE FROM participant_events WHERE remote_participant_id = ?", remote)
				f.must(err)
			},
			func(ctx context.Context, p resource.Page) ([]string, string, error) {
				items, next, err := f.ListParticipantEvents(ctx, st.ARN, session.ID, "a", p)
				return names(items, func(e resource.ParticipantEvent) string { return e.RemoteParticipantID }), next, err
			}
	}},
}

// ingestPages is the list of those ingest configurations that filter leaves;
// each is added behind one that it does not, if there is such.
func ingestPages(f *fixture, filter resource.IngestConfigurationFilter) (func() string, func(string), pager) {
	return func() string {
			if filter.StageARN != "" {
				f.ingest()
			}
			return string(f.ingest(func(c *resource.IngestConfiguration) { c.StageARN = filter.StageARN }).ARN)
		},
		func(arn string) { f.must(f.DeleteIngestConfiguration(f.t.Context(), resource.ARN(arn), false)) },
		func(ctx context.Context, p resource.Page) ([]string, string, error) {
			items, next, err := f.ListIngestConfigurations(ctx, filter, p)
			return names(items, func(c resource.IngestConfiguration) string { return string(c.ARN) }), next, err
		}
}

// participantPages is the list of those participants of a session that filter
// leaves: those that alter made so, each behind one that it did not.
func participantPages(f *fixture, filter resource.ParticipantFilter, alter func(*resource.Participant)) (func() string, func(string), pager) {
	st := f.stage("")
	session := f.join(st, "first")
	_, err := f.writer.Exec("DELETE FROM participants")
	f.must(err)
	filter.Stage, filter.SessionID = st.ARN, session.ID
	return func() string {
			id := resource.NewID()
			if alter != nil {
				f.join(st, "before-"+id)
			}
			f.join(st, id)
			f.must(f.UpdateParticipant(f.t.Context(), st.ARN, session.ID, id, alter, nil))
			return id
		},
		func(id string) {
			_, err := f.writer.Exec("DELETE FROM participants WHERE participant_id = ?", id)
			f.must(err)
		},
		func(ctx context.Context, p resource.Page) ([]string, string, error) {
			items, next, err := f.ListParticipants(ctx, filter, p)
			return names(items, func(p resource.Participant) string { return p.ID }), next, err
		}
}

func TestStageReadsUseIndexes(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	st := f.stage("")
	session := f.join(st, "a")
	page := resource.Page{Size: 100, After: "5"}
	in := resource.ParticipantFilter{Stage: st.ARN, SessionID: session.ID}
	for index, narrow := range map[string]func(*resource.ParticipantFilter){
		"participants_session":   func(*resource.ParticipantFilter) {},
		"participants_user":      func(f *resource.ParticipantFilter) { f.UserID = "ana" },
		"participants_published": func(f *resource.ParticipantFilter) { f.Published = new(true) },
		"participants_state":     func(f *resource.ParticipantFilter) { f.State = resource.Connected },
		"participants_recording": func(f *resource.ParticipantFilter) { f.RecordingState = resource.ParticipantRecordingActive },
	} {
		t.Run("ListParticipants by "+index, func(t *testing.T) {
			q := &queries{}
			filter := in
			narrow(&filter)
			if _, _, err := (&Store{reader: f.reader.WithQueryHook(q)}).ListParticipants(ctx, filter, page); err != nil {
				t.Fatal(err)
			}
			f.wantIndexes(t, q, index)
		})
	}
	for name, read := range map[string]func(s *Store){
		"Stage":                     func(s *Store) { s.Stage(ctx, st.ARN) },
		"StageByID":                 func(s *Store) { s.StageByID(ctx, st.ID()) },
		"ListStages":                func(s *Store) { s.ListStages(ctx, page) },
		"StageSession":              func(s *Store) { s.StageSession(ctx, st.ARN, session.ID) },
		"ListStageSessions":         func(s *Store) { s.ListStageSessions(ctx, st.ARN, page) },
		"ActiveStageSessions":       func(s *Store) { s.ActiveStageSessions(ctx) },
		"Participant":               func(s *Store) { s.Participant(ctx, st.ARN, session.ID, "a") },
		"ListParticipantEvents":     func(s *Store) { s.ListParticipantEvents(ctx, st.ARN, session.ID, "a", page) },
		"ParticipantKilled":         func(s *Store) { s.ParticipantKilled(ctx, st.ARN, "a") },
		"PublicKey":                 func(s *Store) { s.PublicKey(ctx, "a") },
		"ListPublicKeys":            func(s *Store) { s.ListPublicKeys(ctx, page) },
		"ListEncoderConfigurations": func(s *Store) { s.ListEncoderConfigurations(ctx, page) },
		"ListStorageConfigurations": func(s *Store) { s.ListStorageConfigurations(ctx, page) },
		"ListIngestConfigurations":  func(s *Store) { s.ListIngestConfigurations(ctx, resource.IngestConfigurationFilter{}, page) },
		"ListIngestConfigurations, at": func(s *Store) {
			s.ListIngestConfigurations(ctx, resource.IngestConfigurationFilter{StageARN: "a"}, page)
		},
		"ListIngestConfigurations, busy": func(s *Store) {
			s.ListIngestConfigurations(ctx, resource.IngestConfigurationFilter{State: "ACTIVE"}, page)
		},
	} {
		t.Run(name, func(t *testing.T) {
			q := &queries{}
			read(&Store{reader: f.reader.WithQueryHook(q)})
			if len(q.asked) != 1 {
				t.Errorf("asks %d queries: %v", len(q.asked), q.asked)
			}
			f.wantIndexes(t, q)
		})
	}
}

// Coming and going is a few statements that go by indexes, and so is the end of
// a session, however many were there.
func TestComingAndGoingIsCheap(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	st := f.stage("")
	session := f.join(st, "first")
	for _, id := range []string{"a", "b", "c", "d"} {
		f.join(st, id)
	}
	f.must(f.UpdateParticipant(ctx, st.ARN, session.ID, "d", func(p *resource.Participant) { p.Published = true },
		[]resource.ParticipantEvent{{Name: resource.PublishStarted}}))
	left := []resource.ParticipantEvent{{Name: resource.PublishStopped}, {Name: resource.Left}}
	for _, tt := range []struct {
		name string
		most int
		do   func(s *Store) error
	}{
		{"come", 5, func(s *Store) error {
			_, err := s.JoinStage(ctx, resource.Participant{Stage: st.ARN, ID: "new"})
			return err
		}},
		{"come back", 5, func(s *Store) error {
			_, err := s.JoinStage(ctx, resource.Participant{Stage: st.ARN, ID: "a"})
			return err
		}},
		{"leave", 5, func(s *Store) error {
			return s.UpdateParticipant(ctx, st.ARN, session.ID, "a", func(p *resource.Participant) { p.State = resource.Disconnected }, left)
		}},
		{"leave with an event", 7, func(s *Store) error {
			p := resource.Participant{Stage: st.ARN, SessionID: session.ID, ID: "b"}
			return s.UpdateParticipant(ctx, st.ARN, session.ID, "b", func(p *resource.Participant) { p.State = resource.Disconnected }, left,
				resource.NewStageUpdate(&p, resource.ParticipantUnpublished, noon, ""))
		}},
		{"kill", 3, func(s *Store) error { return s.KillParticipant(ctx, st.ARN, "c", noon) }},
		{"end", 13, func(s *Store) error { return s.EndStageSession(ctx, st.ARN, session.ID, noon) }},
		{"forget kills", 1, func(s *Store) error { _, err := s.DeleteOldKills(ctx, noon.Add(time.Hour)); return err }},
		{"forget sessions", 2, func(s *Store) error { _, err := s.DeleteOldStageSessions(ctx, noon.Add(time.Hour)); return err }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := &queries{}
			if err := tt.do(&Store{reader: f.reader, writer: f.writer.WithQueryHook(q), turn: f.turn}); err != nil {
				t.Fatal(err)
			}
			var statements queries
			for _, asked := range q.asked {
				switch asked {
				case "BEGIN", "COMMIT", "UPDATE positions SET last = last + 1 RETURNING last":
				default:
					statements.asked = append(statements.asked, asked)
				}
			}
			if n := len(statements.asked); n == 0 || n > tt.most {
				t.Errorf("%d statements, want at most %d: %q", n, tt.most, statements.asked)
			}
			f.wantIndexes(t, &statements)
		})
	}
}
