package recorder

import (
	"maps"
	"slices"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/resource"
)

// A channel, and likewise a participant, may have several recordings that wait for their broadcaster: a
// stream that does not belong to the one that waits begins another, and either
// may go on when its encoder is back.

// joinable are the recordings of an owner that have not ended: first the one whose
// last stream joined last. r.mu is held.
func (r *Recorder) joinable(of owner, now time.Time) []*recording {
	newest := make(map[*recording]time.Time)
	for _, rec := range r.all {
		if ownerOf(&rec.Recording) != of { // which never changes
			continue
		}
		rec.mu.Lock()
		if rec.expire(now); rec.ending == nil && !rec.stopped {
			newest[rec] = rec.newest()
		}
		rec.mu.Unlock()
	}
	return slices.SortedFunc(maps.Keys(newest), func(a, b *recording) int { return newest[b].Compare(newest[a]) })
}

// join finds the recording that t goes on with, nil when none waits for it: the
// newest that t surely belongs to, else the newest that it may belong to. r.mu
// is held.
func (r *Recorder) join(t *Take, now time.Time) *recording {
	for _, rec := range r.joinable(t.owner(), now) {
		switch rec.offer(t, now) {
		case same:
			r.decided(t)
			return rec
		case undecided:
			t.others = append(t.others, rec)
		}
	}
	for i, rec := range t.others {
		if rec.attach(t) {
			t.others = slices.Delete(t.others, i, i+1)
			return rec
		}
	}
	return nil
}

// decided says that t belongs where it is: the others that it might have
// belonged to need not wait for it. r.mu is held.
func (r *Recorder) decided(t *Take) {
	for _, rec := range t.others {
		rec.mu.Lock()
		rec.doubt = nil
		rec.mu.Unlock()
		signal(rec.wake)
	}
	t.others = nil
}

// offer makes t the recording's stream if it belongs to it. One that may belong
// to it keeps it from ending until that is decided, one of another recording
// configuration ends it.
func (rec *recording) offer(t *Take, now time.Time) verdict {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.ending != nil {
		return different
	}
	if !rec.configuredAs(&t.begins) {
		rec.end(now, resource.RecordingFailure{})
		return different
	}
	v := rec.match(&t.begins, nil, now)
	switch v {
	case same:
		rec.take, t.provisional = t, false
	case undecided:
		rec.doubt = t
	default:
		rec.log.Info("stream does not match the recording that waits", "stream", t.stream.ID)
	}
	return v
}

// attach makes t, which is in doubt, the recording's stream, unless the
// recording has ended.
func (rec *recording) attach(t *Take) bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.doubt = nil
	if rec.ending != nil {
		return false
	}
	rec.take, t.provisional = t, true
	return true
}

// supersede ends the stay of t, for a newer stream of its channel came.
func (rec *recording) supersede(t *Take, now time.Time) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.take == t {
		rec.log.Warn("stream is not recorded any more: a newer one came", "stream", t.stream.ID)
		rec.detach(now)
	}
}

// Position is where on the run timeline, in 90 kHz ticks, the next stream of a
// channel had best begin: behind the media of all its recordings that have not
// ended. What begins elsewhere is moved to where its recording ended. It is
// false when there is none.
func (r *Recorder) Position(channel resource.ARN) (end media.Ticks, ok bool) {
	return r.position(owner{channel: channel})
}

func (r *Recorder) position(of owner) (end media.Ticks, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.joinable(of, time.Now()) {
		rec.mu.Lock()
		if at, some := rec.position(); some {
			end, ok = max(end, at), true
		}
		rec.mu.Unlock()
	}
	return end, ok
}

// Waiting lists the channels that have recordings which wait for their
// broadcaster.
func (r *Recorder) Waiting() []resource.ARN {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	channels := make(map[resource.ARN]bool)
	for _, rec := range r.all {
		rec.mu.Lock()
		if rec.expire(now); rec.Recording.ChannelARN != "" && rec.take == nil && rec.ending == nil {
			channels[rec.Recording.ChannelARN] = true
		}
		rec.mu.Unlock()
	}
	return slices.Sorted(maps.Keys(channels))
}

// Release ends the recordings of a channel that wait for its broadcaster,
// unless they are of the given recording configuration.
func (r *Recorder) Release(channel, configuration resource.ARN) {
	r.release(func(of *resource.Recording) bool {
		return of.ChannelARN == channel && of.RecordingConfigurationARN != configuration
	})
}

// ReleaseStage ends the recordings of a stage that wait for their participants:
// the stage is gone.
func (r *Recorder) ReleaseStage(stage resource.ARN) {
	r.release(func(of *resource.Recording) bool { return of.StageARN == stage })
}

// release lets recordings wait for nobody any more.
func (r *Recorder) release(those func(*resource.Recording) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.all {
		if !those(&rec.Recording) { // which never changes
			continue
		}
		rec.mu.Lock()
		rec.released = true
		if rec.take == nil {
			rec.end(time.Now(), resource.RecordingFailure{})
		}
		rec.mu.Unlock()
	}
}
