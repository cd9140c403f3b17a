package ingest

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gortmplib/pkg/amf0"
	"github.com/bluenviron/gortmplib/pkg/rawmessage"

	"anabranch/internal/broadcast"
)

// TestTooSlow runs on virtual time: a client has ten seconds to publish, then
// may be silent for thirty.
func TestTooSlow(t *testing.T) {
	serve := func(t *testing.T, pub *publishers, use func(net.Conn)) (took time.Duration, log *syncBuffer) {
		t.Helper()
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
	t.Run("does not read, on air", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			pub := newPublishers()
			took, _ := serve(t, pub, func(conn net.Conn) {
				c := newClient(t, conn)
				c.goLive()
				c.write(msgUserControl, 2, 0, ping)
				time.Sleep(time.Minute)
			})
			if took > writeTimeout+lingerTimeout {
				t.Errorf("closed after %v", took)
			}
		})
	})
	// What comes without end before the publish command, a message each second.
	for name, m := range map[string]rawmessage.Message{
		"pings":      {ChunkStreamID: 2, Type: msgUserControl, Body: ping},
		"_checkbw":   {ChunkStreamID: 3, Type: msgCommandAMF0, Body: marshal(t, amf0.Data{"_checkbw", 2.0, nil})},
		"FCPublish":  {ChunkStreamID: 3, Type: msgCommandAMF0, Body: marshal(t, amf0.Data{"FCPublish", 2.0, nil, "x"})},
		"media":      {ChunkStreamID: 6, Type: msgVideo, Body: avcConfig()},
		"chunk size": {ChunkStreamID: 2, Type: msgSetChunkSize, Body: []byte{0, 0, 1, 0}},
	} {
		t.Run(name+" for ever", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				took, log := serve(t, newPublishers(), func(conn net.Conn) {
					c := newClient(t, conn)
					c.connect("app")
					c.expect("_result", 1, "NetConnection.Connect.Success")
					go func() { _, _ = io.Copy(io.Discard, conn) }()
					for second := 0; second < 100 && c.w.Write(&m) == nil; second++ {
						time.Sleep(time.Second)
					}
				})
				if took < publishTimeout || took > publishTimeout+lingerTimeout || !strings.Contains(log.String(), errSlow.Error()) {
					t.Errorf("closed after %v", took)
				}
			})
		})
	}
	// A byte each second.
	hello := make([]byte, 1+2*1536)
	hello[0] = 3
	connect := chunk0(3, msgCommandAMF0, 100, make([]byte, 100))
	for name, begin := range map[string][]byte{"handshake": nil, "command": hello} {
		t.Run(name+" byte for byte", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				took, _ := serve(t, newPublishers(), func(conn net.Conn) {
					go func() { _, _ = io.Copy(io.Discard, conn) }()
					_, err := conn.Write(begin)
					for _, b := range slices.Concat(hello, connect)[len(begin):] {
						if err != nil {
							return
						}
						_, err = conn.Write([]byte{b})
						time.Sleep(time.Second)
					}
				})
				if took < publishTimeout || took > publishTimeout+lingerTimeout {
					t.Errorf("closed after %v", took)
				}
			})
		})
	}
	// On air, only whole messages count.
	for name, send := range map[string]func(c *client, second int) error{
		"a message without end": func(c *client, second int) error {
			b := append([]byte{0xc6}, make([]byte, minChunkSize)...)
			if second == 0 {
				b = chunk0(6, msgVideo, 1<<20, b[1:])
			}
			_, err := c.conn.Write(b)
			return err
		},
		"pings": func(c *client, _ int) error {
			return c.w.Write(&rawmessage.Message{ChunkStreamID: 2, Type: msgUserControl, Body: ping})
		},
		"acknowledgements": func(c *client, second int) error {
			return c.w.Write(&rawmessage.Message{ChunkStreamID: 2, Type: msgAcknowledge, Body: binary.BigEndian.AppendUint32(nil, uint32(second))})
		},
	} {
		t.Run(name+", on air", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pub := newPublishers()
				took, _ := serve(t, pub, func(conn net.Conn) {
					c := newClient(t, conn)
					c.goLive()
					go func() { _, _ = io.Copy(io.Discard, conn) }()
					for second := 0; second < 100 && send(c, second) == nil; second++ {
						time.Sleep(time.Second)
					}
				})
				if took < idleTimeout || took > idleTimeout+lingerTimeout {
					t.Errorf("closed after %v", took)
				}
				if cause := (<-pub.feeds).awaitClose(t); !errors.Is(cause, errIdle) {
					t.Errorf("closed because of %v", cause)
				}
			})
		})
	}
}

var ping = []byte{0, eventPingRequest, 1, 2, 3, 4}
