package packager

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/media"
)

// What encoders send. A stream takes one of each.
var (
	inputRates = []struct {
		name string
		next func(i int, rnd *rand.Rand) time.Duration // how long picture i lasts
	}{
		{"1 fps", fps(1)}, {"2.5 fps", fps(2.5)}, {"5 fps", fps(5)}, {"10 fps", fps(10)}, {"15 fps", fps(15)},
		{"17.7 fps", fps(17.7)}, {"23.976 fps", fps(24000. / 1001)}, {"24 fps", fps(24)}, {"25 fps", fps(25)},
		{"29.97 fps", fps(30000. / 1001)}, {"30 fps", fps(30)}, {"50 fps", fps(50)}, {"59.94 fps", fps(60000. / 1001)},
		{"60 fps", fps(60)}, {"120 fps", fps(120)}, {"240 fps", fps(240)},
		{"slides", func(_ int, rnd *rand.Rand) time.Duration {
			return 200*time.Millisecond + upTo(300*time.Millisecond, rnd)
		}},
		{"varying", func(_ int, rnd *rand.Rand) time.Duration { return 9*time.Millisecond + upTo(90*time.Millisecond, rnd) }},
		{"30 fps with long pictures", func(i int, rnd *rand.Rand) time.Duration {
			if i%120 == 75 {
				return upTo(4*time.Second, rnd)
			}
			return time.Second / 30
		}},
	}
	inputGOPs = []float64{0, .5, 1, 2, 4, 4.16, 5, 8.33, 10, math.Inf(1)} // seconds; 0 is key frames only
	// inputOrders are groups of pictures in decoding order, each picture by its
	// place in that of presentation, and how many pictures late that is.
	inputOrders = []struct {
		name  string
		group []int
		delay int
	}{
		{"in order", []int{0}, 0}, {"1 B-frame", []int{1, 0}, 1}, {"2 B-frames", []int{2, 0, 1}, 1},
		{"3 B-frames", []int{3, 0, 1, 2}, 1}, {"pyramid", []int{3, 1, 0, 2}, 2},
	}
	inputSounds = []struct {
		name    string
		params  *media.AudioParams
		comes   func(at time.Duration) time.Duration // when sound of a time is sent
		waitsUp time.Duration                        // how long pictures may wait for it
	}{
		{"no sound", nil, nil, 0},
		{"48 kHz", testStereo, onTime, 0},
		{"44.1 kHz", testMono, onTime, 0},
		{"late", testStereo, func(at time.Duration) time.Duration { return at + 400*time.Millisecond }, 450 * time.Millisecond},
		{"in bursts", testMono, func(at time.Duration) time.Duration { return at.Truncate(200*time.Millisecond) + 200*time.Millisecond }, 250 * time.Millisecond},
		{"missing for a while", testStereo, func(at time.Duration) time.Duration {
			if at > 8*time.Second && at < 13*time.Second {
				return -1
			}
			return at
		}, 1100 * time.Millisecond},
		{"told but never sent", testStereo, func(time.Duration) time.Duration { return -1 }, 1100 * time.Millisecond},
	}
	inputJitters = []time.Duration{0, 2 * time.Millisecond, time.Second} // at most a third of a picture
)

func fps(rate float64) func(int, *rand.Rand) time.Duration {
	return func(i int, _ *rand.Rand) time.Duration {
		return time.Duration(float64(i+1)/rate*1e9) - time.Duration(float64(i)/rate*1e9)
	}
}

// upTo is a random duration less than d.
func upTo(d time.Duration, rnd *rand.Rand) time.Duration { return time.Duration(rnd.Int64N(int64(d))) }

func onTime(at time.Duration) time.Duration { return at }

// Whatever an encoder sends, a viewer sees a playlist by the book, version by
// version: RFC 8216bis §4.4.3, §4.4.4 and §6.2.
func TestInputs(t *testing.T) {
	// All rates with all GOPs. The rest is spread so that each meets each.
	for i, rate := range inputRates {
		for j, gop := range inputGOPs {
			order, sound := inputOrders[(i+j)%len(inputOrders)], inputSounds[(i+len(inputGOPs)-j)%len(inputSounds)]
			jitter := inputJitters[(i/len(inputJitters)+j)%len(inputJitters)]
			t.Run(fmt.Sprintf("%s/GOP of %g s/%s/sound %s/jitter %v", rate.name, gop, order.name, sound.name, jitter), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					rnd := rand.New(rand.NewPCG(uint64(i), uint64(j)))
					video := inputVideo(22*time.Second, gop, jitter, order.group, order.delay, func(i int) time.Duration { return rate.next(i, rnd) })
					params := media.Params{Video: testVideo, Audio: sound.params}
					var audio []media.Frame
					if sound.params != nil {
						audio = sounds(22*sound.params.SampleRate/media.SamplesPerFrame, sound.params.SampleRate, Origin)
						audio = slices.DeleteFunc(audio, func(f media.Frame) bool { return sound.comes(f.Captured.Sub(epoch)) < 0 })
						for i := range audio {
							audio[i].Captured = epoch.Add(sound.comes(audio[i].Captured.Sub(epoch)))
						}
					}
					frames := slices.Concat(audio, video)
					slices.SortStableFunc(frames, func(a, b media.Frame) int { return a.Captured.Compare(b.Captured) })

					v := newViewer(t, params)
					for _, f := range frames {
						time.Sleep(time.Until(f.Captured))
						check(t, v.cutter.Write(f))
					}
					v.ended = true
					check(t, v.cutter.Flush())
					v.chunks.check(t)
					same(t, v.chunks.video(), video)
					if sound.params != nil && sound.waitsUp == 0 {
						same(t, v.chunks.heard(), before(audio, v.cutter.End(), sound.params.SampleRate))
					}
					longest := time.Duration(0) // that a picture lasts
					for i := range video[1:] {
						longest = max(longest, video[i+1].Captured.Sub(video[i].Captured))
					}
					off := min(jitter, longest/3) + time.Millisecond // of stamps
					if sound.params != nil {                         // B-frames are waited for with sound beside them
						var late media.Ticks
						for i := range video {
							late = max(late, video[i].PTS-video[i].DTS)
						}
						off += (2 * late).Duration(media.VideoRate)
					}
					if v.began > 335*time.Millisecond+longest+off+sound.waitsUp {
						t.Errorf("the first part is listed %v after the first key frame", v.began)
					}
					if sound.waitsUp > 0 {
						off += sound.waitsUp + longest
					}
					if v.waited > off {
						t.Errorf("a part waits %v for its sound", v.waited)
					}
				})
			})
		}
	}
}

// inputVideo makes pictures whose stamps are whole milliseconds, as RTMP has
// them.
func inputVideo(length time.Duration, gop float64, jitter time.Duration, group []int, delay int, next func(int) time.Duration) []media.Frame {
	rnd := rand.New(rand.NewPCG(2, 3))
	var at []time.Duration // when picture i of the order of presentation begins
	var stamps []media.Ticks
	d := time.Duration(0)
	for begins := d; begins < length || len(at) < 3; {
		before := d
		d = max(next(len(at)), time.Millisecond)
		most := min(jitter, before/3, d/3)
		off := upTo(2*most+1, rnd) - most
		at, stamps = append(at, begins), append(stamps, Origin+media.Ticks(max(0, begins+off)/time.Millisecond)*90)
		begins += d
	}
	var frames []media.Frame
	for key, i := 0, 0; i < len(at)-delay; {
		isKey := i == 0 || (at[i]-at[key]).Seconds() >= gop-.001
		order := group
		if isKey {
			key, order = i, []int{0}
		}
		for k := i; k < i+len(order); k++ { // a key frame ends the group before it
			if k >= len(at)-delay || k > key && (at[k]-at[key]).Seconds() >= gop-.001 {
				order = []int{0}
			}
		}
		for _, k := range order {
			n := len(frames)
			frames = append(frames, media.Frame{
				Kind: media.Video, Key: isKey, Payload: []byte{0, 0, 0, 1, byte(n)},
				DTS: stamps[n], PTS: stamps[i+k+delay], Captured: epoch.Add(at[n]),
			})
		}
		i += len(order)
	}
	return frames
}

// viewer is a cutter and a window, and a player that reads every version of the
// playlist and every part.
type viewer struct {
	t      *testing.T
	cutter *Cutter
	cmaf   CMAF
	window *Window
	chunks chunks
	ended  bool

	began, waited time.Duration
	hint          string
	told          map[string]string // everything said of a segment or part that is whole
	sequence      int64
}

func newViewer(t *testing.T, p media.Params) *viewer {
	w, err := OpenWindow(WindowConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	v := &viewer{t: t, window: w, told: map[string]string{}}
	v.cutter = NewCutter(Origin, v.emit)
	if err := v.cutter.Begin(p); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *viewer) emit(c *Chunk) error {
	v.chunks.emit(c)
	if len(v.chunks) == 1 {
		v.began = time.Since(epoch)
	}
	if !v.ended {
		v.waited = max(v.waited, time.Since(c.Ready))
	}
	data, err := v.cmaf.Append(nil, c)
	if err != nil {
		return err
	}
	if err := v.window.Append(c, data); err != nil {
		return err
	}
	if !v.window.Info().Playable {
		v.t.Errorf("not playable after %d parts", len(v.chunks))
	}
	text, err := v.window.Playlist(v.t.Context(), PlaylistRequest{MSN: -1})
	if err != nil {
		return err
	}
	newest, total := v.read(string(text))
	if is := (c.End() - v.chunks[0].Start).Duration(media.VideoRate).Seconds(); math.Abs(total-is) > 2e-6 {
		v.t.Errorf("%f s of media are told to last %f s", is, total)
	}
	if v.hint != "" && v.hint != newest.name {
		v.t.Errorf("%s was hinted, %s came", v.hint, newest.name)
	}
	if want := len(c.Video) > 0 && c.Video[0].Key; newest.independent != want {
		v.t.Errorf("%s: INDEPENDENT is %v", newest.name, newest.independent)
	}
	_, hint, _ := strings.Cut(string(text), "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"")
	v.hint = strings.TrimSuffix(hint, "\"\n")
	m, err := v.window.Open(v.t.Context(), newest.name)
	if err != nil {
		return err
	}
	defer m.Close()
	if got, err := io.ReadAll(m.Content); err != nil || string(got) != string(data) {
		v.t.Errorf("%s: %d bytes, want %d; %v", newest.name, len(got), len(data), err)
	}
	return nil
}

// listedPart is a part that a playlist lists.
type listedPart struct {
	name        string
	duration    float64
	independent bool
}

// read checks a version of the playlist by itself and against those before it,
// and returns its last part and how much media it tells of, in seconds.
func (v *viewer) read(text string) (last listedPart, total float64) {
	bad := func(format string, args ...any) {
		v.t.Helper()
		v.t.Errorf("%s in\n%s", fmt.Sprintf(format, args...), text)
	}
	number := func(s string) float64 {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			bad("%v", err)
		}
		return f
	}
	var parts []listedPart // of the segment being read
	var date time.Time     // of that segment
	var until time.Time    // end of the segment before
	var give time.Duration // a hundredth of that
	var msn int64
	segment := func(whole bool) {
		for i, p := range parts {
			if p.duration > .335 || p.duration < .85*.335 && !(whole && i == len(parts)-1) {
				bad("%s lasts %f s", p.name, p.duration)
			}
			if want := fmt.Sprintf("%d.%d.m4s", msn, i); p.name != want {
				bad("part %s, want %s", p.name, want)
			}
			v.settled(p.name, fmt.Sprint(p), bad)
		}
		if off := date.Sub(until); !until.IsZero() && off.Abs() > give+time.Millisecond {
			bad("segment %d begins %v after the one before has ended", msn, off)
		}
	}
	for line := range strings.Lines(text) {
		tag, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		switch tag {
		case "#EXTM3U", "#EXT-X-MAP", "#EXT-X-PRELOAD-HINT", "#EXT-X-VERSION":
		case "#EXT-X-SERVER-CONTROL", "#EXT-X-PART-INF", "#EXT-X-TARGETDURATION", "#EXT-X-DISCONTINUITY-SEQUENCE":
			v.settled(tag, value, bad)
		case "#EXT-X-MEDIA-SEQUENCE":
			msn = int64(number(value))
			if msn < v.sequence {
				bad("sequence number %d after %d", msn, v.sequence)
			}
			v.sequence = msn
		case "#EXT-X-PROGRAM-DATE-TIME":
			var err error
			if date, err = time.Parse(time.RFC3339Nano, value); err != nil {
				bad("%v", err)
			}
			v.settled(fmt.Sprint(msn, " begins"), value, bad)
		case "#EXT-X-PART":
			duration, rest, _ := strings.Cut(strings.TrimPrefix(value, "DURATION="), ",URI=\"")
			name, rest, _ := strings.Cut(rest, "\"")
			last = listedPart{name, number(duration), rest == ",INDEPENDENT=YES"}
			parts = append(parts, last)
		case "#EXTINF":
			duration := number(strings.TrimSuffix(value, ","))
			sum := 0.
			for _, p := range parts {
				sum += p.duration
			}
			total += duration
			if math.Round(duration) > 4 || len(parts) > 0 && math.Abs(sum-duration) > 1e-6 {
				bad("segment of %f s, its parts of %f s", duration, sum)
			}
			v.settled(fmt.Sprint(msn, " lasts"), value, bad)
			segment(true)
			until, give = date.Add(time.Duration(duration*1e9)), time.Duration(duration*1e7)
		default:
			if want := fmt.Sprintf("%d.m4s\n", msn); line != want {
				bad("%q, want %q", line, want)
			}
			msn, parts, date = msn+1, nil, time.Time{}
		}
	}
	if parts != nil {
		segment(false)
	}
	for _, p := range parts {
		total += p.duration
	}
	return last, total
}

// settled checks that what is said of a thing never changes.
func (v *viewer) settled(thing, said string, bad func(string, ...any)) {
	if before, ok := v.told[thing]; ok && before != said {
		bad("%s: %q was %q", thing, said, before)
	}
	v.told[thing] = said
}
