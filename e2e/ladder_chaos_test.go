package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivs/types"

	"anabranch/e2e/hls"
)

// The server's ffmpeg is killed and frozen at any instant. The source and its
// recording do not notice. What the other renditions miss meanwhile is told, they
// come back at key frames, and they are cut and numbered as the source all the
// while.
func TestLadderChaos(t *testing.T) {
	t.Parallel()
	strikes, err := strconv.Atoi(os.Getenv("KILLS"))
	if err != nil {
		strikes = 4
	}
	seed, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64N(1e6)
	}
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	film := reel{width: 854, height: 480, rate: 15, gop: 15, bFrames: 1, sampleRate: 48000, length: time.Duration(strikes+1) * time.Minute}.shoot(t)
	s := startTranscoder(t, 1)
	c := s.newRecordedChannel(time.Minute, of(types.ChannelTypeStandardChannelType, ""))
	viewer := c.watch(func(cfg *hls.Config) { cfg.Latency = time.Minute })
	p := c.play(film, 1)
	c.waitRungs(3)
	for n := range strikes {
		signal := []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP}[(n+int(seed))%2]
		pauses := []int{2500, 700}[:1+random.IntN(2)] // the second hits a process that starts
		var struck uint64
		for _, most := range pauses {
			sleepUntil(t, time.Now().Add(time.Duration(random.IntN(most))*time.Millisecond))
			pids := s.ffmpegs(t)
			struck = viewer.newest().Open.Number
			if err := syscall.Kill(pids[random.IntN(len(pids))], signal); err != nil && !errors.Is(err, syscall.ESRCH) {
				t.Fatal(err)
			}
		}
		c.waitBack(struck)
		t.Logf("strike %d: %d × %v, at last in segment %d, back at segment %d", n, len(pauses), signal, struck, viewer.newest().Open.Number)
	}
	p.quit()
	if p.hasEnded() && strings.Contains(p.output(), "rror") {
		t.Errorf("the publisher says %s", p.output())
	}
	live, recorded := c.checkedEnd()
	holes := 0
	for _, v := range live[1:] {
		holes += len(v.holes)
	}
	if holes == 0 {
		t.Error("nobody was told of a gap")
	}
	if len(live[0].holes) > 0 || len(recorded[0].holes) > 0 {
		t.Errorf("the source has gaps: live %v, recorded %v", live[0].holes, recorded[0].holes)
	}
	if n, sent := len(recorded[0].pictures), p.progress().frames; n < sent-film.rate {
		t.Errorf("of %d pictures sent, %d are recorded", sent, n)
	}
	wrong := append(live[0].compareReel(film), recorded[0].compareReel(film)...)
	alsoMissing(recorded, live)
	for i := range live {
		t.Logf("%q live: %s, holes %v; recorded: %s", live[i].name, &live[i].sight, live[i].holes, &recorded[i].sight)
		live[i].torn, recorded[i].torn = i > 0, i > 0
		wrong = append(wrong, live[i].compare(live[0], false, false)...)
		wrong = append(wrong, recorded[i].compare(recorded[0], false, false)...)
	}
	for _, w := range wrong {
		t.Error(w)
	}
}

// checkedEnd is what was seen of a channel's renditions, live and recorded, when
// its stream and its one recording have ended and both are whole.
func (c *channel) checkedEnd() (live, recorded []*view) {
	t := c.server.t
	t.Helper()
	c.waitOffline()
	c.waitAllSeen()
	live = c.watched()
	c.endRecording()
	r := c.waitRecordings(1)[0]
	r.check(t)
	c.server.wholeRecording(c.server.shelf()[0].ID)
	checkLiveCuts(t, c)
	return live, r.recorded(t)
}

// A server that dies with a ladder goes on with it: all renditions' numbers, and
// the recording.
func TestLadderServerKilled(t *testing.T) {
	t.Parallel()
	film := reel{width: 854, height: 480, rate: 15, gop: 15, sampleRate: 48000, length: 90 * time.Second}.shoot(t)
	s := startTranscoder(t, 1)
	c := s.newRecordedChannel(time.Minute, of(types.ChannelTypeStandardChannelType, ""))
	viewer := c.watch(func(cfg *hls.Config) { cfg.Latency = time.Hour })
	first := c.play(film, 1)
	c.waitRungs(3)
	first.waitSent(7 * time.Second)
	orphans := s.ffmpegs(t)
	killServerOnAir(s, first)
	eventually(t, 10*time.Second, "the ladder's ffmpeg ends with its server", func() error {
		for _, pid := range orphans {
			if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(stat), ") Z ") {
				return fmt.Errorf("process %d is there", pid)
			}
		}
		return nil
	})
	killed := viewer.newest().Open.Number
	second := c.play(film, 1)
	c.waitRungs(3)
	second.waitSent(6 * time.Second)
	second.quit()
	live, recorded := c.checkedEnd()
	if last := viewer.newest().Open.Number; last <= killed {
		t.Errorf("the last segment is %d, when the server was killed it was %d", last-1, killed)
	}
	var wrong []string
	for i, v := range live {
		t.Logf("%q live: %s, holes %v; recorded: %s", v.name, &v.sight, v.holes, &recorded[i].sight)
		wrong = append(wrong, v.compare(live[0], false, false)...)
		if len(v.joins) != 1 || len(recorded[i].joins) != 1 {
			wrong = append(wrong, fmt.Sprintf("%q: %d joins live, %d recorded", v.name, len(v.joins), len(recorded[i].joins)))
		}
		// The kill may have come between a rendition and the next.
		if miss := len(recorded[0].pictures) - len(recorded[i].pictures); len(v.holes) == 0 && miss != 0 {
			wrong = append(wrong, fmt.Sprintf("%q: %d pictures of the source's are not recorded", v.name, miss))
		}
	}
	wrong = append(wrong, live[0].compareReel(film)...)
	wrong = append(wrong, recorded[0].compareReel(film)...)
	for _, w := range wrong {
		t.Error(w)
	}
}

// waitRungs waits until n renditions can be played.
func (c *channel) waitRungs(n int) {
	c.server.t.Helper()
	eventually(c.server.t, time.Minute, fmt.Sprintf("%d renditions can be played", n), func() error {
		all, err := c.variants(c.server.t.Context(), "")
		if err == nil && len(all) != n {
			err = fmt.Errorf("there are %d", len(all))
		}
		return err
	})
}

// waitBack waits until the viewer has seen a whole segment behind number in each
// rendition.
func (c *channel) waitBack(number uint64) {
	c.server.t.Helper()
	eventually(c.server.t, 90*time.Second, "all renditions are back", func() error {
		for _, r := range c.viewer.Renditions() {
			if !slices.ContainsFunc(r.Newest().Segments, func(s hls.Segment) bool { return s.Number > number && !s.Gap }) {
				return fmt.Errorf("%s is not", r.Name())
			}
		}
		return nil
	})
}

// ffmpegs are the processes of ffmpeg that the server has started, of which there
// must be one at least.
func (s *server) ffmpegs(t testing.TB) (pids []int) {
	t.Helper()
	eventually(t, time.Minute, "the server has an ffmpeg", func() error {
		pids = nil
		all, err := filepath.Glob("/proc/[0-9]*/stat")
		if err != nil {
			return err
		}
		for _, path := range all {
			text, err := os.ReadFile(path)
			if err != nil {
				continue // it has ended
			}
			before, after, _ := strings.Cut(string(text), ") ")
			_, name, _ := strings.Cut(before, " (")
			fields := strings.Fields(after) // state, parent, …
			if len(fields) < 2 || fields[1] != strconv.Itoa(s.pid()) || name != "ffmpeg" || fields[0] == "Z" {
				continue
			}
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
				pids = append(pids, pid)
			}
		}
		if len(pids) == 0 {
			return errors.New("it has none")
		}
		return nil
	})
	return pids
}

// sleepUntil waits for a time of day.
func sleepUntil(t testing.TB, at time.Time) {
	t.Helper()
	select {
	case <-time.After(time.Until(at)):
	case <-t.Context().Done():
	}
}
