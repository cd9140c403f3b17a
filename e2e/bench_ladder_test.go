package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

// BenchmarkLadder measures what a stream of 720p30 with a ladder costs, the server
// and its ffmpeg together, beside the same command of ffmpeg alone: fed with the
// same stream in real time, and from a file as fast as it goes. It also measures
// how much later parts come when they wait for all renditions.
func BenchmarkLadder(b *testing.B) {
	d := benchTime()
	perMinute := func(u usage) float64 { return u.cpu.Seconds() / u.took.Minutes() }
	none := benchLadder(b, 0, d)
	with := benchLadder(b, 1, d)
	fed := benchTranscoder(b, with.command, d, true)
	file := benchTranscoder(b, with.command, d, false)

	table := "| 720p30, 2.5 Mbit/s, STANDARD | CPU s per stream-minute | beside ffmpeg fed | beside ffmpeg from a file | resident MiB | part delay p50 ms | p95 ms |\n|---|--:|--:|--:|--:|--:|--:|\n"
	for _, row := range []struct {
		name string
		u    usage
		rest string
	}{
		{"ffmpeg from a file to null", file, " | "},
		{"ffmpeg fed in real time", fed, " | "},
		{"anabranch, the source alone", none.usage, none.delays()},
		{"anabranch, source and ladder", with.usage, with.delays()},
	} {
		table += fmt.Sprintf("| %s | %.2f | × %.2f | × %.2f | %.0f | %s |\n", row.name, perMinute(row.u),
			perMinute(row.u)/perMinute(fed), perMinute(row.u)/perMinute(file), row.u.resident, row.rest)
	}
	fmt.Printf("\n%s\nOf the ladder's CPU time, the server itself took %.2f s a minute. %d gaps were told. Part delay: from the sending of the frame behind the part to a viewer who knows of it.\n\n",
		table, perMinute(with.own), with.gaps)
}

// laddered is what a stream took.
type laddered struct {
	usage            // of the server and its ffmpeg
	own     usage    // of the server alone
	command []string // of its ffmpeg
	delay   partDelay
	gaps    int
}

func (l laddered) delays() string {
	return fmt.Sprintf("%.0f | %.0f", l.delay.next.at(.5), l.delay.next.at(.95))
}

// benchLadder measures a stream, anew where its ffmpeg was replaced meanwhile.
func benchLadder(b *testing.B, capacity int, d time.Duration) (l laddered) {
	b.Helper()
	for range 3 {
		var whole bool
		if l, whole = tryLadder(b, capacity, d); whole {
			return l
		}
	}
	fmt.Println("The machine is too busy: ffmpeg was replaced while it was measured, and what is said of it here is too little.")
	return l
}

func tryLadder(b *testing.B, capacity int, d time.Duration) (l laddered, whole bool) {
	b.Helper()
	s := startServer(b, "--transcode-capacity", strconv.Itoa(capacity))
	c := s.newChannel(of(types.ChannelTypeStandardChannelType, ""))
	publisher := startReplay(b, c.rtmp(), plainFootage)
	probe := startDelayProbe(b, c)
	pids := []int{s.pid()}
	if capacity > 0 {
		c.waitRungs(4)
		pids = append(pids, s.ffmpegs(b)[0])
		l.command = commandLine(b, pids[1])
	}
	time.Sleep(settle)
	var server usage
	s.profiled("ladder-"+strconv.Itoa(capacity), d, func() {
		var both sync.WaitGroup
		both.Go(func() { server = measure(b, d, s.pid()) })
		l.usage = measure(b, d, pids...)
		both.Wait()
	})
	l.own = server
	whole = capacity == 0 || slices.Contains(s.ffmpegs(b), pids[len(pids)-1])
	l.delay = probe.stop(publisher)
	publisher.check(b)
	all, err := c.variants(b.Context(), "")
	if err != nil {
		b.Fatal(err)
	}
	for _, v := range all {
		p, err := fetchPlaylist(b.Context(), v["URI"])
		if err != nil {
			b.Fatal(err)
		}
		l.gaps += p.Count("EXT-X-GAP")
	}
	publisher.stop()
	s.stop()
	return l, whole
}

// commandLine is how a process was started.
func commandLine(b *testing.B, pid int) (args []string) {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		b.Fatal(err)
	}
	return strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")
}

// benchTranscoder runs the server's command of ffmpeg on a stream of d or so,
// and throws away what it makes.
func benchTranscoder(b *testing.B, command []string, d time.Duration, realTime bool) (u usage) {
	b.Helper()
	footage, err := plainFootage()
	if err != nil {
		b.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	cmd := exec.Command(command[0], command[1:]...)
	for fd := 3; slices.ContainsFunc(command, func(a string) bool { return strings.HasSuffix(a, "pipe:"+strconv.Itoa(fd)) }); fd++ {
		cmd.ExtraFiles = append(cmd.ExtraFiles, null)
	}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if !realTime {
		path := filepath.Join(b.TempDir(), "footage.flv")
		file, err := os.Create(path)
		if err != nil {
			b.Fatal(err)
		}
		defer file.Close()
		if err := footage.writeFLV(file, d, false); err != nil {
			b.Fatal(err)
		}
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			b.Fatal(err)
		}
		cmd.Stdin = file
		if err := cmd.Run(); err != nil {
			b.Fatalf("%v: %v\n%s", command, err, complaints.Bytes())
		}
		return usage{cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), took: d}
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	var feeding sync.WaitGroup
	feeding.Go(func() {
		footage.writeFLV(stdin, settle+d+time.Second, true)
		stdin.Close()
	})
	time.Sleep(settle)
	u = measure(b, d, cmd.Process.Pid)
	feeding.Wait()
	if err := cmd.Wait(); err != nil {
		b.Fatalf("%v: %v\n%s", command, err, complaints.Bytes())
	}
	return u
}

// writeFLV writes d of footage as an FLV file, in real time or at once.
func (s *footage) writeFLV(w io.Writer, d time.Duration, realTime bool) error {
	var out []byte
	tag := func(t flvTag, at time.Duration) {
		ms, size := uint32(at.Milliseconds()), uint32(len(t.body))
		out = append(out, t.kind, byte(size>>16), byte(size>>8), byte(size), byte(ms>>16), byte(ms>>8), byte(ms), byte(ms>>24), 0, 0, 0)
		out = append(out, t.body...)
		out = binary.BigEndian.AppendUint32(out, 11+size)
	}
	out = append(out, "FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00"...)
	for _, t := range s.headers {
		if t.kind != flvData {
			tag(t, 0)
		}
	}
	began := time.Now()
	for past := time.Duration(0); ; past += s.lasts {
		for _, t := range s.tags {
			if past+t.at >= d {
				return nil
			}
			if realTime {
				time.Sleep(time.Until(began.Add(past + t.at)))
			}
			tag(t, past+t.at)
			if _, err := w.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
}
