package broadcast

import (
	"fmt"
	"slices"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/metrics"
	"anabranch/internal/packager"
	"anabranch/internal/recorder"
	"anabranch/internal/resource"
	"anabranch/internal/transcode"
)

// outlet is where a stream's media goes: into the windows of its broadcast, and
// into a recording. It is not for concurrent use.
type outlet struct {
	f      *Feed
	tracks media.Description // as the stream began
	lead   *packager.Window
	cmaf   packager.CMAF  // of the lead
	take   *recorder.Take // nil when nothing is recorded
	// recorded are the renditions that the recording began with. made is the part
	// in each of them.
	recorded []recorder.Rendition
	made     []recorder.Rendered

	// What follows is for the ladder whose chunks come.
	ladder *ladder
	rungs  []branch // parallel to its rungs
	sound  branch   // has a window if the source's sound is a rendition
	alone  packager.Chunk
	dark   bool // viewers are offered the source for want of rungs
}

// branch is the way of a rendition that is not the lead.
type branch struct {
	window   *packager.Window
	cmaf     packager.CMAF
	recorded int // its index in outlet.recorded, -1 when it is not there
	failed   bool
}

// newOutlet begins the recording of a stream, if it is to be recorded, and
// returns the stream's outlet.
func newOutlet(f *Feed, l *ladder) *outlet {
	o := &outlet{f: f, tracks: f.described, lead: f.window}
	rc := f.session.RecordingConfiguration
	if rc == nil {
		return o
	}
	if l.source {
		o.recorded = append(o.recorded, recorder.Rendition{
			Width: o.tracks.Video.Width, Height: o.tracks.Video.Height, FrameRate: o.tracks.NominalFrameRate(),
		})
	}
	for _, r := range l.rungs {
		o.recorded = append(o.recorded, recorder.Rendition{Name: r.Name, Width: r.Width, Height: r.Height, FrameRate: r.FrameRate})
	}
	o.made = make([]recorder.Rendered, len(o.recorded))
	o.take = f.b.m.Recorder.Begin(recorder.Stream{
		ID: f.id, Channel: f.session.Channel, Configuration: *rc, Description: o.tracks,
		Renditions: o.recorded, PostRoll: f.postRoll,
	})
	return o
}

// arrange lets the renditions of l be those of the broadcast.
func (o *outlet) arrange(l *ladder) {
	o.ladder, o.rungs, o.sound, o.dark = l, make([]branch, len(l.rungs)), branch{recorded: -1}, false
	for i, r := range l.rungs {
		o.rungs[i].recorded = o.find(r.Name)
	}
	for _, w := range o.f.b.arrange(l.renditions()) {
		at := slices.IndexFunc(l.rungs, func(r transcode.Rung) bool { return r.Name == w.Name })
		switch {
		case at >= 0:
			o.rungs[at].window = w.Window
		case w.Window != o.lead:
			o.sound.window = w.Window
		}
	}
}

// enlighten offers viewers the source where the ladder makes all pictures, and
// there are none to play: the transcoder may have failed for good. It stays on
// offer to the end of the ladder, for those who have begun with it.
func (o *outlet) enlighten() {
	if o.ladder.source || o.dark {
		return
	}
	for i, r := range o.ladder.rungs {
		if w := o.rungs[i].window; r.Name != transcode.AudioOnly && w != nil && w.Info().Playable {
			return
		}
	}
	o.dark = true
	o.f.log.Warn("viewers are offered the source, as nothing comes from the transcoder")
	o.f.b.offerLead()
}

// find is the index of a rendition among those recorded, -1 if it is not there.
func (o *outlet) find(name string) int {
	return slices.IndexFunc(o.recorded, func(r recorder.Rendition) bool { return r.Name == name })
}

// publish hands a chunk, and what the rungs of l made of it, to the viewers and
// to the recording.
func (o *outlet) publish(l *ladder, c *packager.Chunk, rungs []*packager.Chunk) error {
	if l != o.ladder {
		o.arrange(l)
	}
	data, err := o.cmaf.Append(nil, c)
	if err != nil {
		return fmt.Errorf("package part: %w", err)
	}
	if err := o.lead.Append(c, data); err != nil {
		return fmt.Errorf("publish part: %w", err)
	}
	clear(o.made)
	if at := o.find(""); at >= 0 {
		o.made[at] = recorder.Rendered{Chunk: c, CMAF: data}
	}
	for i := range o.rungs {
		o.follow(&o.rungs[i], rungs[i])
	}
	if o.sound.window != nil {
		o.follow(&o.sound, c.SoundOnly(&o.alone))
	}
	if slices.Contains(rungs, nil) {
		o.enlighten()
	}
	if !c.Ready.IsZero() {
		metrics.PartDelay.Observe(time.Since(c.Ready).Seconds())
	}
	if !o.f.live.Load() {
		if err := o.start(); err != nil {
			return err
		}
	}
	o.record(c)
	return nil
}

// start tells that the stream can be played.
func (o *outlet) start() error {
	f := o.f
	f.b.show()
	f.live.Store(true)
	if err := f.tell(resource.StreamStateChange, resource.StreamStart); err != nil {
		return err
	}
	f.log.Info("stream started", "width", o.tracks.Video.Width, "height", o.tracks.Video.Height,
		"codecs", o.tracks.Codecs(), "encoder", o.tracks.Encoder, "transcoded", len(o.rungs))
	return nil
}

// follow publishes the part in another rendition; c is nil where that has a hole.
// Whatever goes wrong is the rendition's alone.
func (o *outlet) follow(b *branch, c *packager.Chunk) {
	var data []byte
	var err error
	if c != nil {
		if data, err = b.cmaf.Append(nil, c); err != nil {
			c, data = nil, nil
		}
	}
	if c == nil {
		metrics.RenditionGaps.Inc()
	}
	if b.recorded >= 0 {
		o.made[b.recorded] = recorder.Rendered{Chunk: c, CMAF: data}
	}
	if b.window != nil {
		if e := b.window.Follow(o.lead, c, data); e != nil {
			err = e
		}
	}
	if err != nil && !b.failed {
		b.failed = true
		o.f.log.Error("part of a rendition cannot be published", "error", err)
	}
}

// record hands the part to the recording.
func (o *outlet) record(c *packager.Chunk) {
	if o.take == nil {
		return
	}
	if ad, ok := o.lead.AdBreak(); ok {
		o.take.AdBreak(ad)
	}
	if err := o.take.Write(c, o.made); err != nil {
		o.take = nil // the recorder has said why; the stream goes on
	}
}

// close ends the recording.
func (o *outlet) close() error {
	if o.take != nil {
		o.take.End()
	}
	return nil
}
