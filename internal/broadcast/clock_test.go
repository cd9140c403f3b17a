package broadcast

import (
	"slices"
	"testing"
	"time"

	"anabranch/internal/media"
)

const (
	origin = media.Ticks(900_000)
	ms     = media.Ticks(media.SourceRate / 1000)
	rate   = 48_000
)

// feeder stamps frames as a publisher would and collects where they land.
type feeder struct {
	t     *testing.T
	c     *clock
	jumps int
	video []media.Ticks
	audio []media.Ticks // in samples
}

func newFeeder(t *testing.T) *feeder { return &feeder{t: t, c: newClock(origin, rate)} }

func (p *feeder) put(f media.Frame) verdict {
	p.t.Helper()
	v := p.c.place(&f)
	if v == jump {
		p.jumps++
		start := p.c.videoEnd + 3000
		p.c.restart(start)
		// The cutter drops audio that reaches more than a frame over the end.
		p.audio = slices.DeleteFunc(p.audio, func(at media.Ticks) bool {
			return at > start.Rescale(media.VideoRate, rate)
		})
		f.Key = true
		v = p.c.place(&f)
	}
	if v == use && f.Kind == media.Video {
		p.video = append(p.video, f.DTS)
	} else if v == use {
		p.audio = append(p.audio, f.DTS)
	}
	return v
}

func (p *feeder) picture(at media.Ticks) verdict {
	p.t.Helper()
	return p.put(media.Frame{Kind: media.Video, DTS: at, PTS: at, Key: len(p.video) == 0})
}

func (p *feeder) sound(at media.Ticks) verdict {
	p.t.Helper()
	return p.put(media.Frame{Kind: media.Audio, DTS: at, PTS: at, Key: true})
}

// rising fails unless times only go forward.
func rising(t *testing.T, what string, times []media.Ticks) {
	t.Helper()
	for i := 1; i < len(times); i++ {
		if times[i] <= times[i-1] {
			t.Fatalf("%s frame %d at %d is not after %d", what, i, times[i], times[i-1])
		}
	}
}

// Whatever a publisher's clock shows at the start, its first key frame lands
// where the broadcast is, and the others keep their distance.
func TestClockStartsAnywhere(t *testing.T) {
	for _, begin := range []media.Ticks{0, 1, -5 * ms, 1 << 40, (1<<32)*ms - 50*ms, 1<<33 - 3000} {
		p := newFeeder(t)
		for i := range media.Ticks(100) {
			p.picture(begin + i*3000)
		}
		for i, at := range p.video {
			if want := origin + media.Ticks(i)*3000; at != want {
				t.Fatalf("begun at %d: frame %d at %d, want %d", begin, i, at, want)
			}
		}
	}
}

// A clock that wraps goes on; one that jumps begins anew behind the last frame.
func TestClockSteps(t *testing.T) {
	second := media.Ticks(media.SourceRate)
	for _, tt := range []struct {
		name  string
		from  media.Ticks
		step  media.Ticks // instead of one frame
		jumps int
		land  media.Ticks // distance of the two frames on the timeline
	}{
		{"steady", 0, 3000, 0, 3000},
		{"the same stamp twice", 0, 0, 0, 3000},
		{"a stall of 2.9 s", 0, 29 * second / 10, 0, 29 * second / 10},
		{"3.1 s forward", 0, 31 * second / 10, 1, 3000},
		{"an hour forward", 0, 3600 * second, 1, 3000},
		{"1 s back", 10 * second, -second, 0, 3000},
		{"an hour back", 7200 * second, -3600 * second, 1, 3000},
		{"the 32-bit wrap of RTMP", (1<<32)*ms - 3000, 3000 - (1<<32)*ms, 0, 3000},
		{"the 31-bit wrap", (1<<31)*ms - 3000, 3000 - (1<<31)*ms, 0, 3000},
		{"the 24-bit wrap", (1<<24)*ms - 3000, 3000 - (1<<24)*ms, 0, 3000},
		{"the 33-bit wrap of MPEG-TS", 1<<33 - 3000, 3000 - 1<<33, 0, 3000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newFeeder(t)
			p.picture(tt.from - 3000)
			p.picture(tt.from)
			p.picture(tt.from + tt.step)
			p.picture(tt.from + tt.step + 3000)
			if p.jumps != tt.jumps {
				t.Errorf("%d jumps, want %d", p.jumps, tt.jumps)
			}
			if got := p.video[2] - p.video[1]; got != tt.land {
				t.Errorf("landed %d behind the last frame, want %d", got, tt.land)
			}
			rising(t, "video", p.video)
		})
	}
}

// Frames before the first key frame, and audio before the first picture, have
// no place.
func TestClockBegin(t *testing.T) {
	p := newFeeder(t)
	if v := p.sound(0); v != drop {
		t.Errorf("audio before any video: %v", v)
	}
	f := media.Frame{Kind: media.Video, DTS: 0}
	if v := p.c.place(&f); v != drop {
		t.Errorf("a picture that is no key frame: %v", v)
	}
	p.picture(3000)
	if v := p.sound(0); v != drop {
		t.Errorf("audio older than the first picture: %v", v)
	}
	if v := p.sound(3000 + 3000); v != use {
		t.Errorf("audio with the pictures: %v", v)
	}
	if want := (origin + 3000).Rescale(media.VideoRate, rate); p.audio[0] != want {
		t.Errorf("first audio at %d, want %d", p.audio[0], want)
	}
}

// Audio stamps rounded to the millisecond come out one frame apart to the
// sample, and follow the stamps when these leave the count.
func TestClockCountsSamples(t *testing.T) {
	p := newFeeder(t)
	p.picture(0)
	stamp := func(i int) media.Ticks { // as RTMP rounds it
		return media.Ticks(time.Duration(i)*1024*time.Second/rate/time.Millisecond) * ms
	}
	for i := 1; i <= 500; i++ {
		p.sound(stamp(i))
		p.picture(stamp(i) + 1)
	}
	for i := 1; i < len(p.audio); i++ {
		if step := p.audio[i] - p.audio[i-1]; step != media.SamplesPerFrame {
			t.Fatalf("audio frame %d is %d samples after the one before", i, step)
		}
	}

	last := p.audio[len(p.audio)-1]
	p.sound(stamp(501) + 100*ms) // a hole of 100 ms
	hole := p.audio[len(p.audio)-1] - last - media.SamplesPerFrame
	if want := media.Ticks(rate / 10); hole < want-rate/500 || hole > want+rate/500 {
		t.Errorf("a hole of 100 ms became one of %d samples, want about %d", hole, want)
	}
	if v := p.sound(stamp(502) - 100*ms); v != drop {
		t.Errorf("audio 100 ms behind the count: %v", v)
	}
	rising(t, "audio", p.audio)
}

// Whatever comes, times of a track only go forward, and reordering is kept.
func FuzzClock(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 0x80, 0xff, 7})
	f.Fuzz(func(t *testing.T, data []byte) {
		p := newFeeder(t)
		var at [2]media.Ticks
		for _, b := range data {
			kind := media.Kind(b & 1)
			step := media.Ticks(int8(b)>>1) * 40 * ms
			if b&0x1e == 0x1e {
				step *= 1 << 20
			}
			at[kind] += step
			p.put(media.Frame{Kind: kind, DTS: at[kind], PTS: at[kind] + 100, Key: b&2 != 0})
		}
		rising(t, "video", p.video)
		rising(t, "audio", p.audio)
	})
}
