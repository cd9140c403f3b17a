package recorder

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

const (
	// participantFolder is the name of a participant's only rendition.
	participantFolder = "high"
	// maxPublications is how many publications one recording may consist of.
	maxPublications = 1000
)

// Participant is whose publication a stream is, and how it is recorded.
type Participant struct {
	Stage     resource.ARN
	SessionID string // of the stage, now
	ID        string // of the participant: the jti of the token
	UserID    string
	Recording resource.ParticipantRecording
	Storage   resource.StorageConfiguration
}

// participantLayout is the layout of participants' recordings. Those of different
// values are never merged.
type participantLayout struct {
	MediaType string `json:"mediaType"` // AUDIO_VIDEO, AUDIO_ONLY or NONE
	// Target is how long an object lasts at least, in seconds, unless its stream ends
	// or changes. It is at most twice as long: EXT-X-TARGETDURATION.
	Target int `json:"target"`
}

// begins is as [Stream.begins].
func (p *Participant) begins() (b begun, selected []int) {
	c := &p.Recording
	l := &participantLayout{MediaType: "AUDIO_VIDEO", Target: c.HLS.TargetSegmentDurationSeconds}
	if len(c.MediaTypes) > 0 {
		l.MediaType = c.MediaTypes[0]
	}
	b = begun{
		Recording: resource.Recording{
			StageARN: p.Stage, StageSessionIDs: []string{p.SessionID}, ParticipantID: p.ID, UserID: p.UserID,
			StorageConfigurationARN: p.Storage.ARN, Bucket: p.Storage.S3.BucketName, ReconnectWindow: c.ReconnectWindow(),
		},
		Participant: l, Bare: l.MediaType == "NONE",
	}
	if !b.Bare {
		b.Renditions, selected = []Rendition{{Name: participantFolder}}, []int{0}
	}
	if t := &c.Thumbnail; t.RecordingMode == "INTERVAL" && t.TargetIntervalSeconds > 0 {
		b.Thumbnails = &thumbnails{
			Interval:   time.Duration(t.TargetIntervalSeconds) * time.Second,
			Sequential: slices.Contains(t.Storage, "SEQUENTIAL"), Latest: slices.Contains(t.Storage, "LATEST"),
		}
	}
	return b, selected
}

// prefix has the session that the recording began in.
func (*participantLayout) prefix(b *begun, at time.Time) string {
	r := &b.Recording
	return fmt.Sprintf("%s/%s/%s/%s", r.StageARN.ID(), r.StageSessionIDs[0], r.ParticipantID, at.UTC().Format("2006-01-02T15-04-05Z"))
}

func (*participantLayout) probe() string { return "" }

func (*participantLayout) fragmented(*begun) bool { return true }

func (l *participantLayout) least() media.Ticks { return media.Ticks(l.Target) * media.VideoRate }

// most leaves room for the tail of a stream that is torn off.
func (l *participantLayout) most(int) media.Ticks {
	return 2*l.least() - media.TicksOf(packager.PartTarget, media.VideoRate)
}

func (l *participantLayout) target(*object) int { return 2 * l.Target }

func (*participantLayout) streams() int { return maxPublications }

func (*participantLayout) mixed() bool { return true }

// describe tells of the largest pictures that came, and of the codecs that all
// of them can be decoded with.
func (*participantLayout) describe(was described, p media.Params) described {
	if v := p.Video; v != nil && v.Width*v.Height > was.Width*was.Height {
		was.Width, was.Height = v.Width, v.Height
	}
	was.Codecs = widest(was.Codecs, p.Codecs())
	return was
}

// rate tells of the highest frame rate that an object had, of a second or more: in
// shorter ones a picture cut short counts for too much.
func (*participantLayout) rate(was described, o *object) described {
	if d := o.Duration; d >= media.VideoRate {
		was.FrameRate = max(was.FrameRate, int((media.Ticks(o.pictures)*media.VideoRate+d/2)/d))
	}
	return was
}

// widest is codecs (RFC 6381) that stand for both: of two forms of AVC the higher
// profile with the higher level (ISO 14496-15 annex E). A variant stream may list all of its formats (RFC 8216 §4.3.4.2), but
// browsers take a list of several for a stream with several tracks.
func widest(was, is string) string {
	const form = "avc1.PPCCLL"
	old, _, _ := strings.Cut(was, ",")
	video, rest, _ := strings.Cut(is, ",")
	known := func(codec string) bool { return len(codec) == len(form) && strings.HasPrefix(codec, form[:5]) }
	switch {
	case !known(old):
		return is
	case !known(video): // sound alone
		return was
	}
	level := max(strings.ToLower(old[9:]), strings.ToLower(video[9:]))
	if strings.ToLower(old[5:7]) > strings.ToLower(video[5:7]) {
		video = old
	}
	if rest != "" {
		rest = "," + rest
	}
	return video[:9] + level + rest
}

// media has a date and an initialization segment where it begins, and behind each
// discontinuity. In between the lengths of entries tell the time: they are rounded
// so that their sum never is off by more than half a millisecond. It only grows
// until it ends: then its type is VOD.
func (l *participantLayout) media(p *playlists, v *variant) []byte {
	var b bytes.Buffer
	b.Grow(32 * (len(p.objects) + 8))
	kind := "EVENT"
	if p.final {
		kind = "VOD"
	}
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:%d\n#EXT-X-PLAYLIST-TYPE:%s\n#EXT-X-MEDIA-SEQUENCE:0\n", l.target(nil), kind)
	losses, begins, some := p.losses, true, false
	var length media.Ticks // of what is continuous here
	for i := range p.objects {
		o := &p.objects[i]
		of := &o.of[v.index]
		if begins = begins || o.Discontinuity; of.Size == 0 { // nothing of it could be stored
			begins = true
			for len(losses) > 0 && losses[0].Object <= o.N {
				losses = losses[1:]
			}
			continue
		}
		if begins && some {
			b.WriteString("#EXT-X-DISCONTINUITY\n")
		}
		if begins {
			fmt.Fprintf(&b, "#EXT-X-MAP:URI=%q\n#EXT-X-PROGRAM-DATE-TIME:%s\n", headerName(of.Header), o.Time.UTC().Format(timeFormat))
			length = 0
		}
		losses = tellLosses(&b, losses, o.N)
		before := milliseconds(length)
		length += o.Duration
		ms := milliseconds(length) - before
		fmt.Fprintf(&b, "#EXTINF:%d.%03d,\n%s\n", ms/1000, ms%1000, p.objectName(o.N))
		begins, some = false, true
	}
	if p.final {
		b.WriteString("#EXT-X-ENDLIST\n")
	}
	return b.Bytes()
}

// milliseconds is t, in 90 kHz ticks, rounded.
func milliseconds(t media.Ticks) int64 { return int64(t+45) / 90 }

func (*participantLayout) masterName() string { return "multivariant.m3u8" }

func (*participantLayout) ranges() bool { return false }

func (*participantLayout) master(p *playlists, name string) []byte {
	var b bytes.Buffer
	b.WriteString("#EXTM3U\n")
	for i := range p.variants {
		v := &p.variants[i]
		fmt.Fprintf(&b, "#EXT-X-STREAM-INF:BANDWIDTH=%d,CODECS=%q", p.bandwidth(v), v.codecs)
		if !v.soundAlone() {
			fmt.Fprintf(&b, ",RESOLUTION=%dx%d", v.Width, v.Height)
		}
		if v.FrameRate > 0 {
			fmt.Fprintf(&b, ",FRAME-RATE=%.3f", v.FrameRate)
		}
		fmt.Fprintf(&b, "\n%s/%s\n", v.name, name)
	}
	return b.Bytes()
}

// thumbnail counts from 1.
func (*participantLayout) thumbnail(n int) string {
	return fmt.Sprintf("%s/%s/%d.jpg", thumbnailsPath, participantFolder, n+1)
}

func (*participantLayout) latest() string {
	return latestThumbnailPath + "/" + participantFolder + "/thumb.jpg"
}

// stageSession is the stage's session now: that of the last publication.
func (s *state) stageSession() string {
	for i := len(s.streams) - 1; i >= 0; i-- {
		if !s.streams[i].Provisional {
			return s.streams[i].StageSession
		}
	}
	return ""
}
