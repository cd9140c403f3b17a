package capture

import (
	"bytes"
	"context"
	"encoding/binary"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/recorder"
	"anabranch/internal/rtc"
	"anabranch/internal/transcode"
)

// Sound and pictures are in step from the first minute to the last, though the
// publisher's clock is not the server's: real Opus with a beep and real H.264 with a
// flash every two seconds go through a real ffmpeg, are recorded and decoded again.
// ANABRANCH_SYNC_MINUTES=60 makes an hour of it.
func TestSoundAndPicturesStayInStep(t *testing.T) {
	if testing.Short() {
		t.Skip("transcodes minutes of sound")
	}
	minutes := 2
	if n, err := strconv.Atoi(os.Getenv("ANABRANCH_SYNC_MINUTES")); err == nil {
		minutes = n
	}
	const drift = 1.0002 // of the server's clock against the publisher's
	for _, drift := range []float64{drift, 2 - drift} {
		t.Run(strconv.FormatFloat(drift, 'f', -1, 64), func(t *testing.T) {
			t.Parallel()
			file := recordReel(t, time.Duration(minutes)*time.Minute, drift)
			beeps, flashes := decode(t, file)
			if want := minutes*30 - 1; len(beeps) < want-1 || len(flashes) < want-1 {
				t.Errorf("%d beeps and %d flashes are there of %d", len(beeps), len(flashes), want)
			}
			var worst, sum time.Duration
			for i := range min(len(beeps), len(flashes)) {
				off := beeps[i] - flashes[i]
				sum += off
				if off.Abs() > worst.Abs() {
					worst = off
				}
				if off.Abs() > 40*time.Millisecond {
					t.Fatalf("beep %d is heard at %v, its flash is seen at %v", i, beeps[i], flashes[i])
				}
				if late := flashes[i] - time.Duration(float64(i+1)*2e9*drift); late.Abs() > 60*time.Millisecond {
					t.Fatalf("flash %d is seen at %v, %v too late", i, flashes[i], late)
				}
			}
			t.Logf("%d beeps, at worst %v behind their flashes, %v on average", len(beeps), worst, sum/time.Duration(max(1, len(beeps))))
		})
	}
}

// recordReel captures a reel of a length by the publisher's clock, and returns the
// recording in one file.
func recordReel(t *testing.T, length time.Duration, drift float64) (file string) {
	pictures, packets := reel(t)
	params, err := media.ParseH264(pictures[0].sps, pictures[0].pps)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "recording.mp4")
	tape := &tape{t: t, path: file}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	c := newCapture(everything, 2*media.VideoRate, log)
	c.reader, c.outlet.take = silentReader{}, tape
	c.negotiated = func() (sound, pictures bool) { return true, true }
	transcoder := transcode.New(transcode.Config{FFmpeg: "ffmpeg"})
	made := make(chan media.Ticks, 1024)
	c.sound.open = func(out func(media.Frame)) voice {
		return transcoder.NewVoice(log, func(f media.Frame) {
			out(f)
			select {
			case made <- f.DTS:
			default:
			}
		})
	}
	// The frames' times are the future's: nothing is known by the time alone.
	start := time.Now().Add(24 * time.Hour)
	at := func(sender time.Duration) time.Time { return start.Add(time.Duration(float64(sender) * drift)) }
	voiced := samples(zero)
	for n := range int(length / (20 * time.Millisecond)) {
		now := time.Duration(n) * 20 * time.Millisecond
		f := rtc.Frame{Kind: media.Audio, Connection: 1, Key: true, Time: at(now), Arrived: at(now), Payload: packets[n%len(packets)]}
		c.arrive(&f)
		if n%2 == 0 {
			p := pictures[n/2%len(pictures)]
			f := rtc.Frame{Kind: media.Video, Connection: 1, Key: p.key, Time: at(now), Arrived: at(now), Payload: p.payload, Video: params}
			c.arrive(&f)
		}
		for samples(c.sound.newest)-voiced > 4*soundRate { // its queue has an end
			select {
			case voiced = <-made:
			case <-time.After(time.Minute):
				t.Fatal("ffmpeg makes no sound")
			}
		}
		c.advance(time.Now())
	}
	c.finish()
	if err := tape.file.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}

// silentReader is asked for key frames by nobody.
type silentReader struct{}

func (silentReader) Next(context.Context) (rtc.Frame, error) { return rtc.Frame{}, context.Canceled }
func (silentReader) WantKeyFrame()                           {}
func (silentReader) Close()                                  {}

// tape is a take that makes a file of one stretch.
type tape struct {
	t    *testing.T
	path string
	file *os.File
	cmaf packager.CMAF
}

func (k *tape) Write(c *packager.Chunk, _ []recorder.Rendered) error {
	if k.file == nil {
		init, err := packager.CMAFInit(c.Params)
		if err != nil {
			return err
		}
		if k.file, err = os.Create(k.path); err != nil {
			return err
		}
		if _, err := k.file.Write(init); err != nil {
			return err
		}
	}
	data, err := k.cmaf.Append(nil, c)
	if err != nil {
		return err
	}
	_, err = k.file.Write(data)
	return err
}

func (k *tape) Lost(l recorder.Loss) { k.t.Errorf("lost %+v", l) }
func (k *tape) Open() media.Ticks    { return 0 }
func (k *tape) End()                 {}

// unit is an access unit of H.264.
type unit struct {
	key      bool
	payload  []byte
	sps, pps []byte
}

// reel is ten seconds of pictures, 25 a second, and of Opus: every two seconds a
// flash and a beep of a tenth of a second, but for where it begins.
func reel(t *testing.T) (pictures []unit, packets [][]byte) {
	t.Helper()
	const when = "lt(mod(t,2),0.1)"
	stream := run(t, nil, "-f", "lavfi", "-i", "color=black:s=160x90:r=25:d=10",
		"-vf", "drawbox=color=white:t=fill:enable='"+when+"'", "-c:v", "libx264", "-profile:v", "baseline", "-g", "50", "-pix_fmt", "yuv420p",
		"-x264-params", "aud=1:scenecut=0", "-f", "h264", "pipe:1")
	for _, text := range bytes.Split(stream, []byte{0, 0, 0, 1, 9})[1:] {
		var u unit
		for i, nal := range bytes.Split(bytes.ReplaceAll(text, []byte{0, 0, 0, 1}, []byte{0, 0, 1}), []byte{0, 0, 1}) {
			if i == 0 || len(nal) == 0 {
				continue // the rest of the delimiter
			}
			switch nal[0] & 0x1f {
			case 5:
				u.key = true
			case 6:
				continue
			case 7:
				u.sps = nal
			case 8:
				u.pps = nal
			}
			u.payload = append(binary.BigEndian.AppendUint32(u.payload, uint32(len(nal))), nal...)
		}
		pictures = append(pictures, u)
	}
	ogg := run(t, nil, "-f", "lavfi", "-i", "aevalsrc='0.5*sin(2*PI*1000*t)*"+when+"':s=48000:d=10",
		"-c:a", "libopus", "-b:a", "32k", "-application", "voip", "-f", "ogg", "-page_duration", "20000", "pipe:1")
	for len(ogg) >= 27 { // pages (RFC 3533 §6), of one packet or two
		lengths := ogg[27 : 27+int(ogg[26])]
		ogg = ogg[27+len(lengths):]
		n := 0
		for _, l := range lengths {
			if n += int(l); l < 255 {
				packets = append(packets, ogg[:n])
				ogg, n = ogg[n:], 0
			}
		}
	}
	if len(pictures) != 250 || len(packets) < 502 {
		t.Fatalf("the reel has %d pictures and %d packets", len(pictures), len(packets))
	}
	return pictures, packets[2:502] // behind the headers
}

// decode says when beeps and flashes begin in a recording, from its first picture.
func decode(t *testing.T, file string) (beeps, flashes []time.Duration) {
	t.Helper()
	const fps, rate = 200, 8000
	light := run(t, nil, "-err_detect", "explode", "-i", file, "-an", "-vf", "fps="+strconv.Itoa(fps)+":start_time=0,scale=1:1:flags=area,format=gray", "-f", "rawvideo", "pipe:1")
	sound := run(t, nil, "-err_detect", "explode", "-i", file, "-vn", "-af", "aresample="+strconv.Itoa(rate)+":async=1:first_pts=0", "-ac", "1", "-f", "s16le", "pipe:1")
	for i, was := 0, true; i < len(light); i++ {
		is := light[i] > 128
		if is && !was {
			flashes = append(flashes, time.Duration(i)*time.Second/fps)
		}
		was = is
	}
	loud := -rate
	for i := range len(sound) / 2 {
		if s := int16(binary.LittleEndian.Uint16(sound[2*i:])); max(s, -s) > 3000 {
			if i-loud > rate/10 && i > rate {
				beeps = append(beeps, time.Duration(i)*time.Second/rate)
			}
			loud = i
		}
	}
	return beeps, flashes
}

func run(t *testing.T, stdin []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("ffmpeg", append([]string{"-v", "error", "-nostdin"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(stdin), &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("ffmpeg %v: %v\n%s", args, err, stderr.String())
	}
	return out
}
