package capture

import (
	"sync"
	"time"

	"anabranch/internal/media"
)

const (
	// stuckAfter is how long pictures wait for sound that is there, but not
	// transcoded: then they go on with silence.
	stuckAfter = 5 * time.Second

	// maxEarly bounds the packets that come before the media begins: half of
	// [patience] at the least length there is.
	maxEarly = 700

	packetTime  = 20 * time.Millisecond // of Opus, as everybody sends it
	pictureTime = time.Second / 30
)

// voice is a [transcode.Voice].
type voice interface {
	Write(packet []byte, at media.Ticks)
	Silence(until media.Ticks)
	Close()
}

// sound is that of a publication: what came goes to a voice, and what that makes of
// it waits for the pictures.
type sound struct {
	inflow
	open  func(out func(media.Frame)) voice
	voice voice    // nil until the media begins, and until there may be sound
	early []packet // came before the media began
	begun bool
	over  bool // the voice is closed

	frames []media.Frame // of AAC, not cut yet
	end    media.Ticks   // of the newest of them ever, in 90 kHz ticks
	stuck  time.Time     // since when pictures wait in vain; zero when they do not

	came chan struct{} // has a value when there are fresh frames
	mu   sync.Mutex    // guards what follows
	made []media.Frame // by the voice, not collected yet
}

// packet is one of Opus, at its place of 90 kHz ticks.
type packet struct {
	payload []byte
	at      media.Ticks
}

// add takes in a packet that came.
func (s *sound) add(p packet) {
	s.inflow.add(p.at)
	switch {
	case s.over:
		return
	case !s.begun && len(s.early) < maxEarly:
		s.early = append(s.early, p)
		return
	case !s.begun:
		return
	case s.voice == nil:
		s.voice = s.open(s.take)
	}
	s.voice.Write(p.payload, samples(p.at))
}

// begin begins the media. If there may be sound the voice begins there too, be it
// with silence: its frames have one grid from there to the end.
func (s *sound) begin(at media.Ticks) {
	s.begun = true
	if s.offered || s.some {
		s.voice = s.open(s.take)
		s.voice.Silence(samples(at))
	}
	for _, p := range s.early {
		s.voice.Write(p.payload, samples(p.at))
	}
	s.early = nil
}

// pause says up to where it is known that no more sound comes.
func (s *sound) pause(known media.Ticks) {
	if s.voice != nil && !s.over && known > s.newest {
		s.voice.Silence(samples(known))
	}
}

// close ends the voice, and waits for what it makes of the rest. A second close does
// nothing.
func (s *sound) close() {
	if s.voice != nil && !s.over {
		s.voice.Close()
	}
	s.over = true
}

// take is called by the voice, on its goroutine.
func (s *sound) take(f media.Frame) {
	s.mu.Lock()
	s.made = append(s.made, f)
	s.mu.Unlock()
	select {
	case s.came <- struct{}{}:
	default:
	}
}

// collect takes in what the voice has made.
func (s *sound) collect() {
	s.mu.Lock()
	made := s.made
	s.made = nil
	s.mu.Unlock()
	if n := len(made); n > 0 {
		s.frames = append(s.frames, made...)
		s.end = (made[n-1].DTS + media.SamplesPerFrame).Rescale(soundRate, media.VideoRate)
		s.stuck = time.Time{}
	}
}

// ready says whether there is sound up to at, of what is known, or pictures need not
// wait for it.
func (s *sound) ready(at, known media.Ticks, now time.Time) bool {
	switch {
	case s.over:
		return true
	case s.voice == nil || at > known:
		return at <= known
	case s.end >= at:
		return true
	case s.stuck.IsZero():
		s.stuck = now
	}
	return now.Sub(s.stuck) >= stuckAfter
}

// stands says whether there is to be sound up to at, of what is known, that the voice has
// not made. What it made ends within some frames of where the last packet does.
func (s *sound) stands(at, known media.Ticks) bool {
	return s.voice != nil && at <= known && s.end+ticksOf(100*time.Millisecond) < at
}

// before is the next frame that begins before a place of 90 kHz ticks, if there is
// one.
func (s *sound) before(at media.Ticks) (f media.Frame, ok bool) {
	if len(s.frames) == 0 || s.frames[0].DTS.Rescale(soundRate, media.VideoRate) >= at {
		return f, false
	}
	f = s.frames[0]
	s.frames[0] = media.Frame{}
	s.frames = s.frames[1:]
	return f, true
}
