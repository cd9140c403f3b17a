package rtc

import (
	"time"

	"anabranch/internal/media"
)

// readerLane is one lane as a reader has it: packets in their order, and what was made
// of them.
type readerLane struct {
	reader *Reader
	lane   *lane
	newest uint64 // connection; what earlier ones send is not read

	arrival uint64    // of the cache, the one that comes next
	packets []*packet // of one turn at the cache

	// Packets wait here for those before them: that of number n at n modulo the length.
	waiting   []*packet // nil before the first
	begun     bool
	next      uint64    // the number that comes next
	highest   uint64    // of those that came
	key       uint64    // the newest packet that begins a key frame
	hopeless  uint64    // no number below will come any more
	due       time.Time // until when next is awaited; zero: not known yet
	stretches []*stretch

	// Of the frames of the present connection.
	assembly   assembly
	needsKey   bool          // pictures go on with a key frame only
	missing    uint64        // numbers that were lost before the next frame
	connection uint64        // of the last frame
	last       time.Time     // its time
	stamp      uint32        // its time stamp
	stamped    *stretch      // where that is from
	lasts      time.Duration // how long it is heard or seen
}

const (
	readPackets = 64 // taken from the cache at once
	// waitingPackets are how many wait for one that is missing: as many as come
	// within Patience at the highest bitrate there is.
	waitingAudio, waitingVideo = 1024, 4096
	// minStep is the least step of times. It is more than a tick of 90 kHz.
	minStep = 20 * time.Microsecond
	// usualPicture is how long a picture is seen when no other one followed it yet.
	usualPicture = time.Second / 30
)

func newReaderLane(r *Reader, l *lane, newest uint64) *readerLane {
	return &readerLane{reader: r, lane: l, newest: newest, needsKey: true}
}

// unread tells when the next packet in the cache came, if there is one.
func (l *readerLane) unread() (arrived time.Time, some bool) {
	l.lane.mu.Lock()
	defer l.lane.mu.Unlock()
	if p := l.lane.cache.first(max(l.arrival, l.lane.cache.oldest())); p != nil {
		return p.arrived, true
	}
	return arrived, false
}

// read takes some packets that came by until from the cache and makes frames of what is in order. It tells
// when it is to be called again if nothing comes, and whether nothing will.
func (l *readerLane) read(now, until time.Time) (again time.Duration, ended bool) {
	lane := l.lane
	lane.mu.Lock()
	from := max(l.arrival, lane.cache.oldest())
	skipped := from > l.arrival
	l.arrival = min(lane.cache.head, from+readPackets)
	l.packets = lane.cache.since(l.packets[:0], from, l.arrival)
	for n := len(l.packets); n > 0 && l.packets[n-1].arrived.After(until); n-- {
		l.packets, l.arrival = l.packets[:n-1], l.arrival-1
	}
	all, ended := l.arrival == lane.cache.head, lane.closed
	var turn *turn
	if len(l.packets) > 0 {
		turn = l.packets[len(l.packets)-1].turn
	} else if len(l.stretches) > 0 {
		turn = l.stretches[len(l.stretches)-1].turn
	}
	var ref reference
	over := ended
	if turn != nil {
		ref = turn.reference()
		over = over || turn.layer.closed
	}
	lane.mu.Unlock()

	for i, p := range l.packets {
		if skipped && i == 0 {
			l.hopeless = max(l.hopeless, p.number)
		}
		if p.turn != turn {
			l.put(p, reference{}, now)
		} else {
			l.put(p, ref, now)
		}
	}
	clear(l.packets) // old packets are not kept by a reader that sleeps
	if all && over && l.begun {
		l.hopeless = l.highest + 1
	}
	again = l.drain(now)
	if !all {
		again = 0
	}
	return again, ended && all
}

// put has a packet wait for its turn. Those with the highest numbers tell the clock
// when they came: what was repaired is late for another reason.
func (l *readerLane) put(p *packet, ref reference, now time.Time) {
	connection := p.turn.layer.up.generation
	if connection < l.newest {
		l.hopeless = max(l.hopeless, p.number+1)
		return
	}
	l.newest = connection
	if !l.begun {
		l.begun, l.next, l.highest = true, p.number, p.number-1
		l.waiting = make([]*packet, [kinds]int{audio: waitingAudio, video: waitingVideo}[l.lane.kind])
	}
	if p.number < max(l.next, l.hopeless) {
		return
	}
	if size := uint64(len(l.waiting)); p.number >= l.next+size {
		l.hopeless = p.number - size + 1
		l.drain(now)
	}
	l.waiting[p.number%uint64(len(l.waiting))] = p
	if p.key {
		l.key = max(l.key, p.number)
	}
	if p.number > l.highest {
		l.stretch(p, ref)
		l.highest = p.number
	}
}

// stretch notes when a packet came, and begins another stretch of time stamps where
// they do not go on from the last.
func (l *readerLane) stretch(p *packet, ref reference) {
	origin, kind := l.reader.origin, l.lane.kind
	var since time.Time
	if n := len(l.stretches); n > 0 {
		last := l.stretches[n-1]
		broken := last.turn == p.turn && last.broken(p, p.arrived.Sub(origin))
		if last.turn == p.turn && !broken {
			last.arrived(p, ref, origin)
			return
		}
		if broken {
			since = p.arrived
		} else {
			l.hopeless = max(l.hopeless, p.turn.first)
		}
	}
	connection := p.turn.layer.up.generation
	var c *clock
	for _, other := range l.reader.lanes {
		if n := len(other.stretches); n > 0 && other.stretches[n-1].clock.connection == connection {
			c = other.stretches[n-1].clock
		}
	}
	if c == nil {
		c = &clock{connection: connection}
	}
	s := c.newStretch(kind, p, ref, since, origin)
	s.first = l.highest + 1 // what is missing between was sent after the break, if there was one
	l.stretches = append(l.stretches, s)
}

// drain makes frames of the packets that are in order. Where one is missing it stops
// until that has come or is given up. It tells how long it has nothing to do.
func (l *readerLane) drain(now time.Time) time.Duration {
	size := uint64(len(l.waiting))
	for l.begun && l.next <= l.highest {
		place := &l.waiting[l.next%size]
		if p := *place; p != nil && p.number == l.next {
			s := l.stretchOf(p.number)
			if wait := s.free - now.Sub(l.reader.origin); wait > 0 && l.next >= l.hopeless {
				return wait
			}
			*place = nil
			l.next++
			l.due = time.Time{}
			l.take(p, s)
			continue
		}
		following := l.following()
		if l.next >= l.hopeless {
			if l.due.IsZero() {
				l.due = following.arrived.Add(Patience)
			}
			if wait := l.due.Sub(now); wait > 0 {
				return wait
			}
		}
		l.missing += following.number - l.next
		l.next = following.number
		l.lose()
	}
	return Patience
}

// following is the first packet behind those that are missing.
func (l *readerLane) following() *packet {
	for n := l.next + 1; ; n++ {
		if p := l.waiting[n%uint64(len(l.waiting))]; p != nil && p.number == n {
			return p
		}
	}
}

// stretchOf is the stretch of a number. Those before are forgotten.
func (l *readerLane) stretchOf(number uint64) *stretch {
	for len(l.stretches) > 1 && l.stretches[1].first <= number {
		l.stretches[0] = nil
		l.stretches = l.stretches[1:]
	}
	return l.stretches[0]
}

// lose tells that packets are missing for good.
func (l *readerLane) lose() {
	if l.lane.kind == video {
		l.assembly.tear()
		l.needsKey = true
		l.wantKey()
	}
}

// wantKey asks for a key frame, unless there is one among the packets that wait.
func (l *readerLane) wantKey() {
	if l.key < l.next {
		l.reader.WantKeyFrame()
	}
}

// take makes a frame of a packet, or adds it to one.
func (l *readerLane) take(p *packet, s *stretch) {
	payload := p.payload()
	if len(payload) == 0 {
		return // padding
	}
	if l.lane.kind == audio {
		if lasts := media.OpusDuration(payload).Duration(media.OpusRate); lasts > 0 && l.later(p.timestamp, s) {
			l.give(Frame{Kind: media.Audio, Key: true, Payload: payload[:len(payload):len(payload)], Arrived: p.arrived}, p.timestamp, s, lasts)
		}
		return
	}
	a := &l.assembly
	if a.begun && (a.timestamp != p.timestamp || a.stretch != s) {
		l.picture()
	}
	if !a.begun {
		if a.stretch == nil || a.stretch.turn != s.turn {
			a.renew()
			l.needsKey = true
		}
		a.begin(p.timestamp, s)
	}
	a.add(p)
	if p.marker {
		l.picture()
	}
}

// picture makes a frame of the picture that has been put together.
func (l *readerLane) picture() {
	a := &l.assembly
	defer a.end()
	whole := a.whole()
	switch {
	case whole && !a.slices:
		return
	case !whole:
		l.needsKey = true
	case l.needsKey && !a.idr:
		whole = false
	case a.idr && a.parameters() == nil:
		l.needsKey, whole = true, false
	}
	if !whole {
		l.missing++
		l.wantKey()
		return
	}
	if l.later(a.timestamp, a.stretch) {
		l.needsKey = false
		l.give(Frame{Kind: media.Video, Key: a.idr, Payload: a.payload(), Video: a.params, Arrived: a.arrived}, a.timestamp, a.stretch, 0)
	}
}

// later tells whether a time stamp is later than that of the frame before.
func (l *readerLane) later(stamp uint32, s *stretch) bool {
	return l.stamped != s || int32(stamp-l.stamp) > 0
}

// give hands a frame out, with its time. A lasts of 0 is as long as it was since the
// last frame.
func (l *readerLane) give(f Frame, stamp uint32, s *stretch, lasts time.Duration) {
	f.Connection = s.clock.connection
	f.Time = s.time(stamp, l.reader.origin)
	if earliest := f.Arrived.Add(-maxDelay); f.Time.Before(earliest) {
		f.Time = earliest
	}
	if latest := f.Arrived.Add(maxDelay); f.Time.After(latest) {
		f.Time = latest
	}
	goesOn := l.connection == f.Connection && !l.last.IsZero()
	if goesOn && f.Time.Sub(l.last) < minStep {
		f.Time = l.last.Add(minStep)
	}
	if goesOn && l.missing > 0 {
		f.Lost = max(0, f.Time.Sub(l.last)-l.lasts)
		if f.Kind == media.Audio {
			f.Lost = min(f.Lost, time.Duration(l.missing)*l.lasts)
		}
	}
	if lasts == 0 {
		if lasts = usualPicture; goesOn && f.Lost == 0 {
			lasts = min(f.Time.Sub(l.last), time.Second)
		} else if goesOn {
			lasts = l.lasts
		}
	}
	l.missing, l.connection, l.last, l.stamp, l.stamped, l.lasts = 0, f.Connection, f.Time, stamp, s, lasts
	l.reader.frames = append(l.reader.frames, f)
}
