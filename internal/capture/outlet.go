package capture

import (
	"slices"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/recorder"
	"anabranch/internal/resource"
)

// keep is what a recording consists of.
type keep struct {
	sound    bool // is looked at
	pictures bool // are looked at, for the media or for thumbnails
	media    bool // there is more than thumbnails
	alone    bool // the media is sound alone
}

// keepOf is what a stage wants of its participants.
func keepOf(r *resource.ParticipantRecording) keep {
	thumbnails := r.Thumbnail.RecordingMode == "INTERVAL"
	switch {
	case slices.Contains(r.MediaTypes, "NONE"):
		return keep{pictures: thumbnails}
	case slices.Contains(r.MediaTypes, "AUDIO_ONLY"):
		return keep{sound: true, pictures: thumbnails, media: true, alone: true}
	}
	return keep{sound: true, pictures: true, media: true}
}

// take is a [recorder.Take].
type take interface {
	Write(c *packager.Chunk, all []recorder.Rendered) error
	Lost(l recorder.Loss)
	Open() media.Ticks
	End()
}

// outlet hands what is cut to the recorder, at once.
type outlet struct {
	keep     keep
	target   media.Ticks // how long an object lasts, in 90 kHz ticks
	timeline *timeline
	take     take

	until  media.Ticks // what begins here or later is not recorded; 0: all is
	object media.Ticks // where the newest object begins
	latest media.Ticks // where another may begin, of what is not emitted yet
	joint  media.Ticks // where time was left out last
	begun  bool
	losses [2]loss // by kind: those that were not told yet, as one

	whole, alone packager.Chunk // reused
	all          [1]recorder.Rendered
}

// loss is a span of lost media, in 90 kHz ticks; empty when nothing is.
type loss struct {
	from, to media.Ticks
	date     time.Time // of from
}

// lost takes note of media that is missing.
func (o *outlet) lost(kind media.Kind, from, to media.Ticks) {
	if !o.keep.media || o.keep.alone && kind == media.Video {
		return
	}
	l := &o.losses[kind]
	if l.from == l.to || from < l.from {
		l.from, l.date = from, o.timeline.time(from)
	}
	l.to = max(l.to, to)
}

// emit records a part.
func (o *outlet) emit(c *packager.Chunk) error {
	if o.until > 0 && c.Start >= o.until {
		return nil
	}
	o.tellLosses(c)
	o.all[0] = recorder.Rendered{Blank: c.Params.Video == blackStill.params}
	if o.keep.alone {
		c = o.soundAlone(c)
		o.all[0].Chunk = c.SoundOnly(&o.alone)
	} else if o.keep.media {
		o.all[0].Chunk = c
	}
	o.begun = true
	if err := o.take.Write(c, o.all[:]); err != nil {
		return err
	}
	if open := o.take.Open(); open > 0 {
		o.open(max(o.object, c.End()-open))
	}
	return nil
}

// open says where an object begins.
func (o *outlet) open(at media.Ticks) {
	o.object, o.latest = at, max(o.latest, at)
}

// expect says that a picture is handed to the cutter. The recorder may open an object
// there if it is a key frame and the one before is long enough, or about there if that
// is as long as it may be.
func (o *outlet) expect(at media.Ticks, key bool) {
	long := at - o.object
	if o.keep.media && (key && long >= o.target || long > 2*o.target-ticksOf(packager.PartTarget)) {
		o.latest = at
	}
}

// soundAlone is c for a recording of sound, which pictures do not interrupt, but time
// that was left out does.
func (o *outlet) soundAlone(c *packager.Chunk) *packager.Chunk {
	o.whole = *c
	o.whole.Discontinuity = c.Discontinuity && (!o.begun || c.Start == o.joint)
	o.whole.Independent = true
	return &o.whole
}

// tellLosses tells those that begin in c, or should have been told before.
func (o *outlet) tellLosses(c *packager.Chunk) {
	for kind := range o.losses {
		l := &o.losses[kind]
		if l.from == l.to || l.from >= c.End() {
			continue
		}
		if l.from < c.Start {
			l.from, l.date = c.Start, c.Time
		}
		if l.to > l.from {
			o.take.Lost(recorder.Loss{Kind: media.Kind(kind), From: l.date, Duration: (l.to - l.from).Duration(media.VideoRate)})
		}
		*l = loss{}
	}
}
