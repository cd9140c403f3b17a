package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"anabranch/internal/resource"

	"github.com/uptrace/bun"
)

// storageConfigurationRow is a storage configuration as stored. It never
// changes but for its tags.
type storageConfigurationRow struct {
	bun.BaseModel `bun:"table:storage_configurations"`
	position
	ARN  resource.ARN                    `bun:"arn,pk"`
	Name string                          `bun:"name"`
	S3   resource.S3StorageConfiguration `bun:"s3"`
	Tags resource.Tags                   `bun:"tags"`
}

func (r *storageConfigurationRow) storageConfiguration() resource.StorageConfiguration {
	return resource.StorageConfiguration{ARN: r.ARN, Name: r.Name, S3: r.S3, Tags: r.Tags}
}

// CreateStorageConfiguration stores a storage configuration. It is
// QuotaExceeded when there are as many as may be.
func (s *Store) CreateStorageConfiguration(ctx context.Context, c resource.StorageConfiguration) error {
	return s.change(ctx, fmt.Sprintf("create storage configuration %s", c.ARN), func(ctx context.Context, tx bun.Tx) error {
		if err := underQuota[storageConfigurationRow](ctx, tx, s.quotas.StorageConfigurations, "storage configurations", nil); err != nil {
			return err
		}
		seq, err := reserve(ctx, tx, 1)
		if err != nil {
			return err
		}
		_, err = tx.NewInsert().Model(&storageConfigurationRow{
			position: position{seq}, ARN: c.ARN, Name: c.Name, S3: c.S3, Tags: someTags(c.Tags),
		}).Exec(ctx)
		return err
	})
}

// StorageConfiguration reads one; NotFound when there is none.
func (s *Store) StorageConfiguration(ctx context.Context, arn resource.ARN) (resource.StorageConfiguration, error) {
	row, err := find[storageConfigurationRow](ctx, s.reader, arn)
	if err != nil {
		return resource.StorageConfiguration{}, explain(err, fmt.Sprintf("read storage configuration %s", arn))
	}
	return row.storageConfiguration(), nil
}

// ListStorageConfigurations lists them all, oldest first.
func (s *Store) ListStorageConfigurations(ctx context.Context, p resource.Page) ([]resource.StorageConfiguration, string, error) {
	rows, next, err := list[storageConfigurationRow](ctx, s.reader, p, oldestFirst, everything)
	return convert(rows, (*storageConfigurationRow).storageConfiguration), next, explain(err, "list storage configurations")
}

// DeleteStorageConfiguration deletes one. It is a Conflict while a stage
// records to it.
func (s *Store) DeleteStorageConfiguration(ctx context.Context, arn resource.ARN) error {
	return s.change(ctx, fmt.Sprintf("delete storage configuration %s", arn), func(ctx context.Context, tx bun.Tx) error {
		user := new(stageRow)
		err := tx.NewSelect().Model(user).Column("arn").Where("storage_configuration_arn = ?", arn).Limit(1).Scan(ctx)
		switch {
		case err == nil:
			return resource.Errorf(resource.Conflict, "Resource: %s is in use by stage %s; detach it first", arn, user.ARN)
		case !errors.Is(err, sql.ErrNoRows):
			return fmt.Errorf("look for a stage that uses it: %w", err)
		}
		return remove[storageConfigurationRow](ctx, tx, arn)
	})
}
