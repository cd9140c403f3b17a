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

// stageSessionRow is a stage session as stored.
type stageSessionRow struct {
	bun.BaseModel `bun:"table:stage_sessions"`
	position
	ID        string       `bun:"session_id,pk"`
	Stage     resource.ARN `bun:"stage_arn"`
	StartedAt int64        `bun:"started_at"`
	EndedAt   int64        `bun:"ended_at,nullzero"`
}

func (r *stageSessionRow) session() resource.StageSession {
	s := resource.StageSession{ID: r.ID, Stage: r.Stage, Start: timeOf(r.StartedAt)}
	if r.EndedAt != 0 {
		s.End = new(timeOf(r.EndedAt))
	}
	return s
}

// activeSession reads the session that runs on a stage; nil when there is none.
func activeSession(ctx context.Context, tx bun.Tx, stage resource.ARN) (*stageSessionRow, error) {
	row := new(stageSessionRow)
	err := tx.NewSelect().Model(row).Where("stage_arn = ?", stage).Where("ended_at IS NULL").Scan(ctx)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look for the session of %s: %w", stage, err)
	}
	return row, nil
}

// StageSession reads a session of a stage, of a deleted one too; NotFound when
// there is none.
func (s *Store) StageSession(ctx context.Context, stage resource.ARN, id string) (resource.StageSession, error) {
	row, err := findStageSession(ctx, s.reader, stage, id)
	if err != nil {
		return resource.StageSession{}, explain(err, fmt.Sprintf("read session %s of %s", id, stage))
	}
	return row.session(), nil
}

func findStageSession(ctx context.Context, db bun.IDB, stage resource.ARN, id string) (*stageSessionRow, error) {
	row := new(stageSessionRow)
	err := db.NewSelect().Model(row).Where("session_id = ?", id).Where("stage_arn = ?", stage).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, resource.Errorf(resource.NotFound, "Session: %s not found on stage %s", id, stage)
	}
	return row, err
}

// ListStageSessions lists a stage's sessions, newest first, those of a deleted
// stage too. A stage that never was has none.
func (s *Store) ListStageSessions(ctx context.Context, stage resource.ARN, p resource.Page) ([]resource.StageSession, string, error) {
	rows, next, err := list[stageSessionRow](ctx, s.reader, p, newestFirst, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("stage_arn = ?", stage)
	})
	return convert(rows, (*stageSessionRow).session), next, explain(err, fmt.Sprintf("list sessions of %s", stage))
}

// ActiveStageSessions reads the sessions that have not ended, oldest first.
func (s *Store) ActiveStageSessions(ctx context.Context) ([]resource.StageSession, error) {
	var rows []stageSessionRow
	err := s.reader.NewSelect().Model(&rows).Where("ended_at IS NULL").Order("seq").Scan(ctx)
	return convert(rows, (*stageSessionRow).session), explain(err, "read active stage sessions")
}

// EndStageSession ends a session. Participants who are still connected leave:
// they are DISCONNECTED, with the event LEFT, and those who publish have stopped
// before. A session that has ended stays as it is. It is NotFound when there is
// no such session.
func (s *Store) EndStageSession(ctx context.Context, stage resource.ARN, sessionID string, at time.Time) error {
	return s.change(ctx, fmt.Sprintf("end session %s of %s", sessionID, stage), func(ctx context.Context, tx bun.Tx) error {
		row, err := findStageSession(ctx, tx, stage, sessionID)
		if err != nil || row.EndedAt != 0 {
			return err
		}
		return endStageSession(ctx, tx, row, at)
	})
}

func endStageSession(ctx context.Context, tx bun.Tx, row *stageSessionRow, at time.Time) error {
	// The server's clock may have been set back meanwhile.
	row.EndedAt = max(millis(at), row.StartedAt)
	if _, err := tx.NewUpdate().Model(row).Column("ended_at").WherePK().Exec(ctx); err != nil {
		return fmt.Errorf("end session %s: %w", row.ID, err)
	}
	connected := func() *bun.SelectQuery {
		return tx.NewSelect().Model((*participantRow)(nil)).
			Where("session_id = ?", row.ID).Where("state = ?", resource.Connected)
	}
	n, err := connected().Count(ctx)
	if err != nil || n == 0 {
		return err
	}
	if err := stopPublishing(ctx, tx, row); err != nil {
		return err
	}
	seq, err := reserve(ctx, tx, int(n))
	if err != nil {
		return err
	}
	// There may be thousands: the database numbers the events itself.
	_, err = tx.NewRaw("INSERT INTO participant_events (seq, session_id, participant_id, name, happened_at, remote_participant_id, error_code) ?",
		connected().ColumnExpr("? + ROW_NUMBER() OVER (ORDER BY seq)", seq-1).
			Column("session_id", "participant_id").ColumnExpr("?, ?, '', ''", resource.Left, row.EndedAt)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("tell who left: %w", err)
	}
	_, err = tx.NewUpdate().Model((*participantRow)(nil)).Set("state = ?", resource.Disconnected).
		Where("session_id = ?", row.ID).Where("state = ?", resource.Connected).Exec(ctx)
	return err
}

// stopPublishing tells of those who publish when their session ends that they
// do no longer.
func stopPublishing(ctx context.Context, tx bun.Tx, session *stageSessionRow) error {
	newest := tx.NewSelect().Model((*participantEventRow)(nil)).Column("name").
		Where("session_id = ?", session.ID).Where("participant_id = participant_row.participant_id").
		Where("name IN ?", publishEvents).
		Order("seq DESC").Limit(1)
	var publishers []participantRow
	// Of thousands who are there few have ever published: an index tells which.
	err := tx.NewSelect().Model(&publishers).
		Where("session_id = ?", session.ID).Where("published = TRUE").Where("state = ?", resource.Connected).
		Where("(?) = ?", newest, resource.PublishStarted).Order("seq").Scan(ctx)
	if err != nil || len(publishers) == 0 {
		return err
	}
	seq, err := reserve(ctx, tx, len(publishers))
	if err != nil {
		return err
	}
	var events []resource.Event
	for i := range publishers {
		p := publishers[i].participant()
		err := insertParticipantEvents(ctx, tx, seq+int64(i), session.ID, p.ID,
			resource.ParticipantEvent{Name: resource.PublishStopped, EventTime: timeOf(session.EndedAt)})
		if err != nil {
			return err
		}
		if err := stopRecording(ctx, tx, &p); err != nil {
			return err
		}
		_, err = tx.NewUpdate().Model(newParticipantRow(publishers[i].position, &p)).Column("recording_state").WherePK().Exec(ctx)
		if err != nil {
			return err
		}
		events = append(events, resource.NewStageUpdate(&p, resource.ParticipantUnpublished, timeOf(session.EndedAt), ""))
	}
	return appendEvents(ctx, tx, events...)
}

// DeleteOldStageSessions deletes the stage sessions that ended before a time,
// with their participants and what happened to them. It returns how many
// sessions it deleted.
func (s *Store) DeleteOldStageSessions(ctx context.Context, before time.Time) (n int, err error) {
	const doing = "delete old stage sessions"
	// Of thousands of participants each may have a thousand events: they go a few
	// at a time, so that nobody who joins meanwhile waits for all of it.
	for more := true; more && err == nil; {
		err = s.change(ctx, doing, func(ctx context.Context, tx bun.Tx) error {
			ended := tx.NewSelect().Model((*stageSessionRow)(nil)).Column("session_id").Where("ended_at < ?", millis(before))
			some := tx.NewSelect().Model((*participantRow)(nil)).Column("seq").Where("session_id IN (?)", ended).Limit(deletedAtOnce)
			deleted, err := count(tx.NewDelete().Model((*participantRow)(nil)).Where("seq IN (?)", some).Exec(ctx))
			more = deleted == deletedAtOnce
			return err
		})
	}
	if err != nil {
		return 0, err
	}
	err = s.change(ctx, doing, func(ctx context.Context, tx bun.Tx) (err error) {
		n, err = count(tx.NewDelete().Model((*stageSessionRow)(nil)).Where("ended_at < ?", millis(before)).Exec(ctx))
		return err
	})
	return n, err
}

// deletedAtOnce is how many participants one transaction deletes.
const deletedAtOnce = 20

// count is how many rows a statement changed.
func count(res sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}
