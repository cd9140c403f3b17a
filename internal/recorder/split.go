package recorder

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/packager"
)

var errNoMatch = errors.New("stream does not match")

// split moves t, which turned out not to belong to its recording, to another
// that waits for it, else to one of its own. If that cannot be done it stays:
// nothing is lost either way. r.mu is held.
func (r *Recorder) split(t *Take, m *measured) {
	old := t.rec
	old.mu.Lock()
	defer old.mu.Unlock()
	if old.take != t || r.stopped {
		return
	}
	o := old.open()
	if o == nil || o.N != old.provisional().Object {
		old.force(&settled{Keep: true})
		return
	}
	for _, next := range append(slices.Clone(t.others), r.newRecording(t)) {
		switch err := next.adopt(t, old, o, m); {
		case errors.Is(err, errNoMatch):
			continue
		case err != nil:
			old.log.Error("stream cannot be moved to another recording", "stream", t.stream.ID, "to", filepath.Base(next.dir), "error", err)
			continue
		}
		old.log.Info("stream does not match the recording that waits", "stream", t.stream.ID, "moved to", next.Recording.ID)
		// By a power cut the stream must not be lost to both.
		old.owe(&settled{Keep: false})
		old.take, old.heir = nil, next
		signal(old.dirty)
		signal(old.wake)
		t.rec, t.provisional = next, false
		if r.all[next.Recording.ID] == nil {
			r.launch(next)
		}
		return
	}
	old.force(&settled{Keep: true})
}

// adopt moves t with o, the open object of old, to rec: a new recording, or one
// that waits if t matches it. The journal is whole before the file moves, and
// the move decides: until then the stream is old's, and in rec, where its media
// is not, it is void.
func (rec *recording) adopt(t *Take, old *recording, o *object, m *measured) error {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	fresh := rec.journal == nil
	if fresh {
		if err := rec.create(t.r.begun(t, o.Time, rec)); err != nil {
			_ = rec.removeSpool() // void, and removed by the next start
			return err
		}
	} else if rec.ending != nil || rec.stopped || rec.match(&t.begins, m, time.Now()) == different {
		return errNoMatch
	}
	by := make([]shift, len(o.of)) // by rendition
	for i := range by {
		if fresh || rec.fragmented() {
			break
		}
		var before packager.TSState
		if n := len(old.objects); n > 1 {
			before = old.objects[n-2].of[i].TS
		}
		by[i] = shiftOf(before, rec.counters(i))
	}
	var later media.Ticks
	if at, some := rec.position(); some {
		later = at - o.Start
	}
	begins := joined{ID: t.stream.ID, At: o.Time, Provisional: !fresh, Object: rec.nextObject(), PostRoll: t.stream.PostRoll}
	if err := rec.adoptObject(t, &begins, old, o, m, by, later); err != nil {
		switch {
		case fresh:
			_ = rec.removeSpool() // as above
		case rec.provisional() != nil:
			rec.force(&settled{Keep: false})
		}
		return err
	}
	rec.bundle, old.bundle = &bundle{begins.Object, old.bundle.files}, nil
	rec.take, rec.doubt, rec.newNames = t, nil, true
	if fresh {
		return nil
	}
	rec.force(&settled{Keep: true})
	t.by += later
	for i := range by {
		if err := rec.rewrite(t, i, by[i], later); err != nil {
			rec.log.Warn("media that moved cannot be rewritten: counters or times jump", "object", begins.Object, "error", err)
		}
	}
	signal(rec.wake)
	return nil
}

// adoptObject journals that o's stream begins, with o, which is moved on the
// timeline, and moves the file.
func (rec *recording) adoptObject(t *Take, begins *joined, old *recording, o *object, m *measured, by []shift, later media.Ticks) error {
	n := begins.Object
	records := []record{begins}
	if rec.measured == nil {
		records = append(records, m)
	}
	headers := make([]int, len(o.of))
	for i := range headers {
		headers[i] = rec.header(i)
		made := t.tracks[i].params
		if made == (media.Params{}) {
			continue // what old has of it is of other streams
		}
		if is := rec.layout().describe(rec.described[i], made); is != rec.described[i] {
			records = append(records, &is)
		}
		if !rec.fragmented() {
			continue
		}
		h, there := &old.headers[i][o.of[i].Header], rec.headers[i]
		if len(there) == 0 || !bytes.Equal(there[len(there)-1].Data, h.Data) {
			records, headers[i] = append(records, h), len(there)
		}
	}
	records = append(records, rec.marksFor(t.adBreak, o.Time)...)
	records = append(records, rec.opening(n, len(rec.objects) > 0, headers))
	for _, p := range o.parts {
		p.Object, p.Start, p.Of = n, p.Start+later, slices.Clone(p.Of)
		for i := range p.Of {
			of := &p.Of[i]
			of.TS = by[i].apply(of.TS)
			if by[i] != (shift{}) || later != 0 {
				of.Sum = 0 // the file is rewritten when it has moved
			}
		}
		records = append(records, &p)
	}
	for _, r := range records {
		if err := rec.record(r); err != nil {
			return err
		}
	}
	from, to := old.bundlePath(o.N), rec.bundlePath(n)
	if rec.several() { // a folder cannot replace what a torn object of that number left
		if err := rec.fs.RemoveAll(to); err != nil {
			return fmt.Errorf("move object %d: %w", o.N, err)
		}
	}
	if err := rec.fs.Rename(from, to); err != nil {
		return fmt.Errorf("move object %d: %w", o.N, err)
	}
	return nil
}

// rewrite brings what the open object has of rendition i in line with the
// recording that it moved to: it is later, and its counters are others. The file is read whole:
// a group of pictures is ten seconds at most.
func (rec *recording) rewrite(t *Take, i int, by shift, later media.Ticks) error {
	o, file := rec.open(), rec.bundle.files[i]
	if by != (shift{}) {
		t.tracks[i].ts = packager.NewTS(o.of[i].TS)
	}
	if file == nil || by == (shift{}) && later == 0 {
		return nil
	}
	data := make([]byte, o.of[i].Size)
	if _, err := file.ReadAt(data, 0); err != nil {
		return fmt.Errorf("rewrite object %d: %w", o.N, err)
	}
	if rec.fragmented() {
		if err := packager.RetimeCMAF(data, later, t.tracks[i].params.Rate(media.Audio)); err != nil {
			return fmt.Errorf("rewrite object %d: %w", o.N, err)
		}
	} else {
		by.rewrite(data)
		packager.RetimeTS(data, later)
	}
	if _, err := file.WriteAt(data, 0); err != nil {
		return fmt.Errorf("rewrite object %d: %w", o.N, err)
	}
	return nil
}
