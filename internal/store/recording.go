package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"anabranch/internal/resource"

	"github.com/uptrace/bun"
)

// recordingRow is a recording as stored: that it exists, and its state. Its
// media is the recorder's.
//
//	RECORDING_STARTED ┬→ RECORDING_ENDED
//	                  └→ RECORDING_ENDED_WITH_FAILURE
//
// Each arrow, and the start, is taken once and told by one event, however often
// it is asked for. What a participant's recording does shows in the participant,
// too: see participantrecording.go.
type recordingRow struct {
	bun.BaseModel `bun:"table:recordings"`
	position
	ID                        string                   `bun:"id,pk"`
	SessionID                 string                   `bun:"session_id"`
	ChannelARN                resource.ARN             `bun:"channel_arn"`
	ChannelName               string                   `bun:"channel_name"`
	RecordingConfigurationARN resource.ARN             `bun:"recording_configuration_arn"`
	Bucket                    string                   `bun:"bucket"`
	Prefix                    string                   `bun:"prefix"`
	ContainerFormat           resource.ContainerFormat `bun:"container_format"`
	StageARN                  resource.ARN             `bun:"stage_arn"` // empty: a channel's
	StageSessionIDs           []string                 `bun:"stage_session_ids"`
	ParticipantID             string                   `bun:"participant_id"`
	UserID                    string                   `bun:"user_id"`
	StorageConfigurationARN   resource.ARN             `bun:"storage_configuration_arn"`
	StreamIDs                 []string                 `bun:"stream_ids"`
	ReconnectWindow           int64                    `bun:"reconnect_window"` // ms
	State                     resource.RecordingState  `bun:"state"`
	StatusMessage             string                   `bun:"status_message"`
	StartedAt                 int64                    `bun:"started_at"`
	EndedAt                   int64                    `bun:"ended_at,nullzero"`
	Duration                  int64                    `bun:"duration"` // ms
	Media                     resource.RecordedMedia   `bun:"media"`
}

func newRecordingRow(r *resource.Recording) *recordingRow {
	return &recordingRow{
		ID:                        r.ID,
		SessionID:                 r.SessionID,
		ChannelARN:                r.ChannelARN,
		ChannelName:               r.ChannelName,
		RecordingConfigurationARN: r.RecordingConfigurationARN,
		Bucket:                    r.Bucket,
		Prefix:                    r.Prefix,
		ContainerFormat:           r.ContainerFormat,
		StageARN:                  r.StageARN,
		StageSessionIDs:           append([]string{}, r.StageSessionIDs...), // never nil, which would be NULL
		ParticipantID:             r.ParticipantID,
		UserID:                    r.UserID,
		StorageConfigurationARN:   r.StorageConfigurationARN,
		StreamIDs:                 append([]string{}, r.StreamIDs...),
		ReconnectWindow:           r.ReconnectWindow.Milliseconds(),
		State:                     resource.RecordingStarted,
		StartedAt:                 millis(r.StartedAt),
	}
}

func (r *recordingRow) recording() resource.Recording {
	recording := resource.Recording{
		ID:                        r.ID,
		SessionID:                 r.SessionID,
		ChannelARN:                r.ChannelARN,
		ChannelName:               r.ChannelName,
		RecordingConfigurationARN: r.RecordingConfigurationARN,
		Bucket:                    r.Bucket,
		Prefix:                    r.Prefix,
		ContainerFormat:           r.ContainerFormat,
		StageARN:                  r.StageARN,
		ParticipantID:             r.ParticipantID,
		UserID:                    r.UserID,
		StorageConfigurationARN:   r.StorageConfigurationARN,
		StreamIDs:                 r.StreamIDs,
		ReconnectWindow:           time.Duration(r.ReconnectWindow) * time.Millisecond,
		State:                     r.State,
		StatusMessage:             r.StatusMessage,
		StartedAt:                 timeOf(r.StartedAt),
		EndedAt:                   timeOf(r.EndedAt),
		Duration:                  time.Duration(r.Duration) * time.Millisecond,
		Media:                     r.Media,
	}
	if r.ofParticipant() {
		recording.StageSessionIDs = r.StageSessionIDs
	}
	return recording
}

func (r *recordingRow) ofParticipant() bool { return r.StageARN != "" }

// event is a recording state change. It is filed under the last stream, the
// one that was being recorded. code is that of a participant's failure.
func (r *recordingRow) event(status string, at int64, code resource.RecordingErrorCode) resource.Event {
	if r.ofParticipant() {
		return r.participantEvent(status, at, code)
	}
	last := lastOf(r.StreamIDs)
	return resource.Event{
		DetailType: resource.RecordingStateChange,
		Time:       timeOf(at),
		Resource:   r.ChannelARN,
		StreamID:   last,
		Detail: resource.RecordingStateDetail{
			Status:           status,
			StatusReason:     r.StatusMessage,
			BucketName:       r.Bucket,
			KeyPrefix:        r.Prefix,
			DurationMS:       r.Duration,
			ChannelName:      r.ChannelName,
			StreamID:         last,
			SessionID:        r.SessionID,
			SessionStreamIDs: r.StreamIDs,
		},
	}
}

func lastOf(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return ids[len(ids)-1]
}

// StartRecording stores a recording that has begun: event Recording Start. One
// that is stored already stays as it is.
func (s *Store) StartRecording(ctx context.Context, r resource.Recording) error {
	return s.change(ctx, fmt.Sprintf("start recording %s", r.ID), func(ctx context.Context, tx bun.Tx) error {
		row := newRecordingRow(&r)
		var err error
		if row.Seq, err = reserve(ctx, tx, 1); err != nil {
			return err
		}
		res, err := tx.NewInsert().Model(row).On("CONFLICT (id) DO NOTHING").Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		if err := row.showIn(ctx, tx, row.StageSessionIDs...); err != nil {
			return err
		}
		return appendEvents(ctx, tx, row.event(resource.RecordingStart, row.StartedAt, ""))
	})
}

// JoinRecording adds a stream to a recording, and the session that a publication
// is in, which is not told by an event. A stream that it has already is not added
// again. It is a Conflict when the recording is over, NotFound when there is none.
func (s *Store) JoinRecording(ctx context.Context, id string, stream resource.RecordedStream) error {
	return s.change(ctx, fmt.Sprintf("join recording %s", id), func(ctx context.Context, tx bun.Tx) error {
		row, err := findRecording(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case slices.Contains(row.StreamIDs, stream.ID):
			return nil
		case row.State != resource.RecordingStarted:
			return resource.Errorf(resource.Conflict, "Recording: %s is over", id)
		}
		row.StreamIDs = append(row.StreamIDs, stream.ID)
		if row.ofParticipant() && !slices.Contains(row.StageSessionIDs, stream.StageSessionID) {
			row.StageSessionIDs = append(row.StageSessionIDs, stream.StageSessionID)
		}
		if _, err := tx.NewUpdate().Model(row).Column("stream_ids", "stage_session_ids").WherePK().Exec(ctx); err != nil {
			return err
		}
		return row.showIn(ctx, tx, stream.StageSessionID)
	})
}

// DescribeRecording says what a recording consists of, which is not told by an
// event. It is NotFound when there is none.
func (s *Store) DescribeRecording(ctx context.Context, id string, m resource.RecordedMedia) error {
	return s.change(ctx, fmt.Sprintf("describe recording %s", id), func(ctx context.Context, tx bun.Tx) error {
		row, err := findRecording(ctx, tx, id)
		if err != nil {
			return err
		}
		row.Media = m
		_, err = tx.NewUpdate().Model(row).Column("media").WherePK().Exec(ctx)
		return err
	})
}

// EndRecording closes a recording whose media lasts d: event Recording End. One
// that is over, or failed, stays as it is. It is NotFound when there is none.
func (s *Store) EndRecording(ctx context.Context, id string, at time.Time, d time.Duration) error {
	return s.closeRecording(ctx, id, at, d, resource.RecordingEnded, resource.RecordingEnd, resource.RecordingFailure{})
}

// FailRecording closes a recording that cannot be finished: event Recording End
// Failure with the reason. One that is over stays as it is. It is NotFound when
// there is none.
func (s *Store) FailRecording(ctx context.Context, id string, at time.Time, d time.Duration, why resource.RecordingFailure) error {
	return s.closeRecording(ctx, id, at, d, resource.RecordingFailed, resource.RecordingEndFailure, why)
}

func (s *Store) closeRecording(ctx context.Context, id string, at time.Time, d time.Duration,
	state resource.RecordingState, status string, why resource.RecordingFailure) error {

	return s.change(ctx, fmt.Sprintf("close recording %s", id), func(ctx context.Context, tx bun.Tx) error {
		row, err := findRecording(ctx, tx, id)
		if err != nil || row.State != resource.RecordingStarted {
			return err
		}
		row.State, row.StatusMessage = state, why.Reason
		row.EndedAt, row.Duration = max(millis(at), row.StartedAt), d.Milliseconds()
		if _, err := tx.NewUpdate().Model(row).WherePK().Exec(ctx); err != nil {
			return err
		}
		if err := row.showEnd(ctx, tx); err != nil {
			return err
		}
		return appendEvents(ctx, tx, row.event(status, row.EndedAt, why.Code))
	})
}

// RefuseRecording tells that a recording could not begin: event Recording Start
// Failure, once for a stream. The recording itself is not stored, and a channel's
// has no prefix or session id.
func (s *Store) RefuseRecording(ctx context.Context, r resource.Recording, why resource.RecordingFailure) error {
	return s.change(ctx, fmt.Sprintf("refuse recording of %s", r.ChannelARN+r.StageARN), func(ctx context.Context, tx bun.Tx) error {
		row := newRecordingRow(&r)
		row.State, row.SessionID, row.StatusMessage = resource.RecordingFailed, "", why.Reason
		if !row.ofParticipant() {
			row.Prefix = ""
		}
		e := row.event(resource.RecordingStartFailure, row.StartedAt, why.Code)
		if told, err := refusedRecording(ctx, tx, e.StreamID); told || err != nil {
			return err
		}
		if err := row.showRefusal(ctx, tx); err != nil {
			return err
		}
		return appendEvents(ctx, tx, e)
	})
}

// OpenRecordings reads the recordings that are not over, oldest first.
func (s *Store) OpenRecordings(ctx context.Context) ([]resource.Recording, error) {
	var rows []recordingRow
	err := s.reader.NewSelect().Model(&rows).Where("state = ?", resource.RecordingStarted).Order("started_at", "seq").Scan(ctx)
	return convert(rows, (*recordingRow).recording), explain(err, "read open recordings")
}

// ListRecordings lists the recordings that pass every member of f, those that
// started last first, of deleted channels and stages too. A start never changes,
// so a page that begins behind another one holds nothing that was seen before.
func (s *Store) ListRecordings(ctx context.Context, f resource.RecordingFilter, p resource.Page) ([]resource.Recording, string, error) {
	var rows []recordingRow
	size := min(max(p.Size, 1), maxPage)
	q := s.reader.NewSelect().Model(&rows).Order("started_at DESC", "seq DESC").Limit(int64(size) + 1)
	if p.After != "" {
		var at, seq int64
		if n, err := fmt.Sscanf(p.After, "%d/%d", &at, &seq); n < 2 {
			return nil, "", resource.Errorf(resource.Invalid, "nextToken: not a token of this list: %v", err)
		}
		q = q.Where("(started_at, seq) < (?, ?)", at, seq)
	}
	switch f.Kind {
	case resource.KindChannel:
		q = q.Where("stage_arn = ''")
	case resource.KindStage:
		q = q.Where("stage_arn <> ''")
	}
	if f.ChannelARN != "" {
		q = q.Where("channel_arn = ?", f.ChannelARN)
	}
	if f.StageARN != "" {
		q = q.Where("stage_arn = ?", f.StageARN)
	}
	if f.StageSessionID != "" {
		q = q.Where("REPLACE(stage_session_ids, ?, '') <> stage_session_ids", strconv.Quote(f.StageSessionID))
	}
	if f.ParticipantID != "" {
		q = q.Where("participant_id = ?", f.ParticipantID)
	}
	if f.State != "" {
		q = q.Where("state = ?", f.State)
	}
	if !f.From.IsZero() {
		q = q.Where("started_at >= ?", millis(f.From))
	}
	if !f.To.IsZero() {
		q = q.Where("started_at < ?", millis(f.To))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", explain(err, "list recordings")
	}
	next := ""
	if len(rows) > size {
		rows = rows[:size]
		next = fmt.Sprintf("%d/%d", rows[size-1].StartedAt, rows[size-1].Seq)
	}
	return convert(rows, (*recordingRow).recording), next, nil
}

// Recording reads a recording; NotFound when there is none.
func (s *Store) Recording(ctx context.Context, id string) (resource.Recording, error) {
	row, err := findRecording(ctx, s.reader, id)
	if err != nil {
		return resource.Recording{}, explain(err, fmt.Sprintf("read recording %s", id))
	}
	return row.recording(), nil
}

func findRecording(ctx context.Context, db bun.IDB, id string) (*recordingRow, error) {
	row := new(recordingRow)
	err := db.NewSelect().Model(row).Where("id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, resource.Errorf(resource.NotFound, "Recording: %s not found", id)
	}
	return row, err
}
