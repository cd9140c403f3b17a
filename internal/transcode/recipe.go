package transcode

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"anabranch/internal/media"
)

// recipe is what one ffmpeg process makes of a stream: it decodes once, makes
// each size of the one above it and each half rate once, and writes every track
// to a pipe of its own.
type recipe struct {
	args []string
	// outputs are the pipes, from file descriptor 3 on: those of pictures first.
	outputs []output
	// rate is the source's, in frames a second.
	rate float64
	// sound says that the source's sound is wanted.
	sound bool
}

// output is a track that comes out, and the rungs that have it.
type output struct {
	kind    media.Kind
	bitrate int // of sound
	rungs   []int
}

// firstPipe is the file descriptor of the first output.
const firstPipe = 3

// newRecipe writes the command line. It holds numbers and names of this package
// alone, nothing that came from a publisher.
func newRecipe(e encoder, in media.Params, rungs []Rung) recipe {
	r := recipe{rate: unknownRate}
	for i, rung := range rungs {
		if rung.Width > 0 {
			r.outputs = append(r.outputs, output{kind: media.Video, rungs: []int{i}})
		}
	}
	pictures := r.outputs
	if len(pictures) > 0 {
		r.rate = rungs[pictures[0].rungs[0]].FrameRate
		if rungs[pictures[0].rungs[0]].Halve {
			r.rate *= 2
		}
	}
	for i, rung := range rungs {
		if in.Audio != nil && rung.AudioBitrate > 0 {
			r.addSound(i, rung.AudioBitrate)
		}
	}

	r.args = []string{
		"-hide_banner", "-nostats", "-nostdin", "-loglevel", "error",
		// What comes is known: the first picture begins the work. A decoder with
		// threads for whole pictures would hold some back.
		"-protocol_whitelist", "pipe", "-probesize", "32", "-analyzeduration", "0", "-fpsprobesize", "0",
		"-threads", "1", "-max_pixels", strconv.Itoa(maxPixels),
		"-copyts", "-f", "flv",
	}
	r.args = append(append(r.args, e.device()...), "-i", "pipe:0")
	if len(pictures) > 0 {
		r.args = append(r.args, "-filter_complex", filters(e, rungs, pictures))
	}
	for i, o := range r.outputs {
		if o.kind == media.Video {
			r.args = append(r.args, "-map", fmt.Sprintf("[v%d]", i), "-fps_mode", "passthrough", "-enc_time_base", "1:1000")
			r.args = append(r.args, e.args(&rungs[o.rungs[0]])...)
		} else {
			// In the source's form, so that a frame comes out for each that goes in.
			r.args = append(r.args, "-map", "0:a:0", "-c:a", "aac", "-b:a", strconv.Itoa(o.bitrate),
				"-ar", strconv.Itoa(in.Audio.SampleRate), "-ac", strconv.Itoa(in.Audio.Channels))
		}
		r.args = append(r.args, "-flush_packets", "1", "-flvflags", "no_duration_filesize+no_metadata",
			"-f", "flv", "pipe:"+strconv.Itoa(firstPipe+i))
	}
	return r
}

// maxPixels bounds the pictures that are decoded: twice 1080p.
const maxPixels = 2 * 1920 * 1088

// addSound gives rung i the sound of that bitrate, which rungs share.
func (r *recipe) addSound(i, bitrate int) {
	r.sound = true
	for n := range r.outputs {
		if o := &r.outputs[n]; o.kind == media.Audio && o.bitrate == bitrate {
			o.rungs = append(o.rungs, i)
			return
		}
	}
	r.outputs = append(r.outputs, output{kind: media.Audio, bitrate: bitrate, rungs: []int{i}})
}

// filters is the graph from the source's pictures to the outputs [v0], [v1] …:
//
//	source → scale ┬→ [v0]
//	               └→ select → scale ┬→ [v1]
//	                                 └→ scale → [v2]
//
// Half of the pictures are chosen by time, so that of a stream that is slower
// than it said none are lost, and from key frames on, so that these are among
// them wherever they stand.
func filters(e encoder, rungs []Rung, pictures []output) string {
	var graph []string
	from, halved := "[0:v:0]", false
	for i, o := range pictures {
		r := &rungs[o.rungs[0]]
		chain := from
		if r.Halve && !halved {
			halved = true
			chain += fmt.Sprintf("select='isnan(prev_selected_t)+key+gt(t-prev_selected_t,%.4f)',", 0.75/r.FrameRate)
		}
		// The size is even: where that alone makes pixels not quite square, they
		// count as square.
		chain += fmt.Sprintf("scale=%d:%d,format=%s,setsar='if(lt(abs(sar-1),0.03),1,sar)'", r.Width, r.Height, e.pixels())
		to := fmt.Sprintf("[v%d]", i)
		if upload := e.upload(); i+1 < len(pictures) {
			from = fmt.Sprintf("[w%d]", i)
			if upload == "" {
				graph = append(graph, chain+",split"+to+from)
			} else {
				graph = append(graph, fmt.Sprintf("%s,split[u%d]%s", chain, i, from), fmt.Sprintf("[u%d]%s%s", i, upload, to))
			}
		} else {
			if upload != "" {
				chain += ","
			}
			graph = append(graph, chain+upload+to)
		}
	}
	return strings.Join(graph, ";")
}

// encoder is an H.264 encoder of ffmpeg, with a preset if it is to have one.
// libx264 is the one that tests run; the others have the options that ffmpeg
// documents for low latency.
type encoder struct{ name, preset string }

// parseEncoder reads "name" or "name:preset".
func parseEncoder(s string) encoder {
	name, preset, _ := strings.Cut(s, ":")
	return encoder{name: name, preset: preset}
}

// args are the options of the encoder for a rung: constant bitrate in the span of
// a second, no B-frames, nothing held back, and key frames that a decoder can
// begin at where the source has them and nowhere else, unless these are too far
// apart.
func (e encoder) args(r *Rung) []string {
	bitrate := strconv.Itoa(r.VideoBitrate)
	a := []string{"-c:v", e.name, "-b:v", bitrate, "-maxrate", bitrate, "-bufsize", bitrate, "-bf", "0", "-force_key_frames", "source"}
	if e.preset != "" {
		a = append(a, "-preset", e.preset)
	}
	far := "65535" // for a stream's key frames there are two or more a minute
	switch e.name {
	case "libx264":
		far = "1073741824" // for ever
		a = append(a, "-tune", "zerolatency", "-profile:v", "main", "-forced-idr", "1", "-sc_threshold", "0",
			"-threads", strconv.Itoa(encoderThreads(r, runtime.NumCPU())),
			"-x264-params", fmt.Sprintf("fps=%d/1000", int(r.FrameRate*1000)))
	case "h264_nvenc":
		far = "-1"
		a = append(a, "-tune", "ull", "-rc", "cbr", "-zerolatency", "1", "-delay", "0", "-forced-idr", "1", "-no-scenecut", "1")
	case "h264_qsv":
		a = append(a, "-async_depth", "1", "-look_ahead", "0", "-forced_idr", "1")
	case "h264_vaapi":
		a = append(a, "-rc_mode", "CBR", "-async_depth", "1")
	case "h264_videotoolbox":
		a = append(a, "-realtime", "1")
	}
	if r.KeyInterval > 0 {
		far = strconv.Itoa(max(1, int(r.KeyInterval.Seconds()*r.FrameRate)))
	}
	return append(a, "-g", far)
}

// encoderThreads is how many slices of a picture are encoded at once: small
// pictures are not worth it, and large ones suffer from many.
func encoderThreads(r *Rung, cpus int) int {
	switch short := min(r.Width, r.Height); {
	case short < 480:
		return 1
	case short < 720:
		return min(cpus, 2)
	}
	return min(cpus, 4)
}

// pixels is the format of the pictures that the encoder is given.
func (e encoder) pixels() string {
	if slices.Contains([]string{"h264_vaapi", "h264_qsv", "h264_v4l2m2m"}, e.name) {
		return "nv12"
	}
	return "yuv420p"
}

// upload is the filter that brings pictures to the encoder's device, if that
// does not do so itself.
func (e encoder) upload() string {
	if e.name == "h264_vaapi" {
		return "hwupload"
	}
	return ""
}

// device names the encoder's device, where ffmpeg must be told.
func (e encoder) device() []string {
	if e.name == "h264_vaapi" {
		return []string{"-vaapi_device", "/dev/dri/renderD128"}
	}
	return nil
}
