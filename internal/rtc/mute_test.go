package rtc

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// While one kind pauses, for an hour, the times of the other stay true.
func TestClockMuted(t *testing.T) {
	for name, k := range map[string]kind{"no sound": audio, "no pictures": video} {
		t.Run(name, func(t *testing.T) {
			rig(t, func(t *testing.T, src *Source) { testMuted(t, src, k) })
		})
	}
}

func testMuted(t *testing.T, src *Source, k kind) {
	pub := publish(t, src, Limits{})
	streams := [kinds]*stream{audio: pub.stream(audio, 1), video: pub.stream(video, 2)}
	r := read(t, src)
	began := time.Now()
	payload := [kinds][]byte{audio: {0x08, 1}, video: slice}
	for n := 0; n < 10*3600; n++ {
		time.Sleep(time.Duration(n)*100*time.Millisecond - time.Since(began))
		at := time.Since(began)
		sender := time.Duration(float64(at)*(1-200e-6)) + 1000*time.Second // a slow clock
		for kk, s := range streams {
			if kind(kk) == k && at > 10*time.Second && at < time.Hour-20*time.Second {
				continue
			}
			s.Timestamp, s.Marker = ticks(sender, kind(kk)), true
			switch {
			case n == 0 && kind(kk) == video:
				s.write(s.packet(stapA(sps["640x360"], pps, idr)))
			default:
				s.write(s.packet(payload[kk]))
			}
			if n%10 == 0 {
				s.senderReport(&rtcp.SenderReport{NTPTime: ntpTicks(sender), RTPTime: s.Timestamp})
			}
		}
		if n%600 == 0 || n > 10*3600-220 {
			for _, f := range r.got(0) {
				if d := f.Time.Sub(f.Arrived).Abs(); d > 25*time.Millisecond {
					t.Fatalf("%v off by %v after %v", f.Kind, d, f.Arrived.Sub(began))
				}
			}
		}
	}
}
