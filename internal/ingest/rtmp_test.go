package ingest

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/gortmplib/pkg/amf0"
	"github.com/bluenviron/gortmplib/pkg/codecs"
	"github.com/bluenviron/gortmplib/pkg/message"
	"github.com/bluenviron/gortmplib/pkg/rawmessage"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"

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
	c.write(msgUserControl, 2, 0, []byte{0, eventPingRequest, 1, 2, 3, 4})
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

func TestRefusedApplication(t *testing.T) {
	s := startServer(t, newPublishers().publish)
	for _, app := range []string{"live", testKey, ""} {
		c := dial(t, s.addr)
		c.connect(app)
		refusal := c.expect("_error", 1, "NetConnection.Connect.Rejected")
		if text, _ := refusal.object(1).GetString("description"); !strings.Contains(text, "rtmp://<host>/app/<stream key>") {
			t.Errorf("description %q", text)
		}
		if more := c.read(); more != nil {
			t.Errorf("then came %+v", more)
		}
	}
}

func TestRefusedPlay(t *testing.T) {
	c := dial(t, startServer(t, newPublishers().publish).addr)
	c.connect("app")
	c.expect("_result", 1, "NetConnection.Connect.Success")
	c.call("getStreamLength", 2, nil, testKey)
	c.expect("_result", 2, "")
	c.call("play", 3, nil, testKey)
	c.expectEnd("NetStream.Play.Failed", "playback URL")
}

func TestRefusedPublish(t *testing.T) {
	for _, tt := range []struct {
		name              string
		err               error
		code, description string
	}{
		{"occupied", &broadcast.Refused{Code: broadcast.CodeBadName, Reason: "already live"}, broadcast.CodeBadName, "already live"},
		{"wrong key", &broadcast.Refused{Code: broadcast.CodeRejected, Reason: "no such key"}, broadcast.CodeRejected, "no such key"},
		{"our fault", errors.New("database: key " + testKey + " is locked"), broadcast.CodeFailed, "internal error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pub := newPublishers()
			pub.refusal = tt.err
			c := dial(t, startServer(t, pub.publish).addr)
			c.connect("app")
			c.expect("_result", 1, "NetConnection.Connect.Success")
			c.call("publish", 2, nil, testKey, "live")
			c.expectEnd(tt.code, tt.description)
		})
	}
}

func TestRefusedOverTLS(t *testing.T) {
	pub := newPublishers()
	addr := startServer(t, pub.publish).startTLS(t)
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := newClient(t, conn)
	c.goLive()
	feed := pub.await(t)
	feed.stop(&broadcast.Refused{Code: broadcast.CodeFailed, Reason: "stopped"})
	c.expectEnd(broadcast.CodeFailed, "stopped")
	if r := feed.request; !r.Secure || r.Protocol != "RTMPS" {
		t.Errorf("request %+v", r)
	}
}

func TestPublishWithoutConnect(t *testing.T) {
	c := dial(t, startServer(t, newPublishers().publish).addr)
	c.call("publish", 2, nil, testKey, "live")
	c.expectEnd(broadcast.CodeRejected, "application does not exist")
}

// TestRefusedStream sends what cannot be taken, once on air.
func TestRefusedStream(t *testing.T) {
	for _, tt := range []struct {
		name string
		send func(*client)
		want string
	}{
		{"HEVC", func(c *client) { c.write(msgVideo, 6, 0, []byte("\x90hvc1...")) }, "video codec HEVC"},
		{"aggregate", func(c *client) { c.write(msgAggregate, 6, 0, []byte{9, 0, 0}) }, "aggregate"},
		{"chunk size", func(c *client) { c.write(msgSetChunkSize, 2, 0, []byte{0, 0, 0, 1}) }, "chunk size 1 is"},
		{"control message", func(c *client) { c.write(msgAbort, 2, 0, nil) }, "control message is too short"},
		{"huge message", func(c *client) {
			_, _ = c.conn.Write([]byte{6, 0, 0, 0, 0xff, 0xff, 0xff, msgVideo, 1, 0, 0, 0})
			c.write(msgVideo, 6, 0, make([]byte, 20000))
		}, "malformed RTMP"},
		{"command", func(c *client) { c.write(msgCommandAMF0, 3, 0, []byte{0xff}) }, "cannot be decoded"},
		{"command too long", func(c *client) { c.write(msgCommandAMF0, 3, 0, make([]byte, maxAMF+1)) }, "too long"},
		{"command without name", func(c *client) { c.write(msgCommandAMF0, 3, 0, []byte{5, 5}) }, "no name"},
		{"empty command", func(c *client) { c.write(msgCommandAMF0, 3, 0, nil) }, "incomplete"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pub := newPublishers()
			c := dial(t, startServer(t, pub.publish).addr)
			c.goLive()
			tt.send(c)
			c.expectEnd(broadcast.CodeRejected, tt.want)
			expectRejected(t, pub.await(t).awaitClose(t), tt.want)
		})
	}
}

// TestLibraryClient publishes codecs that this server does not take with a
// client that knows them.
func TestLibraryClient(t *testing.T) {
	for _, tt := range []struct {
		name  string
		track *gortmplib.Track
		want  string
	}{
		{"AV1", &gortmplib.Track{Codec: &codecs.AV1{}}, "video codec AV1 is not supported: send H.264"},
		{"VP9", &gortmplib.Track{Codec: &codecs.VP9{}}, "video codec VP9"},
		{"Opus", &gortmplib.Track{Codec: &codecs.Opus{IDHeader: &opus.IDHeader{Version: 1, ChannelCount: 2, InputSampleRate: 48000}}}, `audio codec "Opus"`},
		{"MP3", &gortmplib.Track{Codec: &codecs.MPEG1Audio{}}, "audio codec MP3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pub := newPublishers()
			s := startServer(t, pub.publish)
			u, err := url.Parse("rtmp://" + s.addr + "/app/" + testKey)
			if err != nil {
				t.Fatal(err)
			}
			c := &gortmplib.Client{URL: u, Publish: true}
			if err := c.Initialize(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			w := &gortmplib.Writer{Conn: c, Tracks: []*gortmplib.Track{tt.track}}
			if err := w.Initialize(); err != nil {
				t.Fatal(err)
			}
			switch tt.name {
			case "Opus":
				err = w.WriteOpus(tt.track, 0, []byte{0xfc, 1})
			case "MP3":
				err = w.WriteMPEG1Audio(tt.track, 0, []byte{0xff, 0xfb, 0x90, 0x64, 0, 0, 0, 0})
			}
			if err != nil {
				t.Fatal(err)
			}
			for {
				m, err := c.Read()
				if err != nil {
					t.Fatal(err)
				}
				call, ok := m.(*message.CommandAMF0)
				if !ok || call.Name != "onStatus" {
					continue
				}
				told, _ := object(call.Arguments[1])
				code, _ := told.GetString("code")
				if text, _ := told.GetString("description"); code != broadcast.CodeRejected || !strings.Contains(text, tt.want) {
					t.Errorf("status %s %q, want %q", code, text, tt.want)
				}
				break
			}
			if f := pub.await(t); f.request.Key != testKey {
				t.Errorf("key %q", f.request.Key)
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

// TestTooSlow runs on virtual time: a client has ten seconds to publish, then
// may be silent for thirty.
func TestTooSlow(t *testing.T) {
	serve := func(t *testing.T, pub *publishers, use func(net.Conn)) (took time.Duration, log *syncBuffer) {
		logger, kept := keptLog(t)
		s := NewRTMPServer(RTMPConfig{Publish: pub.publish, Log: logger})
		ours, theirs := net.Pipe()
		var client sync.WaitGroup
		client.Go(func() { use(theirs) })
		began := time.Now()
		s.ServeConn(t.Context(), ours, true)
		took = time.Since(began)
		client.Wait()
		theirs.Close()
		return took, kept
	}
	t.Run("says nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			took, log := serve(t, newPublishers(), func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
			if took != publishTimeout || !strings.Contains(log.String(), errSlow.Error()) {
				t.Errorf("closed after %v", took)
			}
		})
	})
	t.Run("never publishes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			took, _ := serve(t, newPublishers(), func(conn net.Conn) {
				c := newClient(t, conn)
				c.connect("app")
				c.expect("_result", 1, "NetConnection.Connect.Success")
				c.expectEnd(broadcast.CodeFailed, "no publish command")
			})
			if took < publishTimeout || took > publishTimeout+lingerTimeout {
				t.Errorf("closed after %v", took)
			}
		})
	})
	t.Run("stops sending", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			pub := newPublishers()
			took, _ := serve(t, pub, func(conn net.Conn) {
				c := newClient(t, conn)
				c.goLive()
				time.Sleep(20 * time.Second)
				c.media()
				time.Sleep(20 * time.Second)
				c.write(msgVideo, 6, 40*time.Millisecond, avcFrame(0, testP))
				c.expectEnd(broadcast.CodeFailed, "no message came for 30s")
			})
			if want := 40*time.Second + idleTimeout; took < want || took > want+lingerTimeout {
				t.Errorf("closed after %v, want %v", took, want)
			}
			feed := <-pub.feeds
			if cause := feed.awaitClose(t); !errors.Is(cause, errIdle) || !feed.request.Secure || feed.request.Protocol != "RTMPS" {
				t.Errorf("request %+v, closed because of %v", feed.request, cause)
			}
		})
	})
	t.Run("waits for its turn", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			pub := newPublishers()
			pub.prepare = func(*recordedFeed) { time.Sleep(time.Minute) }
			took, _ := serve(t, pub, func(conn net.Conn) {
				c := newClient(t, conn)
				c.goLive()
				c.call("closeStream", 7, nil)
				c.expectEnd("NetStream.Unpublish.Success", "")
			})
			if took < time.Minute {
				t.Errorf("closed after %v", took)
			}
		})
	})
	t.Run("does not read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			took, _ := serve(t, newPublishers(), func(conn net.Conn) {
				c := newClient(t, conn)
				c.connect("app")
				time.Sleep(time.Minute)
			})
			if took > writeTimeout+lingerTimeout+publishTimeout {
				t.Errorf("closed after %v", took)
			}
		})
	})
}

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

// TestLargeChunksBeforePublish asks for chunks whose memory would be taken
// before their bytes arrive.
func TestLargeChunksBeforePublish(t *testing.T) {
	s := startServer(t, newPublishers().publish)
	c := dial(t, s.addr)
	c.connect("app")
	c.expect("_result", 1, "NetConnection.Connect.Success")
	c.write(msgSetChunkSize, 2, 0, binary.BigEndian.AppendUint32(nil, maxEarlyChunkSize+1))
	_, _ = io.Copy(io.Discard, c.conn)
	expectLog(t, s, "out of range")
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
