package recorder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"anabranch/internal/journal"
	"anabranch/internal/resource"
)

// asideSuffix marks the folder of a recording that cannot be recovered.
const asideSuffix = ".broken"

var errAside = errors.New("it was set aside at an earlier start")

// recover takes up what the spool holds. rows are the recordings that the
// ledger takes for open.
func (r *Recorder) recover(ctx context.Context, rows []resource.Recording) error {
	entries, err := r.FS.ReadDir(r.Dir)
	if err != nil {
		return fmt.Errorf("list spool: %w", err)
	}
	open := make(map[string]bool, len(rows))
	for _, row := range rows {
		open[row.ID] = true
		r.used[row.Prefix] = row.StartedAt.UTC()
	}
	now := time.Now()
	spooled := make(map[string]bool, len(entries))
	broken := make(map[string]error)
	for _, e := range entries {
		id := e.Name()
		if of, aside := strings.CutSuffix(id, asideSuffix); aside {
			broken[of] = errAside
			continue
		}
		if !e.IsDir() || !resource.IsID(id) { // such as lost+found
			continue
		}
		rec := r.blank(id, owner{})
		err := rec.recover(open[id], now)
		if shortage(err) {
			rec.log.Error("recording cannot be recovered for now", "error", err)
			spooled[id] = true
			continue
		}
		if err != nil {
			r.setAside(rec, err)
			broken[id] = err
			continue
		}
		if rec.journal == nil {
			continue
		}
		spooled[id] = true
		rec.log = r.logger(ownerOf(&rec.Recording), id)
		r.used[rec.Recording.Prefix] = rec.Recording.StartedAt.UTC()
		rec.log.Info("recording recovered", "media", rec.duration(), "waits", rec.ending == nil)
		r.all[id] = rec
	}
	for _, row := range rows {
		if spooled[row.ID] {
			continue
		}
		reason := "the spool of the recording is lost"
		if err := broken[row.ID]; err != nil {
			reason = "the spool of the recording cannot be read: " + rootCause(err)
		}
		r.logger(ownerOf(&row), row.ID).Error("recording is lost", "reason", reason)
		if err := r.Ledger.FailRecording(ctx, row.ID, now.UTC(), row.Duration, resource.RecordingFailure{Code: resource.RecordingServerError, Reason: reason}); err != nil {
			return fmt.Errorf("fail lost recording %s: %w", row.ID, err)
		}
	}
	return nil
}

// setAside renames the folder of a recording that cannot be recovered, for
// people to see what can be saved. It is neither looked at again nor removed.
func (r *Recorder) setAside(rec *recording, reason error) {
	aside := rec.dir + asideSuffix
	if err := r.FS.Rename(rec.dir, aside); err != nil {
		rec.log.Error("recording that cannot be recovered cannot be set aside", "media", rec.dir, "reason", reason, "error", err)
		return
	}
	rec.log.Error("recording cannot be recovered and is set aside", "media", aside, "reason", reason)
}

// shortage says whether err is for want of something that the next start may
// have: the spool itself is sound.
func shortage(err error) bool {
	for _, want := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EACCES, syscall.EPERM, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM} {
		if errors.Is(err, want) {
			return true
		}
	}
	return false
}

// recover replays the journal and brings the media files in line with it, so
// that the recording is as if its stream had ended now. A spool from before
// the first part was whole holds nothing and is removed; then the recording has
// no journal. known says that the ledger takes the recording for open: then it
// was more than that, and its journal is lost.
func (rec *recording) recover(known bool, now time.Time) (err error) {
	log, err := journal.Open(rec.fs, filepath.Join(rec.dir, journalName), func(b []byte) error {
		r, err := decode(b)
		if err != nil {
			return err
		}
		return r.apply(&rec.state)
	})
	if err != nil {
		return err
	}
	rec.journal = log
	rec.room.add(rec.Recording.Bucket, rec.waiting)
	defer func() {
		if err != nil {
			log.Close()
			for _, b := range rec.unsynced {
				_ = b.close()
			}
			rec.room.add(rec.Recording.Bucket, -rec.waiting)
		}
	}()
	if rec.Recording.ID == "" && known {
		return errors.New("the journal is empty")
	}
	if rec.Recording.ID == "" {
		return rec.removeSpool()
	}
	if err := rec.recoverMedia(); err != nil {
		return err
	}
	if err := rec.recoverThumbnails(); err != nil {
		return err
	}
	if known && rec.told == 0 { // stopped between telling and writing that down
		rec.told = 1
		rec.probed = rec.probed || !rec.failed() // a failure is told without
	}
	rec.unknown = !known
	if rec.told == 0 && rec.empty() && (rec.ending == nil || rec.ending.Failure == "") {
		return rec.removeSpool()
	}
	if !known && rec.told > 0 {
		rec.end(now, resource.RecordingFailure{}) // the ledger has it ended: nothing can join
	}
	rec.deadline = now.Add(rec.window())
	rec.expire(now)
	return nil
}

// recoverMedia cuts every media file to its last whole part, and closes what
// was open.
func (rec *recording) recoverMedia() error {
	for i := 0; i < len(rec.objects); i++ {
		n := len(rec.objects)
		if err := rec.recoverObject(&rec.objects[i]); err != nil {
			return err
		}
		if len(rec.objects) < n {
			i-- // it had no part
		}
	}
	if j := rec.provisional(); j != nil {
		// Without media the stream moved to a recording of its own.
		n := len(rec.objects)
		if err := rec.record(&settled{Keep: n > 0 && rec.objects[n-1].N >= j.Object}); err != nil {
			return err
		}
	}
	if err := rec.endObject(); err != nil {
		return err
	}
	for i := range rec.objects {
		rec.objects[i].parts = nil
	}
	return nil
}

// sync waits until all that was written is on the disk: media before the
// journal that speaks of it.
func (rec *recording) sync() error {
	rec.mu.Lock()
	heir := rec.heir
	rec.mu.Unlock()
	if heir != nil {
		if err := heir.syncOwn(); err != nil {
			return err
		}
		rec.mu.Lock()
		if rec.heir == heir { // not before: somebody else may sync, too
			rec.heir = nil
		}
		rec.mu.Unlock()
	}
	return rec.syncOwn()
}

// syncOwn syncs whatever became of streams that moved away. What has heirs may
// be an heir itself, even of its own.
func (rec *recording) syncOwn() error {
	rec.syncing <- struct{}{}
	defer func() { <-rec.syncing }()
	rec.mu.Lock()
	log, open, ended, names := rec.journal, rec.bundle.clone(), rec.unsynced, rec.newNames
	rec.unsynced, rec.newNames = nil, false
	last := rec.lastClosed()
	var errs []error
	if log != nil {
		errs = append(errs, rec.settleDebt())
	}
	rec.mu.Unlock()

	for _, b := range ended {
		errs = append(errs, b.sync(), b.close())
	}
	if open != nil {
		errs = append(errs, open.sync())
		ended = append(ended, open)
	}
	if names {
		for _, b := range ended {
			errs = append(errs, rec.syncNames(b))
		}
		errs = append(errs, rec.fs.SyncDir(rec.dir), rec.fs.SyncDir(filepath.Dir(rec.dir)))
	}
	err := errors.Join(errs...)
	rec.mu.Lock()
	if err != nil {
		rec.newNames = rec.newNames || names
	} else if rec.journal != nil && last >= rec.onDisk {
		_ = rec.record(&done{What: syncedObject, N: last}) // the next part's will fail, too
	}
	rec.mu.Unlock()
	if log != nil {
		err = errors.Join(err, log.Sync())
	}
	return err
}

// keepSynced syncs whenever a live segment or an object is complete, until ctx
// ends.
func (rec *recording) keepSynced(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-rec.dirty:
		}
		rec.trySync()
	}
}

// trySync syncs. If it cannot the recording ends.
func (rec *recording) trySync() bool {
	err := rec.sync()
	if err == nil {
		return true
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	_ = rec.fail(err)
	return false
}

// stop ends the stay of the stream that is recorded, for the server stops. The
// driver of a recording that ended thereby goes on, any other ends.
func (rec *recording) stop(now time.Time) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.detach(now)
	rec.expire(now)
	rec.stopped = true
	signal(rec.wake) // it has less time
	if rec.ending == nil {
		rec.cancel()
	}
}

// close leaves the spool, synced, to the next start.
func (rec *recording) close() error {
	err := rec.sync()
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.journal == nil {
		return err
	}
	log := rec.journal
	rec.journal = nil
	return errors.Join(err, log.Close())
}

// removeSpool removes the recording's folder, the journal first: what a stop
// leaves of it is either complete or void.
func (rec *recording) removeSpool() error {
	if rec.journal != nil {
		rec.journal.Close()
		rec.journal = nil
	}
	for _, b := range append(rec.unsynced, rec.bundle) {
		if b != nil {
			_ = b.close()
		}
	}
	rec.unsynced, rec.bundle, rec.newNames = nil, nil, false
	rec.room.add(rec.Recording.Bucket, -rec.waiting) // the state is not used any more
	rec.waiting = 0
	if err := rec.fs.Remove(filepath.Join(rec.dir, journalName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove spool: %w", err)
	}
	if err := rec.fs.RemoveAll(rec.dir); err != nil {
		return fmt.Errorf("remove spool: %w", err)
	}
	return nil
}
