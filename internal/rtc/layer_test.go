package rtc

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"
)

// The largest layer that lives is forwarded. The change waits for its key frame, for
// which the publisher is asked.
func TestLayers(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		pub := publish(t, src, Limits{})
		low, high := pub.stream(video, 1), pub.stream(video, 2)
		low.Timestamp, high.Timestamp = 77, 1<<30 // of encoders that know nothing of each other
		sub := subscribe(src, plain)
		// now sends pictures on both layers for a while, and tells whose came through.
		now := func(d time.Duration, streams ...*stream) (got []byte) {
			for range d / (33 * time.Millisecond) {
				time.Sleep(33 * time.Millisecond)
				for _, s := range streams {
					s.send([]byte{0x41, byte(s.layer.in.ssrc)})
				}
			}
			for _, p := range sub.got() {
				got = append(got, p.Payload[1])
			}
			return got
		}
		low.send(sps["320x180"], idr)
		high.send(slice)
		if got := now(time.Second, low, high); bytes.Count(got, []byte{2}) != 0 || len(got) < 30 {
			t.Fatalf("before the large layer's key frame: %d", got)
		}
		high.send(sps["1280x720"], idr)
		sub.got()
		if got := now(time.Second, low, high); bytes.Count(got, []byte{1}) != 0 || len(got) < 30 {
			t.Fatalf("after it: %d", got)
		}
		low.send(sps["320x180"], idr)
		if got := sub.got(); len(got) != 0 {
			t.Fatalf("the small layer's key frame was forwarded: %v", got)
		}

		// The large one falls silent: the small one is asked for a key frame.
		asked := len(pub.asks())
		now(2*time.Second, low)
		if asks := pub.asks()[asked:]; len(asks) == 0 || asks[0].ssrc != 1 {
			t.Fatalf("asked %v when the large layer fell silent", asks)
		}
		low.send(sps["320x180"], idr)
		sub.got()
		if got := now(time.Second, low); len(got) < 30 {
			t.Fatalf("the small layer is not forwarded: %d", got)
		}
		// It comes back.
		high.send(sps["1280x720"], idr)
		if got := sub.got(); len(got) != 2 || len(got[0].Payload) != len(sps["1280x720"]) {
			t.Fatalf("the large layer is not forwarded: %v", got)
		}
		// It ends.
		asked = len(pub.asks())
		high.close()
		time.Sleep(keyFrameInterval)
		if asks := pub.asks()[asked:]; len(asks) == 0 || asks[0].ssrc != 1 {
			t.Errorf("asked %v when the large layer ended", asks)
		}
	})
}

// The publisher is asked for the larger layer's key frame until it has come, whatever
// the smaller one sends; but when the larger one is silent again, who waits for
// pictures gets those of the smaller.
func TestLayerIsAskedFor(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		pub := publish(t, src, Limits{})
		low, high, mid := pub.stream(video, 1), pub.stream(video, 2), pub.stream(video, 3)
		high.send(sps["1280x720"], idr)
		mid.send(sps["640x360"], idr)
		time.Sleep(2 * layerTimeout)
		low.send(sps["320x180"], idr) // the large one is silent
		high.send(slice)
		mid.send(slice)
		asked := len(pub.asks())
		for range 4 {
			low.send(sps["320x180"], idr)
			high.send(slice)
			time.Sleep(keyFrameInterval)
		}
		asks := pub.asks()[asked:]
		if len(asks) != 4 || slices.ContainsFunc(asks, func(a ask) bool { return a.ssrc != 2 }) {
			t.Errorf("asked %v, want four times for the large layer", asks)
		}
		mid.close()
		for range 3 {
			low.send(slice)
			time.Sleep(keyFrameInterval)
		}
		asks = pub.asks()
		if last := asks[len(asks)-1]; last.ssrc != 1 {
			t.Errorf("asked %v at last, want the layer that is forwarded", last)
		}
	})
}

// Over all changes of layers numbers have no hole, and time stamps are within a
// picture of the clock.
func TestLayersAreContinuous(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		pub := publish(t, src, Limits{})
		low, high := pub.stream(video, 1), pub.stream(video, 2)
		low.Timestamp, high.Timestamp = 77, 1<<31
		low.send(sps["320x180"], idr)
		sub := subscribe(src, plain)
		began := time.Now()
		var all []*rtp.Packet
		for i := range 400 {
			time.Sleep(time.Second / 30)
			low.send(sps["320x180"], idr)
			if i/50%2 == 1 { // two seconds there, two seconds not
				high.send(sps["1280x720"], idr)
			} else {
				high.Timestamp += 3000
			}
			for _, p := range sub.got() {
				if len(all) > 0 {
					clock := int(time.Since(began) * 90000 / time.Second)
					if stamp := int(p.Timestamp - all[0].Timestamp); stamp < clock-2*3000 || stamp > clock+2*3000 {
						t.Fatalf("picture %d: time stamp %d at %d", i, stamp, clock)
					}
				}
				all = append(all, p)
			}
		}
		payloads(t, all)
	})
}

func TestLayerStats(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		stream := publish(t, src, Limits{}).stream(video, 1)
		for i := range 100 {
			if i%50 == 0 {
				stream.send(sps["1280x720"], idr)
			}
			if i == 70 {
				stream.SequenceNumber += 5
			}
			stream.send(slice, slice)
			time.Sleep(time.Second / 25)
		}
		sps, idr, slices := uint64(len(sps["1280x720"])), uint64(len(idr)), uint64(200*len(slice))
		want := layerStats{
			Packets: 204, Bytes: 2*(sps+idr) + slices, Lost: 5, Width: 1280, Height: 720,
			FrameRate: 25, Bitrate: 2 * 25 * 8 * len(slice), KeyFrames: 2,
		}
		if got := stream.stats(); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestResolutionLimit(t *testing.T) {
	limits := Limits{Width: 1280, Height: 720}
	tests := map[string]struct {
		picture string
		broken  bool
	}{
		"at the limit":          {"1280x720", false},
		"at the limit, upright": {"720x1280", false},
		"above":                 {"1920x1080", true},
		"torn":                  {"torn", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rig(t, func(t *testing.T, src *Source) {
				pub := publish(t, src, limits)
				stream := pub.stream(video, 1)
				stream.send(sps["320x180"], idr)
				for range 2 {
					stream.send(sps[tt.picture], idr)
				}
				switch {
				case tt.broken && (len(pub.exceeded) != 1 || pub.exceeded[0] != ErrResolution):
					t.Errorf("told %v, want ErrResolution once", pub.exceeded)
				case !tt.broken && len(pub.exceeded) != 0:
					t.Errorf("told %v", pub.exceeded)
				}
			})
		})
	}
}

// A bitrate counts over ten seconds, of sound and all layers together.
func TestBitrateLimit(t *testing.T) {
	tests := map[string]struct {
		burst  time.Duration // of 2 Mbit/s, in a stream of half a megabit
		broken bool
	}{
		"below the limit": {0, false},
		"a short burst":   {3 * time.Second, false},
		"above":           {11 * time.Second, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rig(t, func(t *testing.T, src *Source) {
				pub := publish(t, src, Limits{Bitrate: 1_000_000})
				streams := []*stream{pub.stream(video, 1), pub.stream(video, 2)}
				payload := make([]byte, 1250)
				payload[0] = 0x41
				step := 20 * time.Millisecond
				for at := time.Duration(0); at < 30*time.Second; at += step {
					packets := 1
					if at > 15*time.Second && at < 15*time.Second+tt.burst {
						packets = 4
					}
					for i := range packets {
						streams[i%2].send(payload)
					}
					time.Sleep(step)
				}
				if got := len(pub.exceeded) == 1 && pub.exceeded[0] == ErrBitrate; got != tt.broken || len(pub.exceeded) > 1 {
					t.Errorf("told %v", pub.exceeded)
				}
			})
		})
	}
}
