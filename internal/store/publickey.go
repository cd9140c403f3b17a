package store

import (
	"context"
	"fmt"

	"anabranch/internal/resource"

	"github.com/uptrace/bun"
)

// publicKeyRow is a public key as stored. It never changes but for its tags.
type publicKeyRow struct {
	bun.BaseModel `bun:"table:public_keys"`
	position
	ARN         resource.ARN  `bun:"arn,pk"`
	Name        string        `bun:"name"`
	Fingerprint string        `bun:"fingerprint"`
	Material    string        `bun:"material"`
	Tags        resource.Tags `bun:"tags"`
}

func (r *publicKeyRow) publicKey() resource.PublicKey {
	return resource.PublicKey{ARN: r.ARN, Name: r.Name, Fingerprint: r.Fingerprint, Material: r.Material, Tags: r.Tags}
}

// ImportPublicKey stores a public key. It is a Conflict when it is stored
// already, QuotaExceeded when there are as many as may be.
func (s *Store) ImportPublicKey(ctx context.Context, k resource.PublicKey) error {
	return s.change(ctx, fmt.Sprintf("import public key %s", k.ARN), func(ctx context.Context, tx bun.Tx) error {
		if err := noSameKey[publicKeyRow](ctx, tx, k.Fingerprint); err != nil {
			return err
		}
		if err := underQuota[publicKeyRow](ctx, tx, s.quotas.PublicKeys, "public keys", nil); err != nil {
			return err
		}
		seq, err := reserve(ctx, tx, 1)
		if err != nil {
			return err
		}
		_, err = tx.NewInsert().Model(&publicKeyRow{
			position: position{seq}, ARN: k.ARN, Name: k.Name, Fingerprint: k.Fingerprint, Material: k.Material, Tags: someTags(k.Tags),
		}).Exec(ctx)
		return err
	})
}

// PublicKey reads one; NotFound when there is none.
func (s *Store) PublicKey(ctx context.Context, arn resource.ARN) (resource.PublicKey, error) {
	row, err := find[publicKeyRow](ctx, s.reader, arn)
	if err != nil {
		return resource.PublicKey{}, explain(err, fmt.Sprintf("read public key %s", arn))
	}
	return row.publicKey(), nil
}

// ListPublicKeys lists them all, oldest first.
func (s *Store) ListPublicKeys(ctx context.Context, p resource.Page) ([]resource.PublicKey, string, error) {
	rows, next, err := list[publicKeyRow](ctx, s.reader, p, oldestFirst, everything)
	return convert(rows, (*publicKeyRow).publicKey), next, explain(err, "list public keys")
}

// DeletePublicKey deletes one; NotFound when there is none.
func (s *Store) DeletePublicKey(ctx context.Context, arn resource.ARN) error {
	return s.change(ctx, fmt.Sprintf("delete public key %s", arn), func(ctx context.Context, tx bun.Tx) error {
		return remove[publicKeyRow](ctx, tx, arn)
	})
}
