package transcode

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"anabranch/internal/media"
)

// opusFrameTime is how long the packets of tests last, in samples.
const opusFrameTime media.Ticks = 960

// beeping is ten seconds of Opus as browsers send it, with a beep of 50 ms where
// each even second begins but the first. Repeated it goes on.
var beeping = sync.OnceValues(func() (packets [][]byte, err error) {
	ogg, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi",
		"-i", "aevalsrc='0.5*sin(2*PI*1000*t)*lt(mod(t,2),0.05)*gte(t,1)':s=48000:d=10",
		"-c:a", "libopus", "-b:a", "32k", "-application", "voip", "-f", "ogg", "-page_duration", "20000", "pipe:1").Output()
	for len(ogg) >= 27 { // a page (RFC 3533 §6), of one packet or the last two
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
	if len(packets) > 2 {
		packets = packets[2:] // behind the headers
	}
	return packets[:min(len(packets), 500)], err
})

// beeps are where those of beeping, repeated, begin in its samples before end.
func beeps(end media.Ticks) (at []media.Ticks) {
	for t := media.Ticks(2 * voiceRate); t < end; t += 2 * voiceRate {
		if t%(10*voiceRate) != 0 {
			at = append(at, t)
		}
	}
	return at
}

// heard collects what a voice makes.
type heard struct {
	t *testing.T
	*Voice
	mu     sync.Mutex // guards what follows
	frames []media.Frame
	came   sync.Cond
}

// listen begins a voice of ffmpeg, a program.
func listen(t *testing.T, ffmpeg string, b bounds) *heard {
	t.Helper()
	h := &heard{t: t}
	h.came.L = &h.mu
	transcoder := New(Config{FFmpeg: ffmpeg})
	transcoder.bounds = b
	h.Voice = transcoder.NewVoice(slog.New(slog.NewTextHandler(t.Output(), nil)), func(f media.Frame) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.frames = append(h.frames, f)
		h.came.Broadcast()
	})
	t.Cleanup(h.Close)
	return h
}

// until waits for the frames before a place, if there are any behind voiceStart.
func (h *heard) until(at media.Ticks) {
	h.t.Helper()
	hopelessly := time.AfterFunc(hopeless, h.came.Broadcast)
	defer hopelessly.Stop()
	deadline := time.Now().Add(hopeless)
	h.mu.Lock()
	defer h.mu.Unlock()
	for at > voiceStart && (len(h.frames) == 0 || h.frames[len(h.frames)-1].DTS+media.SamplesPerFrame < at) {
		if time.Now().After(deadline) {
			h.t.Fatalf("nothing comes out before %d: frames end at %d of %d", at, h.next.Load(), h.queue.written())
		}
		h.came.Wait()
	}
}

// onsets closes the voice, checks what it made, and says where sound begins in it
// after a tenth of a second of silence. The frames are contiguous but for so many holes.
func (h *heard) onsets(holes int) (at []media.Ticks) {
	h.t.Helper()
	h.Close()
	if len(h.frames) == 0 {
		h.t.Fatal("nothing came out")
	}
	_, silent, err := sample()
	if err != nil {
		h.t.Fatal(err)
	}
	first := h.frames[0].DTS
	var adts bytes.Buffer
	next := first
	for _, f := range h.frames {
		if f.DTS != f.PTS || f.Duration != media.SamplesPerFrame || f.Kind != media.Audio || !f.Key {
			h.t.Fatalf("frame %+v", f)
		}
		if (f.DTS-next)%media.SamplesPerFrame != 0 || f.DTS < next {
			h.t.Fatalf("a frame begins at %d, the one before ended at %d", f.DTS, next)
		}
		if f.DTS > next {
			holes--
		}
		for ; next < f.DTS; next += media.SamplesPerFrame {
			writeADTS(&adts, silent[1].Payload)
		}
		writeADTS(&adts, f.Payload)
		next += media.SamplesPerFrame
	}
	if holes != 0 {
		h.t.Errorf("%d holes less than there should be", holes)
	}
	cmd := exec.Command("ffmpeg", "-v", "error", "-f", "aac", "-i", "pipe:0", "-ac", "1", "-f", "s16le", "pipe:1")
	cmd.Stdin = &adts
	pcm, err := cmd.Output()
	if err != nil {
		h.t.Fatal(err)
	}
	if want := int(next-first) * 2; len(pcm) != want {
		h.t.Errorf("%d bytes of sound, want %d", len(pcm), want)
	}
	loud := media.Ticks(-voiceRate)
	for i := range media.Ticks(len(pcm) / 2) {
		if s := int16(binary.LittleEndian.Uint16(pcm[2*i:])); max(s, -s) > 3000 {
			if i-loud > voiceRate/10 {
				at = append(at, first+i)
			}
			loud = i
		}
	}
	return at
}

// writeADTS writes a frame of VoiceParams with its header (ISO/IEC 14496-3 §1.A.3.2).
func writeADTS(b *bytes.Buffer, frame []byte) {
	n := 7 + len(frame)
	b.Write([]byte{0xFF, 0xF1, 0x4C, 0x80 | byte(n>>11), byte(n >> 3), byte(n<<5) | 0x1F, 0xFC})
	b.Write(frame)
}

// nearest is how far at is from the nearest of all.
func nearest(all []media.Ticks, at media.Ticks) time.Duration {
	i, _ := slices.BinarySearch(all, at)
	best := media.Ticks(1 << 40)
	for _, o := range all[max(0, i-1):min(len(all), i+1)] {
		if d := at - o; max(d, -d) < max(best, -best) {
			best = d
		}
	}
	return best.Duration(voiceRate)
}
