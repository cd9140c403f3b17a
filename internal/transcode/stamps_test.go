package transcode

import (
	"testing"
	"time"

	"anabranch/internal/media"
)

// A picture is known by its millisecond, even if several fall into one, and in
// whatever order they are shown.
func TestStamps(t *testing.T) {
	s := newStamps(48_000, 1)
	const base = 900_041
	given := make(map[int64]media.Ticks)
	last := int64(-1)
	for i, offsets := range [][2]media.Ticks{ // DTS and PTS, in ticks from base
		{0, 6000}, {3000, 12_000}, {6000, 9000}, {6001, 9001}, {6002, 9089}, {6090, 9002}, {9000, 9000}, {9030, 15_000},
	} {
		f := media.Frame{Kind: media.Video, DTS: base + offsets[0], PTS: base + offsets[1]}
		dts, pts := s.stamp(&f)
		if dts <= last {
			t.Errorf("picture %d is decoded at %d ms, the one before at %d", i, dts, last)
		}
		if pts < dts {
			t.Errorf("picture %d is shown at %d ms, before it is decoded", i, pts)
		}
		if other, taken := given[pts]; taken {
			t.Errorf("picture %d has the stamp of that at %d", i, other)
		}
		given[pts], last = f.PTS, dts
	}
	for ms, want := range given {
		if p, ok := s.picture(0, ms); !ok || p.pts != want {
			t.Errorf("at %d ms is %+v, want %d", ms, p, want)
		}
	}
	if p, ok := s.picture(0, last+100); ok {
		t.Errorf("a stamp that was not given is that of %+v", p)
	}
}

// Sound is found by the nearest frame, however its times were smoothed, but not
// where there was none.
func TestStampsOfSound(t *testing.T) {
	for _, rate := range []int{8000, 22_050, 44_100, 48_000, 96_000} {
		s := newStamps(rate, 0)
		s.stamp(&media.Frame{Kind: media.Video, DTS: 900_041, PTS: 900_041})
		begin := media.Ticks(10*rate) + 3
		var ms []int64
		for i := range media.Ticks(200) {
			f := media.Frame{Kind: media.Audio, DTS: begin + i*media.SamplesPerFrame}
			dts, pts := s.stamp(&f)
			if dts != pts {
				t.Fatalf("sound is decoded at %d and heard at %d", dts, pts)
			}
			ms = append(ms, pts)
		}
		for i, at := range ms {
			for off := range int64(5) {
				want := begin + media.Ticks(i)*media.SamplesPerFrame
				if got, ok := s.sound(at + off - 2); !ok || got != want {
					t.Errorf("%d Hz: at %d ms is %d (%v), want %d", rate, at+off-2, got, ok, want)
				}
			}
		}
		frame := int64(1000*media.SamplesPerFrame/rate) + 1
		for _, at := range []int64{ms[0] - frame, ms[len(ms)-1] + frame, 0} {
			if got, ok := s.sound(at); ok {
				t.Errorf("%d Hz: at %d ms, where there is no sound, is %d", rate, at, got)
			}
		}
	}
}

// What is remembered is bounded, however long the stream is, and the newest is.
func TestStampsForget(t *testing.T) {
	s := newStamps(48_000, 1)
	const step = media.VideoRate / 60
	day := media.TicksOf(48*time.Hour, media.VideoRate)
	from := []media.Ticks{0, day}
	for _, at := range from {
		for i := range media.Ticks(3 * maxStamps) {
			f := media.Frame{Kind: media.Video, DTS: at + i*step, PTS: at + i*step}
			_, ms := s.stamp(&f)
			if p, ok := s.picture(0, ms); !ok || p.pts != f.PTS {
				t.Fatalf("picture at %d is %+v", f.PTS, p)
			}
			s.stamp(&media.Frame{Kind: media.Audio, DTS: (at + i*step).Rescale(media.VideoRate, 48_000)})
		}
	}
	if len(s.pictures) > maxStamps || len(s.order) > maxStamps || len(s.sounds) > maxStamps || cap(s.sounds) > 2*maxStamps {
		t.Errorf("it remembers %d pictures (%d) and %d sounds (room for %d)", len(s.pictures), len(s.order), len(s.sounds), cap(s.sounds))
	}
	if n, _ := s.behind(); n != 0 {
		t.Errorf("%d pictures behind", n)
	}
}

// The slowest output says how far a process is behind.
func TestStampsBehind(t *testing.T) {
	s := newStamps(48_000, 2)
	if n, _ := s.behind(); n != 0 || s.started() {
		t.Errorf("before it begins it is %d behind, started: %v", n, s.started())
	}
	var ms []int64
	for i := range media.Ticks(10) {
		_, pts := s.stamp(&media.Frame{Kind: media.Video, DTS: 1000 + i*3000, PTS: 1000 + i*3000})
		ms = append(ms, pts)
	}
	for _, tt := range []struct {
		out, picture int
		behind       int
		at           media.Ticks
		started      bool
	}{
		{0, 0, 10, 1000, false},
		{0, 9, 10, 1000, false},
		{1, 0, 9, 1000, true},
		{1, 5, 4, 16_000, true},
		{1, 9, 0, 28_000, true},
	} {
		s.picture(tt.out, ms[tt.picture])
		if n, at := s.behind(); n != tt.behind || at != tt.at || s.started() != tt.started {
			t.Errorf("%d of output %d: %d behind at %d, started: %v; want %+v", tt.picture, tt.out, n, at, s.started(), tt)
		}
	}
}
