package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4/pkg/media/oggreader"
)

// A tape is what publishers of stages send, again and again: H.264 and Opus,
// encoded and cut into packets once. Every picture has SEI. No two packets of
// more than a few bytes are the same, so that a packet tells which of the tape
// it is.
type tape struct {
	packets []tapePacket // of both kinds, in the order of their time
	lasts   time.Duration
	beats   bool
}

// tapePacket is what a packet has of the media itself.
type tapePacket struct {
	kind    string // "video" or "audio"
	at      time.Duration
	last    bool // of its picture
	payload []byte
	sum     uint64 // of the payload
}

// scene says how a tape is encoded.
type scene struct {
	width, height int
	bitrate       int // of the video, bit/s; 0 for sound alone
	silent        bool
	// beats numbers the pictures from 0, as a shot's of the piece (see shot), and
	// has a beep amid each second, with picture 15 of it, instead of noise.
	beats bool
	piece int
}

const (
	tapeLasts = 10 * time.Second // before it begins anew, in whole Opus frames
	tapeRate  = 30               // pictures a second, the first of each a key frame
	opusFrame = 20 * time.Millisecond
	// tapePayload leaves room for the headers of a packet of 1,200 bytes, which is
	// what browsers send.
	tapePayload = 1100
)

// tapes are made once for each scene.
var tapes sync.Map // scene → func() (*tape, error)

// tape is the scene in packets.
func (f scene) tape() (*tape, error) {
	made, _ := tapes.LoadOrStore(f, sync.OnceValues(f.encode))
	return made.(func() (*tape, error))()
}

// small is what most tests send: 300 kbit/s in all.
var small = scene{width: 320, height: 180, bitrate: 260_000}

func (f scene) encode() (*tape, error) {
	dir, err := os.MkdirTemp("", "anabranch-tape-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	all := &tape{lasts: tapeLasts, beats: f.beats}
	seconds := strconv.Itoa(int(tapeLasts.Seconds()))
	if f.bitrate > 0 {
		rate := strconv.Itoa(f.bitrate)
		stream, err := ffmpegOutput(dir+"/video.h264", "-f", "lavfi", "-i", f.picture(), "-t", seconds, "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline", "-pix_fmt", "yuv420p", "-threads", "1",
			"-b:v", rate, "-maxrate", rate, "-bufsize", rate, "-g", strconv.Itoa(tapeRate), "-keyint_min", strconv.Itoa(tapeRate), "-sc_threshold", "0",
			"-x264-params", "aud=1:nal-hrd=vbr", "-f", "h264")
		if err != nil {
			return nil, err
		}
		all.addVideo(stream)
	}
	if !f.silent {
		stream, err := ffmpegOutput(dir+"/audio.ogg", "-f", "lavfi", "-i", f.sound(), "-t", seconds, "-ac", "2",
			"-c:a", "libopus", "-b:a", "32k", "-frame_duration", "20", "-page_duration", "20000", "-f", "ogg")
		if err != nil {
			return nil, err
		}
		if err := all.addAudio(stream); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(all.packets, func(a, b tapePacket) int { return int(a.at - b.at) })
	return all, nil
}

// picture and sound are sources of ffmpeg's.
func (f scene) picture() string {
	source := fmt.Sprintf("testsrc2=size=%dx%d:rate=%d,noise=alls=12:allf=t", f.width, f.height, tapeRate)
	if !f.beats {
		return source
	}
	return source + "[picture];" + shotBlocks(f.piece, f.width, f.height) + "[shot];[picture][shot]overlay"
}

func (f scene) sound() string {
	if !f.beats {
		return "anoisesrc=color=pink:amplitude=0.2:sample_rate=48000"
	}
	return "aevalsrc='0.002*random(0)+if(lt(mod(t+0.5,1),0.06),0.5*sin(2*PI*1000*t),0)':sample_rate=48000"
}

func ffmpegOutput(path string, args ...string) ([]byte, error) {
	cmd := exec.Command("ffmpeg", append(append([]string{"-hide_banner", "-nostdin", "-v", "error"}, args...), path)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("encode: %w\n%s", err, out)
	}
	return os.ReadFile(path)
}

// addVideo cuts a byte stream (H.264 annex B) into pictures, each of which
// begins with an access unit delimiter, and these into packets (RFC 6184).
func (all *tape) addVideo(stream []byte) {
	delimiter := []byte{0, 0, 0, 1, 9}
	payloader := &codecs.H264Payloader{}
	for i, picture := range bytes.Split(stream, delimiter)[1:] {
		picture = append(slices.Clone(delimiter), picture...)
		payloads := payloader.Payload(tapePayload, picture)
		for k, payload := range payloads {
			all.add("video", time.Duration(i)*time.Second/tapeRate, k == len(payloads)-1, payload)
		}
	}
}

// addAudio takes Opus packets out of an Ogg file that has one on a page.
func (all *tape) addAudio(file []byte) error {
	ogg, _, err := oggreader.NewWith(bytes.NewReader(file))
	if err != nil {
		return fmt.Errorf("read the Ogg file: %w", err)
	}
	for at := time.Duration(0); at < tapeLasts; {
		page, _, err := ogg.ParseNextPage()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the Ogg file: %w", err)
		}
		if bytes.HasPrefix(page, []byte("OpusTags")) {
			continue
		}
		all.add("audio", at, true, page)
		at += opusFrame
	}
	return nil
}

func (all *tape) add(kind string, at time.Duration, last bool, payload []byte) {
	all.packets = append(all.packets, tapePacket{kind, at, last, payload, payloadSum(payload)})
}

var payloadSeed = maphash.MakeSeed()

// payloadSum stands for a payload where that itself would take too much room.
func payloadSum(payload []byte) uint64 { return maphash.Bytes(payloadSeed, payload) }
