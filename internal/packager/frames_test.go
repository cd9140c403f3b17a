package packager

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"anabranch/internal/media"
)

// The parameter sets of a 320x180 High profile stream, and AAC-LC stereo at 48
// and mono at 44.1 kHz.
var (
	testVideo = must(media.ParseH264(
		[]byte{0x67, 0x64, 0x00, 0x0d, 0xac, 0xd9, 0x41, 0x41, 0x9f, 0x9f, 0x01, 0x6c, 0x80, 0x00, 0x00, 0x03, 0x00, 0x80, 0x00, 0x00, 0x1e, 0x07, 0x8a, 0x14, 0xcb},
		[]byte{0x68, 0xeb, 0xec, 0xb2, 0x2c}))
	testStereo = must(media.ParseAAC([]byte{0x11, 0x90}))
	testMono   = must(media.ParseAAC([]byte{0x12, 0x08}))
	testParams = media.Params{Video: testVideo, Audio: testStereo}
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// epoch is when the first frame of made-up streams is captured.
var epoch = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

// chunks collects what a cutter emits, copying what it may not keep.
type chunks []Chunk

func (cs *chunks) emit(c *Chunk) error {
	kept := *c
	kept.Video, kept.Audio, kept.Metadata = slices.Clone(c.Video), slices.Clone(c.Audio), slices.Clone(c.Metadata)
	*cs = append(*cs, kept)
	return nil
}

// video returns all video frames, and audio all audio frames.
func (cs chunks) video() (all []media.Frame) {
	for _, c := range cs {
		all = append(all, c.Video...)
	}
	return all
}

func (cs chunks) audio() (all []media.Frame) {
	for _, c := range cs {
		all = append(all, c.Audio...)
	}
	return all
}

// heard are the audio frames less the silence that the cutter put in.
func (cs chunks) heard() []media.Frame { return slices.DeleteFunc(cs.audio(), silent) }

func silent(f media.Frame) bool {
	return &f.Payload[0] == &silence[1][0] || &f.Payload[0] == &silence[2][0]
}

// stretch is a segment put together from its chunks.
type stretch struct {
	start, duration media.Ticks
	keyed           bool
}

func (cs chunks) segments() (all []stretch) {
	for _, c := range cs {
		if c.Segment {
			keyed := c.Independent && c.Video[0].DTS == c.Start
			all = append(all, stretch{start: c.Start, keyed: keyed})
		}
		all[len(all)-1].duration += c.Duration
	}
	return all
}

// check reports every broken promise of the chunks of one run.
func (cs chunks) check(t testing.TB) {
	t.Helper()
	if len(cs) == 0 {
		return
	}
	var segment media.Ticks
	var segmentTime time.Time
	var video, audio *media.Frame
	var shown []media.Frame // the stream's pictures
	var heard media.Ticks   // until then, the stream's sound
	var sound media.Ticks   // end of the newest audio frame, in samples
	for i := range cs {
		c := &cs[i]
		bad := func(format string, args ...any) {
			t.Helper()
			t.Errorf("chunk %d at %d (+%d): %s", i, c.Start, c.Duration, fmt.Sprintf(format, args...))
		}
		if c.Duration <= 0 || c.Duration > maxPart {
			bad("duration out of range")
		}
		if c.Duration < minPart && !c.SegmentEnd {
			bad("shorter than 85 %% of the target inside a segment")
		}
		if i > 0 {
			prev := &cs[i-1]
			if c.Segment != prev.SegmentEnd {
				bad("Segment is %v after SegmentEnd %v", c.Segment, prev.SegmentEnd)
			}
			if c.Start != prev.End() && !c.Discontinuity || c.Start < prev.End() {
				bad("starts at %d after an end at %d", c.Start, prev.End())
			}
			slower := time.Duration(0) // at most, where a segment begins
			if c.Segment && !c.Discontinuity {
				slower = (prev.End() - segment).Duration(media.VideoRate) / 2
			}
			if c.Time.Before(prev.Time.Add(prev.Duration.Duration(media.VideoRate)-slower)) || c.Segment && !c.Time.After(segmentTime) {
				bad("program date and time goes back")
			}
			if !c.Discontinuity && !c.Params.Equal(prev.Params) {
				bad("parameters change without a discontinuity")
			}
		}
		if c.Segment {
			segment, segmentTime = c.Start, c.Time
		}
		next := media.Ticks(0)
		switch {
		case i+1 == len(cs) && !c.Ready.IsZero(): // not the end of the stream
			next = c.NextKey
		case i+1 == len(cs) || cs[i+1].Discontinuity:
			next = c.End()
		case cs[i+1].keyed():
			next = cs[i+1].Video[0].PTS
		}
		if c.NextKey != next {
			bad("next key frame at %d, want %d", c.NextKey, next)
		}
		if d := c.End() - segment; d > maxSegment {
			bad("segment of %d ticks", d)
		}
		if c.Discontinuity && (!c.Segment || !c.Independent || c.Video[0].DTS != c.Start) {
			bad("discontinuity without a key frame")
		}
		if c.Independent != (len(c.Video) > 0 && c.Video[0].Key) {
			bad("Independent is %v", c.Independent)
		}
		if c.Discontinuity {
			video, audio, shown, heard = nil, nil, nil, 0
		}
		for j := range c.Video {
			f := &c.Video[j]
			shown = append(shown, *f)
			if f.DTS < c.Start || f.DTS >= c.End() || f.Duration <= 0 {
				bad("video frame at %d lasting %d", f.DTS, f.Duration)
			}
			if video != nil && video.DTS+video.Duration != f.DTS {
				bad("video frame at %d after one until %d", f.DTS, video.DTS+video.Duration)
			}
			video = f
		}
		for j := range c.Audio {
			f := &c.Audio[j]
			if f.DTS*media.VideoRate >= (c.End()+c.Tail)*media.Ticks(c.Params.Audio.SampleRate) || f.Duration <= 0 {
				bad("audio frame at %d lasting %d", f.DTS, f.Duration)
			}
			if audio != nil && (f.DTS <= audio.DTS || f.DTS-audio.DTS-audio.Duration >= media.SamplesPerFrame) {
				bad("audio frame at %d after one at %d (+%d)", f.DTS, audio.DTS, audio.Duration)
			}
			if late := f.DTS - c.Start.Rescale(media.VideoRate, c.Params.Audio.SampleRate); audio == nil && (late < 0 || late > media.SamplesPerFrame && f.DTS != sound) {
				bad("audio begins %d samples late", late)
			}
			audio, sound = f, f.DTS+f.Duration
		}
		// Within a part of less than an audio frame there may be none.
		if p := c.Params.Audio; p != nil && c.Duration > 2090 && (audio == nil || (audio.DTS+audio.Duration)*media.VideoRate < (c.End()+c.Tail)*media.Ticks(p.SampleRate)) {
			bad("audio ends before it")
		}
		if c.SegmentEnd && (i+1 == len(cs) || cs[i+1].Discontinuity) {
			if end := video.DTS + video.Duration; c.End() != max(end, lastShown(shown), heard) {
				bad("last frame ends at %d, the picture shown last at %d, sound at %d", end, lastShown(shown), heard)
			}
		}
		heard = c.End() + c.Tail
	}
}

// lastShown is until when pictures are shown: by their durations, but the last as
// long as players think who know none, which is as long as the picture decoded
// before it.
func lastShown(pictures []media.Frame) (end media.Ticks) {
	last := 0
	for i, f := range pictures {
		end = max(end, f.PTS+min(f.Duration, maxPart))
		if f.PTS > pictures[last].PTS {
			last = i
		}
	}
	n := len(pictures)
	if last == 0 || pictures[last].PTS == pictures[last].DTS || end <= pictures[n-1].DTS+pictures[n-1].Duration {
		return end
	}
	before, next := pictures[last-1].PTS, pictures[last].PTS
	for _, f := range pictures {
		if f.PTS > before {
			next = min(next, f.PTS)
		}
	}
	return max(end, pictures[last].PTS+min(next-before, maxPart))
}

// pictures makes a stream's video: n frames at rate, a key frame every gop, with
// stamps of whole milliseconds as RTMP has them, each off by up to jitter.
// With bframes, presentation is out of decoding order.
func pictures(n int, rate float64, gop int, bframes bool, jitter time.Duration) []media.Frame {
	rnd := rand.New(rand.NewPCG(1, uint64(rate*1000)))
	frames := make([]media.Frame, n)
	for i := range frames {
		at := time.Duration(float64(i) / rate * float64(time.Second))
		stamp := at
		if jitter > 0 && i > 0 {
			stamp += time.Duration(rnd.Int64N(int64(2*jitter))) - jitter
		}
		frames[i] = media.Frame{
			Kind: media.Video, Key: i%gop == 0, Payload: []byte{0, 0, 0, 1, byte(i)},
			DTS:      Origin + media.Ticks(stamp/time.Millisecond)*90,
			Captured: epoch.Add(at),
		}
		frames[i].PTS = frames[i].DTS
		if bframes {
			frames[i].PTS += media.Ticks([]int{1, 3, 0, 0}[i%4]) * media.Ticks(90_000/rate)
		}
	}
	return frames
}

// sounds makes n audio frames at rate, the first starting at start.
func sounds(n, rate int, start media.Ticks) []media.Frame {
	frames := make([]media.Frame, n)
	for i := range frames {
		dts := start.Rescale(media.VideoRate, rate) + media.Ticks(i)*media.SamplesPerFrame
		frames[i] = media.Frame{Kind: media.Audio, Key: true, Payload: []byte{byte(i)}, DTS: dts, PTS: dts,
			Captured: epoch.Add((dts.Rescale(rate, media.VideoRate) - Origin).Duration(media.VideoRate))}
	}
	return frames
}

// before returns the frames that start before end.
func before(audio []media.Frame, end media.Ticks, rate int) []media.Frame {
	n := 0
	for n < len(audio) && audio[n].DTS.Rescale(rate, media.VideoRate) < end {
		n++
	}
	return audio[:n]
}

// shift moves frames by d.
func shift(frames []media.Frame, d media.Ticks) []media.Frame {
	frames = slices.Clone(frames)
	for i := range frames {
		frames[i].DTS, frames[i].PTS = frames[i].DTS+d, frames[i].PTS+d
	}
	return frames
}

// lagging merges tracks so that audio comes lag ticks of 90 kHz later than its
// DTS says.
func lagging(video, audio []media.Frame, rate int, lag media.Ticks) []media.Frame {
	d := lag.Rescale(media.VideoRate, rate)
	frames := interleave(video, shift(audio, d), rate)
	for i, f := range frames {
		if f.Kind == media.Audio {
			frames[i].DTS, frames[i].PTS = f.DTS-d, f.PTS-d
		}
	}
	return frames
}

// interleave merges tracks by DTS, as encoders send them.
func interleave(video, audio []media.Frame, rate int) []media.Frame {
	all := slices.Concat(video, audio)
	slices.SortStableFunc(all, func(a, b media.Frame) int {
		at := func(f media.Frame) int64 {
			if f.Kind == media.Audio {
				return int64(f.DTS.Rescale(rate, media.VideoRate))
			}
			return int64(f.DTS)
		}
		return int(at(a) - at(b))
	})
	return all
}

// cut runs frames through a cutter of a fresh run.
func cut(t testing.TB, p media.Params, frames []media.Frame) chunks {
	t.Helper()
	var cs chunks
	c := NewCutter(Origin, cs.emit)
	if err := errors.Join(c.Begin(p), write(c, frames), c.Flush()); err != nil {
		t.Fatal(err)
	}
	if len(cs) > 0 && c.End() != cs[len(cs)-1].End() {
		t.Errorf("cutter ends at %d, last chunk at %d", c.End(), cs[len(cs)-1].End())
	}
	return cs
}

func write(c *Cutter, frames []media.Frame) error {
	for _, f := range frames {
		if err := c.Write(f); err != nil {
			return err
		}
	}
	return nil
}

// same compares frames but for their durations.
func same(t testing.TB, got, want []media.Frame) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d frames, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		g, w := got[i], want[i]
		if g.Kind != w.Kind || g.DTS != w.DTS || g.PTS != w.PTS || g.Key != w.Key || &g.Payload[0] != &w.Payload[0] {
			t.Fatalf("frame %d: %v %d/%d, want %v %d/%d", i, g.Kind, g.DTS, g.PTS, w.Kind, w.DTS, w.PTS)
		}
	}
}
