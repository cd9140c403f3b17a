package recorder

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"anabranch/internal/disk"
	"anabranch/internal/journal"
	"anabranch/internal/media"
	"anabranch/internal/metrics"
	"anabranch/internal/packager"
)

// Why a take is not recorded any more though nothing failed.
var (
	errSuperseded = errors.New("a newer stream of the channel is recorded instead")
	errStopped    = errors.New("the recorder has stopped")
	errEnded      = errors.New("the recording has ended")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

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
	journal *journal.Log // nil before the first part
	take    *Take        // the stream that is recorded now, if any
	file    disk.File    // of the open object
	owed    [][]byte     // records that the journal could not take yet
	// unsynced holds the files of closed objects, newNames says that files
	// were made since the last sync.
	unsynced []disk.File
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
	ranged    int               // objects in the byte-range playlist
	masters   map[string][]byte // the multivariant playlists as stored, by name
	finished  bool              // nothing is left to do: the spool can go
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
	err := rec.record(&joined{ID: t.stream.ID, At: at, Provisional: t.provisional, Object: rec.nextObject()})
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

// write adds a chunk of t.
func (rec *recording) write(t *Take, c *packager.Chunk, cmaf []byte) error {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	switch {
	case rec.stopped:
		return errStopped
	case rec.take != t:
		return rec.lost()
	case rec.behind() && rec.room.full(rec.Recording.Bucket):
		return rec.overflow()
	}
	if !t.joined {
		if at, some := rec.position(); some {
			t.by = at - c.Start
		}
		if err := rec.join(t, c.Time); err != nil {
			return rec.fail(err)
		}
	}
	if rec.Bare {
		return nil
	}
	if t.by != 0 {
		c = c.Moved(t.by, &t.moved)
	}
	if o := rec.open(); o != nil && rec.mustCut(t, o, c) {
		if err := rec.closeObject(0); err != nil {
			return rec.fail(err)
		}
	}
	if rec.open() == nil {
		if err := rec.openObject(t, c); err != nil {
			return rec.fail(err)
		}
	}
	data, err := t.pack(c, cmaf)
	if err != nil {
		// One part is lost, not the recording: the next object begins anew.
		rec.log.Warn("part cannot be packaged and is left out", "stream", t.stream.ID, "error", err)
		t.params = media.Params{}
		return nil
	}
	if err := rec.writePart(t, c, data); err != nil {
		return rec.fail(err)
	}
	return nil
}

// mustCut says whether c belongs into a new object.
func (rec *recording) mustCut(t *Take, o *object, c *packager.Chunk) bool {
	switch {
	case c.Discontinuity || !t.params.Equal(c.Params):
		return true
	case c.Segment && c.Independent && o.Duration >= minObject:
		return true
	}
	return o.Duration+c.Duration > rec.limit()
}

// openObject begins the object that c is the first part of.
func (rec *recording) openObject(t *Take, c *packager.Chunk) error {
	follows := t.params.Equal(c.Params) && !c.Discontinuity
	if rec.fragmented() && !follows {
		if err := rec.openHeader(c.Params); err != nil {
			return err
		}
	}
	n, counters := rec.nextObject(), rec.counters()
	if err := rec.record(&opened{
		N: n, Discontinuity: !follows && len(rec.objects) > 0, Header: max(0, len(rec.headers)-1),
	}); err != nil {
		return err
	}
	file, err := rec.fs.OpenFile(filepath.Join(rec.dir, rec.objectName(n)), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("make object %d: %w", n, err)
	}
	rec.file, rec.newNames = file, true
	t.params = c.Params
	// A new writer begins with PAT and PMT, which every segment must hold
	// (RFC 8216 §3.2), wherever it is cut.
	t.ts = packager.NewTS(counters)
	return nil
}

// openHeader journals the initialization segment of p unless it is the last
// one's.
func (rec *recording) openHeader(p media.Params) error {
	data, err := packager.CMAFInit(p)
	if err != nil {
		return fmt.Errorf("make initialization segment: %w", err)
	}
	if n := len(rec.headers); n > 0 && string(rec.headers[n-1].Data) == string(data) {
		return nil
	}
	return rec.record(&header{Data: data})
}

// writePart writes a part and journals it. What a failed write left behind is
// taken off, which may free the room the journal needs for the ending.
func (rec *recording) writePart(t *Take, c *packager.Chunk, data []byte) error {
	o := rec.open()
	if _, err := rec.file.Write(data); err != nil {
		_ = rec.file.Truncate(o.Size)
		return fmt.Errorf("write object %d: %w", o.N, err)
	}
	p := &part{
		Object: o.N, Size: int64(len(data)), Start: c.Start, Duration: c.Duration, Time: c.Time.UTC(),
		Segment: c.Segment, Independent: c.Independent, Tail: c.Tail, Sum: crc32.Checksum(data, castagnoli),
	}
	if !rec.fragmented() {
		p.TS = t.ts.State()
	}
	if err := rec.record(p); err != nil {
		return err
	}
	metrics.RecordingBytesSpooled.Add(float64(len(data)))
	if len(o.parts) == 1 {
		signal(rec.wake) // the recording starts with its first part
	}
	if c.SegmentEnd {
		signal(rec.dirty)
	}
	return nil
}

// endObject ends the open object, if any, for its stream ends. If that was torn
// off, the object lasts until its pictures have been shown, so that those of
// the next stream come later. That is less than half a second, by which
// EXT-X-TARGETDURATION may be exceeded (RFC 8216 §4.3.3.1).
func (rec *recording) endObject() error {
	if o := rec.open(); o != nil {
		return rec.closeObject(o.Tail)
	}
	return nil
}

// closeObject ends the open object, if any, and leaves its file to the syncer.
// It lasts tail longer than its parts.
func (rec *recording) closeObject(tail media.Ticks) error {
	o := rec.open()
	if o == nil {
		return nil
	}
	if rec.file != nil {
		rec.unsynced = append(rec.unsynced, rec.file)
		rec.file = nil
	}
	signal(rec.dirty)
	if o.Size == 0 {
		return rec.record(&cut{N: o.N})
	}
	if rec.measured == nil { // too late to measure: the rendition's name is fixed now
		if err := rec.record(&measured{}); err != nil {
			return err
		}
	}
	if err := rec.record(&closed{Target: rec.targetWith(o), Tail: tail}); err != nil {
		return err
	}
	o.parts, o.closedAt = nil, time.Now()
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
		rec.force(&left{At: now})
		// A stream without media leaves the window as it was.
		rec.deadline = now.Add(rec.window())
	}
	if rec.window() == 0 {
		rec.end(now, "")
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
		rec.end(rec.deadline, "")
	}
}

// end lets nothing join any more. The driver does the rest.
func (rec *recording) end(at time.Time, failure string) {
	if rec.ending != nil {
		return
	}
	if at.Before(rec.Recording.StartedAt) { // a clock was set back
		at = rec.Recording.StartedAt
	}
	rec.force(&ending{At: at.UTC(), Failure: failure})
	if failure != "" && rec.hurry != nil {
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
		if o := rec.open(); o != nil && o.Size == 0 {
			rec.force(&cut{N: o.N})
		} else if o != nil {
			if rec.measured == nil { // see closeObject
				rec.force(&measured{})
			}
			rec.force(&closed{Target: rec.targetWith(o), Tail: o.Tail})
		}
	}
	rec.end(time.Now(), reason)
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
