package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"
)

// The picture with a clock: blocks of black and white, eight in a row, five
// rows, that spell bytes from the top.
const (
	glassWidth, glassHeight = 640, 360
	glassRate               = 30
	glassColumns, glassRows = 8, 5
)

// glassFrame draws the low 32 bits of at in Unix milliseconds, and a check of
// them in the last row, into a picture of planes Y, U and V (4:2:0).
func glassFrame(picture []byte, at time.Time) {
	ms := uint32(at.UnixMilli())
	code := [glassRows]byte{byte(ms >> 24), byte(ms >> 16), byte(ms >> 8), byte(ms)}
	code[4] = code[0] ^ code[1] ^ code[2] ^ code[3] ^ 0xa5
	luma := picture[:glassWidth*glassHeight]
	for y := range glassHeight {
		row := luma[y*glassWidth : (y+1)*glassWidth]
		bits := code[y*glassRows/glassHeight]
		for x := range row {
			row[x] = 16
			if bits&(0x80>>(x*glassColumns/glassWidth)) != 0 {
				row[x] = 235
			}
		}
	}
}

// publishClock publishes the picture with a clock, and a tone, until the test
// ends or stop is called. Each picture is made when it is due and handed to
// ffmpeg's encoder at once.
func publishClock(t testing.TB, url string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error",
		"-probesize", "32", "-analyzeduration", "0", "-f", "rawvideo", "-pix_fmt", "yuv420p",
		"-video_size", strconv.Itoa(glassWidth)+"x"+strconv.Itoa(glassHeight), "-framerate", strconv.Itoa(glassRate), "-i", "pipe:0",
		"-f", "lavfi", "-i", "sine=frequency=330:sample_rate=48000",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-threads", "1", "-pix_fmt", "yuv420p", "-b:v", "1000k",
		"-maxrate", "1000k", "-bufsize", "1000k", "-g", strconv.Itoa(2*glassRate), "-keyint_min", strconv.Itoa(2*glassRate), "-sc_threshold", "0",
		"-c:a", "aac", "-b:a", "96k", "-f", "flv", url)
	pictures, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ended sync.WaitGroup
	ended.Go(func() {
		err := drawClock(ctx, pictures)
		pictures.Close()
		cmd.Wait()
		if ctx.Err() == nil {
			t.Errorf("publish the clock: %v\n%s", err, complaints.Bytes())
		}
	})
	stop = func() { cancel(); ended.Wait() }
	t.Cleanup(stop)
	return stop
}

// drawClock writes pictures in real time until ctx ends.
func drawClock(ctx context.Context, w io.Writer) error {
	picture := bytes.Repeat([]byte{128}, glassWidth*glassHeight*3/2) // no colour
	var began time.Time
	for n := time.Duration(0); ; n++ {
		if n < 3 {
			// ffmpeg takes a picture, connects, and then takes more. What waited
			// meanwhile would come as a burst.
			began = time.Now().Add(-n * time.Second / glassRate)
		}
		select {
		case <-time.After(time.Until(began.Add(n * time.Second / glassRate))):
		case <-ctx.Done():
			return nil
		}
		glassFrame(picture, time.Now())
		if _, err := w.Write(picture); err != nil {
			return err
		}
	}
}

// glass is what glass.mjs saw. Times of the player are in seconds.
type glass struct {
	Firsts  []float64 // from navigation to the first picture, in milliseconds
	Samples []struct {
		Glass    int      // from the making of the picture to its showing, in milliseconds
		Date     *float64 // the player's latency by EXT-X-PROGRAM-DATE-TIME
		Position *float64 // the player's distance from the playlist's end
		Rate     float64  // of playback
		Ahead    float64  // media in the buffer
	}
	Unreadable, Stalls, Dropped int
	Target, PartTarget          *float64
	Errors                      []string
}

// watchGlass opens a page a number of times, and the last time watches it for
// d, after the player has had time to settle.
func watchGlass(t testing.TB, url string, visits int, settle, d time.Duration) (seen glass) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), settle+d+time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "glass.mjs", browser(t), url, strconv.Itoa(visits),
		strconv.FormatFloat(settle.Seconds(), 'f', -1, 64), strconv.FormatFloat(d.Seconds(), 'f', -1, 64))
	cmd.Dir = "browser"
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("watch %s: %v\n%s", url, err, complaints.Bytes())
	}
	if err := json.Unmarshal(out, &seen); err != nil {
		t.Fatalf("glass.mjs printed %q: %v", out, err)
	}
	return seen
}
