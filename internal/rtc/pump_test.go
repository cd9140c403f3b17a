package rtc

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// Who joins begins with a key frame: the last one, with all since, when that is
// little; else the next one, for which the publisher is asked.
func TestJoin(t *testing.T) {
	tests := map[string]struct {
		since int // packets since the last key frame
		asks  bool
	}{
		"at a key frame":       {0, false},
		"soon after":           {50, false},
		"long after":           {pumpBacklog, true},
		"it is cached no more": {2 * cachePackets[video], true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rig(t, func(t *testing.T, src *Source) {
				pub := publish(t, src, Limits{})
				stream := pub.stream(video, 1)
				stream.send(sps["320x180"], idr)
				stream.send(slice)
				stream.send(sps["1280x720"], idr)
				for range tt.since {
					stream.send(slice)
				}
				asked := len(pub.asks())
				sub := subscribe(src, plain)
				time.Sleep(keyFrameInterval)
				got := payloads(t, sub.got())
				if asks := len(pub.asks()) > asked; asks != tt.asks {
					t.Errorf("asked for a key frame: %v, want %v", asks, tt.asks)
				}
				if tt.asks {
					if len(got) != 0 {
						t.Errorf("got %d packets before a key frame", len(got))
					}
					stream.send(slice)
					stream.send(sps["640x360"], idr)
					sameBytes(t, payloads(t, sub.got()), [][]byte{sps["640x360"], idr})
					return
				}
				if len(got) != 2+tt.since {
					t.Fatalf("got %d packets at once, want %d", len(got), 2+tt.since)
				}
				sameBytes(t, got[:2], [][]byte{sps["1280x720"], idr})
				stream.send(slice)
				if got := sub.got(); len(got) != 1 {
					t.Errorf("got %d packets, want 1", len(got))
				}
			})
		})
	}
}

// Pictures begin with a key frame in the middle of a batch, too.
func TestBeginInABatch(t *testing.T) {
	var got [][]byte
	sn := &sender{out: outbound{kind: video, write: func(_ *rtp.Header, payload []byte) (int, error) {
		got = append(got, payload)
		return len(payload), nil
	}}}
	batch := []*packet{newPacket(slice), newPacket(idr), newPacket(slice)}
	batch[1].key = true
	sn.forward(batch[:1])
	sn.forward(batch)
	sameBytes(t, got, [][]byte{idr, slice})
}

// Nothing old is sent of somebody who publishes no more.
func TestJoinBetweenConnections(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		pub := publish(t, src, Limits{})
		pub.stream(video, 1).send(sps["1280x720"], idr)
		pub.close()
		if got := subscribe(src, plain).got(); len(got) != 0 {
			t.Errorf("got %d packets", len(got))
		}
	})
}

// A subscriber whose writes hang holds up no publisher, and when it goes on, it goes
// on with a key frame.
func TestSlowSubscriber(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		pub := publish(t, src, Limits{})
		stream := pub.stream(video, 1)
		hang, went := make(chan struct{}), []byte(nil)
		out := plain
		out.write = func(_ *rtp.Header, payload []byte) (int, error) {
			<-hang
			went = append(went, payload[0])
			return 0, nil
		}
		out.writeRTCP = func([]rtcp.Packet) (int, error) { return 0, nil }
		sn := src.subscribe(out)
		stream.send(sps["1280x720"], idr)
		for range cachePackets[video] + 100 {
			stream.send(slice)
		}
		asked := len(pub.asks())
		close(hang)
		time.Sleep(keyFrameInterval)
		if len(pub.asks()) == asked {
			t.Error("not asked for a key frame")
		}
		went = nil
		stream.send(slice)
		stream.send(idr)
		if string(went) != string(idr[:1]) {
			t.Errorf("went on with % x", went)
		}
		if skipped := sn.stats().Skipped; skipped == 0 {
			t.Error("nothing skipped")
		}
		sn.close()
		stream.send(slice)
		if len(went) != 1 {
			t.Errorf("sent % x after close", went)
		}
	})
}

// Who joins while its pump has fallen behind has missed nothing, and waits for no key
// frame but the first.
func TestJoinASlowPump(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		stream := publish(t, src, Limits{}).stream(video, 1)
		hang := make(chan struct{})
		out := plain
		out.write = func(*rtp.Header, []byte) (int, error) { <-hang; return 0, nil }
		out.writeRTCP = func([]rtcp.Packet) (int, error) { return 0, nil }
		slow := src.subscribe(out)
		stream.send(sps["1280x720"], idr)
		for range cachePackets[video] + 100 {
			stream.send(slice)
		}
		sub := subscribe(src, plain)
		stream.send(sps["640x360"], idr)
		stream.send(slice)
		close(hang)
		sameBytes(t, payloads(t, sub.got()), [][]byte{sps["640x360"], idr, slice})
		if slow, late := slow.stats().Skipped, sub.stats().Skipped; slow == 0 || late != 0 {
			t.Errorf("skipped %d for the slow one, %d for the one that joined", slow, late)
		}
		slow.close()
	})
}

// Large audiences have several pumps, and everyone gets everything.
func TestManySubscribers(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		stream := publish(t, src, Limits{}).stream(video, 1)
		var subs []*subscriber
		for range 3 * pumpSenders {
			subs = append(subs, subscribe(src, plain))
		}
		stream.send(sps["1280x720"], idr)
		for i, sub := range subs {
			if i%3 == 0 {
				sub.close()
			}
		}
		stream.send(slice)
		for i, sub := range subs {
			want := 3
			if i%3 == 0 {
				want = 2
			}
			if got := sub.got(); len(got) != want {
				t.Errorf("subscriber %d got %d packets, want %d", i, len(got), want)
			}
		}
	})
}
