package recorder

import (
	"time"

	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

// Stream is a stream to record: a channel's, or a publication of a participant.
// No two have the same ID.
type Stream struct {
	ID string // "st-…"
	// Participant is whose publication it is; nil for a channel's stream. What
	// follows is then empty.
	Participant *Participant

	Channel       resource.Channel
	Configuration resource.RecordingConfiguration
	Description   media.Description
	// Renditions are all of the stream, best first; nil for the source alone.
	Renditions []Rendition
	PostRoll   time.Duration // of the ad break behind its end, 0 for none
}

// Take is a stream's stay in a recording. It is not for concurrent use.
//
// If the publisher does not tell what decides whether the stream belongs to
// the recording that waits, it joins provisionally: its parts go into an
// object of their own there, and after the first group of pictures either stay
// or move, with their file, to another recording that waits or to a new one.
type Take struct {
	r      *Recorder
	stream Stream
	rec    *recording
	err    error // why nothing is recorded any more
	gop    gop
	// begins is the beginning of the recording that the stream would make.
	begins begun
	// measuring says that the first group of pictures is not over.
	measuring bool
	// others are the recordings that t may belong to besides rec, as long as
	// that is in doubt. They are guarded by the recorder's mutex.
	others []*recording

	// adBreak is the newest ad break of the stream, as of the last part; coming
	// as of the next. They are nil before the first.
	adBreak, coming *packager.AdBreak
	losses          [2]*Loss // by kind, as of the next part

	// What follows is the recording's, guarded by its mutex.
	joined, provisional bool
	began               bool // it has an object
	// by is how far its media is moved on the timeline, in 90 kHz ticks, to begin
	// where the recording ended: another recording of the channel may be ahead.
	by     media.Ticks
	tracks []track // the renditions that are recorded
	buf    []byte
	lens   lens
}

// Write adds a part: the source's chunk, which decides where objects end, and
// the part in all renditions, parallel to [Stream.Renditions]. It writes to files
// and does nothing slower. An error, which the recorder has logged, is final: the
// stream is not recorded any more.
func (t *Take) Write(c *packager.Chunk, all []Rendered) error {
	if t.err != nil || !t.joined && !t.ready(all) {
		return t.err
	}
	if t.measuring && t.gop.complete(c) {
		t.measuring = false
		t.settle(t.gop.measure())
	}
	t.adBreak = t.coming // what settles goes by the parts before
	if !t.joined {
		t.err = t.r.ensure(t, c.Time)
	}
	if t.err == nil {
		t.err = t.rec.write(t, c, all)
		t.askThumbnail()
	}
	if t.measuring {
		t.gop.add(c)
	}
	if t.err != nil {
		t.over()
	}
	return t.err
}

// AdBreak says which ad break the stream is in, or was in last. It comes before
// the Write of the part that a break begins with, or that follows it: both begin
// a segment, with a key frame.
func (t *Take) AdBreak(b packager.AdBreak) {
	if t.coming == nil || *t.coming != b {
		next := b // the parameter itself would go to the heap with each part
		t.coming = &next
	}
}

// Open is how long the object is that is not complete, in 90 kHz ticks; 0 when
// there is none.
func (t *Take) Open() media.Ticks {
	t.rec.mu.Lock()
	defer t.rec.mu.Unlock()
	if o := t.rec.open(); o != nil && t.rec.take == t {
		return o.Duration
	}
	return 0
}

// joins is the record with which t's media follows in rec.
func (t *Take) joins(rec *recording, at time.Time) *joined {
	j := &joined{ID: t.stream.ID, At: at, Provisional: t.provisional, Object: rec.nextObject(), PostRoll: t.stream.PostRoll}
	if p := t.stream.Participant; p != nil {
		j.StageSession = p.SessionID
	}
	return j
}

// End says that the stream ended: the reconnect window begins.
func (t *Take) End() {
	if t.err == nil && t.measuring && t.joined {
		// A bitrate cannot be told from part of a group, which begins with its
		// largest picture.
		t.settle(measured{FrameRate: t.gop.measure().FrameRate})
	}
	t.err = errEnded
	t.rec.leave(t)
	t.over()
}

// over tells the recorder that t writes no more.
func (t *Take) over() {
	t.r.mu.Lock()
	defer t.r.mu.Unlock()
	t.r.letGo(t)
}

// leave ends t's stay.
func (rec *recording) leave(t *Take) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.take == t {
		rec.detach(time.Now())
	}
}

// settle decides by the first group of pictures what could not be decided at
// the beginning.
func (t *Take) settle(m measured) {
	v := t.rec.settle(t, &m)
	t.r.mu.Lock()
	defer t.r.mu.Unlock()
	if v == different {
		t.r.split(t, &m)
	}
	t.r.decided(t)
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
			_ = rec.fail(err)
			return same
		}
		signal(rec.wake)
	}
	if rec.provisional() == nil {
		return same
	}
	if rec.match(&t.begins, m, time.Now()) == different {
		return different
	}
	rec.force(&settled{Keep: true})
	signal(rec.wake)
	return same
}
