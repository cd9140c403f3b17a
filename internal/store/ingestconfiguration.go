package store

import (
	"context"
	"fmt"
	"slices"

	"anabranch/internal/resource"

	"github.com/uptrace/bun"
)

// ingestConfigurationRow is an ingest configuration as stored.
type ingestConfigurationRow struct {
	bun.BaseModel `bun:"table:ingest_configurations"`
	position
	ARN             resource.ARN                      `bun:"arn,pk"`
	Name            string                            `bun:"name"`
	Protocol        resource.IngestProtocol           `bun:"protocol"`
	InsecureIngest  bool                              `bun:"insecure_ingest"`
	StreamKey       string                            `bun:"stream_key"`
	StageARN        resource.ARN                      `bun:"stage_arn,nullzero"`
	ParticipantID   string                            `bun:"participant_id"`
	State           resource.IngestConfigurationState `bun:"state"`
	UserID          string                            `bun:"user_id"`
	RedundantIngest bool                              `bun:"redundant_ingest"`
	Credentials     []resource.IngestCredential       `bun:"credentials"`
	Attributes      map[string]string                 `bun:"attributes"`
	Tags            resource.Tags                     `bun:"tags"`
}

func newIngestConfigurationRow(p position, c *resource.IngestConfiguration) *ingestConfigurationRow {
	return &ingestConfigurationRow{
		position:        p,
		ARN:             c.ARN,
		Name:            c.Name,
		Protocol:        c.Protocol,
		InsecureIngest:  c.InsecureIngest,
		StreamKey:       c.StreamKey,
		StageARN:        c.StageARN,
		ParticipantID:   c.ParticipantID,
		State:           c.State,
		UserID:          c.UserID,
		RedundantIngest: c.RedundantIngest,
		Credentials:     append([]resource.IngestCredential{}, c.Credentials...), // never nil, which would be NULL
		Attributes:      someTags(c.Attributes),
		Tags:            someTags(c.Tags),
	}
}

func (r *ingestConfigurationRow) ingestConfiguration() resource.IngestConfiguration {
	return resource.IngestConfiguration{
		ARN:             r.ARN,
		Name:            r.Name,
		Protocol:        r.Protocol,
		InsecureIngest:  r.InsecureIngest,
		StreamKey:       r.StreamKey,
		StageARN:        r.StageARN,
		ParticipantID:   r.ParticipantID,
		State:           r.State,
		UserID:          r.UserID,
		RedundantIngest: r.RedundantIngest,
		Credentials:     r.Credentials,
		Attributes:      r.Attributes,
		Tags:            r.Tags,
	}
}

// CreateIngestConfiguration stores an ingest configuration. It is Invalid when
// the stage does not exist, QuotaExceeded when there are as many as may be.
func (s *Store) CreateIngestConfiguration(ctx context.Context, c resource.IngestConfiguration) error {
	return s.change(ctx, fmt.Sprintf("create ingest configuration %s", c.ARN), func(ctx context.Context, tx bun.Tx) error {
		if c.StageARN != "" {
			if err := checkNamed[stageRow](ctx, tx, "stageArn", c.StageARN); err != nil {
				return err
			}
		}
		if err := underQuota[ingestConfigurationRow](ctx, tx, s.quotas.IngestConfigurations, "ingest configurations", nil); err != nil {
			return err
		}
		seq, err := reserve(ctx, tx, 1)
		if err != nil {
			return err
		}
		_, err = tx.NewInsert().Model(newIngestConfigurationRow(position{seq}, &c)).Exec(ctx)
		return err
	})
}

// IngestConfiguration reads one; NotFound when there is none.
func (s *Store) IngestConfiguration(ctx context.Context, arn resource.ARN) (resource.IngestConfiguration, error) {
	row, err := find[ingestConfigurationRow](ctx, s.reader, arn)
	if err != nil {
		return resource.IngestConfiguration{}, explain(err, fmt.Sprintf("read ingest configuration %s", arn))
	}
	return row.ingestConfiguration(), nil
}

// ListIngestConfigurations lists those that pass every member of f, oldest
// first.
func (s *Store) ListIngestConfigurations(ctx context.Context, f resource.IngestConfigurationFilter,
	p resource.Page) ([]resource.IngestConfiguration, string, error) {

	rows, next, err := list[ingestConfigurationRow](ctx, s.reader, p, oldestFirst, func(q *bun.SelectQuery) *bun.SelectQuery {
		if f.StageARN != "" {
			q = q.Where("stage_arn = ?", f.StageARN)
		}
		if f.State != "" {
			q = q.Where("state = ?", f.State)
		}
		return q
	})
	return convert(rows, (*ingestConfigurationRow).ingestConfiguration), next, explain(err, "list ingest configurations")
}

// UpdateIngestConfiguration reads an ingest configuration, lets change alter
// it, and stores the result unless change returned an error, which is then
// returned as it is. It is NotFound when there is none, a Conflict while it is
// ACTIVE, and Invalid when the stage does not exist. It keeps to what
// [Store.UpdateChannel] says of change.
func (s *Store) UpdateIngestConfiguration(ctx context.Context, arn resource.ARN,
	change func(*resource.IngestConfiguration) error) (resource.IngestConfiguration, error) {

	var after *ingestConfigurationRow
	err := s.change(ctx, fmt.Sprintf("update ingest configuration %s", arn), func(ctx context.Context, tx bun.Tx) error {
		before, err := find[ingestConfigurationRow](ctx, tx, arn)
		if err != nil {
			return err
		}
		if before.State == resource.IngestActive {
			return ingestIsActive(arn)
		}
		c := before.ingestConfiguration()
		if err := change(&c); err != nil {
			return err
		}
		c.ARN = arn
		if c.StageARN != "" && c.StageARN != before.StageARN {
			if err := checkNamed[stageRow](ctx, tx, "stageArn", c.StageARN); err != nil {
				return err
			}
		}
		after = newIngestConfigurationRow(before.position, &c)
		_, err = tx.NewUpdate().Model(after).WherePK().Exec(ctx)
		return err
	})
	if err != nil {
		return resource.IngestConfiguration{}, err
	}
	return after.ingestConfiguration(), nil
}

// DeleteIngestConfiguration deletes one. It is a Conflict while it is ACTIVE,
// unless force says that whoever publishes by it is disconnected.
func (s *Store) DeleteIngestConfiguration(ctx context.Context, arn resource.ARN, force bool) error {
	return s.change(ctx, fmt.Sprintf("delete ingest configuration %s", arn), func(ctx context.Context, tx bun.Tx) error {
		row, err := find[ingestConfigurationRow](ctx, tx, arn)
		if err != nil {
			return err
		}
		if row.State == resource.IngestActive && !force {
			return ingestIsActive(arn)
		}
		return remove[ingestConfigurationRow](ctx, tx, arn)
	})
}

// detachIngest takes the ingest configuration by which a participant publishes,
// if by any, off its stage.
func detachIngest(ctx context.Context, tx bun.Tx, stage resource.ARN, participantID string) error {
	var rows []ingestConfigurationRow
	if err := tx.NewSelect().Model(&rows).Where("stage_arn = ?", stage).Scan(ctx); err != nil {
		return fmt.Errorf("look for its ingest configuration: %w", err)
	}
	for i := range rows {
		r := &rows[i]
		if r.ParticipantID != participantID && !slices.ContainsFunc(r.Credentials,
			func(c resource.IngestCredential) bool { return c.ParticipantID == participantID }) {
			continue
		}
		r.StageARN, r.State = "", resource.IngestInactive
		if _, err := tx.NewUpdate().Model(r).Column("stage_arn", "state").WherePK().Exec(ctx); err != nil {
			return fmt.Errorf("detach %s: %w", r.ARN, err)
		}
	}
	return nil
}

func ingestIsActive(arn resource.ARN) error {
	return resource.Errorf(resource.Conflict, "Resource: %s is active; disconnect its publisher and try again", arn)
}
