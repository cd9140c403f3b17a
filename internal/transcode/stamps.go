package transcode

import (
	"sort"
	"sync"
	"time"

	"anabranch/internal/media"
)

const (
	// clockStart is where a process's clock begins, in milliseconds: above zero,
	// for sound begins a little before the first picture.
	clockStart = 10_000
	// maxStamps bounds the pictures, and the frames of sound, that are remembered:
	// more than a pipe holds.
	maxStamps = 4096
	// maxSameStamp is how many pictures in one millisecond are told apart.
	maxSameStamp = 16
)

// stamps gives the frames that go into a process their times on its clock, in
// whole milliseconds, and tells what comes out by them. A picture's stamp is its
// identity: no other has the same.
type stamps struct {
	audioRate int

	// mu guards what follows.
	mu       sync.Mutex
	begun    bool
	base     media.Ticks // what clockStart stands for, in 90 kHz ticks
	dts      int64       // newest that was given to a picture
	pictures map[int64]picture
	order    []int64 // the keys of pictures in the order they came, as a ring
	oldest   int     // in order, once that is full
	sounds   []sound // oldest first
	fed      picture // the newest
	out      []picture
}

// picture is one of the source.
type picture struct {
	number   int // in the order they were fed, from 1
	dts, pts media.Ticks
	captured time.Time
}

// sound is a frame of the source's.
type sound struct {
	ms  int64
	dts media.Ticks // in samples
}

// newStamps is for a process with so many outputs of pictures.
func newStamps(audioRate, outputs int) *stamps {
	return &stamps{audioRate: audioRate, pictures: make(map[int64]picture), out: make([]picture, outputs)}
}

// stamp gives f its times. The first frame is a picture.
func (s *stamps) stamp(f *media.Frame) (dts, pts int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		s.begun, s.base, s.dts = true, f.DTS, clockStart-1
		s.fed.dts = f.DTS
		for i := range s.out {
			s.out[i].dts = f.DTS
		}
	}
	if f.Kind == media.Audio {
		ms := max(0, s.ms(f.DTS.Rescale(s.audioRate, media.VideoRate)))
		if n := len(s.sounds); n > 0 {
			ms = max(ms, s.sounds[n-1].ms)
		}
		if len(s.sounds) >= maxStamps {
			s.sounds = append(s.sounds[:0], s.sounds[maxStamps/2:]...)
		}
		s.sounds = append(s.sounds, sound{ms: ms, dts: f.DTS})
		return ms, ms
	}
	s.dts = max(s.dts+1, s.ms(f.DTS))
	pts = max(s.dts, s.ms(f.PTS))
	s.fed = picture{number: s.fed.number + 1, dts: f.DTS, pts: f.PTS, captured: f.Captured}
	for range maxSameStamp {
		if _, taken := s.pictures[pts]; !taken {
			s.remember(pts)
			break
		}
		pts++
	}
	return s.dts, pts
}

// ms is a time of the timeline on the process's clock.
func (s *stamps) ms(t media.Ticks) int64 {
	const perMS = media.VideoRate / 1000
	d := int64(t - s.base)
	if d < 0 {
		d -= perMS - 1
	}
	return clockStart + d/perMS
}

// remember notes what pts stands for, and forgets the oldest picture if there
// are too many.
func (s *stamps) remember(pts int64) {
	s.pictures[pts] = s.fed
	if len(s.order) < maxStamps {
		s.order = append(s.order, pts)
		return
	}
	delete(s.pictures, s.order[s.oldest])
	s.order[s.oldest] = pts
	s.oldest = (s.oldest + 1) % maxStamps
}

// picture tells which picture has come out of an output.
func (s *stamps) picture(output int, pts int64) (p picture, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok = s.pictures[pts]; ok {
		s.out[output] = p
	}
	return p, ok
}

// sound tells which frame of sound has come out: the nearest, for ffmpeg smooths
// the times of sound, by less than half a frame.
func (s *stamps) sound(ms int64) (dts media.Ticks, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := sort.Search(len(s.sounds), func(i int) bool { return s.sounds[i].ms >= ms })
	if i == len(s.sounds) || i > 0 && ms-s.sounds[i-1].ms < s.sounds[i].ms-ms {
		i--
	}
	if i < 0 {
		return 0, false
	}
	off := max(ms-s.sounds[i].ms, s.sounds[i].ms-ms)
	return s.sounds[i].dts, off*int64(s.audioRate)*2 <= media.SamplesPerFrame*1000
}

// behind is how far the slowest output of pictures is behind what was fed, in
// pictures of the source. It returns the DTS of the newest that came out, too.
// Both are 0 before the first picture was fed.
func (s *stamps) behind() (pictures int, at media.Ticks) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slowest := s.fed
	for _, p := range s.out {
		if p.number < slowest.number {
			slowest = p
		}
	}
	return s.fed.number - slowest.number, slowest.dts
}

// started says whether every output of pictures has had one.
func (s *stamps) started() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.out {
		if p.number == 0 {
			return false
		}
	}
	return true
}
