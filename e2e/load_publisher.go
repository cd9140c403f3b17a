package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib"
)

// A replay is a publisher that costs next to nothing: it sends what was encoded
// before, again and again and in real time, from a goroutine of the test. It
// also knows when it sent each picture.
type replay struct {
	began time.Time    // of dialing
	conn  *net.TCPConn // after the RTMP handshake and commands
	stop  func()       // and wait

	// mu guards what the goroutine that sends has to tell.
	mu       sync.Mutex
	pictures []time.Time // when the sending of each began, in decoding order
	err      error
}

// footage is encoded media that can be repeated without a seam.
type footage struct {
	file    []byte // FLV
	lasts   time.Duration
	headers []flvTag // metadata and codec configurations
	tags    []flvTag // in the order of their time, from zero on
}

// flvTag is a tag of an FLV file, which is what RTMP calls a message.
type flvTag struct {
	kind byte
	at   time.Duration // of decoding
	body []byte
}

const (
	flvAudio, flvVideo, flvData = 8, 9, 18
	flvAVC, flvAAC              = 7, 10
)

func (t flvTag) isVideo() bool { return t.kind == flvVideo }

// isHeader says whether the tag configures a decoder (FLV E.4.2.1, E.4.3.1).
func (t flvTag) isHeader() bool {
	return t.kind == flvData || len(t.body) > 1 && t.body[1] == 0 &&
		(t.isVideo() && t.body[0]&0xf == flvAVC || t.kind == flvAudio && t.body[0]>>4 == flvAAC)
}

const (
	replayRate = 30
	replayGOP  = 2 * replayRate
	// replayLasts is a whole number of GOPs and, at 48 kHz, of AAC frames.
	replayLasts = 16 * time.Second
)

// plainFootage is 720p30 at 2.5 Mbit/s with sound and without B-frames, and
// reorderedFootage has two between the others. They are encoded once.
var (
	plainFootage     = sync.OnceValues(func() (*footage, error) { return encodeFootage("-tune", "zerolatency") })
	reorderedFootage = sync.OnceValues(func() (*footage, error) { return encodeFootage("-bf", "2", "-b_strategy", "0") })
)

func encodeFootage(options ...string) (*footage, error) {
	args := []string{"-hide_banner", "-nostdin", "-v", "error",
		"-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=" + strconv.Itoa(replayRate), "-f", "lavfi", "-i", "sine=sample_rate=48000",
		"-t", strconv.Itoa(int((replayLasts + time.Second).Seconds())),
		"-vf", "noise=alls=20:allf=t", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p",
		"-b:v", "2500k", "-minrate", "2500k", "-maxrate", "2500k", "-bufsize", "2500k",
		"-g", strconv.Itoa(replayGOP), "-keyint_min", strconv.Itoa(replayGOP), "-sc_threshold", "0",
		"-c:a", "aac", "-b:a", "128k"}
	var complaints bytes.Buffer
	cmd := exec.Command("ffmpeg", append(append(args, options...), "-f", "flv", "-")...)
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("encode: %w\n%s", err, complaints.Bytes())
	}
	return readFootage(out)
}

// readFootage takes an FLV file apart and cuts it to the length of a repeat.
func readFootage(flv []byte) (*footage, error) {
	s := &footage{file: flv, lasts: replayLasts}
	const fileHeader, tagHeader, trailer = 13, 11, 4
	for rest := flv[min(fileHeader, len(flv)):]; len(rest) >= tagHeader; {
		size := int(binary.BigEndian.Uint32(rest) & 0xffffff)
		if len(rest) < tagHeader+size+trailer {
			return nil, io.ErrUnexpectedEOF
		}
		ms := binary.BigEndian.Uint32(rest[4:])>>8 | uint32(rest[7])<<24
		t := flvTag{rest[0], time.Duration(ms) * time.Millisecond, rest[tagHeader : tagHeader+size]}
		switch rest = rest[tagHeader+size+trailer:]; {
		case t.kind == flvData:
			// RTMP names the handler before the data (RTMP 1.0 §7.1.2).
			t.body = append([]byte("\x02\x00\x0d@setDataFrame"), t.body...)
			s.headers = append(s.headers, t)
		case t.isHeader():
			s.headers = append(s.headers, t)
		case t.at < s.lasts:
			s.tags = append(s.tags, t)
		}
	}
	if len(s.headers) < 3 || len(s.tags) == 0 {
		return nil, fmt.Errorf("%d headers and %d messages are no stream", len(s.headers), len(s.tags))
	}
	slices.SortStableFunc(s.tags, func(a, b flvTag) int { return int(a.at - b.at) })
	return s, nil
}

// startReplay publishes s to an RTMP URL until the test ends or stop is called.
func startReplay(t testing.TB, address string, encoded func() (*footage, error)) *replay {
	t.Helper()
	s, err := encoded()
	if err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	to.Path, to.Fragment = "/app", to.Path[len("/app/"):] // gortmplib's way to tell the stream key
	p := &replay{began: time.Now()}
	client := &gortmplib.Client{URL: to, Publish: true}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := client.Initialize(ctx); err != nil {
		t.Fatalf("publish: %v", err)
	}
	p.conn = client.NetConn().(*net.TCPConn)
	var ended sync.WaitGroup
	sending, end := context.WithCancel(context.Background())
	p.stop = func() { end(); p.conn.Close(); ended.Wait() }
	t.Cleanup(p.stop)
	ended.Go(func() { io.Copy(io.Discard, p.conn) }) // acknowledgements
	ended.Go(func() {
		err := p.send(sending, s)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.err = err
	})
	return p
}

// send sends until ctx ends. The connection is this goroutine's to write to.
func (p *replay) send(ctx context.Context, s *footage) error {
	const maxChunk = 65536 // as gortmplib has told the server
	var message []byte
	write := func(t flvTag, at time.Duration) error {
		message = appendMessage(message[:0], t, at, maxChunk)
		_, err := p.conn.Write(message)
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	for _, t := range s.headers {
		if err := write(t, 0); err != nil {
			return err
		}
	}
	began := time.Now()
	due := time.NewTimer(0)
	defer due.Stop()
	for past := time.Duration(0); ; past += s.lasts {
		for _, t := range s.tags {
			due.Reset(time.Until(began.Add(past + t.at)))
			select {
			case <-due.C:
			case <-ctx.Done():
				return nil
			}
			if t.isVideo() {
				p.mu.Lock()
				p.pictures = append(p.pictures, time.Now())
				p.mu.Unlock()
			}
			if err := write(t, past+t.at); err != nil {
				return err
			}
		}
	}
}

// appendMessage writes an RTMP message of the stream 1 in chunks (RTMP 1.0
// §5.3). Its time must be below 2^24 ms, which is four hours.
func appendMessage(b []byte, t flvTag, at time.Duration, maxChunk int) []byte {
	const chunkStream, continued = 6, 3 << 6
	ms, size := at.Milliseconds(), len(t.body)
	b = append(b, chunkStream, byte(ms>>16), byte(ms>>8), byte(ms), byte(size>>16), byte(size>>8), byte(size), t.kind, 1, 0, 0, 0)
	for body := t.body; ; b = append(b, continued|chunkStream) {
		n := min(len(body), maxChunk)
		b = append(b, body[:n]...)
		if body = body[n:]; len(body) == 0 {
			return b
		}
	}
}

// check fails the test when the publisher could not send all it should have.
func (p *replay) check(t testing.TB) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		t.Fatalf("a publisher ended: %v", p.err)
	}
}

// sent is when the sending of a picture began; false when that is to come.
func (p *replay) sent(picture int) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if picture < 0 || picture >= len(p.pictures) {
		return time.Time{}, false
	}
	return p.pictures[picture], true
}
