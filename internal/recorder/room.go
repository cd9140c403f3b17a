package recorder

import (
	"fmt"
	"sync"
	"sync/atomic"

	"anabranch/internal/metrics"
)

// maxBehind is how many closed objects a recording may have in a full spool
// without being ended: as many as one whose store keeps up has now and then.
const maxBehind = 2

// room is the room that media takes in the spool. It may be used by several
// goroutines at once.
type room struct {
	max  int64 // bytes; 0 for no bound
	used atomic.Int64

	mu     sync.Mutex
	shares map[string]int64 // of used, by bucket
}

func newRoom(bound int64) *room {
	metrics.RecordingSpoolMaxBytes.Set(float64(bound))
	metrics.RecordingSpoolBytes.Set(0)
	return &room{max: bound, shares: make(map[string]int64)}
}

// add takes n more bytes for a bucket, or gives them back when n is negative.
func (r *room) add(bucket string, n int64) {
	if n == 0 {
		return
	}
	metrics.RecordingSpoolBytes.Set(float64(r.used.Add(n)))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shares[bucket] += n; r.shares[bucket] == 0 {
		delete(r.shares, bucket)
	}
}

// full says whether a bucket has used up its room. One alone may take all of
// the bound. A quarter more is for others, so that what is left of a bucket that
// is gone for good does not fail them the first time they are slow: each may
// take four times what is then still free.
func (r *room) full(bucket string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	free := r.max + r.max/4 - r.used.Load()
	return r.max > 0 && (free <= 0 || r.shares[bucket] >= 4*free)
}

// reason says in words why a recording to bucket cannot go on.
func (r *room) reason(bucket string) string {
	return fmt.Sprintf("the spool is full: %s of media wait for upload, and bucket %s does not keep up", inWords(r.used.Load()), bucket)
}

// inWords is n bytes as people say it, such as "20.5 GB".
func inWords(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d bytes", n)
	}
	value, unit := float64(n)/1000, 0
	for ; value >= 999.95; unit++ {
		value /= 1000
	}
	return fmt.Sprintf("%.4g %cB", value, units[unit])
}

// behind says whether more of the recording is spooled than where its bucket
// keeps up.
func (s *state) behind() bool { return s.backlog() > maxBehind }

// backlog counts the closed objects that are not stored.
func (s *state) backlog() int {
	closed := len(s.objects) - s.inBucket
	if s.open() != nil {
		closed--
	}
	return closed
}

// overflow ends the recording because its media does not leave the spool,
// which is full. What is there is stored when that can be done.
func (rec *recording) overflow() error {
	reason := rec.room.reason(rec.Recording.Bucket)
	rec.log.Error("recording fails", "reason", reason)
	rec.breakOff(reason)
	return rec.lost()
}

// backlogged says whether any recording to a bucket is behind, or those without
// a stream together are, by more than may be under way: many short streams leave
// a few objects each. r.mu is held.
func (r *Recorder) backlogged(bucket string) bool {
	left := 0
	for _, rec := range r.all {
		if rec.Recording.Bucket != bucket { // which never changes
			continue
		}
		rec.mu.Lock()
		behind := rec.behind()
		if rec.take == nil {
			left += rec.backlog()
		}
		rec.mu.Unlock()
		if behind || left > maxPutsEach {
			return true
		}
	}
	return false
}
