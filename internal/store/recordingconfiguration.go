package store

import (
	"context"
	"fmt"

	"anabranch/internal/resource"

	"github.com/uptrace/bun"
)

// recordingConfigurationRow is a recording configuration as stored. It never
// changes but for its state and tags.
type recordingConfigurationRow struct {
	bun.BaseModel `bun:"table:recording_configurations"`
	position
	ARN                    resource.ARN                         `bun:"arn,pk"`
	Name                   string                               `bun:"name"`
	Destination            resource.DestinationConfiguration    `bun:"destination"`
	State                  resource.RecordingConfigurationState `bun:"state"`
	Thumbnail              resource.ThumbnailConfiguration      `bun:"thumbnail"`
	ReconnectWindowSeconds int                                  `bun:"reconnect_window_seconds"`
	Rendition              resource.RenditionConfiguration      `bun:"rendition"`
	Tags                   resource.Tags                        `bun:"tags"`
}

func (r *recordingConfigurationRow) recordingConfiguration() resource.RecordingConfiguration {
	return resource.RecordingConfiguration{
		ARN:                    r.ARN,
		Name:                   r.Name,
		Destination:            r.Destination,
		State:                  r.State,
		Thumbnail:              r.Thumbnail,
		ReconnectWindowSeconds: r.ReconnectWindowSeconds,
		Rendition:              r.Rendition,
		Tags:                   r.Tags,
	}
}

// CreateRecordingConfiguration stores a recording configuration. It is
// QuotaExceeded when there are as many as may be.
func (s *Store) CreateRecordingConfiguration(ctx context.Context, rc resource.RecordingConfiguration) error {
	return s.change(ctx, fmt.Sprintf("create recording configuration %s", rc.ARN), func(ctx context.Context, tx bun.Tx) error {
		if err := underQuota[recordingConfigurationRow](ctx, tx, s.quotas.RecordingConfigurations, "recording configurations", nil); err != nil {
			return err
		}
		seq, err := reserve(ctx, tx, 1)
		if err != nil {
			return err
		}
		_, err = tx.NewInsert().Model(&recordingConfigurationRow{
			position:               position{seq},
			ARN:                    rc.ARN,
			Name:                   rc.Name,
			Destination:            rc.Destination,
			State:                  rc.State,
			Thumbnail:              rc.Thumbnail,
			ReconnectWindowSeconds: rc.ReconnectWindowSeconds,
			Rendition:              rc.Rendition,
			Tags:                   someTags(rc.Tags),
		}).Exec(ctx)
		return err
	})
}

// RecordingConfiguration reads one; NotFound when there is none.
func (s *Store) RecordingConfiguration(ctx context.Context, arn resource.ARN) (resource.RecordingConfiguration, error) {
	row, err := find[recordingConfigurationRow](ctx, s.reader, arn)
	if err != nil {
		return resource.RecordingConfiguration{}, explain(err, fmt.Sprintf("read recording configuration %s", arn))
	}
	return row.recordingConfiguration(), nil
}

// ListRecordingConfigurations lists them all, oldest first.
func (s *Store) ListRecordingConfigurations(ctx context.Context, p resource.Page) ([]resource.RecordingConfiguration, string, error) {
	rows, next, err := list[recordingConfigurationRow](ctx, s.reader, p, oldestFirst, everything)
	return convert(rows, (*recordingConfigurationRow).recordingConfiguration), next, explain(err, "list recording configurations")
}

// DeleteRecordingConfiguration deletes one. It is a Conflict while a channel
// refers to it.
func (s *Store) DeleteRecordingConfiguration(ctx context.Context, arn resource.ARN) error {
	return s.change(ctx, fmt.Sprintf("delete recording configuration %s", arn), func(ctx context.Context, tx bun.Tx) error {
		if err := checkUnused(ctx, tx, "recording_configuration_arn", arn); err != nil {
			return err
		}
		return remove[recordingConfigurationRow](ctx, tx, arn)
	})
}

// PendingRecordingConfigurations reads those in state CREATING, oldest first.
func (s *Store) PendingRecordingConfigurations(ctx context.Context) ([]resource.RecordingConfiguration, error) {
	var rows []recordingConfigurationRow
	err := s.reader.NewSelect().Model(&rows).Where("state = ?", resource.Creating).Order("seq").Scan(ctx)
	return convert(rows, (*recordingConfigurationRow).recordingConfiguration), explain(err, "read pending recording configurations")
}

// SettleRecordingConfiguration stores what became of a recording configuration;
// NotFound when it was deleted meanwhile.
func (s *Store) SettleRecordingConfiguration(ctx context.Context, arn resource.ARN, state resource.RecordingConfigurationState) error {
	return s.change(ctx, fmt.Sprintf("settle recording configuration %s", arn), func(ctx context.Context, tx bun.Tx) error {
		row, err := find[recordingConfigurationRow](ctx, tx, arn)
		if err != nil {
			return err
		}
		row.State = state
		_, err = tx.NewUpdate().Model(row).Column("state").WherePK().Exec(ctx)
		return err
	})
}
