package recorder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"anabranch/internal/disk"
	"anabranch/internal/journal"
	"anabranch/internal/resource"
)

// Why a take is not recorded any more though nothing failed.
var (
	errSuperseded = errors.New("a newer stream of the same publisher is recorded instead")
	errStopped    = errors.New("the recorder has stopped")
	errEnded      = errors.New("the recording has ended")
)

// recording is one recording, from its first part until its spool is removed.
type recording struct {
	fs     disk.FS
	bucket Objects
	ledger Ledger
	room   *room
	media  *gate // for objects
	small  *gate // for all else, which need not wait for objects
	log    *slog.Logger
	dir    string             // its folder in the spool
	cancel context.CancelFunc // ends its driver
	hurry  context.CancelFunc // breaks off what the driver waits for, guarded by mu

	wake  chan struct{} // the driver has something to do
	dirty chan struct{} // the syncer has

	// mu guards what follows. It is held for writes to the page cache, never
	// for a sync or a call out of this package.
	mu sync.Mutex
	state
	journal  *journal.Log // nil before the first part
	take     *Take        // the stream that is recorded now, if any
	bundle   *bundle      // of the open object
	owed     [][]byte     // records that the journal could not take yet
	requests requests     // for thumbnails
	poster   *poster      // nil before one was asked for
	// unsynced holds the files of closed objects, newNames says that files
	// were made since the last sync.
	unsynced []*bundle
	newNames bool
	deadline time.Time // when it ends, while it waits
	doubt    *Take     // a stream in doubt elsewhere that may belong here
	released bool      // it ends with its take
	stopped  bool      // nothing is written any more
	unknown  bool      // the ledger did not know it at the start
	// heir has a stream that moved there since the last sync. It must be on the
	// disk there before this journal is synced, which says that it is not here.
	heir *recording

	// syncing has room for one: whoever syncs or closes files.
	syncing chan struct{}

	// What the driver alone uses.
	checked   time.Time         // when the bucket was there
	refreshed time.Time         // when the playlists were stored
	listed    int               // objects in the media playlist; changes with mu held
	ranged    int               // objects in the byte-range playlists
	rangedIn  int               // how many of these there are
	masters   map[string][]byte // the multivariant playlists as stored, by name
	uploading int               // the object that was uploaded last, or in part:
	uploaded  int               // so many of its renditions
	finished  bool              // nothing is left to do: the spool can go
	// thumbnailLost says that a thumbnail could not be stored.
	thumbnailLost bool
	// unread is an object that cannot be read, for how long now.
	unread      int
	unreadSince time.Time
}

// create makes the recording's spool and journals its beginning.
func (rec *recording) create(b *begun) error {
	if err := rec.fs.MkdirAll(rec.dir, 0o700); err != nil {
		return fmt.Errorf("make spool: %w", err)
	}
	log, err := journal.Open(rec.fs, filepath.Join(rec.dir, journalName), func([]byte) error { return nil })
	if err != nil {
		return err
	}
	rec.journal, rec.newNames = log, true
	return rec.record(b)
}

// record makes a change of the state: in the journal, then in memory. After
// an error neither has it.
func (rec *recording) record(r record) error {
	b, err := encode(r)
	if err != nil {
		return err
	}
	if err := rec.append(b); err != nil {
		return err
	}
	return rec.change(r)
}

// append journals b, behind what the journal is owed.
func (rec *recording) append(b []byte) error {
	if rec.journal == nil {
		return nil
	}
	if err := rec.settleDebt(); err != nil {
		return err
	}
	return rec.journal.Append(b)
}

// settleDebt journals what the journal could not take when it happened.
func (rec *recording) settleDebt() error {
	for len(rec.owed) > 0 {
		if err := rec.journal.Append(rec.owed[0]); err != nil {
			return err
		}
		rec.owed = rec.owed[1:]
	}
	return nil
}

// change makes a change in memory.
func (rec *recording) change(r record) error {
	before := rec.waiting
	err := r.apply(&rec.state)
	rec.room.add(rec.Recording.Bucket, rec.waiting-before)
	return err
}

// force makes a change that has happened, whether the journal can take it now
// or gets it later.
func (rec *recording) force(r record) {
	b, err := encode(r)
	if err == nil {
		err = rec.append(b)
	}
	if err != nil {
		rec.log.Error("journal of recording cannot be written", "error", err)
		rec.owe(r)
	} else if err := rec.change(r); err != nil {
		rec.log.Error("recording is in a wrong state", "error", err)
	}
}

// owe makes a change that the journal gets with the next one, or the next sync.
func (rec *recording) owe(r record) {
	b, err := encode(r)
	if err == nil {
		rec.owed = append(rec.owed, b)
		err = rec.change(r)
	}
	if err != nil {
		rec.log.Error("recording is in a wrong state", "error", err)
	}
}

// join journals that t's media follows. It comes with the first part, so that
// a stream without media leaves no trace.
func (rec *recording) join(t *Take, at time.Time) error {
	err := rec.record(t.joins(rec, at))
	if err != nil {
		return err
	}
	t.joined = true
	if len(rec.streams) > 1 {
		rec.log.Info("stream joins recording", "stream", t.stream.ID, "provisional", t.provisional)
	}
	signal(rec.wake)
	return nil
}

// detach ends the stay of the stream that is recorded now, if any: its object
// closes and the reconnect window begins.
func (rec *recording) detach(now time.Time) {
	t := rec.take
	if t == nil {
		return
	}
	rec.take = nil
	if rec.journal == nil {
		return
	}
	if t.joined {
		if rec.provisional() != nil {
			rec.force(&settled{Keep: true}) // nothing more can be known
		}
		if err := rec.endObject(); err != nil {
			_ = rec.fail(err)
			return
		}
		rec.force(&left{At: now, Elapsed: rec.elapsed(t)})
		// A stream without media leaves the window as it was.
		rec.deadline = now.Add(rec.window())
	}
	if rec.window() == 0 {
		rec.end(now, resource.RecordingFailure{})
	}
	signal(rec.wake)
}

func (rec *recording) window() time.Duration {
	if rec.released {
		return 0
	}
	return rec.Recording.ReconnectWindow
}

// waits says whether the recording is without a stream, and ends when its
// window has passed.
func (rec *recording) waits() bool { return rec.take == nil && rec.doubt == nil && rec.ending == nil }

// expire ends a recording whose window has passed.
func (rec *recording) expire(now time.Time) {
	if rec.waits() && rec.journal != nil && !now.Before(rec.deadline) {
		rec.end(rec.deadline, resource.RecordingFailure{})
	}
}

// end lets nothing join any more, because of a failure unless that is zero. The
// driver does the rest.
func (rec *recording) end(at time.Time, failure resource.RecordingFailure) {
	if rec.ending != nil {
		return
	}
	if at.Before(rec.Recording.StartedAt) { // a clock was set back
		at = rec.Recording.StartedAt
	}
	rec.force(&ending{At: at.UTC(), Failure: failure.Reason, Code: failure.Code})
	if failure.Reason != "" && rec.hurry != nil {
		rec.hurry()
	}
	signal(rec.wake)
}

// fail ends the recording because the spool cannot be written, and returns
// why. What is there is stored all the same.
func (rec *recording) fail(err error) error {
	rec.log.Error("spool of recording cannot be written", "error", err)
	rec.breakOff("the spool cannot be written: " + rootCause(err))
	return err
}

// breakOff ends the recording amid its stream.
func (rec *recording) breakOff(reason string) {
	rec.take = nil
	if rec.provisional() != nil {
		rec.force(&settled{Keep: true})
	}
	if rec.endObject() != nil {
		if o := rec.open(); o != nil && o.void() {
			rec.force(&cut{N: o.N})
		} else if o != nil {
			if !rec.named() { // see closeObject
				rec.force(&measured{})
			}
			rec.force(&closed{Target: rec.targetWith(o), Tail: o.Tail})
		}
	}
	rec.end(time.Now(), resource.RecordingFailure{Code: resource.RecordingServerError, Reason: reason})
}

// lost says why a take is not the recording's any more.
func (rec *recording) lost() error {
	switch {
	case rec.ending != nil && rec.ending.Failure != "":
		return errors.New(rec.ending.Failure)
	case rec.ending != nil:
		return errEnded
	}
	return errSuperseded
}

// rootCause is the innermost error's text: the reason without our paths.
func rootCause(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

// signal wakes whoever waits on c, now or the next time.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
