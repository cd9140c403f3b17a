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

// streamRow is a stream session as stored. Channel and RecordingConfiguration
// are copies of what was in force when it began.
type streamRow struct {
	bun.BaseModel `bun:"table:streams"`
	position
	StreamID               string                           `bun:"stream_id,pk"`
	ChannelARN             resource.ARN                     `bun:"channel_arn"`
	StartedAt              int64                            `bun:"started_at"`
	EndedAt                int64                            `bun:"ended_at,nullzero"`
	HasError               bool                             `bun:"has_error"`
	Channel                resource.Channel                 `bun:"channel"`
	RecordingConfiguration *resource.RecordingConfiguration `bun:"recording_configuration"`
	IngestConfiguration    *resource.InputConfiguration     `bun:"ingest_configuration"`
	IngestConfigurations   *resource.InputConfigurations    `bun:"ingest_configurations"`
}

// streamSummary are the columns a list of sessions reads.
var streamSummary = []string{"seq", "stream_id", "channel_arn", "started_at", "ended_at", "has_error"}

func (r *streamRow) session() resource.StreamSession {
	s := resource.StreamSession{
		StreamID:               r.StreamID,
		ChannelARN:             r.ChannelARN,
		StartTime:              timeOf(r.StartedAt),
		HasErrorEvent:          r.HasError,
		Channel:                r.Channel,
		RecordingConfiguration: r.RecordingConfiguration,
		IngestConfiguration:    r.IngestConfiguration,
		IngestConfigurations:   r.IngestConfigurations,
	}
	if r.EndedAt != 0 {
		end := timeOf(r.EndedAt)
		s.EndTime = &end
	}
	return s
}

// event is a stream state change of the session.
func (r *streamRow) event(name string, at time.Time, reason string) resource.Event {
	return resource.Event{
		DetailType: resource.StreamStateChange,
		Time:       at,
		Resource:   r.ChannelARN,
		StreamID:   r.StreamID,
		Detail: resource.StreamStateDetail{
			EventName:   name,
			ChannelName: r.Channel.Name,
			StreamID:    r.StreamID,
			Reason:      reason,
		},
	}
}

// BeginStream opens a session on a channel for the holder of a stream key:
// event Session Created. Channel and key are read again, and a copy of the
// channel and its recording configuration is kept with the session. It is
// NotFound when channel or key are gone, Conflict when a session is open,
// QuotaExceeded when as many channels have one as may.
func (s *Store) BeginStream(ctx context.Context, channel resource.ARN, key, streamID string, at time.Time) (resource.StreamSession, error) {
	var row *streamRow
	err := s.change(ctx, fmt.Sprintf("begin stream %s on %s", streamID, channel), func(ctx context.Context, tx bun.Tx) error {
		ch, err := find[channelRow](ctx, tx, channel)
		if err != nil {
			return err
		}
		holds, err := tx.NewSelect().Model((*streamKeyRow)(nil)).
			Where("value = ?", key).Where("channel_arn = ?", channel).Exists(ctx)
		if err != nil {
			return fmt.Errorf("look for stream key: %w", err)
		}
		if !holds {
			return resource.Errorf(resource.NotFound, "stream key does not exist on channel %s", channel)
		}

		open := func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("ended_at IS NULL") }
		if err := underQuota[streamRow](ctx, tx, s.quotas.ConcurrentStreams, "concurrent streams", open); err != nil {
			return err
		}
		row = &streamRow{StreamID: streamID, ChannelARN: channel, StartedAt: millis(at), Channel: ch.channel()}
		if arn := ch.RecordingConfigurationARN; arn != "" {
			rc, err := find[recordingConfigurationRow](ctx, tx, arn)
			if err != nil {
				return err
			}
			copied := rc.recordingConfiguration()
			row.RecordingConfiguration = &copied
		}
		if row.Seq, err = reserve(ctx, tx, 1); err != nil {
			return err
		}
		res, err := tx.NewInsert().Model(row).
			On("CONFLICT (channel_arn) WHERE ended_at IS NULL DO NOTHING").Exec(ctx)
		if err != nil {
			return fmt.Errorf("insert session: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return resource.Errorf(resource.Conflict, "Channel: %s has a stream already", channel)
		}
		return appendEvents(ctx, tx, row.event(resource.SessionCreated, at, ""))
	})
	if err != nil {
		return resource.StreamSession{}, err
	}
	return row.session(), nil
}

// SetInputConfiguration stores what a publisher sends, in both forms; nil is
// none. It is NotFound when there is no such session.
func (s *Store) SetInputConfiguration(ctx context.Context, streamID string, one *resource.InputConfiguration, all *resource.InputConfigurations) error {
	return s.change(ctx, fmt.Sprintf("set input configuration of stream %s", streamID), func(ctx context.Context, tx bun.Tx) error {
		row := &streamRow{StreamID: streamID, IngestConfiguration: one, IngestConfigurations: all}
		res, err := tx.NewUpdate().Model(row).Column("ingest_configuration", "ingest_configurations").WherePK().Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return streamNotFound(streamID)
	})
}

// EndStream closes a session: events Stream End and Session Ended, and what
// ended the stream before them: the limits it breached, and Stream Failure when
// failure gives a reason. A session that is closed stays as it is. It is
// NotFound when there is no such session.
func (s *Store) EndStream(ctx context.Context, streamID string, at time.Time, failure string, breached ...resource.LimitBreachDetail) error {
	return s.change(ctx, fmt.Sprintf("end stream %s", streamID), func(ctx context.Context, tx bun.Tx) error {
		row := new(streamRow)
		err := tx.NewSelect().Model(row).Where("stream_id = ?", streamID).Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			return streamNotFound(streamID)
		}
		if err != nil || row.EndedAt != 0 {
			return err
		}
		// The server's clock may have been set back meanwhile.
		row.EndedAt = max(millis(at), row.StartedAt)
		at = timeOf(row.EndedAt)
		if _, err := tx.NewUpdate().Model(row).Column("ended_at").WherePK().Exec(ctx); err != nil {
			return err
		}
		var events []resource.Event
		for _, limit := range breached {
			events = append(events, resource.Event{
				DetailType: resource.LimitBreach, Time: at, Resource: row.ChannelARN, StreamID: streamID, Detail: limit,
			})
		}
		if failure != "" {
			events = append(events, row.event(resource.StreamFailure, at, failure))
		}
		return appendEvents(ctx, tx, append(events,
			row.event(resource.StreamEnd, at, ""),
			row.event(resource.SessionEnded, at, ""))...)
	})
}

// OpenStreams reads the sessions that are not closed, oldest first, without
// their events.
func (s *Store) OpenStreams(ctx context.Context) ([]resource.StreamSession, error) {
	var rows []streamRow
	err := s.reader.NewSelect().Model(&rows).Where("ended_at IS NULL").Order("seq").Scan(ctx)
	return convert(rows, (*streamRow).session), explain(err, "read open streams")
}

// LiveStream reads a channel's open session, without its events. It is
// NotBroadcasting when there is none, NotFound when there is no such channel.
func (s *Store) LiveStream(ctx context.Context, channel resource.ARN) (resource.StreamSession, error) {
	row := new(streamRow)
	err := s.reader.NewSelect().Model(row).Where("channel_arn = ?", channel).Where("ended_at IS NULL").Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		if _, err = find[channelRow](ctx, s.reader, channel); err == nil {
			err = resource.NotBroadcastingError(channel)
		}
	}
	if err != nil {
		return resource.StreamSession{}, explain(err, fmt.Sprintf("read live stream of %s", channel))
	}
	return row.session(), nil
}

// ListLiveStreams lists the open sessions, oldest first. Its items have stream
// id, channel ARN, start and error mark only.
func (s *Store) ListLiveStreams(ctx context.Context, p resource.Page) ([]resource.StreamSession, string, error) {
	rows, next, err := list[streamRow](ctx, s.reader, p, oldestFirst, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Column(streamSummary...).Where("ended_at IS NULL")
	})
	return convert(rows, (*streamRow).session), next, explain(err, "list live streams")
}

// maxSessionEvents is how many of its newest events a session tells.
const maxSessionEvents = 500

// StreamSession reads a session of a channel with its newest events; an empty
// streamID means the newest session. It is NotFound when there is none.
func (s *Store) StreamSession(ctx context.Context, channel resource.ARN, streamID string) (resource.StreamSession, error) {
	doing := fmt.Sprintf("read stream session %s of %s", streamID, channel)
	row := new(streamRow)
	q := s.reader.NewSelect().Model(row).Where("channel_arn = ?", channel)
	if streamID != "" {
		q = q.Where("stream_id = ?", streamID)
	} else {
		q = q.Order("seq DESC").Limit(1)
	}
	err := q.Scan(ctx)
	switch {
	case errors.Is(err, sql.ErrNoRows) && streamID != "":
		return resource.StreamSession{}, resource.Errorf(resource.NotFound,
			"Stream: %s not found on channel %s", streamID, channel)
	case errors.Is(err, sql.ErrNoRows):
		return resource.StreamSession{}, resource.Errorf(resource.NotFound,
			"Channel: %s has no stream session", channel)
	case err != nil:
		return resource.StreamSession{}, explain(err, doing)
	}

	var events []eventRow
	err = s.reader.NewSelect().Model(&events).Column("name", "code", "detail_type", "happened_at").
		Where("stream_id = ?", row.StreamID).Order("seq DESC").Limit(maxSessionEvents).Scan(ctx)
	if err != nil {
		return resource.StreamSession{}, explain(err, doing)
	}
	session := row.session()
	session.TruncatedEvents = convert(events, (*eventRow).streamEvent)
	return session, nil
}

// ListStreamSessions lists a channel's sessions, newest first, those of a
// deleted channel too. Its items have stream id, channel ARN, start, end and
// error mark only. It is NotFound when there is neither channel nor session.
func (s *Store) ListStreamSessions(ctx context.Context, channel resource.ARN, p resource.Page) ([]resource.StreamSession, string, error) {
	rows, next, err := list[streamRow](ctx, s.reader, p, newestFirst, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Column(streamSummary...).Where("channel_arn = ?", channel)
	})
	if err == nil && len(rows) == 0 && p.After == "" {
		_, err = find[channelRow](ctx, s.reader, channel)
	}
	return convert(rows, (*streamRow).session), next, explain(err, fmt.Sprintf("list stream sessions of %s", channel))
}

// DeleteOldSessions deletes the sessions that ended before a time, and with
// them the events from before it that belong to no session. It returns how many
// sessions it deleted.
func (s *Store) DeleteOldSessions(ctx context.Context, before time.Time) (n int, err error) {
	err = s.change(ctx, "delete old stream sessions", func(ctx context.Context, tx bun.Tx) error {
		res, err := tx.NewDelete().Model((*streamRow)(nil)).Where("ended_at < ?", millis(before)).Exec(ctx)
		if err != nil {
			return err
		}
		deleted, err := res.RowsAffected()
		if err != nil {
			return err
		}
		n = int(deleted)
		return deleteEvents(ctx, tx, before)
	})
	return n, err
}

func streamNotFound(id string) error {
	return resource.Errorf(resource.NotFound, "Stream: %s not found", id)
}
