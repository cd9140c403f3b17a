package packager

import (
	"slices"
	"testing"

	"anabranch/internal/media"
)

// Whatever a transcoder delivers, and whenever, the rung's chunks are cut like the
// source's.
func FuzzFollower(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, true, false, uint8(60), uint8(30))
	f.Add([]byte{30, 90, 120, 200, 255, 250, 246, 0, 0, 3}, false, false, uint8(31), uint8(60))
	f.Add([]byte{0, 240, 0, 241, 0, 242, 0, 243, 0, 244, 0, 245, 0, 247}, true, true, uint8(7), uint8(5))
	f.Fuzz(func(t *testing.T, script []byte, pictured, passSound bool, gop, rate uint8) {
		fps := float64(max(1, rate%61))
		n := min(int(fps*8), 300)
		video := pictures(n, fps, int(max(1, gop)), rate&1 == 1, 0)
		frames := interleave(video, sounds(380, 48_000, Origin), 48_000)
		cs := cut(t, testParams, frames)
		made := reencoded(frames, gop&1 == 1, halfFrame)
		other := must(media.ParseH264(append(slices.Clone(testVideo.SPS), 1), testVideo.PPS))

		r := newRung(pictured, passSound)
		left := cs
		for _, op := range script {
			switch {
			case op < 240: // frames come
				k := min(len(made), int(op))
				r.write(made[:k]...)
				made = made[k:]
			case op == 240 && len(left) > 0:
				left = r.skip(left, 1)
			case op == 241: // frames are lost
				made = made[min(len(made), 9):]
			case op == 242 && len(made) > 4: // come out of order
				made[1], made[4] = made[4], made[1]
			case op == 243:
				r.params.Video = other
			case op == 244:
				r.params.Audio = rungMono
			case op == 245 && len(made) > 0:
				made[0].PTS += media.Ticks(op) * 7
				made[0].DTS -= media.Ticks(op)
			case op == 246 && len(made) > 0:
				made[0].Key = !made[0].Key
			case op == 247:
				r.Finish()
			default:
				left = r.follow(left)
			}
		}
		r.Finish()
		if left = r.follow(left); left != nil {
			t.Fatalf("%d chunks are left when nothing more comes", len(left))
		}
		r.check(t, cs)
		if r.size > maxAhead {
			t.Errorf("%d bytes are kept", r.size)
		}
	})
}
