package broadcast_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"anabranch/internal/broadcast"
	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
	"anabranch/internal/transcode"
)

// copier is a transcoder whose rungs are copies of the source.
type copier struct {
	capacity int

	mu   sync.Mutex
	used int
	runs []*copying
}

func (c *copier) Capacity() int { return c.capacity }

func (c *copier) Acquire() (release func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.used >= c.capacity {
		return nil, false
	}
	c.used++
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.used--
	}), true
}

func (c *copier) inUse() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used
}

func (c *copier) Start(in media.Params, rungs []transcode.Rung, _ *slog.Logger, out transcode.Output) broadcast.Transcoding {
	ctx, cancel := context.WithCancel(context.Background())
	r := &copying{
		in: in, rungs: rungs, out: out, tracks: make([]media.Params, len(rungs)), faults: make(map[int]fault),
		frames: make(chan timed, 10_000), kill: cancel, done: make(chan struct{}),
	}
	for i, rung := range rungs {
		if rung.Width > 0 {
			video := *in.Video
			video.Width, video.Height = rung.Width, rung.Height
			r.tracks[i].Video = &video
		}
		if rung.AudioBitrate > 0 {
			r.tracks[i].Audio = in.Audio
		}
	}
	go r.run(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs = append(c.runs, r)
	return r
}

// newest is the run that was started last.
func (c *copier) newest() *copying {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.runs[len(c.runs)-1]
}

// living counts the runs that go on.
func (c *copier) living() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.runs {
		select {
		case <-r.done:
		default:
			n++
		}
	}
	return n
}

// copying is a stream that a copier transcodes.
type copying struct {
	in     media.Params
	rungs  []transcode.Rung
	out    transcode.Output
	tracks []media.Params
	frames chan timed
	kill   func()
	done   chan struct{}

	mu     sync.Mutex
	faults map[int]fault // by rung; allRungs is the process itself
}

type timed struct {
	media.Frame
	at time.Time
}

// fault is what may be wrong with a rung.
type fault int

const (
	lost   fault = iota + 1 // its frames come to nothing
	frozen                  // no rung delivers, and the process does not end by itself
	broken                  // the process delivers what nobody expects
	mute                    // its sound comes to nothing
)

const allRungs = -1

// delay is how long a copier takes for a frame.
const delay = 100 * time.Millisecond

func (r *copying) set(rung int, f fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults[rung] = f
}

func (r *copying) fault(rung int) fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.faults[rung]
}

func (r *copying) Write(f media.Frame)   { r.frames <- timed{f, time.Now()} }
func (r *copying) Finish()               { close(r.frames) }
func (r *copying) Done() <-chan struct{} { return r.done }

func (r *copying) Kill() {
	r.kill()
	<-r.done
}

func (r *copying) run(ctx context.Context) {
	defer close(r.done)
	for f := range r.frames {
		wait := time.Until(f.at.Add(delay))
		if r.fault(allRungs) == frozen {
			wait = time.Hour
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		if r.fault(allRungs) == broken {
			r.out(len(r.rungs), media.Params{}, f.Frame)
		}
		for i, track := range r.tracks {
			if r.fault(i) == lost {
				continue
			}
			copied := f.Frame
			copied.Duration = 0
			switch {
			case f.Kind == media.Video && track.Video != nil:
				copied.DTS = copied.PTS
				r.out(i, media.Params{Video: track.Video}, copied)
			case f.Kind == media.Audio && track.Audio != nil && r.fault(i) != mute:
				r.out(i, media.Params{Audio: track.Audio}, copied)
			}
		}
	}
}

// withType changes the type of the station's channel.
func (s *station) withType(kind resource.ChannelType) *station {
	s.t.Helper()
	s.update(func(ch *resource.Channel) {
		ch.Type, ch.Preset = kind, ""
		ch.FillDefaults()
	})
	return s
}

// view is what viewers see of the station's channel.
func (s *station) view() *broadcast.View {
	s.t.Helper()
	v, ok := s.m.Lookup(s.channel.ID())
	if !ok {
		s.t.Fatal("not on air")
	}
	return v
}

// names lists what viewers choose among.
func names(v *broadcast.View) (all []string) {
	for _, r := range v.Renditions {
		name := r.Name
		if name == "" {
			name = "source"
		}
		if r.OnRequest {
			name += "?"
		}
		all = append(all, name)
	}
	return all
}

// playlistOf is a window's media playlist.
func playlistOf(t *testing.T, w *packager.Window) string {
	t.Helper()
	text, err := w.Playlist(context.Background(), packager.PlaylistRequest{MSN: -1, Part: -1})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
