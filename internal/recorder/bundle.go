package recorder

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"anabranch/internal/disk"
)

// bundle is the files of an object in the spool: that of a single rendition lies
// beside the journal, those of several in a folder of their own. Either way
// one rename moves them all.
//
//	<recording>/journal 0.ts 1.ts          one rendition
//	<recording>/journal 0/0.ts 0/2.ts 1/…  several: object/rendition
//
// A rendition without media in the object has no file.
type bundle struct {
	n     int         // the object's name; -1 for none
	files []disk.File // by rendition; nil where there is none
}

// bundlePath is what is renamed to move object n.
func (rec *recording) bundlePath(n int) string {
	if rec.several() {
		return filepath.Join(rec.dir, strconv.Itoa(n))
	}
	return filepath.Join(rec.dir, rec.objectName(n))
}

// filePath is where the media of rendition i lies.
func (rec *recording) filePath(n, i int) string {
	if rec.several() {
		return filepath.Join(rec.bundlePath(n), rec.objectName(i))
	}
	return rec.bundlePath(n)
}

// openBundle begins the files of object n.
func (rec *recording) openBundle(n int) error {
	if rec.several() {
		if err := rec.fs.MkdirAll(rec.bundlePath(n), 0o700); err != nil {
			return fmt.Errorf("make object %d: %w", n, err)
		}
	}
	rec.bundle, rec.newNames = &bundle{n, make([]disk.File, len(rec.headers))}, true
	return nil
}

// spool writes data behind what rendition i has of the open object, whose file is
// made with the first.
func (rec *recording) spool(i int, data []byte) error {
	b := rec.bundle
	if b.files[i] == nil {
		file, err := rec.fs.OpenFile(rec.filePath(b.n, i), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("make object %d: %w", b.n, err)
		}
		b.files[i], rec.newNames = file, true
	}
	if _, err := b.files[i].Write(data); err != nil {
		return fmt.Errorf("write object %d: %w", b.n, err)
	}
	return nil
}

// rewind takes off what the open object's files have beyond what is journaled.
func (rec *recording) rewind(o *object) {
	for i, f := range rec.bundle.files {
		if f != nil {
			_ = f.Truncate(o.of[i].Size)
		}
	}
}

// removeBundle removes an object's files, of which there may be none.
func (rec *recording) removeBundle(n int) error { return rec.fs.RemoveAll(rec.bundlePath(n)) }

// clone is b as it is now.
func (b *bundle) clone() *bundle {
	if b == nil {
		return nil
	}
	return &bundle{b.n, slices.Clone(b.files)}
}

// sync makes the files durable. Those that somebody closed, because they moved to
// another recording, are synced there.
func (b *bundle) sync() error {
	var errs []error
	for _, f := range b.files {
		if f == nil {
			continue
		}
		if err := f.Sync(); !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (b *bundle) close() error {
	var errs []error
	for _, f := range b.files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// syncNames makes the names of b's files durable, but for that of their folder. A
// folder that moved to another recording is synced there.
func (rec *recording) syncNames(b *bundle) error {
	if !rec.several() || b.n < 0 {
		return nil
	}
	if err := rec.fs.SyncDir(rec.bundlePath(b.n)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// recoverObject cuts the files of o to the last part that all of them have whole.
func (rec *recording) recoverObject(o *object) error {
	if o.Stored {
		return nil
	}
	unsure := o.N >= rec.onDisk
	b := &bundle{o.N, make([]disk.File, len(o.of))}
	parts, err := rec.openParts(o, b, unsure)
	for i, f := range b.files {
		if f == nil || err != nil {
			continue
		}
		var size int64
		if size, err = f.Seek(0, io.SeekEnd); err != nil {
			continue
		}
		if end := o.end(i, parts); end < size {
			err = f.Truncate(end)
		}
	}
	if err != nil || !unsure {
		_ = b.close()
	} else {
		rec.unsynced, rec.newNames = append(rec.unsynced, b), true
		signal(rec.dirty)
	}
	if err != nil {
		return fmt.Errorf("recover object %d: %w", o.N, err)
	}
	return rec.cutTo(o, parts)
}

// openParts opens the files of o and counts the parts that all of them have
// whole. unsure says that they may not have reached the disk.
func (rec *recording) openParts(o *object, b *bundle, unsure bool) (parts int, err error) {
	parts = len(o.parts)
	for i := range o.of {
		if o.of[i].Size == 0 {
			continue
		}
		file, err := rec.fs.OpenFile(rec.filePath(o.N, i), os.O_RDWR, 0)
		switch {
		case errors.Is(err, fs.ErrNotExist) && unsure:
			parts = min(parts, o.before(i))
			continue
		case errors.Is(err, fs.ErrNotExist):
			continue // somebody took it away: a hole, as the upload will find
		case err != nil:
			return 0, err
		}
		b.files[i] = file
		size, err := file.Seek(0, io.SeekEnd)
		if err != nil {
			return 0, err
		}
		parts = min(parts, o.whole(i, file, size, unsure))
	}
	return parts, nil
}

// before counts the parts before the first that has media of rendition i.
func (o *object) before(i int) int {
	n := slices.IndexFunc(o.parts, func(p part) bool { return p.Of[i].Size > 0 })
	if n < 0 {
		return len(o.parts)
	}
	return n
}

// end is where the first so many parts end in the file of rendition i.
func (o *object) end(i, parts int) (end int64) {
	for n := range parts {
		end += o.parts[n].Of[i].Size
	}
	return end
}

// whole counts the parts that the file of rendition i has whole. check says that
// there may be zeros for bytes: file systems may store a size before the data,
// and lose their power in between.
func (o *object) whole(i int, file io.ReaderAt, size int64, check bool) (parts int) {
	var end int64
	for _, p := range o.parts {
		of := p.Of[i]
		if end+of.Size > size {
			break
		}
		if check && of.Sum != 0 {
			data := make([]byte, of.Size)
			// What cannot be read now is for the upload to try again.
			if _, err := file.ReadAt(data, end); err == nil && crc32.Checksum(data, castagnoli) != of.Sum {
				break
			}
		}
		parts, end = parts+1, end+of.Size
	}
	return parts
}

// cutTo journals that o has no more parts than that.
func (rec *recording) cutTo(o *object, parts int) error {
	if parts == len(o.parts) && parts > 0 {
		return nil
	}
	rec.log.Warn("media that was journaled did not reach the disk", "object", o.N, "parts", len(o.parts)-parts)
	return rec.record(&cut{N: o.N, Parts: parts})
}

// loose are files beside the journal that belong to no object.
func loose(files ...disk.File) *bundle { return &bundle{-1, files} }
