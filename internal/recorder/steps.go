package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/metrics"
	"anabranch/internal/objectstore"
	"anabranch/internal/resource"
)

// The types of what is stored.
const (
	typePlaylist = "application/vnd.apple.mpegurl"
	typeJSON     = "application/json"
	typeMP4      = "video/mp4"
	typeTS       = "video/mp2t"
	typeBytes    = "application/octet-stream"
)

// probe finds out whether the bucket takes objects. A network that is down is
// waited for; a refusal ends the recording before it has started.
func (rec *recording) probe(ctx context.Context) error {
	// From here on others know of the recording: it must outlive a power cut.
	if err := rec.sync(); err != nil {
		return err
	}
	err := rec.put(ctx, "events/ivs-check", typeBytes, bytes.NewReader(nil), 0)
	if err == nil {
		return rec.did(done{What: probed})
	}
	if !objectstore.Refused(err) {
		return err
	}
	if reason := rec.bucket.Check(ctx, rec.Recording.Bucket); objectstore.Refused(reason) {
		err = reason // in words for people
	}
	rec.refuse(err.Error())
	return nil
}

func (rec *recording) refuse(reason string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.log.Warn("recording is refused", "bucket", rec.Recording.Bucket, "reason", reason)
	rec.take = nil
	rec.ending = nil
	rec.force(&ending{At: time.Now().UTC(), Failure: reason, Refused: true})
}

func (rec *recording) tellRefusal(ctx context.Context) error {
	if err := rec.ledger.RefuseRecording(ctx, rec.row(), rec.ending.Failure); err != nil {
		return fmt.Errorf("tell refused recording: %w", err)
	}
	rec.finished = true
	return nil
}

// drop lets go of a recording that never was one.
func (rec *recording) drop(context.Context) error {
	rec.finished = true
	return nil
}

func (rec *recording) tellStart(ctx context.Context) error {
	row := rec.row()
	if err := rec.ledger.StartRecording(ctx, row); err != nil {
		return fmt.Errorf("tell start of recording: %w", err)
	}
	rec.mu.Lock()
	rec.unknown = false
	rec.mu.Unlock()
	return rec.did(done{What: told, N: len(row.StreamIDs)})
}

func (rec *recording) tellJoin(ctx context.Context) error {
	row := rec.row()
	n := rec.told
	err := rec.ledger.JoinRecording(ctx, row.ID, row.StreamIDs[n])
	// The ledger gives up a recording whose spool is away at a start. Should the
	// spool come back, its media is stored, but nothing more is told.
	var over *resource.Error
	if err != nil && !(errors.As(err, &over) && over.Kind == resource.Conflict) {
		return fmt.Errorf("tell that stream joined recording: %w", err)
	}
	return rec.did(done{What: told, N: n + 1})
}

func (rec *recording) announce(ctx context.Context) error {
	if err := rec.putMetadata(ctx, "recording-started.json", resource.RecordingStarted); err != nil {
		return err
	}
	return rec.did(done{What: announced})
}

func (rec *recording) storeHeader(ctx context.Context) error {
	rec.mu.Lock()
	n := rec.headersDone
	data := rec.headers[n].Data
	key := rec.mediaKey(headerName(n))
	rec.mu.Unlock()
	if err := rec.put(ctx, key, typeMP4, bytes.NewReader(data), int64(len(data))); err != nil {
		return err
	}
	return rec.did(done{What: storedHeader, N: n})
}

// storeObject stores the next object. Its file is removed after the journal
// has it on the disk that it is not needed any more.
func (rec *recording) storeObject(ctx context.Context) error {
	rec.mu.Lock()
	o := *rec.unstored()
	name := rec.objectName(o.N)
	key := rec.mediaKey(name)
	contentType := typeTS
	if rec.fragmented() {
		contentType = typeMP4
	}
	rec.mu.Unlock()

	path := filepath.Join(rec.dir, name)
	file, err := rec.fs.OpenFile(path, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return rec.loseObject(&o)
	}
	if err != nil {
		return fmt.Errorf("open object %d: %w", o.N, err)
	}
	defer file.Close()
	if err := rec.put(ctx, key, contentType, io.NewSectionReader(file, 0, o.Size), o.Size); err != nil {
		return err
	}
	if !o.closedAt.IsZero() {
		metrics.RecordingUploadLag.Observe(time.Since(o.closedAt).Seconds())
	}
	if err := rec.did(done{What: storedObject, N: o.N}); err != nil {
		return err
	}
	if err := rec.sync(); err != nil {
		return err
	}
	if err := rec.fs.Remove(path); err != nil {
		return fmt.Errorf("remove stored object: %w", err)
	}
	return nil
}

// loseObject goes on without an object whose file somebody took away.
func (rec *recording) loseObject(o *object) error {
	rec.log.Error("media is missing from the spool and left out", "object", o.N, "media", o.Duration.Duration(media.VideoRate))
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.record(&cut{N: o.N})
}

// refresh stores the playlists as far as the objects they name are stored.
func (rec *recording) refresh(ctx context.Context) error {
	return rec.putPlaylists(ctx, false)
}

// finish stores what closes the recording, and tells that it ended.
func (rec *recording) finish(ctx context.Context) error {
	rec.mu.Lock()
	end, length, id := *rec.ending, rec.duration(), rec.Recording.ID
	rec.mu.Unlock()
	if !rec.empty() && !rec.Bare {
		if err := rec.putPlaylists(ctx, true); err != nil {
			return err
		}
	}
	name, status := "recording-ended.json", resource.RecordingEnded
	if end.Failure != "" {
		name, status = "recording-failed.json", resource.RecordingFailed
	}
	if err := rec.putMetadata(ctx, name, status); err != nil {
		return err
	}
	var err error
	if end.Failure == "" {
		err = rec.ledger.EndRecording(ctx, id, end.At, length)
	} else {
		err = rec.ledger.FailRecording(ctx, id, end.At, length, end.Failure)
	}
	if err != nil {
		return fmt.Errorf("tell end of recording: %w", err)
	}
	rec.log.Info("recording ended", "media", length, "failure", end.Failure)
	rec.finished = true
	return nil
}

// put stores an object below the recording's prefix.
func (rec *recording) put(ctx context.Context, key, contentType string, body io.ReadSeeker, size int64) error {
	if err := rec.slots.Acquire(ctx, 1); err != nil {
		return err
	}
	defer rec.slots.Release(1)
	if err := rec.bucket.Put(ctx, rec.Recording.Bucket, rec.Recording.Prefix+"/"+key, contentType, body); err != nil {
		metrics.RecordingUploadFailures.Inc()
		return fmt.Errorf("store %s: %w", key, err)
	}
	metrics.RecordingBytesUploaded.Add(float64(size))
	return nil
}

// did journals that a step was taken.
func (rec *recording) did(d done) error {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.record(&d)
}

// row is the recording as the ledger keeps it.
func (rec *recording) row() resource.Recording {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	row := rec.Recording
	row.StreamIDs = rec.settledStreams()
	return row
}

func (rec *recording) mediaKey(name string) string {
	return "media/hls/" + rec.rendition() + "/" + name
}
