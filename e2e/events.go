package e2e

import (
	"database/sql"
	"encoding/json"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver
)

// event is a row of the outbox.
type event struct {
	name   string // such as "Stream Start"
	stream string // may be empty
	detail map[string]any
}

// stored are all events of a channel, oldest first.
func (c *channel) stored() []event {
	c.server.t.Helper()
	return c.server.stored(*c.Arn)
}

// stored are all events of a resource, or of all for "%", oldest first. The server is stopped:
// what counts is what would be there after a restart.
func (s *server) stored(arn string) (all []event) {
	t := s.t
	t.Helper()
	if s.running() {
		t.Fatal("the database is read when the server is stopped")
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.dir, "anabranch.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(),
		"SELECT name, COALESCE(stream_id, ''), detail FROM events WHERE resource_arn LIKE ? ORDER BY seq", arn)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var e event
		var detail []byte
		if err := rows.Scan(&e.name, &e.stream, &detail); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(detail, &e.detail); err != nil {
			t.Fatalf("detail of %s: %v", e.name, err)
		}
		all = append(all, e)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// named are the events of one name.
func named(all []event, name string) (some []event) {
	for _, e := range all {
		if e.name == name {
			some = append(some, e)
		}
	}
	return some
}
