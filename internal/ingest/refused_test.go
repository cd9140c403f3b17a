package ingest

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/gortmplib/pkg/codecs"
	rtmpmessage "github.com/bluenviron/gortmplib/pkg/message"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"

	"anabranch/internal/broadcast"
)

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

// TestHandshakeRefused begins with something else than version 3 of the
// protocol, such as RTMPE, whose key exchange would cost the server dear.
func TestHandshakeRefused(t *testing.T) {
	for _, begin := range []string{"\x06", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01"} {
		s := startServer(t, newPublishers().publish)
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, begin); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Errorf("%q was answered", begin)
		}
		expectLog(t, s, errVersion.Error())
	}
}

// TestRefusedStream sends what cannot be taken, once on air.
func TestRefusedStream(t *testing.T) {
	for _, tt := range []struct {
		name string
		send func(*client)
		want string
	}{
		{"HEVC", func(c *client) { c.write(msgVideo, 6, 0, []byte("\x90hvc1...")) }, "video codec HEVC"},
		{"aggregate", func(c *client) { c.write(msgAggregate, 6, 0, []byte{9, 0, 0}) }, "aggregate message ends inside a header"},
		{"chunk size", func(c *client) { c.write(msgSetChunkSize, 2, 0, []byte{0, 0, 0, 1}) }, "chunk size 1 is"},
		{"control message", func(c *client) { c.write(msgAbort, 2, 0, nil) }, "control message is too short"},
		{"two huge messages", func(c *client) {
			_, _ = c.conn.Write(slices.Concat(chunk0(6, msgVideo, maxAssembling-1, make([]byte, 128)), chunk0(7, msgVideo, 2, nil)))
		}, "malformed RTMP: messages of 16777217 bytes at once"},
		{"command", func(c *client) { c.write(msgCommandAMF0, 3, 0, []byte{0xff}) }, "malformed RTMP: command: AMF type 255"},
		{"command too long", func(c *client) { c.write(msgCommandAMF0, 3, 0, make([]byte, maxAMF+1)) }, "AMF is longer than"},
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

// TestRefusedBeforePublish sends what cannot be taken in place of a command.
func TestRefusedBeforePublish(t *testing.T) {
	for _, tt := range []struct {
		name string
		send []byte
		want string
	}{
		{"huge message", chunk0(6, msgVideo, maxBeforePublish+1, nil), "malformed RTMP: messages of 4194305 bytes at once, more than 4194304"},
		{"rest of nothing", []byte{0xc6}, "malformed RTMP: chunk stream 6 begins without a length"},
		{"deep command", chunk0(3, msgCommandAMF0, 86, nested(maxAMFDepth+1)), "malformed RTMP: command: AMF is nested more than 16 deep"},
		{"reference", chunk0(3, msgCommandAMF0, 3, []byte{7, 0, 0}), "malformed RTMP: command: AMF type 7 is not supported"},
		{"AMF3", chunk0(3, msgCommandAMF3, 2, []byte{0, 0x11}), "malformed RTMP: command: AMF type 17 is not supported"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, startServer(t, newPublishers().publish).addr)
			if _, err := c.conn.Write(tt.send); err != nil {
				t.Fatal(err)
			}
			c.expectEnd(broadcast.CodeRejected, tt.want)
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
				call, ok := m.(*rtmpmessage.CommandAMF0)
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
