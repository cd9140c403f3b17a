package hls

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// media fetches what a playlist tells of, in order, and looks at it.
type media struct {
	c        *Checker
	playlist string // its URL
	keeper   *keeper
	timeline timeline
	inits    map[string]*initSection
	parts    map[uint64][][]byte // of the segments that are not whole yet
	wake     chan struct{}

	// mu guards what follows.
	mu       sync.Mutex
	queue    []item
	closed   bool
	refused  map[string]int // hints that were not waited for, and the status
	duration time.Duration  // of all segments looked at
	keep     [][]byte
	keepInit string
	rates    []rate
}

// item is a part, or a whole segment, that is to be fetched.
type item struct {
	segment Segment
	part    int // -1 for the segment
	Part
}

// rate is what a segment weighs.
type rate struct {
	number   uint64
	init     *initSection
	bytes    int
	duration time.Duration
	pictures int
}

func newMedia(c *Checker, playlist string, k *keeper) *media {
	return &media{
		c: c, playlist: playlist, keeper: k, timeline: timeline{c: c},
		inits: map[string]*initSection{}, parts: map[uint64][][]byte{}, wake: make(chan struct{}, 1),
		refused: map[string]int{},
	}
}

// part is told of a part.
func (m *media) part(s Segment, index int, q Part) { m.push(item{segment: s, part: index, Part: q}) }

// segment is told of a segment that is whole.
func (m *media) segment(s Segment) { m.push(item{segment: s, part: -1}) }

func (m *media) push(i item) {
	m.mu.Lock()
	m.queue = append(m.queue, i)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// close says that nothing more comes.
func (m *media) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// run looks at what is told until all is done and nothing more comes, or ctx
// ends.
func (m *media) run(ctx context.Context) {
	for ctx.Err() == nil {
		m.mu.Lock()
		closed, waiting := m.closed, len(m.queue)
		var next item
		if waiting > 0 {
			next = m.queue[0]
		}
		m.mu.Unlock()
		switch {
		case waiting == 0 && closed:
			return
		case waiting == 0:
			select {
			case <-m.wake:
			case <-ctx.Done():
			}
			continue
		}
		if !m.look(ctx, next) {
			pause(ctx, 200*time.Millisecond) // the server is away
			continue
		}
		m.mu.Lock()
		m.queue = m.queue[1:]
		m.mu.Unlock()
	}
}

// look fetches i and checks it. It is false when that has to be tried again.
func (m *media) look(ctx context.Context, i item) bool {
	if i.part >= 0 && i.Gap || i.part < 0 && i.segment.Gap {
		m.skip(i)
		return true
	}
	init, again := m.init(ctx, i.segment.Init)
	if init == nil {
		return !again
	}
	uri := i.URI
	if i.part < 0 {
		uri = i.segment.URI
	}
	data, again := m.fetch(ctx, uri, "video/mp4")
	if data == nil {
		return !again
	}
	if i.part >= 0 {
		m.mu.Lock()
		status, refused := m.refused[uri]
		m.mu.Unlock()
		if refused {
			m.c.complain("4.4.5.3", nil, i.URI, "a part that came was refused with status %d when it was hinted at", status)
		}
		if i.part == len(m.parts[i.segment.Number]) {
			m.parts[i.segment.Number] = append(m.parts[i.segment.Number], data)
			m.timeline.part(init, i, data)
		}
		return true
	}
	parts, told := m.parts[i.segment.Number]
	delete(m.parts, i.segment.Number)
	switch {
	case told && len(parts) == len(i.segment.Parts):
		if !bytes.Equal(bytes.Join(parts, nil), data) {
			m.c.complain("4.4.4.9", nil, i.segment.URI, "segment %d, of %d bytes, is not what its %d parts are, of %d bytes",
				i.segment.Number, len(data), len(parts), len(bytes.Join(parts, nil)))
		}
	default:
		m.timeline.segment(init, i, data)
	}
	m.note(init, i.segment, data)
	return true
}

// skip passes over a gap: there is nothing to fetch.
func (m *media) skip(i item) {
	known := m.parts[i.segment.Number]
	switch {
	case i.part < 0:
		if delete(m.parts, i.segment.Number); len(known) == 0 {
			m.timeline.gap(i.segment.Duration)
		}
	case i.part == len(known):
		m.parts[i.segment.Number] = append(known, nil)
		m.timeline.gap(i.Duration)
	}
}

// note keeps what is asked for later.
func (m *media) note(init *initSection, s Segment, data []byte) {
	pictures := 0
	if fragments, err := parseFragments(init, data); err == nil {
		for _, f := range fragments {
			pictures += len(f.video)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.duration += s.Duration
	m.rates = append(m.rates, rate{s.Number, init, len(data), s.Duration, pictures})
	if m.c.cfg.Keep {
		if s.Init != m.keepInit {
			m.keep, m.keepInit = append(m.keep, bytes.Clone(init.data)), s.Init
		}
		m.keep[len(m.keep)-1] = append(m.keep[len(m.keep)-1], data...)
	}
}

// fetch gets a part, segment or init section, which must be there. again says
// that it is only the server that is not.
func (m *media) fetch(ctx context.Context, uri, kind string) (data []byte, again bool) {
	url, err := resolve(m.playlist, uri)
	if err != nil {
		m.c.complain("4.1", nil, uri, "%v", err)
		return nil, false
	}
	a, away := m.c.expect(ctx, "6.2.2", url)
	if a == nil {
		return nil, away || ctx.Err() != nil
	}
	m.c.checkType(a, url, kind)
	if age := a.freshness(); age < time.Minute {
		m.c.complain("B.1", nil, "", "%s may be kept for %v only, though it never changes", path(url), age)
	}
	m.keeper.fetched(url, a.body)
	return a.body, false
}

// init gets an init section.
func (m *media) init(ctx context.Context, uri string) (init *initSection, again bool) {
	if init, ok := m.inits[uri]; ok {
		return init, false
	}
	data, again := m.fetch(ctx, uri, "video/mp4")
	if data == nil {
		return nil, again
	}
	init, err := parseInit(data)
	if err != nil {
		m.c.complain("3.1.2", nil, "", "init section %s: %v", uri, err)
	}
	m.inits[uri] = init // nil: its media cannot be looked at
	return init, false
}

// hint asks for a part that is only hinted at. It should come once it is there,
// and be what comes under its name later.
func (m *media) hint(ctx context.Context, uri string) {
	url, err := resolve(m.playlist, uri)
	if err != nil {
		m.c.complain("4.4.5.3", nil, uri, "%v", err)
		return
	}
	began := time.Now()
	a, err := m.c.fetch(ctx, url)
	switch {
	case ctx.Err() != nil, m.c.away(began):
	case err != nil:
		m.c.complain("4.4.5.3", nil, uri, "hinted at: %v", err)
	case a.status == http.StatusOK:
		m.keeper.fetched(url, a.body)
	case a.took() < minWait:
		m.mu.Lock()
		m.refused[uri] = a.status
		m.mu.Unlock()
	}
}

func (m *media) seen() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.duration
}

func (m *media) kept() [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([][]byte(nil), m.keep...)
}

// listed are the segments from number on that belong to the newest init section.
func (m *media) listed(from, to uint64) (some []rate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rates {
		if r.number >= from && r.number < to {
			some = append(some, r)
		}
	}
	for i := len(some) - 1; i >= 0; i-- {
		if some[i].init != some[len(some)-1].init {
			return some[i+1:]
		}
	}
	return some
}

func (r rate) String() string {
	return fmt.Sprintf("segment %d of %d bytes in %v", r.number, r.bytes, r.duration)
}
