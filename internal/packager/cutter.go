package packager

import (
	"errors"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/metrics"
)

// The cutter's rules, in 90 kHz ticks. RFC 8216bis §4.4.4.9 bounds parts;
// §4.4.4.1 bounds segments, whose EXTINF must round to the target duration.
const (
	maxPart = media.Ticks(PartTarget * media.VideoRate / time.Second)
	minPart = maxPart * 85 / 100

	// minSegment is how long a segment is at least before a key frame ends it. GOPs
	// of a second are common: hls.js 1.7 may stand still for seconds where it changes
	// to another rendition at the end of a segment with a second key frame inside.
	minSegment = 9 * media.VideoRate / 10

	// A segment ends at targetSegment for want of a key frame. One that is due
	// soon after is waited for until maxSegment: GOPs of 120 frames at 29.97
	// fps or 250 at 60 fps are common.
	targetSegment = media.Ticks(TargetDuration * media.VideoRate / time.Second)
	maxSegment    = 44 * media.VideoRate / 10

	// slack makes the segments of a longer GOP a little longer than its equal
	// parts, so that nothing is left over.
	slack = media.VideoRate / 10

	// maxGap is the longest a video frame may last before what follows counts
	// as another stream.
	maxGap = 10 * media.VideoRate

	// nominalFrame stands for a frame's duration while none is known.
	nominalFrame = media.VideoRate / 30
)

const (
	// Pictures wait for their sound for minWait, and for up to maxWait once it
	// has been seen to come that late.
	minWait = media.VideoRate
	maxWait = 5 * media.VideoRate

	// maxShown bounds how long a stream is shown after its last frame was decoded.
	maxShown = 4 * media.VideoRate
)

// Cutter turns frames into chunks. It is not for concurrent use.
//
// A part ends before the video frame that would not fit into it any more. The
// newest frame always waits for the next one, which tells its duration. Where
// frames are too long for the bounds of [PartTarget], at low or varying frame
// rates, a part ends in the middle of a frame: it holds that frame with its
// whole duration, and the next part begins before its own first frame, or has
// no video at all if the frame lasts on. So the bounds hold at any frame rate
// and video has no gap between chunks; at a gap players drop pictures until the
// next key frame (Media Source Extensions, coded frame processing).
//
// A segment ends before a key frame. A GOP longer than the target duration is
// divided evenly, going by the length of the GOP before. The first segment after
// Begin is an exception: it is its first part alone, as players take a playlist
// for empty that has no whole segment.
//
// Audio reaches at least as far as the pictures are shown, which with B-frames
// is some frames beyond the part's end: a part waits for its sound, usually not
// for more than a second, and what is missing then is filled with silence. So
// sound and picture end together wherever a stream is torn off, and the next one
// goes on there with both. Where the sound ends before the pictures players
// stall, or load the segment again and again as hls.js does.
//
// Frames that fit nowhere are dropped and counted: frames whose DTS is not
// after that of the track's frame before; video until the first key frame;
// audio before that key frame or after the stream's last video frame has ended;
// audio beyond ten seconds or so for which no video came.
type Cutter struct {
	emit   func(*Chunk) error
	params media.Params
	end    media.Ticks // of the last chunk emitted
	now    time.Time   // program date and time of end
	anchor time.Time   // of zero on the timeline, going by the most punctual of the pictures since now was checked
	ready  time.Time   // arrival of the picture that ends the open part

	waiting []media.Frame // pictures whose sound has not come yet
	newest  media.Ticks   // DTS of the newest of them, or of any picture before
	wait    media.Ticks   // how long they wait

	metadata []Metadata // whose parts have not ended
	joins    []join     // stretches whose first picture has not been taken in

	// part is the open part; Start, Segment and Discontinuity are set already.
	// The last of its Video is the newest frame, whose duration is open. Video
	// is empty only while a first key frame is waited for.
	part  Chunk
	sound soundtrack

	coming  media.Frame // what is to be taken in behind the part's pictures
	first   bool        // the open part is the first since Begin
	segment media.Ticks // start of the open segment
	before  media.Ticks // duration of the segment before
	keyed   bool        // the open segment starts with a key frame
	limit   media.Ticks // longest it may become without another one
	key     media.Ticks // DTS of the newest key frame
	gop     media.Ticks // time between the last two, 0 when unknown
	frame   media.Ticks // duration of the frame before the newest, at most maxPart
	shown   display     // of the pictures emitted since Begin
}

// NewCutter makes a cutter for a run that goes on at start, in 90 kHz ticks on
// the run timeline. The first chunk of a run that starts at [Origin] has no
// Discontinuity; a start anywhere else joins what was published before.
//
// The cutter hands each chunk to emit. An error of emit is returned by the
// method that was called; the chunk is not emitted again.
func NewCutter(start media.Ticks, emit func(*Chunk) error) *Cutter {
	return &Cutter{emit: emit, end: start, newest: start - 1, wait: minWait, frame: nominalFrame}
}

// Begin announces the tracks of the frames that follow. It is called before the
// first frame and wherever the tracks or their parameters change, a publisher
// joins or the clock jumps. It flushes what is open. The next chunk begins a
// segment with the next key frame, whose DTS should be [Cutter.End] and must not
// be less, and has a Discontinuity unless it is the run's first.
func (c *Cutter) Begin(p media.Params) error {
	err := c.Flush()
	c.sound = soundtrack{params: p.Audio, frames: c.sound.frames}
	c.wait = minWait
	c.enter(p)
	return err
}

// enter takes up the parameters of another stream.
func (c *Cutter) enter(p media.Params) {
	c.params = p
	c.gop, c.frame = 0, nominalFrame
	c.anchor = time.Time{}
}

// Write takes the next frame of a track. Frames come in decoding order within
// their track, their times on the run timeline: video in 90 kHz ticks, audio in
// samples. The tracks may be interleaved in any way, though audio that lags
// behind delays the parts.
func (c *Cutter) Write(f media.Frame) error {
	switch {
	case f.Kind == media.Audio:
		lag := c.newest - f.DTS.Rescale(c.params.Rate(media.Audio), media.VideoRate)
		c.wait = max(c.wait, min(lag+slack, maxWait))
		c.sound.push(f)
	case f.DTS <= c.newest:
		drop(f, "order")
		return nil
	default:
		c.waiting, c.newest = append(c.waiting, f), f.DTS
		if f.DTS-c.covered(&c.waiting[0]) > c.wait {
			c.sound.missing = true
		}
	}
	return c.release()
}

// release takes in the pictures that need not wait any more.
func (c *Cutter) release() error {
	var err error
	n := 0
	for n < len(c.waiting) && err == nil && c.sound.reaches(c.covered(&c.waiting[n])) {
		err = c.picture(c.waiting[n])
		n++
	}
	c.waiting = remove(c.waiting, n)
	return err
}

// covered is how far sound must reach before f is taken in: where that ends the
// open part, as far as its pictures are shown, be it with or without the last.
func (c *Cutter) covered(f *media.Frame) media.Ticks {
	n := len(c.part.Video)
	if n == 0 {
		return f.DTS
	}
	last := &c.part.Video[n-1]
	last.Duration = f.DTS - last.DTS
	if !f.Key && f.DTS+min(last.Duration, maxPart)-c.part.Start <= maxPart && f.DTS-c.segment <= c.limit {
		return f.DTS
	}
	return max(f.DTS+c.tail(c.part.Video, f.DTS), last.DTS+c.tail(c.part.Video[:n-1], last.DTS))
}

// tail is Chunk.Tail of a part with these pictures that ends at end.
func (c *Cutter) tail(pictures []media.Frame, end media.Ticks) media.Ticks {
	return min(c.shown.with(pictures).tail(end), maxPart)
}

// picture takes in a video frame.
func (c *Cutter) picture(f media.Frame) error {
	for len(c.joins) > 0 && f.DTS >= c.joins[0].at {
		if err := c.join(&f); err != nil {
			return err
		}
	}
	if n := len(c.part.Video); n > 0 && f.DTS-c.part.Video[n-1].DTS > maxGap {
		if err := c.finish(); err != nil {
			return err
		}
	}
	n := len(c.part.Video)
	if n == 0 {
		c.open(f)
		return nil
	}
	c.coming, c.ready = f, f.Captured
	c.witness(&f)
	last := &c.part.Video[n-1]
	last.Duration = f.DTS - last.DTS
	c.frame = min(last.Duration, maxPart)
	if f.Key {
		c.gop, c.key = f.DTS-c.key, f.DTS
	}
	err := c.closeBefore(f, last.DTS)
	if c.part.Video = append(c.part.Video, f); f.DTS == c.segment {
		c.keyed = f.Key
	}
	return err
}

// Flush ends the stream: what is open becomes the last part of its segment. The
// last video frame lasts as long as the one before it, at most [PartTarget], the
// stream until its last picture has been shown, which with B-frames is later. For
// players the frame must not last that long: where it is a B-frame, others are
// shown after it. Audio that starts after the end is dropped, so that a join goes
// on exactly where the pictures ended. [Cutter.Begin] must follow before the next frame.
func (c *Cutter) Flush() error {
	c.sound.missing = true
	err := c.release()
	c.waiting, c.joins = remove(c.waiting, len(c.waiting)), nil
	err = errors.Join(err, c.finish())
	c.newest = c.end - 1
	for i := range c.metadata { // of pictures that went nowhere
		c.metadata[i].PTS = min(c.metadata[i].PTS, c.end)
	}
	return err
}

// finish closes what is open.
func (c *Cutter) finish() error {
	c.ready = time.Time{}
	var err error
	if n := len(c.part.Video); n > 0 {
		last := &c.part.Video[n-1]
		last.Duration = c.frame
		end := last.DTS + c.frame
		c.shown = c.shown.with(c.part.Video)
		end += min(c.shown.tail(end), maxShown)
		err = c.endAt(end)
	}
	c.sound.stop()
	return err
}

// endAt closes what is open, whose last picture lasts until end.
func (c *Cutter) endAt(end media.Ticks) error {
	last := c.part.Video[len(c.part.Video)-1].DTS
	c.coming = media.Frame{Key: true, DTS: end, PTS: end} // or nothing
	err := c.split(last, end, maxSegment)
	if err == nil {
		err = c.close(end, true)
	}
	c.part.Video = remove(c.part.Video, len(c.part.Video))
	return err
}

// End is the end of the last chunk emitted, or where the run goes on, in 90 kHz
// ticks.
func (c *Cutter) End() media.Ticks { return c.end }

// open starts the first part after Begin with f, if that is a key frame.
func (c *Cutter) open(f media.Frame) {
	if !f.Key {
		drop(f, "key")
		return
	}
	if !c.sound.begun {
		c.sound.start(f.DTS)
	}
	c.witness(&f)
	c.part = Chunk{
		Start: f.DTS, Segment: true, Discontinuity: c.end != Origin,
		Video: append(c.part.Video, f),
	}
	c.first = true
	c.segment, c.keyed, c.limit, c.key = f.DTS, true, segmentLimit(c.gop), f.DTS
	c.shown = displayFrom(&f)
}

// closeBefore closes what cannot hold f. The frame before it starts at last.
func (c *Cutter) closeBefore(f media.Frame, last media.Ticks) error {
	limit := c.limit
	if f.Key {
		limit = maxSegment
	}
	if err := c.split(last, f.DTS, limit); err != nil {
		return err
	}
	part, segment := f.DTS-c.part.Start, f.DTS-c.segment
	switch {
	case f.Key && (segment >= minSegment || !c.keyed && segment+c.gop > minSegment):
		return c.close(f.DTS, true)
	case part >= minPart && part+c.frame > maxPart:
		return c.close(f.DTS, segment+c.frame > c.limit)
	}
	return nil
}

// split closes parts until the rest of the newest frame, which lasts from start
// to end, fits into the open part and segment.
func (c *Cutter) split(start, end, limit media.Ticks) error {
	for end-c.part.Start > maxPart || end-c.segment > limit {
		full := end-c.segment > limit
		at := min(c.part.Start+maxPart, c.segment+limit)
		if before := start - c.part.Start; before >= minPart || before > 0 && full {
			at = start
		}
		if err := c.close(at, full); err != nil {
			return err
		}
	}
	return nil
}

// close emits the open part, which ends at end, and opens the next.
func (c *Cutter) close(end media.Ticks, segmentEnd bool) error {
	segmentEnd = segmentEnd || c.first
	c.first = false
	video := 0
	for video < len(c.part.Video) && c.part.Video[video].DTS < end {
		video++
	}
	tail := c.tail(c.part.Video[:video], end)
	audio := c.sound.until(end + tail)

	next := Chunk{Start: end, Segment: segmentEnd, Video: c.part.Video}
	c.part.Params = c.params
	c.part.Duration = end - c.part.Start
	c.part.Time, c.part.Ready = c.clock(), c.ready
	c.part.SegmentEnd = segmentEnd
	behind := &c.coming
	if video < len(c.part.Video) {
		behind = &c.part.Video[video]
	}
	if segmentEnd && behind.Key && behind.DTS == end {
		c.part.NextKey = behind.PTS
	}
	c.part.Video, c.part.Audio = c.part.Video[:video], audio
	c.part.Metadata = c.metadataUntil(c.part.Start, end)
	c.part.Independent = video > 0 && c.part.Video[0].Key
	c.part.Tail, c.shown = tail, c.shown.with(c.part.Video)
	c.shown.end = max(c.shown.end, end+tail) // there is sound until then
	c.now, c.end = c.part.Time.Add(c.part.Duration.Duration(media.VideoRate)), end
	err := c.emit(&c.part)

	next.Video = remove(next.Video, video)
	c.sound.frames = remove(c.sound.frames, len(audio))
	c.metadata = remove(c.metadata, len(c.part.Metadata))
	c.part = next
	if segmentEnd {
		c.before = end - c.segment
		c.segment, c.limit = end, segmentLimit(c.gop)
		c.keyed = len(next.Video) > 0 && next.Video[0].Key
	}
	return err
}

// segmentLimit is how long a segment may become without a key frame when the
// last GOP lasted gop: as long as possible, except that a longer GOP is divided
// evenly.
func segmentLimit(gop media.Ticks) media.Ticks {
	switch {
	case gop <= targetSegment-slack:
		return targetSegment
	case gop <= maxSegment:
		return maxSegment
	}
	n := (gop-1)/(targetSegment-slack) + 1
	return gop/n + slack
}

// remove takes the first n away, in place, and lets go of their payloads.
func remove[T media.Frame | picture | Metadata](queue []T, n int) []T {
	rest := copy(queue, queue[n:])
	clear(queue[rest:])
	return queue[:rest]
}

// drop counts a frame that is not packaged.
func drop(f media.Frame, reason string) {
	metrics.PackagerDropped.WithLabelValues(f.Kind.String(), reason).Inc()
}
