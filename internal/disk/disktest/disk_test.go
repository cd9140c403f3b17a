package disktest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"anabranch/internal/disk"
	"anabranch/internal/disk/disktest"
)

// Whatever is done to it, a disk answers as the machine's file system does.
func TestModel(t *testing.T) {
	names := []string{"a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "a/x", "none/a"}
	flags := []int{
		os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREATE, os.O_RDWR | os.O_CREATE | os.O_TRUNC,
		os.O_WRONLY | os.O_CREATE | os.O_EXCL, os.O_WRONLY | os.O_CREATE | os.O_APPEND,
	}
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 1))
		root := t.TempDir()
		real, model := below{disk.OS, root}, below{disktest.New(seed), "/"}
		var realFile, modelFile disk.File
		for step := range 60 {
			name, other := names[random.IntN(len(names))], names[random.IntN(len(names))]
			flag, size, kind, whence := flags[random.IntN(len(flags))], random.Int64N(40), random.IntN(15), random.IntN(3)
			data := bytes.Repeat([]byte{byte(step)}, random.IntN(20)+1)
			if other != name && (kind == 4 && (strings.HasPrefix(other, name) || strings.HasPrefix(name, other))) {
				continue // a folder into itself
			}
			do := func(fs below, f *disk.File) string {
				switch kind {
				case 0, 1, 2:
					if info, err := fs.Stat(fs.path(name)); err == nil && info.IsDir() {
						return "" // folders are not opened
					}
					opened, err := fs.OpenFile(fs.path(name), flag, 0o600)
					if err == nil {
						if *f != nil {
							(*f).Close()
						}
						*f = opened
					}
					return outcome(err)
				case 3:
					return outcome(fs.MkdirAll(fs.path(name), 0o700))
				case 4:
					return outcome(fs.Rename(fs.path(name), fs.path(other)))
				case 5:
					return outcome(fs.Remove(fs.path(name)))
				case 6:
					if size > 5 {
						return ""
					}
					return outcome(fs.RemoveAll(fs.path(name)))
				case 7:
					return outcome(fs.Truncate(fs.path(name), size))
				case 8:
					return outcome(fs.SyncDir(fs.path(name)))
				}
				if *f == nil {
					return ""
				}
				buf := make([]byte, size+1)
				switch kind {
				case 9, 10:
					n, err := (*f).Write(data)
					return fmt.Sprint(n, outcome(err))
				case 11:
					if flag&os.O_APPEND != 0 {
						return ""
					}
					n, err := (*f).ReadAt(buf, size/2)
					return fmt.Sprint(n, buf[:n], outcome(err))
				case 12:
					n, err := io.ReadFull(*f, buf)
					return fmt.Sprint(n, buf[:n], outcome(err))
				case 13:
					at, err := (*f).Seek(size-20, whence)
					return fmt.Sprint(at, outcome(err))
				}
				return outcome((*f).Truncate(size)) + outcome((*f).Sync())
			}
			want, got := do(real, &realFile), do(model, &modelFile)
			if got != want {
				t.Fatalf("seed %d, step %d: kind %d of %s, %s, flags %#x, size %d: %s, want %s", seed, step, kind, name, other, flag, size, got, want)
			}
			if got, want := list(t, model, "", nil), list(t, real, "", nil); got != want {
				t.Fatalf("seed %d, step %d: kind %d of %s, %s: the disk has\n%s\nwant\n%s", seed, step, kind, name, other, got, want)
			}
		}
		if realFile != nil {
			realFile.Close()
		}
	}
}

// below is a file system's folder.
type below struct {
	disk.FS
	root string
}

func (b below) path(name string) string { return filepath.Join(b.root, name) }

// outcome is the innermost error.
func outcome(err error) string {
	for next := err; next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return fmt.Sprint(err)
}

// list is the content of a folder, as text.
func list(t *testing.T, fs below, dir string, out []string) string {
	t.Helper()
	entries, err := fs.ReadDir(fs.path(dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		info, err := fs.Stat(fs.path(name))
		if err != nil || info.IsDir() != e.IsDir() || info.Name() != e.Name() {
			t.Fatalf("stat %s: %v, %v", name, info, err)
		}
		if e.IsDir() {
			out = append(out, name+"/", list(t, fs, name, nil))
			continue
		}
		content := read(t, fs, fs.path(name))
		if int(info.Size()) != len(content) {
			t.Fatalf("%s has %d bytes, it says %d", name, len(content), info.Size())
		}
		out = append(out, fmt.Sprintf("%s %x", name, content))
	}
	return strings.Join(out, "\n")
}

func read(t *testing.T, fs disk.FS, path string) []byte {
	t.Helper()
	f, err := fs.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	content, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func create(t *testing.T, fs disk.FS, path, content string) disk.File {
	t.Helper()
	f, err := fs.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		_, err = f.Write([]byte(content))
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// After a kill all is there, for the next process alone.
func TestKill(t *testing.T) {
	d := disktest.New(1)
	f := create(t, d, "a", "one")
	next := d.Kill()
	if got := string(read(t, next, "a")); got != "one" {
		t.Errorf("%q after a kill", got)
	}
	if _, err := f.Write([]byte("two")); !errors.Is(err, disktest.ErrStopped) {
		t.Errorf("write after a kill: %v", err)
	}
	if _, err := d.Stat("a"); !errors.Is(err, disktest.ErrStopped) {
		t.Errorf("stat after a kill: %v", err)
	}
	// What was not synced before a kill can be lost after it.
	for seed := range uint64(20) {
		d := disktest.New(seed)
		create(t, d, "a", "one")
		if _, err := d.Kill().PowerCut().Stat("a"); err != nil {
			return
		}
	}
	t.Error("a kill makes names durable")
}

// After a power cut there is what was synced, and of the rest anything that
// may be: all of it is seen, and nothing else.
func TestPowerCut(t *testing.T) {
	outcomes := func(prepare func(d *disktest.Disk), path string) map[string]int {
		seen := make(map[string]int)
		for seed := range uint64(400) {
			d := disktest.New(seed)
			prepare(d)
			next := d.PowerCut()
			what := "none"
			if _, err := next.Stat(path); err == nil {
				what = string(read(t, next, path))
			}
			seen[strings.ReplaceAll(what, "\x00", "0")]++
		}
		return seen
	}
	sync := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name    string
		prepare func(d *disktest.Disk)
		want    string // sorted
	}{
		{"nothing synced", func(d *disktest.Disk) { create(t, d, "a", "abc") }, " 000 a ab abc none"},
		{"name synced", func(d *disktest.Disk) { create(t, d, "a", "abc"); sync(d.SyncDir("")) }, " 000 a ab abc"},
		{"content synced", func(d *disktest.Disk) { sync(create(t, d, "a", "abc").Sync()) }, "abc none"},
		{"all synced", func(d *disktest.Disk) { sync(create(t, d, "a", "abc").Sync(), d.SyncDir("")) }, "abc"},
		{"appended", func(d *disktest.Disk) {
			f := create(t, d, "a", "abc")
			sync(f.Sync(), d.SyncDir(""))
			f.Write([]byte("de"))
		}, "abc abc00 abcd abcde"},
		{"cut", func(d *disktest.Disk) {
			f := create(t, d, "a", "abc")
			sync(f.Sync(), d.SyncDir(""), f.Truncate(1))
		}, "a abc"},
		{"removed", func(d *disktest.Disk) {
			sync(create(t, d, "a", "abc").Sync(), d.SyncDir(""), d.Remove("a"))
		}, "abc none"},
		{"removed for good", func(d *disktest.Disk) {
			sync(create(t, d, "a", "abc").Sync(), d.SyncDir(""), d.Remove("a"), d.SyncDir(""))
		}, "none"},
		{"replaced", func(d *disktest.Disk) {
			sync(create(t, d, "a", "abc").Sync(), d.SyncDir(""), create(t, d, "b", "new").Sync(), d.Rename("b", "a"))
		}, "abc new"},
		{"replaced unsynced", func(d *disktest.Disk) {
			sync(create(t, d, "a", "abc").Sync(), d.SyncDir(""))
			create(t, d, "b", "x")
			sync(d.Rename("b", "a"))
		}, " 0 abc x"},
		{"in a new folder", func(d *disktest.Disk) {
			sync(d.MkdirAll("d", 0), create(t, d, "d/x", "x").Sync(), d.SyncDir("d"), d.Rename("d/x", "a"))
		}, "none x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seen := outcomes(tt.prepare, "a")
			for _, want := range strings.Split(tt.want, " ") {
				if seen[want] == 0 {
					t.Errorf("never seen: %q", want)
				}
				delete(seen, want)
			}
			if len(seen) > 0 {
				t.Errorf("seen, too: %v", seen)
			}
		})
	}
}

// A file that moves is in the one folder or the other.
func TestPowerCutAmidMove(t *testing.T) {
	seen := make(map[string]int)
	for seed := range uint64(100) {
		d := disktest.New(seed)
		d.MkdirAll("one", 0)
		d.MkdirAll("two", 0)
		d.SyncDir("")
		create(t, d, "one/a", "x").Sync()
		d.SyncDir("one")
		d.Rename("one/a", "two/b")
		seen[list(t, below{d.PowerCut(), "/"}, "", nil)]++
	}
	if len(seen) != 2 || seen["one/\none/a 78\ntwo/\n"] == 0 || seen["one/\n\ntwo/\ntwo/b 78"] == 0 {
		t.Errorf("seen: %v", seen)
	}
}

// Zeros stand for whole blocks, and only for what was not synced.
func TestPowerCutBlocks(t *testing.T) {
	const block = 4096
	content := bytes.Repeat([]byte{'x'}, 5*block)
	holes := 0
	for seed := range uint64(200) {
		d := disktest.New(seed)
		f := create(t, d, "a", string(content[:block+10]))
		f.Sync()
		d.SyncDir("")
		for at := block + 10; at < len(content); at += 1000 {
			f.Write(content[at:min(at+1000, len(content))])
		}
		got := read(t, d.PowerCut(), "a")
		if !bytes.Equal(got[:block+10], content[:block+10]) {
			t.Fatal("what was synced is lost")
		}
		for at := 2 * block; at < len(got); at += block {
			b := got[at:min(at+block, len(got))]
			if b[0] == 0 {
				holes++
			}
			if bytes.Contains(b, []byte("\x00x")) {
				t.Fatalf("block %d has data behind zeros", at/block)
			}
		}
	}
	if holes == 0 {
		t.Error("there are no holes")
	}
}

// A failed operation does nothing, but for a write, which may write some, and a
// sync, which loses what it was to make durable.
func TestFaults(t *testing.T) {
	fail := func(name string, err error) func(disktest.Op) error {
		return func(op disktest.Op) error {
			if op.Name == name {
				return err
			}
			return nil
		}
	}
	short := 0
	for seed := range uint64(50) {
		d := disktest.New(seed)
		f := create(t, d, "a", "abc")
		d.SetFault(fail("write", syscall.EIO))
		n, err := f.Write([]byte("def"))
		if !errors.Is(err, syscall.EIO) || n >= 3 {
			t.Fatalf("write: %d, %v", n, err)
		}
		if n > 0 {
			short++
		}
		if got := string(read(t, d, "a")); got != "abcdef"[:3+n] {
			t.Fatalf("%q after %d bytes were written", got, n)
		}
		d.SetFault(nil)
		f.Truncate(3)
		f.Seek(3, io.SeekStart)
		f.Sync()
		d.SyncDir("")
		f.Write([]byte("def"))
		d.SetFault(fail("sync", syscall.EIO))
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("sync: %v", err)
		}
		d.SetFault(fail("rename", syscall.EIO))
		if err := d.Rename("a", "b"); !errors.Is(err, syscall.EIO) {
			t.Fatalf("rename: %v", err)
		}
		d.SetFault(nil)
		if got := string(read(t, d, "a")); got != "abcdef" {
			t.Fatalf("%q after a failed sync", got)
		}
		f.Sync()
		if got := string(read(t, d.PowerCut(), "a")); got != "abc" {
			t.Fatalf("%q after a failed sync, another and a power cut", got)
		}
	}
	if short == 0 {
		t.Error("no write was short")
	}
}

// ErrStopped stops everything at one operation.
func TestStop(t *testing.T) {
	part := 0
	for seed := range uint64(50) {
		d := disktest.New(seed)
		f := create(t, d, "a", "abc")
		at := d.Ops() + 1
		d.SetFault(func(op disktest.Op) error {
			if op.N == at {
				return disktest.ErrStopped
			}
			return nil
		})
		for range 3 {
			if _, err := f.Write([]byte("def")); !errors.Is(err, disktest.ErrStopped) {
				t.Fatalf("write: %v", err)
			}
		}
		got := string(read(t, d.Kill(), "a"))
		if !strings.HasPrefix("abcde", got) || len(got) < 3 {
			t.Fatalf("%q after one write that was killed", got)
		}
		if len(got) > 3 {
			part++
		}
	}
	if part == 0 {
		t.Error("the operation is never under way")
	}
}

// A full disk writes what fits, and has room again when something goes.
func TestRoom(t *testing.T) {
	d := disktest.New(1)
	other := create(t, d, "b", "xxxx")
	d.SetRoom(5)
	f := create(t, d, "a", "abc")
	n, err := f.Write([]byte("def"))
	if n != 2 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write: %d, %v; want 2, ENOSPC", n, err)
	}
	if n, err := f.Write([]byte("f")); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write: %d, %v; want 0, ENOSPC", n, err)
	}
	if n, err := f.WriteAt([]byte("ABC"), 0); n != 3 || err != nil {
		t.Errorf("write over what is there: %d, %v", n, err)
	}
	if err := other.Truncate(3); err != nil {
		t.Error(err)
	}
	if n, err := f.Write([]byte("fg")); n != 1 || err == nil {
		t.Errorf("write: %d, %v; want 1", n, err)
	}
	if err := d.Remove("b"); err != nil {
		t.Error(err)
	}
	if n, err := f.Write([]byte("ghi")); n != 3 || err != nil {
		t.Errorf("write: %d, %v; want 3", n, err)
	}
	if got := string(read(t, d, "a")); got != "ABCdefghi" {
		t.Errorf("%q is there", got)
	}
}
