package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkStreams measures what streams of 720p30 at 2.5 Mbit/s cost, beside
// what ffmpeg takes to turn one into plain HLS, and prints a table. The server
// does more for it: parts of a third of a second, a second container for the
// recording, syncs and uploads.
func BenchmarkStreams(b *testing.B) {
	d, err := time.ParseDuration(os.Getenv("BENCHTIME"))
	if err != nil {
		d = time.Minute
	}
	// Encoding is the publisher's business, so it is done before.
	file := filepath.Join(b.TempDir(), "source.flv")
	encode(b, file)

	table := "| | streams | CPU s per stream-minute | beside ffmpeg | resident MiB |\n|---|--:|--:|--:|--:|\n"
	base := benchFFmpeg(b, file, d)
	row := func(name string, streams int, u usage) {
		table += fmt.Sprintf("| %s | %d | %.2f | × %.2f | %.0f |\n", name, streams, u.cpu, u.cpu/base.cpu, u.resident)
	}
	row("ffmpeg, HLS", 1, base)
	for _, n := range []int{1, 4} {
		row("anabranch, LL-HLS and recording", n, benchServer(b, file, n, d))
	}
	var starts []time.Duration
	for range 5 {
		starts = append(starts, benchStart(b, file))
	}
	slices.Sort(starts)
	fmt.Printf("\n%s\nFrom a publisher's TCP connection to a playlist that can be played, with key frames every 2 s: %v (median of %d), at most %v.\n\n",
		table, starts[len(starts)/2].Round(time.Millisecond), len(starts), starts[len(starts)-1].Round(time.Millisecond))
}

// usage is what a process used.
type usage struct {
	cpu      float64 // seconds for each minute of a stream
	resident float64 // MiB at the end
}

func encode(b *testing.B, file string) {
	b.Helper()
	out, err := exec.CommandContext(b.Context(), "ffmpeg", "-hide_banner", "-nostdin", "-v", "error",
		"-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30", "-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", "20",
		"-vf", "noise=alls=20:allf=t", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p",
		"-b:v", "2500k", "-minrate", "2500k", "-maxrate", "2500k", "-bufsize", "2500k", "-g", "60", "-keyint_min", "60", "-sc_threshold", "0",
		"-c:a", "aac", "-b:a", "128k", file).CombinedOutput()
	if err != nil {
		b.Fatalf("encode: %v\n%s", err, out)
	}
}

// publishFile publishes a file again and again, as it is.
func publishFile(b *testing.B, url, file string) *publisher {
	b.Helper()
	return publishArguments(b, url, []string{"-re", "-stream_loop", "-1", "-i", file, "-c", "copy"})
}

func benchServer(b *testing.B, file string, streams int, d time.Duration) usage {
	b.Helper()
	s := startServer(b)
	arn := s.newRecordingConfiguration(60 * time.Second)
	var publishers []*publisher
	for range streams {
		publishers = append(publishers, publishFile(b, s.newChannel(recordTo(arn)).rtmp(), file))
	}
	for _, p := range publishers {
		p.waitSent(5 * time.Second)
	}
	u := measure(b, s.pid(), publishers, d)
	s.stop()
	return u
}

func benchFFmpeg(b *testing.B, file string, d time.Duration) usage {
	b.Helper()
	dir := b.TempDir()
	url := "rtmp://127.0.0.1:19357/app/key"
	cmd := exec.Command("ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-listen", "1", "-i", url,
		"-c", "copy", "-f", "hls", "-hls_time", "4", "-hls_flags", "delete_segments", filepath.Join(dir, "live.m3u8"))
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	eventually(b, 10*time.Second, "ffmpeg listens", func() error {
		sockets, err := os.ReadFile("/proc/net/tcp")
		if err == nil && !strings.Contains(string(sockets), fmt.Sprintf(":%04X 00000000:0000 0A", 19357)) {
			err = fmt.Errorf("no such socket")
		}
		return err
	})
	p := publishFile(b, url, file)
	p.waitSent(5 * time.Second)
	return measure(b, cmd.Process.Pid, []*publisher{p}, d)
}

// measure lets publishers go on for d, and tells what the process used for it.
func measure(b *testing.B, pid int, publishers []*publisher, d time.Duration) usage {
	b.Helper()
	began, before := time.Now(), cpuTime(b, pid)
	select {
	case <-time.After(d):
	case <-b.Context().Done():
	}
	took, used := time.Since(began), cpuTime(b, pid)-before
	for _, p := range publishers {
		if p.hasEnded() {
			b.Fatalf("a publisher ended: %v\n%s", p.err, p.output())
		}
	}
	defer func() {
		for _, p := range publishers {
			p.kill()
		}
	}()
	return usage{cpu: used.Seconds() / float64(len(publishers)) / took.Minutes(), resident: resident(b, pid)}
}

// benchStart measures how long a viewer waits for a new stream.
func benchStart(b *testing.B, file string) time.Duration {
	b.Helper()
	s := startServer(b)
	c := s.newChannel()
	tap := newTap(b, s.at.RTMP)
	p := publishFile(b, strings.Replace(c.rtmp(), s.at.RTMP, tap.address, 1), file)
	defer p.kill()
	connected := tap.waitConnected()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for time.Since(connected) < 15*time.Second {
		if _, _, err := c.livePlaylist(b.Context()); err == nil {
			took := time.Since(connected)
			p.kill()
			s.stop()
			return took
		}
		<-tick.C
	}
	b.Fatal("the stream cannot be played")
	return 0
}

// cpuTime is how long a process has been running on a processor.
func cpuTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	// The name, in parentheses, may have spaces. utime and stime are fields 14
	// and 15, in hundredths of a second (proc(5)).
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// resident is the memory of a process, in MiB.
func resident(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		b.Fatal(err)
	}
	return kib / 1024
}
