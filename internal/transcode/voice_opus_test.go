package transcode

import (
	"fmt"
	"testing"

	"anabranch/internal/media"
)

func TestSilentOpus(t *testing.T) {
	for room, want := range map[media.Ticks]media.Ticks{120: 120, 239: 120, 240: 240, 479: 240, 480: 480, 959: 480, 960: 960, 1 << 40: 960} {
		t.Run(fmt.Sprint(room), func(t *testing.T) {
			packet, duration := silentOpus(room)
			if duration != want || media.OpusDuration(packet) != want {
				t.Errorf("a packet of %d, said to be %d samples, want %d", media.OpusDuration(packet), duration, want)
			}
		})
	}
}
