package store

import (
	"context"
	"fmt"

	"anabranch/internal/resource"

	"github.com/uptrace/bun"
)

// adConfigurationRow is an ad configuration as stored.
type adConfigurationRow struct {
	bun.BaseModel `bun:"table:ad_configurations"`
	position
	ARN         resource.ARN                                `bun:"arn,pk"`
	Name        string                                      `bun:"name"`
	MediaTailor []resource.MediaTailorPlaybackConfiguration `bun:"mediatailor"`
	PostRoll    resource.PostRollConfiguration              `bun:"post_roll"`
	Tags        resource.Tags                               `bun:"tags"`
}

func newAdConfigurationRow(p position, c *resource.AdConfiguration) *adConfigurationRow {
	return &adConfigurationRow{
		position:    p,
		ARN:         c.ARN,
		Name:        c.Name,
		MediaTailor: append([]resource.MediaTailorPlaybackConfiguration{}, c.MediaTailor...), // never nil, which would be NULL
		PostRoll:    c.PostRoll,
		Tags:        someTags(c.Tags),
	}
}

func (r *adConfigurationRow) adConfiguration() resource.AdConfiguration {
	return resource.AdConfiguration{ARN: r.ARN, Name: r.Name, MediaTailor: r.MediaTailor, PostRoll: r.PostRoll, Tags: r.Tags}
}

// CreateAdConfiguration stores an ad configuration. It is QuotaExceeded when
// there are as many as may be.
func (s *Store) CreateAdConfiguration(ctx context.Context, c resource.AdConfiguration) error {
	return s.change(ctx, fmt.Sprintf("create ad configuration %s", c.ARN), func(ctx context.Context, tx bun.Tx) error {
		if err := underQuota[adConfigurationRow](ctx, tx, s.quotas.AdConfigurations, "ad configurations", nil); err != nil {
			return err
		}
		seq, err := reserve(ctx, tx, 1)
		if err != nil {
			return err
		}
		_, err = tx.NewInsert().Model(newAdConfigurationRow(position{seq}, &c)).Exec(ctx)
		return err
	})
}

// AdConfiguration reads one; NotFound when there is none.
func (s *Store) AdConfiguration(ctx context.Context, arn resource.ARN) (resource.AdConfiguration, error) {
	row, err := find[adConfigurationRow](ctx, s.reader, arn)
	if err != nil {
		return resource.AdConfiguration{}, explain(err, fmt.Sprintf("read ad configuration %s", arn))
	}
	return row.adConfiguration(), nil
}

// ListAdConfigurations lists them all, oldest first.
func (s *Store) ListAdConfigurations(ctx context.Context, p resource.Page) ([]resource.AdConfiguration, string, error) {
	rows, next, err := list[adConfigurationRow](ctx, s.reader, p, oldestFirst, everything)
	return convert(rows, (*adConfigurationRow).adConfiguration), next, explain(err, "list ad configurations")
}

// UpdateAdConfiguration reads an ad configuration, lets change alter it, and
// stores the result unless change returned an error, which is then returned as
// it is. It is NotFound when there is none. It keeps to what
// [Store.UpdateChannel] says of change.
func (s *Store) UpdateAdConfiguration(ctx context.Context, arn resource.ARN,
	change func(*resource.AdConfiguration) error) (resource.AdConfiguration, error) {

	var after *adConfigurationRow
	err := s.change(ctx, fmt.Sprintf("update ad configuration %s", arn), func(ctx context.Context, tx bun.Tx) error {
		before, err := find[adConfigurationRow](ctx, tx, arn)
		if err != nil {
			return err
		}
		c := before.adConfiguration()
		if err := change(&c); err != nil {
			return err
		}
		c.ARN = arn
		after = newAdConfigurationRow(before.position, &c)
		_, err = tx.NewUpdate().Model(after).WherePK().Exec(ctx)
		return err
	})
	if err != nil {
		return resource.AdConfiguration{}, err
	}
	return after.adConfiguration(), nil
}

// DeleteAdConfiguration deletes one. It is a Conflict while a channel refers to
// it.
func (s *Store) DeleteAdConfiguration(ctx context.Context, arn resource.ARN) error {
	return s.change(ctx, fmt.Sprintf("delete ad configuration %s", arn), func(ctx context.Context, tx bun.Tx) error {
		if err := checkUnused(ctx, tx, "ad_configuration_arn", arn); err != nil {
			return err
		}
		return remove[adConfigurationRow](ctx, tx, arn)
	})
}
