package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// dataDir is the folder of everything a server keeps. It is one server's while
// open.
//
//	anabranch.db         the database
//	live/                live windows, one folder for each channel
//	spool/               recordings on their way to S3
//	buckets/             objects of the embedded S3 endpoint
//	buckets-attributes/  their types and checksums, where the file system has no place for them
//	credentials          what calls of the API are signed with
//	secret.key           what playback sessions and page tokens are sealed with
//	tls.crt, tls.key     the self-signed certificate
//	endpoints.json       the addresses in use, while the server is ready
//	lock                 held while a server runs
type dataDir struct {
	path string // absolute
	lock *os.File
}

// openDataDir makes the folder when it is missing and locks it. The lock goes
// with the process, however it ends.
func openDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	name := filepath.Join(path, "lock")
	lock, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock of data folder: %w", err)
	}
	switch err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		lock.Close()
		holder, _ := os.ReadFile(name)
		return nil, fmt.Errorf("data folder %s is in use by another server (process %s); stop that one or choose another --data-dir",
			path, strings.TrimSpace(string(holder)))
	case err != nil:
		lock.Close()
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	// Only for people who wonder: the lock is what counts.
	if err := os.WriteFile(name, fmt.Appendln(nil, os.Getpid()), 0o600); err != nil {
		lock.Close()
		return nil, fmt.Errorf("write lock of data folder: %w", err)
	}
	return &dataDir{path: path, lock: lock}, nil
}

// Close lets another server have the folder.
func (d *dataDir) Close() error { return d.lock.Close() }

// file is the path of a name in the folder.
func (d *dataDir) file(name string) string { return filepath.Join(d.path, name) }

// write replaces a file in the folder, which nobody else may read. It is whole
// and durable or as it was before.
func (d *dataDir) write(name string, content []byte) error {
	f, err := os.CreateTemp(d.path, "."+name+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer os.Remove(f.Name()) // fails once renamed
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), d.file(name))
	}
	if err == nil {
		err = syncFolder(d.path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
