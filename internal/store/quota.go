package store

import (
	"context"
	"fmt"

	"anabranch/internal/resource"

	"github.com/uptrace/bun"
)

// Quotas bounds how many there may be of each kind. Zero is no bound. What
// is there when a bound is lowered stays. Stream keys have theirs always: one
// for each channel.
type Quotas struct {
	Channels                    int
	RecordingConfigurations     int
	AdConfigurations            int
	PlaybackKeyPairs            int
	PlaybackRestrictionPolicies int
	ConcurrentStreams           int
	Stages                      int
	PublicKeys                  int
	IngestConfigurations        int
	EncoderConfigurations       int
	StorageConfigurations       int
}

// underQuota is QuotaExceeded when there are as many rows as may be, of those
// that where lets through, or of all when it is nil. It must be asked in the
// transaction that makes one more.
func underQuota[R any](ctx context.Context, tx bun.Tx, most int, of string, where func(*bun.SelectQuery) *bun.SelectQuery) error {
	if most == 0 {
		return nil
	}
	q := tx.NewSelect().Model((*R)(nil))
	if where != nil {
		q = where(q)
	}
	n, err := q.Count(ctx)
	if err != nil {
		return fmt.Errorf("count %s: %w", of, err)
	}
	if n >= int64(most) {
		return resource.Errorf(resource.QuotaExceeded, "Quota exceeded: there are %d %s, and there may be %d", n, of, most)
	}
	return nil
}
