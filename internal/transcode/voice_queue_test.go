package transcode

import (
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/media"
)

// What waits is bounded, and the newest stays: it tells how far the timeline is.
func TestVoiceQueueBounds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		packet []byte
		step   media.Ticks
		want   int
	}{
		{"in time", []byte{0x78}, 960, 501}, // one of them begins ten seconds before the newest ends
		{"in pieces", []byte{0x78}, 1, maxVoicePieces},
		{"in bytes", make([]byte, 1<<10), 1, 1 << 10},
		{"one longer than all", make([]byte, 2<<20), 1, 1},
		{"leaps", []byte{0x78}, 1 << 40, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := voiceQueue{wake: make(chan struct{}, 1)}
			const pushed = 5000
			for i := range media.Ticks(pushed) {
				q.push(voicePiece{packet: tt.packet, at: i * tt.step, end: i * tt.step})
			}
			for i := range tt.want {
				s, ok, _ := q.take()
				if want := media.Ticks(pushed-tt.want+i) * tt.step; !ok || s.at != want {
					t.Fatalf("piece %d is at %d, %v; want %d", i, s.at, ok, want)
				}
			}
			if _, ok, _ := q.take(); ok || q.bytes != 0 {
				t.Errorf("more than %d wait, and %d bytes", tt.want, q.bytes)
			}
		})
	}
}

// Silence that goes on is one piece.
func TestVoiceQueueSilence(t *testing.T) {
	q := voiceQueue{wake: make(chan struct{}, 1)}
	q.push(voicePiece{packet: []byte{0x78}, at: 0, end: 960})
	for _, until := range []media.Ticks{2000, 3000, 2500} {
		q.push(voicePiece{at: until, end: until})
	}
	q.push(voicePiece{packet: []byte{0x78}, at: 4000, end: 4960})
	var got []media.Ticks
	for {
		s, ok, _ := q.take()
		if !ok {
			break
		}
		got = append(got, s.at)
	}
	if len(got) != 3 || got[1] != 3000 {
		t.Errorf("pieces at %d, want 0, 3000 and 4000", got)
	}
}

// Between processes there is a pause, which ends with the voice.
func TestVoiceQueueRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := voiceQueue{wake: make(chan struct{}, 1)}
		began := time.Now()
		q.push(voicePiece{})
		if !q.rest(time.Minute) || time.Since(began) != time.Minute {
			t.Errorf("rested for %v", time.Since(began))
		}
		if len(q.wake) == 0 {
			t.Error("what came during the rest wakes nobody behind it")
		}
		time.AfterFunc(time.Second, q.close)
		if q.rest(time.Minute) || time.Since(began) != time.Minute+time.Second {
			t.Errorf("a closed queue rested until %v", time.Since(began))
		}
	})
}
