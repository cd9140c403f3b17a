package ingest

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib/pkg/amf0"
	"github.com/bluenviron/gortmplib/pkg/rawmessage"

	"anabranch/internal/broadcast"
	"anabranch/internal/media"
)

// TestOBS replays the commands of OBS in their order.
func TestOBS(t *testing.T) {
	pub := newPublishers()
	s := startServer(t, pub.publish)
	c := dial(t, s.addr)
	c.write(msgSetChunkSize, 2, 0, []byte{0, 0, 0x10, 0})
	c.w.SetChunkSize(4096)
	c.connect("app")
	c.expect("_result", 1, "NetConnection.Connect.Success")
	c.write(msgWindowAckSize, 2, 0, []byte{0, 0x26, 0x25, 0xa0})
	c.call("releaseStream", 2, nil, testKey)
	c.call("FCPublish", 3, nil, testKey)
	c.call("createStream", 4, nil)
	c.call("_checkbw", 5, nil)
	c.expect("_result", 2, "")
	c.expect("_result", 3, "")
	c.expect("onFCPublish", 0, "NetStream.Publish.Start")
	if id := c.expect("_result", 4, "").args; len(id) != 2 || id[1] != 1.0 {
		t.Fatalf("createStream returned %v", id)
	}
	c.expect("_result", 5, "")
	c.call("publish", 5, nil, testKey, "live")
	c.expect("onStatus", 0, "NetStream.Publish.Start")
	feed := pub.await(t)
	if r := feed.request; r.Key != testKey || r.Protocol != "RTMP" || r.Secure || !strings.HasPrefix(r.RemoteAddr, "127.0.0.1:") {
		t.Errorf("request %+v", r)
	}
	c.write(msgDataAMF0, 4, 0, marshal(t, metadataTests[0].in))
	c.media()
	// What a stream survives: an unknown message, a shared object, data that
	// cannot be decoded, AMF3.
	c.write(99, 4, 0, []byte{1})
	c.write(19, 4, 0, []byte{1, 2, 3})
	c.write(msgDataAMF0, 4, 0, append([]byte{2, 0, 10}, "onMetaData\x0b"...))
	c.write(msgDataAMF3, 4, 0, append([]byte{0}, marshal(t, amf0.Data{"onMetaData", amf0.Object{{Key: "encoder", Value: "new"}}})...))
	c.write(msgUserControl, 2, 0, []byte{0, 3, 0, 0, 0, 1, 0, 0, 0, 100})
	c.write(msgUserControl, 2, 0, []byte{0, 99})
	c.write(msgVideo, 6, 40*time.Millisecond, avcFrame(0, testP))
	c.call("FCUnpublish", 6, nil, testKey)
	c.call("deleteStream", 7, nil, 1.0)
	c.expectEnd("NetStream.Unpublish.Success", "")
	if cause := feed.awaitClose(t); cause != nil {
		t.Errorf("closed because of %v", cause)
	}
	if d := feed.descriptions[0]; d.Encoder != "obs-output module (libobs version 30.0.2)" || d.VideoBitrate != 6_000_000 ||
		d.AudioBitrate != 160_000 || d.FrameRate != 60 || d.Video.Width != 320 {
		t.Errorf("described as %+v", d)
	}
	if d := feed.last(t); d.Encoder != "new" || len(feed.descriptions) != 2 {
		t.Errorf("after new metadata: %+v", d)
	}
	if v, a := feed.kind(media.Video), feed.kind(media.Audio); len(v) != 2 || len(a) != 1 || time.Since(v[1].Captured) > time.Minute {
		t.Errorf("%d video and %d audio frames", len(v), len(a))
	}
	expectLog(t, s, "publisher connected", "channel=abc", "stream=st-1", "remote=127.0.0.1", "protocol=RTMP", "agent=test1")
	expectLog(t, s, "publisher disconnected", "reason=unpublished", "bytes=", "duration=")
}

func TestPing(t *testing.T) {
	pub := newPublishers()
	c := dial(t, startServer(t, pub.publish).addr)
	c.write(msgUserControl, 2, 0, ping)
	m, err := c.r.Read()
	if err != nil || m.Type != msgUserControl || string(m.Body) != "\x00\x07\x01\x02\x03\x04" {
		t.Errorf("answer to a ping: %+v, %v", m, err)
	}
}

func TestStreamKey(t *testing.T) {
	long := strings.Repeat("k", maxKey+1)
	for _, tt := range []struct{ app, name, want, err string }{
		{"app", "key", "key", ""},
		{"app", "key?priority=3", "key", ""},
		{"app/", "/key/", "key", ""},
		{"/app", "key", "key", ""},
		{"app/key", "", "key", ""},
		{"app/key?priority=3", "", "key", ""},
		{"app/key", "?priority=3", "key", ""},
		{"app?priority=3", "key", "key", ""},
		{"app", "a/b", "a/b", ""},
		{"app", "", "", "missing"},
		{"app", "?priority=3", "", "missing"},
		{"app", long, "", "not valid"},
		{"", "key", "", "application"},
		{"live", "key", "", "application"},
		{"apps", "key", "", "application"},
		{"", "app/key", "key", ""},
	} {
		got, err := streamKey(tt.app, tt.name)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("streamKey(%q, %q) = %q, %v; want %q, %q", tt.app, tt.name, got, err, tt.want, tt.err)
		}
	}
}

// TestChunkStreams speaks on chunk streams that the library does not know, in
// a chunk of any size.
func TestChunkStreams(t *testing.T) {
	pub := newPublishers()
	c := dial(t, startServer(t, pub.publish).addr)
	c.write(msgSetChunkSize, 2, 0, []byte{0x7f, 0xff, 0xff, 0xff})
	for _, call := range []amf0.Data{
		{"connect", 1.0, amf0.Object{{Key: "app", Value: "app"}}}, {"createStream", 2.0, nil}, {"publish", 3.0, nil, testKey, "live"},
	} {
		body := marshal(t, call)
		if _, err := c.conn.Write(append([]byte{0x00, 0xff}, chunk0(0, msgCommandAMF0, len(body), body)[1:]...)); err != nil {
			t.Fatal(err)
		}
	}
	c.expect("_result", 1, "NetConnection.Connect.Success")
	c.expect("_result", 2, "")
	c.expect("onStatus", 0, "NetStream.Publish.Start")
	pub.await(t)
}

// TestAcknowledge: a publisher may wait for it in the middle of a message.
func TestAcknowledge(t *testing.T) {
	c := dial(t, startServer(t, newPublishers().publish).addr)
	c.write(msgWindowAckSize, 2, 0, []byte{0, 0, 0, 1}) // less than the least
	half := minAckWindow / 2
	if _, err := c.conn.Write(append([]byte{2, 0, 0, 0, 0, 0, 4, msgSetChunkSize, 0, 0, 0, 0, 0, 16, 0, 0}, chunk0(6, msgVideo, 1<<20, make([]byte, half))...)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := c.conn.Write(make([]byte, half)); err != nil {
			t.Fatal(err)
		}
	}
	m, err := c.r.Read()
	if err != nil || m.Type != msgAcknowledge || len(m.Body) != 4 {
		t.Fatalf("got %+v, %v", m, err)
	}
	if n := int(binary.BigEndian.Uint32(m.Body)); n < minAckWindow || n > 3*minAckWindow {
		t.Errorf("%d bytes acknowledged", n)
	}
}

// TestAggregateOnAir sends a whole stream in one message.
func TestAggregateOnAir(t *testing.T) {
	pub := newPublishers()
	c := dial(t, startServer(t, pub.publish).addr)
	c.goLive()
	body := []byte(flvTag(msgVideo, 1000, string(avcConfig()), "1234") + flvTag(msgAudio, 1000, string(aacConfig(aacStereo)), "1234") +
		flvTag(msgVideo, 1000, string(avcFrame(0, testIDR)), "1234") + flvTag(msgAudio, 1010, string(aacFrame(1, 2)), "1234") +
		flvTag(msgDataAMF0, 1010, string(marshal(t, amf0.Data{"onMetaData", amf0.Object{{Key: "encoder", Value: "old"}}})), "1234") +
		flvTag(msgAggregate, 1010, "inside another", "1234") + flvTag(msgCommandAMF0, 1010, "neither", "1234") +
		flvTag(msgVideo, 1040, string(avcFrame(0, testP)), "1234"))
	c.write(msgAggregate, 6, 5*time.Second, body)
	c.call("deleteStream", 7, nil, 1.0)
	c.expectEnd("NetStream.Unpublish.Success", "")
	feed := pub.await(t)
	if got, want := told(feed), "[320 48000] I5000 A5010 [320 48000] P5040"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if d := feed.last(t); d.Encoder != "old" {
		t.Errorf("described as %+v", d)
	}
}

// TestEveryByteCounts floods a stream with what is not media.
func TestEveryByteCounts(t *testing.T) {
	for name, m := range map[string]rawmessage.Message{
		"pings":   {ChunkStreamID: 2, Type: msgUserControl, Body: ping},
		"unknown": {ChunkStreamID: 7, Type: 99, Body: make([]byte, 1000)},
		"empty":   {ChunkStreamID: 7, Type: msgVideo},
		"command": {ChunkStreamID: 3, Type: msgCommandAMF0, Body: marshal(t, amf0.Data{"_checkbw", 2.0, nil})},
	} {
		t.Run(name, func(t *testing.T) {
			in := session(t, 128, slices.Repeat([]rawmessage.Message{m}, 3000)...)
			feed := playConn(t, in)
			counted := 0
			for _, n := range feed.received {
				counted += n
			}
			if without := len(session(t, 128)); counted < len(in)-without-1000 { // one read may have come before
				t.Errorf("%d of %d bytes count", counted, len(in)-without)
			}
		})
	}
}

// TestEndedByServer ends feeds from behind.
func TestEndedByServer(t *testing.T) {
	stopped := &broadcast.Refused{Code: broadcast.CodeFailed, Reason: "stopped by StopStream"}
	for _, tt := range []struct {
		name string
		end  func(*server, *recordedFeed, *client)
		code string
		want string
	}{
		{"stopped", func(_ *server, f *recordedFeed, _ *client) { f.stop(stopped) }, broadcast.CodeFailed, "StopStream"},
		{"server stops", func(s *server, _ *recordedFeed, _ *client) { go s.stop() }, broadcast.CodeFailed, "the server is stopping"},
		{"write fails", func(_ *server, f *recordedFeed, c *client) {
			f.mu.Lock()
			f.writeErr = errors.New("disk full")
			f.mu.Unlock()
			c.media()
		}, broadcast.CodeFailed, "internal error"},
		{"limit", func(_ *server, f *recordedFeed, c *client) {
			f.mu.Lock()
			f.receivedErr = &broadcast.Refused{Code: broadcast.CodeRejected, Reason: "the bitrate is over the limit"}
			f.mu.Unlock()
			c.media()
		}, broadcast.CodeRejected, "over the limit"},
		{"panic", func(_ *server, f *recordedFeed, c *client) {
			f.mu.Lock()
			f.panics = true
			f.mu.Unlock()
			c.media()
		}, broadcast.CodeFailed, "internal error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pub := newPublishers()
			s := startServer(t, pub.publish)
			c := dial(t, s.addr)
			c.goLive()
			feed := pub.await(t)
			tt.end(s, feed, c)
			c.expectEnd(tt.code, tt.want)
			if cause := feed.awaitClose(t); cause == nil {
				t.Error("closed as if the publisher had ended the stream")
			}
			c.conn.Close()
			if tt.name != "server stops" {
				// The server goes on.
				c := dial(t, s.addr)
				c.goLive()
			}
		})
	}
}

func TestClientGone(t *testing.T) {
	pub := newPublishers()
	s := startServer(t, pub.publish)
	c := dial(t, s.addr)
	c.goLive()
	c.media()
	c.conn.Close()
	if cause := pub.await(t).awaitClose(t); !errors.Is(cause, io.EOF) {
		t.Errorf("closed because of %v, want EOF", cause)
	}
}

func TestTooManyConnections(t *testing.T) {
	pub := newPublishers()
	s := startServer(t, pub.publish, func(c *RTMPConfig) { c.MaxConnections, c.MaxPending = 3, 1 })
	live := dial(t, s.addr)
	live.goLive() // no longer pending
	pending := dial(t, s.addr)
	expectClosed := func() {
		t.Helper()
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Error("one connection too many was served")
		}
	}
	expectClosed() // second pending one of this address
	pending.goLive()
	third := dial(t, s.addr)
	third.goLive()
	expectClosed() // fourth in all
	third.call("deleteStream", 7, nil, 1.0)
	third.expectEnd("NetStream.Unpublish.Success", "")
	for _, c := range []*client{live, pending, third} {
		c.conn.Close()
	}
	s.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open != 0 || len(s.pending) != 0 {
		t.Errorf("%d open, pending %v after the end", s.open, s.pending)
	}
}

func TestAddressOf(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1:5000":          "192.0.2.1",
		"[::ffff:192.0.2.1]:5000": "192.0.2.1",
		"[2001:db8:1:2:3::4]:1":   "2001:db8:1:2::",
		"[fe80::1%eth0]:1":        "fe80::",
		"pipe":                    "invalid IP",
	} {
		if got := addressOf(addrConn{addr: in}); got.String() != want || got.IsValid() != (got != netip.Addr{}) {
			t.Errorf("addressOf(%s) = %s, want %s", in, got, want)
		}
	}
}

// addrConn is a connection from addr.
type addrConn struct {
	net.Conn
	addr string
}

func (c addrConn) RemoteAddr() net.Addr { return c }
func (addrConn) Network() string        { return "tcp" }
func (c addrConn) String() string       { return c.addr }

// TestFloodBeforePublish sends megabytes of what nobody asked for.
func TestFloodBeforePublish(t *testing.T) {
	s := startServer(t, newPublishers().publish)
	c := dial(t, s.addr)
	c.connect("app")
	c.expect("_result", 1, "NetConnection.Connect.Success")
	body := make([]byte, 64<<10)
	for sent := 0; sent <= 2*maxBeforePublish; sent += len(body) {
		if err := c.w.Write(&rawmessage.Message{ChunkStreamID: 6, Type: msgVideo, Body: body}); err != nil {
			break
		}
	}
	_, _ = io.Copy(io.Discard, c.conn)
	expectLog(t, s, errTooMuch.Error())
}

func TestAcceptFails(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	log, _ := keptLog(t)
	s := NewRTMPServer(RTMPConfig{Publish: newPublishers().publish, Log: log})
	if err := s.Run(t.Context(), ln); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run on a closed listener returned %v", err)
	}
}
