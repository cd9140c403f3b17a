package packager

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch/internal/media"
)

// source is a stream from a real encoder, with stamps as RTMP carries them.
type source struct {
	name   string
	params media.Params
	frames []media.Frame
}

// sources are encoded once for all tests.
var sources = sync.OnceValues(func() ([]source, error) {
	var all []source
	for _, s := range []struct{ name, rate, video, audio string }{
		{"30fps", "30", "-g 60 -bf 0", "-ar 48000 -ac 2"},
		{"25fps with B-frames", "25", "-g 50 -bf 3 -b_strategy 0", "-ar 44100 -ac 1"},
		{"59.94fps with B-frames", "60000/1001", "-g 120 -bf 2 -x264-params b-pyramid=normal:aud=1", "-ar 44100 -ac 2"},
		{"23.976fps video only", "24000/1001", "-g 250 -bf 0", "-an"},
		{"5fps", "5", "-g 10 -bf 0", "-ar 22050 -ac 2"},
	} {
		args := strings.Fields("-v error -f lavfi -i testsrc=size=320x180:rate=" + s.rate +
			" -f lavfi -i sine=frequency=440:sample_rate=48000 -t 6 -c:v libx264 -preset ultrafast -pix_fmt yuv420p " +
			s.video + " -c:a aac -b:a 96k " + s.audio + " -f flv -")
		flv, err := run("ffmpeg", args...)
		if err != nil {
			return nil, err
		}
		src, err := readFLV(flv)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		src.name = s.name
		all = append(all, src)
	}
	return all, nil
})

// realSources returns the sources, encoding them when nobody has yet.
func realSources(t testing.TB) []source {
	t.Helper()
	all, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// run runs a command and returns its output. What it says on its error output
// is an error: ffmpeg's complaints are what tests look for.
func run(name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil || complaints.Len() > 0 {
		return nil, fmt.Errorf("%s: %v: %s", name, err, &complaints)
	}
	return out.Bytes(), nil
}

// readFLV reads H.264 and AAC from an FLV file (Adobe FLV specification, annex
// E) onto a run timeline that begins at Origin.
func readFLV(b []byte) (source, error) {
	var s source
	samples := media.Ticks(-1)
	for b = b[13:]; len(b) >= 15; {
		kind, size := b[0], int(binary.BigEndian.Uint32(b)&0xFF_FFFF)
		stamp := media.Ticks(binary.BigEndian.Uint32(b[4:])>>8 | uint32(b[7])<<24)
		body := b[11 : 11+size]
		b = b[15+size:]
		var err error
		switch {
		case kind == 9 && body[1] == 0: // AVCDecoderConfigurationRecord
			c := body[5:]
			n := int(binary.BigEndian.Uint16(c[6:]))
			sps, c := c[8:8+n], c[8+n:]
			s.params.Video, err = media.ParseH264(sps, c[3:3+int(binary.BigEndian.Uint16(c[1:]))])
		case kind == 9 && body[1] == 1:
			f := media.Frame{Kind: media.Video, Key: body[0]>>4 == 1, DTS: Origin + stamp*90, Payload: body[5:]}
			f.PTS = f.DTS + media.Ticks(int32(binary.BigEndian.Uint32(body[1:])<<8)>>8)*90
			if f.Key {
				f.Payload = prefixed(s.params.Video.SPS, s.params.Video.PPS, f.Payload)
			}
			f.Captured = epoch.Add((f.DTS - Origin).Duration(media.VideoRate))
			s.frames = append(s.frames, f)
		case kind == 8 && body[1] == 0:
			s.params.Audio, err = media.ParseAAC(body[2:])
		case kind == 8 && body[1] == 1:
			if rate := s.params.Audio.SampleRate; samples < 0 {
				samples = Origin.Rescale(media.VideoRate, rate) + stamp.Rescale(1000, rate)
			}
			s.frames = append(s.frames, media.Frame{Kind: media.Audio, Key: true, DTS: samples, PTS: samples, Payload: body[2:]})
			samples += media.SamplesPerFrame
		}
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

// prefixed puts parameter sets before a picture.
func prefixed(sps, pps, picture []byte) []byte {
	var b []byte
	for _, nal := range [][]byte{sps, pps} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(nal))), nal...)
	}
	return append(b, picture...)
}

// packet is what ffprobe tells of one.
type packet struct {
	PTS, DTS media.Ticks
	Key      bool
	Size     int
}

// probe lists the packets of a media file and its streams, by kind. It decodes
// all of it, and whatever ffprobe or ffmpeg warn of is an error.
func probe(t *testing.T, name string, data []byte) (packets map[string][]packet, streams map[string]probeStream) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	// ffprobe also warns that it has no decoder for ID3 tags; ffmpeg, which
	// reads everything again, does not.
	out, err := run("ffprobe", "-v", "error", "-show_packets", "-show_streams", "-count_frames", "-of", "json", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run("ffmpeg", "-v", "warning", "-xerror", "-i", path, "-f", "null", "-"); err != nil {
		t.Error(err)
	}
	var result struct {
		Packets []struct {
			CodecType string `json:"codec_type"`
			PTS       int64
			DTS       int64
			Flags     string
			Size      string
		}
		Streams []probeStream
	}
	if err := json.Unmarshal(out, &result); err != nil {
		t.Fatal(err)
	}
	packets, streams = map[string][]packet{}, map[string]probeStream{}
	for _, p := range result.Packets {
		size, _ := strconv.Atoi(p.Size)
		packets[p.CodecType] = append(packets[p.CodecType], packet{
			PTS: media.Ticks(p.PTS), DTS: media.Ticks(p.DTS),
			Key: strings.HasPrefix(p.Flags, "K"), Size: size,
		})
	}
	for _, s := range result.Streams {
		streams[s.CodecType] = s
	}
	return packets, streams
}

// probeStream is what ffprobe tells of a stream.
type probeStream struct {
	CodecType     string `json:"codec_type"`
	CodecName     string `json:"codec_name"`
	CodecTag      string `json:"codec_tag_string"`
	ID            string
	Profile       string
	Width, Height int
	Channels      int
	SampleRate    string `json:"sample_rate"`
	TimeBase      string `json:"time_base"`
	FramesRead    string `json:"nb_read_frames"`
}
