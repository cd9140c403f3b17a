package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

// A recording's renditions and thumbnail are listed, verified, exported and
// played: each for itself, and on the page in turns.
func TestShelfRenditions(t *testing.T) {
	t.Parallel()
	s := startTranscoder(t, 1, "--public-recordings")
	c := s.newChannel(of(types.ChannelTypeStandardChannelType, ""), recordTo(s.newRecordingConfiguration(10*time.Second,
		thumbnails(2*time.Second, types.ThumbnailConfigurationStorageSequential))))
	for range 2 { // two streams in one recording
		p := publish(t, c.rtmp(), picture{width: 426, height: 240, rate: 10, gop: 10, bitrate: "200k", audio: "aac -b:a 64k"})
		p.waitSent(7 * time.Second)
		p.quit()
	}
	r := c.waitRecordings(1)[0]
	shown := s.shelf()[0]
	if got := fmt.Sprint(len(shown.Renditions), shown.Fragments); got != "2 2" {
		t.Fatalf("the recording is listed as %+v", shown)
	}
	s.wholeRecording(shown.ID)

	for i, want := range []string{"240p10 426x240", "160p10 284x160"} {
		m := shown.Renditions[i]
		if got := fmt.Sprintf("%s %dx%d", m.Name, m.Width, m.Height); got != want {
			t.Errorf("rendition %d is %s, want %s", i, got, want)
		}
		file := filepath.Join(t.TempDir(), "x.mp4")
		if _, err := s.recordingCommand("export", shown.ID, "--rendition", m.Name, "-o", file); err != nil {
			t.Error(err)
			continue
		}
		for _, of := range []string{m.PlaybackURL, file} {
			if got := frameSize(t, of); !strings.HasSuffix(want, " "+got) {
				t.Errorf("%s shows %s, want %s", of, got, want)
			}
		}
	}
	if _, err := s.recordingCommand("export", shown.ID, "--rendition", "720p60", "-o", filepath.Join(t.TempDir(), "x.mp4")); err == nil ||
		!strings.Contains(err.Error(), "it has 240p10, 160p10") {
		t.Errorf("a rendition that is not there: %v", err)
	}
	answer, err := http.Get(shown.ThumbnailURL)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "image/jpeg" {
		t.Errorf("the thumbnail answers %s", answer.Status)
	}

	page := shelf{startBrowser(t, "recordings.mjs")}
	page.do("open", "url", "http://"+s.at.HTTP+"/recordings#"+filepath.Base(r.dir))
	now := page.until(15*time.Second, "the recording plays", func(now shelved) bool { return now.Time > 0.3 && len(now.Qualities) > 0 })
	if !slices.Equal(now.Qualities[1:], []string{"240p", "160p"}) || !strings.HasPrefix(now.Qualities[0], "Auto") || len(now.Marks) != 1 {
		t.Errorf("the page shows %+v", now)
	}
	for _, height := range []int{160, 240, 160} {
		page.do("select", "selector", "#quality", "text", fmt.Sprintf("%dp", height))
		page.do("seek", "at", 0.01)
		now = page.until(20*time.Second, fmt.Sprintf("the picture has %d lines", height), func(now shelved) bool { return now.Height == height })
		if now.Paused || len(now.Marks) != 1 || len(now.Errors) > 0 {
			t.Errorf("with %d lines the page shows %+v", height, now)
		}
	}
	page.picture("renditions")
	if len(now.Problems) > 0 {
		t.Errorf("the page has problems: %v", now.Problems)
	}
}

// frameSize is the size of the pictures at a URL or in a file, such as 426x240.
func frameSize(t *testing.T, of string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-select_streams", "v:0",
		"-show_entries", "stream=width,height", "-of", "csv=p=0:s=x", of).Output()
	if err != nil {
		t.Fatalf("ffprobe %s: %v", of, err)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return first
}
