package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"anabranch/internal/resource"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// Event is a stored event. Its Detail is a json.RawMessage.
type Event struct {
	// Seq is the event's place in the order of all events: positive, growing,
	// not dense. Events become visible in this order.
	Seq int64
	resource.Event
}

// eventRow is an event in the outbox. Name and Code stand in Detail too; here
// they are what a stream session tells of its events.
type eventRow struct {
	bun.BaseModel `bun:"table:events"`
	position
	ID         string          `bun:"id,pk"`
	Resource   resource.ARN    `bun:"resource_arn"`
	StreamID   string          `bun:"stream_id,nullzero"`
	DetailType string          `bun:"detail_type"`
	Name       string          `bun:"name"`
	Code       string          `bun:"code"`
	HappenedAt int64           `bun:"happened_at"`
	Detail     json.RawMessage `bun:"detail"`
}

func newEventRow(seq int64, e *resource.Event) (*eventRow, error) {
	detail, err := json.Marshal(e.Detail)
	if err != nil {
		return nil, fmt.Errorf("encode detail: %w", err)
	}
	// Each detail type has its own member for what happened.
	var told struct {
		EventName string `json:"event_name"`
		LimitName string `json:"limit_name"`
		Status    string `json:"recording_status"`
		Code      string `json:"code"`
	}
	if err := json.Unmarshal(detail, &told); err != nil {
		return nil, fmt.Errorf("read detail: %w", err)
	}
	row := &eventRow{
		position:   position{seq},
		ID:         e.ID,
		Resource:   e.Resource,
		StreamID:   e.StreamID,
		DetailType: e.DetailType,
		Name:       told.EventName + told.LimitName + told.Status,
		Code:       told.Code,
		HappenedAt: millis(e.Time),
		Detail:     detail,
	}
	if row.ID == "" {
		row.ID = uuid.NewString()
	}
	if e.Time.IsZero() {
		row.HappenedAt = time.Now().UnixMilli()
	}
	return row, nil
}

func (r *eventRow) event() Event {
	return Event{Seq: r.Seq, Event: resource.Event{
		ID:         r.ID,
		DetailType: r.DetailType,
		Time:       timeOf(r.HappenedAt),
		Resource:   r.Resource,
		StreamID:   r.StreamID,
		Detail:     r.Detail,
	}}
}

func (r *eventRow) streamEvent() resource.StreamEvent {
	return resource.StreamEvent{Name: r.Name, Type: r.DetailType, EventTime: timeOf(r.HappenedAt), Code: r.Code}
}

// isError says whether a stream that this happened to has an error event.
func (r *eventRow) isError() bool {
	return r.DetailType == resource.LimitBreach ||
		r.DetailType == resource.StreamStateChange && r.Name == resource.StreamFailure
}

// AppendEvent stores an event on its own. Without an ID it gets one, without a
// time it happened now. A stream failure or a breach of a limit marks the
// session it is filed under.
func (s *Store) AppendEvent(ctx context.Context, e resource.Event) error {
	return s.change(ctx, fmt.Sprintf("append event of %s", e.Resource), func(ctx context.Context, tx bun.Tx) error {
		return appendEvents(ctx, tx, e)
	})
}

// appendEvents stores events in the transaction of the change they tell of.
func appendEvents(ctx context.Context, tx bun.Tx, events ...resource.Event) error {
	seq, err := reserve(ctx, tx, len(events))
	if err != nil {
		return err
	}
	for i := range events {
		row, err := newEventRow(seq+int64(i), &events[i])
		if err != nil {
			return fmt.Errorf("event %s: %w", events[i].DetailType, err)
		}
		if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
			return fmt.Errorf("insert event %s: %w", row.Name, err)
		}
		if row.StreamID == "" || !row.isError() {
			continue
		}
		_, err = tx.NewUpdate().Model((*streamRow)(nil)).
			Set("has_error = ?", true).Where("stream_id = ?", row.StreamID).Exec(ctx)
		if err != nil {
			return fmt.Errorf("mark stream %s: %w", row.StreamID, err)
		}
	}
	return nil
}

// maxEvents bounds one read of the outbox.
const maxEvents = 1000

// Events reads the events behind position after, in order; 0 begins with the
// first that is kept. It reads at most limit of them (1–1000).
func (s *Store) Events(ctx context.Context, after int64, limit int) ([]Event, error) {
	var rows []eventRow
	err := s.reader.NewSelect().Model(&rows).
		Where("seq > ?", after).Order("seq").Limit(int64(min(max(limit, 1), maxEvents))).Scan(ctx)
	return convert(rows, (*eventRow).event), explain(err, fmt.Sprintf("read events behind %d", after))
}

// deleteEvents deletes the events from before a time, but for those of stream
// sessions that are kept.
func deleteEvents(ctx context.Context, tx bun.Tx, before time.Time) error {
	_, err := tx.NewDelete().Model((*eventRow)(nil)).
		Where("happened_at < ?", millis(before)).
		Where("stream_id IS NULL OR stream_id NOT IN (SELECT stream_id FROM streams)").
		Exec(ctx)
	return err
}
