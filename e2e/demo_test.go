package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The demo shows what it promises, and ends by itself when told how long it
// may take.
func TestDemo(t *testing.T) {
	t.Parallel()
	const free = "127.0.0.1:0"
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "demo", "--duration", "30s", "--no-browser", "--data-dir", t.TempDir(),
		"--http-addr", free, "--rtmp-addr", free, "--rtmps-addr", free, "--webrtc-addr", free, "--s3-addr", free, "--admin-addr", free)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	if err := cmd.Run(); err != nil {
		t.Fatalf("demo: %v\n%s\n%s", err, &stdout, &stderr)
	}
	var master string
	for line := range strings.Lines(stdout.String()) {
		if line = strings.TrimSpace(line); filepath.Base(line) == "master.m3u8" {
			master = line
		}
	}
	if !strings.Contains(stdout.String(), "2 stream") || !strings.Contains(stdout.String(), "in 720p30") || master == "" {
		t.Fatalf("the demo says\n%s", &stdout)
	}
	// The machine may be too slow for the other renditions.
	if frames := decode(t, filepath.Join(filepath.Dir(master), "720p30", "playlist.m3u8")); frames < 10*25 {
		t.Errorf("the recording has %d pictures", frames)
	}
}
