package recorder

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

const (
	// minObject is how long an object lasts at least, unless its stream ends.
	minObject = 10 * media.VideoRate
	// maxObject is how long it lasts at most.
	maxObject = 20 * media.VideoRate
	// minTarget is the least EXT-X-TARGETDURATION, in seconds.
	minTarget = 12
)

// state is what is known of a recording: the sum of its journal's records.
type state struct {
	begun
	streams  []joined
	measured *measured // of the first stream
	target   int       // EXT-X-TARGETDURATION in seconds, 0 until fixed
	headers  []header
	objects  []object
	ending   *ending

	// The steps that were taken, see [done].
	probed, announced bool
	told, headersDone int
}

// object is one media file of the recording.
type object struct {
	N               int // its name
	Start, Duration media.Ticks
	Size            int64
	Time            time.Time // EXT-X-PROGRAM-DATE-TIME
	TS              packager.TSState
	Discontinuity   bool
	Header          int
	Closed, Stored  bool
	// Tail is how far its pictures are shown beyond its end. It becomes part of
	// Duration if the stream ends here.
	Tail media.Ticks

	// parts is kept while the object is open, and during a replay until it is
	// stored.
	parts    []part
	closedAt time.Time // zero after a restart
}

// add puts p behind the parts that are there.
func (o *object) add(p part) {
	if len(o.parts) == 0 {
		o.Start, o.Time = p.Start, p.Time
	}
	o.parts = append(o.parts, p)
	o.Size += p.Size
	o.Duration += p.Duration
	o.TS, o.Tail = p.TS, p.Tail
}

// keep drops the parts behind the first n.
func (o *object) keep(n int) {
	parts := o.parts[:n]
	o.parts, o.Size, o.Duration, o.TS, o.Tail = nil, 0, 0, packager.TSState{}, 0
	for _, p := range parts {
		o.add(p)
	}
}

func (b *begun) apply(s *state) error {
	if s.Recording.ID != "" || b.Recording.ID == "" {
		return fmt.Errorf("recording %q begins twice", b.Recording.ID)
	}
	s.begun = *b
	return nil
}

func (j *joined) apply(s *state) error {
	s.streams = append(s.streams, *j)
	return nil
}

func (d *settled) apply(s *state) error {
	j := s.provisional()
	if j == nil {
		return fmt.Errorf("no stream is to be settled")
	}
	if d.Keep {
		j.Provisional = false
		return nil
	}
	for n := len(s.objects); n > 0 && s.objects[n-1].N >= j.Object; n-- {
		s.objects = s.objects[:n-1]
	}
	s.streams = s.streams[:len(s.streams)-1]
	return nil
}

func (*left) apply(*state) error { return nil }

func (m *measured) apply(s *state) error {
	s.measured = m
	return nil
}

func (h *header) apply(s *state) error {
	s.headers = append(s.headers, *h)
	return nil
}

func (o *opened) apply(s *state) error {
	if s.open() != nil || o.N < s.nextObject() {
		return fmt.Errorf("object %d begins out of order", o.N)
	}
	s.objects = append(s.objects, object{N: o.N, Discontinuity: o.Discontinuity, Header: o.Header})
	return nil
}

func (p *part) apply(s *state) error {
	o := s.open()
	if o == nil || o.N != p.Object {
		return fmt.Errorf("part belongs to object %d, which is not open", p.Object)
	}
	o.add(*p)
	return nil
}

func (c *closed) apply(s *state) error {
	o := s.open()
	if o == nil {
		return fmt.Errorf("no object is open")
	}
	o.Closed = true
	o.Duration, o.Tail = o.Duration+c.Tail, o.Tail-c.Tail
	s.target = c.Target
	return nil
}

func (c *cut) apply(s *state) error {
	for i := range s.objects {
		o := &s.objects[i]
		if o.N != c.N {
			continue
		}
		if c.Parts < 0 || c.Parts > len(o.parts) {
			return fmt.Errorf("object %d has %d parts, not %d", c.N, len(o.parts), c.Parts)
		}
		o.keep(c.Parts)
		if i+1 < len(s.objects) {
			s.objects[i+1].Discontinuity = true
		}
		if c.Parts == 0 {
			s.objects = append(s.objects[:i], s.objects[i+1:]...)
		}
		return nil
	}
	return fmt.Errorf("there is no object %d", c.N)
}

func (d *done) apply(s *state) error {
	switch d.What {
	case probed:
		s.probed = true
	case told:
		s.told = d.N
	case announced:
		s.announced = true
	case storedHeader:
		s.headersDone = d.N + 1
	case storedObject:
		for i := range s.objects {
			if o := &s.objects[i]; o.N == d.N {
				o.Stored, o.parts = true, nil
				return nil
			}
		}
		return fmt.Errorf("there is no object %d", d.N)
	}
	return nil
}

func (e *ending) apply(s *state) error {
	s.ending = e
	return nil
}

// open is the object that parts are added to, nil when there is none.
func (s *state) open() *object {
	if n := len(s.objects); n > 0 && !s.objects[n-1].Closed {
		return &s.objects[n-1]
	}
	return nil
}

func (s *state) nextObject() int {
	if n := len(s.objects); n > 0 {
		return s.objects[n-1].N + 1
	}
	return 0
}

// provisional is the stream in doubt, nil when there is none.
func (s *state) provisional() *joined {
	if n := len(s.streams); n > 0 && s.streams[n-1].Provisional {
		return &s.streams[n-1]
	}
	return nil
}

// settledStreams are the ids of the streams that belong to the recording.
func (s *state) settledStreams() []string {
	var ids []string
	for _, j := range s.streams {
		if !j.Provisional {
			ids = append(ids, j.ID)
		}
	}
	return ids
}

// unstored is the next object to upload, nil when there is none. What belongs
// to a stream in doubt waits.
func (s *state) unstored() *object {
	for i := range s.objects {
		o := &s.objects[i]
		if j := s.provisional(); !o.Closed || j != nil && o.N >= j.Object {
			return nil
		}
		if !o.Stored {
			return o
		}
	}
	return nil
}

// stored counts the objects that playlists may name.
func (s *state) stored() int {
	for i := range s.objects {
		if !s.objects[i].Stored {
			return i
		}
	}
	return len(s.objects)
}

// position is where on the run timeline another stream may begin: the end of
// the media, its pictures shown. It is false when there is no media.
func (s *state) position() (media.Ticks, bool) {
	for i := len(s.objects) - 1; i >= 0; i-- {
		if o := &s.objects[i]; o.Size > 0 {
			return o.Start + o.Duration + o.Tail, true
		}
	}
	return 0, false
}

// counters are where the transport stream goes on.
func (s *state) counters() packager.TSState {
	if n := len(s.objects); n > 0 {
		return s.objects[n-1].TS
	}
	return packager.TSState{}
}

// newest is when its last stream joined.
func (s *state) newest() time.Time {
	if n := len(s.streams); n > 0 {
		return s.streams[n-1].At
	}
	return s.Recording.StartedAt
}

// empty says whether there is nothing worth a recording.
func (s *state) empty() bool { return !s.Bare && (len(s.objects) == 0 || s.objects[0].Size == 0) }

// duration is the length of the media.
func (s *state) duration() time.Duration {
	var sum media.Ticks
	for i := range s.objects {
		sum += s.objects[i].Duration
	}
	return sum.Duration(media.VideoRate)
}

// limit is the longest the open object may become.
func (s *state) limit() media.Ticks {
	if s.target == 0 {
		return maxObject
	}
	return min(maxObject, media.Ticks(s.target)*media.VideoRate)
}

// targetFor fixes EXT-X-TARGETDURATION when o, the first object, closes: room
// for the least duration of an object and the longest group of pictures after
// it (RFC 8216 §4.3.3.1).
func targetFor(o *object) int {
	var longest, group media.Ticks
	for _, p := range o.parts {
		if p.Segment && p.Independent {
			group = 0
		}
		group += p.Duration
		longest = max(longest, group)
	}
	seconds := math.Ceil(float64(min(maxObject, minObject+longest)) / media.VideoRate)
	return max(minTarget, int(seconds))
}

// frameRate is the frame rate of the recording, 0 while it is not known.
func (s *state) frameRate() float64 {
	if s.Format.FrameRate > 0 || s.measured == nil {
		return s.Format.FrameRate
	}
	return s.measured.FrameRate
}

// rendition is the name of the rendition's folder, such as "720p30": the short
// side and the frame rate. It is empty while the frame rate is being measured,
// and has none when that came to nothing.
func (s *state) rendition() string {
	rate := math.Round(s.frameRate())
	if rate == 0 && s.measured == nil {
		return ""
	}
	name := strconv.Itoa(min(s.Format.Width, s.Format.Height)) + "p"
	if rate > 0 {
		name += strconv.Itoa(int(rate))
	}
	return name
}

// fragmented says whether the media is fragmented MP4, rather than MPEG-TS.
func (b *begun) fragmented() bool { return b.Recording.ContainerFormat == resource.FragmentedMP4 }

// objectName is the file name of object n.
func (b *begun) objectName(n int) string {
	if b.fragmented() {
		return strconv.Itoa(n) + ".mp4"
	}
	return strconv.Itoa(n) + ".ts"
}

func headerName(n int) string { return "init-" + strconv.Itoa(n) + ".mp4" }
