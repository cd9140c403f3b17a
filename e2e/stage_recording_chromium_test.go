package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"
)

// Chromium publishes a clock and beeps, is killed, and another one comes back
// with its token 10 s later: one recording of two pieces, in each of which sound
// and pictures are together.
//
// With CHROMIUM_STAY it publishes for so long, and for two thirds of that when it
// is back.
func TestStageRecordingChromium(t *testing.T) {
	t.Parallel()
	stay, err := time.ParseDuration(os.Getenv("CHROMIUM_STAY"))
	if err != nil {
		stay = 10 * time.Second
	}
	const away = 10 * time.Second
	s := startServer(t)
	r := s.newRecordedRoom(settings{"recordingReconnectWindowSeconds": 15})
	ana := r.guest()

	first := startBrowserPublisher(t, ana, 360, "detail")
	ana.waitRecordingState(r.session(), types.ParticipantRecordingStateActive)
	first.stay(stay)
	first.kill()
	gone := time.Now()
	eventually(t, away+5*time.Second, "the browser is away for a while", func() error {
		if since := time.Since(gone); since < away {
			return fmt.Errorf("it is %v", since)
		}
		return nil
	})
	second := startBrowserPublisher(t, ana, 360, "detail")
	second.stay(stay * 2 / 3)
	second.quit()

	one := ana.waitTakes(1)[0]
	p := one.check(t)
	pieces := one.stretches(t, p)
	if len(pieces) != 2 {
		t.Fatalf("it is in %d pieces:\n%s", len(pieces), p.Text)
	}
	if was, now := pieces[0].fresh(), pieces[1].fresh(); now[0].number > was[len(was)-1].number {
		t.Errorf("the clock of who came back goes on from %d with %d", was[len(was)-1].number, now[0].number)
	}
	for i, stay := range []time.Duration{stay, stay * 2 / 3} {
		if heard, want := pieces[i].inClockStep(t), int(stay.Seconds())-2; heard < want {
			t.Errorf("%d beeps are heard amid pictures in piece %d, not %d", heard, i, want)
		}
	}
}

// Chromium sends pictures of other sizes: because the page does, and because the
// network or the machine are slow. Each size is a piece of a second at least, and
// sound and pictures are together in all of them.
func TestStageRecordingChromiumSizes(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	ana := s.newRecordedRoom(nil).guest()
	sizes := []int{540, 360, 720}
	b := startBrowserPublisher(t, ana, sizes[0], "motion")
	b.stay(5 * time.Second)
	for _, height := range sizes[1:] {
		b.do(fmt.Sprint("resize ", height), "published")
		b.stay(5 * time.Second)
	}
	b.quit()
	one := ana.waitTakes(1)[0]
	p := one.check(t)
	pieces := one.stretches(t, p)
	if len(pieces) < len(sizes) {
		t.Errorf("it is in %d pieces:\n%s", len(pieces), p.Text)
	}
	checkDates(t, pieces)
	heard := 0
	for i := range pieces {
		heard += pieces[i].inClockStep(t)
	}
	if heard < 8 {
		t.Errorf("%d beeps are heard amid pictures", heard)
	}
	for _, segment := range p.Segments[:len(p.Segments)-1] {
		if segment.Duration < time.Second {
			t.Errorf("%s lasts %v:\n%s", segment.URI, segment.Duration, p.Text)
		}
	}
}

// inClockStep fails where beeps are not heard when the clock shows their
// seconds, and returns how many there are. Where the browser had no time to render
// sound, the clock is wrong for a second.
func (s *stretch) inClockStep(t testing.TB) int {
	t.Helper()
	skews := s.clockSkews()
	t.Logf("%v; %d of %d beeps amid pictures, %.1f to %.1f ms behind their pictures, in the mean %.1f ms", &s.sight, len(skews), len(s.beeps), skews.at(0), skews.at(1), skews.mean())
	apart := 0
	for _, d := range skews {
		if math.Abs(d) > float64(skew.Milliseconds()) {
			apart++
		}
	}
	if apart > 1+len(skews)/10 {
		t.Errorf("sound and pictures are apart: by %v ms", skews)
	}
	return len(skews)
}

// clockSkews are by how much each beep is later than the picture of its second,
// in ms.
func (s *stretch) clockSkews() (all series) {
	const second, wrap = 100, 4000 // in hundredths
	for _, b := range s.beeps {
		i := slices.IndexFunc(s.pictures, func(p shown) bool { return p.at > b })
		if i <= 0 || s.pictures[i].number < 0 || s.pictures[i-1].number < 0 {
			continue
		}
		before, after := s.pictures[i-1], s.pictures[i]
		step := (after.number - before.number + wrap) % wrap
		if step == 0 || step > 10 {
			continue // nothing moves there
		}
		share := float64(b-before.at) / float64(after.at-before.at)
		clock := float64(before.number) + 0.5 + share*float64(step) // a code is the hundredth that has begun
		all.add(10 * math.Remainder(clock, second))
	}
	return all
}

// browserPublisher is a browser that publishes, and that can be killed.
type browserPublisher struct {
	t     testing.TB
	stdin io.WriteCloser
	lines *bufio.Scanner
}

func startBrowserPublisher(t testing.TB, g *guest, height int, hint string) *browserPublisher {
	t.Helper()
	_, port, _ := strings.Cut(g.room.server.at.HTTP, ":")
	b := &browserPublisher{t: t}
	b.stdin, b.lines = runScript(t, "publish.mjs", "http://localhost:"+port, g.token, strconv.Itoa(height), hint)
	b.waitSays("publishing")
	return b
}

func (b *browserPublisher) waitSays(state string) {
	b.t.Helper()
	var said struct {
		State    string
		Problems []string
	}
	if !b.lines.Scan() {
		b.t.Fatalf("the browser does not answer: %v", b.lines.Err())
	}
	if err := json.Unmarshal(b.lines.Bytes(), &said); err != nil || said.State != state || len(said.Problems) > 0 {
		b.t.Fatalf("the browser says %s, not %s: %v", b.lines.Bytes(), state, err)
	}
}

// stay lets it publish for a while.
func (b *browserPublisher) stay(d time.Duration) {
	b.t.Helper()
	until := time.Now().Add(d)
	eventually(b.t, d+5*time.Second, "it has published for a while", func() error {
		if left := time.Until(until); left > 0 {
			return fmt.Errorf("it lasts %v more", left)
		}
		return nil
	})
	b.do("look", "published")
}

func (b *browserPublisher) do(command, want string) {
	b.t.Helper()
	io.WriteString(b.stdin, command+"\n")
	b.waitSays(want)
}

// quit ends the browser as a user does.
func (b *browserPublisher) quit() { b.stdin.Close() }

// kill ends it as the kernel does.
func (b *browserPublisher) kill() { b.t.Helper(); b.do("kill", "killed") }
