package store

import (
	"context"
	"fmt"

	"anabranch/internal/resource"

	"github.com/uptrace/bun"
)

// encoderConfigurationRow is an encoder configuration as stored. It never
// changes but for its tags.
type encoderConfigurationRow struct {
	bun.BaseModel `bun:"table:encoder_configurations"`
	position
	ARN   resource.ARN   `bun:"arn,pk"`
	Name  string         `bun:"name"`
	Video resource.Video `bun:"video"`
	Tags  resource.Tags  `bun:"tags"`
}

func (r *encoderConfigurationRow) encoderConfiguration() resource.EncoderConfiguration {
	return resource.EncoderConfiguration{ARN: r.ARN, Name: r.Name, Video: r.Video, Tags: r.Tags}
}

// CreateEncoderConfiguration stores an encoder configuration. It is
// QuotaExceeded when there are as many as may be.
func (s *Store) CreateEncoderConfiguration(ctx context.Context, c resource.EncoderConfiguration) error {
	return s.change(ctx, fmt.Sprintf("create encoder configuration %s", c.ARN), func(ctx context.Context, tx bun.Tx) error {
		if err := underQuota[encoderConfigurationRow](ctx, tx, s.quotas.EncoderConfigurations, "encoder configurations", nil); err != nil {
			return err
		}
		seq, err := reserve(ctx, tx, 1)
		if err != nil {
			return err
		}
		_, err = tx.NewInsert().Model(&encoderConfigurationRow{
			position: position{seq}, ARN: c.ARN, Name: c.Name, Video: c.Video, Tags: someTags(c.Tags),
		}).Exec(ctx)
		return err
	})
}

// EncoderConfiguration reads one; NotFound when there is none.
func (s *Store) EncoderConfiguration(ctx context.Context, arn resource.ARN) (resource.EncoderConfiguration, error) {
	row, err := find[encoderConfigurationRow](ctx, s.reader, arn)
	if err != nil {
		return resource.EncoderConfiguration{}, explain(err, fmt.Sprintf("read encoder configuration %s", arn))
	}
	return row.encoderConfiguration(), nil
}

// ListEncoderConfigurations lists them all, oldest first.
func (s *Store) ListEncoderConfigurations(ctx context.Context, p resource.Page) ([]resource.EncoderConfiguration, string, error) {
	rows, next, err := list[encoderConfigurationRow](ctx, s.reader, p, oldestFirst, everything)
	return convert(rows, (*encoderConfigurationRow).encoderConfiguration), next, explain(err, "list encoder configurations")
}

// DeleteEncoderConfiguration deletes one; NotFound when there is none.
func (s *Store) DeleteEncoderConfiguration(ctx context.Context, arn resource.ARN) error {
	return s.change(ctx, fmt.Sprintf("delete encoder configuration %s", arn), func(ctx context.Context, tx bun.Tx) error {
		return remove[encoderConfigurationRow](ctx, tx, arn)
	})
}
