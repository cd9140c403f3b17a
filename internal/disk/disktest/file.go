package disktest

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// file is one, as every process sees it and as the disk has it.
type file struct {
	data    []byte
	durable []byte
	writes  []write // not yet durable, oldest first
}

// write puts data at an offset, or changes the size to it.
type write struct {
	at       int64
	data     []byte
	truncate bool
}

// apply makes the write to content.
func (w *write) apply(content []byte) []byte {
	end := w.at + int64(len(w.data))
	if w.truncate && end < int64(len(content)) {
		return content[:end:end]
	}
	if grow := end - int64(len(content)); grow > 0 {
		content = append(content, make([]byte, grow)...)
	}
	copy(content[w.at:], w.data)
	return content
}

// change makes a write to f, as far as there is room.
func (d *Disk) change(f *file, w write) error {
	end := w.at + int64(len(w.data))
	grow := end - int64(len(f.data))
	if grow < 0 && !w.truncate {
		grow = 0
	}
	var err error
	if d.limited && grow > d.room {
		if err = syscall.ENOSPC; w.truncate {
			return err
		}
		w.data = w.data[:max(0, int64(len(w.data))-(grow-d.room))]
		grow = d.room
		if len(w.data) == 0 {
			return err
		}
	}
	d.room -= grow
	w.data = append([]byte(nil), w.data...)
	f.data = w.apply(f.data)
	f.writes = append(f.writes, w)
	return err
}

func (d *Disk) truncate(f *file, size int64) error {
	return d.change(f, write{at: size, truncate: true})
}

// free gives the room of a removed file back.
func (d *Disk) free(f *file) { d.room += int64(len(f.data)) }

// handle is an open file.
type handle struct {
	disk   *Disk
	path   string
	file   *file
	flag   int
	at     int64
	closed bool
}

// do does what fn does, unless it is to fail. fn is told of a fault, and returns
// it or something better.
func (h *handle) do(name string, fn func(fault error) error) error {
	err := h.disk.begin(name, h.path)
	defer h.disk.mu.Unlock()
	if h.closed {
		return &fs.PathError{Op: name, Path: h.path, Err: os.ErrClosed}
	}
	if err = fn(err); err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if told := (*fs.PathError)(nil); !errors.As(err, &told) {
		err = &fs.PathError{Op: name, Path: h.path, Err: err}
	}
	return err
}

func (h *handle) Read(p []byte) (n int, err error) {
	err = h.do("read", func(fault error) error {
		n, err = h.read(p, h.at, fault)
		h.at += int64(n)
		return err
	})
	return n, err
}

func (h *handle) ReadAt(p []byte, at int64) (n int, err error) {
	err = h.do("read", func(fault error) error {
		n, err = h.read(p, at, fault)
		if err == nil && n < len(p) {
			err = io.EOF
		}
		return err
	})
	return n, err
}

func (h *handle) read(p []byte, at int64, fault error) (int, error) {
	switch {
	case fault != nil:
		return 0, fault
	case h.flag&os.O_WRONLY != 0:
		return 0, syscall.EBADF
	case len(p) == 0:
		return 0, nil
	case at >= int64(len(h.file.data)):
		return 0, io.EOF
	}
	return copy(p, h.file.data[at:]), nil
}

func (h *handle) Write(p []byte) (n int, err error) {
	err = h.do("write", func(fault error) error {
		if h.flag&os.O_APPEND != 0 {
			h.at = int64(len(h.file.data))
		}
		n, err = h.write(p, h.at, fault)
		h.at += int64(n)
		return err
	})
	return n, err
}

func (h *handle) WriteAt(p []byte, at int64) (n int, err error) {
	err = h.do("write", func(fault error) error {
		n, err = h.write(p, at, fault)
		return err
	})
	return n, err
}

func (h *handle) write(p []byte, at int64, fault error) (int, error) {
	switch {
	case h.flag&(os.O_WRONLY|os.O_RDWR) == 0:
		return 0, syscall.EBADF
	case len(p) == 0:
		return 0, fault
	case errors.Is(fault, errGone):
		return 0, fault
	case fault != nil:
		p = p[:h.disk.random.IntN(len(p))]
	}
	room := h.disk.room
	size := int64(len(h.file.data))
	err := h.disk.change(h.file, write{at: at, data: p})
	if err != nil { // ENOSPC: what fitted is there
		p = p[:max(0, min(int64(len(p)), size+room-at))]
	}
	if fault != nil {
		err = fault
	}
	return len(p), err
}

// Seek never fails for want of a disk.
func (h *handle) Seek(offset int64, whence int) (int64, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += h.at
	case io.SeekEnd:
		offset += int64(len(h.file.data))
	}
	if offset < 0 {
		return 0, &fs.PathError{Op: "seek", Path: h.path, Err: syscall.EINVAL}
	}
	h.at = offset
	return offset, nil
}

func (h *handle) Truncate(size int64) error {
	return h.do("truncate", func(fault error) error {
		switch {
		case fault != nil:
			return fault
		case h.flag&(os.O_WRONLY|os.O_RDWR) == 0 || size < 0:
			return syscall.EINVAL
		}
		return h.disk.truncate(h.file, size)
	})
}

func (h *handle) Sync() error {
	return h.do("sync", func(fault error) error {
		if fault == nil {
			for _, w := range h.file.writes {
				h.file.durable = w.apply(h.file.durable)
			}
		}
		if fault == nil || !h.disk.stopped {
			h.file.writes = nil
		}
		return fault
	})
}

func (h *handle) Close() error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.closed {
		return &fs.PathError{Op: "close", Path: h.path, Err: os.ErrClosed}
	}
	h.closed = true
	return nil
}

type info struct {
	name string
	size int64
	mode fs.FileMode
}

func infoOf(name string, at any) fs.FileInfo {
	if f, ok := at.(*file); ok {
		return info{name, int64(len(f.data)), 0o600}
	}
	return info{name, 0, fs.ModeDir | 0o700}
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }
