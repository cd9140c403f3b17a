package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

// A server that is killed at any instant, again and again, loses half a second
// of each stream at most. All that it recorded is complete, and told once.
//
// Every picture of the film that is published is known by the hash of what
// decodes from it, so what is missing is counted, not estimated.
func TestKill(t *testing.T) {
	kills, err := strconv.Atoi(os.Getenv("KILLS"))
	if err != nil {
		kills = 4
	}
	first, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	if err != nil {
		first = rand.Uint64N(1e6)
	}
	for i, tt := range []struct {
		name    string
		format  types.ContainerFormat
		bFrames int
	}{
		{"TS", types.ContainerFormatTs, 2},
		{"fMP4", types.ContainerFormatFragmentedMP4, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			seed := first + uint64(i)
			t.Logf("seed %d", seed)
			film := shootFilm(t, time.Duration(kills)*12*time.Second, tt.bFrames)
			s := startServer(t)
			c := s.newRecordedChannel(killWindow, func(in *ivs.CreateChannelInput) { in.ContainerFormat = tt.format })
			k := killer{t: t, server: s, channel: c, film: film, random: rand.New(rand.NewPCG(seed, 0))}
			for n := range kills {
				k.strike(n)
				k.checkBucket()
			}
			k.last()
			k.check(kills)
		})
	}
}

// killWindow is the reconnect window: short, so that some broadcasters come back
// too late.
const killWindow = 3 * time.Second

// killer kills a server.
type killer struct {
	t       *testing.T
	server  *server
	channel *channel
	film    *film
	random  *rand.Rand

	next   int // frame of the film that is published next
	stays  []stay
	strays int // kills that hit no stream
}

// stay is what a publisher sent: frames of the film from first on, at least so
// many of them before it or the server was killed.
type stay struct{ first, sent int }

// strike kills the server once, at some instant of a recording's life.
func (k *killer) strike(n int) {
	switch what := k.random.IntN(10); {
	case what < 6: // on air
		p := k.publish()
		k.wait(p, time.Duration(200+k.random.IntN(4500))*time.Millisecond)
		k.kill(n, "on air", p)
	case what < 8: // in the gap, at the end of the window, or amid the ending
		p := k.publish()
		k.wait(p, time.Duration(500+k.random.IntN(3000))*time.Millisecond)
		k.stays[len(k.stays)-1].sent = p.progress().frames
		p.kill()
		k.pause(time.Duration(k.random.IntN(1000)) * time.Millisecond)
		if k.random.IntN(2) == 0 {
			k.pause(killWindow - 700*time.Millisecond)
		}
		k.strays++
		k.kill(n, "in the gap", nil)
	default: // as it starts, and recovers
		k.server.stop()
		k.server.launch()
		k.pause(time.Duration(k.random.IntN(300)) * time.Millisecond)
		k.strays++
		k.kill(n, "as it starts", nil)
	}
	k.server.start()
	if k.random.IntN(4) == 0 { // the broadcaster comes back too late
		k.pause(killWindow)
	}
}

// last is a stream that nobody kills.
func (k *killer) last() {
	p := k.publish()
	k.wait(p, 3*time.Second)
	k.stays[len(k.stays)-1].sent = p.progress().frames
	p.quit()
}

// publish publishes the film from where it was not published yet.
func (k *killer) publish() *publisher {
	k.t.Helper()
	k.stays = append(k.stays, stay{first: k.next})
	return publishArguments(k.t, k.channel.rtmp(), []string{"-stats_period", "0.02", "-re",
		"-ss", strconv.FormatFloat(float64(k.next)/filmRate, 'f', 3, 64), "-i", k.film.path, "-c", "copy"})
}

// wait waits until so much has been sent.
func (k *killer) wait(p *publisher, d time.Duration) {
	k.t.Helper()
	p.waitSent(min(d, 300*time.Millisecond)) // it publishes
	k.pause(d - p.progress().duration)
}

func (k *killer) pause(d time.Duration) {
	k.t.Helper()
	until := time.Now().Add(d)
	eventually(k.t, d+5*time.Second, "the pause is over", func() error {
		if left := time.Until(until); left > 0 {
			return fmt.Errorf("it lasts %v more", left)
		}
		return nil
	})
}

// kill kills the server, and p, which must not have ended before, by that.
func (k *killer) kill(n int, when string, p *publisher) {
	k.t.Helper()
	if p != nil {
		if p.hasEnded() {
			k.t.Fatalf("the publisher ended: %v\n%s", p.err, p.output())
		}
		k.stays[len(k.stays)-1].sent = p.progress().frames
	}
	k.server.kill()
	if p != nil {
		p.waitEnd(10 * time.Second)
		k.next += p.progress().frames
	} else if len(k.stays) > 0 {
		k.next = max(k.next, k.stays[len(k.stays)-1].first+k.stays[len(k.stays)-1].sent+filmRate)
	}
	k.next = (k.next/filmRate + 2) * filmRate // a key frame that was not sent
	k.t.Logf("kill %d %s, frame %d of the film comes next", n, when, k.next)
}

// checkBucket checks that what the killed server left can be played: all that
// playlists name is there.
func (k *killer) checkBucket() {
	k.t.Helper()
	for _, r := range k.channel.recordings() {
		lists, err := filepath.Glob(filepath.Join(r.dir, "media", "hls", "*", "*.m3u8"))
		if err != nil {
			k.t.Fatal(err)
		}
		for _, path := range lists {
			name, _ := filepath.Rel(r.dir, path)
			for _, s := range r.mediaPlaylist(k.t, filepath.ToSlash(name)).Segments {
				for _, uri := range []string{s.URI, s.Init} {
					if info, err := os.Stat(filepath.Join(filepath.Dir(path), uri)); err != nil || info.Size() == 0 {
						k.t.Errorf("%s names %s, which is not there: %v", path, uri, err)
					}
				}
			}
		}
		for _, status := range []string{"recording-started.json", "recording-ended.json"} {
			if text, err := os.ReadFile(filepath.Join(r.dir, "events", status)); err == nil && !json.Valid(text) {
				k.t.Errorf("%s is torn: %q", status, text)
			}
		}
	}
}

// check checks all recordings, once the last has ended.
func (k *killer) check(kills int) {
	k.t.Helper()
	eventually(k.t, 60*time.Second, "all recordings have ended", func() error {
		left, err := os.ReadDir(filepath.Join(k.server.dir, "spool"))
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("the spool has %v", left)
		}
		return err
	})
	all := k.channel.recordings()
	seen := make([]int, len(k.film.frames))
	fragments := 0
	for _, r := range all {
		p := r.check(k.t)
		fragments += p.Count("EXT-X-DISCONTINUITY") + 1
		last := -1
		for _, hash := range frames(k.t, r.master()) {
			n, known := k.film.frames[hash]
			switch {
			case !known:
				k.t.Errorf("%s shows what was never sent, after frame %d", r.prefix, last)
			case n <= last:
				k.t.Errorf("%s shows frame %d after frame %d", r.prefix, n, last)
			default:
				seen[n]++
			}
			last = max(last, n)
		}
	}
	worst, total := k.checkStays(seen)
	k.server.stop()
	events := k.channel.stored()
	for _, name := range []string{"Recording Start", "Recording End"} {
		told := make(map[any]int)
		for _, e := range named(events, name) {
			told[e.detail["recording_s3_key_prefix"]]++
		}
		for _, r := range all {
			if told[r.prefix] != 1 {
				k.t.Errorf("%s: %d × %s", r.prefix, told[r.prefix], name)
			}
		}
		if len(told) != len(all) {
			k.t.Errorf("%s is told of %d recordings, there are %d", name, len(told), len(all))
		}
	}
	for _, name := range []string{"Recording Start Failure", "Recording End Failure"} {
		if n := len(named(events, name)); n > 0 {
			k.t.Errorf("%d × %s", n, name)
		}
	}
	hit := max(1, kills-k.strays)
	k.t.Logf("%d kills, %d of them on air; %d recordings of %d streams in %d fragments; lost at most %v, on average %v a kill on air",
		kills, kills-k.strays, len(all), len(k.stays), fragments, worst, total/time.Duration(hit))
}

// checkStays checks that each stream is there from its first frame to one that
// was sent at most half a second before it was torn off. Where there are
// B-frames it may be torn off between a picture and those shown before it.
func (k *killer) checkStays(seen []int) (worst, total time.Duration) {
	k.t.Helper()
	const frame = time.Second / filmRate
	for n, s := range k.stays {
		behind := len(seen)
		if n+1 < len(k.stays) {
			behind = k.stays[n+1].first
		}
		last := behind - 1
		for last >= s.first && seen[last] == 0 {
			last--
		}
		recorded := 0
		for i := s.first; i <= last; i++ {
			if recorded += seen[i]; seen[i] > 1 || seen[i] == 0 && i < last-k.film.bFrames {
				k.t.Errorf("stream %d, of the frames from %d to %d: frame %d is recorded %d times", n, s.first, last, i, seen[i])
			}
		}
		lost := time.Duration(max(0, s.sent-recorded)) * frame
		if lost > 500*time.Millisecond {
			k.t.Errorf("stream %d: of %d frames sent from %d on, %d are recorded: %v are lost", n, s.sent, s.first, recorded, lost)
		}
		worst, total = max(worst, lost), total+lost
	}
	return worst, total
}

// film is something to publish whose frames can be told apart.
type film struct {
	path    string
	bFrames int
	frames  map[string]int // by the hash of what each shows, in order
}

const filmRate = 30

func shootFilm(t *testing.T, d time.Duration, bFrames int) *film {
	t.Helper()
	p := picture{width: 320, height: 180, rate: filmRate, gop: filmRate, bFrames: bFrames, bitrate: "300k", audio: "aac -b:a 64k"}
	var args []string
	for _, a := range p.arguments() {
		if a != "-re" {
			args = append(args, a)
		}
	}
	f := &film{path: filepath.Join(t.TempDir(), "film.mp4"), bFrames: bFrames, frames: make(map[string]int)}
	args = append([]string{"-hide_banner", "-nostdin", "-v", "error"}, args...)
	args = append(args, "-t", strconv.FormatFloat((d+time.Minute).Seconds(), 'f', 0, 64), f.path)
	if out, err := exec.CommandContext(t.Context(), "ffmpeg", args...).CombinedOutput(); err != nil {
		t.Fatalf("shoot the film: %v\n%s", err, out)
	}
	for n, hash := range frames(t, f.path) {
		if before, ok := f.frames[hash]; ok {
			t.Fatalf("frames %d and %d of the film look the same", before, n)
		}
		f.frames[hash] = n
	}
	return f
}

// frames are the hashes of what media shows, in order. There must be nothing to
// complain of.
func frames(t *testing.T, path string) (hashes []string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-hide_banner", "-nostdin", "-v", "warning", "-xerror", "-i", path,
		"-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "-")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("ffmpeg decodes %s: %v\n%s", path, err, stderr.Bytes())
	}
	for line := range strings.Lines(stdout.String()) {
		if fields := strings.Split(line, ","); len(fields) == 6 && line[0] != '#' {
			hashes = append(hashes, strings.TrimSpace(fields[5]))
		}
	}
	return hashes
}
