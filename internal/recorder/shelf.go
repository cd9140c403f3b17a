package recorder

import (
	"time"

	"anabranch/internal/media"
	"anabranch/internal/resource"
)

// Progress is how far a recording is whose spool is still here.
type Progress struct {
	Duration time.Duration // of the media, what is not in the bucket yet included
	Waiting  int64         // bytes of media that are not in the bucket yet
	Streams  []string      // those that are certain to belong to it, oldest first
	Playable bool          // the bucket has playlists, and they name media
	// Media is what its playlists name so far.
	Media resource.RecordedMedia
}

// Progress tells how far a recording is. It is false for one that is not in
// the spool: it is all in its bucket, and the ledger knows the rest.
func (r *Recorder) Progress(id string) (p Progress, ok bool) {
	rec := r.spooled(id)
	if rec == nil {
		return p, false
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return Progress{Duration: rec.duration(), Waiting: rec.waiting, Streams: rec.streamIDs(), Playable: rec.listed > 0, Media: rec.recordedMedia(rec.objects[:rec.listed])}, true
}

// Object is one media file of a recording, or the want of one.
type Object struct {
	Rendition     string // its folder
	Name          string // in the folder
	Size          int64  // in bytes; 0 where the rendition has a hole, and no file
	Duration      time.Duration
	Time          time.Time // of its beginning
	Discontinuity bool      // it does not go on from the object before
}

// Stored lists the media that is in the bucket, rendition after rendition, of a
// recording whose spool is still here; it is false for any other. Renditions
// without media are left out.
func (r *Recorder) Stored(id string) (objects []Object, ok bool) {
	rec := r.spooled(id)
	if rec == nil {
		return nil, false
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	stored := rec.objects[:rec.stored()]
	for _, v := range rec.variants(stored) {
		for i := range stored {
			o := &stored[i]
			objects = append(objects, Object{
				Rendition: v.name, Name: rec.objectName(o.N), Size: o.of[v.index].Size, Duration: o.Duration.Duration(media.VideoRate),
				Time: o.Time, Discontinuity: o.Discontinuity && i > 0,
			})
		}
	}
	return objects, true
}

// spooled finds a recording that is not finished; nil for any other.
func (r *Recorder) spooled(id string) *recording {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[id]
}
