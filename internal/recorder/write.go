package recorder

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/metrics"
	"anabranch/internal/packager"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

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
	var marks []record
	if c.Segment && c.Independent {
		marks = rec.marksFor(t.adBreak, c.Time)
	}
	if o := rec.open(); o != nil && (len(marks) > 0 || rec.mustCut(t, o, c)) {
		if err := rec.closeObject(0); err != nil {
			return rec.fail(err)
		}
	}
	for _, m := range marks {
		if err := rec.record(m); err != nil {
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
