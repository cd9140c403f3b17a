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
	} else if rec.ending != nil || rec.stopped || rec.match(t.stream, m, time.Now()) == different {
		return errNoMatch
	}
	var by shift
	if n := len(old.objects); !fresh && !rec.fragmented() {
		var before packager.TSState
		if n > 1 {
			before = old.objects[n-2].TS
		}
		by = shiftOf(before, rec.counters())
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
	rec.file, old.file = old.file, nil
	rec.take, rec.doubt, rec.newNames = t, nil, true
	if fresh {
		return nil
	}
	rec.force(&settled{Keep: true})
	if by != (shift{}) {
		if err := by.rewrite(rec.file, o.Size); err != nil {
			rec.log.Warn("continuity counters jump", "object", begins.Object, "error", err)
		}
		t.ts = packager.NewTS(rec.open().TS)
	}
	if later != 0 {
		if err := rec.retime(t, o.Size, later); err != nil {
			rec.log.Warn("times jump", "object", begins.Object, "error", err)
		}
	}
	signal(rec.wake)
	return nil
}

// adoptObject journals that o's stream begins, with o, which is moved on the
// timeline, and moves the file.
func (rec *recording) adoptObject(t *Take, begins *joined, old *recording, o *object, m *measured, by shift, later media.Ticks) error {
	n := begins.Object
	records := []record{begins}
	if rec.measured == nil {
		records = append(records, m)
	}
	headers := len(rec.headers)
	if rec.fragmented() {
		h := &old.headers[o.Header]
		if headers == 0 || !bytes.Equal(rec.headers[headers-1].Data, h.Data) {
			records = append(records, h)
			headers++
		}
	}
	records = append(records, rec.marksFor(t.adBreak, o.Time)...)
	records = append(records, &opened{N: n, Discontinuity: len(rec.objects) > 0, Header: max(0, headers-1)})
	for _, p := range o.parts {
		p.Object, p.TS, p.Start = n, by.apply(p.TS), p.Start+later
		if by != (shift{}) || later != 0 {
			p.Sum = 0 // the file is rewritten when it has moved
		}
		records = append(records, &p)
	}
	for _, r := range records {
		if err := rec.record(r); err != nil {
			return err
		}
	}
	from, to := filepath.Join(old.dir, old.objectName(o.N)), filepath.Join(rec.dir, rec.objectName(n))
	if err := rec.fs.Rename(from, to); err != nil {
		return fmt.Errorf("move object %d: %w", o.N, err)
	}
	return nil
}

// retime moves the times in the open file, of so many bytes, and of what t adds
// to it. It is read whole: a group of pictures is ten seconds at most.
func (rec *recording) retime(t *Take, size int64, by media.Ticks) error {
	t.by += by
	data := make([]byte, size)
	_, err := rec.file.ReadAt(data, 0)
	switch {
	case err != nil:
	case rec.fragmented():
		err = packager.RetimeCMAF(data, by, t.params.Rate(media.Audio))
	default:
		packager.RetimeTS(data, by)
	}
	if err == nil {
		_, err = rec.file.WriteAt(data, 0)
	}
	if err != nil {
		return fmt.Errorf("move times: %w", err)
	}
	return nil
}
