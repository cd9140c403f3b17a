package transcode

import (
	"sync"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/metrics"
)

// What waits for a voice's ffmpeg is bounded in samples, pieces and bytes.
const (
	maxVoiceSpan   media.Ticks = 10 * voiceRate
	maxVoicePieces             = 4096
	maxVoiceBytes              = 1 << 20
)

// voicePiece is an Opus packet from at to end, or, without one, that there is
// silence until both. Times are in samples.
type voicePiece struct {
	packet  []byte
	at, end media.Ticks
}

// voiceQueue holds pieces between who writes, and never waits, and a process.
type voiceQueue struct {
	// wake is sent to, if it has room, when there may be something to take.
	wake chan struct{}

	// mu guards what follows.
	mu     sync.Mutex
	pieces []voicePiece
	bytes  int
	closed bool
	newest media.Ticks // the greatest end that was pushed
}

// push adds a piece. What does not fit is left out: the oldest, for the newest
// tells how far the timeline has come.
func (q *voiceQueue) push(s voicePiece) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	if n := len(q.pieces); n > 0 && s.packet == nil && q.pieces[n-1].packet == nil {
		q.pieces[n-1].at, q.pieces[n-1].end = max(q.pieces[n-1].at, s.at), max(q.pieces[n-1].end, s.end)
	} else {
		q.pieces = append(q.pieces, s)
		q.bytes += len(s.packet)
	}
	q.newest = max(q.newest, s.end)
	for len(q.pieces) > 1 && (len(q.pieces) > maxVoicePieces || q.bytes > maxVoiceBytes || q.newest-q.pieces[0].at > maxVoiceSpan) {
		if q.pop().packet != nil {
			metrics.TranscodeVoiceDropped.WithLabelValues("overflow").Inc()
		}
	}
	q.signal()
}

// pop takes the first piece off.
func (q *voiceQueue) pop() voicePiece {
	s := q.pieces[0]
	q.pieces[0] = voicePiece{}
	q.pieces = q.pieces[1:]
	q.bytes -= len(s.packet)
	return s
}

// take returns the next piece, if there is one, and says when no more come.
func (q *voiceQueue) take() (s voicePiece, ok, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.pieces) == 0 {
		return s, false, q.closed
	}
	return q.pop(), true, false
}

// rest waits, and says whether another process is to follow.
func (q *voiceQueue) rest(pause time.Duration) bool {
	for end := time.After(pause); ; {
		select {
		case <-end:
			q.signal() // what woke us may have been for the next
			return true
		case <-q.wake:
			if q.over() {
				return false
			}
		}
	}
}

// close says that no more pieces come.
func (q *voiceQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

// over says that no more pieces come. Those there are may still be taken.
func (q *voiceQueue) over() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// written is how far the timeline has come.
func (q *voiceQueue) written() media.Ticks {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.newest
}

func (q *voiceQueue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
