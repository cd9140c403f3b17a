package recorder

import (
	"os"
	"testing"
)

// Spools lie in memory where that can be had: the tests sync a lot.
func TestMain(m *testing.M) {
	if dir, err := os.MkdirTemp("/dev/shm", "recorder"); err == nil {
		defer os.RemoveAll(dir)
		os.Setenv("TMPDIR", dir)
	}
	m.Run()
}
