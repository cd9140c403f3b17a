package store

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"anabranch/internal/resource"

	"github.com/uptrace/bun"
)

// position is a row's place in the lists it appears in. It is given when the
// row is made and never changes, so a page that begins behind a position holds
// neither what was seen before nor skips anything, whatever came and went
// between the pages.
type position struct {
	Seq int64 `bun:"seq"`
}

func (p position) place() int64 { return p.Seq }

// reserve takes n positions and returns the first. All tables share them. The
// row they come from stays locked until tx ends, so positions become visible in
// order: who has seen one has seen, or will never see, every lower one.
func reserve(ctx context.Context, tx bun.Tx, n int) (int64, error) {
	var last int64
	if err := tx.NewRaw("UPDATE positions SET last = last + ? RETURNING last", n).Scan(ctx, &last); err != nil {
		return 0, fmt.Errorf("reserve positions: %w", err)
	}
	return last - int64(n) + 1, nil
}

// order is the direction of a list.
type order bool

const (
	oldestFirst order = false
	newestFirst order = true
)

// maxPage is the largest page there is.
const maxPage = 100

// list reads one page of the rows that narrow leaves. The position it returns
// leads to the next page and is empty when there is none.
func list[R interface{ place() int64 }](ctx context.Context, db bun.IDB, p resource.Page, o order,
	narrow func(*bun.SelectQuery) *bun.SelectQuery) (rows []R, next string, err error) {

	size := min(max(p.Size, 1), maxPage)
	after := int64(0)
	if o == newestFirst {
		after = math.MaxInt64
	}
	if p.After != "" {
		if after, err = strconv.ParseInt(p.After, 10, 64); err != nil || after <= 0 {
			return nil, "", resource.Errorf(resource.Invalid, "nextToken: not a token of this list")
		}
	}

	// One more than asked for tells whether this page is the last.
	q := db.NewSelect().Model(&rows).Apply(narrow).Limit(int64(size) + 1)
	if o == newestFirst {
		q = q.Where("seq < ?", after).Order("seq DESC")
	} else {
		q = q.Where("seq > ?", after).Order("seq")
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", err
	}
	if len(rows) > size {
		rows = rows[:size]
		next = strconv.FormatInt(rows[size-1].place(), 10)
	}
	return rows, next, nil
}

// everything leaves every row in a list.
func everything(q *bun.SelectQuery) *bun.SelectQuery { return q }
