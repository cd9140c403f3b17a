package packager

import (
	"errors"
	"iter"
	"slices"
	"testing"
	"time"

	"anabranch/internal/media"
)

// testOther are the parameter sets of another stream, in the one thing that
// matters here.
var testOther = func() media.Params {
	v := *testVideo
	v.PPS = append(slices.Clone(v.PPS), 0x80)
	return media.Params{Video: &v, Audio: testStereo}
}()

// Where pictures change, those before last until then, and the sound runs through,
// however late it comes.
func TestCutterBeginAt(t *testing.T) {
	const ms = media.VideoRate / 1000
	for _, tt := range []struct {
		name  string
		rate  float64
		joins []media.Ticks // in ms after the beginning
		pause media.Ticks   // how long before there are no pictures, in ms
		lag   media.Ticks   // of the sound, in ms
		mute  bool          // there is no sound
		hole  media.Ticks   // in the sound behind each join, in ms
	}{
		{name: "in a segment", rate: 30, joins: []media.Ticks{2500}},
		{name: "where a key frame is due", rate: 30, joins: []media.Ticks{3000}},
		{name: "between samples", rate: 30, joins: []media.Ticks{1777, 3331}},
		{name: "sound comes late", rate: 30, joins: []media.Ticks{2500}, lag: 150},
		{name: "several wait for sound", rate: 30, joins: []media.Ticks{2000, 2300, 2600}, lag: 900},
		{name: "the last picture lasts", rate: 30, joins: []media.Ticks{2500}, pause: 1500, lag: 150},
		{name: "one picture a second", rate: 1, joins: []media.Ticks{2500}, lag: 150},
		{name: "500 fps", rate: 500, joins: []media.Ticks{1500}, lag: 150},
		{name: "no sound", rate: 30, joins: []media.Ticks{2500}, mute: true},
		{name: "a hole in the sound", rate: 30, joins: []media.Ticks{1777, 3331}, hole: 500},
		{name: "in the first part", rate: 30, joins: []media.Ticks{100, 200}, lag: 150},
	} {
		t.Run(tt.name, func(t *testing.T) {
			params := []media.Params{testParams, testOther}
			var sound []media.Frame
			if !tt.mute {
				sound = sounds(300, 48_000, Origin-700)
			} else {
				params = []media.Params{{Video: testVideo}, {Video: testOther.Video}}
			}
			ends := []media.Ticks{Origin + 5000*ms}
			for i, at := range tt.joins {
				ends = slices.Insert(ends, i, Origin+at*ms)
			}
			video := pictures(int(5*tt.rate), tt.rate, int(tt.rate), false, 0)
			for _, end := range ends[:len(ends)-1] { // a key frame stands there, and nothing before
				video = slices.DeleteFunc(video, func(f media.Frame) bool { return f.DTS >= end-max(tt.pause, 1)*ms && f.DTS <= end })
				at, _ := slices.BinarySearchFunc(video, end, func(f media.Frame, end media.Ticks) int { return int(f.DTS - end) })
				video = slices.Insert(video, at, media.Frame{Key: true, DTS: end, PTS: end, Payload: []byte{0, 0, 0, 1, 0xEE}})
			}
			for _, end := range ends[:len(ends)-1] {
				sound = slices.DeleteFunc(sound, func(f media.Frame) bool {
					at := f.DTS.Rescale(48_000, media.VideoRate)
					return at >= end && at < end+tt.hole*ms
				})
			}
			for i := range video { // on the server's clock
				video[i].Captured = epoch.Add((video[i].DTS - Origin).Duration(media.VideoRate))
			}

			var cs chunks
			c := NewCutter(Origin, cs.emit)
			check(t, c.Begin(params[0]))
			n := 0
			for _, f := range lagging(video, sound, 48_000, tt.lag*ms) {
				if f.Kind == media.Video && f.DTS == ends[n] {
					n++
					check(t, c.BeginAt(params[n%2], f.DTS))
				}
				check(t, c.Write(f))
			}
			check(t, c.Flush())

			cs.check(t)
			same(t, cs.video(), video)
			if end := cs[len(cs)-1].End(); !tt.mute {
				heard := slices.DeleteFunc(before(sound, end, 48_000), func(f media.Frame) bool { return f.DTS < Origin.Rescale(media.VideoRate, 48_000) })
				same(t, cs.heard(), heard)
				if silence := len(cs.audio()) - len(heard); (silence > 0) != (tt.hole > 0) {
					t.Errorf("%d frames of silence", silence)
				}
				for last, f := range adjacent(cs.audio()) {
					if gap := f.DTS - last.DTS - last.Duration; gap < 0 || gap >= media.SamplesPerFrame {
						t.Errorf("sound at %d behind one until %d", f.DTS, last.DTS+last.Duration)
					}
				}
			}
			n = 0
			for i, c := range cs {
				if i > 0 && c.Start != cs[i-1].End() {
					t.Errorf("chunk %d begins at %d, the one before ended at %d", i, c.Start, cs[i-1].End())
				}
				if i > 0 && c.Discontinuity {
					if n++; n == len(ends) || c.Start != ends[n-1] {
						t.Fatalf("stretch %d begins at %d, want %d", n, c.Start, ends)
					}
				}
				if !c.Params.Equal(params[n%2]) {
					t.Errorf("chunk %d has the parameters of another stretch", i)
				}
				if want := epoch.Add((c.Start - Origin).Duration(media.VideoRate)); c.Time.Sub(want).Abs() > time.Microsecond {
					t.Errorf("chunk %d at %v, want %v", i, c.Time, want)
				}
			}
			if n != len(tt.joins) {
				t.Errorf("%d discontinuities, want %d", n, len(tt.joins))
			}
		})
	}
}

// adjacent are the pairs of frames that follow one another.
func adjacent(frames []media.Frame) iter.Seq2[media.Frame, media.Frame] {
	return func(yield func(a, b media.Frame) bool) {
		for i := 1; i < len(frames) && yield(frames[i-1], frames[i]); i++ {
		}
	}
}

// Where no key frame comes in time there is nothing until one does.
func TestCutterBeginAtLateKeyFrame(t *testing.T) {
	var cs chunks
	c := NewCutter(Origin, cs.emit)
	video := pictures(120, 30, 30, false, 0)
	check(t, c.Begin(testParams))
	check(t, write(c, interleave(video[:45], before(sounds(188, 48_000, Origin), video[45].DTS, 48_000), 48_000)))
	check(t, c.BeginAt(testOther, video[45].DTS))
	check(t, write(c, interleave(video[45:], sounds(120, 48_000, video[45].DTS), 48_000)))
	check(t, c.Flush())
	cs.check(t)
	same(t, cs.video(), slices.Concat(video[:45], video[60:]))
	for i, c := range cs {
		if c.Discontinuity && (c.Start != video[60].DTS || cs[i-1].End() != video[45].DTS) {
			t.Errorf("from %d to %d, want %d to %d", cs[i-1].End(), c.Start, video[45].DTS, video[60].DTS)
		}
	}
}

// A stretch that never gets a picture leaves the one before as it ends anyway.
func TestCutterBeginAtEnds(t *testing.T) {
	video := pictures(45, 30, 30, false, 0)
	want := cut(t, testParams, video)
	var cs chunks
	c := NewCutter(Origin, cs.emit)
	check(t, errors.Join(c.Begin(testParams), write(c, video), c.BeginAt(testOther, Origin+2*media.VideoRate), c.Flush()))
	cs.check(t)
	if got, want := c.End(), want[len(want)-1].End(); got != want {
		t.Errorf("ends at %d, want %d", got, want)
	}
	check(t, errors.Join(c.Begin(testParams), write(c, shift(video, c.End()-Origin)), c.Flush()))
	if p := cs[len(cs)-1].Params; !p.Equal(testParams) {
		t.Error("the stretch that never came comes back")
	}
}

// A stretch without a picture is as if it had not been.
func TestCutterBeginAtTwice(t *testing.T) {
	var cs chunks
	c := NewCutter(Origin, cs.emit)
	video := pictures(90, 30, 30, false, 0)
	check(t, errors.Join(c.Begin(testParams), write(c, video[:45])))
	check(t, errors.Join(c.BeginAt(testOther, video[45].DTS), c.BeginAt(testParams, video[60].DTS)))
	check(t, errors.Join(write(c, video[60:]), c.Flush()))
	cs.check(t)
	same(t, cs.video(), slices.Concat(video[:45], video[60:]))
	for i, c := range cs {
		if !c.Params.Equal(testParams) {
			t.Errorf("chunk %d has the parameters of the stretch between", i)
		}
	}
}

func TestCutterBeginAtRefuses(t *testing.T) {
	video := pictures(45, 30, 30, false, 0)
	var cs chunks
	c := NewCutter(Origin, cs.emit)
	check(t, errors.Join(c.Begin(testParams), write(c, video)))
	last := video[44].DTS
	for name, begin := range map[string]func() error{
		"other sound":          func() error { return c.BeginAt(media.Params{Video: testVideo, Audio: testMono}, last+1) },
		"no sound":             func() error { return c.BeginAt(media.Params{Video: testVideo}, last+1) },
		"where a picture is":   func() error { return c.BeginAt(testOther, last) },
		"before the last join": func() error { check(t, c.BeginAt(testOther, last+9)); return c.BeginAt(testParams, last+9) },
	} {
		if begin() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
