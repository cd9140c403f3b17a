package app

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Size is a number of bytes, written such as 20GB, 1.5TiB or 1048576.
type Size int64

// sizeUnits are the units of a Size, by their names in lower case.
var sizeUnits = map[string]float64{
	"": 1, "b": 1,
	"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}

// UnmarshalText reads a size of at least one byte.
func (s *Size) UnmarshalText(text []byte) error {
	number := strings.TrimRightFunc(string(text), func(r rune) bool { return r < '0' || r > '9' })
	unit, known := sizeUnits[strings.ToLower(strings.TrimSpace(string(text)[len(number):]))]
	n, err := strconv.ParseFloat(number, 64)
	if n *= unit; err != nil || !known || !(n >= 1 && n < math.MaxInt64) {
		return fmt.Errorf("%q is not a size such as 20GB or 512MiB", text)
	}
	*s = Size(n)
	return nil
}

// spoolMax is the bound of the spool: that of the settings, else half of what
// the disk has for it.
func (s *server) spoolMax() (int64, error) {
	bound, dir := int64(s.cfg.SpoolMax), s.dir.file("spool")
	if bound == 0 {
		free, err := freeBytes(dir) // it may be a disk of its own
		if errors.Is(err, fs.ErrNotExist) {
			free, err = freeBytes(s.dir.path)
		}
		if err != nil {
			return 0, err
		}
		used, err := bytesIn(dir)
		if err != nil {
			return 0, fmt.Errorf("measure spool: %w", err)
		}
		// What is spooled belongs to the half, or each start would halve it.
		bound = max(1, (free+used)/2)
	}
	s.log.Info("media waits for upload in the spool", "spool", dir, "max bytes", bound)
	return bound, nil
}

// freeBytes is how much more the disk below dir takes.
func freeBytes(dir string) (int64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return 0, fmt.Errorf("measure free disk: %w", &os.PathError{Op: "statfs", Path: dir, Err: err})
	}
	return int64(stat.Bavail) * int64(stat.Bsize), nil //nolint:unconvert // its type is the system's
}

// bytesIn is the size of all files below dir, 0 when there is none. What must
// not be read, such as lost+found, is not ours.
func bytesIn(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrPermission) {
			return filepath.SkipDir
		}
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return sum, err
}
