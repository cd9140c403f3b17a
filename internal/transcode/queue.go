package transcode

import (
	"sync"

	"anabranch/internal/media"
)

// maxEarlySound bounds the frames of sound that wait for the key frame they
// belong to: 10.9 s at 48 kHz.
const maxEarlySound = 512

// queue holds frames between the publisher, who never waits, and a process. What
// a process is given begins with a key frame.
type queue struct {
	rate     int // of the sound
	maxBytes int
	maxSpan  media.Ticks
	// wake is sent to, if it has room, when there may be something to take.
	wake chan struct{}

	// mu guards what follows.
	mu       sync.Mutex
	frames   []media.Frame // from head on
	head     int
	bytes    int
	pictures int         // among frames
	keyed    bool        // frames begin with a key frame, or go on where take ended
	resting  bool        // no process takes for a while: the newest key frame is where the next begins
	taking   bool        // a process does
	overrun  bool        // the process that takes has missed some
	closed   bool        // no more come
	newest   media.Ticks // DTS of the last picture that came
}

// push takes a frame. It never blocks.
func (q *queue) push(f media.Frame) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	video := f.Kind == media.Video
	switch {
	case video && f.Key && (!q.keyed || q.resting):
		q.begin(f)
	case !q.keyed && video:
		return
	case !q.keyed && len(q.frames)-q.head >= maxEarlySound:
		q.pop()
		fallthrough
	default:
		q.append(f)
	}
	if video {
		q.newest = f.DTS
	}
	if q.bytes > q.maxBytes || q.span() > q.maxSpan {
		q.drop()
		q.overrun, q.taking = q.overrun || q.taking, false
	}
	q.signal()
}

// begin makes f the first frame, and keeps the sound that came before it and
// belongs to it. Encoders begin with the end of the frame before.
func (q *queue) begin(f media.Frame) {
	from := f.DTS.Rescale(media.VideoRate, q.rate) - 2*media.SamplesPerFrame
	early := q.frames[q.head:]
	q.frames, q.head, q.bytes, q.pictures, q.keyed = make([]media.Frame, 0, len(early)+1), 0, 0, 0, true
	q.append(f)
	for _, s := range early {
		if s.Kind == media.Audio && s.DTS >= from {
			q.append(s)
		}
	}
}

func (q *queue) append(f media.Frame) {
	if q.head > len(q.frames)/2 && len(q.frames) == cap(q.frames) {
		n := copy(q.frames, q.frames[q.head:])
		clear(q.frames[n:])
		q.frames, q.head = q.frames[:n], 0
	}
	q.frames = append(q.frames, f)
	q.bytes += len(f.Payload)
	if f.Kind == media.Video {
		q.pictures++
	}
}

// pop takes the first frame off.
func (q *queue) pop() media.Frame {
	f := q.frames[q.head]
	q.frames[q.head] = media.Frame{}
	q.head++
	q.bytes -= len(f.Payload)
	if f.Kind == media.Video {
		q.pictures--
	}
	return f
}

// span is how much time the pictures take up.
func (q *queue) span() media.Ticks {
	if q.pictures == 0 {
		return 0
	}
	for i := q.head; ; i++ {
		if q.frames[i].Kind == media.Video {
			return q.newest - q.frames[i].DTS
		}
	}
}

// drop empties the queue.
func (q *queue) drop() {
	q.frames, q.head, q.bytes, q.pictures, q.keyed = nil, 0, 0, 0, false
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns the next frame for the process that takes, if there is one. It
// says when no more come, and when the process has missed some: then there is
// none until rest.
func (q *queue) take() (f media.Frame, ok, closed, overrun bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.resting = false
	switch {
	case q.overrun:
		return f, false, false, true
	case !q.keyed || q.head == len(q.frames):
		return f, false, q.closed, false
	}
	q.taking = true
	return q.pop(), true, false, false
}

// rest readies the queue for another process, which follows with the next take: it
// begins with the newest key frame that will not have been taken by then.
func (q *queue) rest() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.resting, q.taking, q.overrun, q.keyed = true, false, false, false
	frames := q.frames[q.head:]
	for i := len(frames) - 1; i >= 0; i-- {
		if frames[i].Kind == media.Video && frames[i].Key {
			early, later := frames[:i], frames[i+1:]
			q.frames, q.head = early, 0
			q.begin(frames[i])
			for _, f := range later {
				q.append(f)
			}
			return
		}
	}
	q.drop()
	for _, f := range frames[max(0, len(frames)-maxEarlySound):] {
		if f.Kind == media.Audio {
			q.append(f)
		}
	}
}

// close says that no more frames come.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

// over says that no more frames come. Those there are may still be taken.
func (q *queue) over() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// waiting is how many pictures wait, and the DTS of the newest that came. It says
// whether the process that takes has missed some, too.
func (q *queue) waiting() (pictures int, newest media.Ticks, overrun bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pictures, q.newest, q.overrun
}
