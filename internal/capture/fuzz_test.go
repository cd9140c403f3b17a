package capture

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/rtc"
)

// Whatever a publisher does, in whatever order, what is true of every recording holds:
// each byte is something that it does.
func FuzzPublication(f *testing.F) {
	f.Add([]byte{0, 0, 0})
	f.Add([]byte{1, 1, 8, 2, 0, 4, 0, 4, 0, 5, 0})
	f.Add([]byte{0, 0, 3, 6, 0, 7, 0, 10, 0, 0, 0, 10, 1, 0})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 4, 9, 8, 0, 9, 0})
	f.Add([]byte{2, 8, 8, 1, 13, 0, 13, 2, 5, 2, 21, 1, 0, 0, 12, 0, 0, 0, 8, 0})
	f.Fuzz(func(t *testing.T, does []byte) {
		if len(does) > 100 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			g := newGuest(t, everything)
			g.take.loose = true
			for n, b := range does {
				g.do(n, b)
			}
			g.leave()
			g.take.check()
		})
	})
}

// do does something.
func (g *guest) do(n int, b byte) {
	switch b % 14 {
	case 0:
		g.both(300 * time.Millisecond)
	case 1:
		g.publish(700*time.Millisecond, true, false)
	case 2:
		g.publish(700*time.Millisecond, false, true)
	case 3:
		time.Sleep(800 * time.Millisecond)
	case 4:
		g.size, g.key = size(320+16*n, 0), true
		g.picture()
	case 5: // over another connection, on which there may be less
		g.connection++
		g.key, g.sound, g.pictures = true, b&16 == 0, b&32 == 0
	case 6:
		g.number += 2
		f := rtc.Frame{Kind: media.Video, Key: true, Video: g.size, Lost: time.Duration(1+n) * 100 * time.Millisecond}
		f.Payload = binary.BigEndian.AppendUint32(nil, g.number)
		g.send(f)
	case 7:
		g.send(rtc.Frame{Kind: media.Audio, Key: true, Payload: []byte{0xfc}, Lost: time.Duration(1+n) * 20 * time.Millisecond})
	case 8:
		time.Sleep(time.Duration(1+b/14) * 2 * time.Second)
	case 9:
		g.obeys = !g.obeys
	case 10:
		g.voice.dead = !g.voice.dead
	case 11: // a clock that leaps
		f := rtc.Frame{Kind: media.Video, Key: true, Video: g.size, Time: time.Now().Add(time.Duration(int(b)-128) * time.Second)}
		g.number++
		f.Payload = binary.BigEndian.AppendUint32(nil, g.number)
		g.send(f)
	case 12:
		g.send(rtc.Frame{Kind: media.Audio, Key: true, Payload: []byte{0xfc}, Time: time.Now().Add(time.Duration(int(b)-128) * time.Second)})
	case 13:
		time.Sleep(40 * time.Millisecond)
		g.picture()
	}
}
