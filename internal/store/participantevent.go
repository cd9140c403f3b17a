package store

import (
	"context"
	"fmt"
	"time"

	"anabranch/internal/resource"

	"github.com/uptrace/bun"
)

// participantEventRow is something that happened to a participant, as stored.
type participantEventRow struct {
	bun.BaseModel `bun:"table:participant_events"`
	position
	SessionID           string                        `bun:"session_id"`
	ParticipantID       string                        `bun:"participant_id"`
	Name                resource.ParticipantEventName `bun:"name"`
	HappenedAt          int64                         `bun:"happened_at"`
	RemoteParticipantID string                        `bun:"remote_participant_id"`
	ErrorCode           resource.ParticipantErrorCode `bun:"error_code"`
}

func (r *participantEventRow) event() resource.ParticipantEvent {
	return resource.ParticipantEvent{
		Name:                r.Name,
		ParticipantID:       r.ParticipantID,
		EventTime:           timeOf(r.HappenedAt),
		RemoteParticipantID: r.RemoteParticipantID,
		ErrorCode:           r.ErrorCode,
	}
}

// publishEvents are those of which the newest says whether a participant publishes.
var publishEvents = bun.Tuple([]resource.ParticipantEventName{resource.PublishStarted, resource.PublishStopped})

// maxParticipantEvents is how many of its newest events are kept of a
// participant in a session, and the newest of publishEvents before them. What a
// client does makes them, as often as it likes.
const maxParticipantEvents = 1000

// insertParticipantEvents stores what happened to a participant in a session at
// the positions from seq on.
func insertParticipantEvents(ctx context.Context, tx bun.Tx, seq int64, sessionID, participantID string, events ...resource.ParticipantEvent) error {
	rows := make([]participantEventRow, len(events))
	for i, e := range events {
		rows[i] = participantEventRow{
			position:            position{seq + int64(i)},
			SessionID:           sessionID,
			ParticipantID:       participantID,
			Name:                e.Name,
			HappenedAt:          millis(e.EventTime),
			RemoteParticipantID: e.RemoteParticipantID,
			ErrorCode:           e.ErrorCode,
		}
		if e.EventTime.IsZero() {
			rows[i].HappenedAt = time.Now().UnixMilli()
		}
	}
	if _, err := tx.NewInsert().Model(&rows).Exec(ctx); err != nil {
		return fmt.Errorf("insert participant events: %w", err)
	}
	newest := tx.NewSelect().Model((*participantEventRow)(nil)).Column("seq").
		Where("session_id = ?", sessionID).Where("participant_id = ?", participantID).
		Order("seq DESC").Limit(1).Offset(maxParticipantEvents)
	// By which it is known, after a restart and at the session's end, who publishes.
	publishing := tx.NewSelect().Model((*participantEventRow)(nil)).ColumnExpr("COALESCE(MAX(seq), 0)").
		Where("session_id = ?", sessionID).Where("participant_id = ?", participantID).Where("name IN ?", publishEvents)
	_, err := tx.NewDelete().Model((*participantEventRow)(nil)).
		Where("session_id = ?", sessionID).Where("participant_id = ?", participantID).
		Where("seq <= (?)", newest).Where("seq <> (?)", publishing).Exec(ctx)
	if err != nil {
		return fmt.Errorf("delete the oldest participant events: %w", err)
	}
	return nil
}

// ListParticipantEvents lists what happened to a participant in a session,
// newest first. One that never was has nothing.
func (s *Store) ListParticipantEvents(ctx context.Context, stage resource.ARN, sessionID, participantID string,
	p resource.Page) ([]resource.ParticipantEvent, string, error) {

	rows, next, err := list[participantEventRow](ctx, s.reader, p, newestFirst, func(q *bun.SelectQuery) *bun.SelectQuery {
		session := q.NewSelect().Model((*stageSessionRow)(nil)).Column("session_id").
			Where("session_id = ?", sessionID).Where("stage_arn = ?", stage)
		return q.Where("session_id = (?)", session).Where("participant_id = ?", participantID)
	})
	return convert(rows, (*participantEventRow).event), next,
		explain(err, fmt.Sprintf("list events of participant %s of %s", participantID, stage))
}
