// Package disktest plays the disks that others must cope with: those that fail,
// fill up, take their time, and lose what was not synced when the power goes.
//
//	d := disktest.New(seed)
//	d.SetFault(func(op disktest.Op) error { … })  // EIO, ENOSPC, a sleep, ErrStopped
//	next := d.Kill()                              // the process was killed: what was written is there
//	next := d.PowerCut()                          // what was synced is there, and some of the rest
//
// It is for tests alone.
package disktest

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"anabranch/internal/disk"
)

// ErrStopped is what everything fails with once the process or the machine has
// stopped.
var ErrStopped = errors.New("the process is no more")

// errGone is what follows the operation that was under way.
var errGone = fmt.Errorf("%w", ErrStopped)

// Op is an operation on a disk.
type Op struct {
	N    int    // counts all operations, from 1
	Name string // "open", "create", "read", "write", "truncate", "sync", "mkdir", "rename", "remove", "list", "stat", "syncdir"
	Path string
}

// Disk is a disk in memory. Its folders are kept by absolute or relative paths
// as they come, without links or permissions.
type Disk struct {
	// mu guards what follows, and what is below root.
	mu      sync.Mutex
	random  *rand.Rand
	root    *folder
	renames []change // of names, not yet durable, oldest first
	fault   func(Op) error
	ops     int
	stopped bool
	limited bool
	room    int64
}

// folder is one, as every process sees it and as the disk has it.
type folder struct{ names, durable map[string]any } // *file or *folder

// change sets names at once: to a file or folder, or to nothing.
type change []setting

type setting struct {
	in   *folder
	name string
	to   any // nil removes the name
}

// New makes an empty disk. Its seed decides what a failed write leaves, and what
// survives a power cut.
func New(seed uint64) *Disk {
	return &Disk{random: rand.New(rand.NewPCG(seed, 0)), root: newFolder()}
}

func newFolder() *folder {
	return &folder{names: make(map[string]any), durable: make(map[string]any)}
}

// SetFault makes f be asked before each operation; nil ends that. If it returns
// an error the operation fails with it: a write has then written some of its
// bytes, and a sync has lost what it should have made durable (as Linux does,
// later syncs do not bring that up). [ErrStopped] stops the disk amid the
// operation. f may be called from several goroutines, and may sleep.
func (d *Disk) SetFault(f func(Op) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
}

// SetRoom limits how many bytes files may still grow by, until they shrink or
// are removed. What does not fit is ENOSPC.
func (d *Disk) SetRoom(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limited, d.room = true, n
}

// Ops is how many operations there were.
func (d *Disk) Ops() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// Kill stops the disk for whoever uses it, and returns it for the next: all
// that was written is there.
func (d *Disk) Kill() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	return &Disk{random: d.random, root: d.root, renames: d.renames}
}

// begin asks for a fault. It returns with the mutex held, and an error if the
// operation is to fail.
func (d *Disk) begin(name, path string) error {
	d.mu.Lock()
	d.ops++
	op, fault, stopped := Op{d.ops, name, path}, d.fault, d.stopped
	if fault == nil || stopped {
		return d.alive(name, path)
	}
	d.mu.Unlock()
	err := fault(op)
	d.mu.Lock()
	if errors.Is(err, ErrStopped) {
		d.stopped = true
	}
	if err != nil {
		return &fs.PathError{Op: name, Path: path, Err: err}
	}
	return d.alive(name, path) // it may have stopped meanwhile
}

func (d *Disk) alive(name, path string) error {
	if d.stopped {
		return &fs.PathError{Op: name, Path: path, Err: errGone}
	}
	return nil
}

// find follows a path. The last name may not be there: then at is nil.
func (d *Disk) find(path string) (in *folder, name string, at any, err error) {
	in, at = nil, d.root
	for part := range strings.SplitSeq(strings.Trim(filepath.Clean(path), "/"), "/") {
		if part == "." || part == "" {
			continue
		}
		dir, ok := at.(*folder)
		switch {
		case ok:
		case at == nil:
			return nil, "", nil, syscall.ENOENT
		default:
			return nil, "", nil, syscall.ENOTDIR
		}
		in, name, at = dir, part, dir.names[part]
	}
	return in, name, at, nil
}

// set changes names. They are durable once one of their folders is synced.
func (d *Disk) set(c ...setting) {
	for _, s := range c {
		if s.to == nil {
			delete(s.in.names, s.name)
		} else {
			s.in.names[s.name] = s.to
		}
	}
	d.renames = append(d.renames, c)
}

// op does what fn does to the entry at path, unless it is to fail.
func (d *Disk) op(name, path string, fn func(in *folder, last string, at any) error) error {
	err := d.begin(name, path)
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	in, last, at, err := d.find(path)
	if err == nil {
		err = fn(in, last, at)
	}
	if err != nil {
		return &fs.PathError{Op: name, Path: path, Err: err}
	}
	return nil
}

// OpenFile opens a file. Folders cannot be opened.
func (d *Disk) OpenFile(path string, flag int, _ fs.FileMode) (disk.File, error) {
	name := "open"
	if flag&os.O_CREATE != 0 {
		name = "create"
	}
	var h *handle
	err := d.op(name, path, func(in *folder, last string, at any) error {
		f, _ := at.(*file)
		switch {
		case at == nil && flag&os.O_CREATE == 0:
			return syscall.ENOENT
		case at == nil:
			f = &file{}
			d.set(setting{in, last, f})
		case flag&os.O_CREATE != 0 && flag&os.O_EXCL != 0:
			return syscall.EEXIST
		case f == nil:
			return syscall.EISDIR
		case flag&os.O_TRUNC != 0:
			_ = d.truncate(f, 0) // there is room for less
		}
		h = &handle{disk: d, path: path, file: f, flag: flag}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// MkdirAll makes a folder and those above it.
func (d *Disk) MkdirAll(path string, _ fs.FileMode) error {
	err := d.begin("mkdir", path)
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	at := d.root
	for part := range strings.SplitSeq(strings.Trim(filepath.Clean(path), "/"), "/") {
		if part == "." || part == "" {
			continue
		}
		if at.names[part] == nil {
			d.set(setting{at, part, newFolder()})
		}
		next, ok := at.names[part].(*folder)
		if !ok {
			return &fs.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
		}
		at = next
	}
	return nil
}

// Rename moves a file or a folder. A file that has the new name is replaced.
func (d *Disk) Rename(from, to string) error {
	return d.op("rename", from, func(in *folder, last string, at any) error {
		newIn, newLast, there, err := d.find(to)
		switch {
		case err != nil:
			return err
		case at == nil:
			return syscall.ENOENT
		}
		_, movesFolder := at.(*folder)
		if _, ok := there.(*folder); ok {
			return syscall.EEXIST
		}
		switch {
		case there == at:
			return nil
		case there != nil && movesFolder:
			return syscall.ENOTDIR
		case there != nil:
			d.free(there.(*file))
		}
		d.set(setting{newIn, newLast, at}, setting{in, last, nil})
		return nil
	})
}

// Remove removes a file or an empty folder.
func (d *Disk) Remove(path string) error {
	return d.op("remove", path, func(in *folder, last string, at any) error {
		switch at := at.(type) {
		case nil:
			return syscall.ENOENT
		case *folder:
			if len(at.names) > 0 {
				return syscall.ENOTEMPTY
			}
		case *file:
			d.free(at)
		}
		d.set(setting{in, last, nil})
		return nil
	})
}

// RemoveAll removes a file, or a folder with what is in it, one by one.
func (d *Disk) RemoveAll(path string) error {
	if entries, err := d.ReadDir(path); err == nil {
		for _, e := range entries {
			if err := d.RemoveAll(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	err := d.Remove(path)
	if errors.Is(err, syscall.ENOENT) {
		return nil
	}
	return err
}

// Truncate changes a file's size.
func (d *Disk) Truncate(path string, size int64) error {
	return d.op("truncate", path, func(_ *folder, _ string, at any) error {
		switch f := at.(type) {
		case *file:
			return d.truncate(f, size)
		case *folder:
			return syscall.EISDIR
		}
		return syscall.ENOENT
	})
}

// Stat describes a file or a folder.
func (d *Disk) Stat(path string) (info fs.FileInfo, err error) {
	err = d.op("stat", path, func(_ *folder, last string, at any) error {
		if at == nil {
			return syscall.ENOENT
		}
		info = infoOf(last, at)
		return nil
	})
	return info, err
}

// ReadDir lists a folder by name.
func (d *Disk) ReadDir(path string) (entries []fs.DirEntry, err error) {
	err = d.op("list", path, func(_ *folder, _ string, at any) error {
		dir, ok := at.(*folder)
		switch {
		case at == nil:
			return syscall.ENOENT
		case !ok:
			return syscall.ENOTDIR
		}
		for name, c := range dir.names {
			entries = append(entries, fs.FileInfoToDirEntry(infoOf(name, c)))
		}
		slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
		return nil
	})
	return entries, err
}

// SyncDir makes the names in a folder durable.
func (d *Disk) SyncDir(path string) error {
	return d.op("syncdir", path, func(_ *folder, _ string, at any) error {
		dir, ok := at.(*folder)
		switch {
		case at == nil:
			return syscall.ENOENT
		case !ok:
			return nil // a file may be opened and synced, too
		}
		d.settle(func(c change) bool {
			return slices.ContainsFunc(c, func(s setting) bool { return s.in == dir })
		})
		return nil
	})
}
