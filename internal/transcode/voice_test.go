package transcode

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"anabranch/internal/media"
)

// voiceStart is where the timelines of tests begin, in samples.
const voiceStart media.Ticks = 10*voiceRate + 77

// sending is a sender's packets on their way into a voice.
type sending struct {
	seconds int
	// place is where a packet is on the timeline whose sender counts at samples.
	place func(at media.Ticks) media.Ticks
	// lost says whether it does not come; silent whether the beep in it does not.
	lost func(at media.Ticks) bool
	// quiet says that Silence tells what is missing.
	quiet bool
}

// send writes them as fast as they are taken in, and returns where the beeps that
// were not lost are.
func (s *sending) send(t *testing.T, h *heard) (want []media.Ticks) {
	t.Helper()
	packets, err := beeping()
	if err != nil || len(packets) != 500 {
		t.Fatalf("%d packets of Opus: %v", len(packets), err)
	}
	place := func(at media.Ticks) media.Ticks {
		if s.place != nil {
			at = s.place(at)
		}
		return voiceStart + at
	}
	lost := func(at media.Ticks) bool { return s.lost != nil && s.lost(at) }
	for i := range s.seconds * voiceRate / int(opusFrameTime) {
		at := media.Ticks(i) * opusFrameTime
		switch {
		case !lost(at):
			h.Write(packets[i%len(packets)], place(at))
		case s.quiet:
			h.Silence(place(at + opusFrameTime))
		}
		if at%voiceRate == 0 {
			h.until(place(at) - 5*voiceRate)
		}
	}
	for _, b := range beeps(media.Ticks(s.seconds) * voiceRate) {
		at := b / opusFrameTime * opusFrameTime
		if !lost(at) {
			want = append(want, place(at)+b-at)
		}
	}
	return want
}

// drift is a clock that runs so many millionths slow.
func drift(ppm float64) func(media.Ticks) media.Ticks {
	return func(at media.Ticks) media.Ticks { return at + media.Ticks(math.Round(float64(at)*ppm/1e6)) }
}

// within says whether a packet begins in a span of milliseconds.
func within(at media.Ticks, from, until media.Ticks) bool {
	return at >= from*voiceRate/1000 && at < until*voiceRate/1000
}

// Beeps come out where they went in, whatever the clock they came by and whatever
// was missing in between.
func TestVoiceKeepsTime(t *testing.T) {
	hour := 60
	if os.Getenv("ANABRANCH_LONG_TESTS") != "" {
		hour = 3600
	}
	for _, tt := range []struct {
		name string
		sending
	}{
		{"plain", sending{seconds: 20}},
		{"clock of 200 ppm slow", sending{seconds: hour, place: drift(200)}},
		{"clock of 200 ppm fast", sending{seconds: hour, place: drift(-200)}},
		{"jitter of a millisecond", sending{seconds: 20, place: func() func(media.Ticks) media.Ticks {
			r := rand.New(rand.NewPCG(1, 2))
			late := make(map[media.Ticks]media.Ticks)
			return func(at media.Ticks) media.Ticks {
				if _, ok := late[at]; !ok {
					late[at] = media.Ticks(r.IntN(voiceRate / 1000))
				}
				return at + late[at]
			}
		}()}},
		{"the clock is found to be 50 ms late", sending{seconds: 20, place: func(at media.Ticks) media.Ticks {
			if at >= 8*voiceRate+voiceRate/5 {
				at += voiceRate / 20
			}
			return at
		}}},
		{"the clock is found to be 50 ms early", sending{seconds: 24, place: func(at media.Ticks) media.Ticks {
			if at >= 8*voiceRate+voiceRate/5 {
				at -= voiceRate / 20
			}
			return at
		}}},
		{"DTX", sending{seconds: 20, lost: func(at media.Ticks) bool {
			return at%(2*voiceRate) > voiceRate/4 && at%(voiceRate*2/5) != 0
		}}},
		{"loss of 20 ms each second", sending{seconds: 20, lost: func(at media.Ticks) bool { return at%voiceRate == voiceRate/2 }}},
		{"loss of two seconds", sending{seconds: 20, lost: func(at media.Ticks) bool { return within(at, 5130, 7130) }}},
		{"muted", sending{seconds: 20, quiet: true, lost: func(at media.Ticks) bool { return within(at, 3000, 13000) }}},
		{"muted from the beginning", sending{seconds: 20, quiet: true, lost: func(at media.Ticks) bool { return at < 5*voiceRate }}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := listen(t, "ffmpeg", usualBounds)
			want := tt.send(t, h)
			got := h.onsets(0)
			var worst time.Duration
			for _, at := range want {
				if d := nearest(got, at); max(d, -d) > max(worst, -worst) {
					worst = d
				}
			}
			if len(got) != len(want) || max(worst, -worst) > 5*time.Millisecond {
				t.Errorf("%d beeps, the worst off by %v; want %d, off by 5ms", len(got), worst, len(want))
			}
			t.Logf("%d beeps, the worst off by %v", len(got), worst)
		})
	}
}

// What goes in comes out soon, without anything behind it: so does silence.
func TestVoiceDoesNotWait(t *testing.T) {
	packets, err := beeping()
	if err != nil {
		t.Fatal(err)
	}
	h := listen(t, "ffmpeg", usualBounds)
	end := voiceStart
	for _, p := range packets[:10] {
		h.Write(p, end)
		end += opusFrameTime
	}
	const delay = voiceRate / 10
	h.until(end - delay)
	for range 10 {
		end += voiceRate / 20
		h.Silence(end)
		h.until(end - delay)
	}
}

// A process that dies or hangs is replaced; what it was fed is a hole.
func TestVoiceReplaced(t *testing.T) {
	for _, tt := range []struct {
		name   string
		signal syscall.Signal
	}{
		{"killed", syscall.SIGKILL},
		{"frozen", syscall.SIGSTOP},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			packets, err := beeping()
			if err != nil {
				t.Fatal(err)
			}
			b := usualBounds
			b.voicePatience = 200 * time.Millisecond
			program := script(t, `ffmpeg "$@"`)
			h := listen(t, program.path, b)
			at := media.Ticks(0)
			write := func() {
				h.Write(packets[int(at/opusFrameTime)%len(packets)], voiceStart+at)
				at += opusFrameTime
			}
			for at < 5*voiceRate {
				write()
				h.until(voiceStart + at - voiceRate) // no further ahead than a healthy process may be behind
			}
			first := program.next(t)
			if err := syscall.Kill(first, tt.signal); err != nil {
				t.Fatal(err)
			}
			replaced := make(chan struct{})
			go func() {
				defer close(replaced)
				program.next(t)
			}()
			for waiting := true; waiting; { // as packets come, but a hundred times as fast
				write()
				select {
				case <-replaced:
					waiting = false
				case <-time.After(200 * time.Microsecond):
				}
			}
			back := at + voiceRate
			for end := back + 5*voiceRate; at < end; {
				write()
				if at > back {
					h.until(voiceStart + at - voiceRate)
				}
			}
			got := h.onsets(1)
			for _, beep := range beeps(at - voiceRate) {
				if d := nearest(got, voiceStart+beep); max(d, -d) > 5*time.Millisecond && (beep < 4*voiceRate || beep > back) {
					t.Errorf("the beep at %d is off by %v", beep, d)
				}
			}
			if err := syscall.Kill(first, 0); !errors.Is(err, syscall.ESRCH) {
				t.Errorf("process %d is still there: %v", first, err)
			}
		})
	}
}

// A timeline that leaps by hours is followed, not filled.
func TestVoiceLeaps(t *testing.T) {
	packets, err := beeping()
	if err != nil {
		t.Fatal(err)
	}
	const leap = 5 * 3600 * voiceRate
	h := listen(t, "ffmpeg", usualBounds)
	for i, p := range packets[:250] {
		h.Write(p, voiceStart+media.Ticks(i)*opusFrameTime)
	}
	h.until(voiceStart + 5*voiceRate - voiceRate/10)
	h.Silence(voiceStart + leap)
	for i, p := range packets[:250] {
		h.Write(p, voiceStart+leap+media.Ticks(i)*opusFrameTime)
	}
	h.Close()
	if n := len(h.frames) * media.SamplesPerFrame; n < 9*voiceRate || n > 11*voiceRate {
		t.Errorf("%d samples of ten seconds", n)
	}
	h.frames = slices.DeleteFunc(h.frames, func(f media.Frame) bool { return f.DTS < voiceStart+leap/2 })
	got := h.onsets(0)
	for _, at := range beeps(5 * voiceRate) {
		if d := nearest(got, voiceStart+leap+at); max(d, -d) > 5*time.Millisecond {
			t.Errorf("the beep at %d behind the leap is off by %v", at, d)
		}
	}
}

// What does not belong is left out, and harms nothing that does.
func TestVoiceHostile(t *testing.T) {
	packets, err := beeping()
	if err != nil {
		t.Fatal(err)
	}
	noise := func(toc byte, n int) []byte {
		r := rand.New(rand.NewPCG(uint64(toc), uint64(n)))
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		b[0] = toc
		return b
	}
	for _, tt := range []struct {
		name  string
		write func(h *heard, at media.Ticks) // between the packets, in the second before a beep
		off   time.Duration
	}{
		{"malformed", func(h *heard, at media.Ticks) { h.Write([]byte{0x7B, 0}, at); h.Write(nil, at) }, 5 * time.Millisecond},
		{"older", func(h *heard, at media.Ticks) { h.Write(noise(0x78, 60), at-voiceRate) }, 5 * time.Millisecond},
		{"the same place", func(h *heard, at media.Ticks) {
			for range 50 {
				h.Write(silentPackets[3], at-opusFrameTime)
			}
		}, maxSurplus.Duration(voiceRate)},
		{"silence that is over", func(h *heard, at media.Ticks) { h.Silence(at - voiceRate) }, 5 * time.Millisecond},
		{"empty frames", func(h *heard, at media.Ticks) { h.Write([]byte{0x78}, at); h.Write([]byte{0x7B, 0x06}, at) }, maxSurplus.Duration(voiceRate)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := listen(t, "ffmpeg", usualBounds)
			for i := range 1000 {
				at := media.Ticks(i) * opusFrameTime
				if h.Write(packets[i%500], voiceStart+at); within(at%(2*voiceRate), 900, 1100) {
					tt.write(h, voiceStart+at+opusFrameTime)
				}
				h.until(voiceStart + at - 5*voiceRate)
			}
			got, want := h.onsets(0), beeps(1000*opusFrameTime)
			for _, at := range want {
				if d := nearest(got, voiceStart+at); max(d, -d) > tt.off {
					t.Errorf("the beep at %d is off by %v", at, d)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%d beeps, want %d", len(got), len(want))
			}
		})
	}
	t.Run("noise", func(t *testing.T) { // every configuration, whatever follows
		t.Parallel()
		program := script(t, `ffmpeg "$@"`)
		h := listen(t, program.path, usualBounds)
		at := voiceStart
		for i := range 512 {
			p := noise(byte(i), 2+i*7%200)
			h.Write(p, at)
			at += max(media.OpusDuration(p), opusFrameTime)
			h.until(at - 5*voiceRate)
		}
		h.onsets(0)
		program.next(t)
		if err := program.fifo.SetReadDeadline(time.Now()); err != nil {
			t.Fatal(err)
		}
		if line, err := program.told.ReadString('\n'); err == nil {
			t.Errorf("another process was needed: %s", line)
		}
		if end := h.frames[len(h.frames)-1].DTS; end < at-voiceRate/2 {
			t.Errorf("sound ends at %d, what came at %d", end, at)
		}
	})
}

// Close has an end, whatever the process does, and nothing comes behind it.
func TestVoiceCloses(t *testing.T) {
	packets, err := beeping()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, program string
		pieces        int
	}{
		{"unused", "ffmpeg", 0},
		{"silence alone", "ffmpeg", 1},
		{"hangs", "sleep 3600", 100},
		{"cannot be run", "/nowhere", 100},
		{"reads, and says nothing", "cat >/dev/null", 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := usualBounds
			b.finish = 300 * time.Millisecond
			path := tt.program
			if tt.program != "ffmpeg" && tt.program != "/nowhere" {
				path = program(t, tt.program)
			}
			h := listen(t, path, b)
			if tt.pieces > 0 {
				h.Silence(voiceStart)
			}
			for i := range max(tt.pieces-1, 0) {
				h.Write(packets[i], voiceStart+media.Ticks(i)*opusFrameTime)
			}
			h.Close()
			h.Close()
			h.Write(packets[0], voiceStart)
			if len(h.frames) > 0 {
				t.Errorf("%d frames", len(h.frames))
			}
		})
	}
}
