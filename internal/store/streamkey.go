package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"anabranch/internal/resource"

	"github.com/uptrace/bun"
)

// streamKeyRow is a stream key as stored. Its value must be told again, so it
// is kept as it is.
type streamKeyRow struct {
	bun.BaseModel `bun:"table:stream_keys"`
	position
	ARN        resource.ARN  `bun:"arn,pk"`
	Value      string        `bun:"value"`
	ChannelARN resource.ARN  `bun:"channel_arn"`
	Tags       resource.Tags `bun:"tags"`
}

func (r *streamKeyRow) streamKey() resource.StreamKey {
	return resource.StreamKey{ARN: r.ARN, Value: r.Value, ChannelARN: r.ChannelARN, Tags: r.Tags}
}

// CreateStreamKey stores a key for the channel it names. It is NotFound when
// that does not exist, QuotaExceeded when it has a key already.
func (s *Store) CreateStreamKey(ctx context.Context, key resource.StreamKey) error {
	return s.change(ctx, fmt.Sprintf("create stream key %s", key.ARN), func(ctx context.Context, tx bun.Tx) error {
		if _, err := find[channelRow](ctx, tx, key.ChannelARN); err != nil {
			return err
		}
		return insertStreamKey(ctx, tx, &key)
	})
}

func insertStreamKey(ctx context.Context, tx bun.Tx, key *resource.StreamKey) error {
	seq, err := reserve(ctx, tx, 1)
	if err != nil {
		return err
	}
	row := &streamKeyRow{
		position:   position{seq},
		ARN:        key.ARN,
		Value:      key.Value,
		ChannelARN: key.ChannelARN,
		Tags:       someTags(key.Tags),
	}
	res, err := tx.NewInsert().Model(row).On("CONFLICT (channel_arn) DO NOTHING").Exec(ctx)
	if err != nil {
		return fmt.Errorf("insert stream key: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return resource.Errorf(resource.QuotaExceeded,
		"Channel: %s has a stream key already, the one it may have; delete that first", key.ChannelARN)
}

// StreamKey reads a key; NotFound when there is none.
func (s *Store) StreamKey(ctx context.Context, arn resource.ARN) (resource.StreamKey, error) {
	row, err := find[streamKeyRow](ctx, s.reader, arn)
	if err != nil {
		return resource.StreamKey{}, explain(err, fmt.Sprintf("read stream key %s", arn))
	}
	return row.streamKey(), nil
}

// StreamKeys reads those of arns that exist, in any order.
func (s *Store) StreamKeys(ctx context.Context, arns []resource.ARN) ([]resource.StreamKey, error) {
	rows, err := findAll[streamKeyRow](ctx, s.reader, arns)
	return convert(rows, (*streamKeyRow).streamKey), explain(err, "read stream keys")
}

// ListStreamKeys lists a channel's keys, oldest first; NotFound when there is
// no such channel.
func (s *Store) ListStreamKeys(ctx context.Context, channel resource.ARN, p resource.Page) ([]resource.StreamKey, string, error) {
	doing := fmt.Sprintf("list stream keys of %s", channel)
	if _, err := find[channelRow](ctx, s.reader, channel); err != nil {
		return nil, "", explain(err, doing)
	}
	rows, next, err := list[streamKeyRow](ctx, s.reader, p, oldestFirst, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("channel_arn = ?", channel)
	})
	return convert(rows, (*streamKeyRow).streamKey), next, explain(err, doing)
}

// DeleteStreamKey deletes a key; NotFound when there is none. A stream that
// began with it goes on.
func (s *Store) DeleteStreamKey(ctx context.Context, arn resource.ARN) error {
	return s.change(ctx, fmt.Sprintf("delete stream key %s", arn), func(ctx context.Context, tx bun.Tx) error {
		return remove[streamKeyRow](ctx, tx, arn)
	})
}

// ChannelByStreamKey finds the channel that the key with a value belongs to;
// NotFound when it belongs to none. The value is in no error.
func (s *Store) ChannelByStreamKey(ctx context.Context, value string) (resource.Channel, error) {
	unknown := resource.Errorf(resource.NotFound, "stream key does not exist")
	if strings.ContainsRune(value, 0) { // no key has one, and no SQL string may
		return resource.Channel{}, unknown
	}
	row := new(channelRow)
	err := s.reader.NewSelect().Model(row).
		Where("arn = (?)", s.reader.NewSelect().Model((*streamKeyRow)(nil)).Column("channel_arn").Where("value = ?", value)).
		Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return resource.Channel{}, unknown
	}
	if err != nil {
		return resource.Channel{}, explain(err, "find channel by stream key")
	}
	return row.channel(), nil
}
