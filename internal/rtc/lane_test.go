package rtc

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
)

// However many subscribers want a key frame, and however often: the publisher is
// asked every half second at most, until there is one.
func TestKeyFrameRequests(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		pub := publish(t, src, Limits{})
		stream := pub.stream(video, 1)
		stream.send(sps["1280x720"], idr)
		time.Sleep(time.Second)
		var subs []*subscriber
		for range 20 {
			subs = append(subs, subscribe(src, plain))
		}
		began := len(pub.asks())
		start := time.Now()
		want := func() {
			subs[0].feedback([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: 8}}) // another's
			for _, sub := range subs[1:10] {
				sub.feedback([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: 7}})
			}
			for _, sub := range subs[10:] {
				sub.feedback([]rtcp.Packet{&rtcp.FullIntraRequest{FIR: []rtcp.FIREntry{{SSRC: 7}}}})
			}
		}
		for range 12 {
			want()
			time.Sleep(100 * time.Millisecond)
		}
		var at []time.Duration
		for _, a := range pub.asks()[began:] {
			at = append(at, a.at.Sub(start))
		}
		if want := []time.Duration{0, keyFrameInterval, 2 * keyFrameInterval}; !slices.Equal(at, want) {
			t.Errorf("asked after %v, want %v", at, want)
		}
		stream.send(sps["1280x720"], idr)
		asked := len(pub.asks())
		time.Sleep(time.Minute)
		if more := pub.asks()[asked:]; len(more) != 0 {
			t.Errorf("asked %d times after the key frame", len(more))
		}
	})
}

// One subscriber cannot have a publisher make key frames all the time.
func TestKeyFrameBudget(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		pub := publish(t, src, Limits{})
		stream := pub.stream(video, 1)
		stream.send(sps["1280x720"], idr)
		sub := subscribe(src, plain)
		for range 600 {
			sub.feedback([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: 7}})
			time.Sleep(100 * time.Millisecond)
			if asked := len(pub.asks()); asked > int(stream.stats().KeyFrames) {
				stream.send(sps["1280x720"], idr)
			}
		}
		if asked := len(pub.asks()); asked < 20 || asked > 40 {
			t.Errorf("asked %d times in a minute, want about 34", asked)
		}
	})
}

// Of who publishes no more nothing is kept but the numbers, after a while in which
// subscribers still get what they missed. Who comes back goes on.
func TestPacketsOfWhoLeft(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		lane := src.lanes[video]
		kept := func() int {
			lane.mu.Lock()
			defer lane.mu.Unlock()
			return len(lane.cache.arrivals) + len(lane.cache.numbers)
		}
		if kept() != 0 {
			t.Error("packets are kept before there are any")
		}
		sub := subscribe(src, plain)
		var last uint16
		repaired := func() bool {
			sub.feedback(nack(7, last))
			return len(sub.got()) > 0
		}
		gone := time.Duration(0)
		for i, away := range []time.Duration{0, keepFor - 1, keepFor, time.Hour} {
			pub := publish(t, src, Limits{})
			stream := pub.stream(video, 1)
			stream.send(sps["1280x720"], idr)
			got := sub.got()
			if len(got) != 2 || i > 0 && got[0].SequenceNumber != last+1 {
				t.Fatalf("after %v: got %v, want to go on after %d", gone, got, last)
			}
			last = got[1].SequenceNumber
			time.Sleep(2 * keepFor)
			if !repaired() {
				t.Error("a packet of who is there is not kept")
			}
			time.Sleep(maxResend)
			pub.close()
			time.Sleep(away)
			synctest.Wait()
			if gone = away; away < keepFor != repaired() || away < keepFor != (kept() > 0) {
				t.Errorf("%v after the end %d places of packets are kept", away, kept())
			}
		}
	})
}
