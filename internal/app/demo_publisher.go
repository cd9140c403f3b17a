package app

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// publisher sends a moving test picture with ffmpeg.
type publisher struct {
	url   string // with the stream key
	clock bool   // draw the time of day into the picture
}

// publish sends for as long as limit says, then kills ffmpeg, which drops the
// connection without a word. Without a limit it sends until ctx ends, and then
// lets ffmpeg say good-bye. It is an error when ffmpeg ends by itself.
func (p *publisher) publish(ctx context.Context, limit time.Duration) error {
	sending, cancel := context.WithCancel(ctx)
	defer cancel()
	if limit > 0 {
		sending, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	ffmpeg := exec.CommandContext(sending, "ffmpeg", p.arguments()...)
	var said bytes.Buffer
	ffmpeg.Stderr = &said
	// A group of its own, so that Ctrl-C is for this process alone.
	ffmpeg.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	ffmpeg.WaitDelay = 5 * time.Second
	if limit == 0 {
		ffmpeg.Cancel = func() error { return ffmpeg.Process.Signal(os.Interrupt) }
	}
	err := ffmpeg.Run()
	if sending.Err() != nil {
		return nil
	}
	said.Truncate(min(said.Len(), 2000))
	return fmt.Errorf("ffmpeg ended (%v): %s", err, bytes.ReplaceAll(bytes.TrimSpace(said.Bytes()), []byte(p.url), []byte("…")))
}

// arguments are ffmpeg's: 720p at 30 frames a second in real time, a key frame
// every two seconds and no B-frames, as for low latency, with a beeping tone.
func (p *publisher) arguments() []string {
	picture := "testsrc2=size=1280x720:rate=30"
	if p.clock {
		picture += ",drawtext=text='%{localtime\\:%X}':x=w-tw-40:y=h-th-40:fontsize=64:fontcolor=white:box=1:boxcolor=black@0.6:boxborderw=12"
	}
	return []string{
		"-hide_banner", "-loglevel", "error", "-nostdin",
		"-re", "-f", "lavfi", "-i", picture,
		"-re", "-f", "lavfi", "-i", "sine=frequency=330:beep_factor=4:sample_rate=48000",
		"-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-pix_fmt", "yuv420p",
		"-b:v", "2500k", "-maxrate", "2500k", "-bufsize", "2500k", "-g", "60", "-keyint_min", "60", "-sc_threshold", "0",
		"-c:a", "aac", "-b:a", "128k",
		"-f", "flv", p.url,
	}
}

// canDrawText says whether this ffmpeg has the filter and finds a font.
func canDrawText(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "ffmpeg", "-loglevel", "quiet", "-nostdin",
		"-f", "lavfi", "-i", "color=size=64x64,drawtext=text=12", "-frames:v", "1", "-f", "null", "-").Run() == nil
}
