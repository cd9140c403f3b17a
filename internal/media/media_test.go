package media_test

import (
	"encoding/hex"
	"math"
	"testing"
	"time"

	"anabranch/internal/media"
)

func TestTicks(t *testing.T) {
	for _, tt := range []struct {
		d    time.Duration
		rate int
		want media.Ticks
	}{
		{0, media.VideoRate, 0},
		{time.Second, media.VideoRate, 90_000},
		{-time.Second, media.VideoRate, -90_000},
		{33*time.Millisecond + 333*time.Microsecond, media.VideoRate, 3000},
		{-33*time.Millisecond - 333*time.Microsecond, media.VideoRate, -3000},
		{1024 * time.Second / 44_100, 44_100, 1024},
		{1000 * time.Hour, media.VideoRate, 324_000_000_000},
	} {
		if got := media.TicksOf(tt.d, tt.rate); got != tt.want {
			t.Errorf("TicksOf(%v, %d) = %d, want %d", tt.d, tt.rate, got, tt.want)
		}
		back := tt.want.Duration(tt.rate)
		if diff := (back - tt.d).Abs(); diff > time.Second/time.Duration(tt.rate) {
			t.Errorf("%d ticks at %d are %v, %v off", tt.want, tt.rate, back, diff)
		}
	}
}

// Rescaling there and back is exact wherever the finer clock is in between.
func TestRescale(t *testing.T) {
	for _, at := range []media.Ticks{0, 1, -1, 1023, 48_000, -48_001, 1 << 40, math.MaxInt32} {
		if got := at.Rescale(48_000, 90_000).Rescale(90_000, 48_000); got != at {
			t.Errorf("%d at 48 kHz went through 90 kHz and came back as %d", at, got)
		}
	}
}

func TestParseH264(t *testing.T) {
	sps, _ := hex.DecodeString("6764001facd9405005bb011000000300100000030320f1831960") // 1280x720
	v, err := media.ParseH264(sps, []byte{0x68, 0xeb, 0xe3, 0xcb})
	if err != nil {
		t.Fatal(err)
	}
	if v.Width != 1280 || v.Height != 720 || v.Codec() != "avc1.64001f" || v.ProfileName() != "High" || v.LevelName() != "3.1" {
		t.Errorf("got %dx%d %s %s %s", v.Width, v.Height, v.Codec(), v.ProfileName(), v.LevelName())
	}
	for _, tt := range []struct {
		name     string
		sps, pps []byte
	}{
		{"nothing", nil, nil},
		{"no PPS", sps, nil},
		{"short SPS", sps[:3], []byte{0x68}},
		{"cut SPS", sps[:6], []byte{0x68}},
	} {
		if _, err := media.ParseH264(tt.sps, tt.pps); err == nil {
			t.Errorf("%s: accepted", tt.name)
		}
	}
}

func TestParseAAC(t *testing.T) {
	for _, tt := range []struct {
		name, config   string
		rate, channels int // 0: refused
	}{
		{"LC stereo 44.1 kHz", "1210", 44_100, 2},
		{"LC mono 48 kHz", "1188", 48_000, 1},
		{"LC 5.1", "11b0", 0, 0},
		{"HE-AAC", "2b920800", 0, 0},
		{"Main", "0a10", 0, 0},
		{"960 samples", "1214", 0, 0},
		{"a rate told in full", "17804e2010", 0, 0},
		{"nothing", "", 0, 0},
	} {
		config, _ := hex.DecodeString(tt.config)
		a, err := media.ParseAAC(config)
		if tt.rate == 0 {
			if err == nil {
				t.Errorf("%s: accepted", tt.name)
			}
			continue
		}
		if err != nil || a.SampleRate != tt.rate || a.Channels != tt.channels {
			t.Errorf("%s: %+v, %v", tt.name, a, err)
		}
	}
}

// Parameter sets come from outside: whatever they hold, parsing only refuses.
func FuzzParseH264(f *testing.F) {
	sps, _ := hex.DecodeString("6764001facd9405005bb011000000300100000030320f1831960")
	f.Add(sps, []byte{0x68})
	f.Fuzz(func(t *testing.T, sps, pps []byte) {
		v, err := media.ParseH264(sps, pps)
		if err == nil && (v.Width <= 0 || v.Height <= 0 || v.TimingRate < 0 || len(v.Codec()) != 11) {
			t.Errorf("accepted %+v", v)
		}
	})
}

func FuzzParseAAC(f *testing.F) {
	f.Add([]byte{0x12, 0x10})
	f.Fuzz(func(t *testing.T, config []byte) {
		a, err := media.ParseAAC(config)
		if err == nil && (a.SampleRate <= 0 || a.Channels < 1 || a.Channels > 2) {
			t.Errorf("accepted %+v", a)
		}
	})
}
