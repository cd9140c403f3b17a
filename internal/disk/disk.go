// Package disk names what is asked of a file system by those who must not lose
// what they wrote: so few operations that a test can play every disk that
// fails, fills up or loses its power.
package disk

import (
	"io"
	"io/fs"
	"os"
)

// File is an open file. An [os.File] is one.
type File interface {
	io.ReadWriteSeeker
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Truncate changes the size to size bytes.
	Truncate(size int64) error
	// Sync waits until all that was written to the file is durable. Its name is
	// durable only after [FS.SyncDir].
	Sync() error
}

// FS is a file system. Its errors are those of package os, in meaning: see
// [fs.ErrNotExist] and the like. Its methods may be called from several
// goroutines at once.
type FS interface {
	// OpenFile opens a file as [os.OpenFile] does.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	MkdirAll(path string, perm fs.FileMode) error
	Rename(from, to string) error
	Remove(name string) error
	RemoveAll(path string) error
	Truncate(name string, size int64) error
	Stat(name string) (fs.FileInfo, error)
	ReadDir(path string) ([]fs.DirEntry, error)
	// SyncDir makes the names in a folder durable: files made, renamed and
	// removed.
	SyncDir(path string) error
}

// OS is the machine's file system.
var OS FS = osFS{}

type osFS struct{}

func (osFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err // and not a File that holds a nil
	}
	return f, nil
}

func (osFS) MkdirAll(path string, perm fs.FileMode) error { return os.MkdirAll(path, perm) }
func (osFS) Rename(from, to string) error                 { return os.Rename(from, to) }
func (osFS) Remove(name string) error                     { return os.Remove(name) }
func (osFS) RemoveAll(path string) error                  { return os.RemoveAll(path) }
func (osFS) Truncate(name string, size int64) error       { return os.Truncate(name, size) }
func (osFS) Stat(name string) (fs.FileInfo, error)        { return os.Stat(name) }
func (osFS) ReadDir(path string) ([]fs.DirEntry, error)   { return os.ReadDir(path) }

func (osFS) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
