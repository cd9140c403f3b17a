package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"anabranch/e2e/hls"
)

// played is what recording.mjs tells. Times are in seconds.
type played struct {
	Shown []struct {
		At   float64
		Code *int // as in a shot, nil when the picture does not tell
	}
	Seeks []struct {
		To   float64
		Time float64
		Code *int
	}
	Stalls []struct {
		At float64
		MS float64
	}
	Jumps      int // seeks by the player itself
	Errors     []string
	Problems   []string
	Ended      bool
	Time       float64
	Duration   float64
	AudioBytes int
}

// watchChromium plays a recording in Chromium: with hls.js, or with the
// browser's own player.
func watchChromium(t *testing.T, player, url string, p *hls.Playlist, shown shotList) {
	t.Helper()
	const rate = 4 // times as fast as life
	var seeks []string
	for _, join := range joins(p) {
		seeks = append(seeks, fmt.Sprintf("%.3f,%.3f", join+0.5, join-0.5))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "recording.mjs", browser(t), fmt.Sprint(rate), strings.Join(seeks, ","), player, url)
	cmd.Dir = "browser"
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("play %s: %v\n%s", url, err, complaints.Bytes())
	}
	var saw played
	if err := json.Unmarshal(out, &saw); err != nil {
		t.Fatalf("recording.mjs printed %q: %v", out, err)
	}
	if !saw.Ended || saw.AudioBytes == 0 || len(saw.Problems) > 0 || near(inSeconds(saw.Time), inSeconds(saw.Duration), 100*time.Millisecond) != nil {
		t.Errorf("played %.3f s of %.3f s, ended is %v, %d bytes of sound, %v", saw.Time, saw.Duration, saw.Ended, saw.AudioBytes, saw.Problems)
	}
	if err := near(inSeconds(saw.Duration), p.Duration(), 250*time.Millisecond); err != nil {
		t.Errorf("the duration: %v", err)
	}
	if saw.Jumps > 0 || len(saw.Errors) > 0 {
		t.Errorf("the player leapt %d times: %v", saw.Jumps, saw.Errors)
	}
	for _, s := range saw.Stalls {
		t.Logf("stalled at %.3f s for %.0f ms", s.At, s.MS)
	}
	last := shot{}
	for _, s := range saw.Shown {
		if s.Code == nil {
			t.Errorf("the picture at %.3f s does not tell which it is", s.At)
			continue
		}
		now := shot{*s.Code / shotNumbers, *s.Code % shotNumbers}
		if shown.index(now) < shown.index(last) || now.piece > last.piece+1 {
			t.Errorf("%v is shown after %v", now, last)
		}
		last = now
	}
	if want := shown[len(shown)-1].shot; last.piece != want.piece || last.number < want.number-shotRate {
		t.Errorf("the last picture shown is %v, not %v", last, want)
	}
	for _, s := range saw.Seeks {
		if s.Code == nil {
			t.Errorf("sought %.3f s: the picture does not tell which it is", s.To)
		} else if err := shown.near(s.To, shot{*s.Code / shotNumbers, *s.Code % shotNumbers}, 4); err != nil {
			t.Errorf("sought %.3f s: %v", s.To, err)
		}
	}
	if len(saw.Seeks) != 2*len(seeks) {
		t.Errorf("%d of %d seeks", len(saw.Seeks), 2*len(seeks))
	}
}

func inSeconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
