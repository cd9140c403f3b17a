package capture

import (
	"time"

	"anabranch/internal/media"
	"anabranch/internal/metrics"
)

const (
	// lasting is how long a picture lasts when none is known to follow.
	lasting = 1500 * time.Millisecond

	// Copies of a key frame come everyCopy, or later where they would take more than
	// copyRate bytes a second: one of 4 MB is not to fill the spool.
	everyCopy = time.Second
	maxCopy   = 8 * time.Second // less than the cutter lets a picture last
	copyRate  = 512 << 10

	// minStretch is how long a stretch lasts at least, and the object before it.
	minStretch = time.Second

	// maxWaiting bounds the pictures that wait for sound, in bytes.
	maxWaiting = 32 << 20
)

// picture is one picture on the timeline.
type picture struct {
	at         media.Ticks
	connection uint64
	key        bool
	copied     bool // is there in place of one
	payload    []byte
	params     *media.VideoParams
}

// still is a key frame that goes on where no picture comes.
type still struct {
	params  *media.VideoParams
	payload []byte
}

// every is how often a copy of the still comes.
func (s *still) every() media.Ticks {
	return ticksOf(min(max(everyCopy, time.Duration(len(s.payload))*time.Second/copyRate), maxCopy))
}

// pictures are those of a publication: what came and is not cut yet, and what is
// shown where nothing came.
type pictures struct {
	inflow
	queue []picture // as they came, places rise
	bytes int       // of the queue

	// longest is how long a picture lasts at most whose next is known: an object that
	// is due for a key frame is not to end for being too long.
	longest media.Ticks

	still still
	shown media.Ticks // place of the newest that was cut
	// torn says that copies were shown, or pictures left out: decoders can go on
	// with a key frame only.
	torn   bool
	copied bool // the newest that was cut is a copy
	// joint is where a connection begins that another was lost before; a stretch
	// begins there. It is in the past once shown has reached it.
	joint media.Ticks
}

// add takes a picture that came. Places rise, whatever the clocks of connections do.
func (p *pictures) add(pic picture) {
	if p.some {
		pic.at = max(pic.at, p.newest+1)
	}
	p.inflow.add(pic.at)
	p.queue = append(p.queue, pic)
	p.bytes += len(pic.payload)
}

// next is what is to be shown behind what was cut, if that is known: the next
// picture, or a copy of the still in its place. Pictures that cannot be decoded are
// dropped, and those in whose place copies are shown already.
func (p *pictures) next(known media.Ticks) (next picture, ok bool) {
	for len(p.queue) > 0 {
		if head := &p.queue[0]; head.at <= p.shown {
			p.drop("late")
		} else if p.torn && !head.key {
			p.drop("torn")
		} else {
			break
		}
	}
	copied := picture{at: p.shown + ticksOf(lasting), key: true, copied: true, payload: p.still.payload, params: p.still.params}
	if p.copied {
		copied.at = p.shown + p.still.every()
	}
	if p.joint > p.shown && p.joint <= copied.at && (len(p.queue) == 0 || p.queue[0].at > p.joint) {
		copied.at = p.joint
		if len(p.queue) > 0 && p.queue[0].key && p.queue[0].at-p.joint <= ticksOf(lasting) {
			copied.payload, copied.params = p.queue[0].payload, p.queue[0].params
		}
		return copied, copied.at <= known || len(p.queue) > 0
	}
	if len(p.queue) == 0 {
		return copied, copied.at <= known
	}
	// What came before there was known to be nothing goes on without a copy.
	if head := p.queue[0]; head.at <= copied.at || !p.copied && head.at-p.shown <= p.longest {
		return head, true
	}
	return copied, true
}

// take takes away what next returned, which is cut.
func (p *pictures) take(pic picture) {
	if !pic.copied {
		p.pop()
	}
	if pic.key {
		p.still = still{pic.params, pic.payload}
	}
	p.shown, p.copied, p.torn = pic.at, pic.copied, pic.copied
}

// drop leaves the next picture out, and all behind it up to a key frame.
func (p *pictures) drop(why string) {
	metrics.CapturePicturesDropped.WithLabelValues(why).Inc()
	p.pop()
	p.torn = true
}

func (p *pictures) pop() {
	p.bytes -= len(p.queue[0].payload)
	p.queue[0] = picture{}
	p.queue = p.queue[1:]
}

// shape says what next is shown as: where the pictures become others than those
// before, a stretch begins, if the one before is long enough. It is false where next
// is left out.
func (c *capture) shape(next picture) (shaped picture, ok bool) {
	c.outlet.expect(next.at, false) // the picture before may have lasted for longer than an object
	mature := next.at-c.outlet.latest >= ticksOf(minStretch) || next.at == c.pictures.joint
	if next.copied {
		next.connection = c.stretch
		if next.at == c.pictures.joint {
			next.connection = c.joined
		}
		if next.at >= c.connected && mature {
			next.connection = c.connection
			if !c.pictures.offered {
				next.params, next.payload = blackStill.params, blackStill.payload
			}
		}
		return next, true
	}
	if !c.changes(&next) || next.key && mature {
		return next, true
	}
	c.pictures.drop("changed")
	return next, false
}

// changes says whether a stretch begins with next.
func (c *capture) changes(next *picture) bool {
	return next.connection != c.stretch || next.params != c.shown && !next.params.Equal(c.shown)
}
