package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"time"

	"anabranch/internal/resource"

	"github.com/uptrace/bun"
)

// stageRow is a stage as stored: all but what depends on where the server
// listens.
type stageRow struct {
	bun.BaseModel `bun:"table:stages"`
	position
	ARN  resource.ARN `bun:"arn,pk"`
	ID   string       `bun:"id"`
	Name string       `bun:"name"`
	// StorageConfigurationARN is Recording's, where the database can see it.
	StorageConfigurationARN resource.ARN                  `bun:"storage_configuration_arn,nullzero"`
	Recording               resource.ParticipantRecording `bun:"recording"`
	Tags                    resource.Tags                 `bun:"tags"`
	// ActiveSessionID is read by withSession.
	ActiveSessionID string `bun:"active_session_id,scanonly"`
}

func newStageRow(p position, s *resource.Stage) *stageRow {
	return &stageRow{
		position:                p,
		ARN:                     s.ARN,
		ID:                      s.ID(),
		Name:                    s.Name,
		StorageConfigurationARN: s.Recording.StorageConfigurationARN,
		Recording:               s.Recording,
		Tags:                    someTags(s.Tags),
	}
}

func (r *stageRow) stage() resource.Stage {
	return resource.Stage{ARN: r.ARN, Name: r.Name, ActiveSessionID: r.ActiveSessionID, Recording: r.Recording, Tags: r.Tags}
}

// withSession reads stages and the sessions that run on them.
func withSession(q *bun.SelectQuery) *bun.SelectQuery {
	return q.ColumnExpr("?TableColumns").ColumnExpr(
		"(SELECT session_id FROM stage_sessions WHERE stage_arn = ?TableAlias.arn AND ended_at IS NULL) AS active_session_id")
}

// findStage reads a stage and the session that runs on it.
func findStage(ctx context.Context, db bun.IDB, arn resource.ARN) (*stageRow, error) {
	row := new(stageRow)
	err := db.NewSelect().Model(row).Apply(withSession).Where("arn = ?", arn).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, resource.NotFoundError(arn)
	}
	return row, err
}

// CreateStage stores a stage. It is Invalid when the storage configuration does
// not exist, QuotaExceeded when there are as many stages as may be. Endpoints
// are not stored.
func (s *Store) CreateStage(ctx context.Context, st resource.Stage) error {
	return s.change(ctx, fmt.Sprintf("create stage %s", st.ARN), func(ctx context.Context, tx bun.Tx) error {
		if err := checkStorage(ctx, tx, &st); err != nil {
			return err
		}
		if err := underQuota[stageRow](ctx, tx, s.quotas.Stages, "stages", nil); err != nil {
			return err
		}
		seq, err := reserve(ctx, tx, 1)
		if err != nil {
			return err
		}
		_, err = tx.NewInsert().Model(newStageRow(position{seq}, &st)).Exec(ctx)
		return err
	})
}

// Stage reads a stage; NotFound when there is none.
func (s *Store) Stage(ctx context.Context, arn resource.ARN) (resource.Stage, error) {
	row, err := findStage(ctx, s.reader, arn)
	if err != nil {
		return resource.Stage{}, explain(err, fmt.Sprintf("read stage %s", arn))
	}
	return row.stage(), nil
}

// StageByID reads the stage whose ARN ends with an id; NotFound when there is
// none.
func (s *Store) StageByID(ctx context.Context, id string) (resource.Stage, error) {
	row := new(stageRow)
	err := s.reader.NewSelect().Model(row).Apply(withSession).Where("id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		err = resource.Errorf(resource.NotFound, "Stage: %.64q not found", id)
	}
	if err != nil {
		return resource.Stage{}, explain(err, fmt.Sprintf("read stage %.64q", id))
	}
	return row.stage(), nil
}

// ListStages lists them all, oldest first.
func (s *Store) ListStages(ctx context.Context, p resource.Page) ([]resource.Stage, string, error) {
	rows, next, err := list[stageRow](ctx, s.reader, p, oldestFirst, withSession)
	return convert(rows, (*stageRow).stage), next, explain(err, "list stages")
}

// UpdateStage reads a stage, lets change alter it, and stores the result unless
// change returned an error, which is then returned as it is. It is NotFound
// when there is no such stage, Invalid when the storage configuration does not
// exist, and a Conflict when the recording configuration changes while a
// participant is being recorded. It keeps to what [Store.UpdateChannel] says of
// change.
func (s *Store) UpdateStage(ctx context.Context, arn resource.ARN, change func(*resource.Stage) error) (resource.Stage, error) {
	var after *stageRow
	err := s.change(ctx, fmt.Sprintf("update stage %s", arn), func(ctx context.Context, tx bun.Tx) error {
		before, err := findStage(ctx, tx, arn)
		if err != nil {
			return err
		}
		old, st := before.stage(), before.stage()
		if err := change(&st); err != nil {
			return err
		}
		st.ARN = arn
		if !reflect.DeepEqual(st.Recording, old.Recording) {
			if err := checkStorage(ctx, tx, &st); err != nil {
				return err
			}
			if err := checkNotRecording(ctx, tx, before); err != nil {
				return err
			}
		}
		after = newStageRow(before.position, &st)
		after.ActiveSessionID = before.ActiveSessionID
		_, err = tx.NewUpdate().Model(after).WherePK().Exec(ctx)
		return err
	})
	if err != nil {
		return resource.Stage{}, err
	}
	return after.stage(), nil
}

// DeleteStage deletes a stage and ends its session as [Store.EndStageSession]
// does. Ingest configurations are detached from it. Sessions and what is in
// them stay.
func (s *Store) DeleteStage(ctx context.Context, arn resource.ARN) error {
	return s.change(ctx, fmt.Sprintf("delete stage %s", arn), func(ctx context.Context, tx bun.Tx) error {
		session, err := activeSession(ctx, tx, arn)
		if err != nil {
			return err
		}
		if session != nil {
			if err := endStageSession(ctx, tx, session, time.Now()); err != nil {
				return err
			}
		}
		// Whoever publishes by an ingest configuration has gone with the stage.
		_, err = tx.NewUpdate().Model((*ingestConfigurationRow)(nil)).
			Set("state = ?", resource.IngestInactive).Where("stage_arn = ?", arn).Exec(ctx)
		if err != nil {
			return fmt.Errorf("stop ingest: %w", err)
		}
		return remove[stageRow](ctx, tx, arn) // what refers to it follows by foreign keys
	})
}

// checkStorage is Invalid when st records to something that does not exist.
func checkStorage(ctx context.Context, tx bun.Tx, st *resource.Stage) error {
	if !st.Recording.On() {
		return nil
	}
	arn := st.Recording.StorageConfigurationARN
	return checkNamed[storageConfigurationRow](ctx, tx, "autoParticipantRecordingConfiguration.storageConfigurationArn", arn)
}

// checkNamed is Invalid when a member names something that does not exist.
func checkNamed[R any](ctx context.Context, tx bun.Tx, member string, arn resource.ARN) error {
	exists, err := tx.NewSelect().Model((*R)(nil)).Where("arn = ?", arn).Exists(ctx)
	if err != nil {
		return fmt.Errorf("look for %s: %w", arn, err)
	}
	if !exists {
		return resource.Errorf(resource.Invalid, "%s: %s does not exist", member, arn)
	}
	return nil
}

// checkNotRecording is a Conflict while a participant of a stage is being
// recorded, or a recording waits for its return: then the session may be over.
func checkNotRecording(ctx context.Context, tx bun.Tx, st *stageRow) error {
	begun := tx.NewSelect().Model((*participantRow)(nil)).ColumnExpr("1").
		Where("session_id = ?", st.ActiveSessionID).Where("recording_state IN ?", recordingStates)
	open := tx.NewSelect().Model((*recordingRow)(nil)).ColumnExpr("1").
		Where("stage_arn = ?", st.ARN).Where("state = ?", resource.RecordingStarted)
	var recorded bool
	err := tx.NewSelect().ColumnExpr("EXISTS (?) OR EXISTS (?)", begun, open).Scan(ctx, &recorded)
	if err != nil {
		return fmt.Errorf("look for a recording: %w", err)
	}
	if recorded {
		return resource.Errorf(resource.Conflict,
			"autoParticipantRecordingConfiguration: participants of %s are being recorded; wait for the end of the recording and try again", st.ARN)
	}
	return nil
}
