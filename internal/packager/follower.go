package packager

import (
	"slices"

	"anabranch/internal/media"
	"anabranch/internal/metrics"
)

// maxAhead bounds what a follower keeps of a rung that is ahead of its source,
// in bytes: ten seconds and more of any rung.
const maxAhead = 32 << 20

// Follower puts the frames of a rung, another encoding of a stream, together
// into chunks that are cut exactly where the source's are. It is not for
// concurrent use.
//
//	source   │ K p B B │ p B B p │ K p B …     one chunk after the other
//	written    K p p     p p p p p K p p       frames, at the source's PTS
//	rung     │ K p p p │ p p p p │ K p p …     Follow
//
// Pictures are told from each other by their PTS, which is that of the source's
// picture. They come in the order of presentation, without B-frames; their DTS
// is d before, where d is PTS−DTS of the source's key frame that began the
// segment, so that key frames lie exactly at the cuts. Where d grows, with the
// next key frame, the pictures before that are decoded a little closer together.
//
// A rung that lacks a chunk has a hole there, which lasts until a segment begins
// with a key frame: players drop a segment's other parts with the one they
// cannot get.
type Follower struct {
	pictures, passSound bool

	video  []picture     // in the order of presentation
	floor  media.Ticks   // earliest PTS that the next may have
	broken bool          // pictures were dropped: none is of use before a key frame
	sound  []media.Frame // in samples of the source's clock
	heard  media.Ticks   // earliest DTS that the next of them may have
	size   int           // of all of them, in bytes

	params   media.Params // of the segment that is open
	audio    *media.AudioParams
	delay    media.Ticks // d
	shown    media.Ticks // PTS of the last picture handed out
	missing  int         // the source's pictures since then that would have been shown next
	hole     bool        // none of what comes is of use before a segment begins
	deaf     bool        // sound that has not come is not waited for
	finished bool
}

// picture is a frame of video. Its DTS is not set.
type picture struct {
	media.Frame
	params *media.VideoParams
}

// NewFollower makes a follower of a rung with pictures of its own, or of sound
// alone. With passSound its sound is that of the source's chunks, else what is
// written to it.
func NewFollower(pictures, passSound bool) *Follower {
	return &Follower{pictures: pictures, passSound: passSound, hole: true}
}

// Write takes a frame of the rung: a picture at the PTS of the source's, sound
// at about the DTS of the source's. track describes it. Frames come in order
// within their track, and may be far ahead of the chunks, or behind. What cannot be
// used any more is dropped.
func (f *Follower) Write(track media.Params, fr media.Frame) {
	kept, size := false, frameSize(&fr)
	switch {
	case f.size+size > maxAhead:
		f.broken = f.broken || fr.Kind == media.Video
	case fr.Kind == media.Audio:
		kept = f.hear(track.Audio, fr)
	default:
		kept = f.see(track.Video, fr)
	}
	if !kept {
		metrics.RungDropped.WithLabelValues(fr.Kind.String()).Inc()
		return
	}
	f.size += size
}

// frameSize is how much memory a frame takes, in bytes.
func frameSize(fr *media.Frame) int { return 100 + len(fr.Payload) }

func (f *Follower) see(track *media.VideoParams, fr media.Frame) bool {
	if !f.pictures || track == nil || fr.PTS < f.floor || f.broken && !fr.Key {
		return false
	}
	f.broken = false
	f.floor = fr.PTS + 1
	f.video = append(f.video, picture{fr, track})
	return true
}

func (f *Follower) hear(track *media.AudioParams, fr media.Frame) bool {
	if f.passSound || track == nil || fr.DTS < f.heard {
		return false
	}
	if track != f.audio && !track.Equal(f.audio) {
		f.dropSound(len(f.sound)) // cannot be decoded with what follows
		f.audio = track
	}
	f.heard = fr.DTS + 1
	f.sound = append(f.sound, fr)
	return true
}

// Finish says that no more frames will be written: what is there is all there is.
func (f *Follower) Finish() { f.finished = true }

// Follow puts together the rung's chunk of c, the source's next one: with the
// same times, cut and metadata, and frames of its own. The chunk is the caller's
// to keep, but for the payloads.
//
// It is not ok while frames of the chunk may still come: then Follow is called
// again, or Skip. Where the rung has a hole it is ok, and there is no chunk.
func (f *Follower) Follow(c *Chunk) (rung *Chunk, ok bool) {
	f.learn(c)
	n, wait := f.pictured(c)
	switch {
	case n < 0 || !f.tracks(c, n):
		f.Skip(c)
		return nil, true
	case wait || !f.reaches(c):
		return nil, false
	}
	f.hole = false
	chunk := *c
	chunk.Params = f.params
	chunk.Video = f.takeVideo(c, n)
	chunk.Audio = f.takeAudio(c)
	chunk.Metadata = slices.Clone(c.Metadata)
	chunk.Independent = !f.pictures || n > 0 && chunk.Video[0].Key
	return &chunk, true
}

// Late is Follow for a chunk that is not waited for any longer. Silence stands for
// sound that has not come; where pictures have not, or the rung has no others, it
// has a hole, and there is no chunk.
func (f *Follower) Late(c *Chunk) *Chunk {
	f.deaf = f.pictures
	rung, ok := f.Follow(c)
	f.deaf = false
	if !ok {
		f.Skip(c)
	}
	return rung
}

// Skip gives c up, the source's next chunk: the rung has a hole there. What still
// comes of it is dropped.
func (f *Follower) Skip(c *Chunk) {
	f.learn(c)
	f.hole = true
	until := f.until(c)
	f.dropVideo(f.before(until))
	f.floor = max(f.floor, until)
	if n := len(c.Audio); n > 0 {
		f.dropSound(f.soundBefore(c.Audio[n-1].DTS + halfFrame))
	}
}

// learn takes note of how much later the source's pictures are shown than decoded.
func (f *Follower) learn(c *Chunk) {
	if c.keyed() {
		f.delay = c.Video[0].PTS - c.Video[0].DTS
	}
}

// until is the PTS that the rung's pictures of c are before.
func (f *Follower) until(c *Chunk) media.Ticks {
	if c.NextKey != 0 {
		return c.NextKey
	}
	return c.End() + f.delay
}

// before is how many of the pictures are shown before pts.
func (f *Follower) before(pts media.Ticks) (n int) {
	for n < len(f.video) && f.video[n].PTS < pts {
		n++
	}
	return n
}

// pictured is how many pictures the rung has for c, and whether to wait for more.
// It is less than 0 where the rung has a hole: there are none to go on with, or too
// many are missing.
func (f *Follower) pictured(c *Chunk) (n int, wait bool) {
	if !f.pictures {
		if f.hole && !c.Segment || c.Params.Audio == nil {
			return -1, false
		}
		return 0, false
	}
	begins := c.keyed()
	if begins {
		f.dropVideo(f.before(c.Video[0].PTS)) // of a key frame that never came
	}
	n = f.before(f.until(c))
	ends := n < len(f.video) || f.finished
	switch {
	case begins && len(f.video) > 0 && (!f.video[0].Key || f.video[0].PTS != c.Video[0].PTS),
		!begins && f.hole,
		ends && n == 0 && (begins || f.lacks(c) > 1):
		return -1, false
	}
	return n, !ends
}

// lacks is how many of the source's pictures lie between the rung's last and its
// next one. One may: a rung can have every other picture.
func (f *Follower) lacks(c *Chunk) int {
	lacks := f.missing
	for i := range c.Video {
		pts := c.Video[i].PTS
		if pts > f.shown && (len(f.video) == 0 || pts < f.video[0].PTS) {
			lacks++
		}
	}
	return lacks
}

// tracks takes up the parameters of c, if it has n pictures. They change only where
// a segment begins, pictures' only with a key frame; else it is false.
func (f *Follower) tracks(c *Chunk, n int) bool {
	p := media.Params{Video: f.params.Video, Audio: c.Params.Audio}
	if !f.passSound && p.Audio != nil && f.audio != nil {
		p.Audio = f.audio // else all is silence
	}
	if f.pictures && c.keyed() && n > 0 {
		p.Video = f.video[0].params
	}
	for i := range f.video[:n] {
		if q := f.video[i].params; q != p.Video && !q.Equal(p.Video) {
			return false
		}
	}
	if !c.Segment && !p.Equal(f.params) {
		return false
	}
	if !p.Equal(f.params) {
		f.params = p // else the same pointers: equal at a glance
	}
	return true
}

// takeVideo takes the n pictures of c, and gives them DTS and duration.
func (f *Follower) takeVideo(c *Chunk, n int) []media.Frame {
	if n == 0 {
		f.missing = f.lacks(c)
		return nil
	}
	video := make([]media.Frame, n)
	fit := 0 // before the chunk's end
	for i := range video {
		video[i] = f.video[i].Frame
		if video[i].DTS = video[i].PTS - f.delay; video[i].DTS < c.End() {
			fit++
		}
	}
	from := c.Start - 1
	if fit > 0 {
		from = video[fit-1].DTS
	}
	for i := fit; i < n; i++ {
		video[i].DTS = from + (c.End()-from)*media.Ticks(i-fit+1)/media.Ticks(n-fit+1)
	}
	for i := range video[1:] {
		video[i].Duration = video[i+1].DTS - video[i].DTS
	}
	last := &video[n-1]
	last.Duration = f.lasts(c, last, n)
	if len(c.Video) > 0 {
		video[0].Captured = c.Video[0].Captured
	}
	f.dropVideo(n)
	f.floor = max(f.floor, f.until(c))
	f.shown, f.missing = last.PTS, 0
	f.missing = f.lacks(c)
	return video
}

// lasts is the duration of the last of c's n pictures.
func (f *Follower) lasts(c *Chunk, last *media.Frame, n int) media.Ticks {
	rest := c.End() - last.DTS
	switch {
	case c.NextKey == c.End(): // so much longer is it shown, if nothing follows
		return c.End() - last.PTS
	case c.NextKey != 0:
		return rest
	case n == len(f.video): // the last of all is shown as long as the source's
		return max(1, c.End()+c.Tail-last.PTS)
	}
	// Where the source does not last that long, pictures are missing: the rung has
	// a hole there.
	next, longest := f.video[n].PTS-f.delay, c.End()+maxPart
	if k := len(c.Video); k > 0 {
		longest = max(longest, c.Video[k-1].DTS+2*c.Video[k-1].Duration)
	}
	if next > longest {
		return rest
	}
	return next - last.DTS
}

// halfFrame is how far sound may lie from the source's that it is a copy of.
const halfFrame = media.SamplesPerFrame / 2

// reaches says whether the rung's sound of c is there. Where the source has none
// but silence that the cutter put in, none comes.
func (f *Follower) reaches(c *Chunk) bool {
	if f.passSound || f.finished || f.deaf {
		return true
	}
	for i := len(c.Audio) - 1; i >= 0; i-- {
		if slot := &c.Audio[i]; !filled(slot) {
			n := len(f.sound)
			return n > 0 && f.sound[n-1].DTS >= slot.DTS-halfFrame
		}
	}
	return true
}

// filled says whether a frame is silence that was put in.
func filled(f *media.Frame) bool {
	return len(f.Payload) > 0 && (&f.Payload[0] == &silence[1][0] || &f.Payload[0] == &silence[2][0])
}

// takeAudio takes the sound of c, a frame for each of the source's.
func (f *Follower) takeAudio(c *Chunk) []media.Frame {
	audio := slices.Clone(c.Audio)
	if f.passSound {
		return audio
	}
	for i := range audio {
		slot := &audio[i]
		f.dropSound(f.soundBefore(slot.DTS - halfFrame))
		if len(f.sound) > 0 && f.sound[0].DTS < slot.DTS+halfFrame {
			slot.Payload = f.sound[0].Payload
			f.dropSound(1)
		} else {
			slot.Payload = silence[f.params.Audio.Channels]
		}
	}
	return audio
}

// soundBefore is how many of the frames of sound start before t.
func (f *Follower) soundBefore(t media.Ticks) (n int) {
	for n < len(f.sound) && f.sound[n].DTS < t {
		n++
	}
	return n
}

// dropVideo and dropSound let the first n frames go.
func (f *Follower) dropVideo(n int) {
	for i := range f.video[:n] {
		f.size -= frameSize(&f.video[i].Frame)
	}
	f.video = remove(f.video, n)
}

func (f *Follower) dropSound(n int) {
	for i := range f.sound[:n] {
		f.size -= frameSize(&f.sound[i])
	}
	f.sound = remove(f.sound, n)
}
