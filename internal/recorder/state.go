package recorder

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

// state is what is known of a recording: the sum of its journal's records.
type state struct {
	begun
	streams   []joined
	measured  *measured   // of the first stream
	target    int         // EXT-X-TARGETDURATION in seconds, 0 until fixed
	described []described // by rendition
	headers   [][]header  // by rendition
	objects   []object
	marks     []marked // in the order of their objects
	losses    []lost   // in the order of their objects
	inBucket  int      // how many objects, from the first on, are stored
	onDisk    int      // the number of the first object that may not be on the disk
	thumbs    thumbs
	ending    *ending
	waiting   int64 // bytes of media that are not stored

	// The steps that were taken, see [done].
	probed, announced, failureTold bool
	told                           int
	headersDone                    []int // by rendition
}

func (b *begun) apply(s *state) error {
	if s.Recording.ID != "" || b.Recording.ID == "" {
		return fmt.Errorf("recording %q begins twice", b.Recording.ID)
	}
	s.begun = *b
	of := b.renditions()
	s.described, s.headers, s.headersDone = make([]described, len(of)), make([][]header, len(of)), make([]int, len(of))
	for i := range of {
		s.described[i].Rendition = i
		if of[i].isSource() {
			s.described[i].Codecs = b.Codecs
		}
	}
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
	n := len(s.objects)
	for n > s.inBucket && s.objects[n-1].N >= j.Object {
		n--
	}
	for i := range s.objects[n:] {
		s.waiting -= s.objects[n+i].size()
	}
	s.objects = s.objects[:n]
	s.unmark(j.Object)
	s.streams = s.streams[:len(s.streams)-1]
	return nil
}

func (l *left) apply(s *state) error {
	s.thumbs.elapsed = max(s.thumbs.elapsed, l.Elapsed)
	return nil
}

func (m *measured) apply(s *state) error {
	s.measured = m
	return nil
}

func (h *header) apply(s *state) error {
	if h.Rendition < 0 || h.Rendition >= len(s.headers) {
		return fmt.Errorf("there is no rendition %d", h.Rendition)
	}
	s.headers[h.Rendition] = append(s.headers[h.Rendition], *h)
	return nil
}

func (o *opened) apply(s *state) error {
	if s.open() != nil || o.N < s.nextObject() {
		return fmt.Errorf("object %d begins out of order", o.N)
	}
	next := object{N: o.N, Discontinuity: o.Discontinuity, of: make([]held, len(s.headers))}
	for i := range next.of {
		if next.of[i].Header = o.Header; i < len(o.Headers) {
			next.of[i].Header = o.Headers[i]
		}
	}
	s.objects = append(s.objects, next)
	return nil
}

func (p *part) apply(s *state) error {
	o := s.open()
	if o == nil || o.N != p.Object {
		return fmt.Errorf("part belongs to object %d, which is not open", p.Object)
	}
	if len(p.Of) != len(o.of) {
		return fmt.Errorf("part of object %d is of %d renditions, not %d", p.Object, len(p.Of), len(o.of))
	}
	s.waiting -= o.size()
	o.add(*p)
	s.waiting += o.size()
	return nil
}

func (c *closed) apply(s *state) error {
	o := s.open()
	if o == nil {
		return fmt.Errorf("no object is open")
	}
	o.Closed = true
	o.Duration, o.Tail = o.Duration+c.Tail, o.Tail-c.Tail
	if n := len(o.pieces); n > 0 {
		o.pieces[n-1].Duration += uint32(c.Tail)
	}
	s.target = c.Target
	return nil
}

func (c *cut) apply(s *state) error {
	i, o := s.find(c.N)
	switch {
	case o == nil:
		return fmt.Errorf("there is no object %d", c.N)
	case o.Stored:
		return fmt.Errorf("object %d is stored", c.N)
	case c.Parts < 0 || c.Parts > len(o.parts):
		return fmt.Errorf("object %d has %d parts, not %d", c.N, len(o.parts), c.Parts)
	}
	s.waiting -= o.size()
	o.keep(c.Parts)
	s.waiting += o.size()
	if i+1 < len(s.objects) {
		s.objects[i+1].Discontinuity = true
	}
	if c.Parts == 0 {
		s.drop(i)
		return nil
	}
	s.unlose(c.N, o.Time.Add(o.Duration.Duration(media.VideoRate)))
	return nil
}

func (m *missing) apply(s *state) error {
	i, o := s.find(m.N)
	switch {
	case o == nil:
		return fmt.Errorf("there is no object %d", m.N)
	case o.Stored:
		return fmt.Errorf("object %d is stored", m.N)
	case m.Rendition < 0 || m.Rendition >= len(o.of):
		return fmt.Errorf("object %d has no rendition %d", m.N, m.Rendition)
	}
	s.waiting -= o.size()
	o.lose(m.Rendition)
	s.waiting += o.size()
	if o.size() == 0 {
		if i+1 < len(s.objects) {
			s.objects[i+1].Discontinuity = true
		}
		s.drop(i)
	}
	return nil
}

// drop leaves out object i, of which nothing is there.
func (s *state) drop(i int) {
	s.unlose(s.objects[i].N, time.Time{})
	s.objects = append(s.objects[:i], s.objects[i+1:]...)
	s.countStored()
}

func (d *done) apply(s *state) error {
	switch d.What {
	case probed:
		s.probed = true
	case told:
		s.told = d.N
	case announced:
		s.announced = true
	case toldFailure:
		s.failureTold = true
	case storedHeader:
		if d.Rendition < 0 || d.Rendition >= len(s.headersDone) {
			return fmt.Errorf("there is no rendition %d", d.Rendition)
		}
		s.headersDone[d.Rendition] = d.N + 1
		if of := s.headers[d.Rendition]; s.layout().mixed() && d.N >= 0 && d.N < len(of) {
			of[d.N].Data = nil // each stretch has its own, and there may be one every second
		}
	case syncedObject:
		s.onDisk = d.N + 1
	case storedObject:
		_, o := s.find(d.N)
		if o == nil {
			return fmt.Errorf("there is no object %d", d.N)
		}
		if !o.Stored {
			s.waiting -= o.size()
		}
		o.Stored, o.parts = true, nil
		s.countStored()
	case storedThumbnail, droppedThumbnail:
		return s.thumbnailDone(d)
	}
	return nil
}

// find is the object named n and its index, nil when there is none.
func (s *state) find(n int) (int, *object) {
	i := sort.Search(len(s.objects), func(i int) bool { return s.objects[i].N >= n })
	if i == len(s.objects) || s.objects[i].N != n {
		return i, nil
	}
	return i, &s.objects[i]
}

func (s *state) countStored() {
	for s.inBucket < len(s.objects) && s.objects[s.inBucket].Stored {
		s.inBucket++
	}
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

// lastClosed is the number of the last object that is complete, -1 when there is
// none.
func (s *state) lastClosed() int {
	for i := len(s.objects) - 1; i >= 0; i-- {
		if s.objects[i].Closed {
			return s.objects[i].N
		}
	}
	return -1
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

// settledStreams are the streams that belong to the recording.
func (s *state) settledStreams() []resource.RecordedStream {
	var settled []resource.RecordedStream
	for _, j := range s.streams {
		if !j.Provisional {
			settled = append(settled, resource.RecordedStream{ID: j.ID, StageSessionID: j.StageSession})
		}
	}
	return settled
}

// streamIDs are those of the streams that belong to the recording.
func (s *state) streamIDs() []string {
	var ids []string
	for _, stream := range s.settledStreams() {
		ids = append(ids, stream.ID)
	}
	return ids
}

// unstored is the next object to upload, nil when there is none. What belongs
// to a stream in doubt waits.
func (s *state) unstored() *object {
	if s.inBucket == len(s.objects) {
		return nil
	}
	o := &s.objects[s.inBucket]
	if j := s.provisional(); !o.Closed || j != nil && o.N >= j.Object {
		return nil
	}
	return o
}

// stored counts the objects that playlists may name.
func (s *state) stored() int { return s.inBucket }

// position is where on the run timeline another stream may begin: the end of
// the media, its pictures shown. It is false when there is no media.
func (s *state) position() (media.Ticks, bool) {
	for i := len(s.objects) - 1; i >= 0; i-- {
		if o := &s.objects[i]; !o.void() {
			return o.Start + o.Duration + o.Tail, true
		}
	}
	return 0, false
}

// counters are where the transport stream of a rendition goes on.
func (s *state) counters(i int) packager.TSState {
	if n := len(s.objects); n > 0 {
		return s.objects[n-1].of[i].TS
	}
	return packager.TSState{}
}

// header is the index of a rendition's last initialization segment, 0 when there
// is none.
func (s *state) header(i int) int { return max(0, len(s.headers[i])-1) }

// unstoredHeader is a rendition that has an initialization segment to upload, -1
// when there is none.
func (s *state) unstoredHeader() int {
	for i := range s.headers {
		if s.headersDone[i] < len(s.headers[i]) {
			return i
		}
	}
	return -1
}

// failed says whether the recording ended for want of something, after it had
// begun.
func (s *state) failed() bool { return s.ending != nil && s.ending.Failure != "" && !s.ending.Refused }

// newest is when its last stream joined.
func (s *state) newest() time.Time {
	if n := len(s.streams); n > 0 {
		return s.streams[n-1].At
	}
	return s.Recording.StartedAt
}

// empty says whether there is nothing worth a recording.
func (s *state) empty() bool {
	return !s.Bare && !slices.ContainsFunc(s.objects, func(o object) bool { return o.size() > 0 })
}

// duration is the length of the media.
func (s *state) duration() time.Duration {
	var sum media.Ticks
	for i := range s.objects {
		sum += s.objects[i].Duration
	}
	return sum.Duration(media.VideoRate)
}

// targetWith is EXT-X-TARGETDURATION in seconds, which the first object that
// closes fixes: o, if there was none.
func (s *state) targetWith(o *object) int {
	if s.target == 0 {
		return s.layout().target(o)
	}
	return s.target
}

// limit is the longest the open object may become.
func (s *state) limit() media.Ticks { return s.layout().most(s.target) }

// fragmented says whether the media is fragmented MP4, rather than MPEG-TS.
func (b *begun) fragmented() bool { return b.layout().fragmented(b) }

// objectName is the file name of object n.
func (b *begun) objectName(n int) string {
	if b.fragmented() {
		return strconv.Itoa(n) + ".mp4"
	}
	return strconv.Itoa(n) + ".ts"
}

func headerName(n int) string { return "init-" + strconv.Itoa(n) + ".mp4" }
