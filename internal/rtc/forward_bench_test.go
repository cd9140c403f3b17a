package rtc

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// What a packet costs for each subscriber, without its encryption and the system's
// call: what it costs once is shared by all of them.
func BenchmarkForward(b *testing.B) {
	for _, audience := range []int{1, 20, 200} {
		b.Run(fmt.Sprint(audience), func(b *testing.B) {
			var sent atomic.Int64
			src := NewSource()
			defer src.Close()
			pub := src.connect(Limits{Bitrate: 1 << 40}, [kinds]bool{video: true}, func([]rtcp.Packet) error { return nil }, nil)
			layer := pub.attach(inbound{kind: video, ssrc: 1})
			for range audience {
				src.subscribe(outbound{
					kind: video, ssrc: 7, payloadType: 102, rtxSSRC: 8, rtxPayloadType: 103,
					write: func(h *rtp.Header, payload []byte) (int, error) {
						sent.Add(1)
						return len(payload), nil
					},
					writeRTCP: func([]rtcp.Packet) (int, error) { return 0, nil },
				})
			}
			payload := make([]byte, 1100)
			payload[0] = 0x65
			packet, err := (&rtp.Packet{Header: rtp.Header{Version: 2, SSRC: 1}, Payload: payload}).Marshal()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				packet[2], packet[3] = byte(n>>8), byte(n)
				layer.write(packet)
				n++
				for sent.Load() < int64((n-cachePackets[video]/16)*audience) { // no pump is to skip
					runtime.Gosched()
				}
			}
			for sent.Load() < int64(n*audience) {
				runtime.Gosched()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*audience), "ns/packet·subscriber")
		})
	}
}
