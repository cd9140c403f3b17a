package e2e

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// reel is a film that costs little to encode, and of which every picture and
// sound can be found again, whatever became of its size: the pictures are
// numbered by bars, black or white, and amid each second there is a beep.
type reel struct {
	width, height int
	rate, gop     int // frames a second, and from one key frame to the next
	bFrames       int
	sampleRate    int
	length        time.Duration

	path  string // of an FLV file
	shown sight
}

// bars is how many there are in a picture. Each is a digit of its number, the
// lowest to the left.
const bars = 4

// shoot makes the film.
func (r reel) shoot(t testing.TB) *reel {
	t.Helper()
	r.path = filepath.Join(t.TempDir(), "reel.flv")
	args := []string{"-hide_banner", "-nostdin", "-v", "error",
		"-f", "lavfi", "-i", fmt.Sprintf("color=gray:size=%dx2:rate=%d,geq=lum='if(mod(floor(N/pow(2,floor(X/4))),2),200,50)':cb=128:cr=128,scale=%d:%d:flags=neighbor",
			4*bars, r.rate, r.width, r.height),
		"-f", "lavfi", "-i", fmt.Sprintf("aevalsrc='if(lt(mod(t+0.5,1),0.06),0.5*sin(2*PI*1000*t),0)':sample_rate=%d", r.sampleRate),
		"-t", strconv.FormatFloat(r.length.Seconds(), 'f', -1, 64),
		"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-b:v", "700k", "-maxrate", "700k", "-bufsize", "700k",
		"-g", strconv.Itoa(r.gop), "-keyint_min", strconv.Itoa(r.gop), "-sc_threshold", "0", "-bf", strconv.Itoa(r.bFrames), "-b_strategy", "0",
		"-c:a", "aac", "-b:a", "96k", "-f", "flv", r.path}
	if out, err := exec.CommandContext(t.Context(), "ffmpeg", args...).CombinedOutput(); err != nil {
		t.Fatalf("shoot the reel: %v\n%s", err, out)
	}
	r.shown = look(t, r.path)
	return &r
}

// play publishes the reel, at a speed of 1 as it was shot, at less in slow
// motion: to the server it is a stream of the same stamps that comes late.
func (c *channel) play(r *reel, speed float64) *publisher {
	c.server.t.Helper()
	return publishArguments(c.server.t, c.rtmp(),
		[]string{"-readrate", strconv.FormatFloat(speed, 'f', -1, 64), "-i", r.path, "-c", "copy"})
}

// sight is what media shows. Times are in ticks of 90 kHz.
type sight struct {
	pictures []shown // in the order of their showing
	sound    []span  // of each audio frame
	beeps    []int64 // where each begins

	width, height          int // 0 without pictures
	videoCodec, audioCodec string
}

type span struct{ at, lasts int64 }

// shown is a picture.
type shown struct {
	span
	key    bool
	number int // modulo 1<<bars; a shot's code where it is no reel's; -1 where none is told
}

const ticks = 90000

// look reads what a file shows of a reel. ffmpeg must not complain of it.
func look(t testing.TB, path string) (s sight) {
	t.Helper()
	s = probe(t, path)
	if len(s.pictures) > 0 {
		s.readNumbers(t, path)
	}
	if len(s.sound) > 0 {
		s.hear(t, path)
	}
	return s
}

// probe reads what a file has. ffprobe must not complain of it.
func probe(t testing.TB, path string) (s sight) {
	t.Helper()
	var told struct {
		Packets []struct {
			Kind     string `json:"codec_type"`
			At       string `json:"pts_time"`
			Duration string `json:"duration_time"`
			Flags    string
		}
		Streams []struct {
			Kind          string `json:"codec_type"`
			Codec         string `json:"codec_name"`
			Width, Height int
		}
	}
	out := quietly(t, "ffprobe", "-v", "error", "-show_packets", "-show_streams",
		"-show_entries", "packet=codec_type,pts_time,duration_time,flags:stream=codec_type,codec_name,width,height", "-of", "json", path)
	if err := json.Unmarshal(out, &told); err != nil {
		t.Fatalf("ffprobe %s: %v", path, err)
	}
	for _, p := range told.Packets {
		one := span{inTicks(p.At), inTicks(p.Duration)}
		switch p.Kind {
		case "video":
			s.pictures = append(s.pictures, shown{span: one, key: strings.HasPrefix(p.Flags, "K")})
		case "audio":
			s.sound = append(s.sound, one)
		}
	}
	for _, k := range told.Streams {
		switch k.Kind {
		case "video":
			s.videoCodec, s.width, s.height = k.Codec, k.Width, k.Height
		case "audio":
			s.audioCodec = k.Codec
		}
	}
	slices.SortFunc(s.pictures, func(a, b shown) int { return int(a.at - b.at) })
	return s
}

func inTicks(seconds string) int64 {
	f, err := strconv.ParseFloat(seconds, 64)
	if err != nil {
		return 0
	}
	return int64(math.Round(f * ticks))
}

// quietly runs a tool that must have nothing to complain of, and returns what it
// prints.
func quietly(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.Bytes())
	}
	return stdout.Bytes()
}

// readNumbers decodes the pictures.
func (s *sight) readNumbers(t testing.TB, path string) {
	t.Helper()
	raw := quietly(t, "ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-xerror", "-i", path, "-map", "0:v", "-fps_mode", "passthrough", "-enc_time_base", "-1",
		"-vf", fmt.Sprintf("scale=%d:1:flags=area,format=gray", bars), "-f", "rawvideo", "-")
	if len(raw) != bars*len(s.pictures) {
		t.Errorf("%s has %d pictures, of which %d are shown", path, len(s.pictures), len(raw)/bars)
	}
	for i := range min(len(raw)/bars, len(s.pictures)) {
		for bar, grey := range raw[bars*i : bars*(i+1)] {
			if grey > 128 {
				s.pictures[i].number |= 1 << bar
			}
		}
	}
}

// hear decodes the sound and finds the beeps.
func (s *sight) hear(t testing.TB, path string) {
	t.Helper()
	const rate, loud = 48000, 5000
	raw := quietly(t, "ffmpeg", "-hide_banner", "-nostdin", "-v", "warning", "-xerror", "-i", path, "-map", "0:a",
		"-ac", "1", "-ar", strconv.Itoa(rate), "-f", "s16le", "-")
	last := -rate
	for i := 0; i+1 < len(raw); i += 2 {
		if v := int16(binary.LittleEndian.Uint16(raw[i:])); v < loud && v > -loud {
			continue
		}
		if i/2-last > rate/5 {
			s.beeps = append(s.beeps, s.sound[0].at+int64(i/2)*ticks/rate)
		}
		last = i / 2
	}
}

// shift moves all by d ticks.
func (s *sight) shift(d int64) {
	for i := range s.pictures {
		s.pictures[i].at += d
	}
	for i := range s.sound {
		s.sound[i].at += d
	}
	for i := range s.beeps {
		s.beeps[i] += d
	}
}

func (s *sight) String() string {
	text := fmt.Sprintf("%dx%d %s, %d pictures", s.width, s.height, s.videoCodec, len(s.pictures))
	if n := len(s.pictures); n > 0 {
		text += fmt.Sprintf(" from %.3f to %.3f s", float64(s.pictures[0].at)/ticks, float64(s.pictures[n-1].end())/ticks)
	}
	text += fmt.Sprintf("; %s, %d frames", s.audioCodec, len(s.sound))
	if n := len(s.sound); n > 0 {
		text += fmt.Sprintf(" from %.3f to %.3f s", float64(s.sound[0].at)/ticks, float64(s.sound[n-1].end())/ticks)
	}
	return text
}

func (s span) end() int64 { return s.at + s.lasts }
