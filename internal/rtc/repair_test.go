package rtc

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

func nack(ssrc uint32, numbers ...uint16) []rtcp.Packet {
	return []rtcp.Packet{&rtcp.TransportLayerNack{MediaSSRC: ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(numbers)}}
}

// What a subscriber misses is sent again, as RFC 4588 has it, or as it was.
func TestRepair(t *testing.T) {
	withRTX := plain
	withRTX.rtxSSRC, withRTX.rtxPayloadType = 70, 103
	for name, out := range map[string]outbound{"RTX": withRTX, "plain": plain} {
		t.Run(name, func(t *testing.T) {
			rig(t, func(t *testing.T, src *Source) {
				stream := publish(t, src, Limits{}).stream(video, 1)
				stream.SequenceNumber = 65530
				sub, other := subscribe(src, out), subscribe(src, out)
				stream.send(sps["1280x720"], sei, idr)
				for i := range 20 {
					stream.send([]byte{0x41, byte(i)})
				}
				sent := sub.got()
				other.got()
				first := sent[0].SequenceNumber
				sub.feedback(nack(8, first))
				sub.feedback(nack(7, first+1, first+2, first+9, first+1000))
				got := sub.got()
				if len(got) != 3 {
					t.Fatalf("%d packets sent again, want 3", len(got))
				}
				for i, n := range []uint16{1, 2, 9} {
					want := *sent[n]
					if out.rtxSSRC != 0 {
						want.SSRC, want.PayloadType = 70, 103
						want.SequenceNumber = got[0].SequenceNumber + uint16(i)
						want.Payload = append(binary.BigEndian.AppendUint16(nil, first+n), sent[n].Payload...)
					}
					sameBytes(t, [][]byte{got[i].Payload}, [][]byte{want.Payload})
					if got[i].SSRC != want.SSRC || got[i].PayloadType != want.PayloadType || got[i].SequenceNumber != want.SequenceNumber ||
						got[i].Timestamp != want.Timestamp || got[i].Marker != want.Marker {
						t.Errorf("got %v, want %v", got[i], want)
					}
				}
				if got := other.got(); len(got) != 0 {
					t.Errorf("another subscriber got %v", got)
				}
				if s := sub.stats(); s.Repaired != 3 || s.Packets != 23 {
					t.Errorf("stats %+v", s)
				}
			})
		})
	}
}

// A packet is not sent again twice within a round trip.
func TestRepairOnceInARoundTrip(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		stream := publish(t, src, Limits{}).stream(video, 1)
		sub := subscribe(src, plain)
		stream.send(sps["1280x720"], idr)
		first := sub.got()[0].SequenceNumber
		sub.mu.Lock()
		sub.roundTrip = 80 * time.Millisecond
		sub.mu.Unlock()
		for i, want := range []int{1, 0, 0, 0, 1, 0} { // 20 ms apart
			sub.feedback(nack(7, first))
			if got := len(sub.got()); got != want {
				t.Errorf("asked at %d ms: sent %d times, want %d", i*20, got, want)
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
}

// A subscriber that asks for everything all the time gets what its budget has.
func TestRepairBudget(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		stream := publish(t, src, Limits{}).stream(video, 1)
		sub := subscribe(src, plain)
		stream.send(sps["1280x720"], idr)
		payload := make([]byte, 1200)
		payload[0] = 0x41
		for range 1000 {
			stream.send(payload)
		}
		var numbers []uint16
		for _, p := range sub.got() {
			numbers = append(numbers, p.SequenceNumber)
		}
		start, bytes := time.Now(), 0
		for time.Since(start) < 10*time.Second {
			sub.feedback(nack(7, numbers...))
			for _, p := range sub.got() {
				bytes += len(p.Payload)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if most := int(repairBudget.depth + 10*repairBudget.refill); bytes > most || bytes < most*9/10 {
			t.Errorf("%d bytes sent again in 10 s, want %d", bytes, most)
		}
	})
}
