package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

// switched is what switching.mjs tells.
type switched struct {
	Levels []struct{ Height, Bitrate int } // of hls.js, the smallest first
	Steady watched
	Steps  []struct {
		watched
		How      string
		From, To int  // heights
		Shown    bool // the picture became what it should
		Forward  bool // and the time went on
		Took     int  // ms
		Tries    int
		Height   int
		Bitrate  int
	}
	Stalls   []int    // ms each, all
	Errors   []string // of the player
	Problems []string // of the page
	Heights  []int    // of all pictures, in order
	Time     float64  // of the video, at the end
	Choices  []string // of the watch page's menu
	Auto     string   // its first, at the end
	Fits     bool     // it is within a phone's page
}

// watched is what was seen in some time.
type watched struct {
	Moved  float64 // seconds
	Stalls []int   // ms each
}

// faults are what is wrong with what was seen.
type faults []string

func (f *faults) add(format string, values ...any) { *f = append(*f, fmt.Sprintf(format, values...)) }

// switchLevels has a player of switching.mjs play a URL.
func switchLevels(t *testing.T, player, url string) (saw switched, wrong faults) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "switching.mjs", browser(t), player, url)
	cmd.Dir = "browser"
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("play %s: %v\n%s", url, err, complaints.Bytes())
	}
	if err := json.Unmarshal(out, &saw); err != nil {
		t.Fatalf("switching.mjs printed %q: %v", out, err)
	}
	t.Logf("%s: %s", player, out)
	for _, e := range saw.Errors {
		name, _, _ := strings.Cut(e, " ")
		// hls.js tells when it thinks better of what it asked for, when it seeks to
		// where the media begins, and what it does about a stall, which is counted.
		if !slices.Contains([]string{"aborted", "bufferSeekOverHole", "bufferNudgeOnStall"}, name) || strings.Contains(e, "fatal ") {
			wrong.add("player: %s", e)
		}
	}
	for _, p := range saw.Problems {
		wrong.add("page: %s", p)
	}
	return saw, wrong
}

// plays runs a test of a player. On a machine that is too busy to transcode, what a
// playlist says is missing is no fault: it is tried again.
func (c *channel) plays(t *testing.T, name string, try func(t *testing.T) faults) {
	t.Run(name, func(t *testing.T) {
		for range 3 {
			gaps := c.gaps(t)
			wrong := try(t)
			if gaps += c.gaps(t); gaps == 0 || len(wrong) == 0 {
				for _, w := range wrong {
					t.Error(w)
				}
				return
			}
			t.Logf("%d gaps are told, and: %q", gaps, wrong)
		}
		t.Error("gaps are told each time: the machine is too busy to transcode, or the transcoder is not right")
	})
}

// gaps is how many gaps the playlists of all renditions tell.
func (c *channel) gaps(t *testing.T) (n int) {
	t.Helper()
	all, err := c.variants(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		p, err := fetchPlaylist(t.Context(), v["URI"])
		if err != nil {
			t.Fatal(err)
		}
		n += p.Count("EXT-X-GAP")
	}
	return n
}

// startEdge starts what stands before a server: all of the server is at /edge/
// there, and besides there are pages that play what they are asked for.
func startEdge(t *testing.T, s *server) string {
	t.Helper()
	target, err := url.Parse("http://" + s.at.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // of players that have left
	mux := http.NewServeMux()
	mux.Handle("/edge/", http.StripPrefix("/edge", proxy))
	servePages(mux)
	edge := httptest.NewServer(mux)
	t.Cleanup(edge.Close)
	return edge.URL
}

// Players change between a channel's renditions, all the way down and up, and the
// picture goes on. They find everything below another path, as behind a proxy.
// It runs beside no other test, for it wants a ladder without gaps.
func TestSwitching(t *testing.T) {
	s := startTranscoder(t, 1)
	c := s.newChannel(of(types.ChannelTypeStandardChannelType, ""))
	p := picture{width: 1280, height: 720, rate: 10, gop: 20, bitrate: "1500k", audio: "aac -b:a 96k"}
	publish(t, c.rtmp(), p).waitSent(3 * time.Second)
	heights := []int{160, 360, 480, 720}
	eventually(t, 30*time.Second, "all renditions can be played", func() error {
		all, err := c.variants(t.Context(), "")
		if err == nil && len(all) != len(heights) {
			err = fmt.Errorf("there are %d: %v", len(all), all)
		}
		return err
	})
	edge := startEdge(t, s)
	_, path, _ := strings.Cut(*c.PlaybackUrl, "/api/")
	source := edge + "/edge/api/" + path

	c.plays(t, "hls.js", func(t *testing.T) faults {
		saw, wrong := switchLevels(t, "hls", source)
		var levels []int
		for _, l := range saw.Levels {
			levels = append(levels, l.Height)
		}
		if !slices.Equal(levels, heights) {
			wrong.add("levels %v, want %v", levels, heights)
		}
		if want := 2*(len(heights)-1) + 2 + 2; len(saw.Steps) != want {
			wrong.add("%d steps, want %d", len(saw.Steps), want)
		}
		// What a machine does to one level that has little to spare, it may do to
		// the change as well.
		patience := sum(saw.Steady.Stalls)
		for _, step := range saw.Steps {
			if !step.Shown || !step.Forward || step.Moved <= 0 {
				wrong.add("from %d to %d by %s: shown %t, moved %.3f s", step.From, step.To, step.How, step.Shown, step.Moved)
			}
			// currentLevel drops what is loaded, so there may be a stall.
			if stalled := sum(step.Stalls); step.How == "nextLevel" && stalled > patience+100 {
				wrong.add("from %d to %d: stalls of %v ms in all of %d tries; on one level %v", step.From, step.To, step.Stalls, step.Tries, saw.Steady.Stalls)
			}
		}
		return wrong
	})
	c.plays(t, "slow connection", func(t *testing.T) faults {
		saw, wrong := switchLevels(t, "slow", source)
		for i, what := range []string{"fast", "slow", "fast again"} {
			if step := saw.Steps[i]; !step.Shown || step.Moved <= 0 || (step.Height == heights[3]) != (i != 1) {
				wrong.add("%s: %d lines, moved %.3f s", what, step.Height, step.Moved)
			}
		}
		return wrong
	})
	c.plays(t, "Chromium's own", func(t *testing.T) faults {
		saw, wrong := switchLevels(t, "native", source)
		if len(saw.Heights) == 0 || slices.ContainsFunc(saw.Heights, func(h int) bool { return !slices.Contains(heights, h) }) || saw.Steps[0].Moved < 4 {
			wrong.add("pictures of %v lines, moved %.3f s", saw.Heights, saw.Steps[0].Moved)
		}
		return wrong
	})
	c.plays(t, "watch page", func(t *testing.T) faults {
		saw, wrong := switchLevels(t, "watch", edge+"/edge/watch/"+c.id())
		if len(saw.Choices) == 0 || !slices.Equal(saw.Choices[1:], []string{"720p", "480p", "360p", "160p"}) || !strings.HasPrefix(saw.Auto, "Auto") || !saw.Fits {
			wrong.add("choices %q, first %q, fits a phone: %t", saw.Choices, saw.Auto, saw.Fits)
		}
		// Each, the keyboard, a new attempt, the player's own choice.
		if len(saw.Steps) != len(heights)+3 {
			wrong.add("%d steps", len(saw.Steps))
		}
		for i, step := range saw.Steps {
			if !step.Shown || step.Moved <= 0 {
				wrong.add("step %d, to %d: %d lines, moved %.3f s", i, step.To, step.Height, step.Moved)
			}
		}
		if steps := saw.Steps; len(steps) > 5 && (steps[4].To != 480 || steps[5].To != 480) {
			wrong.add("an arrow down from 720p chose %d, a new attempt %d", steps[4].To, steps[5].To)
		}
		return wrong
	})
}

// A channel of one rendition has no menu. Its sound alone is there for who asks
// for it.
func TestNothingToSwitch(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.newChannel()
	publish(t, c.rtmp(), picture{width: 320, height: 180, rate: 10, gop: 20, bitrate: "100k", audio: "aac -b:a 64k"}).waitSent(3 * time.Second)
	eventually(t, 20*time.Second, "there is sound alone", func() error {
		all, err := c.variants(t.Context(), "?allow_audio_only=true")
		switch {
		case err != nil:
			return err
		case len(all) != 2 || all[1]["CODECS"] != "mp4a.40.2" || all[1]["RESOLUTION"] != "" || all[1]["FRAME-RATE"] != "":
			return fmt.Errorf("offered %v", all)
		}
		list, err := fetchPlaylist(t.Context(), all[1]["URI"])
		if err == nil && len(list.Segments) == 0 {
			err = fmt.Errorf("it lists nothing:\n%s", list.Text)
		}
		return err
	})
	if all, err := c.variants(t.Context(), "?allow_audio_only=yes"); err != nil || len(all) != 1 {
		t.Errorf("offered without a wish: %v, %v", all, err)
	}
	if saw, wrong := switchLevels(t, "watch", "http://"+s.at.HTTP+"/watch/"+c.id()); len(saw.Choices) != 0 || len(wrong) > 0 {
		t.Errorf("choices %q; %q", saw.Choices, wrong)
	}
}

func sum(all []int) (n int) {
	for _, v := range all {
		n += v
	}
	return n
}
