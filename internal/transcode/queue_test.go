package transcode

import (
	"slices"
	"testing"

	"anabranch/internal/media"
)

// queued are the DTS of what a process takes: pictures as they are, sound behind
// a minus.
func queued(q *queue) (all []media.Ticks) {
	for {
		f, ok, _, _ := q.take()
		switch {
		case !ok:
			return all
		case f.Kind == media.Audio:
			all = append(all, -f.DTS)
		default:
			all = append(all, f.DTS)
		}
	}
}

func TestQueue(t *testing.T) {
	key := func(at media.Ticks) media.Frame {
		return media.Frame{Kind: media.Video, Key: true, DTS: at, Payload: make([]byte, 10)}
	}
	picture := func(at media.Ticks) media.Frame {
		return media.Frame{Kind: media.Video, DTS: at, Payload: make([]byte, 10)}
	}
	sound := func(at media.Ticks) media.Frame {
		return media.Frame{Kind: media.Audio, DTS: at, Payload: make([]byte, 1)}
	}
	fresh := func() *queue {
		return &queue{rate: media.VideoRate, maxBytes: 100, maxSpan: 20_000, wake: make(chan struct{}, 1)}
	}
	push := func(q *queue, frames ...media.Frame) {
		for _, f := range frames {
			q.push(f)
		}
	}
	for _, tt := range []struct {
		name string
		do   func(q *queue)
		want []media.Ticks
	}{
		{"it begins with a key frame", func(q *queue) { push(q, picture(1), key(2), picture(3)) }, []media.Ticks{2, 3}},
		{"without one there is nothing", func(q *queue) { push(q, picture(1), picture(2), sound(3)) }, nil},
		{"sound of the key frame may come before it", func(q *queue) {
			push(q, sound(1000), sound(9_000), sound(10_000), key(10_000), sound(11_000))
		}, []media.Ticks{10_000, -9000, -10_000, -11_000}},
		{"before the first process all is kept", func(q *queue) { push(q, key(1), picture(2), key(3)) }, []media.Ticks{1, 2, 3}},
		{"a new process begins with the newest key frame", func(q *queue) {
			push(q, key(1), picture(2), key(3), key(5), sound(4), picture(6))
			q.rest()
		}, []media.Ticks{5, -4, 6}},
		{"or with one that comes while it starts", func(q *queue) {
			push(q, key(1), key(3))
			q.rest()
			push(q, picture(4), key(5), picture(6))
		}, []media.Ticks{5, 6}},
		{"or with the next", func(q *queue) {
			push(q, key(1), picture(2))
			q.take()
			q.rest()
			push(q, picture(3), sound(4), picture(5), key(6))
		}, []media.Ticks{6, -4}},
		{"what was taken is not given again", func(q *queue) {
			push(q, key(1), picture(2), key(3), picture(4))
			q.take()
			q.take()
			q.take()
			q.rest()
		}, nil},
		{"too many bytes, and it waits for a key frame", func(q *queue) {
			push(q, key(0))
			for i := range media.Ticks(10) {
				push(q, picture(i+1))
			}
			push(q, key(20), picture(21))
		}, []media.Ticks{20, 21}},
		{"too much time, too", func(q *queue) { push(q, key(0), picture(20_001), picture(20_002), key(20_003)) }, []media.Ticks{20_003}},
		{"who takes is told, and gets no more", func(q *queue) {
			push(q, key(0))
			q.take()
			push(q, picture(1), picture(20_002), key(30_000))
		}, nil},
		{"until there is another who takes", func(q *queue) {
			push(q, key(0))
			q.take()
			push(q, picture(1), picture(20_002), key(30_000))
			q.rest()
		}, []media.Ticks{30_000}},
		{"nothing comes after the end", func(q *queue) {
			push(q, key(1))
			q.close()
			push(q, picture(2))
		}, []media.Ticks{1}},
	} {
		q := fresh()
		tt.do(q)
		if got := queued(q); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
		if q.bytes != 0 && len(q.frames) == q.head || q.pictures < 0 {
			t.Errorf("%s: %d bytes and %d pictures are left of nothing", tt.name, q.bytes, q.pictures)
		}
	}

	q := fresh()
	q.maxBytes = 1 << 20
	for i := range media.Ticks(10_000) {
		q.push(sound(i))
	}
	if n := len(q.frames) - q.head; n > maxEarlySound || cap(q.frames) > 4*maxEarlySound {
		t.Errorf("%d frames of sound wait for a picture, in room for %d", n, cap(q.frames))
	}
}
