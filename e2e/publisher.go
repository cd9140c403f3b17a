package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// picture is what a publisher sends: a moving test picture and a tone, encoded
// as it goes.
type picture struct {
	width, height int
	rate          int    // frames a second
	gop           int    // frames from one key frame to the next
	bFrames       int    // between reference frames
	bitrate       string // of the video
	audio         string // encoder and its options; no audio when empty
}

func testPicture() picture {
	return picture{width: 640, height: 360, rate: 30, gop: 30, bitrate: "500k", audio: "aac -b:a 96k"}
}

func (p picture) arguments() []string {
	args := []string{"-re", "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=%dx%d:rate=%d", p.width, p.height, p.rate)}
	if p.audio != "" {
		args = append(args, "-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000")
	}
	args = append(args, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-threads", "1",
		"-b:v", p.bitrate, "-maxrate", p.bitrate, "-bufsize", p.bitrate,
		"-g", strconv.Itoa(p.gop), "-keyint_min", strconv.Itoa(p.gop), "-sc_threshold", "0", "-bf", strconv.Itoa(p.bFrames))
	if p.bFrames == 0 {
		args = append(args, "-tune", "zerolatency")
	}
	if p.audio != "" {
		args = append(append(args, "-c:a"), strings.Fields(p.audio)...)
	}
	return args
}

// publisher is an ffmpeg that broadcasts.
type publisher struct {
	t     testing.TB
	cmd   *exec.Cmd
	err   error         // valid when ended
	ended chan struct{} // closed when the process has ended

	// mu guards what goroutines read of the process.
	mu   sync.Mutex
	sent sent
	log  bytes.Buffer
}

// sent is how much media has left a publisher.
type sent struct {
	frames   int // of video
	duration time.Duration
}

// publish starts a publisher of p. It ends with the test at the latest.
func publish(t testing.TB, url string, p picture) *publisher {
	t.Helper()
	return publishArguments(t, url, p.arguments())
}

// publishArguments starts an ffmpeg with arguments of its own.
func publishArguments(t testing.TB, url string, args []string) *publisher {
	t.Helper()
	args = append([]string{"-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning", "-progress", "pipe:1", "-stats_period", "0.1"}, args...)
	p := &publisher{t: t, cmd: exec.Command("ffmpeg", append(args, "-t", "600", "-f", "flv", url)...), ended: make(chan struct{})}
	progress, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = writerFunc(func(b []byte) (int, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.log.Write(b)
	})
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.follow(progress)
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(p.kill)
	return p
}

// follow reads what ffmpeg tells of its progress, in lines such as frame=30.
func (p *publisher) follow(r io.Reader) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "=")
		n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		if err != nil {
			continue // N/A before the first frame
		}
		p.mu.Lock()
		switch name {
		case "frame":
			p.sent.frames = int(n)
		case "out_time_us":
			p.sent.duration = time.Duration(n) * time.Microsecond
		}
		p.mu.Unlock()
	}
}

// progress is how much has been sent.
func (p *publisher) progress() sent {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent
}

// output is what ffmpeg complained of.
func (p *publisher) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// waitSent waits until d of media has been sent.
func (p *publisher) waitSent(d time.Duration) {
	p.t.Helper()
	eventually(p.t, d+15*time.Second, fmt.Sprintf("%v of media has been sent", d), func() error {
		if p.hasEnded() {
			p.t.Fatalf("the publisher ended: %v\n%s", p.err, p.output())
		}
		if got := p.progress().duration; got < d {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
}

// waitEnd waits until the process ends by itself, and returns how.
func (p *publisher) waitEnd(limit time.Duration) error {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(limit):
		p.t.Fatalf("the publisher has not ended within %v\n%s", limit, p.output())
	}
	return p.err
}

func (p *publisher) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// kill ends the publisher without a word to the server, but for the kernel's
// FIN or RST.
func (p *publisher) kill() { p.signal(syscall.SIGKILL); <-p.ended }

// quit ends the publisher as a user would: it says that the stream is over.
func (p *publisher) quit() { p.signal(os.Interrupt); <-p.ended }

// stall leaves the connection open, but nothing comes any more.
func (p *publisher) stall() { p.signal(syscall.SIGSTOP) }

func (p *publisher) signal(sig os.Signal) {
	if !p.hasEnded() {
		p.cmd.Process.Signal(sig) // fails when it has just ended
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
