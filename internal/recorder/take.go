package recorder

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

// Stream is a stream to record.
type Stream struct {
	ID            string // "st-…"
	Channel       resource.Channel
	Configuration resource.RecordingConfiguration
	Description   media.Description
}

// Take is a stream's stay in a recording. It is not for concurrent use.
//
// If the publisher does not tell what decides whether the stream belongs to
// the recording that waits, it joins provisionally: its parts go into an
// object of their own there, and after the first group of pictures either stay
// or move, with their file, to a recording of their own.
type Take struct {
	r      *Recorder
	stream Stream
	rec    *recording
	err    error // why nothing is recorded any more
	gop    gop
	// measuring says that the first group of pictures is not over.
	measuring bool

	// What follows is the recording's, guarded by its mutex.
	joined, provisional bool
	params              media.Params // of the last part
	ts                  *packager.TS
	buf                 []byte
}

// Write adds a chunk, whose CMAF form is given too, for recordings that keep
// that one. It writes to files and does nothing slower. An error, which the
// recorder has logged, is final: the stream is not recorded any more.
func (t *Take) Write(c *packager.Chunk, cmaf []byte) error {
	if t.err != nil {
		return t.err
	}
	if t.measuring && t.gop.complete(c) {
		t.measuring = false
		t.settle(t.gop.measure())
	}
	if !t.joined {
		t.err = t.r.ensure(t, c.Time)
	}
	if t.err == nil {
		t.err = t.rec.write(t, c, cmaf)
	}
	if t.measuring {
		t.gop.add(c)
	}
	return t.err
}

// End says that the stream ended: the reconnect window begins.
func (t *Take) End() {
	if t.err == nil && t.measuring && t.joined {
		// A bitrate cannot be told from part of a group, which begins with its
		// largest picture.
		t.settle(measured{FrameRate: t.gop.measure().FrameRate})
	}
	t.err = errEnded
	if t.rec.leave(t) {
		t.r.forget(t.rec)
	}
}

// leave ends t's stay, and says whether the recording never began.
func (rec *recording) leave(t *Take) (unborn bool) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.take == t {
		rec.detach(time.Now())
	}
	return rec.Recording.ID == ""
}

// settle decides by the first group of pictures what could not be decided at
// the beginning.
func (t *Take) settle(m measured) {
	if t.rec.settle(t, &m) == different {
		t.r.split(t, &m)
	}
}

// settle takes note of what the first group of pictures of t shows, and says
// whether t belongs to the recording.
func (rec *recording) settle(t *Take, m *measured) verdict {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.take != t {
		return same
	}
	if rec.measured == nil {
		if err := rec.record(m); err != nil {
			rec.fail(err)
			return same
		}
		signal(rec.wake)
	}
	if rec.provisional() == nil {
		return same
	}
	if rec.match(t.stream, m, time.Now()) == different {
		return different
	}
	rec.force(&settled{Keep: true})
	signal(rec.wake)
	return same
}

// pack is the part as the recording's container has it.
func (t *Take) pack(c *packager.Chunk, cmaf []byte) ([]byte, error) {
	if t.rec.fragmented() {
		return cmaf, nil
	}
	var err error
	t.buf, err = t.ts.Append(t.buf[:0], c)
	return t.buf, err
}

// split moves t, which turned out not to belong to its recording, to one of
// its own. If that cannot be done it stays: nothing is lost either way.
func (r *Recorder) split(t *Take, m *measured) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := t.rec
	old.mu.Lock()
	defer old.mu.Unlock()
	if old.take != t || old.stopped {
		return
	}
	o := old.open()
	if o == nil || o.N != old.provisional().Object {
		old.force(&settled{Keep: true})
		return
	}
	next := r.newRecording(t)
	if err := next.adopt(old, o, r.begun(t, o.Time, next), m); err != nil {
		old.log.Error("stream that does not match stays in the recording", "stream", t.stream.ID, "error", err)
		next.removeSpool()
		old.force(&settled{Keep: true})
		return
	}
	old.log.Info("stream does not match the recording that waits", "stream", t.stream.ID, "new", next.Recording.ID)
	old.force(&settled{Keep: false})
	next.file, old.file = old.file, nil
	old.take = nil
	signal(old.wake)
	t.rec, t.provisional = next, false
	r.current[t.stream.Channel.ARN] = next
	r.launch(next)
}

// adopt makes the recording that begins with o, the open object of old. The
// new journal is whole before the file moves, and the move decides: until then
// the stream is old's, and the new journal, whose media is not there, is void.
func (rec *recording) adopt(old *recording, o *object, b *begun, m *measured) error {
	if err := rec.create(b); err != nil {
		return err
	}
	t := old.take
	records := []record{&joined{ID: t.stream.ID, At: o.Time}, m}
	if len(old.headers) > 0 {
		records = append(records, &old.headers[o.Header])
	}
	records = append(records, &opened{})
	for _, p := range o.parts {
		p.Object = 0
		records = append(records, &p)
	}
	for _, r := range records {
		if err := rec.record(r); err != nil {
			return err
		}
	}
	from, to := filepath.Join(old.dir, old.objectName(o.N)), filepath.Join(rec.dir, rec.objectName(0))
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("move object %d: %w", o.N, err)
	}
	return nil
}
