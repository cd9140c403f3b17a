package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"anabranch/internal/resource"

	"github.com/uptrace/bun"
)

// channelRow is a channel as stored: all but what depends on where the server
// listens.
type channelRow struct {
	bun.BaseModel `bun:"table:channels"`
	position
	ARN                          resource.ARN                          `bun:"arn,pk"`
	Name                         string                                `bun:"name"`
	LatencyMode                  resource.LatencyMode                  `bun:"latency_mode"`
	Type                         resource.ChannelType                  `bun:"type"`
	Preset                       resource.TranscodePreset              `bun:"preset"`
	Authorized                   bool                                  `bun:"authorized"`
	InsecureIngest               bool                                  `bun:"insecure_ingest"`
	SRTPassphrase                string                                `bun:"srt_passphrase"`
	Multitrack                   resource.MultitrackInputConfiguration `bun:"multitrack"`
	ContainerFormat              resource.ContainerFormat              `bun:"container_format"`
	RecordingConfigurationARN    resource.ARN                          `bun:"recording_configuration_arn,nullzero"`
	PlaybackRestrictionPolicyARN resource.ARN                          `bun:"playback_restriction_policy_arn,nullzero"`
	AdConfigurationARN           resource.ARN                          `bun:"ad_configuration_arn,nullzero"`
	Tags                         resource.Tags                         `bun:"tags"`
}

func newChannelRow(p position, ch *resource.Channel) *channelRow {
	return &channelRow{
		position:                     p,
		ARN:                          ch.ARN,
		Name:                         ch.Name,
		LatencyMode:                  ch.LatencyMode,
		Type:                         ch.Type,
		Preset:                       ch.Preset,
		Authorized:                   ch.Authorized,
		InsecureIngest:               ch.InsecureIngest,
		SRTPassphrase:                ch.SRT.Passphrase,
		Multitrack:                   ch.Multitrack,
		ContainerFormat:              ch.ContainerFormat,
		RecordingConfigurationARN:    ch.RecordingConfigurationARN,
		PlaybackRestrictionPolicyARN: ch.PlaybackRestrictionPolicyARN,
		AdConfigurationARN:           ch.AdConfigurationARN,
		Tags:                         someTags(ch.Tags),
	}
}

func (r *channelRow) channel() resource.Channel {
	return resource.Channel{
		ARN:                          r.ARN,
		Name:                         r.Name,
		LatencyMode:                  r.LatencyMode,
		Type:                         r.Type,
		Preset:                       r.Preset,
		Authorized:                   r.Authorized,
		InsecureIngest:               r.InsecureIngest,
		SRT:                          resource.SRT{Passphrase: r.SRTPassphrase},
		Multitrack:                   r.Multitrack,
		ContainerFormat:              r.ContainerFormat,
		RecordingConfigurationARN:    r.RecordingConfigurationARN,
		PlaybackRestrictionPolicyARN: r.PlaybackRestrictionPolicyARN,
		AdConfigurationARN:           r.AdConfigurationARN,
		Tags:                         r.Tags,
	}
}

// CreateChannel stores a channel together with its stream key. It is NotFound
// when the channel refers to something that does not exist, QuotaExceeded when
// there are as many as may be. Endpoints and the playback URL are not stored.
func (s *Store) CreateChannel(ctx context.Context, ch resource.Channel, key resource.StreamKey) error {
	return s.change(ctx, fmt.Sprintf("create channel %s", ch.ARN), func(ctx context.Context, tx bun.Tx) error {
		if err := checkReferences(ctx, tx, &ch); err != nil {
			return err
		}
		if err := underQuota[channelRow](ctx, tx, s.quotas.Channels, "channels", nil); err != nil {
			return err
		}
		seq, err := reserve(ctx, tx, 1)
		if err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(newChannelRow(position{seq}, &ch)).Exec(ctx); err != nil {
			return err
		}
		key.ChannelARN = ch.ARN
		return insertStreamKey(ctx, tx, &key)
	})
}

// Channel reads a channel; NotFound when there is none.
func (s *Store) Channel(ctx context.Context, arn resource.ARN) (resource.Channel, error) {
	row, err := find[channelRow](ctx, s.reader, arn)
	if err != nil {
		return resource.Channel{}, explain(err, fmt.Sprintf("read channel %s", arn))
	}
	return row.channel(), nil
}

// Channels reads those of arns that exist, in any order.
func (s *Store) Channels(ctx context.Context, arns []resource.ARN) ([]resource.Channel, error) {
	rows, err := findAll[channelRow](ctx, s.reader, arns)
	return convert(rows, (*channelRow).channel), explain(err, "read channels")
}

// ListChannels lists the channels that pass every member of f, oldest first.
func (s *Store) ListChannels(ctx context.Context, f resource.ChannelFilter, p resource.Page) ([]resource.Channel, string, error) {
	rows, next, err := list[channelRow](ctx, s.reader, p, oldestFirst, func(q *bun.SelectQuery) *bun.SelectQuery {
		if f.Name != "" {
			q = q.Where("name = ?", f.Name)
		}
		if f.RecordingConfigurationARN != "" {
			q = q.Where("recording_configuration_arn = ?", f.RecordingConfigurationARN)
		}
		if f.PlaybackRestrictionPolicyARN != "" {
			q = q.Where("playback_restriction_policy_arn = ?", f.PlaybackRestrictionPolicyARN)
		}
		if f.AdConfigurationARN != "" {
			q = q.Where("ad_configuration_arn = ?", f.AdConfigurationARN)
		}
		return q
	})
	return convert(rows, (*channelRow).channel), next, explain(err, "list channels")
}

// UpdateChannel reads a channel, lets change alter it, and stores the result
// unless change returned an error, which is then returned as it is. It is a
// Conflict while the channel is live, and NotFound when the channel, or what it
// refers to afterwards, does not exist. No other change to the database happens
// meanwhile, and change must not call the Store. The ARN stays what it was.
func (s *Store) UpdateChannel(ctx context.Context, arn resource.ARN, change func(*resource.Channel) error) (resource.Channel, error) {
	var after *channelRow
	err := s.change(ctx, fmt.Sprintf("update channel %s", arn), func(ctx context.Context, tx bun.Tx) error {
		before, err := findOffline(ctx, tx, arn)
		if err != nil {
			return err
		}
		ch := before.channel()
		if err := change(&ch); err != nil {
			return err
		}
		ch.ARN = arn
		if err := checkReferences(ctx, tx, &ch); err != nil {
			return err
		}
		after = newChannelRow(before.position, &ch)
		_, err = tx.NewUpdate().Model(after).WherePK().Exec(ctx)
		return err
	})
	if err != nil {
		return resource.Channel{}, err
	}
	return after.channel(), nil
}

// DeleteChannel deletes a channel and its stream keys. Sessions, recordings and
// events stay. It is a Conflict while the channel is live.
func (s *Store) DeleteChannel(ctx context.Context, arn resource.ARN) error {
	return s.change(ctx, fmt.Sprintf("delete channel %s", arn), func(ctx context.Context, tx bun.Tx) error {
		if _, err := findOffline(ctx, tx, arn); err != nil {
			return err
		}
		return remove[channelRow](ctx, tx, arn) // keys follow by their foreign key
	})
}

// findOffline reads a channel that is about to change: it must not be live.
func findOffline(ctx context.Context, tx bun.Tx, arn resource.ARN) (*channelRow, error) {
	row, err := find[channelRow](ctx, tx, arn)
	if err != nil {
		return nil, err
	}
	live, err := tx.NewSelect().Model((*streamRow)(nil)).
		Where("channel_arn = ?", arn).Where("ended_at IS NULL").Exists(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for a live stream: %w", err)
	}
	if live {
		return nil, resource.Errorf(resource.Conflict,
			"Channel: %s is live; stop its stream, wait for its end and try again", arn)
	}
	return row, nil
}

// checkReferences is NotFound when ch refers to something that does not exist.
func checkReferences(ctx context.Context, tx bun.Tx, ch *resource.Channel) error {
	for _, r := range []struct {
		arn resource.ARN
		row any
	}{
		{ch.RecordingConfigurationARN, (*recordingConfigurationRow)(nil)},
		{ch.PlaybackRestrictionPolicyARN, (*playbackRestrictionPolicyRow)(nil)},
		{ch.AdConfigurationARN, (*adConfigurationRow)(nil)},
	} {
		if r.arn == "" {
			continue
		}
		exists, err := tx.NewSelect().Model(r.row).Where("arn = ?", r.arn).Exists(ctx)
		if err != nil {
			return fmt.Errorf("look for %s: %w", r.arn, err)
		}
		if !exists {
			return resource.NotFoundError(r.arn)
		}
	}
	return nil
}

// checkUnused is a Conflict when a channel refers to arn by a column.
func checkUnused(ctx context.Context, tx bun.Tx, column string, arn resource.ARN) error {
	user := new(channelRow)
	err := tx.NewSelect().Model(user).Column("arn").Where("? = ?", bun.Ident(column), arn).Limit(1).Scan(ctx)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("look for a channel that uses it: %w", err)
	}
	return resource.Errorf(resource.Conflict, "Resource: %s is in use by channel %s; detach it first", arn, user.ARN)
}
