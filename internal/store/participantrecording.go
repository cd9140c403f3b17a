package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"anabranch/internal/resource"

	"github.com/uptrace/bun"
)

// A participant's recording shows in the participant, in every session that it
// went through: where it lies, and its state. PUBLISH_STARTED and PUBLISH_STOPPED
// come from the stage, the rest from the recorder, each in its own time: what is
// stored may be told long after the participant stopped publishing.
//
//	PUBLISH_STARTED             → STARTING, or what its recording is by now
//	StartRecording, Join…       → ACTIVE, or STOPPING if the participant stopped before
//	PUBLISH_STOPPED             → STOPPING while a recording is open, else STOPPED: nothing was recorded
//	EndRecording                → STOPPED
//	FailRecording, Refuse…      → FAILED
//
// A recording changes only what is its own: by another one that is younger, or
// that is about to start, the participant's state is that one's.

// startRecording changes the recording state of a participant whose publication
// begins, which is recorded as a stream. The recorder may have told of that before.
func startRecording(ctx context.Context, tx bun.Tx, p *resource.Participant, streamID string) error {
	p.RecordingState = resource.ParticipantRecordingStarting
	row := new(recordingRow)
	err := tx.NewSelect().Model(row).Where("stage_arn = ?", p.Stage).Where("participant_id = ?", p.ID).
		Where("REPLACE(stream_ids, ?, '') <> stream_ids", strconv.Quote(streamID)).Limit(1).Scan(ctx)
	switch {
	case err == nil && row.State == resource.RecordingStarted:
		p.RecordingState = resource.ParticipantRecordingActive
	case err == nil:
		p.RecordingState = row.over()
	case !errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("look for the recording of participant %s: %w", p.ID, err)
	default:
		refused, err := refusedRecording(ctx, tx, streamID)
		if err != nil {
			return err
		}
		if refused {
			p.RecordingState = resource.ParticipantRecordingFailed
		}
	}
	return nil
}

// refusedRecording says whether it was told that a stream's recording could not
// begin.
func refusedRecording(ctx context.Context, tx bun.Tx, streamID string) (bool, error) {
	told, err := tx.NewSelect().Model((*eventRow)(nil)).
		Where("stream_id = ?", streamID).Where("name = ?", resource.RecordingStartFailure).Exists(ctx)
	if err != nil {
		return false, fmt.Errorf("look for event: %w", err)
	}
	return told, nil
}

// stopRecording changes the recording state of a participant who does not publish
// any more.
func stopRecording(ctx context.Context, tx bun.Tx, p *resource.Participant) error {
	if p.RecordingState != resource.ParticipantRecordingStarting && p.RecordingState != resource.ParticipantRecordingActive {
		return nil
	}
	open, err := tx.NewSelect().Model((*recordingRow)(nil)).
		Where("stage_arn = ?", p.Stage).Where("participant_id = ?", p.ID).Where("state = ?", resource.RecordingStarted).
		Where("bucket = ?", p.RecordingBucket).Where("prefix = ?", p.RecordingPrefix).Exists(ctx)
	if err != nil {
		return fmt.Errorf("look for the recording of participant %s: %w", p.ID, err)
	}
	p.RecordingState = resource.ParticipantRecordingStopped
	if open {
		p.RecordingState = resource.ParticipantRecordingStopping
	}
	return nil
}

// showIn shows a recording that began, or goes on, in its participant.
func (r *recordingRow) showIn(ctx context.Context, tx bun.Tx, sessionIDs ...string) error {
	if !r.ofParticipant() {
		return nil
	}
	younger := tx.NewSelect().Model((*recordingRow)(nil)).ColumnExpr("1").
		Where("recording_row.stage_arn = participant_row.stage_arn").Where("recording_row.participant_id = participant_row.participant_id").
		Where("recording_row.bucket = participant_row.recording_bucket").Where("recording_row.prefix = participant_row.recording_prefix").
		Where("recording_row.started_at > ?", r.StartedAt)
	return r.show(ctx, tx, sessionIDs, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return q.Set("recording_bucket = ?", r.Bucket).Set("recording_prefix = ?", r.Prefix).
			Set("recording_state = CASE WHEN recording_state IN ? THEN ? ELSE ? END",
				bun.Tuple([]resource.ParticipantRecordingState{resource.ParticipantRecordingStopping, resource.ParticipantRecordingStopped}),
				resource.ParticipantRecordingStopping, resource.ParticipantRecordingActive).
			Where("NOT EXISTS (?)", younger)
	})
}

// showEnd shows that a recording is over.
func (r *recordingRow) showEnd(ctx context.Context, tx bun.Tx) error {
	return r.show(ctx, tx, r.StageSessionIDs, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return q.Set("recording_state = ?", r.over()).Where("recording_state IN ?", bun.Tuple([]resource.ParticipantRecordingState{
			resource.ParticipantRecordingActive, resource.ParticipantRecordingStopping,
		})).Where("recording_bucket = ?", r.Bucket).Where("recording_prefix = ?", r.Prefix)
	})
}

// over is a participant's state behind a recording.
func (r *recordingRow) over() resource.ParticipantRecordingState {
	if r.State == resource.RecordingFailed {
		return resource.ParticipantRecordingFailed
	}
	return resource.ParticipantRecordingStopped
}

// showRefusal shows that a recording could not start.
func (r *recordingRow) showRefusal(ctx context.Context, tx bun.Tx) error {
	return r.show(ctx, tx, []string{lastOf(r.StageSessionIDs)}, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return q.Set("recording_state = ?", resource.ParticipantRecordingFailed).
			Where("recording_state NOT IN ?", bun.Tuple([]resource.ParticipantRecordingState{
				resource.ParticipantRecordingActive, resource.ParticipantRecordingStopping, // of another recording
			}))
	})
}

// show changes the recording's participant in some sessions. Those that are
// forgotten by now are left out.
func (r *recordingRow) show(ctx context.Context, tx bun.Tx, sessionIDs []string, change func(*bun.UpdateQuery) *bun.UpdateQuery) error {
	if !r.ofParticipant() || len(sessionIDs) == 0 {
		return nil
	}
	_, err := tx.NewUpdate().Model((*participantRow)(nil)).Apply(change).
		Where("session_id IN ?", bun.Tuple(sessionIDs)).Where("participant_id = ?", r.ParticipantID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("show recording %s in participant %s: %w", r.ID, r.ParticipantID, err)
	}
	return nil
}

// participantEvent is a participant recording state change.
func (r *recordingRow) participantEvent(name string, at int64, code resource.RecordingErrorCode) resource.Event {
	d := resource.ParticipantRecordingStateDetail{
		SessionID:     lastOf(r.StageSessionIDs),
		EventName:     name,
		ParticipantID: r.ParticipantID,
		BucketName:    r.Bucket,
		KeyPrefix:     r.Prefix,
		ErrorCode:     code,
		Reason:        r.StatusMessage,
	}
	if name == resource.RecordingEnd || name == resource.RecordingEndFailure {
		d.DurationMS = new(r.Duration)
	}
	return resource.Event{
		DetailType: resource.ParticipantRecordingStateChange,
		Time:       timeOf(at),
		Resource:   r.StageARN,
		StreamID:   lastOf(r.StreamIDs),
		Detail:     d,
	}
}
