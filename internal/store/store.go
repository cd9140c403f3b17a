// Package store keeps what the server must not forget: channels, stream keys,
// recording configurations, who may watch, ad configurations, stream sessions,
// recordings, stages and who was there, tags and events.
//
//	          ┌ reads ───→ pool of connections ──────────────────┐
//	callers ──┤                                                  ├─ database
//	          └ changes ─→ one connection, one transaction each ─┘
//	                       rows  +  the events they cause
//
// A change and the events that tell of it are one transaction, so that neither
// is ever known without the other, and after a method returned nil both survive
// a loss of power. Events are an outbox: each has a place in one order for the
// whole server, and whoever delivers them reads on from the last place it knows.
//
// The database is SQLite. Statements keep to what SQLite and PostgreSQL have in
// common: times are integers (milliseconds since 1970), nested values are JSON
// text, order comes from numbers that the tables share (see position).
//
// Errors a caller can act on are of type [resource.Error]; those of the
// database come wrapped with what was being done.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"anabranch/internal/metrics"
	"anabranch/internal/resource"

	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // the database/sql driver "sqlite"
)

// Store is the open database. Its methods may be called from several
// goroutines at once.
type Store struct {
	// writer has a single connection, so changes queue in this process and
	// never find the database locked by one another.
	writer *bun.DB
	turn   chan struct{} // has one value while a change is made
	reader *bun.DB
	quotas Quotas
	uses   uses
}

// Config is what a Store is made of.
type Config struct {
	// Path is the database file, made when missing; its folder must exist.
	// SQLite keeps two more files beside it.
	Path   string
	Quotas Quotas
	Log    *slog.Logger
}

// readers bounds the connections that read at once.
const readers = 8

// Open opens the database and brings its tables up to date. A database that a
// newer server has changed is refused and left as it is.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	path, err := filepath.Abs(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", cfg.Path, err)
	}
	// The file holds stream keys, and SQLite would make it readable to all.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}

	// Immediate: a transaction that began by reading and then finds another
	// process writing could not go on.
	writer, err := connect(path, 1, url.Values{"_txlock": {"immediate"}}, "synchronous(FULL)")
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	if err := migrate(ctx, writer.DB, cfg.Log); err != nil {
		writer.Close()
		return nil, fmt.Errorf("migrate database %s: %w", path, err)
	}
	reader, err := connect(path, readers, url.Values{}, "query_only(TRUE)")
	if err != nil {
		writer.Close()
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	return &Store{writer: writer, turn: make(chan struct{}, 1), reader: reader, quotas: cfg.Quotas}, nil
}

// Close closes the database. Calls under way end with an error.
func (s *Store) Close() error {
	// The writer goes last: closing the last connection empties the
	// write-ahead log, which one that only reads cannot do.
	if err := errors.Join(s.reader.Close(), s.writer.Close()); err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return nil
}

// connect makes a pool of at most size connections, each set up alike.
func connect(path string, size int, params url.Values, pragmas ...string) (*bun.DB, error) {
	params["_pragma"] = append([]string{"busy_timeout(5000)", "journal_mode(WAL)", "foreign_keys(TRUE)"}, pragmas...)
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: params.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return bun.NewDB(db, sqlitedialect.New()), nil
}

//go:embed migrations/*.sql
var migrations embed.FS

// migrate runs the migrations that db has not seen yet, each in a transaction.
func migrate(ctx context.Context, db *sql.DB, log *slog.Logger) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	have, known, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read version: %w", err)
	}
	if have > known {
		return fmt.Errorf("its version is %d, and this server knows versions up to %d only", have, known)
	}
	done, err := p.Up(ctx)
	if err != nil {
		return err
	}
	for _, m := range done {
		log.Info("database migrated", "version", m.Source.Version, "took", m.Duration)
	}
	return nil
}

// change runs f in a transaction and says what was being done when it fails.
// Transactions behave as if they ran one after the other, so f may read, decide
// and write. It must not call the Store's methods: they would wait for f. A
// database that runs them side by side has to run f again when two collide, so
// f changes nothing but rows.
func (s *Store) change(ctx context.Context, doing string, f func(context.Context, bun.Tx) error) error {
	start := time.Now()
	err := s.inTurn(ctx, func() error { return s.writer.RunInTx(ctx, nil, f) })
	metrics.StoreChange.Observe(time.Since(start).Seconds())
	return explain(err, doing)
}

// inTurn runs f when all have run that came before. A pool with one connection
// would let any of those who wait go first, and some wait long.
func (s *Store) inTurn(ctx context.Context, f func() error) error {
	select {
	case s.turn <- struct{}{}: // those who wait to send are served in order
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.turn }()
	return f()
}

// explain wraps err with what was being done, unless it is an answer that the
// caller can act on.
func explain(err error, doing string) error {
	var answer *resource.Error
	if err == nil || errors.As(err, &answer) {
		return err
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// find reads the row that arn names.
func find[R any](ctx context.Context, db bun.IDB, arn resource.ARN) (*R, error) {
	row := new(R)
	err := db.NewSelect().Model(row).Where("arn = ?", arn).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, resource.NotFoundError(arn)
	}
	return row, err
}

// findAll reads the rows that arns name, in any order, leaving out those that
// name nothing.
func findAll[R any](ctx context.Context, db bun.IDB, arns []resource.ARN) ([]R, error) {
	var rows []R
	if len(arns) == 0 {
		return nil, nil
	}
	err := db.NewSelect().Model(&rows).Where("arn IN ?", bun.Tuple(arns)).Scan(ctx)
	return rows, err
}

// all reads every row, oldest first. It is for what there is little of.
func all[R any](ctx context.Context, db bun.IDB) ([]R, error) {
	var rows []R
	err := db.NewSelect().Model(&rows).Order("seq").Scan(ctx)
	return rows, err
}

// remove deletes the row that arn names.
func remove[R any](ctx context.Context, tx bun.Tx, arn resource.ARN) error {
	res, err := tx.NewDelete().Model((*R)(nil)).Where("arn = ?", arn).Exec(ctx)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return resource.NotFoundError(arn)
}

// convert makes a list of resources out of rows.
func convert[R, T any](rows []R, f func(*R) T) []T {
	out := make([]T, len(rows))
	for i := range rows {
		out[i] = f(&rows[i])
	}
	return out
}

// millis is how a time is stored: milliseconds since 1970, 0 for no time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// timeOf is the time stored as ms.
func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
