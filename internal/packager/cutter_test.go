package packager

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"anabranch/internal/media"
)

// Segments start with key frames whenever GOPs allow it, and long GOPs are
// divided without leaving rests.
func TestCutterSegments(t *testing.T) {
	tests := []struct {
		name string
		rate float64
		gop  int // frames
		// after the first GOPs: segments of a GOP, or GOPs of a segment
		perGOP, perSegment int
	}{
		{"half second", 30, 15, 0, 2},
		{"1 s", 30, 30, 0, 1},
		{"1 s at 23.976", 23.976, 24, 0, 1},
		{"2 s", 60, 120, 0, 1},
		{"2.002 s", 29.97, 60, 0, 1},
		{"1.9 s", 30, 57, 0, 1},
		{"1.7 s", 30, 51, 0, 1},
		{"4 s", 25, 100, 0, 1},
		{"4.004 s", 29.97, 120, 0, 1},
		{"x264 default at 60", 60, 250, 0, 1},
		{"5 s", 30, 150, 2, 0},
		{"x264 default at 30", 30, 250, 3, 0},
		{"x264 default at 25", 25, 250, 3, 0},
		{"20 s", 24, 480, 6, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cs := cut(t, testParams, pictures(4*max(tt.gop, int(tt.rate*10)), tt.rate, tt.gop, false, 0))
			cs.check(t)
			gop := media.Ticks(float64(tt.gop) / tt.rate * media.VideoRate)
			segments := cs.segments()
			segments = segments[:len(segments)-1]
			n := 0
			for i, s := range segments {
				if s.duration > targetSegment && gop <= targetSegment-slack {
					t.Errorf("segment of %v with GOPs of %v", s.duration.Duration(media.VideoRate), gop.Duration(media.VideoRate))
				}
				if s.start < Origin+gop-200 { // the first GOP's length is not known
					continue
				}
				if s.duration < minSegment {
					t.Errorf("segment %d lasts %v", i, s.duration.Duration(media.VideoRate))
				}
				if tt.perSegment > 0 {
					want := media.Ticks(tt.perSegment) * gop
					if d := s.duration - want; !s.keyed || d < -200 || d > 200 {
						t.Errorf("segment %d: %d ticks, key frame %v; want %d, true", i, s.duration, s.keyed, want)
					}
					continue
				}
				if s.keyed {
					if n != 0 && n != tt.perGOP {
						t.Errorf("GOP in %d segments, want %d", n, tt.perGOP)
					}
					n = 0
				}
				n++
			}
		})
	}
}

// The first segment is one part, the next lasts until a key frame, after a join
// too, so that players of whole segments begin at once.
func TestCutterBegins(t *testing.T) {
	for _, tt := range []struct {
		name string
		rate float64
		gop  int             // frames
		want []time.Duration // where segments end, in ms
	}{
		{"GOP of 2 s", 30, 60, []time.Duration{333, 2000, 4000, 6000}},
		{"GOP of 1 s", 30, 30, []time.Duration{333, 1000, 2000, 3000}},
		{"GOP of half a second", 30, 15, []time.Duration{333, 1000, 2000, 3000}},
		{"key frames only", 25, 1, []time.Duration{320, 1240, 2160, 3080}},
		{"GOP of 4 s", 30, 120, []time.Duration{333, 4000, 8000}},
		{"GOP of 5 s", 30, 150, []time.Duration{333, 4333, 5000, 7600, 10000}},
		{"5 fps", 5, 10, []time.Duration{335, 2000, 4000, 6000}},
		{"2 fps", 2, 4, []time.Duration{335, 2000, 4000, 6000}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var cs chunks
			c := NewCutter(Origin, cs.emit)
			for range 2 {
				check(t, c.Begin(media.Params{Video: testVideo}))
				start, first := c.End(), len(cs)
				check(t, write(c, shift(pictures(int(11*tt.rate), tt.rate, tt.gop, false, 0), start-Origin)))
				if c := cs[first]; !c.Segment || !c.SegmentEnd {
					t.Error("the first segment is not one part")
				}
				var got []time.Duration
				for _, c := range cs[first:] {
					if c.SegmentEnd && len(got) < len(tt.want) {
						got = append(got, (c.End()-start).Duration(media.VideoRate)/time.Millisecond)
					}
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("segments end at %d, want %d", got, tt.want)
				}
				check(t, c.Flush())
			}
			cs.check(t)
		})
	}
}

// A fixed case, to be read: 30 fps, a GOP of a second, audio along.
func TestCutterParts(t *testing.T) {
	cs := cut(t, testParams, interleave(pictures(75, 30, 30, false, 0), sounds(117, 48000, Origin), 48000))
	cs.check(t)
	var got []string
	for _, c := range cs {
		s := fmt.Sprintf("+%v v%d a%d", c.Duration.Duration(media.VideoRate).Milliseconds(), len(c.Video), len(c.Audio))
		for _, flag := range []struct {
			set  bool
			name string
		}{{c.Segment, " segment"}, {c.Independent, " key"}, {c.SegmentEnd, " end"}, {c.Discontinuity, " discontinuity"}} {
			if flag.set {
				s += flag.name
			}
		}
		got = append(got, s)
	}
	want := []string{
		"+333 v10 a16 segment key end", "+333 v10 a16 segment", "+334 v10 a15 end",
		"+333 v10 a16 segment key", "+333 v10 a16", "+334 v10 a15 end",
		"+333 v10 a16 segment key", "+166 v5 a8 end",
	}
	if !slices.Equal(got, want) {
		t.Errorf("chunks:\n%q\nwant\n%q", got, want)
	}
}

// An encoder that runs out of bandwidth leaves pictures out, for a second or
// more, while sound goes on.
func TestCutterLongFrames(t *testing.T) {
	for _, gap := range []time.Duration{300, 340, 400, 671, 1000, 2900, 9000} {
		t.Run(fmt.Sprint(gap*time.Millisecond), func(t *testing.T) {
			ticks := media.TicksOf(gap*time.Millisecond, media.VideoRate)
			video := pictures(300, 30, 60, false, 0)
			for i := range video {
				if i >= 75 {
					video[i].DTS += ticks
					video[i].PTS += ticks
				}
			}
			audio := sounds(900, 48000, Origin)
			cs := cut(t, testParams, interleave(video, audio, 48000))
			cs.check(t)
			same(t, cs.video(), video)
			same(t, cs.heard(), before(audio, cs[len(cs)-1].End(), 48000))
			for i, c := range cs {
				if len(c.Audio) == 0 {
					t.Errorf("chunk %d has no audio", i)
				}
			}
			if f := cs.video()[74]; f.Duration < ticks {
				t.Errorf("frame before the gap lasts %d ticks, gap is %d", f.Duration, ticks)
			}
		})
	}
	t.Run("another stream", func(t *testing.T) {
		video := pictures(60, 30, 30, false, 0)
		for i := range video[30:] {
			video[30+i].DTS += maxGap
		}
		cs := cut(t, testParams, video)
		cs.check(t)
		if !slices.ContainsFunc(cs, func(c Chunk) bool { return c.Discontinuity && c.Start == video[30].DTS }) {
			t.Error("a gap of more than 10 s is no discontinuity")
		}
	})
}

func TestCutterJoin(t *testing.T) {
	var cs chunks
	c := NewCutter(Origin, cs.emit)
	stream := func(p media.Params, start media.Ticks, frames int) {
		t.Helper()
		if err := c.Begin(p); err != nil {
			t.Fatal(err)
		}
		video := pictures(frames, 30, 30, false, 0)
		for i := range video {
			video[i].DTS += start - Origin
			video[i].PTS += start - Origin
		}
		var audio []media.Frame
		if p.Audio != nil { // begins before the pictures and outlasts them
			audio = sounds(frames*p.Audio.SampleRate/1024/30+30, p.Audio.SampleRate, start-20_000)
		}
		if err := write(c, interleave(video, audio, p.Rate(media.Audio))); err != nil {
			t.Fatal(err)
		}
	}
	stream(testParams, Origin, 40)
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	first := len(cs)
	if cs[0].Discontinuity {
		t.Error("a fresh run begins with a discontinuity")
	}
	if want := Origin + 1334*90; c.End() != want {
		t.Errorf("first stream ends at %d, want %d", c.End(), want)
	}

	stream(testParams, c.End(), 40)
	second := len(cs)
	end := c.End()
	mono := media.Params{Video: testVideo, Audio: testMono}
	if err := c.Begin(mono); err != nil { // without Flush
		t.Fatal(err)
	}
	if c.End() <= end || len(cs) <= second || !cs[len(cs)-1].SegmentEnd {
		t.Error("Begin leaves frames unwritten")
	}
	third := len(cs)
	stream(mono, c.End(), 40)
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	cs.check(t)
	for i, c := range cs {
		if want := i == first || i == third; c.Discontinuity != want {
			t.Errorf("chunk %d: discontinuity is %v", i, c.Discontinuity)
		}
		if i > 0 && c.Start != cs[i-1].End() {
			t.Errorf("chunk %d starts at %d, not %d", i, c.Start, cs[i-1].End())
		}
		if len(c.Audio) > 0 && c.Discontinuity {
			if at := c.Audio[0].DTS.Rescale(c.Params.Audio.SampleRate, 90000); at < c.Start {
				t.Errorf("chunk %d: audio starts at %d, before the join at %d", i, at, c.Start)
			}
		}
	}

	t.Run("restart", func(t *testing.T) {
		var cs chunks
		c := NewCutter(c.End(), cs.emit)
		video := pictures(10, 30, 30, false, 0)
		for i := range video {
			video[i].DTS += c.End() - Origin
		}
		if err := errors.Join(c.Begin(testParams), write(c, video), c.Flush()); err != nil {
			t.Fatal(err)
		}
		if !cs[0].Discontinuity {
			t.Error("a run taken up again begins without a discontinuity")
		}
	})
}

func TestCutterDrops(t *testing.T) {
	good := interleave(shift(pictures(60, 30, 30, true, 0), 900), sounds(93, 48000, Origin+900), 48000)
	want := cut(t, testParams, good)
	back := media.Frame{Kind: media.Video, DTS: Origin - 900, Key: true, Payload: []byte{1}}
	delta := media.Frame{Kind: media.Video, DTS: Origin, Payload: []byte{1}}
	var bad []media.Frame
	bad = append(bad, back, delta, sounds(1, 48000, Origin-2000)[0])
	for _, f := range good {
		bad = append(bad, f, f) // the second is not later than the first
	}
	got := cut(t, testParams, bad)
	got.check(t)
	same(t, got.video(), want.video())
	same(t, got.heard(), want.heard())

	t.Run("no audio track", func(t *testing.T) {
		cs := cut(t, media.Params{Video: testVideo}, good)
		cs.check(t)
		if n := len(cs.audio()); n > 0 {
			t.Errorf("%d audio frames of no track", n)
		}
	})
	t.Run("stalled video", func(t *testing.T) {
		c := NewCutter(Origin, new(chunks).emit)
		c.Begin(testParams)
		if err := errors.Join(write(c, good), write(c, sounds(100_000, 48000, Origin+300_000))); err != nil {
			t.Fatal(err)
		}
		if n := len(c.sound.frames); n > maxQueued {
			t.Errorf("%d audio frames queued", n)
		}
	})
}

func TestCutterAudio(t *testing.T) {
	video := pictures(300, 30, 60, false, 0)
	t.Run("late", func(t *testing.T) {
		audio := sounds(400, 48000, Origin)
		frames := lagging(video, audio, 48000, 45_000)
		cs := cut(t, testParams, frames)
		cs.check(t)
		same(t, cs.heard(), audio)
	})
	t.Run("hole", func(t *testing.T) {
		audio := sounds(400, 48000, Origin)
		audio = slices.Delete(audio, 100, 104)
		cs := cut(t, testParams, interleave(video, audio, 48000))
		cs.check(t)
		same(t, cs.heard(), audio)
		for i, f := range cs.heard()[:399-4] {
			if f.Duration != 1024 {
				t.Errorf("audio frame %d lasts %d samples", i, f.Duration)
			}
		}
	})
	t.Run("pause", func(t *testing.T) {
		audio := sounds(400, 48000, Origin)
		audio = slices.Delete(audio, 100, 300)
		cs := cut(t, testParams, interleave(video, audio, 48000))
		cs.check(t)
		same(t, cs.heard(), audio)
	})
	t.Run("none", func(t *testing.T) {
		cs := cut(t, testParams, video)
		cs.check(t)
		same(t, cs.video(), video)
	})
	t.Run("starts late", func(t *testing.T) {
		audio := sounds(300, 48000, Origin+70_000)
		cs := cut(t, testParams, interleave(video, audio, 48000))
		cs.check(t)
		same(t, cs.heard(), audio)
	})
	t.Run("resumes late", func(t *testing.T) { // half a second behind
		audio := sounds(400, 48000, Origin)
		audio = slices.Delete(audio, 100, 250)
		cs := cut(t, testParams, lagging(video, audio, 48000, 45_000))
		cs.check(t)
		// What came while pictures did not wait is lost, at most what they are
		// ahead by.
		if n := len(audio) - len(cs.heard()); n > 26 {
			t.Errorf("%d audio frames lost", n)
		}
	})
	t.Run("very late", func(t *testing.T) {
		audio := sounds(400, 48000, Origin)
		cs := cut(t, testParams, lagging(video, audio, 48000, 180_000))
		cs.check(t)
		same(t, cs.video(), video)
		if n := len(cs.heard()); n < 300 || cs.heard()[n-1].DTS != audio[399].DTS {
			t.Errorf("only %d audio frames of 400 are left", n)
		}
	})
}

// Pictures wait for their sound, but not longer than a second, and not at all
// when there is none any more.
func TestCutterWait(t *testing.T) {
	video, audio := pictures(300, 30, 30, false, 0), sounds(100, 48000, Origin)
	for _, late := range []bool{false, true} {
		var cs chunks
		c := NewCutter(Origin, cs.emit)
		c.Begin(testParams)
		if !late {
			write(c, audio)
		}
		longest := media.Ticks(0)
		for i, f := range video {
			if err := c.Write(f); err != nil {
				t.Fatal(err)
			}
			if wait := f.DTS - c.End(); wait > longest {
				longest = wait
			}
			if i > 100 && f.DTS-c.End() > maxPart {
				t.Errorf("picture %d waits %d ticks although sound is missing", i, f.DTS-c.End())
			}
			if late && i == 20 {
				if len(cs) > 0 {
					t.Error("part without its sound")
				}
				write(c, audio)
				if len(cs) != 2 {
					t.Errorf("%d parts once the sound is there", len(cs))
				}
			}
		}
		if longest > minWait+maxPart {
			t.Errorf("picture waits %d ticks", longest)
		}
		c.Flush()
		cs.check(t)
		same(t, cs.video(), video)
		same(t, cs.heard(), audio)
	}
}

func TestCutterTime(t *testing.T) {
	const rate = 30
	tests := []struct {
		name  string
		delay func(i int) time.Duration // of capture, for frame i
		want  []time.Duration           // Time of each segment less epoch
	}{
		{"steady", func(int) time.Duration { return 0 },
			[]time.Duration{0, 333 * time.Millisecond, 2 * time.Second, 4 * time.Second}},
		{"slow clock", func(i int) time.Duration { return time.Duration(i) * time.Millisecond },
			[]time.Duration{0, 336330 * time.Microsecond, 2020 * time.Millisecond, 4040 * time.Millisecond}},
		{"stall", func(i int) time.Duration {
			if i > 70 {
				return 600 * time.Millisecond
			}
			return 0
		}, []time.Duration{0, 333 * time.Millisecond, 2 * time.Second, 4600 * time.Millisecond}},
		{"stall that is made up for", func(i int) time.Duration {
			if i > 70 {
				return max(0, 1500*time.Millisecond-time.Duration(i-70)*time.Second/rate)
			}
			return 0
		}, []time.Duration{0, 333 * time.Millisecond, 2 * time.Second, 4 * time.Second}},
		{"fast clock", func(i int) time.Duration { return -time.Duration(i) * time.Millisecond },
			[]time.Duration{-9667 * time.Microsecond, 323333 * time.Microsecond, 1973663 * time.Microsecond, 3953663 * time.Microsecond}},
		{"burst", func(i int) time.Duration { return -time.Duration(i) * 20 * time.Millisecond },
			[]time.Duration{-199667 * time.Microsecond, 130003 * time.Microsecond, 963503 * time.Microsecond, 1963503 * time.Microsecond}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			video := pictures(180, rate, 60, false, 0)
			for i := range video {
				video[i].Captured = video[i].Captured.Add(tt.delay(i))
			}
			cs := cut(t, testParams, video)
			cs.check(t)
			var got []time.Duration
			for _, c := range cs {
				if c.Segment {
					got = append(got, c.Time.Sub(epoch).Round(time.Microsecond))
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("segments at %v, want %v", got, tt.want)
			}
		})
	}
	t.Run("join", func(t *testing.T) {
		var cs chunks
		c := NewCutter(Origin, cs.emit)
		c.Begin(testParams)
		write(c, pictures(60, rate, 60, false, 0))
		c.Flush()
		video := pictures(60, rate, 60, false, 0)
		for i := range video {
			video[i].DTS += c.End() - Origin
			video[i].Captured = video[i].Captured.Add(7 * time.Second)
		}
		c.Begin(testParams)
		write(c, video)
		c.Flush()
		cs.check(t)
		if got := cs[6].Time.Sub(epoch); !cs[6].Discontinuity || got != 7*time.Second {
			t.Errorf("join at %v, want 7s", got)
		}
	})
}

func TestCutterEmitError(t *testing.T) {
	full := errors.New("disk is full")
	n := 0
	c := NewCutter(Origin, func(*Chunk) error { n++; return full })
	c.Begin(testParams)
	failed := 0
	for _, f := range pictures(60, 30, 30, false, 0) {
		if err := c.Write(f); err == full {
			failed++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if failed != n || n != 5 {
		t.Errorf("%d of %d errors returned", failed, n)
	}
}

// FuzzCutter reads a stream of frames from bytes: whatever the stamps, the
// chunks keep their promises.
func FuzzCutter(f *testing.F) {
	f.Add([]byte("\x21\x21\x21\x21\x21\x21\x21\x21\x21\x21\x21\x21\xfe\x21\x21"))
	f.Add([]byte("\x01\x80\xff\x82\x00\x05\x85\xff\xff\xff\xfe\x21\xfd\x40"))
	f.Add([]byte("\xfb\xfb\xfb\x21\x80\xfb\x21\xfc\x21\x21\xfd\x21"))
	f.Add([]byte("\xa1\xea\x21\xea\x21\xfa\xea\x21\xff\xfa\xea\xea\xfe\xa1\xfa\x21\xfd\xa1\xfa"))
	f.Add([]byte("\xfa\xfa\xe9\xe9\xe9\xe9\xe9\xe9"))
	f.Fuzz(func(t *testing.T, script []byte) {
		var cs chunks
		c := NewCutter(Origin, cs.emit)
		c.Begin(testParams)
		video, audio := Origin, Origin.Rescale(90000, 48000)
		var err error
		for _, b := range script[:min(len(script), 2000)] {
			switch {
			case b == 0xFF: // a long frame
				video += 200_000
			case b == 0xFE:
				err = c.Flush()
				video, audio = c.End(), c.End().Rescale(90000, 48000)
			case b == 0xFD:
				err = c.Begin(media.Params{Video: testVideo})
				video = c.End()
			case b == 0xFC:
				video -= 5000
			case b == 0xFB: // one tick
				video++
				err = c.Write(media.Frame{Kind: media.Video, DTS: video, PTS: video, Payload: []byte{1}, Captured: epoch})
			case b == 0xFA: // another stream goes on, unless it may not
				video += 3000
				_ = c.BeginAt(media.Params{Video: testOther.Video, Audio: c.params.Audio}, video)
				err = c.Write(media.Frame{Kind: media.Video, DTS: video, PTS: video, Key: true, Payload: []byte{1}, Captured: epoch})
			case b >= 0xE0:
				audio += media.Ticks(b-0xE8) * 512
				err = c.Write(media.Frame{Kind: media.Audio, DTS: audio, PTS: audio, Payload: []byte{1}, Captured: epoch})
			default: // a picture, up to 127 ms after the last
				video += media.Ticks(b&0x7F) * 90
				err = c.Write(media.Frame{Kind: media.Video, DTS: video, PTS: video, Key: b >= 0x80, Payload: []byte{1}, Captured: epoch})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		cs.check(t)
		var m CMAF
		ts := NewTS(TSState{})
		for i := range cs {
			if _, err := m.Append(nil, &cs[i]); err != nil {
				t.Fatal(err)
			}
			b, err := ts.Append(nil, &cs[i])
			if err != nil || len(b)%packetSize != 0 {
				t.Fatalf("%d bytes of transport stream, error %v", len(b), err)
			}
		}
	})
}

// A stream with reordering ends when its last picture has been shown, be it
// complete or torn off before the B-frames that lead up to that, so that the
// pictures of the next stream follow it.
func TestCutterTornReordering(t *testing.T) {
	const frame = 3000
	order := []media.Ticks{0, 3, 1, 2, 6, 4, 5, 9, 7, 8} // of presentation, one frame late
	for n := 1; n <= len(order); n++ {
		var cs chunks
		c := NewCutter(Origin, cs.emit)
		greatest := media.Ticks(0)
		for range 2 {
			check(t, c.Begin(media.Params{Video: testVideo}))
			start := c.End()
			for i, pts := range order[:n] {
				f := media.Frame{DTS: start + media.Ticks(i)*frame, PTS: start + (pts+1)*frame, Key: i == 0, Payload: []byte{0}}
				check(t, c.Write(f))
			}
		}
		check(t, c.Flush())
		if tail := cs[len(cs)-1].Tail; tail != 0 {
			t.Errorf("%d frames: %d ticks are shown behind the end of the stream", n, tail)
		}
		for i, f := range cs.video() {
			if i >= n && f.PTS <= greatest {
				t.Errorf("%d frames: a picture of the second stream at %d, one of the first at %d", n, f.PTS, greatest)
			}
			if i < n {
				greatest = max(greatest, f.PTS)
			}
		}
		last := media.Ticks(1) // how long the last picture lasts
		if n == 2 {
			last = 3 // as the picture before it, for all that is known
		}
		shown := 1 + slices.Max(order[:n]) + last // from the first DTS to the end of the last picture
		if want := shown * 2 * frame; c.End()-Origin != want {
			t.Errorf("%d frames: both streams last %d, want %d", n, c.End()-Origin, want)
		}
	}
}

// Wherever a stream with reordering is torn off between parts, as by a kill,
// Tail tells how much longer its pictures are shown, and sound is there as long.
func TestCutterTail(t *testing.T) {
	const frame = 3000
	var cs chunks
	c := NewCutter(Origin, cs.emit)
	check(t, c.Begin(testParams))
	for _, f := range sounds(480, 48_000, Origin) {
		check(t, c.Write(f))
	}
	for i := range media.Ticks(300) { // I, then PBB PBB …, shown one frame late
		pts := i + 1
		if i%3 == 1 {
			pts = i + 3
		} else if i > 0 {
			pts = i
		}
		check(t, c.Write(media.Frame{
			DTS: Origin + i*frame, PTS: Origin + pts*frame, Key: i%60 == 0, Payload: []byte{0},
			Captured: epoch.Add((i * frame).Duration(media.VideoRate)),
		}))
	}
	var shown []media.Frame
	var heard media.Ticks
	tails := map[media.Ticks]bool{}
	for _, chunk := range cs {
		shown = append(shown, chunk.Video...)
		heard = max(heard, lastShown(shown))
		if want := max(0, heard-chunk.End()); chunk.Tail != want {
			t.Errorf("chunk to %d: tail %d, want %d", chunk.End(), chunk.Tail, want)
		}
		tails[chunk.Tail] = true
	}
	if len(tails) < 2 {
		t.Errorf("tails are all the same: %v", tails)
	}
	cs.check(t)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
