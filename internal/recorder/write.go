package recorder

import (
	"fmt"
	"hash/crc32"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/metrics"
	"anabranch/internal/packager"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// write adds a part of t: c is the source's chunk, all is the part in all
// renditions.
func (rec *recording) write(t *Take, c *packager.Chunk, all []Rendered) error {
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
		rec.watch(t, c, all)
		return nil
	}
	t.load(c, all)
	if err := rec.writePart(t, c); err != nil {
		return rec.fail(err)
	}
	rec.watch(t, c, all)
	return nil
}

// writePart adds the part that t has loaded, to a new object where one begins.
func (rec *recording) writePart(t *Take, c *packager.Chunk) error {
	var marks []record
	if c.Segment && c.Independent {
		marks = rec.marksFor(t.adBreak, c.Time)
	}
	if o := rec.open(); o != nil && (len(marks) > 0 || rec.mustCut(t, o, c)) {
		if err := rec.closeObject(0); err != nil {
			return err
		}
	}
	for _, m := range marks {
		if err := rec.record(m); err != nil {
			return err
		}
	}
	if rec.open() == nil {
		if err := rec.openObject(t, c); err != nil {
			return err
		}
	}
	return rec.addPart(t, c)
}

// mustCut says whether c belongs into a new object: what decides is the source,
// or that any rendition is not what it was.
func (rec *recording) mustCut(t *Take, o *object, c *packager.Chunk) bool {
	switch {
	case c.Discontinuity, t.changed(false):
		return true
	case c.Segment && c.Independent && o.Duration >= rec.layout().least():
		return true
	}
	return o.Duration+c.Duration > rec.limit()
}

// openObject begins the object that c is the first part of.
func (rec *recording) openObject(t *Take, c *packager.Chunk) error {
	follows := t.began && !c.Discontinuity && !t.changed(true)
	headers := make([]int, len(t.tracks))
	anew := !follows && rec.layout().mixed()
	for i := range t.tracks {
		tr := &t.tracks[i]
		if tr.chunk != nil && (anew || !tr.params.Equal(tr.chunk.Params)) {
			if err := rec.describe(i, tr.chunk.Params, anew); err != nil {
				return err
			}
			tr.params = tr.chunk.Params
		}
		// A new writer begins with PAT and PMT, which every segment must hold
		// (RFC 8216 §3.2), wherever it is cut.
		tr.ts = packager.NewTS(rec.counters(i))
		headers[i] = rec.header(i)
	}
	n := rec.nextObject()
	if err := rec.record(rec.opening(n, !follows && len(rec.objects) > 0, headers)); err != nil {
		return err
	}
	t.began = true
	return rec.openBundle(n)
}

// opening is the record that begins an object, with the initialization segments
// of its renditions.
func (b *begun) opening(n int, discontinuity bool, headers []int) *opened {
	if b.several() {
		return &opened{N: n, Discontinuity: discontinuity, Headers: headers}
	}
	return &opened{N: n, Discontinuity: discontinuity, Header: headers[0]}
}

// describe journals what rendition i is made of from now on, if that is news, and
// its initialization segment: unless that is the last one's, or anew in any case.
func (rec *recording) describe(i int, p media.Params, anew bool) error {
	if is := rec.layout().describe(rec.described[i], p); is != rec.described[i] {
		if err := rec.record(&is); err != nil {
			return err
		}
	}
	if !rec.fragmented() {
		return nil
	}
	data, err := packager.CMAFInit(p)
	if err != nil {
		return fmt.Errorf("make initialization segment: %w", err)
	}
	if n := len(rec.headers[i]); n > 0 && !anew && string(rec.headers[i][n-1].Data) == string(data) {
		return nil
	}
	return rec.record(&header{Data: data, Rendition: i})
}

// addPart writes the part to the files of the open object and journals it, once
// for all of them. What a failed write left behind is taken off, which may free
// the room the journal needs for the ending.
func (rec *recording) addPart(t *Take, c *packager.Chunk) error {
	if err := rec.recordLosses(t); err != nil {
		return err
	}
	o := rec.open()
	p := &part{
		Object: o.N, Start: c.Start + t.by, Duration: c.Duration, Time: c.Time.UTC(),
		Segment: c.Segment, Independent: c.Independent, Tail: c.Tail, Of: make([]share, len(t.tracks)),
	}
	bytes := 0
	for i := range t.tracks {
		data := t.pack(i)
		if len(data) > 0 {
			if err := rec.spool(i, data); err != nil {
				rec.rewind(o)
				return err
			}
		}
		p.Of[i] = share{Size: int64(len(data)), Sum: crc32.Checksum(data, castagnoli)}
		if !rec.fragmented() {
			p.Of[i].TS = t.tracks[i].ts.State()
		}
		bytes += len(data)
	}
	if err := rec.record(p); err != nil {
		return err
	}
	o.pictures += len(c.Video)
	metrics.RecordingBytesSpooled.Add(float64(bytes))
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
// the next stream come later. That is less than half a second, by which a channel's
// may exceed EXT-X-TARGETDURATION (RFC 8216 §4.3.3.1).
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
	if rec.bundle != nil {
		rec.unsynced = append(rec.unsynced, rec.bundle)
		rec.bundle = nil
	}
	signal(rec.dirty)
	if o.void() {
		return rec.record(&cut{N: o.N})
	}
	if !rec.named() { // too late to measure: the rendition's name is fixed now
		if err := rec.record(&measured{}); err != nil {
			return err
		}
	}
	for i := range rec.described {
		if is := rec.layout().rate(rec.described[i], o); is != rec.described[i] {
			if err := rec.record(&is); err != nil {
				return err
			}
		}
	}
	if err := rec.record(&closed{Target: rec.targetWith(o), Tail: tail}); err != nil {
		return err
	}
	o.parts, o.closedAt = nil, time.Now()
	signal(rec.wake)
	return nil
}
