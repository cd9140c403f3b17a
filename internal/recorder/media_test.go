package recorder

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

// film is what a real encoder made: 13 s of picture and sound.
type film struct {
	params media.Params
	video  [][]byte
	keys   []bool
	shown  []media.Ticks // PTS of each picture, from the first DTS
	audio  [][]byte
}

const filmRate = 25

// ffmpeg runs a tool and returns its output; anything on stderr fails the test.
func ffmpeg(t *testing.T, tool string, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), tool, append([]string{"-v", "warning"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil || errs.Len() > 0 {
		t.Errorf("%s %q: %v\n%s", tool, args, err, errs.String())
	}
	return out.Bytes()
}

// shootFilm makes one with so many B-frames in a row.
func shootFilm(t *testing.T, bframes int) *film {
	t.Helper()
	var f film
	path := filepath.Join(t.TempDir(), "film.mp4")
	ffmpeg(t, "ffmpeg", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=13", "-c:v", "libx264", "-preset", "ultrafast",
		"-g", "50", "-bf", strconv.Itoa(bframes), "-x264-params", "scenecut=0:b-adapt=0", path)
	raw := ffmpeg(t, "ffmpeg", "-i", path, "-c", "copy", "-bsf:v", "h264_mp4toannexb,h264_metadata=aud=insert", "-f", "h264", "-")
	times := ffmpeg(t, "ffprobe", "-show_entries", "packet=dts_time,pts_time", "-of", "csv=p=0", path)
	var start float64
	for n, line := range strings.Fields(string(times)) {
		var pts, dts float64
		if _, err := fmt.Sscanf(line, "%f,%f", &pts, &dts); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			start = dts
		}
		f.shown = append(f.shown, media.Ticks(math.Round((pts-start)*media.VideoRate)))
	}
	var units [][]byte
	for _, nal := range bytes.Split(raw, []byte{0, 0, 1}) {
		if nal = bytes.TrimRight(nal, "\x00"); len(nal) > 0 {
			units = append(units, nal)
		}
	}
	var sps, pps []byte
	for _, nal := range units {
		switch h264.NALUType(nal[0] & 0x1f) {
		case h264.NALUTypeAccessUnitDelimiter:
			f.video, f.keys = append(f.video, nil), append(f.keys, false)
		case h264.NALUTypeSPS:
			sps = nal
		case h264.NALUTypePPS:
			pps = nal
		case h264.NALUTypeIDR:
			f.keys[len(f.keys)-1] = true
		}
		n := len(f.video) - 1
		f.video[n] = append(f.video[n], byte(len(nal)>>24), byte(len(nal)>>16), byte(len(nal)>>8), byte(len(nal)))
		f.video[n] = append(f.video[n], nal...)
	}
	video, err := media.ParseH264(sps, pps)
	if err != nil {
		t.Fatal(err)
	}
	var adts mpeg4audio.ADTSPackets
	if err := adts.Unmarshal(ffmpeg(t, "ffmpeg", "-f", "lavfi", "-i", "sine=d=13:r=48000", "-ac", "2", "-c:a", "aac", "-f", "adts", "-")); err != nil {
		t.Fatal(err)
	}
	for _, p := range adts {
		f.audio = append(f.audio, p.AU)
	}
	audio, err := media.ParseAAC([]byte{0x11, 0x90})
	if err != nil {
		t.Fatal(err)
	}
	f.params = media.Params{Video: video, Audio: audio}
	return &f
}

// play sends the film through cutter, as a stream that begins at its end.
func (f *film) play(t *testing.T, cutter *packager.Cutter) {
	t.Helper()
	if err := cutter.Begin(f.params); err != nil {
		t.Error(err)
	}
	start := cutter.End()
	sound := start.Rescale(media.VideoRate, 48000)
	audio := 0
	for n, payload := range f.video {
		dts := start + media.Ticks(n*media.VideoRate/filmRate)
		for ; audio < len(f.audio) && audio*1024*filmRate <= n*48000; audio++ {
			at := sound + media.Ticks(audio*1024)
			if err := cutter.Write(media.Frame{Kind: media.Audio, DTS: at, PTS: at, Key: true, Payload: f.audio[audio], Captured: time.Now()}); err != nil {
				t.Error(err)
			}
		}
		if err := cutter.Write(media.Frame{Kind: media.Video, DTS: dts, PTS: start + f.shown[n], Key: f.keys[n], Payload: payload, Captured: time.Now()}); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second / filmRate)
	}
	if err := cutter.Flush(); err != nil {
		t.Error(err)
	}
}

// A stock player plays what two streams were merged into, to the last frame
// and without a word about timestamps.
func TestPlayable(t *testing.T) {
	f := shootFilm(t, 0)
	for _, container := range []resource.ContainerFormat{resource.TS, resource.FragmentedMP4} {
		t.Run(string(container), func(t *testing.T) {
			var w *world
			virtual(t, func(t *testing.T, world *world, r *Recorder) {
				w = world
				c := newCamera(60)
				c.stream.Channel.ContainerFormat = container
				c.stream.Description = media.Description{Params: f.params} // tells neither rate
				var cmaf packager.CMAF
				var take *Take
				cutter := packager.NewCutter(packager.Origin, func(ch *packager.Chunk) error {
					data, err := cmaf.Append(nil, ch)
					if err != nil {
						return err
					}
					return take.Write(ch, data)
				})
				for range 2 {
					take = r.Begin(c.stream)
					f.play(t, cutter)
					take.End()
					time.Sleep(20 * time.Second)
					c = c.again()
				}
				time.Sleep(time.Minute)
				synctest.Wait()
			})
			rec := w.recordings()[0]
			if len(w.recordings()) != 1 || len(rec.StreamIDs) != 2 || rec.Duration != 26*time.Second {
				t.Fatalf("recording: %+v", rec)
			}
			master := download(t, w, rec)
			ffmpeg(t, "ffmpeg", "-i", master, "-f", "null", "-")
			for stream, want := range map[string]int{"v:0": 2 * len(f.video), "a:0": 2 * 13 * 48000 / 1024} {
				out := ffmpeg(t, "ffprobe", "-count_packets", "-select_streams", stream, "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", master)
				line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
				if got, _ := strconv.Atoi(strings.Trim(line, ",")); got < want-2 || got > want+4 || stream == "v:0" && got != want {
					t.Errorf("%s: %d packets, want %d", stream, got, want)
				}
			}
			out := string(ffmpeg(t, "ffprobe", "-show_entries", "format=duration", "-of", "csv=p=0", master))
			if got, _ := strconv.ParseFloat(strings.TrimSpace(out), 64); got < 25.9 || got > 26.1 {
				t.Errorf("duration %q, want 26 s", out)
			}
		})
	}
}

// download fetches a recording, and returns the path of its multivariant
// playlist.
func download(t *testing.T, w *world, rec resource.Recording) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range w.names(rec) {
		path := filepath.Join(dir, name)
		os.MkdirAll(filepath.Dir(path), 0o700)
		os.WriteFile(path, []byte(w.object(rec, name)), 0o600)
	}
	return filepath.Join(dir, "media/hls/master.m3u8")
}

// A player does not notice either that the server was killed between two parts,
// where pictures that others lead up to had come, and the others had not.
func TestPlayableAfterKill(t *testing.T) {
	f := shootFilm(t, 2)
	for _, container := range []resource.ContainerFormat{resource.TS, resource.FragmentedMP4} {
		t.Run(string(container), func(t *testing.T) {
			outer := t
			w := newWorld()
			c := newCamera(60)
			c.stream.Channel.ContainerFormat = container
			c.stream.Description = media.Description{Params: f.params}
			var spool string
			pictures := 0
			var take *Take
			record := func(ch *packager.Chunk) error {
				data, err := c.cmaf.Append(nil, ch)
				if err != nil {
					return err
				}
				return take.Write(ch, data)
			}
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				r := open(t, w, dir)
				stop := run(t, r)
				take = r.Begin(c.stream)
				n, parts := 0, 0
				f.play(t, packager.NewCutter(packager.Origin, func(ch *packager.Chunk) error {
					if spool != "" {
						return nil
					}
					n, parts = n+len(ch.Video), parts+1
					err := record(ch)
					if parts > 35 && ch.Tail > 0 { // in the second object
						spool, pictures = copyTree(outer, dir), n
						w.fail(errNetwork)
					}
					return err
				}))
				stop()
			})
			if spool == "" {
				t.Fatal("no part has a tail")
			}
			w.fault = nil
			synctest.Test(t, func(t *testing.T) {
				r := open(t, w, spool)
				stop := run(t, r)
				c = c.again()
				at, _ := r.Position(c.stream.Channel.ARN)
				take = r.Begin(c.stream)
				f.play(t, packager.NewCutter(at, record))
				take.End()
				time.Sleep(2 * time.Minute)
				stop()
			})
			rec := w.recordings()[0]
			if len(rec.StreamIDs) != 2 {
				t.Fatalf("recording: %+v", rec)
			}
			master := download(t, w, rec)
			ffmpeg(t, "ffmpeg", "-i", master, "-f", "null", "-")
			out := ffmpeg(t, "ffprobe", "-count_packets", "-select_streams", "v:0", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", master)
			line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
			if got, _ := strconv.Atoi(strings.Trim(line, ",")); got != pictures+len(f.video) {
				t.Errorf("%s packets, want %d", line, pictures+len(f.video))
			}
		})
	}
}
