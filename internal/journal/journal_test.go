package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"anabranch/internal/disk"
	"anabranch/internal/journal"
)

func open(t *testing.T, path string) (*journal.Log, []string) {
	t.Helper()
	var recs []string
	l, err := journal.Open(disk.OS, path, func(rec []byte) error {
		recs = append(recs, string(rec))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, recs
}

func appendAll(t *testing.T, l *journal.Log, recs ...string) {
	t.Helper()
	for _, rec := range recs {
		if err := l.Append([]byte(rec)); err != nil {
			t.Fatal(err)
		}
	}
}

// Wherever the file is cut, the whole records before the cut survive and the
// log can be continued.
func TestTornTail(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "whole")
	l, _ := open(t, whole)
	recs := []string{"one", "second", "the third"}
	var ends []int64
	for _, rec := range recs {
		appendAll(t, l, rec)
		ends = append(ends, l.Size())
	}
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for cut := range len(data) + 1 {
		path := filepath.Join(dir, fmt.Sprint(cut))
		if err := os.WriteFile(path, data[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		var want []string
		for i, end := range ends {
			if int64(cut) >= end {
				want = recs[:i+1]
			}
		}
		l, got := open(t, path)
		if !slices.Equal(got, want) {
			t.Fatalf("cut at %d: replayed %q, want %q", cut, got, want)
		}
		appendAll(t, l, "next")
		if _, got := open(t, path); !slices.Equal(got, append(slices.Clone(want), "next")) {
			t.Fatalf("cut at %d and continued: replayed %q", cut, got)
		}
	}
}

// A flipped bit ends the log before the record it is in.
func TestBrokenRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, path)
	appendAll(t, l, "one")
	first := int(l.Size())
	appendAll(t, l, "second", "third")
	data, _ := os.ReadFile(path)
	for i := first; i < first+8+len("second"); i++ {
		broken := bytes.Clone(data)
		broken[i] ^= 1
		at := filepath.Join(t.TempDir(), "broken")
		os.WriteFile(at, broken, 0o600)
		if _, got := open(t, at); !slices.Equal(got, []string{"one"}) {
			t.Errorf("bit flipped in byte %d: replayed %q", i, got)
		}
	}
}

func TestRewrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, path)
	appendAll(t, l, "a", "b", "c")
	if err := l.Rewrite([][]byte{[]byte("b+c")}); err != nil {
		t.Fatal(err)
	}
	appendAll(t, l, "d")
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	if _, got := open(t, path); !slices.Equal(got, []string{"b+c", "d"}) {
		t.Errorf("replayed %q", got)
	}
	if _, err := os.Stat(path + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Error("the temporary file is still there")
	}
}

func TestRecordSize(t *testing.T) {
	l, _ := open(t, filepath.Join(t.TempDir(), "log"))
	for _, tt := range []struct {
		size int
		ok   bool
	}{{0, false}, {1, true}, {journal.MaxRecord, true}, {journal.MaxRecord + 1, false}} {
		if err := l.Append(make([]byte, tt.size)); (err == nil) != tt.ok {
			t.Errorf("record of %d bytes: %v", tt.size, err)
		}
	}
}

func TestReplayError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, path)
	appendAll(t, l, "a")
	want := errors.New("no")
	if _, err := journal.Open(disk.OS, path, func([]byte) error { return want }); !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}

// Any file at all opens, and what was replayed is replayed again.
func FuzzOpen(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 'x'})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "log")
		os.WriteFile(path, data, 0o600)
		_, first := open(t, path)
		if _, again := open(t, path); !slices.Equal(first, again) {
			t.Errorf("replayed %q, then %q", first, again)
		}
	})
}
