package ingest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anabranch/internal/broadcast"
	"anabranch/internal/media"
)

// ffmpeg runs it to the end, at most for 30 s, and returns what it printed.
func ffmpeg(t *testing.T, args ...string) (output string, err error) {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Fatal("ffmpeg is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ffmpeg", append([]string{"-hide_banner", "-nostdin", "-loglevel", "info"}, args...)...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Two seconds of picture and of sound.
var (
	picture = strings.Fields("-f lavfi -i testsrc2=size=320x180:rate=25:duration=2")
	x264    = strings.Fields("-c:v libx264 -preset ultrafast -g 25 -pix_fmt yuv420p -b:v 300k")
)

func sound(rate int) []string {
	return []string{"-f", "lavfi", "-i", fmt.Sprintf("sine=frequency=440:sample_rate=%d:duration=2", rate)}
}

func join(parts ...[]string) (all []string) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestFFmpeg(t *testing.T) {
	for _, tt := range []struct {
		name     string
		encode   []string
		rate     int // of the sound; 0 for none
		channels int
		bframes  bool
		tls      bool
		wraps    bool
	}{
		{name: "baseline, 44.1 kHz mono", encode: strings.Fields("-profile:v baseline"), rate: 44100, channels: 1},
		{name: "B-frames, 48 kHz stereo", encode: strings.Fields("-bf 2 -x264-params b-adapt=0"), rate: 48000, channels: 2, bframes: true},
		{name: "video only", encode: strings.Fields("-bf 0 -x264-params slices=4:aud=1")},
		{name: "RTMPS", encode: strings.Fields("-bf 0 -x264-params repeat-headers=1"), rate: 48000, channels: 1, tls: true},
		{name: "beyond 24 bits of milliseconds", encode: strings.Fields("-bf 0 -output_ts_offset 16776.1"), rate: 44100, channels: 1},
		{name: "wrap", encode: strings.Fields("-bf 0 -output_ts_offset 2147482.4"), rate: 44100, channels: 1, wraps: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pub := newPublishers()
			s := startServer(t, pub.publish)
			args, url := join(picture), "rtmp://"+s.addr+"/app/"+testKey
			if tt.rate > 0 {
				args = join(args, sound(tt.rate), []string{"-c:a", "aac", "-b:a", "96k", "-ac", fmt.Sprint(tt.channels)})
			}
			if tt.tls {
				url = "rtmps://" + s.startTLS(t) + "/app/" + testKey
			}
			if out, err := ffmpeg(t, join(args, x264, tt.encode, []string{"-f", "flv", url})...); err != nil {
				t.Fatalf("ffmpeg: %v\n%s", err, out)
			}
			feed := pub.await(t)
			if cause := feed.awaitClose(t); cause != nil {
				t.Errorf("closed because of %v", cause)
			}
			if r := feed.request; r.Key != testKey || r.Secure != tt.tls {
				t.Errorf("request %+v", r)
			}
			expectDescription(t, feed, tt.rate, tt.channels)
			video, audio := feed.kind(media.Video), feed.kind(media.Audio)
			if wraps := unfold(video) && unfold(audio); wraps != tt.wraps {
				t.Errorf("time stamps wrapped: %v", wraps)
			}
			expectVideo(t, video, tt.bframes)
			expectAudio(t, audio, tt.rate)
		})
	}
}

// unfold undoes the wrap of ffmpeg's 31-bit milliseconds, and says whether
// there was one.
func unfold(frames []media.Frame) (wrapped bool) {
	const wrap = (1 << 31) * 90
	for i := range frames {
		wrapped = wrapped || i > 0 && frames[i].DTS < frames[i-1].DTS-wrap/2
		if wrapped {
			frames[i].DTS += wrap
			frames[i].PTS += wrap
		}
	}
	return wrapped
}

func expectDescription(t *testing.T, feed *recordedFeed, rate, channels int) {
	t.Helper()
	// ffmpeg counts 1024 bits to the kilobit.
	const videoBitrate, audioBitrate = 300_000 * 1000 / 1024, 96_000 * 1000 / 1024
	d := feed.last(t)
	if v := d.Video; v.Width != 320 || v.Height != 180 || d.FrameRate != 25 || d.VideoBitrate != videoBitrate || !strings.HasPrefix(d.Encoder, "Lavf") {
		t.Errorf("described as %+v, video %+v", d, v)
	}
	switch a := d.Audio; {
	case rate == 0:
		if a != nil {
			t.Errorf("audio from nowhere: %+v", a)
		}
	case a == nil || a.SampleRate != rate || a.Channels != channels || d.AudioBitrate != audioBitrate:
		t.Errorf("audio described as %+v, %d bit/s", a, d.AudioBitrate)
	}
	if len(feed.descriptions) != 1 {
		t.Errorf("described %d times", len(feed.descriptions))
	}
}

func expectVideo(t *testing.T, frames []media.Frame, bframes bool) {
	t.Helper()
	if len(frames) != 50 {
		t.Errorf("%d video frames, want 50", len(frames))
	}
	var annexB bytes.Buffer
	keys, reordered, last := 0, 0, media.Ticks(-1<<62)
	for i, f := range frames {
		if f.DTS <= last {
			t.Errorf("frame %d: DTS %d after %d", i, f.DTS, last)
		}
		if i > 0 && f.DTS-last != 3600 {
			t.Errorf("frame %d is %d ticks after the one before, want 3600", i, f.DTS-last)
		}
		last = f.DTS
		switch offset := f.PTS - f.DTS; {
		case offset < 0 || offset > 4*3600 || offset%3600 != 0:
			t.Errorf("frame %d: PTS − DTS = %d", i, offset)
		case offset > 0:
			reordered++
		}
		kinds := nalKinds(t, f.Payload, &annexB)
		if f.Key {
			keys++
			if !strings.HasPrefix(kinds, " 7 8 ") || strings.Count(kinds, " 7 ") != 1 || strings.Count(kinds, " 8 ") != 1 || !strings.Contains(kinds, " 5 ") {
				t.Errorf("key frame %d has NAL units%s", i, kinds)
			}
		}
		if strings.Contains(kinds, " 9 ") || f.Key != (i%25 == 0) {
			t.Errorf("frame %d, key %v, has NAL units%s", i, f.Key, kinds)
		}
		if time.Since(f.Captured) > time.Minute {
			t.Errorf("frame %d arrived at %v", i, f.Captured)
		}
	}
	if keys != 2 || (reordered > 0) != bframes {
		t.Errorf("%d key frames, %d frames reordered", keys, reordered)
	}
	expectDecodable(t, annexB.Bytes(), len(frames))
}

// nalKinds lists the types of a payload's NAL units, such as " 7 8 5 ", and
// writes them to out with start codes.
func nalKinds(t *testing.T, payload []byte, out *bytes.Buffer) string {
	t.Helper()
	kinds := " "
	for len(payload) > 0 {
		n := binary.BigEndian.Uint32(payload)
		out.Write([]byte{0, 0, 0, 1})
		out.Write(payload[4 : 4+n])
		kinds += fmt.Sprint(payload[4]&31, " ")
		payload = payload[4+n:]
	}
	return kinds
}

// expectDecodable has the second half of the stream decoded too: from its
// second key frame, without any configuration.
func expectDecodable(t *testing.T, annexB []byte, frames int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "video.h264")
	second := bytes.LastIndex(annexB, []byte{0, 0, 0, 1, 0x67})
	for data, want := range map[string]int{string(annexB): frames, string(annexB[second:]): frames / 2} {
		if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := ffmpeg(t, "-xerror", "-f", "h264", "-i", file, "-f", "null", "-progress", "pipe:1", "-")
		if err != nil || !strings.Contains(out, fmt.Sprintf("\nframe=%d\n", want)) {
			t.Errorf("decode %d frames: %v\n%s", want, err, out)
		}
	}
}

func expectAudio(t *testing.T, frames []media.Frame, rate int) {
	t.Helper()
	want := (2*rate + media.SamplesPerFrame - 1) / media.SamplesPerFrame
	if len(frames) < want || len(frames) > want+2 && rate > 0 {
		t.Errorf("%d audio frames, want %d", len(frames), want)
	}
	for i, f := range frames {
		at := media.Ticks(i*media.SamplesPerFrame).Rescale(max(rate, 1), media.SourceRate)
		if off := f.DTS - frames[0].DTS - at; off < -180 || off > 180 { // stamps are whole milliseconds
			t.Errorf("audio frame %d at %d, want %d", i, f.DTS, at)
		}
		if f.PTS != f.DTS || !f.Key || len(f.Payload) == 0 {
			t.Errorf("audio frame %d: %+v", i, f)
		}
	}
}

// TestFFmpegRefused reads the reasons in ffmpeg's own output.
func TestFFmpegRefused(t *testing.T) {
	withSound := join(picture, sound(44100))
	for _, tt := range []struct {
		name    string
		path    string
		refusal error
		args    []string
		want    string
	}{
		{"occupied", "app/" + testKey, &broadcast.Refused{Code: broadcast.CodeBadName, Reason: "already live from another connection"},
			join(picture, x264), "already live from another connection"},
		{"wrong key", "app/" + testKey, &broadcast.Refused{Code: broadcast.CodeRejected, Reason: "the stream key is not valid"},
			join(picture, x264), "the stream key is not valid"},
		{"application", "live/" + testKey, nil, join(picture, x264), "the application does not exist"},
		{"no application", testKey, nil, join(picture, x264), "the application does not exist"},
		{"MP3", "app/" + testKey, nil, join([]string{"-re"}, withSound, x264, []string{"-c:a", "mp3"}), "audio codec MP3 is not supported"},
		{"FLV1", "app/" + testKey, nil, join([]string{"-re"}, picture, []string{"-c:v", "flv1"}), "video codec Sorenson H.263 is not supported"},
		{"audio only", "app/" + testKey, nil, join([]string{"-readrate", "20"}, sound(44100), []string{"-af", "apad=whole_dur=60", "-c:a", "aac"}), "no video came"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pub := newPublishers()
			pub.refusal = tt.refusal
			s := startServer(t, pub.publish)
			out, err := ffmpeg(t, join(tt.args, []string{"-f", "flv", "rtmp://" + s.addr + "/" + tt.path})...)
			if err == nil || !strings.Contains(out, tt.want) {
				t.Errorf("ffmpeg: %v, want %q in\n%s", err, tt.want, out)
			}
		})
	}
}
