package media_test

import (
	"bytes"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"

	"anabranch/internal/media"
)

func TestOpusDuration(t *testing.T) {
	frame := func(n int) []byte { return bytes.Repeat([]byte{0x55}, n) }
	packet := func(head []byte, frames ...[]byte) []byte { return append(head, bytes.Join(frames, nil)...) }
	for _, tt := range []struct {
		name   string
		packet []byte
		want   media.Ticks
	}{
		{"nothing", nil, 0},
		{"SILK 10 ms", packet([]byte{0 << 3}, frame(20)), 480},
		{"SILK 60 ms", packet([]byte{11 << 3}, frame(20)), 2880},
		{"hybrid 10 ms", packet([]byte{12 << 3}, frame(20)), 480},
		{"hybrid 20 ms", packet([]byte{15 << 3}, frame(20)), 960},
		{"CELT 2.5 ms", packet([]byte{16 << 3}, frame(20)), 120},
		{"CELT 20 ms, stereo", packet([]byte{31<<3 | 4}, frame(20)), 960},

		{"code 0, DTX", []byte{15 << 3}, 960},
		{"code 0, longest", packet([]byte{15 << 3}, frame(1275)), 960},
		{"code 0, too long", packet([]byte{15 << 3}, frame(1276)), 0},

		{"code 1", packet([]byte{15<<3 | 1}, frame(40)), 1920},
		{"code 1, DTX", []byte{15<<3 | 1}, 1920},
		{"code 1, odd", packet([]byte{15<<3 | 1}, frame(41)), 0},
		{"code 1, longest", packet([]byte{15<<3 | 1}, frame(2550)), 1920},
		{"code 1, too long", packet([]byte{15<<3 | 1}, frame(2552)), 0},
		{"code 1, 120 ms", packet([]byte{11<<3 | 1}, frame(40)), 5760},

		{"code 2", packet([]byte{15<<3 | 2, 10}, frame(10), frame(30)), 1920},
		{"code 2, second empty", packet([]byte{15<<3 | 2, 10}, frame(10)), 1920},
		{"code 2, no length", []byte{15<<3 | 2}, 0},
		{"code 2, first torn", packet([]byte{15<<3 | 2, 10}, frame(9)), 0},
		{"code 2, two bytes of length", packet([]byte{15<<3 | 2, 253, 1}, frame(257), frame(1)), 1920},
		{"code 2, length torn", []byte{15<<3 | 2, 253}, 0},
		{"code 2, second too long", packet([]byte{15<<3 | 2, 1}, frame(1277)), 0},

		{"code 3, constant", packet([]byte{15<<3 | 3, 3}, frame(30)), 2880},
		{"code 3, constant, uneven", packet([]byte{15<<3 | 3, 3}, frame(31)), 0},
		{"code 3, no count", []byte{15<<3 | 3}, 0},
		{"code 3, no frames", []byte{15<<3 | 3, 0}, 0},
		{"code 3, 48 of 2.5 ms", packet([]byte{16<<3 | 3, 48}, frame(48)), 5760},
		{"code 3, 49 of 2.5 ms", packet([]byte{16<<3 | 3, 49}, frame(49)), 0},
		{"code 3, more than 120 ms", packet([]byte{11<<3 | 3, 3}, frame(3)), 0},
		{"code 3, variable", packet([]byte{15<<3 | 3, 0x83, 1, 2}, frame(1), frame(2), frame(9)), 2880},
		{"code 3, variable, torn", packet([]byte{15<<3 | 3, 0x83, 1, 2}, frame(2)), 0},
		{"code 3, variable, a length torn", []byte{15<<3 | 3, 0x83, 1}, 0},
		{"code 3, variable, last too long", packet([]byte{15<<3 | 3, 0x82, 0}, frame(1276)), 0},
		{"code 3, padded", packet([]byte{15<<3 | 3, 0x42, 4}, frame(10), frame(4)), 1920},
		{"code 3, much padding", packet([]byte{15<<3 | 3, 0x42, 255, 1}, frame(10), frame(255)), 1920},
		{"code 3, too much padding", packet([]byte{15<<3 | 3, 0x42, 11}, frame(10)), 0},
		{"code 3, padding torn", []byte{15<<3 | 3, 0x42, 255}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := media.OpusDuration(tt.packet); got != tt.want {
				t.Errorf("%d samples, want %d", got, tt.want)
			}
		})
	}
}

// What is well-formed lasts as long as another reader says.
func FuzzOpusDuration(f *testing.F) {
	for _, s := range [][]byte{{0xF8, 0xFF, 0xFE}, {0x78}, {0x79, 1, 2}, {0x7A, 1, 2, 3}, {0x7B, 0x42, 1, 5, 6, 0}, {0x7B, 0x83, 1, 1, 1, 1, 1}} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		got := media.OpusDuration(packet)
		if got == 0 {
			return
		}
		if want := opus.PacketDuration2(packet); got != media.Ticks(want) || got < 120 || got > 5760 {
			t.Errorf("%x lasts %d samples, want %d", packet, got, want)
		}
	})
}
