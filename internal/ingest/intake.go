package ingest

import (
	"time"

	"anabranch/internal/media"
)

const (
	// audioPatience is how much video may pass before a stream is taken to
	// have no audio.
	audioPatience = time.Second
	// videoPatience is how much audio may pass before a stream is taken to
	// have no video.
	videoPatience = 5 * time.Second
	// maxHeld bounds the frames that wait meanwhile, in bytes.
	maxHeld = 4 << 20
	// frameOverhead is what a frame takes beside its payload, in bytes.
	frameOverhead = 256
)

// intake is the way from a demuxer into a feed. It describes the stream as soon
// as video and audio are known and holds frames until then. A stream that
// shows no audio for a second goes on air without; audio that comes later
// changes the description.
//
// Pictures before the first IDR picture, and between a change of the video
// parameters and the next one, cannot be decoded and are left out.
type intake struct {
	feed    Feed
	desc    media.Description
	noAudio bool // do not wait for it
	onAir   bool // described
	synced  bool // an IDR picture came since the last change of video parameters

	// The frames that wait. As audio and video together end the wait, they
	// are all of one kind.
	held      []media.Frame
	heldBytes int
}

// setVideo takes the parameters of the frames to come. p is not nil.
func (in *intake) setVideo(p *media.VideoParams) error {
	in.desc.Video, in.synced = p, false
	if len(in.held) > 0 && in.held[0].Kind == media.Video {
		in.held, in.heldBytes = in.held[:0], 0 // under other parameters
	}
	return in.changed()
}

// setAudio takes the parameters of the frames to come. p is not nil.
func (in *intake) setAudio(p *media.AudioParams) error {
	in.desc.Audio = p
	return in.changed()
}

func (in *intake) setMetadata(m metadata) error {
	before := in.desc
	in.desc.Encoder, in.desc.FrameRate = m.encoder, m.frameRate
	in.desc.VideoBitrate, in.desc.AudioBitrate = m.videoBitrate, m.audioBitrate
	in.noAudio = m.noAudio
	if in.onAir && in.desc == before {
		return nil
	}
	return in.changed()
}

// changed tells the feed a new description, if the time has come.
func (in *intake) changed() error {
	switch {
	case in.onAir:
		return in.feed.Describe(in.desc)
	case in.desc.Video != nil && (in.desc.Audio != nil || in.noAudio):
		return in.start()
	}
	return nil
}

// start puts the stream on air, with the frames that waited.
func (in *intake) start() error {
	if err := in.feed.Describe(in.desc); err != nil {
		return err
	}
	in.onAir = true
	held := in.held
	in.held = nil
	for _, f := range held {
		if err := in.feed.Write(f); err != nil {
			return err
		}
	}
	return nil
}

// write takes a frame of a track whose parameters are set.
func (in *intake) write(f media.Frame) error {
	if f.Kind == media.Video && !in.synced {
		if !f.Key {
			return nil
		}
		in.synced = true
	}
	if in.onAir {
		return in.feed.Write(f)
	}
	in.held = append(in.held, f)
	in.heldBytes += len(f.Payload) + frameOverhead
	waited := (f.DTS - in.held[0].DTS).Duration(media.SourceRate).Abs()
	switch {
	case in.desc.Video != nil && (waited >= audioPatience || in.heldBytes > maxHeld):
		return in.start()
	case in.desc.Video == nil && (waited >= videoPatience || in.heldBytes > maxHeld):
		return rejected("no video came: a stream needs H.264 video")
	}
	return nil
}
