package playback_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/playback"
)

// What a real encoder made, interrupted and gone on with in another size, a
// real player plays without a complaint.
func TestRealMedia(t *testing.T) {
	st := newStation(t)
	view := st.channel("abc", 0, nil)
	for _, size := range []string{"160x90", "320x180"} {
		publish(t, view.Window, encode(t, size))
	}
	if err := view.Window.End(); err != nil {
		t.Fatal(err)
	}
	info := view.Window.Info()
	if !info.Playable || info.Params.Video.Width != 320 || info.FrameRate < 29 || info.FrameRate > 31 {
		t.Errorf("info %+v", info)
	}
	server := httptest.NewServer(st.mux)
	defer server.Close()
	url := server.URL + playback.Path(place, "abc")

	// The decoded pictures of both streams, with their times.
	out, err := exec.Command("timeout", "-k", "1", "30", "ffmpeg", "-v", "warning", "-i", url, "-map", "0:v", "-vf", "showinfo", "-f", "null", "-").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if bytes.Contains(out, []byte("rror")) || bytes.Contains(out, []byte("non monotonically")) {
		t.Errorf("ffmpeg complains:\n%s", out)
	}
	probe := func(entries string) []string {
		t.Helper()
		out, err := exec.Command("timeout", "-k", "1", "30", "ffprobe", "-v", "error", "-of", "csv=p=0", "-show_entries", entries, url).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return strings.Fields(string(out))
	}
	next := map[string]float64{}
	count := map[string]int{}
	for _, line := range probe("packet=codec_type,dts_time,duration_time") {
		f := strings.Split(line, ",")
		var at, lasts float64
		fmt.Sscan(f[1], &at)
		fmt.Sscan(f[2], &lasts)
		// At the join an audio frame may overlap the next, or leave a hole.
		if before, ok := next[f[0]]; ok && (at < before-0.022 || at > before+0.05) {
			t.Errorf("%s packet %d at %f s, the one before ended at %f s", f[0], count[f[0]], at, before)
		}
		next[f[0]] = at + lasts
		count[f[0]]++
	}
	if v, a := count["video"], count["audio"]; v != 2*150 || a < 2*225 || a > 2*240 {
		t.Errorf("%d pictures and %d audio frames", v, a)
	}
}

// encode makes five seconds of picture and sound as MPEG-TS.
func encode(t *testing.T, size string) []byte {
	t.Helper()
	cmd := exec.Command("timeout", "-k", "1", "30", "ffmpeg", "-v", "error",
		"-f", "lavfi", "-i", "testsrc2=s="+size+":r=30", "-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", "5",
		"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "60", "-bf", "0",
		"-c:a", "aac", "-ac", "2", "-f", "mpegts", "-")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("encode: %v\n%s", err, complaints.Bytes())
	}
	return out
}

// publish sends an MPEG-TS file through cutter and CMAF writer into w, where
// the last stream left off.
func publish(t *testing.T, w *packager.Window, ts []byte) {
	t.Helper()
	in := &mpegts.Reader{R: bytes.NewReader(ts)}
	if err := in.Initialize(); err != nil {
		t.Fatal(err)
	}
	start := packager.Origin
	if at, ok := w.Position(); ok {
		start = at
	}
	var cmaf packager.CMAF
	cutter := packager.NewCutter(start, func(c *packager.Chunk) error {
		b, err := cmaf.Append(nil, c)
		if err != nil {
			return err
		}
		return w.Append(c, b)
	})
	var p media.Params
	var shift media.Ticks
	for _, track := range in.Tracks() {
		switch codec := track.Codec.(type) {
		case *codecs.H264:
			in.OnDataH264(track, func(pts, dts int64, unit [][]byte) error {
				f := media.Frame{Kind: media.Video, Captured: time.Now()}
				var sps, pps []byte
				for _, nalu := range unit {
					switch nalu[0] & 0x1f {
					case 5:
						f.Key = true
					case 7:
						sps = nalu
					case 8:
						pps = nalu
					}
					f.Payload = append(binary.BigEndian.AppendUint32(f.Payload, uint32(len(nalu))), nalu...)
				}
				if p.Video == nil {
					var err error
					if p.Video, err = media.ParseH264(sps, pps); err != nil {
						return err
					}
					if err := cutter.Begin(p); err != nil {
						return err
					}
					shift = start - media.Ticks(dts)
				}
				f.DTS, f.PTS = media.Ticks(dts)+shift, media.Ticks(pts)+shift
				return cutter.Write(f)
			})
		case *codecs.MPEG4Audio:
			config, err := codec.Config.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if p.Audio, err = media.ParseAAC(config); err != nil {
				t.Fatal(err)
			}
			in.OnDataMPEG4Audio(track, func(pts int64, units [][]byte) error {
				at := (media.Ticks(pts) + shift).Rescale(media.SourceRate, p.Audio.SampleRate)
				for _, unit := range units {
					f := media.Frame{Kind: media.Audio, DTS: at, PTS: at, Key: true, Payload: unit, Captured: time.Now()}
					if p.Video == nil {
						continue // before the first picture
					}
					if err := cutter.Write(f); err != nil {
						return err
					}
					at += media.SamplesPerFrame
				}
				return nil
			})
		}
	}
	var err error
	for err == nil {
		err = in.Read()
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if err := cutter.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := w.Interrupt(); err != nil {
		t.Fatal(err)
	}
}
