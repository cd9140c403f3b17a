package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"anabranch/internal/resource"

	"github.com/uptrace/bun"
)

// participantRow is a participant of a session as stored.
type participantRow struct {
	bun.BaseModel `bun:"table:participants"`
	position
	SessionID              string                             `bun:"session_id,pk"`
	ID                     string                             `bun:"participant_id,pk"`
	Stage                  resource.ARN                       `bun:"stage_arn"`
	UserID                 string                             `bun:"user_id"`
	State                  resource.ParticipantState          `bun:"state"`
	FirstJoinedAt          int64                              `bun:"first_joined_at"`
	Attributes             map[string]string                  `bun:"attributes"`
	Published              bool                               `bun:"published"`
	Client                 resource.ParticipantClient         `bun:"client"`
	RecordingBucket        string                             `bun:"recording_bucket"`
	RecordingPrefix        string                             `bun:"recording_prefix"`
	RecordingState         resource.ParticipantRecordingState `bun:"recording_state"`
	Protocol               resource.ParticipantProtocol       `bun:"protocol"`
	ReplicationType        resource.ReplicationType           `bun:"replication_type"`
	ReplicationState       resource.ReplicationState          `bun:"replication_state"`
	SourceStageARN         resource.ARN                       `bun:"source_stage_arn"`
	SourceSessionID        string                             `bun:"source_session_id"`
	RedundantIngest        bool                               `bun:"redundant_ingest"`
	IngestConfigurationARN resource.ARN                       `bun:"ingest_configuration_arn"`
	TokenExpiresAt         int64                              `bun:"token_expires_at"`
}

func newParticipantRow(pos position, p *resource.Participant) *participantRow {
	return &participantRow{
		position:               pos,
		SessionID:              p.SessionID,
		ID:                     p.ID,
		Stage:                  p.Stage,
		UserID:                 p.UserID,
		State:                  p.State,
		FirstJoinedAt:          millis(p.FirstJoinTime),
		Attributes:             someTags(p.Attributes),
		Published:              p.Published,
		Client:                 p.ParticipantClient,
		RecordingBucket:        p.RecordingBucket,
		RecordingPrefix:        p.RecordingPrefix,
		RecordingState:         p.RecordingState,
		Protocol:               p.Protocol,
		ReplicationType:        p.ReplicationType,
		ReplicationState:       p.ReplicationState,
		SourceStageARN:         p.SourceStageARN,
		SourceSessionID:        p.SourceSessionID,
		RedundantIngest:        p.RedundantIngest,
		IngestConfigurationARN: p.IngestConfigurationARN,
		TokenExpiresAt:         millis(p.TokenExpires),
	}
}

func (r *participantRow) participant() resource.Participant {
	return resource.Participant{
		Stage:                  r.Stage,
		SessionID:              r.SessionID,
		ID:                     r.ID,
		UserID:                 r.UserID,
		State:                  r.State,
		FirstJoinTime:          timeOf(r.FirstJoinedAt),
		Attributes:             r.Attributes,
		Published:              r.Published,
		ParticipantClient:      r.Client,
		RecordingBucket:        r.RecordingBucket,
		RecordingPrefix:        r.RecordingPrefix,
		RecordingState:         r.RecordingState,
		Protocol:               r.Protocol,
		ReplicationType:        r.ReplicationType,
		ReplicationState:       r.ReplicationState,
		SourceStageARN:         r.SourceStageARN,
		SourceSessionID:        r.SourceSessionID,
		RedundantIngest:        r.RedundantIngest,
		IngestConfigurationARN: r.IngestConfigurationARN,
		TokenExpires:           timeOf(r.TokenExpiresAt),
	}
}

// recordingStates are those of a participant who is being recorded.
var recordingStates = bun.Tuple([]resource.ParticipantRecordingState{
	resource.ParticipantRecordingStarting, resource.ParticipantRecordingActive, resource.ParticipantRecordingStopping,
})

// JoinStage stores that a participant has come, with the event JOINED, into the
// session that runs on its stage; when none does, one begins. The session p
// names means nothing, and its first join time, or now when it has none, is when
// it came. A participant who was in the session before is CONNECTED again: user
// id, attributes, client and the token's expiry become what p has, the rest
// stays what it was. It is NotFound when the stage does not exist.
func (s *Store) JoinStage(ctx context.Context, p resource.Participant) (resource.StageSession, error) {
	p.FillDefaults()
	p.State = resource.Connected
	if p.FirstJoinTime.IsZero() {
		p.FirstJoinTime = time.Now()
	}
	var session *stageSessionRow
	err := s.change(ctx, fmt.Sprintf("join stage %s", p.Stage), func(ctx context.Context, tx bun.Tx) (err error) {
		if session, err = activeSession(ctx, tx, p.Stage); err != nil {
			return err
		}
		seq, err := reserve(ctx, tx, 3)
		if err != nil {
			return err
		}
		if session == nil {
			if _, err := find[stageRow](ctx, tx, p.Stage); err != nil {
				return err
			}
			session = &stageSessionRow{position: position{seq}, ID: resource.NewStageSessionID(), Stage: p.Stage, StartedAt: millis(p.FirstJoinTime)}
			if _, err := tx.NewInsert().Model(session).Exec(ctx); err != nil {
				return fmt.Errorf("begin session: %w", err)
			}
		}
		p.SessionID = session.ID
		_, err = tx.NewInsert().Model(newParticipantRow(position{seq + 1}, &p)).
			On("CONFLICT (session_id, participant_id) DO UPDATE").
			Set("state = EXCLUDED.state").Set("user_id = EXCLUDED.user_id").Set("attributes = EXCLUDED.attributes").
			Set("client = EXCLUDED.client").Set("token_expires_at = EXCLUDED.token_expires_at").Exec(ctx)
		if err != nil {
			return fmt.Errorf("insert participant: %w", err)
		}
		return insertParticipantEvents(ctx, tx, seq+2, session.ID, p.ID,
			resource.ParticipantEvent{Name: resource.Joined, EventTime: p.FirstJoinTime})
	})
	if err != nil {
		return resource.StageSession{}, err
	}
	return session.session(), nil
}

// UpdateParticipant reads a participant of a session, lets change alter it (nil
// alters nothing), and stores the result with what happened to the participant
// and the events that tell of it, each in the order given. Without a time, it
// happened now. Stage, session and ids stay what they were, and who starts or stops
// publishing is recorded from or until then. It is NotFound when there is no such
// participant, and when something is to have happened to it in a session that has
// ended: its leaving was told then. No other change to the database happens
// meanwhile, and change must not call the Store.
func (s *Store) UpdateParticipant(ctx context.Context, stage resource.ARN, sessionID, participantID string,
	change func(*resource.Participant), happened []resource.ParticipantEvent, events ...resource.Event) error {

	return s.change(ctx, fmt.Sprintf("update participant %s of %s", participantID, stage), func(ctx context.Context, tx bun.Tx) error {
		row, err := findParticipant(ctx, tx, stage, sessionID, participantID, func(q *bun.SelectQuery) *bun.SelectQuery {
			if len(happened) == 0 {
				return q
			}
			running := tx.NewSelect().Model((*stageSessionRow)(nil)).Where("session_id = ?", sessionID).Where("ended_at IS NULL")
			return q.Where("EXISTS (?)", running)
		})
		if err != nil {
			return err
		}
		p := row.participant()
		if change != nil {
			change(&p)
			p.Stage, p.SessionID, p.ID = stage, sessionID, participantID
		}
		for _, e := range happened {
			switch {
			case e.Name == resource.PublishStarted && e.StreamID != "":
				err = startRecording(ctx, tx, &p, e.StreamID)
			case e.Name == resource.PublishStopped:
				err = stopRecording(ctx, tx, &p)
			}
			if err != nil {
				return err
			}
		}
		if _, err := tx.NewUpdate().Model(newParticipantRow(row.position, &p)).WherePK().Exec(ctx); err != nil {
			return err
		}
		if len(happened) > 0 {
			seq, err := reserve(ctx, tx, len(happened))
			if err != nil {
				return err
			}
			if err := insertParticipantEvents(ctx, tx, seq, sessionID, participantID, happened...); err != nil {
				return err
			}
		}
		if len(events) == 0 {
			return nil
		}
		return appendEvents(ctx, tx, events...)
	})
}

// Participant reads a participant of a session; NotFound when there is none.
func (s *Store) Participant(ctx context.Context, stage resource.ARN, sessionID, participantID string) (resource.Participant, error) {
	row, err := findParticipant(ctx, s.reader, stage, sessionID, participantID)
	if err != nil {
		return resource.Participant{}, explain(err, fmt.Sprintf("read participant %s of %s", participantID, stage))
	}
	return row.participant(), nil
}

func findParticipant(ctx context.Context, db bun.IDB, stage resource.ARN, sessionID, participantID string,
	narrow ...func(*bun.SelectQuery) *bun.SelectQuery) (*participantRow, error) {

	row := new(participantRow)
	err := db.NewSelect().Model(row).Where("session_id = ?", sessionID).Where("participant_id = ?", participantID).
		Where("stage_arn = ?", stage).Apply(narrow...).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, resource.Errorf(resource.NotFound, "Participant: %s not found in session %s of stage %s", participantID, sessionID, stage)
	}
	return row, err
}

// ListParticipants lists the participants of a session that pass every member
// of f, in the order of their first coming. A session that never was has none.
func (s *Store) ListParticipants(ctx context.Context, f resource.ParticipantFilter, p resource.Page) ([]resource.Participant, string, error) {
	rows, next, err := list[participantRow](ctx, s.reader, p, oldestFirst, func(q *bun.SelectQuery) *bun.SelectQuery {
		q = q.Where("session_id = ?", f.SessionID).Where("stage_arn = ?", f.Stage)
		if f.UserID != "" {
			q = q.Where("user_id = ?", f.UserID)
		}
		if f.Published != nil {
			q = q.Where("published = ?", *f.Published)
		}
		if f.State != "" {
			q = q.Where("state = ?", f.State)
		}
		if f.RecordingState != "" {
			q = q.Where("recording_state = ?", f.RecordingState)
		}
		return q
	})
	return convert(rows, (*participantRow).participant), next, explain(err, fmt.Sprintf("list participants of %s", f.Stage))
}
