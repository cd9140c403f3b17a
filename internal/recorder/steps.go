package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/metrics"
	"anabranch/internal/objectstore"
	"anabranch/internal/resource"
)

// readPatience is how long an object in the spool may be unreadable.
const readPatience = time.Hour

// refusalPatience is how long a bucket that is away is waited for to tell it that a
// recording could not start.
const refusalPatience = time.Hour

const startedName, endedName, failedName = "recording-started.json", "recording-ended.json", "recording-failed.json"

// The types of what is stored.
const (
	typePlaylist = "application/vnd.apple.mpegurl"
	typeJSON     = "application/json"
	typeMP4      = "video/mp4"
	typeTS       = "video/mp2t"
	typeBytes    = "application/octet-stream"
)

// probe finds out whether the bucket takes objects. A network that is down is
// waited for; a refusal ends the recording before it has started. Once there is
// more media than one object a refusal is waited for, too: it may be a mistake,
// and the media would be lost.
func (rec *recording) probe(ctx context.Context) error {
	// From here on others know of the recording: it must outlive a power cut.
	rec.trySync()
	err := rec.check(ctx)
	if err == nil {
		rec.did(done{What: probed})
		if rec.layout().probe() == "" {
			rec.did(done{What: announced})
		}
		return nil
	}
	rec.mu.Lock()
	much := rec.told > 0 || len(rec.objects) > 1
	rec.mu.Unlock()
	if much || !objectstore.Refused(err) {
		return err
	}
	gone := objectstore.NoBucket(err)
	if reason := rec.bucket.Check(ctx, rec.Recording.Bucket); objectstore.Refused(reason) {
		err = reason // in words for people
	}
	why := resource.RecordingFailure{Code: resource.RecordingDenied, Reason: err.Error()}
	if gone {
		why.Code = resource.RecordingNoBucket
	}
	rec.refuse(why)
	return nil
}

// check stores the object by which it is found out whether the bucket takes any.
func (rec *recording) check(ctx context.Context) (err error) {
	if name := rec.layout().probe(); name != "" {
		err = rec.put(ctx, name, typeBytes, bytes.NewReader(nil), 0)
	} else {
		err = rec.putMetadata(ctx, startedName, resource.RecordingStarted)
	}
	if err == nil {
		rec.checked = time.Now()
	}
	return err
}

// bucketGone ends the recording as failed if err says that its bucket does not
// exist, unless a stream goes on: that is spooled, as if the bucket were away.
// Should the bucket come back, it gets what there is.
func (rec *recording) bucketGone(err error) bool {
	if !objectstore.NoBucket(err) {
		return false
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.take != nil || rec.doubt != nil || rec.failed() {
		return false
	}
	at := time.Now()
	if rec.ending != nil {
		at, rec.ending = rec.ending.At, nil
	}
	reason := fmt.Sprintf("bucket %s does not exist any more", rec.Recording.Bucket)
	rec.log.Error("recording fails", "reason", reason)
	rec.end(at, resource.RecordingFailure{Code: resource.RecordingNoBucket, Reason: reason})
	return true
}

func (rec *recording) refuse(why resource.RecordingFailure) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.log.Warn("recording is refused", "bucket", rec.Recording.Bucket, "reason", why.Reason)
	rec.take = nil
	rec.ending = nil
	rec.force(&ending{At: time.Now().UTC(), Failure: why.Reason, Code: why.Code, Refused: true})
}

func (rec *recording) tellRefusal(ctx context.Context) error {
	if err := rec.ledger.RefuseRecording(ctx, rec.row(), rec.ending.why()); err != nil {
		return fmt.Errorf("tell refused recording: %w", err)
	}
	rec.did(done{What: toldFailure})
	return nil
}

// storeRefusal stores what tells of a recording that never started, if its layout
// has that. A bucket that refuses it, or is gone, is not asked again.
func (rec *recording) storeRefusal(ctx context.Context) error {
	if rec.layout().tellsRefusal() {
		err := rec.putMetadata(ctx, failedName, startFailed)
		if ctx.Err() != nil || err != nil && !objectstore.Refused(err) && time.Since(rec.ending.At) < refusalPatience {
			return err
		}
	}
	rec.finished = true
	return nil
}

// drop lets go of a recording that never was one.
func (rec *recording) drop(context.Context) error {
	rec.finished = true
	return nil
}

// tellStart tells the ledger of the recording. One that failed is told of
// before its bucket was reached, and whether the disk has it or not.
func (rec *recording) tellStart(ctx context.Context) error {
	if !rec.probed {
		_ = rec.sync()
	}
	row := rec.row()
	if err := rec.ledger.StartRecording(ctx, row); err != nil {
		return fmt.Errorf("tell start of recording: %w", err)
	}
	rec.mu.Lock()
	rec.unknown = false
	rec.mu.Unlock()
	rec.did(done{What: told, N: len(row.StreamIDs)})
	return nil
}

func (rec *recording) tellJoin(ctx context.Context) error {
	rec.mu.Lock()
	n, id := rec.told, rec.Recording.ID
	stream := rec.settledStreams()[n]
	rec.mu.Unlock()
	err := rec.ledger.JoinRecording(ctx, id, stream)
	// The ledger gives up a recording whose spool is away at a start. Should the
	// spool come back, its media is stored, but nothing more is told.
	var over *resource.Error
	if err != nil && !(errors.As(err, &over) && over.Kind == resource.Conflict) {
		return fmt.Errorf("tell that stream joined recording: %w", err)
	}
	rec.did(done{What: told, N: n + 1})
	return nil
}

// tellFailure tells the ledger that the recording failed, long before its media
// may be stored. It need not be told again if the journal cannot be written.
func (rec *recording) tellFailure(ctx context.Context) error {
	_ = rec.sync() // as when it ends well
	rec.mu.Lock()
	end, length, id := *rec.ending, rec.duration(), rec.Recording.ID
	rec.mu.Unlock()
	if err := rec.ledger.FailRecording(ctx, id, end.At, length, end.why()); err != nil {
		return fmt.Errorf("tell failure of recording: %w", err)
	}
	rec.log.Warn("recording failed", "media", length, "reason", end.Failure)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.force(&done{What: toldFailure})
	return nil
}

func (rec *recording) announce(ctx context.Context) error {
	if err := rec.putMetadata(ctx, startedName, resource.RecordingStarted); err != nil {
		return err
	}
	rec.did(done{What: announced})
	return nil
}

func (rec *recording) storeHeader(ctx context.Context) error {
	rec.mu.Lock()
	i := rec.unstoredHeader()
	n := rec.headersDone[i]
	data := rec.headers[i][n].Data
	key := rec.mediaKey(i, headerName(n))
	rec.mu.Unlock()
	if err := rec.put(ctx, key, typeMP4, bytes.NewReader(data), int64(len(data))); err != nil {
		return err
	}
	rec.did(done{What: storedHeader, N: n, Rendition: i})
	return nil
}

// storeObject stores the next object, file by file. They are removed after the
// journal has it on the disk that they are not needed any more.
func (rec *recording) storeObject(ctx context.Context) error {
	rec.mu.Lock()
	o := *rec.unstored()
	o.of = slices.Clone(o.of)
	rec.mu.Unlock()

	// What is stored must not shrink by a power cut: playlists only grow.
	rec.trySync()
	if rec.uploading != o.N {
		rec.uploading, rec.uploaded = o.N, 0
	}
	for ; rec.uploaded < len(o.of); rec.uploaded++ {
		if o.of[rec.uploaded].Size == 0 {
			continue
		}
		if there, err := rec.storeFile(ctx, &o, rec.uploaded); err != nil || !there {
			return err
		}
	}
	rec.uploading = -1
	if !o.closedAt.IsZero() {
		metrics.RecordingUploadLag.Observe(time.Since(o.closedAt).Seconds())
	}
	if journaled := rec.did(done{What: storedObject, N: o.N}); !journaled || !rec.trySync() {
		return nil // the files go with the spool
	}
	if err := rec.removeBundle(o.N); err != nil {
		return fmt.Errorf("remove stored object: %w", err)
	}
	return nil
}

// storeFile stores what rendition i has of o. It is false if that was given up.
func (rec *recording) storeFile(ctx context.Context, o *object, i int) (there bool, err error) {
	rec.mu.Lock()
	key := rec.mediaKey(i, rec.objectName(o.N))
	rec.mu.Unlock()
	contentType := typeTS
	if rec.fragmented() {
		contentType = typeMP4
	}
	file, err := rec.fs.OpenFile(rec.filePath(o.N, i), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		rec.lose(o, i, err)
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open object %d: %w", o.N, err)
	}
	defer file.Close()
	size := o.of[i].Size
	if err := rec.upload(ctx, rec.media, o.Time, key, contentType, io.NewSectionReader(file, 0, size), size); err != nil {
		if _, unread := io.Copy(io.Discard, io.NewSectionReader(file, 0, size)); unread != nil {
			return false, rec.unreadable(o, i, unread)
		}
		return false, err
	}
	return true, nil
}

// lose goes on without what rendition i has of an object: somebody took its file
// away, or it cannot be read.
func (rec *recording) lose(o *object, i int, err error) {
	rec.log.Error("media cannot be read from the spool and is left out", "object", o.N, "rendition", i, "media", o.Duration.Duration(media.VideoRate), "error", err)
	rec.uploading, rec.unreadSince = -1, time.Time{} // each file has its time
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.force(&missing{N: o.N, Rendition: i})
}

// unreadable gives a file up that could not be read for as long as readPatience:
// what is behind it must not wait for ever.
func (rec *recording) unreadable(o *object, i int, err error) error {
	now := time.Now()
	if rec.unread != o.N || rec.unreadSince.IsZero() {
		rec.unread, rec.unreadSince = o.N, now
	}
	if now.Sub(rec.unreadSince) < readPatience {
		return fmt.Errorf("read object %d: %w", o.N, err)
	}
	rec.lose(o, i, err)
	return nil
}

// refresh stores the playlists as far as the objects they name are stored.
func (rec *recording) refresh(ctx context.Context) error {
	return rec.putPlaylists(ctx, false)
}

// finish stores what closes the recording, and tells that it ended.
func (rec *recording) finish(ctx context.Context) error {
	_ = rec.sync() // others learn when it ended: after a power cut that is to be the same
	rec.mu.Lock()
	end, length, id := *rec.ending, rec.duration(), rec.Recording.ID
	rec.mu.Unlock()
	if !rec.empty() && !rec.Bare {
		if err := rec.putPlaylists(ctx, true); err != nil {
			return err
		}
	}
	if err := rec.tellMedia(ctx); err != nil {
		return err
	}
	name, status := endedName, resource.RecordingEnded
	if end.Failure != "" {
		name, status = failedName, resource.RecordingFailed
	}
	if err := rec.putMetadata(ctx, name, status); err != nil {
		return err
	}
	if end.Failure == "" {
		if err := rec.ledger.EndRecording(ctx, id, end.At, length); err != nil {
			return fmt.Errorf("tell end of recording: %w", err)
		}
	}
	rec.log.Info("recording is stored", "media", length, "failure", end.Failure)
	rec.finished = true
	return nil
}

// put stores what is not media below the recording's prefix.
func (rec *recording) put(ctx context.Context, key, contentType string, body io.ReadSeeker, size int64) error {
	return rec.upload(ctx, rec.small, time.Now(), key, contentType, body, size)
}

// upload stores an object below the recording's prefix, in its turn.
func (rec *recording) upload(ctx context.Context, g *gate, since time.Time, key, contentType string, body io.ReadSeeker, size int64) error {
	bucket := rec.Recording.Bucket
	err := g.pass(ctx, bucket, since, func() error {
		return rec.bucket.Put(ctx, bucket, rec.Recording.Prefix+"/"+key, contentType, body)
	})
	if err != nil && ctx.Err() == nil {
		metrics.RecordingUploadFailures.Inc()
	}
	if err != nil {
		return fmt.Errorf("store %s: %w", key, err)
	}
	metrics.RecordingBytesUploaded.Add(float64(size))
	return nil
}

// did takes note of a step, and says whether the journal has it. Any step may be
// taken again: if the journal cannot be written the recording goes on.
func (rec *recording) did(d done) (journaled bool) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.force(&d)
	return len(rec.owed) == 0
}

// row is the recording as the ledger keeps it.
func (rec *recording) row() resource.Recording {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	row := rec.Recording
	row.StreamIDs = rec.streamIDs()
	row.StageSessionIDs = slices.Clone(row.StageSessionIDs) // the first
	for _, s := range rec.settledStreams() {
		if s.StageSessionID != "" && !slices.Contains(row.StageSessionIDs, s.StageSessionID) {
			row.StageSessionIDs = append(row.StageSessionIDs, s.StageSessionID)
		}
	}
	return row
}

// tellMedia tells the ledger what the recording consists of.
func (rec *recording) tellMedia(ctx context.Context) error {
	rec.mu.Lock()
	m, id := rec.recordedMedia(rec.objects), rec.Recording.ID
	rec.mu.Unlock()
	if err := rec.ledger.DescribeRecording(ctx, id, m); err != nil {
		return fmt.Errorf("describe recording: %w", err)
	}
	return nil
}

// mediaKey is where a file of rendition i is stored.
func (rec *recording) mediaKey(i int, name string) string {
	return "media/hls/" + rec.folder(i) + "/" + name
}
