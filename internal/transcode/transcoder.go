package transcode

import (
	"log/slog"
	"sync"

	"anabranch/internal/media"
)

// Transcoder starts ladders, as many at once as there is capacity for.
type Transcoder struct {
	cfg    Config
	bounds bounds

	// mu guards what follows.
	mu       sync.Mutex
	capacity int
	used     int // places taken
}

// Config is what a [Transcoder] is made of.
type Config struct {
	// FFmpeg is the program to run, a path or a name in $PATH.
	FFmpeg string
	// Encoder is the name of an H.264 encoder of ffmpeg, with a preset behind a
	// colon if it is to have one: "libx264:veryfast".
	Encoder string
	// Capacity is how many streams may be transcoded at once; 0 is none.
	Capacity int
	Log      *slog.Logger
}

// New makes a Transcoder. Nothing runs yet.
func New(cfg Config) *Transcoder {
	return &Transcoder{cfg: cfg, bounds: usualBounds, capacity: cfg.Capacity}
}

// Capacity is how many streams may be transcoded at once, 0 if a Check has found
// that it does not work.
func (t *Transcoder) Capacity() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.capacity
}

// Acquire takes one of the Capacity places, if one is free, until release is
// called. Release may be called more than once.
func (t *Transcoder) Acquire() (release func(), ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.used >= t.capacity {
		return nil, false
	}
	t.used++
	return sync.OnceFunc(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.used--
	}), true
}

// Output takes what a ladder has made: a frame of the rung of that index, in
// the order of its track. It is called from the ladder's goroutines, one call at
// a time for a track.
//
// track holds the one track of f; its pointer stays the same while the
// parameters do. A picture's PTS is that of the source picture it was made of,
// and its DTS the same, as rungs have no B-frames. Sound has the times of the
// source's frames, in samples of the source's clock.
type Output func(rung int, track media.Params, f media.Frame)
