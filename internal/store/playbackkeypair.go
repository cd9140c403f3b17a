package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"anabranch/internal/resource"

	"github.com/uptrace/bun"
)

// playbackKeyPairRow is a playback key pair as stored. It never changes but for
// its tags.
type playbackKeyPairRow struct {
	bun.BaseModel `bun:"table:playback_key_pairs"`
	position
	ARN         resource.ARN  `bun:"arn,pk"`
	Name        string        `bun:"name"`
	Fingerprint string        `bun:"fingerprint"`
	PublicKey   string        `bun:"public_key"`
	Tags        resource.Tags `bun:"tags"`
}

func (r *playbackKeyPairRow) playbackKeyPair() resource.PlaybackKeyPair {
	return resource.PlaybackKeyPair{ARN: r.ARN, Name: r.Name, Fingerprint: r.Fingerprint, PublicKey: r.PublicKey, Tags: r.Tags}
}

// ImportPlaybackKeyPair stores a key pair. It is a Conflict when its key is
// stored already, QuotaExceeded when there are as many as may be.
func (s *Store) ImportPlaybackKeyPair(ctx context.Context, k resource.PlaybackKeyPair) error {
	return s.change(ctx, fmt.Sprintf("import playback key pair %s", k.ARN), func(ctx context.Context, tx bun.Tx) error {
		if err := noSameKey[playbackKeyPairRow](ctx, tx, k.Fingerprint); err != nil {
			return err
		}
		if err := underQuota[playbackKeyPairRow](ctx, tx, s.quotas.PlaybackKeyPairs, "playback key pairs", nil); err != nil {
			return err
		}
		seq, err := reserve(ctx, tx, 1)
		if err != nil {
			return err
		}
		_, err = tx.NewInsert().Model(&playbackKeyPairRow{
			position:    position{seq},
			ARN:         k.ARN,
			Name:        k.Name,
			Fingerprint: k.Fingerprint,
			PublicKey:   k.PublicKey,
			Tags:        someTags(k.Tags),
		}).Exec(ctx)
		return err
	})
}

// PlaybackKeyPair reads one; NotFound when there is none.
func (s *Store) PlaybackKeyPair(ctx context.Context, arn resource.ARN) (resource.PlaybackKeyPair, error) {
	row, err := find[playbackKeyPairRow](ctx, s.reader, arn)
	if err != nil {
		return resource.PlaybackKeyPair{}, explain(err, fmt.Sprintf("read playback key pair %s", arn))
	}
	return row.playbackKeyPair(), nil
}

// AllPlaybackKeyPairs reads them all, oldest first.
func (s *Store) AllPlaybackKeyPairs(ctx context.Context) ([]resource.PlaybackKeyPair, error) {
	rows, err := all[playbackKeyPairRow](ctx, s.reader)
	return convert(rows, (*playbackKeyPairRow).playbackKeyPair), explain(err, "read playback key pairs")
}

// ListPlaybackKeyPairs lists them all, oldest first.
func (s *Store) ListPlaybackKeyPairs(ctx context.Context, p resource.Page) ([]resource.PlaybackKeyPair, string, error) {
	rows, next, err := list[playbackKeyPairRow](ctx, s.reader, p, oldestFirst, everything)
	return convert(rows, (*playbackKeyPairRow).playbackKeyPair), next, explain(err, "list playback key pairs")
}

// DeletePlaybackKeyPair deletes one; NotFound when there is none.
func (s *Store) DeletePlaybackKeyPair(ctx context.Context, arn resource.ARN) error {
	return s.change(ctx, fmt.Sprintf("delete playback key pair %s", arn), func(ctx context.Context, tx bun.Tx) error {
		return remove[playbackKeyPairRow](ctx, tx, arn)
	})
}

// noSameKey is a Conflict when a key of that fingerprint is stored already.
func noSameKey[R any](ctx context.Context, tx bun.Tx, fingerprint string) error {
	var same resource.ARN
	err := tx.NewSelect().Model((*R)(nil)).Column("arn").Where("fingerprint = ?", fingerprint).Scan(ctx, &same)
	switch {
	case err == nil:
		return resource.Errorf(resource.Conflict, "publicKeyMaterial: the key is imported already, as %s", same)
	case !errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("look for the same key: %w", err)
	}
	return nil
}
