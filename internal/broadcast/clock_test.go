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

// In an endless GOP no key frame follows a jump: pictures and sound go on
// behind the last.
func TestClockJumpsWithoutKeyFrame(t *testing.T) {
	for _, jump := range []media.Ticks{31 * media.SourceRate / 10, 3600 * media.SourceRate, -3600 * media.SourceRate} {
		p := newFeeder(t)
		begin := media.Ticks(7200 * media.SourceRate)
		for i := range media.Ticks(300) {
			if i == 150 {
				begin += jump
			}
			if p.picture(begin+i*3000) != use || p.jumps > 0 {
				t.Fatalf("picture %d has no place", i)
			}
			p.sound(begin + i*3000)
		}
		for i, at := range p.video {
			if want := origin + media.Ticks(i)*3000; at != want {
				t.Fatalf("a jump of %d: picture %d at %d, want %d", jump, i, at, want)
			}
		}
		rising(t, "audio", p.audio)
		if apart := p.audio[len(p.audio)-1].Rescale(rate, media.VideoRate) - p.video[299]; apart < -3600 || apart > 3600 {
			t.Errorf("sound ends %d ticks from the pictures", apart)
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
		{"the same stamp twice", 0, 0, 0, 90},
		{"10 ms back", second, -second / 100, 0, 90},
		{"11 ms back", second, -11 * second / 1000, 0, 3000},
		{"a stall of 2.9 s", 0, 29 * second / 10, 0, 29 * second / 10},
		{"3.1 s forward", 0, 31 * second / 10, 1, 3000},
		{"an hour forward", 0, 3600 * second, 1, 3000},
		{"1 s back", 10 * second, -second, 0, 3000},
		{"2.9 s back", 10 * second, -29 * second / 10, 0, 3000},
		{"3.1 s back", 10 * second, -31 * second / 10, 1, 3000},
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
			at := tt.from + tt.step
			p.put(media.Frame{Kind: media.Video, DTS: at, PTS: at, Key: true})
			p.picture(at + 3000)
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
	// 33 ms are a frame and a half: the second place of the grid.
	if want := origin.Rescale(media.VideoRate, rate) + 2*media.SamplesPerFrame; p.audio[0] != want {
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
	p.sound(stamp(501) + 100*ms) // a hole of 100 ms: room for five frames
	if hole := p.audio[len(p.audio)-1] - last - media.SamplesPerFrame; hole != 5*media.SamplesPerFrame {
		t.Errorf("a hole of 100 ms became one of %d samples", hole)
	}
	if v := p.sound(stamp(502) - 100*ms); v != drop {
		t.Errorf("audio 100 ms behind the count: %v", v)
	}
	rising(t, "audio", p.audio)
}

// interleave plays seconds of a stream of 40 ms pictures and 20 ms sounds, its
// stamps moved by what step says of each track's own time, and fails if that
// costs more sound than lost, or ever parts sound from picture.
func interleave(t *testing.T, seconds int, lost int, step func(k media.Kind, at media.Ticks) media.Ticks) *feeder {
	t.Helper()
	p := newFeeder(t)
	p.c.rate = 51_200 // frames of 20 ms
	p.c.restart(origin)
	dropped := 0
	for i := range media.Ticks(seconds) * 50 {
		at := i * 20 * ms
		if i%2 == 0 {
			p.picture(1<<30 + at + step(media.Video, at))
		}
		if p.sound(1<<30+at+step(media.Audio, at)) != use {
			dropped++
		}
	}
	if dropped > lost {
		t.Errorf("%d frames of audio were dropped, want at most %d", dropped, lost)
	}
	rising(t, "video", p.video)
	rising(t, "audio", p.audio)
	return p
}

// Tracks that step together need not do so in the same moment: audio that was
// stamped before the step, and is still on its way, is not misplaced.
func TestClockStepsOfBothTracks(t *testing.T) {
	const after = 5 * media.SourceRate
	for _, step := range []media.Ticks{-2 * media.SourceRate, -500 * ms, -50 * ms, 50 * ms, 500 * ms} {
		for _, lead := range []media.Ticks{-200 * ms, 0, 200 * ms} { // of audio
			p := interleave(t, 20, 15, func(k media.Kind, at media.Ticks) media.Ticks {
				if k == media.Audio {
					at += lead
				}
				if at >= after {
					return step
				}
				return 0
			})
			video, audio := p.video[len(p.video)-1], p.audio[len(p.audio)-1].Rescale(p.c.rate, media.VideoRate)
			// The last sound was stamped 20 ms after the last picture.
			if apart := (audio - video - 20*ms).Duration(media.VideoRate).Abs(); apart > maxAudioSkew {
				t.Errorf("a step of %v, audio %v ahead: %v apart", step.Duration(media.SourceRate), lead.Duration(media.SourceRate), apart)
			}
			if p.jumps != 0 {
				t.Errorf("a step of %v: %d jumps", step.Duration(media.SourceRate), p.jumps)
			}
		}
	}
}

// Where video alone steps back, sound follows it within a second or so.
func TestClockStepsOfVideo(t *testing.T) {
	p := interleave(t, 20, 1, func(k media.Kind, at media.Ticks) media.Ticks {
		if k == media.Video && at >= 5*media.SourceRate {
			return -500 * ms
		}
		return 0
	})
	video, audio := p.video[len(p.video)-1], p.audio[len(p.audio)-1].Rescale(p.c.rate, media.VideoRate)
	if apart := (audio - video - 520*ms).Duration(media.VideoRate).Abs(); apart > maxAudioSkew {
		t.Errorf("%v apart", apart)
	}
}

// One track's time may have holes without the other's: sound that pauses goes
// on where its stamps say, and no picture is lost for it.
func TestClockPausesOfAudio(t *testing.T) {
	for _, pause := range []time.Duration{time.Second, 5 * time.Second, time.Minute} {
		p := newFeeder(t)
		end := media.TicksOf(pause, media.SourceRate) + media.SourceRate
		for at := media.Ticks(0); at < end+media.SourceRate; at += 1920 { // frames of 1024 samples
			p.picture(at)
			if at <= media.SourceRate || at >= end {
				if v := p.sound(at); v != use && at > 2*1920 {
					t.Fatalf("after a pause of %v: audio at %d is not used", pause, at)
				}
			}
		}
		if p.jumps > 0 {
			t.Errorf("a pause of %v is a jump", pause)
		}
		if apart := p.video[len(p.video)-1] - p.audio[len(p.audio)-1].Rescale(rate, media.VideoRate); apart != 0 {
			t.Errorf("after a pause of %v sound is %d ticks off", pause, apart)
		}
	}
}

// The two tracks see a wrap one after the other.
func TestClockWrapsOfBothTracks(t *testing.T) {
	for _, wrap := range wraps {
		interleave(t, 20, 1, func(_ media.Kind, at media.Ticks) media.Ticks {
			if stamp := wrap - 5*media.SourceRate + at; stamp >= wrap {
				return stamp - wrap - at - 1<<30
			}
			return wrap - 5*media.SourceRate - 1<<30
		})
	}
}

// A clock of 24 bits wraps every 4 hours 40 minutes.
func TestClockWrapsAgain(t *testing.T) {
	const wrap, step = (1 << 24) * ms, 2 * media.SourceRate
	p := newFeeder(t)
	for at := media.Ticks(0); at < 3*wrap+10*step; at += step {
		if p.picture(at%wrap) != use || at > 0 && p.sound(at%wrap) != use {
			t.Fatalf("no place for %d", at)
		}
	}
	if p.jumps > 0 {
		t.Errorf("%d jumps", p.jumps)
	}
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

// However many pictures an encoder holds back, the first is shown where the
// broadcast is, and the others and the sound keep their distance.
func TestClockReordering(t *testing.T) {
	for _, held := range []media.Ticks{-3000, 0, 3000, 6000, 90_000} {
		c := newClock(origin, rate)
		for i, pts := range []media.Ticks{0, 3, 1, 2} {
			want := origin + pts*3000 + held
			if i == 0 {
				want = origin
			}
			f := media.Frame{Kind: media.Video, Key: i == 0, DTS: media.Ticks(i) * 3000, PTS: pts*3000 + held}
			if v := c.place(&f); v != use || f.DTS != origin+media.Ticks(i)*3000 || f.PTS != want {
				t.Errorf("PTS−DTS %d: picture %d is decoded at %d, shown at %d", held, i, f.DTS-origin, f.PTS-origin)
			}
		}
		f := media.Frame{Kind: media.Audio, DTS: 9000}
		if v := c.place(&f); v != use || apart(f.PTS.Rescale(rate, media.VideoRate), origin+9000) > 40*media.VideoRate/1000 {
			t.Errorf("PTS−DTS %d: sound is heard at %d", held, f.PTS.Rescale(rate, media.VideoRate)-origin)
		}
	}
}
