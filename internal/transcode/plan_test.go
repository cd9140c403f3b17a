package transcode

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/resource"
)

// tracks are those of a publisher.
func tracks(width, height int, sound bool) media.Params {
	p := media.Params{Video: &media.VideoParams{Width: width, Height: height}}
	if sound {
		p.Audio = &media.AudioParams{SampleRate: 48_000, Channels: 2}
	}
	return p
}

// written is a plan as the tables below write it: each rung's name and size,
// "/2" if it is halved, and its bitrates in kbit/s.
func written(p Plan) string {
	var w []string
	if p.Source {
		w = append(w, "source")
	}
	for _, r := range p.Rungs {
		if r.Name == AudioOnly {
			w = append(w, fmt.Sprintf("%s:%d", r.Name, r.AudioBitrate/1000))
			continue
		}
		half := ""
		if r.Halve {
			half = "/2"
		}
		w = append(w, fmt.Sprintf("%s=%dx%d%s:%d+%d", r.Name, r.Width, r.Height, half, r.VideoBitrate/1000, r.AudioBitrate/1000))
	}
	return strings.Join(w, " ")
}

// The tables of Amazon IVS, for every input, type and preset.
func TestPlanOf(t *testing.T) {
	const (
		// Below 720, all ladders are the same whatever is above. "%h" is for halved.
		standard360 = "360p30=640x360%h:630+64 160p30=284x160%h:230+48"
		standard480 = "480p30=852x480%h:1400+0 " + standard360
		higher480   = "480p30=852x480%h:1300+128 360p30=640x360%h:700+64 160p30=284x160%h:270+48 audio_only:64"
		lower480    = "480p30=852x480%h:800+128 360p30=640x360%h:400+64 160p30=284x160%h:220+48 audio_only:64"
	)
	kinds := []struct {
		t      resource.ChannelType
		preset resource.TranscodePreset
	}{
		{resource.Basic, ""},
		{resource.Standard, ""},
		{resource.AdvancedSD, resource.HigherBandwidth},
		{resource.AdvancedSD, resource.ConstrainedBandwidth},
		{resource.AdvancedHD, resource.HigherBandwidth},
		{resource.AdvancedHD, resource.ConstrainedBandwidth},
	}
	for _, in := range []struct {
		name          string
		width, height int
		rate          float64
		want          [6]string // by kinds
	}{
		{"1080p60", 1920, 1080, 60, [6]string{
			"source",
			"source 720p60=1280x720:3400+0 " + standard480,
			higher480,
			lower480,
			"720p60=1280x720:3000+128 " + higher480,
			"720p60=1280x720:2200+128 " + lower480,
		}},
		{"1080p30", 1920, 1080, 30, [6]string{
			"source",
			"source 720p30=1280x720:2400+0 " + standard480,
			higher480,
			lower480,
			"720p30=1280x720:2300+128 " + higher480,
			"720p30=1280x720:1900+128 " + lower480,
		}},
		{"720p60", 1280, 720, 60, [6]string{
			"source",
			"source " + standard480,
			higher480,
			lower480,
			"720p60=1280x720:3000+128 " + higher480,
			"720p60=1280x720:2200+128 " + lower480,
		}},
		{"720p30", 1280, 720, 30, [6]string{
			"source",
			"source " + standard480,
			higher480,
			lower480,
			"720p30=1280x720:2300+128 " + higher480,
			"720p30=1280x720:1900+128 " + lower480,
		}},
		{"576p30", 1024, 576, 30, [6]string{
			"source",
			"source " + standard480,
			higher480,
			lower480,
			"576p30=1024x576:2300+128 " + higher480,
			"576p30=1024x576:1900+128 " + lower480,
		}},
		{"480p30", 852, 480, 30, [6]string{
			"source",
			"source " + strings.Replace(standard360, "640x", "638x", 1),
			strings.Replace(higher480, "640x", "638x", 1),
			strings.Replace(lower480, "640x", "638x", 1),
			strings.Replace(higher480, "640x", "638x", 1),
			strings.Replace(lower480, "640x", "638x", 1),
		}},
	} {
		for i, k := range kinds {
			half := ""
			if in.rate == 60 {
				half = "/2"
			}
			want := strings.ReplaceAll(in.want[i], "%h", half)
			if got := written(PlanOf(k.t, k.preset, tracks(in.width, in.height, true), in.rate)); got != want {
				t.Errorf("%s, %s %s:\n got %s\nwant %s", in.name, k.t, k.preset, got, want)
			}
		}
	}
}

func TestPlanOfOddInputs(t *testing.T) {
	for _, tt := range []struct {
		name          string
		t             resource.ChannelType
		width, height int
		rate          float64
		silent        bool
		want          string
	}{
		{"portrait", resource.Standard, 1080, 1920, 30, false,
			"source 720p30=720x1280:2400+0 480p30=480x852:1400+0 360p30=360x640:630+64 160p30=160x284:230+48"},
		{"4:3", resource.Standard, 640, 480, 30, false, "source 360p30=480x360:630+64 160p30=212x160:230+48"},
		{"21:9", resource.AdvancedHD, 1920, 822, 30, false,
			"720p30=1680x720:2300+128 480p30=1120x480:1300+128 360p30=840x360:700+64 160p30=372x160:270+48 audio_only:64"},
		{"square", resource.AdvancedSD, 1080, 1080, 30, false,
			"480p30=480x480:1300+128 360p30=360x360:700+64 160p30=160x160:270+48 audio_only:64"},
		{"odd sides", resource.AdvancedHD, 1001, 563, 30, false,
			"562p30=1000x562:2300+128 480p30=852x480:1300+128 360p30=640x360:700+64 160p30=284x160:270+48 audio_only:64"},
		{"odd, and at a step", resource.AdvancedSD, 641, 361, 30, false, "360p30=638x360:700+64 160p30=284x160:270+48 audio_only:64"},
		{"25 fps", resource.Standard, 1280, 720, 25, false,
			"source 480p25=852x480:1400+0 360p25=640x360:630+64 160p25=284x160:230+48"},
		{"50 fps", resource.Standard, 1920, 1080, 50, false,
			"source 720p50=1280x720:3400+0 480p25=852x480/2:1400+0 360p25=640x360/2:630+64 160p25=284x160/2:230+48"},
		{"59.94 fps", resource.Standard, 1280, 720, 60_000. / 1001, false,
			"source 480p30=852x480/2:1400+0 360p30=640x360/2:630+64 160p30=284x160/2:230+48"},
		{"48 fps", resource.AdvancedSD, 1280, 720, 48, false,
			"480p24=852x480/2:1300+128 360p24=640x360/2:700+64 160p24=284x160/2:270+48 audio_only:64"},
		{"576p50, advanced", resource.AdvancedHD, 1024, 576, 50, false,
			"576p50=1024x576:2300+128 480p25=852x480/2:1300+128 360p25=640x360/2:700+64 160p25=284x160/2:270+48 audio_only:64"},
		{"no frame rate", resource.Standard, 1280, 720, 0, false,
			"source 480p30=852x480:1400+0 360p30=640x360:630+64 160p30=284x160:230+48"},
		{"an impossible one", resource.Standard, 640, 360, 1e9, false, "source 160p30=284x160:230+48"},
		{"none at all", resource.Standard, 640, 360, math.NaN(), false, "source 160p30=284x160:230+48"},
		{"360p", resource.Standard, 640, 360, 30, false, "source 160p30=284x160:230+48"},
		{"360p, advanced", resource.AdvancedHD, 640, 360, 30, false, "360p30=640x360:700+64 160p30=284x160:270+48 audio_only:64"},
		{"between two steps", resource.AdvancedSD, 712, 400, 60, false,
			"400p30=712x400/2:1300+128 360p30=640x360/2:700+64 160p30=284x160/2:270+48 audio_only:64"},
		{"160p", resource.Standard, 284, 160, 30, false, "source"},
		{"tiny", resource.AdvancedHD, 64, 36, 30, false, "36p30=64x36:270+48 audio_only:64"},
		{"a line", resource.AdvancedHD, 16, 1, 30, false, "2p30=16x2:270+48 audio_only:64"},
		{"no sound", resource.AdvancedSD, 640, 360, 30, true, "360p30=640x360:700+0 160p30=284x160:270+0"},
		{"no sound, standard", resource.Standard, 640, 360, 30, true, "source 160p30=284x160:230+0"},
	} {
		if got := written(PlanOf(tt.t, "", tracks(tt.width, tt.height, !tt.silent), tt.rate)); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

// Key frames are the source's on STANDARD, and at most two seconds apart on
// ADVANCED: less where the pictures to count by may come half as fast.
func TestPlanOfKeyFrames(t *testing.T) {
	for _, tt := range []struct {
		t    resource.ChannelType
		rate float64
		want time.Duration
	}{
		{resource.Standard, 30, 0},
		{resource.Standard, 0, 0},
		{resource.AdvancedSD, 30, 2 * time.Second},
		{resource.AdvancedHD, 60, 2 * time.Second},
		{resource.AdvancedHD, 0, time.Second},
	} {
		for _, r := range PlanOf(tt.t, "", tracks(1280, 720, false), tt.rate).Rungs {
			if r.KeyInterval != tt.want {
				t.Errorf("%s at %v fps, %s: key frames every %v, want %v", tt.t, tt.rate, r.Name, r.KeyInterval, tt.want)
			}
		}
	}
}
