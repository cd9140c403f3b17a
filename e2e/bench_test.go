package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// BenchmarkStreams measures what streams of 720p30 at 2.5 Mbit/s cost that
// nobody watches, but for one viewer who notes the delay of parts, beside what
// ffmpeg takes to turn one into plain HLS. The server does more for it: parts of
// a third of a second, a second container for the recording, syncs, and uploads
// to a bucket that it serves itself.
//
// A recording is uploaded in objects of 10 s or more: a run of a few seconds
// leaves that out and shows less than a minute does.
func BenchmarkStreams(b *testing.B) {
	d := benchTime()
	table := "| 720p30, 2.5 Mbit/s | streams | CPU s per stream-minute | beside ffmpeg | resident MiB | per stream | per further stream | part delay p50 ms | p95 ms |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n"
	row := func(name string, streams int, cpu, beside, resident float64, rest string) {
		table += fmt.Sprintf("| %s | %d | %.2f | × %.2f | %.0f | %.1f | %s |\n", name, streams, cpu, cpu/beside, resident, resident/float64(streams), rest)
	}
	perMinute := func(u usage, streams int) float64 { return u.cpu.Seconds() / u.took.Minutes() / float64(streams) }

	plain := benchFFmpeg(b, d)
	base := perMinute(plain, 1)
	row("ffmpeg, HLS", 1, base, base, plain.resident, " | | ")
	var one usage
	for _, n := range []int{1, 10, 20} {
		u, delay := benchServer(b, n, d)
		further := ""
		if n == 1 {
			one = u
		} else {
			further = fmt.Sprintf("%.1f", (u.resident-one.resident)/float64(n-1))
		}
		row("anabranch, LL-HLS and recording", n, perMinute(u, n), base, u.resident,
			fmt.Sprintf("%s | %.0f | %.0f", further, delay.next.at(.5), delay.next.at(.95)))
	}
	fmt.Printf("\n%s\nPart delay: from the sending of the frame behind the part to a viewer who knows of it, for one of the streams.\n\n", table)
}

func benchServer(b *testing.B, streams int, d time.Duration) (u usage, delay partDelay) {
	b.Helper()
	s := startServer(b)
	arn := s.newRecordingConfiguration(60 * time.Second)
	var publishers []*replay
	var first *channel
	for range streams {
		c := s.newChannel(recordTo(arn))
		if first == nil {
			first = c
		}
		publishers = append(publishers, startReplay(b, c.rtmp(), plainFootage))
	}
	probe := startDelayProbe(b, first)
	time.Sleep(settle)
	s.profiled(fmt.Sprintf("streams-%d", streams), d, func() { u = measure(b, d, s.pid()) })
	delay = probe.stop(publishers[0])
	for _, p := range publishers {
		p.check(b)
		p.stop()
	}
	s.stop()
	return u, delay
}

func benchFFmpeg(b *testing.B, d time.Duration) usage {
	b.Helper()
	const port = 19357
	url := fmt.Sprintf("rtmp://127.0.0.1:%d/app/key", port)
	cmd := exec.Command("ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-listen", "1", "-i", url,
		"-c", "copy", "-f", "hls", "-hls_time", "4", "-hls_flags", "delete_segments", filepath.Join(b.TempDir(), "live.m3u8"))
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	eventually(b, 10*time.Second, "ffmpeg listens", func() error {
		sockets, err := os.ReadFile("/proc/net/tcp")
		if err == nil && !strings.Contains(string(sockets), fmt.Sprintf(":%04X 00000000:0000 0A", port)) {
			err = fmt.Errorf("no such socket")
		}
		return err
	})
	footage, err := plainFootage()
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(b.TempDir(), "footage.flv")
	if err := os.WriteFile(file, footage.file, 0o600); err != nil {
		b.Fatal(err)
	}
	// Another ffmpeg publishes, as this one understands few others.
	p := publishArguments(b, url, []string{"-re", "-stream_loop", "-1", "-i", file, "-c", "copy"})
	defer p.kill()
	p.waitSent(settle)
	u := measure(b, d, cmd.Process.Pid)
	if p.hasEnded() {
		b.Fatalf("the publisher ended: %v\n%s", p.err, p.output())
	}
	return u
}
