package transcode

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/metrics"
)

const (
	// stillDeadline is how long a still may take to make.
	stillDeadline = 10 * time.Second
	// maxStill is the largest JPEG, in bytes.
	maxStill = 4 << 20
	// stillNice is by how much the program gives way to others (nice(2)).
	stillNice = 10
)

var errCannotRun = errors.New("cannot run")

// stillCommand turns H.264 as a byte stream (ITU-T H.264 annex B) on stdin into
// one JPEG on stdout. The format is told and not guessed at, and there is one
// thread of each kind: most of the time then goes into the program's start. The
// picture is as large as it may be, whatever its parameter set says.
var stillCommand = []string{
	"-v", "error", "-nostdin",
	"-threads", "1", "-max_pixels", "16777216", "-probesize", "32", "-analyzeduration", "0",
	"-f", "h264", "-i", "pipe:0",
	"-frames:v", "1", "-an", "-filter_threads", "1", "-pix_fmt", "yuvj420p",
	"-c:v", "mjpeg", "-threads", "1", "-q:v", "4", "-f", "image2pipe", "pipe:1",
}

// stillOf is the JPEG of one key frame.
func stillOf(ctx context.Context, ffmpeg string, v *media.VideoParams, payload []byte) ([]byte, error) {
	stream, err := annexB(v, payload)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, stillDeadline)
	defer cancel()
	out, said := &bounded{max: maxStill}, &bounded{max: 1 << 10, lossy: true}
	cmd := exec.CommandContext(ctx, ffmpeg, stillCommand...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stream), out, said
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LD_LIBRARY_PATH=" + os.Getenv("LD_LIBRARY_PATH")} // no credentials
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w %s: %w", errCannotRun, ffmpeg, err)
	}
	_ = syscall.Setpriority(syscall.PRIO_PGRP, cmd.Process.Pid, stillNice) // it may have ended
	err = cmd.Wait()
	if p := cmd.ProcessState; p != nil {
		metrics.StillCPU.Add((p.UserTime() + p.SystemTime()).Seconds())
	}
	jpeg := out.data
	switch words, _, _ := strings.Cut(string(said.data), "\n"); {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s is not done after %v", ffmpeg, time.Since(begun).Round(time.Millisecond))
	case out.full:
		return nil, fmt.Errorf("JPEG is larger than %d bytes", maxStill)
	case err != nil && words != "":
		return nil, fmt.Errorf("%s: %w: %q", ffmpeg, err, words)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", ffmpeg, err)
	case !bytes.HasPrefix(jpeg, []byte{0xFF, 0xD8, 0xFF}) || !bytes.HasSuffix(jpeg, []byte{0xFF, 0xD9}):
		return nil, fmt.Errorf("%s finds no picture: %q", ffmpeg, words)
	}
	metrics.StillSeconds.Observe(time.Since(begun).Seconds())
	return jpeg, nil
}

// annexB is an access unit of length-prefixed NAL units as a byte stream, behind
// the track's parameter sets.
func annexB(v *media.VideoParams, unit []byte) ([]byte, error) {
	start := []byte{0, 0, 0, 1}
	b := make([]byte, 0, len(unit)+len(v.SPS)+len(v.PPS)+2*len(start))
	b = append(append(b, start...), v.SPS...)
	b = append(append(b, start...), v.PPS...)
	for len(unit) > 0 {
		if len(unit) < 4 || uint64(binary.BigEndian.Uint32(unit)) > uint64(len(unit)-4) {
			return nil, errors.New("key frame has a NAL unit that is cut short")
		}
		n := 4 + int(binary.BigEndian.Uint32(unit))
		b = append(append(b, start...), unit[4:n]...)
		unit = unit[n:]
	}
	return b, nil
}

// bounded keeps so many bytes of what is written, and fails when there are more,
// unless the rest may be lost.
type bounded struct {
	max   int
	lossy bool
	data  []byte
	full  bool
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.max-len(b.data))
	b.data = append(b.data, p[:n]...)
	if b.full = b.full || n < len(p); b.full && !b.lossy {
		return n, errors.New("too much output")
	}
	return len(p), nil
}
