package transcode

import (
	"slices"
	"strings"
	"testing"

	"anabranch/internal/resource"
)

// The graph scales each size from the one above, and halves once.
func TestFilters(t *testing.T) {
	const square = "setsar='if(lt(abs(sar-1),0.03),1,sar)'"
	for _, tt := range []struct {
		name    string
		t       resource.ChannelType
		rate    float64
		encoder string
		want    string
	}{
		{"halved below the first", resource.Standard, 60, "libx264", "" +
			"[0:v:0]scale=1280:720,format=yuv420p," + square + ",split[v0][w0];" +
			"[w0]select='isnan(prev_selected_t)+key+gt(t-prev_selected_t,0.0250)',scale=852:480,format=yuv420p," + square + ",split[v1][w1];" +
			"[w1]scale=640:360,format=yuv420p," + square + ",split[v2][w2];" +
			"[w2]scale=284:160,format=yuv420p," + square + "[v3]"},
		{"halved from the first on", resource.AdvancedSD, 50, "libx264", "" +
			"[0:v:0]select='isnan(prev_selected_t)+key+gt(t-prev_selected_t,0.0300)',scale=852:480,format=yuv420p," + square + ",split[v0][w0];" +
			"[w0]scale=640:360,format=yuv420p," + square + ",split[v1][w1];" +
			"[w1]scale=284:160,format=yuv420p," + square + "[v2]"},
		{"to a device, not halved", resource.AdvancedSD, 30, "h264_vaapi", "" +
			"[0:v:0]scale=852:480,format=nv12," + square + ",split[u0][w0];[u0]hwupload[v0];" +
			"[w0]scale=640:360,format=nv12," + square + ",split[u1][w1];[u1]hwupload[v1];" +
			"[w1]scale=284:160,format=nv12," + square + ",hwupload[v2]"},
	} {
		in := tracks(1920, 1080, true)
		r := newRecipe(parseEncoder(tt.encoder), in, PlanOf(tt.t, "", in, tt.rate).Rungs)
		if got := r.args[slices.Index(r.args, "-filter_complex")+1]; got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
		if r.rate != tt.rate {
			t.Errorf("%s: the source has %v frames a second", tt.name, r.rate)
		}
	}
}

// Rungs with the same bitrate of sound share it, and there is none to make where
// the source's is passed through.
func TestOutputs(t *testing.T) {
	for _, tt := range []struct {
		t     resource.ChannelType
		sound bool
		want  []output
	}{
		{resource.AdvancedHD, true, []output{
			{rungs: []int{0}}, {rungs: []int{1}}, {rungs: []int{2}}, {rungs: []int{3}},
			{kind: 1, bitrate: 128_000, rungs: []int{0, 1}}, {kind: 1, bitrate: 64_000, rungs: []int{2, 4}}, {kind: 1, bitrate: 48_000, rungs: []int{3}},
		}},
		{resource.Standard, true, []output{
			{rungs: []int{0}}, {rungs: []int{1}}, {rungs: []int{2}}, {rungs: []int{3}},
			{kind: 1, bitrate: 64_000, rungs: []int{2}}, {kind: 1, bitrate: 48_000, rungs: []int{3}},
		}},
		{resource.Standard, false, []output{{rungs: []int{0}}, {rungs: []int{1}}, {rungs: []int{2}}, {rungs: []int{3}}}},
	} {
		in := tracks(1920, 1080, tt.sound)
		r := newRecipe(parseEncoder("libx264"), in, PlanOf(tt.t, "", in, 30).Rungs)
		if !slices.EqualFunc(r.outputs, tt.want, func(a, b output) bool {
			return a.kind == b.kind && a.bitrate == b.bitrate && slices.Equal(a.rungs, b.rungs)
		}) {
			t.Errorf("%s, sound %v: %+v, want %+v", tt.t, tt.sound, r.outputs, tt.want)
		}
		if r.sound != tt.sound {
			t.Errorf("%s: sound is wanted: %v", tt.t, r.sound)
		}
	}
}

// Every encoder has the rung's bitrate, no B-frames and the source's key frames,
// and its own options for the rest.
func TestEncoders(t *testing.T) {
	standard := Rung{Width: 852, Height: 480, FrameRate: 29.97, VideoBitrate: 1_400_000}
	advanced := standard
	advanced.KeyInterval = keyInterval
	for _, tt := range []struct {
		encoder string
		rung    Rung
		want    []string
	}{
		{"libx264:veryfast", standard, []string{"-c:v libx264", "-preset veryfast", "-tune zerolatency", "-forced-idr 1", "-sc_threshold 0", "-g 1073741824", "fps=29970/1000"}},
		{"libx264:veryfast", advanced, []string{"-g 59"}},
		{"h264_nvenc:p4", standard, []string{"-c:v h264_nvenc", "-preset p4", "-tune ull", "-zerolatency 1", "-delay 0", "-forced-idr 1", "-no-scenecut 1", "-g -1"}},
		{"h264_nvenc", advanced, []string{"-g 59"}},
		{"h264_qsv", standard, []string{"-async_depth 1", "-forced_idr 1", "-g 65535"}},
		{"h264_vaapi", standard, []string{"-rc_mode CBR", "-async_depth 1"}},
		{"h264_videotoolbox", standard, []string{"-realtime 1"}},
		{"h264_v4l2m2m", standard, []string{"-c:v h264_v4l2m2m"}},
		{"libopenh264", advanced, []string{"-c:v libopenh264", "-g 59"}},
	} {
		got := " " + strings.Join(parseEncoder(tt.encoder).args(&tt.rung), " ") + " "
		for _, want := range append(tt.want, "-b:v 1400000", "-maxrate 1400000", "-bufsize 1400000", "-bf 0", "-force_key_frames source") {
			if !strings.Contains(got, want+" ") {
				t.Errorf("%s has%s, not %q", tt.encoder, got, want)
			}
		}
		if _, preset, _ := strings.Cut(tt.encoder, ":"); preset == "" && strings.Contains(got, "-preset") {
			t.Errorf("%s has%s", tt.encoder, got)
		}
	}
}

func TestEncoderThreads(t *testing.T) {
	for _, tt := range []struct{ width, height, cpus, want int }{
		{1280, 720, 1, 1}, {1280, 720, 2, 2}, {720, 1280, 64, 4}, {852, 480, 64, 2}, {852, 480, 1, 1}, {640, 360, 64, 1}, {284, 160, 64, 1},
	} {
		if got := encoderThreads(&Rung{Width: tt.width, Height: tt.height}, tt.cpus); got != tt.want {
			t.Errorf("%dx%d on %d processors: %d threads, want %d", tt.width, tt.height, tt.cpus, got, tt.want)
		}
	}
}

// ffmpeg gets the environment, which drivers of devices need, without the
// server's secrets.
func TestEnvironment(t *testing.T) {
	got := environment([]string{"PATH=/bin", "AWS_SECRET_ACCESS_KEY=hush", "ANABRANCH_SECRET_ACCESS_KEY=hush", "LIBVA_DRIVER_NAME=iHD"})
	if want := []string{"AV_LOG_FORCE_NOCOLOR=1", "PATH=/bin", "LIBVA_DRIVER_NAME=iHD"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
