package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch/e2e/hls"
)

// input is one way to encode and to send a stream.
type input struct {
	name      string
	arguments []string                           // of ffmpeg, before the output
	tags      func(t *testing.T, s *stock) []tag // sent by ourselves, instead
	pace      func([]tag) []timed                // how these are sent; in time when nil

	wrap   time.Duration // at which its stamps begin anew
	loose  bool          // pictures may move against each other
	joins  int           // discontinuities inside
	stalls time.Duration // how long nothing may come
}

// inputTime is how long each is watched.
const inputTime = 13 * time.Second

// Whatever encoders send comes out as a stream by the book, with every picture
// in it and its sound beside it.
func TestEveryInput(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	stock := &stock{dir: t.TempDir()}
	const together = 7 // at a time
	all := slices.DeleteFunc(inputs(t), func(in input) bool { return !strings.Contains(in.name, os.Getenv("INPUT")) })
	for some := range slices.Chunk(all, together) {
		var wg sync.WaitGroup
		watched := make([]*watchedInput, len(some))
		for i, in := range some {
			watched[i] = startInput(t, s, stock, in)
			wg.Go(watched[i].wait)
		}
		wg.Wait()
		for _, w := range watched {
			t.Run(w.name, w.check)
		}
	}
}

// inputs covers frame rates, GOPs, B-frames and audio in pairs, and then what
// clocks and encoders do.
func inputs(t *testing.T) []input {
	all := []input{
		{name: "15 fps, intra refresh", arguments: append(live("15", 30, 0, "44100", 2), "-x264-params", "repeat-headers=1:intra-refresh=1")},
		{name: "24 fps", arguments: live("24", 24, 2, "48000", 1)},
		{name: "25 fps, GOP 5 s, pyramid", arguments: append(live("25", 125, 3, "44100", 1), "-x264-params", "b-pyramid=normal")},
		{name: "29.97 fps, GOP 4 s, no audio", arguments: live("30000/1001", 120, 1, "", 0)},
		{name: "30 fps, GOP 0.5 s", arguments: live("30", 15, 3, "48000", 2)},
		{name: "50 fps, slices, no audio", arguments: append(live("50", 100, 0, "", 0), "-tune", "zerolatency", "-x264-params", "slices=4:aud=1")},
		{name: "59.94 fps, pyramid", arguments: append(live("60000/1001", 120, 3, "44100", 2), "-x264-params", "b-pyramid=normal")},
		{name: "60 fps, GOP 250", arguments: live("60", 250, 2, "48000", 2)},
		{name: "30 fps, one key frame", arguments: live("30", 9999, 0, "44100", 2)},
		{name: "25 fps, GOP 10 s", arguments: live("25", 250, 1, "48000", 2)},
		{name: "5 fps", arguments: live("5", 10, 0, "48000", 1)},
		{name: "2 fps, no audio", arguments: live("2", 4, 0, "", 0)},
		{name: "varying rate", arguments: append(live("30", 60, 2, "48000", 2), "-vf", `select=mod(n\,7)*mod(n\,5)`, "-fps_mode", "vfr")},
		{name: "varying rate, holes", arguments: append(live("60", 40, 0, "44100", 1), "-vf", `select=lt(mod(n\,97)\,50)`, "-fps_mode", "vfr")},
		{name: "GOPs of changing length", arguments: append(live("30", 250, 2, "48000", 2), "-sc_threshold", "40", "-keyint_min", "10",
			"-x264-params", "open-gop=0", "-vf", "select=gt(mod(n\\,45)\\,0),negate=enable=lt(mod(t\\,3)\\,1)", "-fps_mode", "vfr")},
		{name: "audio late", arguments: late(0, 700*time.Millisecond)},
		{name: "video late", arguments: late(700*time.Millisecond, 0)},
		{name: "stamps from 20 h on", arguments: append(live("30", 60, 2, "48000", 2), "-output_ts_offset", "72000")},
		{name: "31-bit stamps wrap", arguments: append(live("30", 60, 0, "48000", 2), "-output_ts_offset", "2147477.2"),
			wrap: (1 << 31) * time.Millisecond},
		{name: "parameter sets change in the stream", arguments: []string{"-re", "-f", "concat", "-safe", "0", "-i", "CONCAT", "-c", "copy", "-tag:v", "7", "-tag:a", "10"},
			joins: 1, loose: true},

		{name: "32-bit stamps wrap", wrap: (1 << 32) * time.Millisecond, tags: func(t *testing.T, s *stock) []tag {
			return shift(s.encode(t, plain, 14*time.Second), 0, (1<<32)*time.Millisecond-6*time.Second)
		}},
		{name: "jump forward", joins: 1, tags: func(t *testing.T, s *stock) []tag {
			return shift(s.encode(t, plain, 14*time.Second), 6*time.Second, 10*time.Second)
		}, pace: steadily},
		{name: "jump back", joins: 1, tags: func(t *testing.T, s *stock) []tag {
			return shift(shift(s.encode(t, plain, 14*time.Second), 0, 60*time.Second), 66*time.Second, -10*time.Second)
		}, pace: steadily},
		{name: "small steps back", loose: true, tags: func(t *testing.T, s *stock) []tag {
			return shift(shift(s.encode(t, plain, 14*time.Second), 0, 60*time.Second), 66*time.Second, -500*time.Millisecond)
		}, pace: steadily},
		{name: "stall", stalls: 2500 * time.Millisecond, tags: func(t *testing.T, s *stock) []tag {
			return s.encode(t, plain, 14*time.Second)
		}, pace: func(tags []tag) []timed {
			all := inTime(tags)
			for i := range all { // what was held back comes at once
				if at := all[i].at; at > 5*time.Second && at < 7500*time.Millisecond {
					all[i].at = 7500 * time.Millisecond
				}
			}
			return all
		}},
		{name: "bursts", tags: func(t *testing.T, s *stock) []tag { return s.encode(t, plain, 14*time.Second) }, pace: func(tags []tag) []timed {
			all := inTime(tags)
			for i := range all {
				all[i].at = (all[i].at + 999*time.Millisecond).Truncate(time.Second)
			}
			return all
		}},
		{name: "new parameter sets", joins: 1, tags: func(t *testing.T, s *stock) []tag {
			return join(s.encode(t, plain, 7*time.Second), s.encode(t, larger, 7*time.Second))
		}},
		{name: "audio comes later", joins: 1, tags: func(t *testing.T, s *stock) []tag {
			var all, config []tag
			for _, g := range s.encode(t, plain, 14*time.Second) {
				switch {
				case g.video:
					all = append(all, g)
				case g.config:
					config = append(config, g)
				case g.dts >= 6*time.Second:
					all, config = append(append(all, config...), g), nil
				}
			}
			return all
		}},
		{name: "audio is announced, and comes later", tags: func(t *testing.T, s *stock) []tag {
			return slices.DeleteFunc(s.encode(t, plain, 14*time.Second), func(g tag) bool { return !g.video && !g.config && g.dts < 6*time.Second })
		}},
		{name: "audio ends", tags: func(t *testing.T, s *stock) []tag {
			return slices.DeleteFunc(s.encode(t, plain, 14*time.Second), func(g tag) bool { return !g.video && g.dts > 6*time.Second })
		}},
		{name: "audio has holes", tags: func(t *testing.T, s *stock) []tag {
			return slices.DeleteFunc(s.encode(t, plain, 14*time.Second), func(g tag) bool {
				return !g.video && !g.config && g.dts%(3*time.Second) > 2500*time.Millisecond
			})
		}},
	}
	// Files that encoders of others made, from what the module cache has.
	for _, file := range []string{"mp4/testdata/bbb_prog_10s.mp4", "mp4/testdata/prog_8s.mp4", "examples/multitrack/testdata/main_1.mp4"} {
		all = append(all, input{
			name:      filepath.Base(file),
			arguments: []string{"-re", "-stream_loop", "-1", "-i", filepath.Join(moduleDir(t, "github.com/Eyevinn/mp4ff"), file), "-c", "copy", "-tag:v", "7", "-tag:a", "10", "-dn", "-sn"},
			loose:     true,
		})
	}
	return all
}

// live are the arguments of an encoder of small pictures. rate is audio's, ""
// for none.
func live(fps string, gop, bFrames int, rate string, channels int) []string {
	args := []string{"-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=" + fps}
	if rate != "" {
		args = append(args, "-re", "-f", "lavfi", "-i", noise(rate))
	}
	return append(args, coder(gop, bFrames, rate, channels)...)
}

// noise is sound of which no two frames are the same.
func noise(rate string) string { return "anoisesrc=color=pink:amplitude=0.3:sample_rate=" + rate }

func coder(gop, bFrames int, rate string, channels int) []string {
	args := []string{"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-threads", "1", "-b:v", "200k",
		"-g", fmt.Sprint(gop), "-keyint_min", fmt.Sprint(gop), "-sc_threshold", "0", "-bf", fmt.Sprint(bFrames)}
	if rate != "" {
		args = append(args, "-c:a", "aac", "-b:a", "64k", "-ar", rate, "-ac", fmt.Sprint(channels))
	}
	return args
}

// late delays one of the tracks.
func late(video, audio time.Duration) []string {
	return append([]string{"-re", "-itsoffset", fmt.Sprint(video.Seconds()), "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30",
		"-re", "-itsoffset", fmt.Sprint(audio.Seconds()), "-f", "lavfi", "-i", noise("48000")}, coder(60, 0, "48000", 2)...)
}

// shift adds by to all stamps from after on; what comes then is another piece.
func shift(tags []tag, after, by time.Duration) []tag {
	tags = slices.Clone(tags)
	var shifted bool
	for i := range tags {
		if shifted = shifted || tags[i].dts >= after; shifted {
			tags[i].dts += by
			tags[i].piece++
		}
	}
	return tags
}

// join puts one stream behind another.
func join(a, b []tag) []tag {
	return append(slices.Clone(a), shift(b, 0, a[len(a)-1].dts+33*time.Millisecond)...)
}

// steadily sends tags in the time of the pictures between them, whatever their
// stamps.
func steadily(tags []tag) (all []timed) {
	var at, last time.Duration
	for i, g := range tags {
		if step := g.dts - last; i > 0 && step > 0 && step < time.Second {
			at += step
		}
		last = g.dts
		all = append(all, timed{g, at})
	}
	return all
}

// stock are encoded files, each made once.
type stock struct {
	dir string
	mu  sync.Mutex
}

// What can be in stock.
var (
	plain  = []string{"-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30", "-f", "lavfi", "-i", noise("48000")}
	larger = []string{"-f", "lavfi", "-i", "testsrc2=size=480x270:rate=30", "-f", "lavfi", "-i", noise("48000") + ":seed=7"}
)

// encode makes a stream of a length.
func (s *stock) encode(t *testing.T, from []string, length time.Duration) []tag {
	t.Helper()
	return readFLV(t, s.file(t, from, length, "flv"))
}

func (s *stock) file(t *testing.T, from []string, length time.Duration, kind string) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	path := filepath.Join(s.dir, strings.NewReplacer("/", "-", ":", "-").Replace(fmt.Sprint(from, length))+"."+kind)
	if _, err := os.Stat(path); err != nil {
		args := append(append([]string{"-hide_banner", "-nostdin", "-v", "error", "-y"}, from...), coder(60, 2, "48000", 2)...)
		if out, err := exec.CommandContext(t.Context(), "ffmpeg", append(args, "-t", fmt.Sprint(length.Seconds()), path)...).CombinedOutput(); err != nil {
			t.Fatalf("encode: %v\n%s", err, out)
		}
	}
	return path
}

// moduleDir is where the module cache has a module.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(dir))
}

// watchedInput is an input being published and watched.
type watchedInput struct {
	input
	channel *channel
	viewer  *hls.Checker
	copy    string // of what ffmpeg sends
	sent    []tag  // by ourselves
	failed  error

	mu   sync.Mutex
	seen []hls.Sample
}

func startInput(t *testing.T, s *server, stock *stock, in input) *watchedInput {
	t.Helper()
	w := &watchedInput{input: in, channel: s.newChannel()}
	w.viewer = hls.New(hls.Config{URL: *w.channel.PlaybackUrl, Latency: 6*time.Second + in.stalls, Sample: func(sample hls.Sample) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen = append(w.seen, sample)
	}})
	if in.tags != nil {
		w.sent = in.tags(t, stock)
		return w
	}
	w.copy = filepath.Join(t.TempDir(), "copy.flv")
	if i := slices.Index(in.arguments, "CONCAT"); i >= 0 {
		w.arguments = slices.Clone(in.arguments)
		w.arguments[i] = stock.list(t)
	}
	return w
}

// wait publishes for inputTime, and watches.
func (w *watchedInput) wait() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { w.viewer.Run(ctx) })
	publishing, stop := context.WithTimeout(context.Background(), inputTime)
	defer stop()
	if w.tags != nil {
		pace := w.pace
		if pace == nil {
			pace = inTime
			if w.wrap > 0 || w.joins > 0 {
				pace = steadily
			}
		}
		w.failed = send(publishing, w.channel.rtmp(), pace(w.sent))
		if errors.Is(w.failed, context.DeadlineExceeded) {
			w.failed = nil
		}
	} else {
		w.failed = w.publish(publishing)
	}
	timer := time.NewTimer(time.Second) // what has been sent, arrives
	<-timer.C
	cancel()
	running.Wait()
}

// publish runs ffmpeg, which keeps a copy of what it sends.
func (w *watchedInput) publish(ctx context.Context) error {
	args := append([]string{"-hide_banner", "-nostdin", "-nostats", "-loglevel", "error"}, w.arguments...)
	const flags = "f=flv:flvflags=no_duration_filesize"
	args = append(args, "-map", "0:v:0")
	if strings.Count(strings.Join(args, " "), "-i ") > 1 {
		args = append(args, "-map", "1:a")
	} else {
		args = append(args, "-map", "0:a?")
	}
	args = append(args, "-flags", "+global_header", "-f", "tee", fmt.Sprintf("[%s]%s|[%s]%s", flags, w.channel.rtmp(), flags, w.copy))
	cmd := exec.CommandContext(ctx, "ffmpeg", args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return nil // it was cut off, as planned
	}
	return fmt.Errorf("ffmpeg ended: %w\n%s", err, out)
}

func (w *watchedInput) check(t *testing.T) {
	if w.failed != nil {
		t.Fatal(w.failed)
	}
	for _, complaint := range w.viewer.Complaints() {
		t.Errorf("%v", complaint)
	}
	if got := w.viewer.Seen(); got < 6*time.Second {
		t.Errorf("the viewer saw %v", got)
	}
	if got := w.viewer.Joins(); got != w.joins {
		t.Errorf("the viewer saw %d discontinuities, not %d:\n%s", got, w.joins, w.viewer.Newest().Text)
	}
	if w.tags == nil {
		w.sent = readFLV(t, w.copy)
	}
	wrong, summary := compareClocks(sources(w.sent, w.wrap), w.seen, !w.loose && w.joins == 0)
	for _, complaint := range wrong {
		t.Error(complaint)
	}
	t.Log(summary)
}

// list is a list of two files, of different pictures, for ffmpeg's concat.
func (s *stock) list(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, from := range [][]string{plain, larger} {
		fmt.Fprintf(&b, "file '%s'\n", s.file(t, from, 7*time.Second, "mp4"))
	}
	path := filepath.Join(s.dir, "list")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
