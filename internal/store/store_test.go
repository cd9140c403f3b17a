package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch/internal/resource"
)

var (
	place = resource.Place{Region: "us-west-2", Account: "111122223333"}
	quiet = slog.New(slog.NewTextHandler(io.Discard, nil))
	// noon is when tests happen; stored times are whole milliseconds.
	noon = time.Date(2026, 3, 1, 12, 0, 0, 412e6, time.UTC)
)

// fixture is an empty Store and short ways to fill it.
type fixture struct {
	*Store
	t    *testing.T
	path string
}

func open(t *testing.T) *fixture {
	t.Helper()
	path := filepath.Join(t.TempDir(), "anabranch.db")
	if err := os.WriteFile(path, empty(), 0o600); err != nil {
		t.Fatal(err)
	}
	return openAt(t, path)
}

// empty is a database whose tables are up to date, so that not every test has
// to make them.
var empty = sync.OnceValue(func() []byte {
	dir, err := os.MkdirTemp("", "anabranch-store")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "anabranch.db")
	s, err := Open(context.Background(), Config{Path: path, Log: quiet})
	if err != nil {
		panic(err)
	}
	if err := s.Close(); err != nil {
		panic(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return data
})

func openAt(t *testing.T, path string) *fixture {
	t.Helper()
	s, err := Open(t.Context(), Config{Path: path, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &fixture{Store: s, t: t, path: path}
}

// must ends the test when a call that only prepares it fails.
func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// channel makes a channel and its key. name may be empty.
func (f *fixture) channel(name string, alter ...func(*resource.Channel)) (resource.Channel, resource.StreamKey) {
	f.t.Helper()
	ch := resource.Channel{ARN: place.ARN(resource.KindChannel, resource.NewID()), Name: name}
	ch.SRT.Passphrase = resource.RandomID(resource.PassphraseLength)
	ch.FillDefaults()
	for _, a := range alter {
		a(&ch)
	}
	key := resource.NewStreamKey(place, ch.ARN, nil)
	f.must(f.CreateChannel(f.t.Context(), ch, key))
	return ch, key
}

func (f *fixture) configuration(alter ...func(*resource.RecordingConfiguration)) resource.RecordingConfiguration {
	f.t.Helper()
	rc := resource.RecordingConfiguration{
		ARN:         place.ARN(resource.KindRecordingConfiguration, resource.NewID()),
		Destination: resource.DestinationConfiguration{S3: &resource.S3DestinationConfiguration{BucketName: "vod-bucket"}},
	}
	rc.FillDefaults()
	for _, a := range alter {
		a(&rc)
	}
	f.must(f.CreateRecordingConfiguration(f.t.Context(), rc))
	return rc
}

// begin opens a session.
func (f *fixture) begin(key resource.StreamKey, at time.Time) resource.StreamSession {
	f.t.Helper()
	session, err := f.BeginStream(f.t.Context(), key.ChannelARN, key.Value, resource.NewStreamID(), at)
	f.must(err)
	return session
}

func (f *fixture) end(session resource.StreamSession, at time.Time) {
	f.t.Helper()
	f.must(f.EndStream(f.t.Context(), session.StreamID, at, ""))
}

// told names every event in the outbox, in order.
func (f *fixture) told() []string {
	f.t.Helper()
	events, err := f.Events(f.t.Context(), 0, maxEvents)
	f.must(err)
	var names []string
	for _, e := range events {
		row, err := newEventRow(e.Seq, &e.Event)
		f.must(err)
		names = append(names, row.Name)
	}
	return names
}

// kind is the kind of a resource error; 0 (Internal) for any other.
func kind(err error) resource.Kind {
	var e *resource.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return resource.Internal
}

// wantKind checks that err is a readable answer of a kind.
func wantKind(t *testing.T, err error, want resource.Kind) {
	t.Helper()
	if err == nil || kind(err) != want {
		t.Errorf("error is %v (kind %d), want kind %d", err, kind(err), want)
	} else if err.Error() == "" {
		t.Error("error has no text")
	}
}

func TestOpenSetsTheDatabaseUp(t *testing.T) {
	f := openAt(t, filepath.Join(t.TempDir(), "odd ?name%20#.db"))
	if _, err := os.Stat(f.path); err != nil {
		t.Fatalf("the database is elsewhere: %v", err)
	}
	for _, want := range []struct{ pragma, writer, reader string }{
		{"journal_mode", "wal", "wal"},
		{"synchronous", "2", ""}, // FULL
		{"foreign_keys", "1", "1"},
		{"busy_timeout", "5000", "5000"},
		{"query_only", "0", "1"},
	} {
		var writer, reader string
		f.must(f.writer.NewRaw("PRAGMA "+want.pragma).Scan(t.Context(), &writer))
		f.must(f.reader.NewRaw("PRAGMA "+want.pragma).Scan(t.Context(), &reader))
		if writer != want.writer || want.reader != "" && reader != want.reader {
			t.Errorf("%s: writer %s, reader %s; want %s, %s", want.pragma, writer, reader, want.writer, want.reader)
		}
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(f.path + suffix)
		f.must(err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v: others can read secrets", info.Name(), info.Mode())
		}
	}
}

func TestOpenFailsReadably(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "newer.db")
	s, err := Open(t.Context(), Config{Path: newer, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.writer.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, TRUE)"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	for name, path := range map[string]string{
		"no folder":     filepath.Join(dir, "missing", "anabranch.db"),
		"no database":   garbage,
		"newer version": newer,
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(t.Context(), Config{Path: path, Log: quiet})
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), path) {
				t.Errorf("error does not say which file: %v", err)
			}
		})
	}
}

func TestReopenKeepsEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "anabranch.db")
	f := openAt(t, path)
	ch, key := f.channel("studio-a")
	session := f.begin(key, noon)
	f.must(f.Close())

	f = openAt(t, path)
	if got, err := f.Channel(t.Context(), ch.ARN); err != nil || got.Name != "studio-a" {
		t.Errorf("channel is %+v, %v", got, err)
	}
	if got, err := f.OpenStreams(t.Context()); err != nil || len(got) != 1 || got[0].StreamID != session.StreamID {
		t.Errorf("open streams are %+v, %v", got, err)
	}
}

// What a method returned nil for is there after a crash, whether or not it had
// reached the main file: the write-ahead log is read on opening. A torn write
// at its end is a change that never was.
func TestCrash(t *testing.T) {
	f := open(t)
	first, key := f.channel("first")
	session := f.begin(key, noon)
	second, _ := f.channel("second")

	for name, tear := range map[string]int64{"whole log": 0, "torn log": 100} {
		t.Run(name, func(t *testing.T) {
			image := filepath.Join(t.TempDir(), "anabranch.db")
			for _, suffix := range []string{"", "-wal"} {
				data, err := os.ReadFile(f.path + suffix)
				f.must(err)
				if suffix == "-wal" {
					if len(data) == 0 {
						t.Fatal("the log is empty: nothing is tested")
					}
					data = data[:int64(len(data))-tear]
				}
				f.must(os.WriteFile(image+suffix, data, 0o600))
			}
			after := openAt(t, image)
			if _, err := after.Channel(t.Context(), first.ARN); err != nil {
				t.Error(err)
			}
			if got, err := after.LiveStream(t.Context(), first.ARN); err != nil || got.StreamID != session.StreamID {
				t.Errorf("live stream is %+v, %v", got, err)
			}
			if told := after.told(); len(told) != 1 || told[0] != resource.SessionCreated {
				t.Errorf("events are %v", told)
			}
			_, channelErr := after.Channel(t.Context(), second.ARN)
			keys, _, keyErr := after.ListStreamKeys(t.Context(), second.ARN, resource.Page{Size: 1})
			if tear == 0 && (channelErr != nil || len(keys) != 1) {
				t.Errorf("the last change is lost: %v, %v", channelErr, keys)
			}
			if tear != 0 && (kind(channelErr) != resource.NotFound || kind(keyErr) != resource.NotFound) {
				t.Errorf("half of the last change is there: %v, %v", channelErr, keyErr)
			}
			// It can be written to again.
			after.channel("third")
		})
	}
}

// A change that fails half-way leaves nothing behind, no event either.
func TestChangeIsWhole(t *testing.T) {
	f := open(t)
	_, key := f.channel("")
	if _, err := f.writer.Exec(`CREATE TRIGGER full BEFORE INSERT ON events WHEN NEW.name = 'Session Ended'
		BEGIN SELECT RAISE(ABORT, 'disk is full'); END`); err != nil {
		t.Fatal(err)
	}
	session := f.begin(key, noon)
	err := f.EndStream(t.Context(), session.StreamID, noon, "")
	if err == nil || kind(err) != resource.Internal || !strings.Contains(err.Error(), "end stream "+session.StreamID) {
		t.Errorf("error is %v", err)
	}
	if _, err := f.LiveStream(t.Context(), key.ChannelARN); err != nil {
		t.Errorf("the session is closed without its events: %v", err)
	}
	if got := f.told(); len(got) != 1 {
		t.Errorf("events are %v", got)
	}
}

func TestCancelledContext(t *testing.T) {
	f := open(t)
	ch, _ := f.channel("")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := f.UpdateChannel(ctx, ch.ARN, func(ch *resource.Channel) error {
		ch.Name = "never"
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if got, err := f.Channel(t.Context(), ch.ARN); err != nil || got.Name != "" {
		t.Errorf("channel is %+v, %v", got, err)
	}
	f.channel("the writer is free again")
}

// Many writers and readers at once: no change is lost, none finds the database
// locked, and a reader of events never sees one appear behind one it has seen.
func TestConcurrentChanges(t *testing.T) {
	const writers, rounds = 6, 8
	f := open(t)
	shared, _ := f.channel("")
	stop := make(chan struct{})
	var reading, writing sync.WaitGroup
	var seen int
	reading.Go(func() {
		var last int64
		for done := false; !done; {
			select {
			case <-stop:
				done = true // after one last look
			default:
			}
			events, err := f.Events(t.Context(), last, 3)
			if err != nil {
				t.Error(err)
				return
			}
			for _, e := range events {
				last = e.Seq
				seen++
				done = false
			}
		}
	})
	for w := range writers {
		writing.Go(func() {
			for i := range rounds {
				tag := fmt.Sprintf("%d-%d", w, i)
				if err := f.TagResource(t.Context(), shared.ARN, resource.Tags{tag: ""}); err != nil {
					t.Error(err)
				}
				if err := f.AppendEvent(t.Context(), resource.Event{Detail: resource.StreamStateDetail{EventName: tag}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	reading.Wait()
	tags, err := f.Tags(t.Context(), shared.ARN)
	if err != nil || len(tags) != writers*rounds {
		t.Errorf("%d tags, want %d: %v", len(tags), writers*rounds, err)
	}
	if seen != writers*rounds {
		t.Errorf("the reader saw %d events, want %d", seen, writers*rounds)
	}
}
