package playback

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"anabranch/internal/metrics"
	"anabranch/internal/resource"
)

// Views counts the views of each channel: the sessions that play it now.
//
// Players load the media playlist over and over, each under its session's path,
// and that is what tells: several times a second with parts, every few seconds
// without. A session counts from its second such request, if at least a second
// after its first, so that a player counts within some seconds, and who only
// looks whether a channel is there does not. It counts no more when 30 to 35
// seconds have passed without one.
//
// Each session counts, so a page that is loaded anew is two views for that
// long. Players who got the same multivariant playlist from a cache, against
// its Cache-Control, share a session and are one view; of playlists that a cache
// answers by itself nobody knows here.
//
// Sessions cost nothing to make, so what is remembered of them is bounded: of a
// channel 100,000, more than a server can play to, and 500,000 in all, some 40
// MB. At a bound those who are there stay, and whoever comes is not counted
// until others have left.
type Views struct {
	began  time.Time
	seed   maphash.Seed
	shards [64]viewsShard

	mu       sync.Mutex // guards the rest; taken after a shard's
	channels map[string]*audience
	sessions int // of all channels
}

const (
	viewAfter = time.Second      // how long a session plays before it counts
	viewLife  = 30 * time.Second // how long after its last request it still does
	// viewsSweep is how often sessions that have ended are looked for.
	viewsSweep = 5 * time.Second

	maxChannelSessions = 100_000
	maxSessions        = 500_000
)

// viewsShard has the sessions whose hash leads to it. With many shards, requests
// that run side by side seldom meet. Each has a cache line of its own.
type viewsShard struct {
	mu       sync.Mutex
	sessions map[uint64]sighting
	_        [64 - 16]byte
}

// sighting is when a session was seen, after Views.began.
type sighting struct {
	first, last time.Duration
	audience    *audience
}

func (s *sighting) isView() bool { return s.last-s.first >= viewAfter }

// audience is those who watch a channel.
type audience struct {
	channelID string
	sessions  int // all that are remembered
	views     int // those of them that count
}

// NewViews makes Views of nobody. It forgets sessions while [Views.Run] runs.
func NewViews() *Views {
	v := &Views{began: time.Now(), seed: maphash.MakeSeed(), channels: make(map[string]*audience)}
	for i := range v.shards {
		v.shards[i].sessions = make(map[uint64]sighting)
	}
	return v
}

// Saw takes note of a request for media of a channel that is on air, under a
// session of that channel. It may be called from several goroutines at once.
func (v *Views) Saw(channelID, session string) {
	key := maphash.String(v.seed, session)
	now := time.Since(v.began)
	shard := &v.shards[key%uint64(len(v.shards))]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	s, known := shard.sessions[key]
	if !known {
		if a := v.arrive(channelID); a != nil {
			shard.sessions[key] = sighting{first: now, last: now, audience: a}
		}
		return
	}
	counted := s.isView()
	s.last = max(s.last, now)
	shard.sessions[key] = s
	if !counted && s.isView() {
		v.count(s.audience)
	}
}

// arrive makes room for a session of a channel; nil is that there is none.
func (v *Views) arrive(channelID string) *audience {
	v.mu.Lock()
	defer v.mu.Unlock()
	a := v.channels[channelID]
	if v.sessions >= maxSessions || a != nil && a.sessions >= maxChannelSessions {
		return nil
	}
	if a == nil {
		a = &audience{channelID: channelID}
		v.channels[channelID] = a
	}
	a.sessions++
	v.sessions++
	return a
}

func (v *Views) count(a *audience) {
	v.mu.Lock()
	defer v.mu.Unlock()
	a.views++
	metrics.PlaybackViews.Inc()
}

func (v *Views) leave(a *audience, counted bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sessions--
	if a.sessions--; a.sessions == 0 {
		delete(v.channels, a.channelID)
	}
	if counted {
		a.views--
		metrics.PlaybackViews.Dec()
	}
}

// Viewers is how many views a channel has now.
func (v *Views) Viewers(channel resource.ARN) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	if a := v.channels[channel.ID()]; a != nil {
		return a.views
	}
	return 0
}

// Run forgets sessions that have ended, until ctx ends. It returns nil.
func (v *Views) Run(ctx context.Context) error {
	tick := time.NewTicker(viewsSweep)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			v.sweep()
		case <-ctx.Done():
			return nil
		}
	}
}

func (v *Views) sweep() {
	for i := range v.shards {
		v.shards[i].sweep(v)
	}
}

func (s *viewsShard) sweep(v *Views) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Since(v.began)
	for key, seen := range s.sessions {
		if now-seen.last >= viewLife {
			delete(s.sessions, key)
			v.leave(seen.audience, seen.isView())
		}
	}
}
