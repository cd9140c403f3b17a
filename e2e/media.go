package e2e

import (
	"bytes"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// decode plays media through ffmpeg, which must find nothing to complain of,
// and returns how many pictures it saw.
func decode(t testing.TB, path string) (frames int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-v", "warning", "-xerror",
		"-progress", "pipe:1", "-i", path, "-map", "0:v", "-map", "0:a?", "-fps_mode", "passthrough", "-enc_time_base:v", "-1", "-f", "null", "-")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("ffmpeg decodes %s: %v\n%s", path, err, stderr.Bytes())
	}
	for line := range strings.Lines(stdout.String()) {
		if n, ok := strings.CutPrefix(line, "frame="); ok {
			frames, _ = strconv.Atoi(strings.TrimSpace(n))
		}
	}
	return frames
}

// track is the timing of one track's packets, in seconds.
type track struct {
	packets    int
	start, end float64 // of decoding
	widest     float64 // from one packet to the next
}

func (k track) String() string {
	return fmt.Sprintf("%d packets from %.3f to %.3f s, at most %.3f s apart", k.packets, k.start, k.end, k.widest)
}

// timing reads the packets of the first video ("v:0") or audio ("a:0") track.
// Their decoding times must never go back.
func timing(t testing.TB, path, selector string) (k track) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-select_streams", selector,
		"-show_entries", "packet=dts_time,duration_time", "-of", "csv=p=0", path)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("ffprobe %s: %v\n%s", path, err, stderr.Bytes())
	}
	var last float64
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		if fields[0] == "" {
			continue // where ffprobe lists programs
		}
		dts, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			t.Fatalf("ffprobe %s printed %q", path, line)
		}
		if k.packets == 0 {
			k.start = dts
		} else {
			k.widest = max(k.widest, dts-last)
			if dts <= last {
				t.Errorf("%s: packet %d of %s is decoded at %.3f, the one before at %.3f", path, k.packets, selector, dts, last)
			}
		}
		k.packets++
		last, k.end = dts, dts
		if len(fields) > 1 {
			if d, err := strconv.ParseFloat(fields[1], 64); err == nil {
				k.end += d
			}
		}
	}
	return k
}
