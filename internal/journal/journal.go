// Package journal keeps an append-only log of records in a file: the form in
// which the server writes down what must outlive it.
//
//	┌────────┬────────┬─────────┐┌────────┬────────┬─────────┐
//	│ length │ CRC32C │ record  ││ length │ CRC32C │ record  │ …
//	└────────┴────────┴─────────┘└────────┴────────┴─────────┘
//	  4 bytes  4 bytes  length     little endian
//
// A record is written with one write(2). After the process is killed every
// whole record is there; after a power cut, every record before the last
// [Log.Sync]. Opening the log cuts off whatever follows the last whole record,
// so that the next one continues a sound file.
package journal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"anabranch/internal/disk"
)

// MaxRecord is the largest record, in bytes.
const MaxRecord = 1 << 20

const headerSize = 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Log is an open journal. It is not for concurrent use, except that Sync may
// run beside Append.
type Log struct {
	fs   disk.FS
	path string
	file disk.File
	size int64
	buf  []byte // one record with its header, reused
	torn bool   // a record was written in part, and is still there
}

// Open opens the log at path of fsys, making an empty one when there is none. It calls
// replay with every whole record, oldest first; the bytes are valid during the
// call only. An error of replay ends Open with that error. A torn or broken
// tail is cut off.
func Open(fsys disk.FS, path string, replay func(rec []byte) error) (*Log, error) {
	file, err := fsys.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	l := &Log{fs: fsys, path: path, file: file}
	if l.size, err = scan(file, replay); err == nil {
		err = l.cut()
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("replay journal %s: %w", path, err)
	}
	return l, nil
}

// cut removes what follows the last whole record, for good: once there are new
// records, old ones behind them must not come back after a power cut.
func (l *Log) cut() error {
	end, err := l.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if end > l.size {
		if err := l.file.Truncate(l.size); err != nil {
			return err
		}
		if err := l.file.Sync(); err != nil {
			return err
		}
	}
	_, err = l.file.Seek(l.size, io.SeekStart)
	return err
}

// scan replays the whole records of r and returns where they end.
func scan(r io.Reader, replay func([]byte) error) (end int64, err error) {
	br := bufio.NewReaderSize(r, 64<<10)
	var header [headerSize]byte
	var rec []byte
	for {
		if _, err := io.ReadFull(br, header[:]); err != nil {
			return end, tail(err)
		}
		n := binary.LittleEndian.Uint32(header[:])
		if n == 0 || n > MaxRecord {
			return end, nil
		}
		if cap(rec) < int(n) {
			rec = make([]byte, n)
		}
		rec = rec[:n]
		if _, err := io.ReadFull(br, rec); err != nil {
			return end, tail(err)
		}
		if crc32.Checksum(rec, castagnoli) != binary.LittleEndian.Uint32(header[4:]) {
			return end, nil
		}
		if err := replay(rec); err != nil {
			return end, err
		}
		end += headerSize + int64(n)
	}
}

// tail takes the end of the file, in the middle of a record or not, for the
// end of the log.
func tail(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// Append writes rec, 1 to [MaxRecord] bytes, behind the others. It does not
// sync. After an error the log holds what it held before.
func (l *Log) Append(rec []byte) error {
	if len(rec) == 0 || len(rec) > MaxRecord {
		return fmt.Errorf("append to journal %s: record of %d bytes is not within 1–%d", l.path, len(rec), MaxRecord)
	}
	if err := l.rewind(); err != nil {
		return fmt.Errorf("append to journal: %w", err)
	}
	l.buf = frame(l.buf[:0], rec)
	n, err := l.file.Write(l.buf)
	if err != nil {
		l.torn = n > 0
		_ = l.rewind() // else before the next record
		return fmt.Errorf("append to journal: %w", err)
	}
	l.size += int64(n)
	return nil
}

// rewind takes off what a full disk cut short: it would hide the records behind
// it.
func (l *Log) rewind() error {
	if !l.torn {
		return nil
	}
	if err := l.file.Truncate(l.size); err != nil {
		return err
	}
	if _, err := l.file.Seek(l.size, io.SeekStart); err != nil {
		return err
	}
	l.torn = false
	return nil
}

func frame(dst, rec []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(rec)))
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(rec, castagnoli))
	return append(dst, rec...)
}

// Sync waits until everything appended so far is on the disk.
func (l *Log) Sync() error {
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("sync journal: %w", err)
	}
	return nil
}

// Size is the length of the log in bytes.
func (l *Log) Size() int64 { return l.size }

// Rewrite replaces all records by recs, durably and at once: whenever the
// process or the machine stops, the log holds either the old or the new.
func (l *Log) Rewrite(recs [][]byte) (err error) {
	var all []byte
	for _, rec := range recs {
		if len(rec) == 0 || len(rec) > MaxRecord {
			return fmt.Errorf("rewrite journal %s: record of %d bytes is not within 1–%d", l.path, len(rec), MaxRecord)
		}
		all = frame(all, rec)
	}
	next, err := l.fs.OpenFile(l.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("rewrite journal: %w", err)
	}
	defer func() {
		if err != nil {
			next.Close()
			_ = l.fs.Remove(l.path + ".new")
			err = fmt.Errorf("rewrite journal: %w", err)
		}
	}()
	if _, err = next.Write(all); err != nil {
		return err
	}
	if err = next.Sync(); err != nil {
		return err
	}
	if err = l.fs.Rename(l.path+".new", l.path); err != nil {
		return err
	}
	l.file.Close()
	l.file, l.size, l.torn = next, int64(len(all)), false
	if err := l.fs.SyncDir(filepath.Dir(l.path)); err != nil {
		return fmt.Errorf("rewrite journal: %w", err)
	}
	return nil
}

// Close closes the file without syncing it.
func (l *Log) Close() error { return l.file.Close() }
