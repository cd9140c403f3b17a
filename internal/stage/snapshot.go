package stage

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"
)

// Snapshot is a room as its listeners see it: everybody who publishes, and of the
// others the 250 who came first. So in a larger room a listener may not find
// itself.
type Snapshot struct {
	StageID      string `json:"stageId"`
	Participants []Seen `json:"participants"` // in the order of their coming
}

// Seen is a participant as the others see it.
type Seen struct {
	ID           string            `json:"id"`
	UserID       string            `json:"userId"`
	Attributes   map[string]string `json:"attributes"`
	IsPublishing bool              `json:"isPublishing"`
}

// crowd is what a room tells of its participants: only what is stored. Each has
// its own JSON, and the snapshot is put together from them when somebody wants it,
// once for all. The room's mutex guards it.
type crowd struct {
	members  []*participant // in the order of their coming
	snapshot []byte
	version  uint64 // of the snapshot, from 1 on
	stale    bool   // the snapshot may have to be made anew
	told     uint64 // the version that listeners were woken for

	wake   chan struct{} // closed when there is something to be told
	timer  *time.Timer   // runs until then
	due    time.Time     // when
	toldAt time.Time
}

// maxAudience is how many a snapshot names of those who do not publish. It goes
// to everybody: what comes beyond costs the others nothing.
const maxAudience = 250

// Times between two snapshots: changes that come together are told together. What a
// room sends in a second is bounded so, and who publishes is told sooner than who
// watches.
const (
	leastSpacing       = 50 * time.Millisecond
	spacingByPublisher = 100 * time.Microsecond // for each member
	spacingByAudience  = 2 * time.Millisecond   // for each member
	mostSpacing        = 10 * time.Second
)

func (c *crowd) add(p *participant) {
	p.encode()
	c.members = append(c.members, p)
}

func (c *crowd) remove(p *participant) {
	if i := slices.Index(c.members, p); i >= 0 {
		c.members = slices.Delete(c.members, i, i+1)
	}
}

// encode makes p's JSON anew, and says whether it changed.
func (p *participant) encode() bool {
	was := p.seen
	attributes := p.attributes
	if attributes == nil {
		attributes = map[string]string{}
	}
	p.seen, _ = json.Marshal(Seen{ID: p.id, UserID: p.userID, Attributes: attributes, IsPublishing: p.seenPublishing}) // strings always marshal
	return !bytes.Equal(was, p.seen)
}

// changed lets listeners be told of a change, soon where it is about who
// publishes.
func (r *room) changed(publishing bool) {
	c := &r.crowd
	c.stale = true
	if r.closed {
		return
	}
	each := spacingByAudience
	if publishing {
		each = spacingByPublisher
	}
	due := c.toldAt.Add(min(leastSpacing+time.Duration(len(c.members))*each, mostSpacing))
	if c.timer != nil && !due.Before(c.due) {
		return
	}
	stopTimer(&c.timer)
	c.due = due
	r.after(&c.timer, max(time.Until(due), 0), func() {
		if r.refresh(); c.told == c.version {
			return
		}
		c.told, c.toldAt = c.version, time.Now()
		close(c.wake)
		c.wake = make(chan struct{})
	})
}

// refresh makes the snapshot anew, if need be.
func (r *room) refresh() {
	c := &r.crowd
	if !c.stale && c.version > 0 {
		return
	}
	c.stale = false
	if now := c.encode(r.stage.ID()); !bytes.Equal(now, c.snapshot) {
		c.snapshot = now
		c.version++
	}
}

// look returns the snapshot of now, with its version, to whom has seen nothing yet
// or a version before the one told last; nil to others, who are woken by the
// channel.
func (r *room) look(seen uint64) (snapshot []byte, version uint64, wake <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &r.crowd
	if seen != 0 && seen >= c.told {
		return nil, 0, c.wake
	}
	r.refresh()
	return c.snapshot, c.version, nil
}

// encode puts a [Snapshot] together.
func (c *crowd) encode(stageID string) []byte {
	out := make([]byte, 0, len(c.snapshot)+1024)
	out = append(out, `{"stageId":"`...) // an id has nothing to be escaped
	out = append(out, stageID...)
	out = append(out, `","participants":[`...)
	audience := 0
	for _, p := range c.members {
		if !p.seenPublishing {
			if audience++; audience > maxAudience {
				continue
			}
		}
		out = append(append(out, p.seen...), ',')
	}
	return append(bytes.TrimSuffix(out, []byte(",")), "]}"...)
}
