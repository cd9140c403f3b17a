package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"anabranch/internal/resource"

	"github.com/uptrace/bun"
)

// revocationRow is what was revoked of a viewer of a channel. Its position is
// that of its last change.
type revocationRow struct {
	bun.BaseModel `bun:"table:revocations"`
	position
	ChannelARN resource.ARN `bun:"channel_arn,pk"`
	ViewerID   string       `bun:"viewer_id,pk"`
	Version    int64        `bun:"version"`
	RevokedAt  int64        `bun:"revoked_at"`
}

func (r *revocationRow) revocation() resource.Revocation {
	return resource.Revocation{ChannelARN: r.ChannelARN, ViewerID: r.ViewerID, Version: r.Version, At: timeOf(r.RevokedAt)}
}

// Revoke stores revocations, all or none. Of those of one viewer of a channel
// the greatest version holds, and the time of the last. Those of more than
// [resource.RevocationsKept] ago are deleted. Whether the channels exist is not
// asked.
func (s *Store) Revoke(ctx context.Context, revocations []resource.Revocation) error {
	return s.change(ctx, "revoke viewer sessions", func(ctx context.Context, tx bun.Tx) error {
		seq, err := reserve(ctx, tx, len(revocations))
		if err != nil {
			return err
		}
		for i, r := range revocations {
			row := &revocationRow{
				position:   position{seq + int64(i)},
				ChannelARN: r.ChannelARN,
				ViewerID:   r.ViewerID,
				Version:    r.Version,
				RevokedAt:  millis(r.At),
			}
			_, err := tx.NewInsert().Model(row).
				On("CONFLICT (channel_arn, viewer_id) DO UPDATE").
				Set("seq = excluded.seq").
				Set("revoked_at = excluded.revoked_at").
				Set("version = CASE WHEN excluded.version > ?TableAlias.version THEN excluded.version ELSE ?TableAlias.version END").
				Exec(ctx)
			if err != nil {
				return fmt.Errorf("insert revocation for %s: %w", r.ChannelARN, err)
			}
		}
		_, err = tx.NewDelete().Model((*revocationRow)(nil)).
			Where("revoked_at < ?", millis(time.Now().Add(-resource.RevocationsKept))).Exec(ctx)
		return err
	})
}

// Revocations reads those that were stored or changed behind position after, in
// that order, and the position of the last; 0 reads them all. Whoever reads on
// from there misses none.
func (s *Store) Revocations(ctx context.Context, after int64) (revocations []resource.Revocation, last int64, err error) {
	var rows []revocationRow
	err = s.reader.NewSelect().Model(&rows).Where("seq > ?", after).Order("seq").Scan(ctx)
	if n := len(rows); n > 0 {
		after = rows[n-1].Seq
	}
	return convert(rows, (*revocationRow).revocation), after, explain(err, fmt.Sprintf("read revocations behind %d", after))
}

// usedTokenRow is a single-use token that was used.
type usedTokenRow struct {
	bun.BaseModel `bun:"table:used_tokens"`
	Digest        string `bun:"digest,pk"` // of channel and UUID, which is any text
	ExpiresAt     int64  `bun:"expires_at"`
}

// usedTokensKept is how long a used token is remembered after it expired: the
// clock may be set back.
const usedTokensKept = time.Hour

// use is a call of UseOnce.
type use struct {
	row   *usedTokenRow
	first bool
	err   error
	done  chan struct{} // closed when it is decided
}

// uses are those that wait for a transaction. All who come before it begins
// share it: a crowd that tunes in at once costs the disk little more than one
// viewer, and other changes need not queue behind each of them.
type uses struct {
	mu      sync.Mutex
	waiting []*use
}

func (u *uses) take() []*use {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := u.waiting
	u.waiting = nil
	return all
}

// UseOnce takes note that the token of a UUID was used for a channel, and says
// whether this was the first time: of several calls one is told so. It is
// remembered until the token has expired. After an error it may be used, or not.
func (s *Store) UseOnce(ctx context.Context, channel resource.ARN, uuid string, expires time.Time) (first bool, err error) {
	sum := sha256.Sum256([]byte(string(channel) + "\n" + uuid)) // no ARN has a line end
	u := &use{row: &usedTokenRow{Digest: hex.EncodeToString(sum[:]), ExpiresAt: millis(expires)}, done: make(chan struct{})}
	s.uses.mu.Lock()
	s.uses.waiting = append(s.uses.waiting, u)
	isFirst := len(s.uses.waiting) == 1
	s.uses.mu.Unlock()
	if isFirst {
		s.useAll(context.WithoutCancel(ctx)) // for the others too
	}
	select {
	case <-u.done:
		return u.first && u.err == nil, u.err
	case <-ctx.Done():
		return false, fmt.Errorf("use single-use token of %s: %w", channel, ctx.Err())
	}
}

// useAll decides all uses that wait when its turn comes.
func (s *Store) useAll(ctx context.Context) {
	var all []*use
	err := s.change(ctx, "use single-use tokens", func(ctx context.Context, tx bun.Tx) error {
		all = append(all, s.uses.take()...)
		for _, u := range all {
			res, err := tx.NewInsert().Model(u.row).On("CONFLICT (digest) DO NOTHING").Exec(ctx)
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			u.first = n > 0
		}
		_, err := tx.NewDelete().Model((*usedTokenRow)(nil)).
			Where("expires_at < ?", millis(time.Now().Add(-usedTokensKept))).Exec(ctx)
		return err
	})
	if len(all) == 0 { // it did not begin
		all = s.uses.take()
	}
	for _, u := range all {
		u.err = err
		close(u.done)
	}
}
