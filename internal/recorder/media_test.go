package recorder

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"
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

// duplicated is what ffmpeg says of every initialization segment but the first: it
// goes by the parameter sets before each key frame.
var duplicated = regexp.MustCompile(`(?m)^.*Found duplicated MOOV Atom. Skipped it\n`)

// ffmpeg runs a tool and returns its output; anything on stderr fails the test.
// ffprobe would warn that it has no decoder for ID3 tags.
func ffmpeg(t *testing.T, tool string, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	level := map[string]string{"ffmpeg": "warning", "ffprobe": "error"}[tool]
	cmd := exec.CommandContext(t.Context(), tool, append([]string{"-v", level}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	warned := duplicated.ReplaceAllString(errs.String(), "")
	if err != nil || warned != "" {
		t.Errorf("%s %q: %v\n%s", tool, args, err, warned)
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
			start, pts = dts, dts // as a broadcast has it
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
// and without a word about timestamps, also where the 33 bits of a transport
// stream's times wrap (after 26.5 hours).
func TestPlayable(t *testing.T) {
	f := shootFilm(t, 0)
	for _, tt := range []struct {
		name   string
		camera func(window int) *camera
		start  media.Ticks
	}{
		{"TS", newCamera, packager.Origin},
		{"TS, wraps in an object", newCamera, 1<<33 - 5*media.VideoRate},
		{"TS, wraps at the join", newCamera, 1<<33 - 13*media.VideoRate},
		{"fMP4, past 33 bits", newFragmented, 1<<33 - 5*media.VideoRate},
		{"participant", newPublisher, packager.Origin},
		{"participant, past 33 bits", newPublisher, 1<<33 - 5*media.VideoRate},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var w *world
			virtual(t, func(t *testing.T, world *world, r *Recorder) {
				w = world
				c := tt.camera(60)
				c.stream.Description = media.Description{Params: f.params} // tells neither rate
				var cmaf packager.CMAF
				var take *Take
				cutter := packager.NewCutter(tt.start, func(ch *packager.Chunk) error {
					data, err := cmaf.Append(nil, ch)
					if err != nil {
						return err
					}
					return take.Write(ch, alone(ch, data))
				})
				for range 2 {
					take = c.begin(r)
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
			f.wantPlays(t, master)
			if !rec.OfParticipant() {
				ffmpeg(t, "ffmpeg", "-i", filepath.Join(filepath.Dir(master), rangeMasterName), "-f", "null", "-")
			}
			if rec.ContainerFormat == resource.TS {
				wantTagged(t, master)
			} else {
				wantFragments(t, master, tt.start)
			}
		})
	}
}

// wantPlays checks that a playlist plays the film twice.
func (f *film) wantPlays(t *testing.T, playlist string) {
	t.Helper()
	ffmpeg(t, "ffmpeg", "-i", playlist, "-f", "null", "-")
	for stream, want := range map[string]int{"v:0": 2 * len(f.video), "a:0": 2 * 13 * 48000 / 1024} {
		out := ffmpeg(t, "ffprobe", "-count_packets", "-select_streams", stream, "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", playlist)
		line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		if got, _ := strconv.Atoi(strings.Trim(line, ",")); got < want-2 || got > want+4 || stream == "v:0" && got != want {
			t.Errorf("%s: %d packets, want %d", stream, got, want)
		}
	}
	out := string(ffmpeg(t, "ffprobe", "-show_entries", "format=duration", "-of", "csv=p=0", playlist))
	if got, _ := strconv.ParseFloat(strings.TrimSpace(out), 64); got < 25.9 || got > 26.1 {
		t.Errorf("duration %q, want 26 s", out)
	}
	// A copy into another container is as long.
	copied := filepath.Join(t.TempDir(), "copy.mp4")
	ffmpeg(t, "ffmpeg", "-i", playlist, "-map", "0:v", "-map", "0:a", "-c", "copy", copied)
	out = string(ffmpeg(t, "ffprobe", "-show_entries", "format=duration", "-of", "csv=p=0", copied))
	if got, _ := strconv.ParseFloat(strings.TrimSpace(out), 64); got < 25.9 || got > 26.1 {
		t.Errorf("the copy lasts %q, want 26 s", out)
	}
}

// wantTagged checks the streams of each transport stream next to a multivariant
// playlist, and that a demuxer finds its pictures one after the other.
func wantTagged(t *testing.T, master string) {
	t.Helper()
	objects, _ := filepath.Glob(filepath.Join(filepath.Dir(master), "*", "*.ts"))
	for _, object := range objects {
		out := string(ffmpeg(t, "ffprobe", "-show_entries", "stream=id,codec_name", "-of", "csv=p=0", object))
		for _, want := range []string{"h264,0x101", "aac,0x100", "timed_id3,0x102"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s has the streams\n%swant %s", filepath.Base(object), out, want)
			}
		}
		var last int
		for n, line := range strings.Fields(string(ffmpeg(t, "ffprobe", "-select_streams", "v:0", "-show_entries", "packet=dts", "-of", "csv=p=0", object))) {
			dts, _ := strconv.Atoi(strings.Trim(line, ","))
			if d := dts - last; n > 0 && d != media.VideoRate/filmRate {
				t.Errorf("%s: picture %d is %d ticks behind the one before", filepath.Base(object), n, d)
			}
			last = dts
		}
	}
	if len(objects) == 0 {
		t.Error("no objects")
	}
}

// wantFragments checks that a parser reads the objects next to a multivariant
// playlist, that track ids and timescales are the same in every header, and
// that the times of each track go on from start, across the join.
func wantFragments(t *testing.T, master string, start media.Ticks) {
	t.Helper()
	folder, _ := filepath.Glob(filepath.Join(filepath.Dir(master), "*", "playlist.m3u8"))
	text, err := os.ReadFile(folder[0])
	if err != nil {
		t.Fatal(err)
	}
	scale := map[uint32]uint32{1: media.VideoRate, 2: 48000}
	next := map[uint32]uint64{1: uint64(start), 2: uint64(start.Rescale(media.VideoRate, 48000))}
	objects := 0
	for line := range strings.Lines(string(text)) {
		name := strings.TrimSpace(line)
		if uri, ok := strings.CutPrefix(name, "#EXT-X-MAP:URI="); ok {
			name, _ = strconv.Unquote(uri)
		} else if name == "" || name[0] == '#' {
			continue
		}
		file, err := mp4.ReadMP4File(filepath.Join(filepath.Dir(folder[0]), name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if file.Init != nil {
			for _, trak := range file.Init.Moov.Traks {
				if id := trak.Tkhd.TrackID; trak.Mdia.Mdhd.Timescale != scale[id] {
					t.Errorf("%s: track %d has timescale %d", name, id, trak.Mdia.Mdhd.Timescale)
				}
			}
			continue
		}
		objects++
		for _, segment := range file.Segments {
			for _, fragment := range segment.Fragments {
				for _, traf := range fragment.Moof.Trafs {
					id := traf.Tfhd.TrackID
					at := traf.Tfdt.BaseMediaDecodeTime()
					// Sound begins with the pictures of its stream and ends behind them.
					if late := int64(at - next[id]); id == 1 && late != 0 || max(late, -late) > media.SamplesPerFrame {
						t.Errorf("%s: track %d goes on at %d, want %d", name, id, at, next[id])
					}
					next[id] = at + traf.Trun.Duration(0)
				}
			}
		}
	}
	if objects < 4 {
		t.Errorf("%d objects", objects)
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
	b := begun{}
	if rec.OfParticipant() {
		b.Participant = &participantLayout{}
	}
	return filepath.Join(dir, "media/hls", b.layout().masterName())
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
				return take.Write(ch, alone(ch, data))
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
				for _, rec := range r.all {
					for i := range rec.objects {
						wantPieces(t, &rec.objects[i])
					}
				}
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
