package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// chromium is a browser that runs until the test ends.
type chromium struct {
	t     testing.TB
	stdin io.Writer
	lines *bufio.Scanner
	files string // of screenshots
	tabs  int
}

// tab is a page in a browser, with caches of its own.
type tab struct {
	*chromium
	number int
}

// seen is what the page shows.
type seen struct {
	Marked     bool     // the page is the one that was opened
	Time       float64  // of the video, in seconds
	Ended      bool     // the video has
	Width      int      // of the picture
	Variance   float64  // of its brightness
	AudioBytes int      // decoded
	Latency    *float64 // in seconds
	State      string
	Errors     []string // fatal ones, of the player
	Problems   []string // of the page
}

func startChromium(t testing.TB) *chromium { t.Helper(); return startBrowser(t, "watch.mjs") }

// startBrowser starts a browser that does what a script takes from its input.
func startBrowser(t testing.TB, script string) *chromium {
	t.Helper()
	b := &chromium{t: t}
	b.stdin, b.lines = runScript(t, script)
	files := os.Getenv("ARTIFACTS")
	if files == "" {
		files = t.TempDir()
	}
	if err := os.MkdirAll(files, 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	if b.files, err = filepath.Abs(files); err != nil {
		t.Fatal(err)
	}
	return b
}

// runScript runs a script that has a browser until the test is over, or its input is
// closed. It answers in lines.
func runScript(t testing.TB, script string, args ...string) (stdin io.WriteCloser, answers *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command("node", append([]string{script, browser(t)}, args...)...)
	cmd.Dir = "browser"
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close() // this ends it
		timer := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		defer timer.Stop()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("browser: %v\n%s", err, stderr.String())
		}
	})
	return stdin, bufio.NewScanner(stdout)
}

// open opens a page.
func (b *chromium) open(url string) *tab {
	b.t.Helper()
	b.ask("open " + url)
	b.tabs++
	return &tab{b, b.tabs - 1}
}

// browser is the path of Chromium, or of one of its kin.
func browser(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("CHROMIUM"); path != "" {
		return path
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("there is no Chromium: install it, or set CHROMIUM to its path")
	return ""
}

func (b *tab) look() seen { b.t.Helper(); return b.ask(fmt.Sprint("look ", b.number)) }

// picture looks, and saves a screenshot.
func (b *tab) picture(name string) seen {
	b.t.Helper()
	name = strings.NewReplacer("/", "-", " ", "-").Replace(b.t.Name() + "-" + name)
	return b.ask(fmt.Sprintf("picture %d %s", b.number, filepath.Join(b.files, name+".png")))
}

func (b *chromium) ask(command string) (answer seen) {
	b.t.Helper()
	if _, err := io.WriteString(b.stdin, command+"\n"); err != nil {
		b.t.Fatal(err)
	}
	if !b.lines.Scan() {
		b.t.Fatalf("the browser does not answer: %v", b.lines.Err())
	}
	if err := json.Unmarshal(b.lines.Bytes(), &answer); err != nil {
		b.t.Fatal(err)
	}
	return answer
}

// waitPlaying waits until the video is past a time.
func (b *tab) waitPlaying(limit time.Duration, past float64) (now seen) {
	b.t.Helper()
	eventually(b.t, limit, fmt.Sprintf("the video has passed %.1f s", past), func() error {
		if now = b.look(); now.Time <= past {
			return fmt.Errorf("the page shows %+v", now)
		}
		return nil
	})
	return now
}
