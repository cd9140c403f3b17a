package transcode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"

	"anabranch/internal/media"
)

// What a process is fed is in order, and as much as the timeline is long but for
// residues.
func TestVoiceFeed(t *testing.T) {
	const start = 7_000_000
	packet := func(at media.Ticks) voicePiece { // of 20 ms
		return voicePiece{packet: []byte{0x78}, at: start + at, end: start + at + 960}
	}
	until := func(at media.Ticks) voicePiece { return voicePiece{at: start + at, end: start + at} }
	twice := slices.Repeat([]voicePiece{packet(0)}, 10)
	for _, tt := range []struct {
		name   string
		pieces []voicePiece
		want   []string // packets, by their places behind the start, and silent ones with their lengths
		left   int      // pieces that are not fed, and held for the next process
	}{
		{"in order", []voicePiece{packet(0), packet(960)}, []string{"0", "960"}, 0},
		{"begins later", []voicePiece{packet(730)}, []string{"0 silent 480", "480 silent 240", "730"}, 0},
		{"begins before", []voicePiece{packet(-1), packet(959)}, []string{"0 silent 480", "480 silent 240", "720 silent 120", "959"}, 0},
		{"a packet is lost", []voicePiece{packet(0), packet(1920)}, []string{"0", "960 silent 960", "1920"}, 0},
		{"a residue", []voicePiece{packet(0), packet(960 + 119)}, []string{"0", "1079"}, 0},
		{"silence", []voicePiece{packet(0), until(2000), packet(2000)}, []string{"0", "960 silent 960", "2000"}, 0},
		{"silence alone", []voicePiece{until(1200)}, []string{"0 silent 960", "960 silent 240"}, 0},
		{"silence that is over", []voicePiece{packet(0), until(500), packet(960)}, []string{"0", "960"}, 0},
		{"an overlap", []voicePiece{packet(0), packet(900), packet(1860)}, []string{"0", "900", "1860"}, 0},
		{"an older one", []voicePiece{packet(0), packet(960), packet(100), packet(1920)}, []string{"0", "960", "100", "1920"}, 0},
		{"a place that is filled", []voicePiece{packet(0), until(5760), packet(960), packet(5760)},
			[]string{"0", "960 silent 960", "1920 silent 960", "2880 silent 960", "3840 silent 960", "4800 silent 960", "5760"}, 0},
		{"one place again and again", twice, []string{"0", "0", "0", "0", "0"}, 0},
		{"the surplus has been taken out", slices.Concat(twice, inOrder(packet, 48), []voicePiece{packet(48 * 960)}),
			slices.Concat([]string{"0", "0", "0", "0", "0"}, places(48), []string{"46080"}), 0},
		{"the surplus has not been taken out", slices.Concat(twice, inOrder(packet, 47), []voicePiece{packet(47 * 960)}),
			slices.Concat([]string{"0", "0", "0", "0", "0"}, places(47)), 0},
		{"a leap", []voicePiece{packet(0), packet(961 + maxLeap), packet(1921 + maxLeap)}, []string{"0"}, 2},
		{"a leap of silence", []voicePiece{packet(0), until(961 + maxLeap)}, []string{"0"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := &Voice{}
			v.queue = voiceQueue{wake: make(chan struct{}, 1), pieces: slices.Clone(tt.pieces), closed: true}
			if got := fed(t, v, start); !slices.Equal(got, tt.want) {
				t.Errorf("fed %q, want %q", got, tt.want)
			}
			for _, want := range tt.pieces[len(tt.pieces)-tt.left:] {
				if s, ok := v.piece(t.Context()); !ok || s.at != want.at {
					t.Errorf("the next process begins with %+v, %v; want %+v", s, ok, want)
				}
			}
			if s, ok := v.piece(t.Context()); ok {
				t.Errorf("%+v is left", s)
			}
		})
	}
}

func inOrder(packet func(media.Ticks) voicePiece, n media.Ticks) (all []voicePiece) {
	for i := range n {
		all = append(all, packet(960*(i+1)))
	}
	return all
}

func places(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint(960*(i+1)))
	}
	return all
}

// fed is what a process that begins at start is fed.
func fed(t *testing.T, v *Voice, start media.Ticks) (packets []string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	done := make(chan error, 1)
	go func() { done <- v.feed(t.Context(), &process{stdin: w, header: matroskaHeader}, start) }()
	if _, err := io.ReadFull(r, make([]byte, len(matroskaHeader))); err != nil {
		t.Fatal(err)
	}
	for {
		var head [4 + 8 + 17 + 1 + 8 + 4]byte // the cluster's, its timestamp, the block's, what a block begins with
		if _, err := io.ReadFull(r, head[:]); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packet := make([]byte, binary.BigEndian.Uint64(head[30:])&^(1<<56)-4)
		if _, err := io.ReadFull(r, packet); err != nil {
			t.Fatal(err)
		}
		at := fmt.Sprint(media.Ticks(binary.BigEndian.Uint64(head[21:])).Rescale(matroskaRate, voiceRate))
		if len(packet) == 3 {
			at += fmt.Sprint(" silent ", media.OpusDuration(packet))
		}
		packets = append(packets, at)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	return packets
}

// Frames of every process are in step with the first's, and none comes twice.
func TestVoiceStartFor(t *testing.T) {
	v := &Voice{}
	next := func(at, delivered media.Ticks) media.Ticks {
		start := v.startFor(&voicePiece{at: at})
		if got := media.Ticks(v.next.Load()); got != start {
			t.Errorf("the next frame is said to begin at %d, and begins at %d", got, start)
		}
		v.next.Add(int64(delivered))
		return start
	}
	for i, tt := range []struct{ at, delivered, want media.Ticks }{
		{5000, 3 * 1024, 5000},
		{5000 + 10*1024, 1024, 5000 + 9*1024},        // silence is fed first
		{5000 + 12*1024 + 119, 1024, 5000 + 11*1024}, // at least a packet
		{5000 + 14*1024 + 120, 1024, 5000 + 14*1024}, // of 2.5 ms
		{5000 + 15*1024 + 60, 0, 5000 + 15*1024},     // behind what has been delivered
		{5000 + 1<<40, 0, 5000 + 1<<40 - 1024},       // behind a leap
	} {
		if got := next(tt.at, tt.delivered); got != tt.want {
			t.Errorf("process %d begins at %d, want %d", i, got, tt.want)
		}
	}
}
