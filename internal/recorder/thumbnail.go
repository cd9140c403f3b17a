package recorder

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"time"

	"anabranch/internal/disk"
	"anabranch/internal/media"
	"anabranch/internal/metrics"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

// thumbnailPatience is how long the end of a recording waits for a thumbnail
// that is being made.
const thumbnailPatience = 15 * time.Second

// Thumbnails are made of key frames: the first at or behind each multiple of
// their interval, on the recording's media time. Whatever goes wrong costs that
// thumbnail, and nothing else.

// thumbnails says which a recording has.
type thumbnails struct {
	Interval   time.Duration `json:"interval"`
	Sequential bool          `json:"sequential,omitempty"` // all, in a folder
	Latest     bool          `json:"latest,omitempty"`     // the newest, in a place of its own
	// Width and Height are those of a channel's first stream's.
	Width  int `json:"width"`
	Height int `json:"height"`
}

// thumbnails are those of a channel's recording that begins with the stream, nil for
// none.
func (s *Stream) thumbnails() *thumbnails {
	c := &s.Configuration.Thumbnail
	if c.RecordingMode != "INTERVAL" || c.TargetIntervalSeconds <= 0 || s.Description.Video == nil {
		return nil
	}
	t := &thumbnails{
		Interval:   time.Duration(c.TargetIntervalSeconds) * time.Second,
		Sequential: slices.Contains(c.Storage, "SEQUENTIAL"), Latest: slices.Contains(c.Storage, "LATEST"),
		Width: s.Description.Video.Width, Height: s.Description.Video.Height,
	}
	if i := s.thumbnailed(); i >= 0 {
		t.Width, t.Height = s.Renditions[i].Width, s.Renditions[i].Height
	}
	return t
}

// thumbnailed is the index of the rendition that has the configured resolution,
// the best of it, or the lowest of all. Without it is -1, the source.
func (s *Stream) thumbnailed() int {
	resolution, found := s.Configuration.Thumbnail.Resolution, -1
	for i, r := range s.renditions() {
		if i < len(s.Renditions) && r.within(resolution) && (found < 0 || resolution == "LOWEST_RESOLUTION") {
			found = i
		}
	}
	return found
}

// lens is what a take sees of its stream for thumbnails. It is guarded by the
// mutex of the take's recording.
type lens struct {
	rendition int // -1: the source
	// origin is where on the stream's timeline a recording without media begins.
	origin media.Ticks
	end    media.Ticks // of the last part; 0 before the first
	// first is the first key frame of a stream in doubt, which is not the
	// recording's yet.
	first *sight
	// due is what to make a thumbnail of, once the mutex is not held.
	due *sight
}

// sight is a key frame that may become a thumbnail.
type sight struct {
	place media.Ticks // on the stream's timeline
	video *media.VideoParams
	key   media.Frame

	n  int         // of the request
	at media.Ticks // on the recording's media time
}

// requests are those for thumbnails. They are guarded by the recording's mutex.
type requests struct {
	stills Stills      // nil for none
	after  media.Ticks // the media time of the next, going by those that were asked for
	n      int         // how many there were
	since  time.Time   // of the newest; zero when that has ended
}

// watch looks for the key frame that the next thumbnail is due of, in a part of t
// that was written.
func (rec *recording) watch(t *Take, c *packager.Chunk, all []Rendered) {
	if rec.Thumbnails == nil || rec.requests.stills == nil {
		return
	}
	l := &t.lens
	if l.end == 0 {
		l.origin = c.Start - rec.thumbs.elapsed
	}
	l.end = c.End()
	if l.rendition >= 0 && l.rendition < len(all) {
		c = all[l.rendition].Chunk
	}
	doubt := rec.provisional() != nil
	if first := l.first; first != nil && !doubt {
		l.first = nil
		rec.look(t, first)
	}
	if c == nil || c.Params.Video == nil || slices.ContainsFunc(all, func(r Rendered) bool { return r.Blank }) || doubt && l.first != nil || !doubt && !rec.thumbnailDue(t, c.End()) {
		return
	}
	for i := range c.Video {
		if !c.Video[i].Key {
			continue
		}
		s := &sight{place: max(c.Start, c.Video[i].DTS), video: c.Params.Video, key: c.Video[i]}
		if doubt {
			l.first = s
			return
		}
		rec.look(t, s)
	}
}

// look has a thumbnail made of s if one is due there.
func (rec *recording) look(t *Take, s *sight) {
	if !rec.thumbnailDue(t, s.place) {
		return
	}
	r := &rec.requests
	r.n++
	s.n, s.at = r.n, rec.mediaTime(t, s.place)
	r.after, r.since = rec.Thumbnails.after(s.at), time.Now()
	t.lens.due = s
}

// thumbnailDue says whether the next thumbnail is due at a place of t's timeline,
// or before it.
func (rec *recording) thumbnailDue(t *Take, place media.Ticks) bool {
	return rec.mediaTime(t, place) >= max(rec.thumbs.due, rec.requests.after)
}

// mediaTime is how far into the recording a place of t's timeline is.
func (rec *recording) mediaTime(t *Take, place media.Ticks) media.Ticks {
	if rec.Bare || len(rec.objects) == 0 {
		return place - t.lens.origin
	}
	return place + t.by - rec.objects[0].Start
}

// elapsed is how much media there was by the end of t, of a recording that keeps
// none but thumbnails.
func (rec *recording) elapsed(t *Take) media.Ticks {
	if !rec.Bare || rec.Thumbnails == nil {
		return 0
	}
	return rec.mediaTime(t, t.lens.end)
}

// after is when the next thumbnail is due behind one of a media time.
func (t *thumbnails) after(at media.Ticks) media.Ticks {
	interval := max(1, media.TicksOf(t.Interval, media.VideoRate))
	return (at/interval + 1) * interval
}

// askThumbnail has the thumbnail made that is due, if any.
func (t *Take) askThumbnail() {
	s, rec := t.lens.due, t.rec
	if s == nil {
		return
	}
	t.lens.due = nil
	taken := rec.requests.stills.Take(filepath.Base(rec.dir), s.video, s.key, func(jpeg []byte, err error) {
		rec.thumbnailMade(s, jpeg, err)
	})
	if !taken {
		rec.thumbnailMade(s, nil, errors.New("too many stills are to be made"))
	}
}

// thumbnailMade takes the thumbnail of s, or why there is none.
func (rec *recording) thumbnailMade(s *sight, jpeg []byte, err error) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if err == nil {
		err = rec.spoolThumbnail(s.at, jpeg)
	}
	if err != nil {
		metrics.RecordingThumbnailsLost.Inc()
		rec.log.Debug("thumbnail is left out", "media", s.at.Duration(media.VideoRate), "error", err)
	}
	if s.n == rec.requests.n { // any older was made or replaced
		rec.requests.since = time.Time{}
	}
	signal(rec.wake)
}

// thumbnailWait is how long the end of the recording is to wait for a thumbnail.
// When the server stops there is less time, and an end to be told in it.
func (rec *recording) thumbnailWait(now time.Time) time.Duration {
	if rec.requests.since.IsZero() || rec.ending.Failure != "" {
		return 0
	}
	patience := thumbnailPatience
	if rec.stopped {
		patience = stopGrace / 2
	}
	return rec.requests.since.Add(patience).Sub(now)
}

// spoolThumbnail writes a thumbnail to the spool. It is synced with the media,
// but a disk that fails there fails it alone.
func (rec *recording) spoolThumbnail(at media.Ticks, jpeg []byte) error {
	switch {
	case rec.journal == nil || rec.failed():
		return rec.lost()
	case rec.room.full(rec.Recording.Bucket):
		return errors.New(rec.room.reason(rec.Recording.Bucket))
	}
	th := &thumbnail{N: rec.thumbs.next, At: at, Size: int64(len(jpeg)), Sum: crc32.Checksum(jpeg, castagnoli)}
	path := rec.thumbnailPath(th.N)
	file, err := rec.fs.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("make thumbnail: %w", err)
	}
	_, err = file.Write(jpeg)
	if err == nil {
		err = rec.record(th)
	}
	if err != nil {
		file.Close()
		_ = rec.fs.Remove(path)
		return fmt.Errorf("write thumbnail: %w", err)
	}
	rec.unsynced, rec.newNames = append(rec.unsynced, loose(dispensable{file})), true
	metrics.RecordingBytesSpooled.Add(float64(len(jpeg)))
	signal(rec.dirty)
	return nil
}

func (rec *recording) thumbnailPath(n int) string {
	return filepath.Join(rec.dir, fmt.Sprintf("thumb%d.jpg", n))
}

// dispensable is a file whose loss ends no recording: a power cut that leaves it
// torn is found out by its checksum.
type dispensable struct{ disk.File }

func (f dispensable) Sync() error {
	_ = f.File.Sync()
	return nil
}

func (f dispensable) Close() error {
	_ = f.File.Close()
	return nil
}

// poster is a thumbnail that was asked for: all who are sent it share its bytes.
type poster struct {
	of   int // its number in the spool
	jpeg []byte
}

// Poster is the newest thumbnail of a channel, as a JPEG. It is false when there is
// none: the channel is not recorded, or without thumbnails, or all of its
// recordings have ended.
func (r *Recorder) Poster(channel resource.ARN) (jpeg []byte, ok bool) {
	r.mu.Lock()
	of := owner{channel: channel}
	recs := r.joinable(of, time.Now())
	if t := r.takes[of]; t != nil {
		recs = slices.Insert(recs, 0, t.rec)
	}
	r.mu.Unlock()
	for _, rec := range recs {
		rec.mu.Lock()
		newest, known := rec.thumbs.newest, rec.poster
		rec.mu.Unlock()
		switch {
		case newest == nil:
			continue
		case known != nil && known.of == newest.N:
			return known.jpeg, true
		}
		if jpeg, err := rec.readThumbnail(newest); err == nil {
			rec.mu.Lock()
			rec.poster = &poster{newest.N, jpeg}
			rec.mu.Unlock()
			return jpeg, true
		}
	}
	return nil, false
}
