package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"anabranch/e2e/hls"
)

// watchGStreamer plays a recording with GStreamer, from its beginning and from
// places around each join. It must show what ffmpeg shows, give or take what a
// kill tore off.
func watchGStreamer(t *testing.T, url string, p *hls.Playlist, shown shotList) {
	t.Helper()
	saw, err := playGStreamer(t, url, 0)
	if err != nil {
		t.Fatal(err)
	}
	if missing := len(shown) - len(saw); missing > 4 || missing < -4 {
		t.Errorf("GStreamer shows %d pictures, ffmpeg %d", len(saw), len(shown))
	}
	if len(saw) == 0 {
		t.Fatal("GStreamer shows nothing")
	}
	checkOrder(t, saw)
	if saw[0] != shown[0].shot || saw[len(saw)-1] != shown[len(shown)-1].shot {
		t.Errorf("GStreamer shows %v to %v, not %v to %v", saw[0], saw[len(saw)-1], shown[0].shot, shown[len(shown)-1].shot)
	}
	for _, join := range joins(p) {
		for _, at := range []float64{join - 0.5, join + 0.5} {
			saw, err := playGStreamer(t, url, at)
			for try := 1; (err != nil || len(saw) == 0) && try < 5; try++ {
				// gst-play seeks while it plays as fast as it can. Now and then it
				// is at the end before, or stumbles over a download it called off.
				saw, err = playGStreamer(t, url, at)
			}
			if err != nil || len(saw) == 0 {
				t.Errorf("GStreamer seeks to %.3f s and shows %d pictures: %v", at, len(saw), err)
				continue
			}
			// It seeks to a key frame, or to a picture near that.
			if first, want := shown.index(saw[0]), shown.when(at); first < want-3*shotRate || first > want+2 {
				t.Errorf("GStreamer seeks to %.3f s and shows %v first, not %v", at, saw[0], shown[want].shot)
			}
			if last := saw[len(saw)-1]; last != shown[len(shown)-1].shot {
				t.Errorf("GStreamer seeks to %.3f s and ends with %v", at, last)
			}
		}
	}
}

// playGStreamer returns the pictures that are shown from a time on, to the end.
func playGStreamer(t *testing.T, url string, at float64) (saw []shot, err error) {
	t.Helper()
	const width, height = 320, 40 // of what is left of a picture
	path := filepath.Join(t.TempDir(), "pictures")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// The file begins anew with each seek.
	cmd := exec.CommandContext(ctx, "gst-play-1.0", "--use-playbin3", "--no-interactive", "--quiet", "--start-position", fmt.Sprintf("%.3f", at),
		"--audiosink=fakesink", "--videosink=videoconvert ! video/x-raw,format=GRAY8 ! videocrop bottom=140 ! filesink location="+path, url)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err = cmd.Run()
	pictures, _ := os.ReadFile(path)
	if err != nil || output.Len() > 0 || len(pictures)%(width*height) != 0 {
		return nil, fmt.Errorf("gst-play from %.3f s: %v, %d bytes of pictures\n%s", at, err, len(pictures), output.Bytes())
	}
	for picture := pictures; len(picture) > 0; picture = picture[width*height:] {
		var blocks [2 * shotColumns]byte
		for i := range blocks {
			x, y := (2*(i%shotColumns)+1)*width/(2*shotColumns), (2*(i/shotColumns)+1)*height/4
			blocks[i] = picture[y*width+x]
		}
		s, ok := shotOf(blocks[:])
		if !ok {
			return nil, fmt.Errorf("gst-play from %.3f s: picture %d does not tell which it is", at, len(saw))
		}
		saw = append(saw, s)
	}
	return saw, nil
}

// checkOrder checks that pictures come in their order, with no piece left out.
func checkOrder(t *testing.T, saw []shot) {
	t.Helper()
	const torn = 4 // B-frames missing where a stream was torn off
	for i, s := range saw[1:] {
		before := saw[i]
		next := s.piece == before.piece && s.number > before.number && s.number <= before.number+torn
		if !next && (s.piece != before.piece+1 || s.number > 1) {
			t.Errorf("picture %v comes after %v", s, before)
		}
	}
}
