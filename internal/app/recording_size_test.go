package app

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tool runs a program of ffmpeg's and returns what it prints.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil || said.Len() > 0 {
		t.Fatalf("%s %v: %v: %s", name, args, err, &said)
	}
	return string(out)
}

// stretch makes two seconds of pictures of a size and sound, so long after the
// beginning: an initialization segment, and an object with parameter sets before
// each key frame. The sound begins late, for its encoder makes it begin 1,024 samples
// early.
func stretch(t *testing.T, at time.Duration, pictures string) (header, object string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.mp4")
	tool(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", pictures+":r=25:d=2", "-f", "lavfi", "-i", "sine=r=48000:d=2", "-shortest",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25", "-pix_fmt", "yuv420p", "-bsf:v", "dump_extra=freq=keyframe",
		"-af", "asetpts=PTS+1024", "-c:a", "aac", "-ac", "2", "-frag_duration", "500000", "-video_track_timescale", "90000", "-movflags", "empty_moov+default_base_moof", "-use_editlist", "0", name)
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	media := bytes.Index(text, []byte("moof")) - 4
	scales := map[uint32]time.Duration{1: 90_000, 2: 48_000}
	for i := media; ; {
		n := bytes.Index(text[i:], []byte("tfdt"))
		if n < 0 {
			return string(text[:media]), string(text[media:])
		}
		i += n + 4
		track := binary.BigEndian.Uint32(text[bytes.LastIndex(text[:i], []byte("tfhd"))+8:])
		decoded := text[i+4:] // version 1 has 64 bits
		binary.BigEndian.PutUint64(decoded, binary.BigEndian.Uint64(decoded)+uint64(at*scales[track]/time.Second))
	}
}

// Pictures that change their size stay what they are, at their times, and sound
// with them. With --one-size all are of the largest.
func TestExportSizes(t *testing.T) {
	s := newShelfServer(t)
	s.content = map[string]string{
		"master.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhigh/playlist.m3u8\n",
		"high/playlist.m3u8": "#EXTM3U\n#EXT-X-MAP:URI=\"init-0.mp4\"\n#EXTINF:2,\n0.mp4\n" +
			"#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-1.mp4\"\n#EXTINF:2,\n1.mp4\n" +
			"#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-2.mp4\"\n" +
			`#EXT-X-DATERANGE:ID="loss-1",CLASS="anabranch.loss",START-DATE="2026-03-01T12:00:04.000Z",DURATION=0.060,X-KIND="audio"` + "\n" +
			`#EXT-X-DATERANGE:ID="loss-2",CLASS="anabranch.loss",START-DATE="2026-03-01T12:00:04.000Z",DURATION=1.500,X-KIND="video"` + "\n#EXTINF:2,\n2.mp4\n",
	}
	for i, pictures := range []string{"testsrc2=s=160x90", "testsrc2=s=320x180", "testsrc2=s=90x160"} {
		header, object := stretch(t, time.Duration(i)*2*time.Second, pictures)
		s.content[fmt.Sprintf("high/init-%d.mp4", i)], s.content[fmt.Sprintf("high/%d.mp4", i)] = header, object
	}
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatal(err)
	}
	const lost = "; 0.06s of sound and 1.50s of pictures did not arrive"
	for oneSize, want := range map[bool]struct{ says, stream, frames string }{
		false: {
			"6s so far; the recording goes on" + lost + "; its pictures change their size (160x90, 320x180, 90x160), " +
				"which some players and editors do not take: --one-size encodes them anew",
			"avc3,160,90", "160x90 320x180 90x160",
		},
		true: {"6s so far; the recording goes on" + lost, "avc1,320,180", "320x180"},
	} {
		out := filepath.Join(t.TempDir(), "x.mp4")
		said, err := printed(t, func() error {
			return s.export(t.Context(), "exec "+ffmpeg+` "$@"`, RecordingExport{ID: recordingID, Output: out, OneSize: oneSize})
		})
		if err != nil || said != out+": "+want.says+"\n" {
			t.Errorf("one size %v: said %q, %v", oneSize, said, err)
		}
		if got := strings.TrimSpace(tool(t, "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=codec_tag_string,width,height", "-of", "csv=p=0", out)); got != want.stream {
			t.Errorf("one size %v: the stream is %s, want %s", oneSize, got, want.stream)
		}
		var sizes []string
		begins := make(map[string]float64) // of each size
		frames := tool(t, "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=pts_time,width,height", "-of", "csv=p=0", out)
		for n, line := range strings.Fields(frames) {
			var at float64
			var width, height int
			if _, err := fmt.Sscanf(strings.ReplaceAll(line, ",", " "), "%f %d %d", &at, &width, &height); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if size := fmt.Sprintf("%dx%d", width, height); len(sizes) == 0 || sizes[len(sizes)-1] != size {
				sizes, begins[size] = append(sizes, size), at
			}
			if late := at - begins[sizes[0]] - float64(n)/25; late < -0.002 || late > 0.002 {
				t.Fatalf("one size %v: picture %d is shown at %v", oneSize, n, at)
			}
		}
		if got := strings.Join(sizes, " "); got != want.frames {
			t.Errorf("one size %v: pictures of %s, want %s", oneSize, got, want.frames)
		}
		var audio float64
		first, _, _ := strings.Cut(tool(t, "ffprobe", "-v", "error", "-select_streams", "a", "-show_entries", "packet=pts_time", "-of", "csv=p=0", out), "\n")
		if _, err := fmt.Sscan(first, &audio); err != nil {
			t.Fatal(err)
		}
		if skew := audio - begins[sizes[0]]; skew < -0.03 || skew > 0.03 {
			t.Errorf("one size %v: sound begins %vs after the pictures", oneSize, skew)
		}
	}
}

// Pictures may become others without becoming larger: an encoder that comes back as
// another one. Only in "avc3" may parameter sets change amid the samples.
func TestExportOtherPictures(t *testing.T) {
	s := newShelfServer(t)
	s.content = map[string]string{
		"master.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhigh/playlist.m3u8\n",
		"high/playlist.m3u8": "#EXTM3U\n#EXT-X-MAP:URI=\"init-0.mp4\"\n#EXTINF:2,\n0.mp4\n" +
			"#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-1.mp4\"\n#EXTINF:2,\n1.mp4\n",
	}
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatal(err)
	}
	for other, want := range map[bool]string{false: "avc1", true: "avc3"} {
		for i := range 2 {
			header, object := stretch(t, time.Duration(i)*2*time.Second, "testsrc2=s=160x90")
			if i == 1 && other {
				sps := []byte(header)
				sps[strings.Index(header, "avcC")+4+8+3]++ // its level (ISO 14496-15 §5.3.3.1.2)
				header = string(sps)
			}
			s.content[fmt.Sprintf("high/init-%d.mp4", i)], s.content[fmt.Sprintf("high/%d.mp4", i)] = header, object
		}
		out := filepath.Join(t.TempDir(), "x.mp4")
		if _, err := printed(t, func() error {
			return s.export(t.Context(), "exec "+ffmpeg+` "$@"`, RecordingExport{ID: recordingID, Output: out})
		}); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(tool(t, "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=codec_tag_string", "-of", "csv=p=0", out)); got != want {
			t.Errorf("other pictures %v: the stream is %s, want %s", other, got, want)
		}
	}
}
