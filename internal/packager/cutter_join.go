package packager

import (
	"errors"

	"anabranch/internal/media"
)

// join is where one stretch of a stream ends and the next, with other parameters
// of its pictures, begins.
type join struct {
	params media.Params
	at     media.Ticks
}

// BeginAt announces that the pictures from at on, in 90 kHz ticks, have the
// parameters p. It is [Cutter.Begin] for a stream that goes on: the picture
// before lasts until at, where the next, a key frame, begins a segment with a
// Discontinuity, and the sound runs through; a frame of it that begins before at
// belongs to what was before. Pictures that wait for their sound go on waiting.
//
// It is called between the last picture before at and the first from at on. An
// error is returned where the sound is not what it was, or at is not behind all
// pictures; nothing has changed then.
func (c *Cutter) BeginAt(p media.Params, at media.Ticks) error {
	before := c.params
	if n := len(c.joins); n > 0 {
		before = c.joins[n-1].params
	}
	switch {
	case !p.Audio.Equal(before.Audio):
		return errors.New("begin a stretch: its sound is another than before")
	case at <= c.newest || len(c.joins) > 0 && at <= c.joins[len(c.joins)-1].at:
		return errors.New("begin a stretch: it begins before what is there has ended")
	case len(c.part.Video) == 0 && len(c.waiting) == 0:
		return c.Begin(p)
	}
	c.joins = append(c.joins, join{p, at})
	return nil
}

// join ends a stretch, for f is of the next.
func (c *Cutter) join(f *media.Frame) error {
	j := c.joins[0]
	c.joins = c.joins[1:]
	var err error
	if n := len(c.part.Video); n > 0 {
		c.ready = f.Captured
		last := &c.part.Video[n-1]
		last.Duration = j.at - last.DTS
		err = c.endAt(j.at)
	}
	if f.Key && f.DTS == j.at {
		c.sound.leave(j.at)
	} else {
		c.sound.stop() // it begins with the key frame that is to come
	}
	c.enter(j.params)
	return err
}
