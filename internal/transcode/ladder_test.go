package transcode

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"anabranch/internal/media"
)

// stream is what a publisher sends, placed on the timeline.
type stream struct {
	params media.Params
	rate   float64
	frames []media.Frame // in the order they come
}

// encode has ffmpeg make a stream of so many seconds, with extra options for it.
// A sample rate of 0 leaves the sound out.
func encode(t *testing.T, seconds int, rate string, sampleRate int, extra ...string) *stream {
	t.Helper()
	args := []string{"-v", "error", "-f", "lavfi", "-i", "testsrc=s=320x180:r=" + rate}
	if sampleRate > 0 {
		args = append(args, "-f", "lavfi", "-i", "sine=f=440:r="+strconv.Itoa(sampleRate), "-c:a", "aac", "-ac", "2")
	}
	args = append(args, "-t", strconv.Itoa(seconds), "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-sc_threshold", "0")
	out, err := exec.Command("ffmpeg", append(append(args, extra...), "-f", "flv", "pipe:1")...).Output()
	if err != nil {
		t.Fatalf("make the source: %v", err)
	}
	s := &stream{rate: 30}
	if n, d, ok := strings.Cut(rate, "/"); ok {
		n, _ := strconv.ParseFloat(n, 64)
		d, _ := strconv.ParseFloat(d, 64)
		s.rate = n / d
	} else {
		s.rate, _ = strconv.ParseFloat(rate, 64)
	}
	// Neither track begins at a whole millisecond.
	const video = 900_000 + 41
	var pictures, sounds []media.Frame
	for r := newFLVReader(bytes.NewReader(out)); ; {
		f, pts, err := r.next()
		if errors.Is(err, io.EOF) {
			s.params = r.params
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if f.Kind == media.Video {
			f.PTS = video + 90*media.Ticks(pts)
			pictures = append(pictures, f)
		} else {
			f.DTS = media.Ticks(len(sounds))*media.SamplesPerFrame + media.Ticks(10*sampleRate) + 7
			f.PTS = f.DTS
			sounds = append(sounds, f)
		}
	}
	// Pictures are decoded at the times at which they are shown, each in turn.
	shown := make([]media.Ticks, len(pictures))
	for i, f := range pictures {
		shown[i] = f.PTS
	}
	slices.Sort(shown)
	late := media.Ticks(0)
	for i, f := range pictures {
		late = max(late, shown[i]-f.PTS)
	}
	for i := range pictures {
		pictures[i].DTS = shown[i] - late
	}
	for _, f := range pictures {
		for len(sounds) > 0 && sounds[0].DTS.Rescale(sampleRate, media.VideoRate) < f.DTS {
			s.frames, sounds = append(s.frames, sounds[0]), sounds[1:]
		}
		s.frames = append(s.frames, f)
	}
	s.frames = append(s.frames, sounds...)
	return s
}

// times are those of the frames of a kind, in the order they are shown.
func times(frames []media.Frame, kind media.Kind, keysOnly bool) (times []media.Ticks) {
	for _, f := range frames {
		if f.Kind == kind && (f.Key || !keysOnly) {
			times = append(times, f.PTS)
		}
	}
	slices.Sort(times)
	return times
}

// groups cuts the frames before each key frame.
func (s *stream) groups() (groups [][]media.Frame) {
	from := 0
	for i, f := range s.frames {
		if f.Kind == media.Video && f.Key && i > from && len(times(s.frames[from:i], media.Video, false)) > 0 {
			groups = append(groups, s.frames[from:i])
			from = i
		}
	}
	return append(groups, s.frames[from:])
}

// collected is what came of a ladder.
type collected struct {
	t *testing.T

	mu     sync.Mutex
	more   *sync.Cond
	video  map[int][]media.Frame
	audio  map[int][]media.Frame
	params map[int]media.Params
}

func (c *collected) output(rung int, track media.Params, f media.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.more.Broadcast()
	p := c.params[rung]
	if f.Kind == media.Video {
		if f.DTS != f.PTS {
			c.t.Errorf("rung %d: DTS %d is not PTS %d", rung, f.DTS, f.PTS)
		}
		if p.Video != nil && p.Video != track.Video {
			c.t.Errorf("rung %d: its parameters are others now", rung)
		}
		p.Video = track.Video
		c.video[rung] = append(c.video[rung], f)
	} else {
		p.Audio = track.Audio
		c.audio[rung] = append(c.audio[rung], f)
	}
	c.params[rung] = p
}

// hopeless is when a test gives up: no speed is expected.
const hopeless = time.Minute

// wait waits until a rung has so many pictures.
func (c *collected) wait(rung, pictures int) {
	c.t.Helper()
	begun := time.Now()
	defer time.AfterFunc(hopeless, c.more.Broadcast).Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.video[rung]) < pictures {
		if c.more.Wait(); time.Since(begun) > hopeless {
			c.t.Fatalf("rung %d has %d pictures, not %d", rung, len(c.video[rung]), pictures)
		}
	}
}

// patient are bounds for a machine that is as slow as it likes.
var patient = bounds{
	queueBytes: 1 << 30, queueSpan: time.Hour, slack: time.Hour, patience: time.Hour, startPatience: time.Hour,
	finish: time.Hour, healthy: time.Hour,
}

// begin starts a ladder that puts up with what b says.
func begin(t *testing.T, s *stream, rungs []Rung, ffmpeg string, b bounds) (*Ladder, *collected) {
	t.Helper()
	c := &collected{t: t, video: make(map[int][]media.Frame), audio: make(map[int][]media.Frame), params: make(map[int]media.Params)}
	c.more = sync.NewCond(&c.mu)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	tr := New(Config{FFmpeg: ffmpeg, Encoder: "libx264:ultrafast", Capacity: 1, Log: log})
	tr.bounds = b
	l := tr.Start(s.params, rungs, log, c.output)
	t.Cleanup(l.Kill)
	return l, c
}

// small are rungs that cost little: one of all pictures, two of half of them if
// there are many, one of sound alone.
func small(rate float64, interval time.Duration) []Rung {
	full := Rung{Name: "134p", Width: 240, Height: 134, FrameRate: rate, VideoBitrate: 400_000, AudioBitrate: 64_000, KeyInterval: interval}
	half := Rung{Name: "90p", Width: 160, Height: 90, FrameRate: rate, VideoBitrate: 200_000, AudioBitrate: 48_000, KeyInterval: interval}
	if rate > maxSlowRate {
		half.Halve, half.FrameRate = true, rate/2
	}
	least := half
	least.Name, least.Width, least.Height, least.AudioBitrate = "72p", 128, 72, 0
	return []Rung{full, half, least, {Name: AudioOnly, AudioBitrate: 64_000}}
}

// Every rung has the source's pictures, all or every other, with their very
// times, and its key frames and no others; with open GOPs it has some more, for a
// decoder takes the pictures at which it can recover for key frames.
func TestLadder(t *testing.T) {
	for _, tt := range []struct {
		name       string
		rate       string
		sampleRate int
		extra      []string
	}{
		{"30 fps", "30", 48_000, []string{"-g", "30"}},
		{"60 fps, a key frame every 31", "60", 48_000, []string{"-g", "31"}},
		{"60 fps with B-frames", "60", 44_100, []string{"-g", "31", "-bf", "3", "-b_strategy", "0"}},
		{"29.97 fps with B-frames, 44.1 kHz", "30000/1001", 44_100, []string{"-g", "45", "-bf", "2"}},
		{"50 fps, mono", "50", 48_000, []string{"-g", "33", "-ac", "1"}},
		{"59.94 fps, no sound", "60000/1001", 0, []string{"-g", "61"}},
		{"5 fps with B-frames", "5", 22_050, []string{"-g", "10", "-bf", "3", "-b_strategy", "0"}},
		{"open GOPs", "30", 0, []string{"-g", "15", "-bf", "2", "-x264-params", "open-gop=1", "-force_key_frames", "1.5", "-forced-idr", "1"}},
		{"intra refresh", "30", 0, []string{"-g", "15", "-x264-params", "intra-refresh=1", "-force_key_frames", "1.5", "-forced-idr", "1"}},
		{"high profile, other chroma", "30", 0, []string{"-g", "30", "-pix_fmt", "yuv422p"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := encode(t, 3, tt.rate, tt.sampleRate, tt.extra...)
			rungs := small(s.rate, 0)
			l, c := begin(t, s, rungs, "ffmpeg", patient)
			for _, f := range s.frames {
				l.Write(f)
			}
			l.Finish()
			<-l.Done()
			if l.err != nil {
				t.Error(l.err)
			}
			keys := times(s.frames, media.Video, true)
			if len(keys) < 2 {
				t.Fatalf("the source has %d key frames", len(keys))
			}
			for i, r := range rungs[:3] {
				if got := times(c.video[i], media.Video, true); !slices.Equal(got, keys) && !(strings.HasPrefix(tt.name, "open") && containsAll(got, keys)) {
					t.Errorf("%s has key frames at\n%v, the source at\n%v", r.Name, got, keys)
				}
				got, want := times(c.video[i], media.Video, false), times(s.frames, media.Video, false)
				if r.Halve {
					want = everyOther(want, keys)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s has %d pictures at\n%v, want %d at\n%v", r.Name, len(got), got, len(want), want)
				}
				if v := c.params[i].Video; v == nil || v.Width != r.Width || v.Height != r.Height {
					t.Errorf("%s is described as %+v", r.Name, v)
				}
			}
			if tt.sampleRate == 0 {
				if len(c.audio) > 0 {
					t.Error("there is sound")
				}
				return
			}
			for i, r := range rungs {
				if r.AudioBitrate == 0 {
					if len(c.audio[i]) > 0 {
						t.Errorf("%s has sound of its own", r.Name)
					}
					continue
				}
				if got, want := times(c.audio[i], media.Audio, false), times(s.frames, media.Audio, false); !slices.Equal(got, want) {
					t.Errorf("%s has sound at\n%v, want it at\n%v", r.Name, got, want)
				}
				if a := c.params[i].Audio; a.SampleRate != s.params.Audio.SampleRate || a.Channels != s.params.Audio.Channels {
					t.Errorf("%s has sound of %+v", r.Name, a)
				}
			}
			if n := len(c.video[3]); n > 0 {
				t.Errorf("sound alone has %d pictures", n)
			}
		})
	}
}

func containsAll(all, some []media.Ticks) bool {
	return !slices.ContainsFunc(some, func(at media.Ticks) bool { return !slices.Contains(all, at) })
}

// everyOther is each second time from each key frame on.
func everyOther(all, keys []media.Ticks) (half []media.Ticks) {
	n := 0
	for _, at := range all {
		if slices.Contains(keys, at) {
			n = 0
		}
		if n%2 == 0 {
			half = append(half, at)
		}
		n++
	}
	return half
}

// ADVANCED channels have key frames where the source has them, and at most two
// seconds apart.
func TestKeyInterval(t *testing.T) {
	s := encode(t, 7, "60000/1001", 0, "-g", "200")
	rungs := small(s.rate, keyInterval)
	l, c := begin(t, s, rungs, "ffmpeg", patient)
	for _, f := range s.frames {
		l.Write(f)
	}
	l.Finish()
	<-l.Done()
	for i, r := range rungs[:3] {
		keys := times(c.video[i], media.Video, true)
		for n, at := range keys[1:] {
			if gap := (at - keys[n]).Duration(media.VideoRate); gap > keyInterval {
				t.Errorf("%s: key frames %v apart", r.Name, gap)
			}
		}
		for _, at := range times(s.frames, media.Video, true) {
			if !slices.Contains(keys, at) {
				t.Errorf("%s has no key frame at %d, where the source has one", r.Name, at)
			}
		}
		if len(keys) < 5 {
			t.Errorf("%s has %d key frames in 7 s", r.Name, len(keys))
		}
	}
}

// What a ladder delivers can be decoded: its parameter sets stand before each
// key frame, and fit.
func TestDecodes(t *testing.T) {
	s := encode(t, 2, "30", 48_000, "-g", "30")
	rungs := small(s.rate, 0)[:1]
	l, c := begin(t, s, rungs, "ffmpeg", patient)
	for _, f := range s.frames {
		l.Write(f)
	}
	l.Finish()
	<-l.Done()
	for i, f := range c.video[0] {
		if has := bytes.Contains(f.Payload, c.params[0].Video.SPS); has != f.Key {
			t.Errorf("picture %d (key frame: %v) has parameter sets: %v", i, f.Key, has)
		}
	}
	var bare []byte
	for i := range c.video[0] {
		for rest := c.video[0][i].Payload; len(rest) > 0; {
			var nal []byte
			nal, rest, _ = nextNAL(rest)
			bare = append(append(bare, 0, 0, 0, 1), nal...)
		}
	}
	decode := exec.Command("ffmpeg", "-v", "warning", "-f", "h264", "-i", "pipe:0", "-f", "framemd5", "pipe:1")
	decode.Stdin = bytes.NewReader(bare)
	var said bytes.Buffer
	decode.Stderr = &said
	sums, err := decode.Output()
	if err != nil || said.Len() > 0 {
		t.Errorf("%v: %s", err, said.String())
	}
	if n := bytes.Count(sums, []byte("\n0,")); n != len(times(s.frames, media.Video, false)) {
		t.Errorf("%d pictures can be decoded of %d", n, len(c.video[0]))
	}
}

// Pictures that cannot be decoded cost those pictures.
func TestBrokenPictures(t *testing.T) {
	s := encode(t, 4, "30", 48_000, "-g", "30")
	groups := s.groups()
	for i := range groups[1] {
		f := &groups[1][i]
		f.Payload = slices.Clone(f.Payload)
		for n := 4; n < len(f.Payload); n++ {
			if f.Kind == media.Audio || n > 8 || !f.Key {
				f.Payload[n] ^= byte(n*37 + i)
			}
		}
	}
	l, c := begin(t, s, small(s.rate, 0), "ffmpeg", patient)
	for _, f := range s.frames {
		l.Write(f)
	}
	l.Finish()
	<-l.Done()
	want := times(slices.Concat(groups[2], groups[3]), media.Video, false)
	got := times(c.video[0], media.Video, false)
	if i := slices.Index(got, want[0]); i < 0 || !slices.Equal(got[i:], want) {
		t.Errorf("after the broken pictures come\n%v, want\n%v", got, want)
	}
}

// scripted is a script that tells its process ids before it becomes something else.
type scripted struct {
	path string
	told *bufio.Reader
	fifo *os.File
}

func script(t *testing.T, becomes string) *scripted {
	t.Helper()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "pids")
	p := &scripted{path: filepath.Join(dir, "ffmpeg")}
	err := syscall.Mkfifo(fifo, 0o600)
	if err == nil {
		p.fifo, err = os.OpenFile(fifo, os.O_RDWR, 0)
	}
	if err == nil {
		err = os.WriteFile(p.path, fmt.Appendf(nil, "#!/bin/sh\necho $$ >%s\nexec %s\n", fifo, becomes), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.fifo.Close() })
	p.told = bufio.NewReader(p.fifo)
	return p
}

// next waits for the next process, and returns its id.
func (p *scripted) next(t *testing.T) int {
	t.Helper()
	if err := p.fifo.SetReadDeadline(time.Now().Add(hopeless)); err != nil {
		t.Fatal(err)
	}
	line, err := p.told.ReadString('\n')
	if err != nil {
		t.Fatalf("there is no other process: %v", err)
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(line))
	return pid
}

// impatient are bounds that notice a process that does nothing. Those who have
// them write no more than maxHeld pictures ahead.
var impatient = func() bounds {
	b := patient
	b.slack, b.patience, b.startPatience = 100*time.Millisecond, 300*time.Millisecond, time.Hour
	return b
}()

// gently writes frames, of which the first rung has had delivered pictures so
// far, no further ahead than a healthy process may be behind.
func gently(l *Ladder, c *collected, delivered int, frames []media.Frame) {
	for _, f := range frames {
		l.Write(f)
		if f.Kind == media.Video {
			delivered++
			c.wait(0, delivered-maxHeld/2)
		}
	}
}

// A process that is killed, or that hangs, is replaced, and the next begins with
// the next key frame.
func TestReplaced(t *testing.T) {
	for _, tt := range []struct {
		name   string
		signal syscall.Signal
	}{
		{"killed", syscall.SIGKILL},
		{"frozen", syscall.SIGSTOP},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := encode(t, 4, "60", 48_000, "-g", "60")
			groups := s.groups()
			program := script(t, `ffmpeg "$@"`)
			l, c := begin(t, s, small(s.rate, 0), program.path, impatient)
			first := program.next(t)
			gently(l, c, 0, groups[0])
			c.wait(0, 55) // of 60
			if err := syscall.Kill(first, tt.signal); err != nil {
				t.Fatal(err)
			}
			for _, f := range groups[1] {
				l.Write(f)
			}
			second := program.next(t)
			c.mu.Lock()
			before := len(c.video[0])
			c.mu.Unlock()
			gently(l, c, before, groups[2])
			gently(l, c, before+60, groups[3])
			l.Finish()
			<-l.Done()
			for i, r := range small(s.rate, 0)[:3] {
				want := times(slices.Concat(groups[2], groups[3]), media.Video, false)
				if r.Halve {
					want = everyOther(want, times(s.frames, media.Video, true))
				}
				got := times(c.video[i], media.Video, false)
				if n := slices.Index(got, want[0]); n < 0 || !slices.Equal(got[n:], want) {
					t.Errorf("%s has after it\n%v, want\n%v", r.Name, got, want)
				}
				if !slices.IsSortedFunc(c.video[i], func(a, b media.Frame) int { return int(a.PTS - b.PTS) }) {
					t.Errorf("%s goes back", r.Name)
				}
			}
			for _, pid := range []int{first, second} {
				if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
					t.Errorf("process %d is still there: %v", pid, err)
				}
			}
		})
	}
}

// Kill leaves nothing, whatever the process does.
func TestKill(t *testing.T) {
	s := encode(t, 2, "30", 48_000, "-g", "30")
	for _, tt := range []struct {
		name   string
		frozen bool
		frames int
	}{
		{"at once", false, 0},
		{"while it works", false, len(s.frames)},
		{"while it is frozen", true, len(s.frames)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			program := script(t, `ffmpeg "$@"`)
			l, c := begin(t, s, small(s.rate, 0), program.path, patient)
			pid := program.next(t)
			for _, f := range s.frames[:tt.frames] {
				l.Write(f)
			}
			if tt.frozen {
				c.wait(0, 1)
				if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
			}
			l.Kill()
			if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
				t.Errorf("process %d is still there: %v", pid, err)
			}
			for begun := time.Now(); ; runtime.Gosched() { // the last may be on its way out
				stacks := make([]byte, 1<<20)
				stacks = stacks[:runtime.Stack(stacks, true)]
				if !bytes.Contains(stacks, []byte("transcode.(*Ladder)")) && !bytes.Contains(stacks, []byte("transcode.(*process)")) {
					break
				}
				if time.Since(begun) > hopeless {
					t.Fatalf("a goroutine is left:\n%s", stacks)
				}
			}
			l.Write(s.frames[0])
			l.Finish()
			l.Kill()
		})
	}
}

// A process that takes nothing in costs the publisher no time, and is replaced.
func TestOverrun(t *testing.T) {
	s := encode(t, 2, "30", 0, "-g", "30")
	program := script(t, "sleep 3600")
	b := patient
	b.queueBytes = 100_000
	l, _ := begin(t, s, small(s.rate, 0), program.path, b)
	key := s.frames[0]
	key.Payload = slices.Concat(key.Payload, make([]byte, 1<<16)) // fills a pipe
	var publisher sync.WaitGroup
	stop := make(chan struct{})
	publisher.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				key.DTS, key.PTS = key.DTS+1000, key.PTS+1000
				l.Write(key)
				runtime.Gosched()
			}
		}
	})
	first := program.next(t)
	second := program.next(t)
	close(stop)
	publisher.Wait()
	l.Kill()
	for _, pid := range []int{first, second} {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is still there: %v", pid, err)
		}
	}
}

// A stream without pictures ends.
func TestFinishEmpty(t *testing.T) {
	s := encode(t, 1, "30", 48_000)
	l, _ := begin(t, s, small(s.rate, 0), "ffmpeg", patient)
	l.Finish()
	<-l.Done()
}

// What comes out is handed on once, in order, and never without a source.
func TestDeliver(t *testing.T) {
	in, frames, err := sample()
	if err != nil {
		t.Fatal(err)
	}
	var got []media.Ticks
	l := &Ladder{in: in, recipe: newRecipe(encoder{}, in, small(30, 0)[:1]), out: func(_ int, _ media.Params, f media.Frame) { got = append(got, f.PTS) }}
	l.outputs = make([]delivered, len(l.recipe.outputs))
	p := &process{stamps: newStamps(in.Audio.SampleRate, 1)}
	for i := range media.Ticks(3) {
		p.stamps.stamp(&media.Frame{Kind: media.Video, DTS: 900 + i*3000, PTS: 900 + i*3000})
	}
	for _, ms := range []int64{0, clockStart, clockStart, clockStart + 66, clockStart + 33, clockStart + 34} {
		if err := l.deliver(p, 0, media.Params{Video: in.Video}, frames[0], ms); err != nil {
			t.Fatal(err)
		}
	}
	if want := []media.Ticks{900, 6900}; !slices.Equal(got, want) {
		t.Errorf("delivered %v, want %v", got, want)
	}
	if err := l.deliver(p, 0, media.Params{Audio: in.Audio}, frames[1], clockStart); err == nil {
		t.Error("sound is taken where pictures come out")
	}
	slow := *in.Audio
	slow.SampleRate /= 2
	if err := l.deliver(p, 1, media.Params{Audio: &slow}, frames[1], clockStart); err == nil {
		t.Error("sound of another clock is taken")
	}
}

func TestPause(t *testing.T) {
	for young, want := range map[int]time.Duration{
		0: 0, 1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 6: 30 * time.Second, 100: 30 * time.Second, math.MaxInt: 30 * time.Second,
	} {
		if got := pauseAfter(young); got != want {
			t.Errorf("after %d that died young: %v, want %v", young, got, want)
		}
	}
}
