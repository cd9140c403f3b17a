package recorder

import (
	"time"

	"anabranch/internal/media"
	"anabranch/internal/resource"
)

// layout is the form that a recording has in its bucket, and what follows from
// that: how long its objects are, and which streams go into one. That of a channel
// is [channelLayout], that of a participant [participantLayout]. Nothing else
// differs between their recordings.
type layout interface {
	// prefix is where a recording lies in its bucket that begins at a time.
	prefix(b *begun, at time.Time) string
	// probe is the name of an empty object by which it is found out whether the
	// bucket takes any, now and while the recording waits; empty if
	// recording-started.json serves, once.
	probe() string
	fragmented(b *begun) bool // whether the media is fragmented MP4, rather than MPEG-TS

	// least is how long an object lasts at least, unless its stream ends or changes;
	// most is how long it lasts at most, where EXT-X-TARGETDURATION is so many
	// seconds, 0 where that is not fixed. Both are in 90 kHz ticks.
	least() media.Ticks
	most(target int) media.Ticks
	// target fixes EXT-X-TARGETDURATION in seconds, when o closes, the first object.
	target(o *object) int

	// streams is how many there may be in one recording.
	streams() int
	// mixed says that it does not matter what the streams of a recording are made
	// of, and that each stretch has an initialization segment of its own.
	mixed() bool
	// describe is what is told of a rendition that was described so when media of p
	// comes, and rate when o closes.
	describe(was described, p media.Params) described
	rate(was described, o *object) described

	// media is the media playlist of v; master names the media playlists, each
	// called name; ranges says whether there are byte-range playlists.
	media(p *playlists, v *variant) []byte
	master(p *playlists, name string) []byte
	masterName() string
	ranges() bool
	// metadata is the content of recording-*.json, to be encoded.
	metadata(s *state, status resource.RecordingState) any
	// tellsRefusal says that recording-failed.json tells of a recording that could not
	// start, too.
	tellsRefusal() bool
	// thumbnail is where the n-th thumbnail lies, from 0, and latest where the newest
	// lies besides.
	thumbnail(n int) string
	latest() string
}

// layout is that of the recording.
func (b *begun) layout() layout {
	if b.Participant != nil {
		return b.Participant
	}
	return channelLayout{}
}

// begins is the beginning of a recording of the stream: what does not depend on
// when that is. selected are the renditions that are recorded, by their index.
func (s *Stream) begins() (b begun, selected []int) {
	if s.Participant != nil {
		return s.Participant.begins()
	}
	return s.channelBegins()
}

// owner is whose media a recording has: a channel's, or a participant's, in
// whichever session of the stage.
type owner struct {
	channel, stage resource.ARN
	participant    string
}

func ownerOf(r *resource.Recording) owner { return owner{r.ChannelARN, r.StageARN, r.ParticipantID} }

// logged is how logs tell of it.
func (o owner) logged() []any {
	if o.channel != "" {
		return []any{"channel", o.channel.ID()}
	}
	return []any{"stage", o.stage.ID(), "participant", o.participant}
}

// freePrefix is where b lies in its bucket, which begins at a time. Those of
// participants tell of seconds: where that one has been taken, or may have been by
// what is forgotten, the next that is free does. r.mu is held.
func (r *Recorder) freePrefix(b *begun, at time.Time) string {
	now := time.Now()
	for prefix, second := range r.used {
		if now.Sub(second) > time.Hour {
			delete(r.used, prefix)
			r.forgotten = later(r.forgotten, second)
		}
	}
	at = at.Truncate(time.Second)
	if b.Participant != nil { // a channel's tells the recording's id
		at = later(at, r.forgotten.Add(time.Second))
	}
	for ; ; at = at.Add(time.Second) {
		prefix := b.layout().prefix(b, at)
		if _, taken := r.used[prefix]; !taken {
			r.used[prefix] = at
			return prefix
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
