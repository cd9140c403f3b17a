package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/e2e/hls"
)

// shrink makes of a picture its blocks alone.
const shrink = "crop=320:40:0:0,scale=12:2:flags=neighbor,format=gray"

// watchFFmpeg decodes all of a recording and returns what it shows. Nothing may
// be complained of, sound must have no hole, and both must be as long as the
// playlist.
func watchFFmpeg(t *testing.T, url string, p *hls.Playlist) (shown shotList) {
	t.Helper()
	blocks := filepath.Join(t.TempDir(), "blocks")
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-v", "warning", "-xerror", "-copyts", "-i", url,
		"-filter_complex", "[0:v]"+shrink+",settb=1/90000,split[blocks][times]",
		"-map", "[blocks]", "-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "rawvideo", blocks,
		"-map", "[times]", "-map", "0:a", "-fps_mode", "passthrough", "-enc_time_base", "-1", "-c:v", "rawvideo", "-f", "framecrc", "pipe:1")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	complaints := slices.DeleteFunc(strings.Split(strings.TrimSpace(stderr.String()), "\n"), func(line string) bool {
		// It does not look into an init section that is not the first, since
		// the pictures bring what it tells along.
		return line == "" || strings.Contains(line, "Found duplicated MOOV Atom. Skipped it") || strings.Contains(line, "Last message repeated")
	})
	if err != nil || len(complaints) > 0 {
		t.Errorf("ffmpeg decodes %s: %v\n%s", url, err, stderr.String())
	}
	data, err := os.ReadFile(blocks)
	if err != nil {
		t.Fatal(err)
	}
	var video, audio []time.Duration
	var rates [2]int64 // ticks a second
	for line := range strings.Lines(stdout.String()) {
		fields := strings.FieldsFunc(line, func(r rune) bool { return r == ',' || r == ' ' })
		var track int
		var rate int64
		if n, _ := fmt.Sscanf(line, "#tb %d: 1/%d", &track, &rate); n == 2 {
			rates[track] = rate
		}
		if len(fields) < 5 || strings.HasPrefix(line, "#") {
			continue
		}
		ticks, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			t.Fatalf("ffmpeg printed %q", line)
		}
		if fields[0] == "0" {
			video = append(video, time.Duration(ticks)*time.Second/time.Duration(rates[0]))
		} else {
			audio = append(audio, time.Duration(ticks)*time.Second/time.Duration(rates[1]))
		}
	}
	if len(video) == 0 || len(audio) == 0 || len(data) != 2*shotColumns*len(video) {
		t.Fatalf("%d pictures, %d audio frames, blocks of %d bytes", len(video), len(audio), len(data))
	}
	for i, at := range video {
		s, ok := shotOf(data[i*2*shotColumns:])
		if !ok {
			t.Errorf("picture %d does not tell which it is", i)
		}
		shown = append(shown, showing{(at - video[0]).Seconds(), s})
	}
	const frame = 1024 * time.Second / 48_000
	for i := 1; i < len(audio); i++ {
		// A frame at a join may begin before the last one's end.
		if step := audio[i] - audio[i-1]; step <= 0 || step > frame+time.Millisecond {
			t.Errorf("an audio frame at %v, the next at %v", audio[i-1], audio[i])
		}
	}
	if begin := (audio[0] - video[0]).Abs(); begin > 40*time.Millisecond {
		t.Errorf("sound and picture begin %v apart", begin)
	}
	ends := []time.Duration{video[len(video)-1] + time.Second/shotRate - video[0], audio[len(audio)-1] + frame - video[0]}
	for i, track := range []string{"picture", "sound"} {
		if (ends[i] - p.Duration()).Abs() > 50*time.Millisecond {
			t.Errorf("%s ends at %v, the playlist at %v", track, ends[i], p.Duration())
		}
	}
	if apart := (ends[0] - ends[1]).Abs(); apart > 40*time.Millisecond {
		t.Errorf("sound and picture end %v apart", apart)
	}
	return shown
}

// checkPieces checks that every piece is there, from its first picture to what
// its publisher sent last, with each picture where it belongs.
func (r *jointed) checkPieces(t *testing.T, p *hls.Playlist, shown shotList) {
	t.Helper()
	const (
		lost = shotRate // pictures at the end of a piece; how many a kill may lose is not judged here
		held = 4        // of these, B-frames that were not sent any more
		late = 2        // pictures, for which the first is shown longer with B-frames
	)
	starts := append([]float64{0}, joins(p)...)
	if len(starts) != len(r.sent) {
		t.Fatalf("the playlist has %d pieces, %d were sent", len(starts), len(r.sent))
	}
	for piece, start := range starts {
		var numbers []int
		for i, s := range shown {
			if s.piece != piece {
				continue
			}
			if numbers = append(numbers, s.number); i > 0 && (s.at <= shown[i-1].at || s.at > shown[i-1].at+5.0/shotRate) {
				t.Errorf("picture %v at %.3f s comes after %v at %.3f s", s.shot, s.at, shown[i-1].shot, shown[i-1].at)
			}
			if want := start + float64(s.number)/shotRate; s.at < want-1.5/shotRate || s.at > want+(late+1.5)/shotRate {
				t.Errorf("picture %v at %.3f s, not at %.3f s", s.shot, s.at, want)
			}
		}
		sent := r.sent[piece].frames
		if n := len(numbers); n == 0 || !slices.IsSorted(numbers) || numbers[0] > 1 || numbers[n-1] < sent-1-lost || n < numbers[n-1]+1-2*held {
			t.Errorf("piece %d shows %d pictures, %v; sent were %d", piece, n, numbers, sent)
		}
	}
}

// checkDuration checks that the packets can be read, and what ffprobe tells of
// their duration.
func checkDuration(t *testing.T, url string, p *hls.Playlist) {
	t.Helper()
	var stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-show_entries", "format=duration:packet=pts_time", "-of", "default=nw=1:nk=1", url)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("ffprobe %s: %v\n%s", url, err, stderr.Bytes())
	}
	lines := strings.Fields(string(out))
	told, err := strconv.ParseFloat(lines[len(lines)-1], 64)
	if err != nil || math.Abs(told-p.Duration().Seconds()) > 0.05 {
		t.Errorf("ffprobe tells a duration of %v s, the playlist %v", lines[len(lines)-1], p.Duration())
	}
}

// seekFFmpeg decodes the first picture from a time on. ffmpeg goes to a segment
// of the playlist, or to the next key frame: it need not be the very picture.
func seekFFmpeg(t *testing.T, url string, shown shotList, at float64) {
	t.Helper()
	var stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-ss", fmt.Sprintf("%.3f", at), "-i", url,
		"-map", "0:v", "-vf", shrink, "-frames:v", "1", "-f", "rawvideo", "pipe:1")
	cmd.Stderr = &stderr
	blocks, err := cmd.Output()
	if err != nil || len(blocks) != 2*shotColumns {
		t.Errorf("ffmpeg seeks to %.3f s: %v\n%s", at, err, stderr.Bytes())
		return
	}
	if s, ok := shotOf(blocks); !ok {
		t.Errorf("ffmpeg seeks to %.3f s: the picture does not tell which it is", at)
	} else if i, want := shown.index(s), shown.when(at); i < want-11*shotRate || i > want+3*shotRate {
		t.Errorf("ffmpeg seeks to %.3f s and shows %v, not %v", at, s, shown[want].shot)
	}
}
