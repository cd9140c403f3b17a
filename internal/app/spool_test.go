package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSize(t *testing.T) {
	cases := []struct {
		text string
		want Size // 0: no size
	}{
		{"1", 1}, {"1048576", 1 << 20}, {"20GB", 20e9}, {"20 GB", 20e9}, {"20gb", 20e9}, {"1.5TiB", 3 << 39},
		{"512MiB", 512 << 20}, {"64KiB", 64 << 10}, {"2kB", 2000}, {"3MB", 3e6}, {"4tb", 4e12}, {"7b", 7},
		{"", 0}, {"0", 0}, {"0.4", 0}, {"-1GB", 0}, {"20G", 0}, {"GB", 0}, {"1e30TB", 0}, {"NaN", 0}, {"Inf", 0},
		{"9300000TB", 0}, {"20GB and more", 0}, {"2 0GB", 0},
	}
	for _, c := range cases {
		var got Size
		if err := got.UnmarshalText([]byte(c.text)); got != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("%q is %d (%v), want %d", c.text, got, err, c.want)
		}
	}
}

func TestSpoolMaxSetting(t *testing.T) {
	cfg, err := parse(t, "--config", writeFile(t, "spool-max: 64MiB\n"))
	if err != nil || cfg.SpoolMax != 64<<20 {
		t.Errorf("spool-max of the file is %d (%v)", cfg.SpoolMax, err)
	}
	if _, err := parse(t, "--spool-max", "much"); err == nil || !strings.Contains(err.Error(), "--spool-max") {
		t.Errorf("%v, want it to name the flag", err)
	}
}

// What is spooled counts as free, so that a restart leaves the bound as it is.
func TestBytesIn(t *testing.T) {
	dir := t.TempDir()
	if n, err := bytesIn(filepath.Join(dir, "none")); n != 0 || err != nil {
		t.Errorf("a folder that is not there: %d bytes (%v)", n, err)
	}
	for name, size := range map[string]int{"a/0.ts": 1000, "a/journal": 100, "b.broken/0.ts": 10} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := bytesIn(dir); n != 1110 || err != nil {
		t.Errorf("%d bytes (%v), want 1110", n, err)
	}
	if free, err := freeBytes(dir); free <= 0 || err != nil {
		t.Errorf("%d bytes free (%v)", free, err)
	}
}
