package rtc

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/pion/rtcp"
)

// lane is one kind of media of a source. It takes the packets of one layer at a time
// and gives them numbers and time stamps that go on, whatever the publisher's
// connections and layers do.
type lane struct {
	kind    kind
	running sync.WaitGroup // pumps, and who asks for key frames

	mu      sync.Mutex
	wake    sync.Cond // of pumps: there are packets, senders, or the end
	cache   cache
	pumps   []*pump
	readers []*Reader
	closed  bool

	layers   []*layer
	deserted *time.Timer // forgets the packets, keepFor after the last layer has left
	current  *layer      // whose packets are forwarded
	wanted   *layer      // a better one, forwarded from its next key frame on
	seen     bool        // there were packets, ever
	last     stamp       // of the packet with the highest number
	reported time.Time   // when subscribers were last to be sent a report
	reports  uint64      // how often they were: the pumps send them

	keyWanted bool
	asking    *time.Timer // asks for it every keyFrameInterval; nil: nobody does
}

// stamp says when a time stamp was current.
type stamp struct {
	timestamp uint32
	at        time.Time
}

// What a cache keeps: about two seconds of pictures at the highest bitrate there is,
// 3 MB at most; about five seconds of sound.
var cachePackets = [kinds]int{audio: 256, video: 2048}

const (
	// keyFrameInterval is how long the publisher has before it is asked for another
	// key frame, however many subscribers want one.
	keyFrameInterval = 500 * time.Millisecond
	// layerTimeout is how long the layer that is forwarded may be silent while
	// another is not.
	layerTimeout = time.Second
	// keepFor is how long packets are kept that nobody follows with more: who comes
	// back has found another network by then, and subscribers have what they missed.
	keepFor = 10 * time.Second
)

func newLane(kind kind) *lane {
	l := &lane{kind: kind, cache: newCache(cachePackets[kind])}
	l.wake.L = &l.mu
	l.deserted = time.AfterFunc(keepFor, l.forget)
	l.deserted.Stop()
	// Both begin anywhere (RFC 3550 §5.1).
	l.cache.highest = 1<<16 + uint64(rand.Uint32N(1<<16))
	l.last.timestamp = rand.Uint32()
	return l
}

// take forwards a packet of a layer, if that layer's turn it is. mu is held.
func (l *lane) take(from *layer, number uint64, timestamp uint32, p *packet, now time.Time) {
	if from != l.current {
		if !l.better(from, l.current, now) {
			return
		}
		if l.better(from, l.wanted, now) {
			l.wanted = from
			l.wantKeyFrame()
		}
		if len(p.payload()) == 0 || l.kind == video && !p.key {
			return
		}
		l.turn(from, number, timestamp, now)
	}
	if len(p.payload()) == 0 && number == from.sequence.highest {
		from.numbers.drop(number)
		return
	}
	target, ok := from.numbers.of(number)
	p.turn, p.timestamp, p.arrived = from.turn, timestamp+from.turn.shift, now
	ahead := target > l.cache.highest
	if !ok || !l.cache.add(p, target) {
		return
	}
	if ahead {
		l.last = stamp{p.timestamp, now}
	}
	if p.key && l.wanted == nil {
		l.keyWanted = false
	}
	l.seen = true
	l.wake.Broadcast()
	l.wakeReaders()
}

// turn is a stretch of a lane's packets that come from one layer.
type turn struct {
	layer *layer
	first uint64 // the number it began with: what is missing before it never comes
	shift uint32 // what makes the layer's time stamps the lane's
}

// turn makes a layer the one that is forwarded, from its packet number on. Time
// stamps go on by the time that passed since the last packet.
func (l *lane) turn(from *layer, number uint64, timestamp uint32, now time.Time) {
	from.numbers.begin(number, l.cache.highest+1)
	passed := ticks(frameTime[l.kind], l.kind)
	if gap := now.Sub(l.last.at); l.seen && gap > frameTime[l.kind] {
		passed = ticks(gap, l.kind)
	}
	from.turn = &turn{layer: from, first: l.cache.highest + 1, shift: l.last.timestamp + passed - timestamp}
	l.current = from
	if l.wanted == from || !l.better(l.wanted, from, now) {
		l.wanted = nil
	}
}

// frameTime is how far time stamps go on at least from one layer to the next.
var frameTime = [kinds]time.Duration{audio: 20 * time.Millisecond, video: time.Second / 60}

// better tells whether a layer is to be forwarded rather than another: one that has
// an end (nil, closed, silent), comes of an earlier connection, or is smaller.
func (l *lane) better(this, other *layer, now time.Time) bool {
	switch {
	case this == nil || this.closed || this == other:
		return false
	case other == nil || other.closed:
		return true
	case this.up.generation != other.up.generation:
		return this.up.generation > other.up.generation
	case now.Sub(other.heard) > layerTimeout:
		return now.Sub(this.heard) <= layerTimeout
	}
	return this.width*this.height > other.width*other.height
}

// leave takes a layer out. mu is held.
func (l *lane) leave(from *layer, now time.Time) {
	l.layers = slices.DeleteFunc(l.layers, func(other *layer) bool { return other == from })
	from.closed = true
	if l.current == from {
		l.current = nil
	}
	if l.wanted == from {
		l.wanted = nil
	}
	for _, other := range l.layers {
		if l.better(other, l.wanted, now) && l.better(other, l.current, now) {
			l.wanted = other
		}
	}
	if l.wanted != nil {
		l.wantKeyFrame()
	}
	if len(l.layers) == 0 {
		l.deserted.Reset(keepFor)
	}
	l.wakeReaders()
}

// forget lets go of the packets of a lane that nobody publishes. The numbers stay, for
// who may come back.
func (l *lane) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.layers) == 0 {
		l.cache.clear()
	}
}

// wantKeyFrame has the publisher asked for a key frame: now, or when it has been
// long enough since the last time, and until one has come. mu is held.
func (l *lane) wantKeyFrame() {
	if l.kind != video || l.closed {
		return
	}
	l.keyWanted = true
	if l.asking == nil {
		l.running.Add(1)
		l.asking = time.AfterFunc(0, l.askKeyFrame)
	}
}

// askKeyFrame sends a PLI (RFC 4585 §6.3.1) to the publisher, and comes back until
// there is a key frame: a PLI can be lost. It comes back once more in any case, so
// that who asks next waits for the interval to pass.
func (l *lane) askKeyFrame() {
	l.mu.Lock()
	if l.asking == nil {
		l.mu.Unlock()
		return
	}
	if l.wanted != nil && time.Since(l.wanted.heard) > layerTimeout {
		l.wanted = nil // silent again: who waits for pictures is not to wait for it
	}
	asked := l.wanted
	if asked == nil {
		asked = l.current
	}
	if !l.keyWanted || l.closed || asked == nil {
		l.asking = nil
		l.mu.Unlock()
		l.running.Done()
		return
	}
	l.asking.Reset(keyFrameInterval)
	l.running.Add(1)
	l.mu.Unlock()
	_ = asked.up.feedback([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: asked.in.ssrc}})
	l.running.Done()
}

// join gives a sender to the pump that has the fewest. Small audiences have one pump,
// large ones as many as there are processors.
func (l *lane) join(sn *sender) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	var least *pump
	for _, p := range l.pumps {
		if least == nil || len(p.senders) < len(least.senders) {
			least = p
		}
	}
	if least == nil || len(least.senders) >= pumpSenders && len(l.pumps) < runtime.GOMAXPROCS(0) {
		least = &pump{lane: l, next: l.cache.head, reports: l.reports}
		l.pumps = append(l.pumps, least)
		l.running.Go(least.run)
	}
	least.senders = append(slices.Clone(least.senders), sn)
	least.joining = append(least.joining, sn)
	l.wake.Broadcast()
}

// part takes a sender out. Its pump may still be sending to it.
func (l *lane) part(sn *sender) {
	l.mu.Lock()
	defer l.mu.Unlock()
	same := func(other *sender) bool { return other == sn }
	for _, p := range l.pumps {
		p.senders = slices.DeleteFunc(slices.Clone(p.senders), same)
		p.joining = slices.DeleteFunc(slices.Clone(p.joining), same)
	}
}

// audience is every sender. mu is held.
func (l *lane) audience() (senders []*sender) {
	for _, p := range l.pumps {
		senders = append(senders, p.senders...)
	}
	return senders
}

// hasMedia tells whether there have been packets.
func (l *lane) hasMedia() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen
}

// close ends the layers, the senders and the pumps, and waits for those.
func (l *lane) close() {
	l.mu.Lock()
	l.closed = true
	for _, from := range l.layers {
		from.closed = true
	}
	l.layers, l.current, l.wanted = nil, nil, nil
	l.deserted.Stop()
	senders := l.audience()
	if l.asking != nil {
		l.asking.Reset(0) // it sees the end
	}
	l.wake.Broadcast()
	l.wakeReaders()
	l.mu.Unlock()
	for _, sn := range senders {
		sn.close()
	}
	l.running.Wait()
}
