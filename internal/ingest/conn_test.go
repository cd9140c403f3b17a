package ingest

import (
	"bytes"
	_ "embed"
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib/pkg/amf0"
	"github.com/bluenviron/gortmplib/pkg/rawmessage"

	"anabranch/internal/media"
)

// captured is what ffmpeg 5.1 sends behind its handshake for three pictures of
// 32x32 and a tenth of a second of sound.
//
//go:embed testdata/ffmpeg.rtmp
var captured []byte

// playedConn is a connection whose client sends a handshake and all of in, reads
// everything and hangs up.
type playedConn struct {
	in      *bytes.Reader
	written int
	check   func() // before each read
}

func newPlayedConn(in []byte) *playedConn {
	hello := make([]byte, 1+2*1536)
	hello[0] = 3
	return &playedConn{in: bytes.NewReader(append(hello, in...)), check: func() {}}
}

func (c *playedConn) Read(b []byte) (int, error) {
	c.check()
	return c.in.Read(b[:min(len(b), 1000)])
}

func (c *playedConn) Write(b []byte) (int, error) {
	c.written += len(b)
	return len(b), nil
}

func (*playedConn) Close() error                     { return nil }
func (*playedConn) LocalAddr() net.Addr              { return addrConn{addr: "192.0.2.1:1935"} }
func (*playedConn) RemoteAddr() net.Addr             { return addrConn{addr: "192.0.2.2:5000"} }
func (*playedConn) SetDeadline(time.Time) error      { return nil }
func (*playedConn) SetReadDeadline(time.Time) error  { return nil }
func (*playedConn) SetWriteDeadline(time.Time) error { return nil }

// playConn serves a client that sends in, and returns its feed, nil if it got none.
func playConn(t testing.TB, in []byte) *recordedFeed {
	t.Helper()
	pub := newPublishers()
	conn := newPlayedConn(in)
	settled := 0
	var faults bytes.Buffer
	log := slog.New(slog.NewTextHandler(&faults, &slog.HandlerOptions{Level: slog.LevelError}))
	c := newRTMPConn(&RTMPConfig{Publish: pub.publish, Log: log}, conn, "RTMP", func() { settled++ })
	conn.check = func() {
		expectBounded(t, c.wire.chunks)
		if len(pub.feeds) == 0 && (c.wire.chunks.limit != maxBeforePublish || c.wire.received > maxBeforePublish+16<<10) {
			t.Fatalf("before publishing, %d bytes were read, limit in assembly %d", c.wire.received, c.wire.chunks.limit)
		}
	}
	c.serve(t.Context())
	if faults.Len() > 0 {
		t.Fatalf("errors of ours: %s", &faults)
	}
	if conn.written > 10_000+64*len(in) {
		t.Fatalf("%d bytes were the answer to %d", conn.written, len(in))
	}
	if settled != len(pub.feeds) || settled > 1 {
		t.Fatalf("settled %d times, with %d feeds", settled, len(pub.feeds))
	}
	if settled == 0 {
		return nil
	}
	feed := <-pub.feeds
	select {
	case <-feed.closed:
	default:
		t.Fatal("the feed was not closed")
	}
	return feed
}

func TestCapture(t *testing.T) {
	feed := playConn(t, captured)
	if feed == nil || feed.cause != nil || feed.request.Key != testKey {
		t.Fatalf("feed %+v", feed)
	}
	if got, want := told(feed), "[32 44100] A0 I23 A23 A46 P63 A69 A93 P103 A116 A139"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// session is a publisher's whole connection, written by the library. Media is
// what it sends once on air.
func session(t testing.TB, chunkSize uint32, media ...rawmessage.Message) []byte {
	t.Helper()
	var out bytes.Buffer
	w := rawmessage.NewWriter(&out, nil, false)
	command := func(values ...any) rawmessage.Message {
		return rawmessage.Message{ChunkStreamID: 3, Type: msgCommandAMF0, Body: marshal(t, values)}
	}
	size := []byte{byte(chunkSize >> 24), byte(chunkSize >> 16), byte(chunkSize >> 8), byte(chunkSize)}
	for _, m := range slices.Concat(
		[]rawmessage.Message{
			{ChunkStreamID: 2, Type: msgSetChunkSize, Body: size},
			command("connect", 1.0, amf0.Object{{Key: "app", Value: "app"}}),
			{ChunkStreamID: 2, Type: msgWindowAckSize, Body: []byte{0, 0, 0, 1}},
			command("createStream", 2.0, nil),
			{ChunkStreamID: 2, Type: msgUserControl, Body: ping},
			command("publish", 3.0, nil, testKey, "live"),
		},
		media,
		[]rawmessage.Message{command("deleteStream", 4.0, nil, 1.0)},
	) {
		m.MessageStreamID = theStream
		if err := w.Write(&m); err != nil {
			t.Fatal(err)
		}
		if m.Type == msgSetChunkSize {
			w.SetChunkSize(chunkSize)
		}
	}
	return out.Bytes()
}

// FuzzConn plays a connection behind its handshake. Whatever comes: nothing
// grows beyond its bounds, nobody publishes without a key, every feed is
// closed, and its frames are in the order in which their messages came.
func FuzzConn(f *testing.F) {
	video := func(at time.Duration, body []byte) rawmessage.Message {
		return rawmessage.Message{ChunkStreamID: 6, Type: msgVideo, Timestamp: at, Body: body}
	}
	audio := func(at time.Duration, body []byte) rawmessage.Message {
		return rawmessage.Message{ChunkStreamID: 4, Type: msgAudio, Timestamp: at, Body: body}
	}
	frame := 40 * time.Millisecond
	f.Add(captured)
	f.Add(session(f, 128, video(0, avcConfig()), audio(0, aacConfig(aacStereo)), video(0, avcFrame(0, testIDR)), audio(0, aacFrame(1, 2)),
		video(frame, avcFrame(0, testP)), video(0, avcFrame(0, otherSPS, testPPS, testIDR))))
	f.Add(session(f, 128, audio(0, aacConfig(aacMono)), audio(0, aacFrame(1)), audio(23*time.Millisecond, aacFrame(2)), audio(46*time.Millisecond, aacFrame(3)),
		video(frame, avcConfig()), video(frame, avcFrame(0, testIDR))))
	f.Add(session(f, 4096, video(0, avcConfig()), video(0, avcFrame(-40&0xffffff, testIDR)), video(5*time.Hour, avcFrame(0, make([]byte, 5000))),
		audio(5*time.Hour, aacConfig(aacMono)), audio(5*time.Hour, aacFrame(1))))
	f.Add(session(f, 1<<31-1, rawmessage.Message{ChunkStreamID: 4, Type: msgAggregate, Timestamp: frame, Body: []byte(
		flvTag(9, 0, string(avcConfig()), "1234") + flvTag(8, 0, string(aacConfig(aacStereo)), "1234") +
			flvTag(9, 0, string(avcFrame(0, testIDR)), "1234") + flvTag(8, 21, string(aacFrame(1)), "1234"))}))
	f.Add(session(f, 128, rawmessage.Message{ChunkStreamID: 5, Type: msgDataAMF0, Body: marshal(f, metadataTests[0].in)},
		rawmessage.Message{ChunkStreamID: 2, Type: msgAbort, Body: []byte{0, 0, 0, 6}}, video(0, []byte("\x90avc1")), video(0, []byte("\x90hvc1"))))
	f.Add(append(session(f, 128), "\x01\xff\xff\x00\x00\x00\xff\xff\xff\x09\x01\x00\x00\x00"...))
	f.Fuzz(func(t *testing.T, in []byte) {
		feed := playConn(t, in)
		if feed == nil {
			return
		}
		if key := feed.request.Key; key == "" || len(key) > maxKey {
			t.Fatalf("published with key %q", key)
		}
		sent, named := reread(t, in)
		if !named {
			t.Fatal("published without a publish command")
		}
		payload := 0
		for i, fr := range feed.frames {
			payload += len(fr.Payload)
			if fr.Key && fr.Kind == media.Video {
				payload -= maxParameterSets
			}
			at := slices.IndexFunc(sent, func(m message) bool {
				return (m.kind == msgVideo) == (fr.Kind == media.Video) && media.Ticks(m.timestamp)*90 == fr.DTS
			})
			if at < 0 {
				t.Fatalf("frame %d, %v at %d, is of no message, or out of order", i, fr.Kind, fr.DTS/90)
			}
			sent = sent[at+1:]
		}
		if payload > 4*len(in) { // lengths of NAL units grow from one byte to four
			t.Fatalf("%d bytes of frames came from %d", payload, len(in))
		}
	})
}

// reread tells the audio and video messages in a connection, and whether there
// is a publish command among the rest.
func reread(t *testing.T, in []byte) (sent []message, named bool) {
	t.Helper()
	w := newWire(newPlayedConn(in))
	if err := w.open(); err != nil {
		t.Fatal(err)
	}
	w.accepted(func(int) error { return nil })
	for {
		m, err := w.read()
		if err != nil {
			return sent, named
		}
		switch m.kind {
		case msgVideo, msgAudio:
			sent = append(sent, m)
		case msgCommandAMF0, msgCommandAMF3:
			named = named || bytes.Contains(m.body, []byte("publish"))
		case msgAggregate:
			for part, err := range m.parts() {
				if err == nil && (part.kind == msgVideo || part.kind == msgAudio) {
					sent = append(sent, part)
				}
			}
		}
	}
}
