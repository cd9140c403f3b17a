package packager

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"anabranch/internal/media"
)

// The rung's tracks: 44.1 kHz or whatever the source has, but told another way, as
// encoders do.
var (
	rungVideo  = must(media.ParseH264(append(bytes.Clone(testVideo.SPS), 0), testVideo.PPS))
	rungStereo = must(media.ParseAAC([]byte{0x11, 0x90, 0x56, 0xE5, 0x00}))
	rungMono   = must(media.ParseAAC([]byte{0x12, 0x08, 0x56, 0xE5, 0x00}))
)

// reencoded are the frames that a transcoder makes of a source's: pictures in the
// order of presentation, every other one if halve, counted from key frames, and
// sound that lies off the source's by up to skew samples.
func reencoded(frames []media.Frame, halve bool, skew media.Ticks) []media.Frame {
	rnd := rand.New(rand.NewPCG(3, 5))
	var video, audio []media.Frame
	for i, f := range frames {
		f.Payload, f.Captured = []byte{0, 0, 0, 1, 'r', byte(i)}, time.Time{}
		if f.Kind == media.Video {
			f.DTS = f.PTS
			video = append(video, f)
			continue
		}
		if skew > 0 {
			f.DTS += media.Ticks(rnd.Int64N(int64(2*skew))) - skew
		}
		f.PTS = f.DTS
		audio = append(audio, f)
	}
	slices.SortStableFunc(video, func(a, b media.Frame) int { return int(a.PTS - b.PTS) })
	if halve {
		n := 0
		video = slices.DeleteFunc(video, func(f media.Frame) bool {
			if f.Key {
				n = 0
			}
			n++
			return n%2 == 0
		})
	}
	return interleave(video, audio, 48_000)
}

// rung is a follower that is given frames, and what it made of the source's chunks.
type rung struct {
	*Follower
	params media.Params
	made   []*Chunk // nil for a hole
}

func newRung(pictures, passSound bool) *rung {
	p := media.Params{Audio: rungStereo}
	if pictures {
		p.Video = rungVideo
	}
	return &rung{Follower: NewFollower(pictures, passSound), params: p}
}

func (r *rung) write(frames ...media.Frame) {
	for _, f := range frames {
		if f.Kind == media.Video {
			r.Write(media.Params{Video: r.params.Video}, f)
		} else {
			r.Write(media.Params{Audio: r.params.Audio}, f)
		}
	}
}

// follow follows as many of the chunks, which come next, as it can.
func (r *rung) follow(cs chunks) (left chunks) {
	for i := range cs {
		own, ok := r.Follow(&cs[i])
		if !ok {
			return cs[i:]
		}
		r.made = append(r.made, own)
	}
	return nil
}

// skip gives up the first n of the chunks.
func (r *rung) skip(cs chunks, n int) chunks {
	for i := range cs[:n] {
		r.Skip(&cs[i])
		r.made = append(r.made, nil)
	}
	return cs[n:]
}

// holes says which of the chunks are holes.
func (r *rung) holes() (at []int) {
	for i, c := range r.made {
		if c == nil {
			at = append(at, i)
		}
	}
	return at
}

// check reports every broken promise of what r made of the source's chunks cs.
func (r *rung) check(t testing.TB, cs chunks) {
	t.Helper()
	if len(r.made) != len(cs) {
		t.Fatalf("%d chunks of %d", len(r.made), len(cs))
	}
	var segment media.Params
	var last *media.Frame
	hole := true
	for i, c := range r.made {
		of := &cs[i]
		if c == nil {
			hole, last = true, nil
			continue
		}
		bad := func(format string, args ...any) {
			t.Helper()
			t.Errorf("chunk %d at %d (+%d): %s", i, c.Start, c.Duration, fmt.Sprintf(format, args...))
		}
		if c.Start != of.Start || c.Duration != of.Duration || c.Tail != of.Tail || c.Time != of.Time || c.NextKey != of.NextKey ||
			c.Segment != of.Segment || c.SegmentEnd != of.SegmentEnd || c.Discontinuity != of.Discontinuity || len(c.Metadata) != len(of.Metadata) {
			bad("is not the source's: %+v, %+v", c, of)
		}
		if c.Segment {
			segment = c.Params
		}
		if hole && (!c.Segment || r.pictures && (!of.keyed() || !c.keyed() || c.Video[0].PTS != of.Video[0].PTS)) {
			bad("comes after a hole and begins no segment with a key frame")
		}
		if r.pictures && of.keyed() && !c.keyed() {
			bad("the source's begins with a key frame")
		}
		if !c.Params.Equal(segment) || (c.Params.Video != nil) != r.pictures {
			bad("parameters change within a segment")
		}
		if c.Independent != (!r.pictures || len(c.Video) > 0 && c.Video[0].Key) {
			bad("independent is %v", c.Independent)
		}
		if of.keyed() && r.pictures && c.Video[0].Captured != of.Video[0].Captured {
			bad("its first picture came at %v, the source's at %v", c.Video[0].Captured, of.Video[0].Captured)
		}
		for j := range c.Video {
			f := &c.Video[j]
			if f.DTS < c.Start || f.DTS >= c.End() || f.Duration <= 0 {
				bad("picture at %d lasts %d", f.DTS, f.Duration)
			}
			if last != nil && (f.DTS <= last.DTS || f.PTS <= last.PTS || j > 0 && f.DTS != last.DTS+last.Duration) {
				bad("picture at %d/%d comes after one at %d/%d (+%d)", f.DTS, f.PTS, last.DTS, last.PTS, last.Duration)
			}
			last = f
		}
		if len(c.Audio) != len(of.Audio) {
			bad("%d frames of sound, the source has %d", len(c.Audio), len(of.Audio))
		}
		for j := range min(len(c.Audio), len(of.Audio)) {
			if a, b := c.Audio[j], of.Audio[j]; a.DTS != b.DTS || a.PTS != b.PTS || a.Duration != b.Duration || len(a.Payload) == 0 {
				bad("sound at %d (+%d), the source's is at %d (+%d)", a.DTS, a.Duration, b.DTS, b.Duration)
			}
		}
		hole = false
	}
}

// videos is all pictures that r made.
func (r *rung) videos() (all []media.Frame) {
	for _, c := range r.made {
		if c != nil {
			all = append(all, c.Video...)
		}
	}
	return all
}

func TestFollower(t *testing.T) {
	rotate := func(n int, rate float64, gop int, bframes bool) []media.Frame {
		return pictures(n, rate, gop, bframes, 0)
	}
	// Encoders with B-frames show key frames later than they are decoded, but for a
	// stream's first.
	late := func(video []media.Frame) []media.Frame {
		d := 2 * (video[1].DTS - video[0].DTS)
		for i := range video[1:] {
			video[i+1].PTS += d
		}
		return video
	}
	for _, tt := range []struct {
		name   string
		video  []media.Frame
		audio  *media.AudioParams
		halve  bool
		pass   bool
		skew   media.Ticks
		coding *media.AudioParams // of the rung's sound
		short  media.Ticks        // so much sooner the last picture may end, as no chunk tells of more than PartTarget
	}{
		{name: "30 fps, sound passed", video: rotate(300, 30, 60, false), audio: testStereo, pass: true},
		{name: "30 fps, no sound", video: rotate(300, 30, 60, false)},
		{name: "30 fps, sound transcoded", video: rotate(300, 30, 60, false), audio: testStereo, coding: rungStereo},
		{name: "25 fps, 44.1 kHz off by nearly half a frame", video: rotate(250, 25, 50, false), audio: testMono, coding: rungMono, skew: halfFrame - 1},
		{name: "60 fps halved", video: rotate(600, 60, 120, false), audio: testStereo, pass: true, halve: true},
		{name: "60 fps halved, a key frame every 31", video: rotate(600, 60, 31, false), audio: testStereo, coding: rungStereo, halve: true},
		{name: "59.94 fps halved, one frame over", video: rotate(601, 60000./1001, 120, false), audio: testStereo, pass: true, halve: true},
		{name: "25 fps with B-frames", video: late(rotate(250, 25, 48, true)), audio: testStereo, coding: rungStereo},
		{name: "60 fps with B-frames halved", video: late(rotate(600, 60, 120, true)), audio: testMono, pass: true, halve: true},
		{name: "50 fps with B-frames halved, a key frame every 28", video: late(rotate(500, 50, 28, true)), audio: testMono, pass: true, halve: true},
		{name: "5 fps with B-frames", video: late(rotate(60, 5, 8, true)), audio: testStereo, pass: true, short: 18000},
		{name: "1 fps", video: rotate(12, 1, 4, false), audio: testStereo, pass: true},
		{name: "GOP of 12 s", video: rotate(900, 30, 360, false), audio: testStereo, pass: true},
		{name: "jitter", video: pictures(300, 30, 45, false, 16e6), audio: testStereo, coding: rungStereo, skew: 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			frames := tt.video
			if tt.audio != nil {
				n := int(tt.video[len(tt.video)-1].DTS-Origin)*tt.audio.SampleRate/media.VideoRate/media.SamplesPerFrame + 20
				frames = interleave(tt.video, sounds(n, tt.audio.SampleRate, Origin), tt.audio.SampleRate)
			}
			cs := cut(t, media.Params{Video: testVideo, Audio: tt.audio}, frames)
			made := reencoded(frames, tt.halve, tt.skew)

			// Whether frames come long before their chunks or one by one, the rung's are
			// the same.
			early, slow := newRung(true, tt.pass), newRung(true, tt.pass)
			if tt.coding != nil {
				early.params.Audio, slow.params.Audio = tt.coding, tt.coding
			}
			early.write(made...)
			early.Finish()
			if left := early.follow(cs); left != nil {
				t.Fatalf("%d chunks are left", len(left))
			}
			early.check(t, cs)
			if holes := early.holes(); holes != nil {
				t.Fatalf("holes at %v", holes)
			}

			left := cs
			for _, f := range made {
				slow.write(f)
				left = slow.follow(left)
			}
			slow.Finish()
			if left = slow.follow(left); left != nil {
				t.Fatalf("%d chunks are left", len(left))
			}
			slow.check(t, cs)
			for i := range cs {
				if a, b := early.made[i], slow.made[i]; b == nil || !slices.EqualFunc(a.Video, b.Video, frameEqual) || !slices.EqualFunc(a.Audio, b.Audio, frameEqual) {
					t.Fatalf("chunk %d differs with frames that come one by one", i)
				}
			}

			// No picture is lost, and the last is shown until the source's is.
			var want []media.Frame
			for _, f := range made {
				if f.Kind == media.Video {
					want = append(want, f)
				}
			}
			got := early.videos()
			if len(got) != len(want) {
				t.Fatalf("%d pictures of %d", len(got), len(want))
			}
			for i := range got {
				if got[i].PTS != want[i].PTS || &got[i].Payload[0] != &want[i].Payload[0] {
					t.Fatalf("picture %d at %d, want %d", i, got[i].PTS, want[i].PTS)
				}
			}
			var until media.Ticks
			for _, f := range cs.video() {
				until = max(until, f.PTS+f.Duration)
			}
			if last := got[len(got)-1]; last.PTS+last.Duration < until-tt.short || last.PTS+last.Duration > cs[len(cs)-1].End() {
				t.Errorf("shown until %d, the source until %d, of %d", last.PTS+last.Duration, until, cs[len(cs)-1].End())
			}
			for i := range got[1:] {
				plain := !slices.ContainsFunc(tt.video, func(f media.Frame) bool { return f.PTS != f.DTS })
				if got[i].DTS+got[i].Duration != got[i+1].DTS && plain {
					t.Fatalf("picture %d lasts until %d, the next begins at %d", i, got[i].DTS+got[i].Duration, got[i+1].DTS)
				}
			}
			for i, c := range early.made {
				for j, f := range c.Audio {
					switch of := cs[i].Audio[j]; {
					case tt.pass && &f.Payload[0] != &of.Payload[0]:
						t.Fatalf("chunk %d: sound %d is not the source's", i, j)
					case !tt.pass && silent(of) != silent(f):
						t.Fatalf("chunk %d: silence %v where the source's is %v", i, silent(f), silent(of))
					}
				}
				want := tt.coding
				if tt.pass {
					want = tt.audio
				}
				if !c.Params.Audio.Equal(want) || c.Params.Video != rungVideo {
					t.Fatalf("chunk %d: parameters %v", i, c.Params)
				}
			}
		})
	}
}

// Of an encoder's stream the rung's pictures are decoded when the source's are, and
// end where these do.
func TestFollowerReal(t *testing.T) {
	for _, src := range realSources(t) {
		t.Run(src.name, func(t *testing.T) {
			cs := cut(t, src.params, src.frames)
			r := newRung(true, true)
			r.write(reencoded(src.frames, false, 0)...)
			r.Finish()
			r.follow(cs)
			r.check(t, cs)
			got := r.videos()
			if len(got) != len(cs.video()) || r.holes() != nil {
				t.Fatalf("%d pictures of %d, holes at %v", len(got), len(cs.video()), r.holes())
			}
			for i, f := range cs.video() {
				if off := got[i].DTS - f.DTS; off < -90 || off > 90 { // stamps are whole milliseconds
					t.Errorf("picture %d is decoded at %d, the source's at %d", i, got[i].DTS, f.DTS)
				}
			}
			if last := got[len(got)-1]; last.PTS+last.Duration != cs[len(cs)-1].End() {
				t.Errorf("shown until %d, the source until %d", last.PTS+last.Duration, cs[len(cs)-1].End())
			}
		})
	}
}

// One picture may be missing, as where every other is left out. More are a hole, be
// it that each chunk has but one.
func TestFollowerSlow(t *testing.T) {
	for _, rate := range []float64{3, 4} {
		video := pictures(40, rate, 8, false, 0)
		cs := cut(t, media.Params{Video: testVideo}, video)
		for missing, want := range []bool{false, false, true, true} {
			r := newRung(true, true)
			r.write(slices.Delete(slices.Clone(video), 17, 17+missing)...)
			r.Finish()
			r.follow(cs)
			r.check(t, cs)
			if got := r.holes() != nil; got != want {
				t.Errorf("%g fps, %d missing: holes at %v", rate, missing, r.holes())
			}
		}
	}
}

// What is left of a stream does not disturb the next.
func TestFollowerJoin(t *testing.T) {
	video := pictures(90, 30, 30, false, 0)
	var cs chunks
	c := NewCutter(Origin, cs.emit)
	check(t, c.Begin(media.Params{Video: testVideo}))
	check(t, write(c, video))
	check(t, c.Begin(media.Params{Video: testVideo}))
	next := shift(video, 5*media.VideoRate)
	check(t, write(c, next))
	check(t, c.Flush())
	stray := video[1]
	stray.PTS = Origin + 4*media.VideoRate
	r := newRung(true, true)
	r.write(slices.Concat(video, []media.Frame{stray}, next)...)
	r.follow(cs)
	r.Finish()
	r.follow(cs[len(r.made):])
	r.check(t, cs)
	if r.holes() != nil || len(r.videos()) != 180 {
		t.Errorf("holes at %v, %d pictures of 180", r.holes(), len(r.videos()))
	}
}

func frameEqual(a, b media.Frame) bool {
	return a.DTS == b.DTS && a.PTS == b.PTS && a.Duration == b.Duration && a.Key == b.Key && bytes.Equal(a.Payload, b.Payload)
}

// gopped is 12 s of source and rung: segments of 2 s, but for the first, which is
// a part; six parts in each of the others.
func gopped(t testing.TB) (cs chunks, video, audio []media.Frame) {
	t.Helper()
	p := pictures(360, 30, 60, false, 0)
	frames := interleave(p, sounds(570, 48_000, Origin), 48_000)
	for _, f := range reencoded(frames, false, 0) {
		if f.Kind == media.Video {
			video = append(video, f)
		} else {
			audio = append(audio, f)
		}
	}
	cs = cut(t, testParams, frames)
	for i := range cs {
		if i%6 == 0 != cs[i].keyed() {
			t.Fatalf("chunk %d at %d is cut otherwise", i, cs[i].Start)
		}
	}
	return cs, video, audio
}

// A rung that misses something has a hole up to a segment that begins with a key frame.
func TestFollowerHoles(t *testing.T) {
	span := func(from, to int) (all []int) {
		for i := from; i < to; i++ {
			all = append(all, i)
		}
		return all
	}
	cs, video, _ := gopped(t)
	other := must(media.ParseH264(append(bytes.Clone(testVideo.SPS), 0, 0), testVideo.PPS))
	for _, tt := range []struct {
		name string
		run  func(r *rung) chunks // returns the chunks that are left
		want []int
	}{
		{"nothing is missing", func(r *rung) chunks { r.write(video...); return r.follow(cs) }, nil},
		{"a frame behind the chunk must have come", func(r *rung) chunks {
			r.write(video[:10]...)
			if left := r.follow(cs); len(left) != len(cs) {
				t.Error("the first chunk is taken for complete")
			}
			r.write(video[10:]...)
			return r.follow(cs)
		}, nil},
		{"a part is given up, then all comes", func(r *rung) chunks {
			r.write(video[:25]...)
			left := r.skip(r.follow(cs), 1)
			r.write(video[25:]...)
			return r.follow(left)
		}, span(2, 6)},
		{"given up as far as the segment's end, then all comes", func(r *rung) chunks {
			r.write(video[:25]...)
			left := r.skip(r.follow(cs), 4)
			r.write(video[25:]...)
			return r.follow(left)
		}, span(2, 6)},
		{"given up beyond a key frame", func(r *rung) chunks {
			r.write(video[:25]...)
			left := r.skip(r.follow(cs), 5)
			r.write(video[25:]...)
			return r.follow(left)
		}, span(2, 12)},
		{"the first key frame is missing", func(r *rung) chunks { r.write(video[1:]...); return r.follow(cs) }, span(0, 6)},
		{"the first picture of a segment is no key frame", func(r *rung) chunks {
			p := slices.Clone(video)
			p[60].Key = false
			r.write(p...)
			return r.follow(cs)
		}, span(6, 12)},
		{"a key frame elsewhere", func(r *rung) chunks {
			p := slices.Clone(video)
			p[60].PTS++
			r.write(p...)
			return r.follow(cs)
		}, span(6, 12)},
		{"every other picture", func(r *rung) chunks {
			for i := 0; i < len(video); i += 2 {
				r.write(video[i])
			}
			return r.follow(cs)
		}, nil},
		{"the encoder was away for 2 pictures of a part", func(r *rung) chunks {
			r.write(slices.Concat(video[:13], video[15:])...)
			return r.follow(cs)
		}, nil},
		{"the encoder was away for a part", func(r *rung) chunks {
			r.write(slices.Concat(video[:20], video[30:])...)
			return r.follow(cs)
		}, span(2, 6)},
		{"the encoder was away for two segments", func(r *rung) chunks {
			r.write(slices.Concat(video[:63], video[185:])...)
			return r.follow(cs)
		}, span(7, 24)},
		{"nothing ever comes", func(r *rung) chunks { r.Finish(); return r.follow(cs) }, span(0, 36)},
		{"the encoder ends early", func(r *rung) chunks { r.write(video[:63]...); r.Finish(); return r.follow(cs) }, span(7, 36)},
		{"the last picture is missing", func(r *rung) chunks { r.write(video[:359]...); r.Finish(); return r.follow(cs) }, nil},
		{"pictures come twice, and out of order", func(r *rung) chunks {
			for i := range video {
				r.write(video[i], video[i/2])
			}
			return r.follow(cs)
		}, nil},
		{"the pictures change at a segment's key frame", func(r *rung) chunks {
			r.write(video[:60]...)
			r.params.Video = other
			r.write(video[60:]...)
			return r.follow(cs)
		}, nil},
		{"the pictures change amid a segment", func(r *rung) chunks {
			r.write(video[:75]...)
			r.params.Video = other
			r.write(video[75:]...)
			return r.follow(cs)
		}, span(7, 12)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRung(true, true)
			left := tt.run(r)
			r.Finish()
			if left = r.follow(left); left != nil {
				t.Fatalf("%d chunks are left", len(left))
			}
			r.check(t, cs)
			if holes := r.holes(); !slices.Equal(holes, tt.want) {
				t.Errorf("holes at %v, want %v", holes, tt.want)
			}
		})
	}
}

// Where pictures are missing the one before does not last on and on.
func TestFollowerLastPicture(t *testing.T) {
	cs, video, _ := gopped(t)
	r := newRung(true, true)
	r.write(slices.Concat(video[:20], video[120:])...)
	r.follow(cs)
	last := r.made[1].Video[len(r.made[1].Video)-1]
	if r.made[2] != nil || last.DTS+last.Duration != cs[1].End() {
		t.Errorf("the last picture before a hole ends at %d, its chunk at %d", last.DTS+last.Duration, cs[1].End())
	}
}

func TestFollowerSound(t *testing.T) {
	cs, video, audio := gopped(t)
	missing := func(from, to int) []media.Frame { return slices.Concat(audio[:from], audio[to:]) }
	for _, tt := range []struct {
		name    string
		frames  []media.Frame
		at      int // frames of sound from here on
		silent  int // are silence
		waiting bool
	}{
		{name: "all there", frames: audio},
		{name: "three missing", frames: missing(30, 33), at: 30, silent: 3},
		{name: "the first missing", frames: missing(0, 5), at: 0, silent: 5},
		{name: "half a frame late", frames: func() []media.Frame {
			late := slices.Clone(audio)
			late[30].DTS += halfFrame
			return late
		}(), at: 30, silent: 1},
		{name: "more than half a frame early", frames: func() []media.Frame {
			early := slices.Clone(audio)
			early[30].DTS -= halfFrame + 1
			return early
		}(), at: 30, silent: 1},
		{name: "one too many", frames: func() []media.Frame {
			one := audio[30]
			one.DTS += 300
			return slices.Insert(slices.Clone(audio), 31, one)
		}()},
	} {
		for _, pictured := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/pictures %v", tt.name, pictured), func(t *testing.T) {
				r := newRung(pictured, false)
				r.write(video...)
				r.write(tt.frames...)
				r.Finish()
				r.follow(cs)
				r.check(t, cs)
				if r.holes() != nil {
					t.Fatalf("holes at %v", r.holes())
				}
				n, first := 0, 0
				k := 0
				for i, c := range r.made {
					for j, f := range c.Audio {
						if silent(f) && !silent(cs[i].Audio[j]) {
							if n++; n == 1 {
								first = k
							}
						}
						k++
					}
				}
				if n != tt.silent || n > 0 && first != tt.at {
					t.Errorf("%d frames of silence from frame %d on, want %d from %d on", n, first, tt.silent, tt.at)
				}
			})
		}
	}
}

// Where the sound's coding changes it has a hole to the end of the segment, and no
// frame is handed out with what is not its own.
func TestFollowerSoundChanges(t *testing.T) {
	cs, video, audio := gopped(t)
	r := newRung(true, false)
	r.write(video...)
	r.params.Audio = rungStereo
	r.write(audio[:120]...)
	left := r.follow(cs)
	r.params.Audio = rungMono
	r.write(audio[120:]...)
	r.Finish()
	r.follow(left)
	r.check(t, cs)
	if holes := r.holes(); !slices.Equal(holes, []int{7, 8, 9, 10, 11}) {
		t.Errorf("holes at %v", holes)
	}
	early := newRung(true, false)
	early.write(video...)
	early.write(audio[:120]...)
	early.params.Audio = rungMono
	early.write(audio[120:]...)
	early.Finish()
	early.follow(cs)
	early.check(t, cs)
	for i, c := range early.made {
		for _, f := range c.Audio {
			if !silent(f) && f.DTS < audio[120].DTS && c.Params.Audio.Equal(rungMono) {
				t.Fatalf("chunk %d: sound at %d is of the coding before", i, f.DTS)
			}
		}
	}
}

// A chunk waits for its sound, but not where the source has none.
func TestFollowerWaitsForSound(t *testing.T) {
	cs, video, audio := gopped(t)
	for _, pictured := range []bool{true, false} {
		r := newRung(pictured, false)
		r.write(video...)
		n := len(cs[0].Audio)
		r.write(audio[:n-1]...)
		if _, ok := r.Follow(&cs[0]); ok {
			t.Errorf("pictures %v: the last frame of sound is not waited for", pictured)
		}
		r.write(audio[n-1])
		if _, ok := r.Follow(&cs[0]); !ok {
			t.Errorf("pictures %v: all is there and waited for", pictured)
		}
	}
	mute := cut(t, testParams, pictures(360, 30, 60, false, 0))
	for _, pictured := range []bool{true, false} {
		r := newRung(pictured, false)
		r.write(video...)
		left := r.follow(mute)
		if pictured && len(left) > 1 || !pictured && left != nil {
			t.Errorf("pictures %v: %d chunks wait for sound that the source has not", pictured, len(left))
		}
		if c := r.made[0]; c == nil || !c.Params.Audio.Equal(testStereo) || !silent(c.Audio[0]) {
			t.Errorf("pictures %v: the silence is %+v", pictured, c)
		}
	}
}

// A rung of sound alone is back with any segment.
func TestFollowerSoundAlone(t *testing.T) {
	p := pictures(600, 30, 600, false, 0) // one GOP
	frames := interleave(p, sounds(960, 48_000, Origin), 48_000)
	cs := cut(t, testParams, frames)
	r := newRung(false, false)
	r.write(reencoded(frames, false, 0)...)
	r.Finish()
	left := r.skip(cs, 4)
	for ; !left[0].Segment; left = left[1:] {
		r.follow(left[:1])
	}
	back := len(r.made)
	r.follow(left)
	r.check(t, cs)
	if holes := r.holes(); len(holes) != back || back < 5 || cs[back].keyed() {
		t.Errorf("holes at %v, want up to %d", holes, back)
	}
	// Without sound there is no such rung.
	if c, ok := newRung(false, false).Follow(&cut(t, media.Params{Video: testVideo}, p)[0]); c != nil || !ok {
		t.Error("a rung of sound alone has a chunk of a stream without")
	}
}

// What a rung delivers too early or too late takes little memory.
func TestFollowerBounds(t *testing.T) {
	cs, video, audio := gopped(t)
	big := make([]byte, 1<<20)
	r := newRung(true, false)
	for i := range 10_000 {
		f := video[i%60]
		f.PTS, f.Payload = Origin+media.Ticks(i)*3000, big
		r.write(f)
		f = audio[0]
		f.DTS = audio[0].DTS + media.Ticks(i)*media.SamplesPerFrame
		r.write(f)
	}
	if n := len(r.video) << 20; r.size > maxAhead || n > maxAhead || len(r.video)*100 > maxAhead {
		t.Errorf("%d bytes are kept", n)
	}
	for i := range cs {
		r.Skip(&cs[i])
	}
	if len(r.video) > 0 || len(r.sound) > 0 && r.sound[0].DTS < cs[len(cs)-1].Audio[0].DTS {
		t.Errorf("%d pictures, %d bytes are left of what is given up", len(r.video), r.size)
	}
	more := slices.Clone(video[:2])
	more[0].PTS, more[1].PTS = 1<<40, 1<<40+3000
	more[0].Key, more[1].Key = false, true
	r.write(more...)
	if len(r.video) != 1 || !r.video[0].Key {
		t.Errorf("%d pictures are kept of what follows those that were dropped", len(r.video))
	}
	late := newRung(true, false)
	for i := range cs {
		late.Skip(&cs[i])
	}
	late.write(video...)
	if len(late.video) > 0 || late.size != 0 {
		t.Errorf("%d pictures that are too late are kept", len(late.video))
	}
}

// A clone keeps its frames when the cutter goes on; a chunk of sound has no pictures.
func TestChunkCopies(t *testing.T) {
	var first *Chunk
	var was Chunk
	c := NewCutter(Origin, func(c *Chunk) error {
		if first == nil {
			first, was = c.Clone(), *c
			was.Video, was.Audio = slices.Clone(c.Video), slices.Clone(c.Audio)
		}
		var buf Chunk
		s := c.SoundOnly(&buf)
		if s.Params.Video != nil || s.Params.Audio != c.Params.Audio || s.Video != nil || !s.Independent || len(s.Audio) != len(c.Audio) || s.Start != c.Start || s.Segment != c.Segment {
			t.Errorf("sound of %+v is %+v", c, s)
		}
		if c.Params.Video == nil || c.Video == nil {
			t.Error("the pictures are gone from the source")
		}
		return nil
	})
	check(t, c.Begin(testParams))
	check(t, write(c, interleave(pictures(90, 30, 60, false, 0), sounds(150, 48_000, Origin), 48_000)))
	check(t, c.Flush())
	if !slices.EqualFunc(first.Video, was.Video, frameEqual) || !slices.EqualFunc(first.Audio, was.Audio, frameEqual) || len(was.Video) == 0 {
		t.Error("the clone's frames have changed")
	}
}
