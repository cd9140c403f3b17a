package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"slices"

	"anabranch/internal/media"
	"anabranch/internal/metrics"
	"anabranch/internal/objectstore"
)

// Below these folders thumbnails lie as the layout says.
const (
	thumbnailsPath      = "media/thumbnails"
	latestThumbnailPath = "media/latest_thumbnail"
	typeJPEG            = "image/jpeg"
)

// thumbnail says that the spool has one.
type thumbnail struct {
	N    int         `json:"n"`    // of its file in the spool
	At   media.Ticks `json:"at"`   // of its picture, on the recording's media time, in 90 kHz ticks
	Size int64       `json:"size"` // in bytes
	Sum  uint32      `json:"sum"`  // CRC32C of the bytes
}

// thumbs is what is known of a recording's thumbnails.
type thumbs struct {
	spooled []thumbnail // those that are not stored, oldest first
	newest  *thumbnail  // of all; its file stays when it is stored
	next    int         // number of the next in the spool
	stored  int         // how many the bucket has had
	due     media.Ticks // the media time of the next
	// elapsed is how much media there was, of a recording that keeps none. A kill
	// loses what came behind the last thumbnail.
	elapsed media.Ticks
}

func (t *thumbnail) apply(s *state) error {
	if s.Thumbnails == nil || t.N < s.thumbs.next {
		return fmt.Errorf("thumbnail %d comes out of order", t.N)
	}
	s.thumbs.spooled = append(s.thumbs.spooled, *t)
	s.thumbs.newest, s.thumbs.next = t, t.N+1
	s.thumbs.due = max(s.thumbs.due, s.Thumbnails.after(t.At))
	s.thumbs.elapsed = max(s.thumbs.elapsed, t.At)
	s.waiting += t.Size
	return nil
}

// thumbnailDone lets go of a thumbnail in the spool.
func (s *state) thumbnailDone(d *done) error {
	i := slices.IndexFunc(s.thumbs.spooled, func(t thumbnail) bool { return t.N == d.N })
	if i < 0 {
		return fmt.Errorf("there is no thumbnail %d", d.N)
	}
	s.waiting -= s.thumbs.spooled[i].Size
	s.thumbs.spooled = slices.Delete(s.thumbs.spooled, i, i+1)
	if d.What == storedThumbnail {
		s.thumbs.stored++
	}
	return nil
}

// thumbnailName is a thumbnail that is stored, empty when none is: one from the
// middle, as streams often begin and end with nothing to see. Thumbnails are counted
// as they are stored, so one that the spool has lost leaves no hole.
func (s *state) thumbnailName() string {
	switch {
	case s.thumbs.stored == 0:
		return ""
	case s.Thumbnails.Sequential:
		return s.layout().thumbnail(s.thumbs.stored / 2)
	}
	return s.layout().latest()
}

// recoverThumbnails lets go of the thumbnails that did not reach the disk.
func (rec *recording) recoverThumbnails() error {
	for _, t := range slices.Clone(rec.thumbs.spooled) {
		_, err := rec.readThumbnail(&t)
		if err == nil {
			continue
		}
		if shortage(err) {
			return err
		}
		if err := rec.record(&done{What: droppedThumbnail, N: t.N}); err != nil {
			return err
		}
	}
	return nil
}

// readThumbnail reads a thumbnail from the spool.
func (rec *recording) readThumbnail(t *thumbnail) ([]byte, error) {
	file, err := rec.fs.OpenFile(rec.thumbnailPath(t.N), os.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("read thumbnail: %w", err)
	}
	defer file.Close()
	jpeg := make([]byte, t.Size)
	if _, err := io.ReadFull(file, jpeg); err != nil {
		return nil, fmt.Errorf("read thumbnail: %w", err)
	}
	if crc32.Checksum(jpeg, castagnoli) != t.Sum {
		return nil, errors.New("read thumbnail: it is not what was written")
	}
	return jpeg, nil
}

// storeThumbnail stores the oldest thumbnail in the spool, or lets it go where only
// the latest is wanted and a later one is there. Its file stays until the next is
// stored: see [Recorder.Poster].
func (rec *recording) storeThumbnail(ctx context.Context) error {
	rec.trySync() // what is stored must be known after a power cut, as with objects
	rec.mu.Lock()
	t, latest, n := rec.thumbs.spooled[0], len(rec.thumbs.spooled) == 1, rec.thumbs.stored
	rec.mu.Unlock()

	what := droppedThumbnail
	if rec.Thumbnails.Sequential || latest {
		jpeg, err := rec.readThumbnail(&t)
		if err == nil {
			// A bucket that takes the media may refuse this: the recording is not to
			// wait for it.
			if err = rec.putThumbnail(ctx, jpeg, n, latest); err != nil && (!objectstore.Refused(err) || objectstore.NoBucket(err)) {
				return err
			}
		}
		if err == nil {
			what = storedThumbnail
		} else {
			rec.leaveOutThumbnail(err)
		}
	}
	if rec.did(done{What: what, N: t.N}) {
		_ = rec.fs.Remove(rec.thumbnailPath(t.N - 1)) // if it is there
	}
	return nil
}

// leaveOutThumbnail takes note of a thumbnail that cannot be stored, and says so of
// the first.
func (rec *recording) leaveOutThumbnail(err error) {
	metrics.RecordingThumbnailsLost.Inc()
	level := slog.LevelDebug
	if !rec.thumbnailLost {
		level, rec.thumbnailLost = slog.LevelWarn, true
	}
	rec.log.Log(context.Background(), level, "thumbnail cannot be stored and is left out", "error", err)
}

// putThumbnail stores the n-th thumbnail where it is wanted.
func (rec *recording) putThumbnail(ctx context.Context, jpeg []byte, n int, latest bool) error {
	if rec.Thumbnails.Sequential {
		if err := rec.put(ctx, rec.layout().thumbnail(n), typeJPEG, bytes.NewReader(jpeg), int64(len(jpeg))); err != nil {
			return err
		}
	}
	if rec.Thumbnails.Latest && latest {
		return rec.put(ctx, rec.layout().latest(), typeJPEG, bytes.NewReader(jpeg), int64(len(jpeg)))
	}
	return nil
}
