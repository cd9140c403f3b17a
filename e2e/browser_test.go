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

// A viewer in Chromium sees the broadcaster drop and return, on one page that
// is never loaded again.
func TestBrowserPlaysOn(t *testing.T) {
	for _, tt := range []struct {
		name   string
		breaks breakage
	}{
		{"publisher killed", killPublisher},
		{"server restarted", restartInGap},
		{"server killed on air", killServerOnAir},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			c := s.newChannel()
			tab := openTab(t, "http://"+s.at.HTTP+"/watch/"+c.id())

			first := publish(t, c.rtmp(), testPicture())
			before := tab.waitPlaying(20*time.Second, 0)
			tab.waitPlaying(10*time.Second, before.Time+4)
			if before = tab.picture("before"); before.Variance < 100 || before.Width != 640 || before.AudioBytes == 0 {
				t.Errorf("no picture or no sound: %+v", before)
			}

			tt.breaks(s, first)
			broken := time.Now()
			eventually(t, 8*time.Second, "the gap is over", func() error {
				if since := time.Since(broken); since < 4*time.Second {
					return fmt.Errorf("it has been %v", since)
				}
				return nil
			})
			during := tab.picture("during")
			if during.State != "reconnecting" {
				t.Errorf("the page says %q in the gap", during.State)
			}

			back := time.Now()
			publish(t, c.rtmp(), testPicture())
			tab.waitPlaying(20*time.Second, during.Time+1)
			t.Logf("playing %v after the publisher's return", time.Since(back).Round(10*time.Millisecond))
			tab.waitPlaying(20*time.Second, during.Time+6)
			after := tab.picture("after")
			if !after.Marked {
				t.Error("the page was loaded again")
			}
			if after.Latency != nil {
				t.Logf("%.2f s behind the broadcaster", *after.Latency)
			}
			if after.Variance < 100 || after.State != "live" {
				t.Errorf("after the return: %+v", after)
			}
			if after.AudioBytes <= during.AudioBytes {
				t.Errorf("no sound after the return: %d bytes decoded, before %d", after.AudioBytes, during.AudioBytes)
			}
			// Before the channel was live, nothing could be played.
			if errors := after.Errors[len(before.Errors):]; len(after.Problems) > 0 || len(errors) > 0 {
				t.Errorf("the page had to cope with %v %v", after.Problems, errors)
			}
		})
	}
}

// Browsers that play HLS by themselves keep further behind, and play on, too:
// this one comes to the end of what there is, waits, and goes on.
func TestBrowserPlaysOnNatively(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--live-grace", "60s")
	c := s.newChannel()
	first := publish(t, c.rtmp(), testPicture())
	first.waitSent(6 * time.Second)
	tab := openTab(t, "http://"+s.at.HTTP+"/watch/"+c.id()+"?player=native")
	tab.waitPlaying(20*time.Second, 1)
	first.kill()

	var during seen
	since := time.Now()
	eventually(t, 40*time.Second, "the video has come to its end", func() error {
		if now := tab.look(); now.Time != during.Time {
			during, since = now, time.Now()
		}
		if d := time.Since(since); d < 3*time.Second {
			return fmt.Errorf("it went on %v ago", d)
		}
		return nil
	})
	publish(t, c.rtmp(), testPicture())
	after := tab.waitPlaying(30*time.Second, during.Time+8)
	if !after.Marked || after.Variance < 100 || after.AudioBytes <= during.AudioBytes {
		t.Errorf("after the return: %+v", after)
	}
	if len(after.Problems) > 0 || len(after.Errors) > 0 {
		t.Errorf("the page had to cope with %v %v", after.Problems, after.Errors)
	}
}

// tab is a page in a browser of its own.
type tab struct {
	t     testing.TB
	stdin io.Writer
	lines *bufio.Scanner
	files string // of screenshots
}

// seen is what the page shows.
type seen struct {
	Marked     bool     // the page is the one that was opened
	Time       float64  // of the video, in seconds
	Width      int      // of the picture
	Variance   float64  // of its brightness
	AudioBytes int      // decoded
	Latency    *float64 // in seconds
	State      string
	Errors     []string // fatal ones, of the player
	Problems   []string // of the page
}

func openTab(t testing.TB, url string) *tab {
	t.Helper()
	cmd := exec.Command("node", "watch.mjs", browser(t), url)
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
	files := os.Getenv("ARTIFACTS")
	if files == "" {
		files = t.TempDir()
	}
	if err := os.MkdirAll(files, 0o755); err != nil {
		t.Fatal(err)
	}
	if files, err = filepath.Abs(files); err != nil {
		t.Fatal(err)
	}
	return &tab{t: t, stdin: stdin, lines: bufio.NewScanner(stdout), files: files}
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

func (b *tab) look() seen { b.t.Helper(); return b.ask("look") }

// picture looks, and saves a screenshot.
func (b *tab) picture(name string) seen {
	b.t.Helper()
	name = strings.NewReplacer("/", "-", " ", "-").Replace(b.t.Name() + "-" + name)
	return b.ask("picture " + filepath.Join(b.files, name+".png"))
}

func (b *tab) ask(command string) (answer seen) {
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
