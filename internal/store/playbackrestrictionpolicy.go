package store

import (
	"context"
	"fmt"

	"anabranch/internal/resource"

	"github.com/uptrace/bun"
)

// playbackRestrictionPolicyRow is a playback restriction policy as stored.
type playbackRestrictionPolicyRow struct {
	bun.BaseModel `bun:"table:playback_restriction_policies"`
	position
	ARN                     resource.ARN  `bun:"arn,pk"`
	Name                    string        `bun:"name"`
	AllowedCountries        []string      `bun:"allowed_countries"`
	AllowedOrigins          []string      `bun:"allowed_origins"`
	StrictOriginEnforcement bool          `bun:"strict_origin_enforcement"`
	Tags                    resource.Tags `bun:"tags"`
}

func newPlaybackRestrictionPolicyRow(at position, p *resource.PlaybackRestrictionPolicy) *playbackRestrictionPolicyRow {
	return &playbackRestrictionPolicyRow{
		position:                at,
		ARN:                     p.ARN,
		Name:                    p.Name,
		AllowedCountries:        append([]string{}, p.AllowedCountries...), // never nil, which would be NULL
		AllowedOrigins:          append([]string{}, p.AllowedOrigins...),
		StrictOriginEnforcement: p.EnableStrictOriginEnforcement,
		Tags:                    someTags(p.Tags),
	}
}

func (r *playbackRestrictionPolicyRow) playbackRestrictionPolicy() resource.PlaybackRestrictionPolicy {
	return resource.PlaybackRestrictionPolicy{
		ARN:                           r.ARN,
		Name:                          r.Name,
		AllowedCountries:              r.AllowedCountries,
		AllowedOrigins:                r.AllowedOrigins,
		EnableStrictOriginEnforcement: r.StrictOriginEnforcement,
		Tags:                          r.Tags,
	}
}

// CreatePlaybackRestrictionPolicy stores a policy. It is QuotaExceeded when there
// are as many as may be.
func (s *Store) CreatePlaybackRestrictionPolicy(ctx context.Context, p resource.PlaybackRestrictionPolicy) error {
	return s.change(ctx, fmt.Sprintf("create playback restriction policy %s", p.ARN), func(ctx context.Context, tx bun.Tx) error {
		if err := underQuota[playbackRestrictionPolicyRow](ctx, tx, s.quotas.PlaybackRestrictionPolicies, "playback restriction policies", nil); err != nil {
			return err
		}
		seq, err := reserve(ctx, tx, 1)
		if err != nil {
			return err
		}
		_, err = tx.NewInsert().Model(newPlaybackRestrictionPolicyRow(position{seq}, &p)).Exec(ctx)
		return err
	})
}

// PlaybackRestrictionPolicy reads one; NotFound when there is none.
func (s *Store) PlaybackRestrictionPolicy(ctx context.Context, arn resource.ARN) (resource.PlaybackRestrictionPolicy, error) {
	row, err := find[playbackRestrictionPolicyRow](ctx, s.reader, arn)
	if err != nil {
		return resource.PlaybackRestrictionPolicy{}, explain(err, fmt.Sprintf("read playback restriction policy %s", arn))
	}
	return row.playbackRestrictionPolicy(), nil
}

// AllPlaybackRestrictionPolicies reads them all, oldest first.
func (s *Store) AllPlaybackRestrictionPolicies(ctx context.Context) ([]resource.PlaybackRestrictionPolicy, error) {
	rows, err := all[playbackRestrictionPolicyRow](ctx, s.reader)
	return convert(rows, (*playbackRestrictionPolicyRow).playbackRestrictionPolicy), explain(err, "read playback restriction policies")
}

// ListPlaybackRestrictionPolicies lists them all, oldest first.
func (s *Store) ListPlaybackRestrictionPolicies(ctx context.Context, p resource.Page) ([]resource.PlaybackRestrictionPolicy, string, error) {
	rows, next, err := list[playbackRestrictionPolicyRow](ctx, s.reader, p, oldestFirst, everything)
	return convert(rows, (*playbackRestrictionPolicyRow).playbackRestrictionPolicy), next, explain(err, "list playback restriction policies")
}

// UpdatePlaybackRestrictionPolicy reads a policy, lets change alter it, and
// stores the result unless change returned an error, which is then returned as
// it is. It is NotFound when there is none. It keeps to what [Store.UpdateChannel]
// says of change.
func (s *Store) UpdatePlaybackRestrictionPolicy(ctx context.Context, arn resource.ARN,
	change func(*resource.PlaybackRestrictionPolicy) error) (resource.PlaybackRestrictionPolicy, error) {

	var after *playbackRestrictionPolicyRow
	err := s.change(ctx, fmt.Sprintf("update playback restriction policy %s", arn), func(ctx context.Context, tx bun.Tx) error {
		before, err := find[playbackRestrictionPolicyRow](ctx, tx, arn)
		if err != nil {
			return err
		}
		p := before.playbackRestrictionPolicy()
		if err := change(&p); err != nil {
			return err
		}
		p.ARN = arn
		after = newPlaybackRestrictionPolicyRow(before.position, &p)
		_, err = tx.NewUpdate().Model(after).WherePK().Exec(ctx)
		return err
	})
	if err != nil {
		return resource.PlaybackRestrictionPolicy{}, err
	}
	return after.playbackRestrictionPolicy(), nil
}

// DeletePlaybackRestrictionPolicy deletes one. It is a Conflict while a channel
// refers to it.
func (s *Store) DeletePlaybackRestrictionPolicy(ctx context.Context, arn resource.ARN) error {
	return s.change(ctx, fmt.Sprintf("delete playback restriction policy %s", arn), func(ctx context.Context, tx bun.Tx) error {
		if err := checkUnused(ctx, tx, "playback_restriction_policy_arn", arn); err != nil {
			return err
		}
		return remove[playbackRestrictionPolicyRow](ctx, tx, arn)
	})
}
