package store

import (
	"context"
	"fmt"
	"time"

	"anabranch/internal/resource"

	"github.com/uptrace/bun"
)

// killedParticipantRow says that the tokens of a participant are dead, until
// they would be anyway.
type killedParticipantRow struct {
	bun.BaseModel `bun:"table:killed_participants"`
	Stage         resource.ARN `bun:"stage_arn,pk"`
	ParticipantID string       `bun:"participant_id,pk"`
	Until         int64        `bun:"killed_until"`
}

// KillParticipant ends the use of a participant's tokens for a stage; until is
// when the last of them expires. An ingest configuration by which the
// participant publishes is detached from the stage. It is NotFound when the
// stage does not exist.
func (s *Store) KillParticipant(ctx context.Context, stage resource.ARN, participantID string, until time.Time) error {
	return s.change(ctx, fmt.Sprintf("kill participant %s of %s", participantID, stage), func(ctx context.Context, tx bun.Tx) error {
		if _, err := find[stageRow](ctx, tx, stage); err != nil {
			return err
		}
		_, err := tx.NewInsert().Model(&killedParticipantRow{Stage: stage, ParticipantID: participantID, Until: millis(until)}).
			On("CONFLICT (stage_arn, participant_id) DO UPDATE").
			Set("killed_until = CASE WHEN EXCLUDED.killed_until > ?TableAlias.killed_until THEN EXCLUDED.killed_until ELSE ?TableAlias.killed_until END").
			Exec(ctx)
		if err != nil {
			return err
		}
		return detachIngest(ctx, tx, stage, participantID)
	})
}

// ParticipantKilled says whether the tokens of a participant are dead.
func (s *Store) ParticipantKilled(ctx context.Context, stage resource.ARN, participantID string) (bool, error) {
	killed, err := s.reader.NewSelect().Model((*killedParticipantRow)(nil)).
		Where("stage_arn = ?", stage).Where("participant_id = ?", participantID).Exists(ctx)
	return killed, explain(err, fmt.Sprintf("look whether participant %s of %s was killed", participantID, stage))
}

// DeleteOldKills forgets the participants all of whose tokens expired before a
// time, and returns how many there were.
func (s *Store) DeleteOldKills(ctx context.Context, before time.Time) (n int, err error) {
	err = s.change(ctx, "delete old kills", func(ctx context.Context, tx bun.Tx) (err error) {
		n, err = count(tx.NewDelete().Model((*killedParticipantRow)(nil)).Where("killed_until < ?", millis(before)).Exec(ctx))
		return err
	})
	return n, err
}
