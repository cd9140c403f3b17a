package rtc

import (
	"testing"
	"time"
)

// Who reads late gets sound and pictures as they came, not one long before the other.
func TestReaderBehind(t *testing.T) {
	for name, packets := range map[string]int{"small pictures": 1, "large pictures": 12} {
		t.Run(name, func(t *testing.T) {
			rig(t, func(t *testing.T, src *Source) {
				pub := publish(t, src, Limits{})
				sound, pictures := pub.stream(audio, 1), pub.stream(video, 2)
				for n := range 200 { // 4 s
					sound.send([]byte{0x08, 1})
					sound.Timestamp -= 3000 - 960
					if n%2 == 0 {
						payloads := [][]byte{stapA(sps["640x360"], pps, idr)}
						for len(payloads) < packets {
							payloads = append(payloads, idr)
						}
						pictures.send(payloads...)
						pictures.Timestamp += 600
					}
					time.Sleep(20 * time.Millisecond)
				}
				var newest time.Time
				frames := read(t, src).got(0)
				for _, f := range frames {
					if late := newest.Sub(f.Arrived); late > 2*together {
						t.Fatalf("%v comes behind others that came %v later", f.Kind, late)
					}
					if f.Arrived.After(newest) {
						newest = f.Arrived
					}
				}
				if len(frames) != 300 {
					t.Errorf("%d frames", len(frames))
				}
			})
		})
	}
}
