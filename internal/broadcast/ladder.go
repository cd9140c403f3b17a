package broadcast

import (
	"log/slog"

	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/transcode"
)

// Transcoder makes the renditions of streams beside the source.
type Transcoder interface {
	// Capacity is how many streams may be transcoded at once, 0 if that is not to
	// be, or does not work.
	Capacity() int
	// Acquire takes one of the places for streams that are transcoded, if one is
	// free, until release is called.
	Acquire() (release func(), ok bool)
	// Start begins to transcode a stream of the tracks in. Frames come to out from
	// other goroutines. It returns at once.
	Start(in media.Params, rungs []transcode.Rung, log *slog.Logger, out transcode.Output) Transcoding
}

// Transcoding is a stream that is transcoded. *[transcode.Ladder] is one.
type Transcoding interface {
	// Write takes a frame on the timeline, whose payload is kept. It never blocks.
	Write(f media.Frame)
	// Finish says that no more frames come.
	Finish()
	// Done is closed when nothing more is handed out.
	Done() <-chan struct{}
	// Kill ends it, and returns when nothing more is handed out.
	Kill()
}

// ladder is what becomes of a stream's media, from one change of its parameters
// to the next.
type ladder struct {
	source bool             // viewers are offered the source
	rungs  []transcode.Rung // are transcoded
	sound  bool             // the source's sound is a rendition too, for those who ask for it
	run    Transcoding      // nil without rungs
	// followers are parallel to rungs, and guarded by the collector's mutex, as is
	// finished: nothing more comes to them.
	followers []*packager.Follower
	finished  bool
}

// newLadder makes the ladder of a plan for a stream of the tracks in.
func newLadder(plan transcode.Plan, in media.Params) *ladder {
	l := &ladder{source: plan.Source, rungs: plan.Rungs, sound: in.Audio != nil}
	for _, r := range plan.Rungs {
		pictures := r.Name != transcode.AudioOnly
		l.sound = l.sound && pictures
		l.followers = append(l.followers, packager.NewFollower(pictures, r.AudioBitrate == 0))
	}
	return l
}

// renditions are what viewers choose among, best first, without windows.
func (l *ladder) renditions() (all []Rendition) {
	if l.source {
		all = append(all, Rendition{})
	}
	for _, r := range l.rungs {
		all = append(all, Rendition{Name: r.Name})
	}
	if l.sound {
		all = append(all, Rendition{Name: transcode.AudioOnly, OnRequest: true})
	}
	return all
}
