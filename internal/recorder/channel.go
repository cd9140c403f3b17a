package recorder

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/resource"
)

const (
	// minObject is how long a channel's object lasts at least, unless its stream
	// ends, or an ad break begins or ends.
	minObject = 10 * media.VideoRate
	// maxObject is how long it lasts at most.
	maxObject = 20 * media.VideoRate
	// minTarget is the least EXT-X-TARGETDURATION, in seconds.
	minTarget = 12
)

// channelLayout is the layout of channels' recordings.
type channelLayout struct{}

// channelBegins is as [Stream.begins].
func (s *Stream) channelBegins() (begun, []int) {
	selected := s.selected()
	b := begun{
		Recording: resource.Recording{
			ChannelARN: s.Channel.ARN, ChannelName: s.Channel.Name,
			RecordingConfigurationARN: s.Configuration.ARN, Bucket: s.Configuration.Bucket(),
			ContainerFormat: s.Channel.ContainerFormat, ReconnectWindow: s.Configuration.ReconnectWindow(),
		},
		Format: formatOf(s.Description), Codecs: s.Description.Codecs(),
		Bare: len(selected) == 0, Thumbnails: s.thumbnails(),
	}
	if recorded := s.recorded(); len(recorded) > 1 || len(recorded) == 1 && !recorded[0].isSource() {
		b.Renditions = recorded
	}
	return b, selected
}

// prefix has the numbers of the date without leading zeros.
func (channelLayout) prefix(b *begun, at time.Time) string {
	r := &b.Recording
	return fmt.Sprintf("ivs/v1/%s/%s/%d/%d/%d/%d/%d/%s",
		b.Account, r.ChannelARN.ID(), at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), r.ID)
}

func (channelLayout) probe() string { return "events/ivs-check" }

func (channelLayout) fragmented(b *begun) bool {
	return b.Recording.ContainerFormat == resource.FragmentedMP4
}

func (channelLayout) least() media.Ticks { return minObject }

func (channelLayout) most(target int) media.Ticks {
	if target == 0 {
		return maxObject
	}
	return min(maxObject, media.Ticks(target)*media.VideoRate)
}

// target leaves room for the least duration of an object and the longest group of
// pictures after it (RFC 8216 §4.3.3.1).
func (channelLayout) target(o *object) int {
	var longest media.Ticks
	for i := range o.pieces {
		longest = max(longest, media.Ticks(o.pieces[i].Duration))
	}
	seconds := math.Ceil(float64(min(maxObject, minObject+longest)) / media.VideoRate)
	return max(minTarget, int(seconds))
}

func (channelLayout) streams() int { return resource.MaxMergedStreams }

func (channelLayout) mixed() bool { return false }

// describe keeps what the first media was made of: all else is alike.
func (channelLayout) describe(was described, p media.Params) described {
	if was.Codecs == "" {
		was.Codecs = p.Codecs()
	}
	return was
}

func (channelLayout) rate(was described, _ *object) described { return was }

// media has a date for every object. It only ever grows (EXT-X-PLAYLIST-TYPE:EVENT),
// so that it can be played while the recording goes on.
func (channelLayout) media(p *playlists, v *variant) []byte {
	var total media.Ticks
	gaps := false
	for i := range p.objects {
		total += p.objects[i].Duration
		gaps = gaps || p.objects[i].of[v.index].Size == 0
	}
	var b bytes.Buffer
	b.Grow(96 * (len(p.objects) + 4))
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:%d\n#EXT-X-TARGETDURATION:%d\n", p.version(3, gaps), p.target)
	fmt.Fprintf(&b, "#ID3-EQUIV-TDTG:%s\n", p.now.UTC().Format("2006-01-02T15:04:05"))
	b.WriteString("#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-MEDIA-SEQUENCE:0\n")
	fmt.Fprintf(&b, "#EXT-X-NET-LIVE-VIDEO-ELAPSED-SECS:0.000\n#EXT-X-NET-LIVE-VIDEO-TOTAL-SECS:%.3f\n", seconds(total))
	marks, mapped := p.marks, -1
	for i := range p.objects {
		o := &p.objects[i]
		mapped = p.begin(&b, v, i, mapped, false)
		marks = adBreaks(&b, marks, o.N)
		entry(&b, o.Time, o.Duration, o.of[v.index].Size == 0)
		b.WriteString(p.objectName(o.N) + "\n")
	}
	if p.final {
		adBreaks(&b, marks, math.MaxInt)
		b.WriteString("#EXT-X-ENDLIST\n")
	}
	return b.Bytes()
}

func (channelLayout) masterName() string { return "master.m3u8" }

func (channelLayout) ranges() bool { return true }

func (channelLayout) master(p *playlists, name string) []byte {
	var b bytes.Buffer
	b.WriteString("#EXTM3U\n")
	fmt.Fprintf(&b, "#EXT-X-SESSION-DATA:DATA-ID=\"net.live-video.customer.id\",VALUE=%q\n", p.Account)
	fmt.Fprintf(&b, "#EXT-X-SESSION-DATA:DATA-ID=\"net.live-video.content.id\",VALUE=%q\n", p.Recording.ChannelARN.ID())
	for i := range p.variants {
		v := &p.variants[i]
		if !v.soundAlone() {
			fmt.Fprintf(&b, "#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID=%q,NAME=%q,AUTOSELECT=YES,DEFAULT=YES\n", v.name, v.shown())
		}
		fmt.Fprintf(&b, "#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=%d,CODECS=%q", p.bandwidth(v), v.codecsShown())
		if !v.soundAlone() {
			fmt.Fprintf(&b, ",RESOLUTION=%dx%d,VIDEO=%q", v.Width, v.Height, v.name)
		}
		if v.FrameRate > 0 {
			fmt.Fprintf(&b, ",FRAME-RATE=%.3f", v.FrameRate)
		}
		fmt.Fprintf(&b, "\n%s/%s\n", v.name, name)
	}
	return b.Bytes()
}

// shown is the name for people: a rate of 30 is left out.
func (v *variant) shown() string {
	if size, ok := strings.CutSuffix(v.name, "p30"); ok {
		return size + "p"
	}
	return v.name
}

// codecsShown writes the video's profile in capitals, as IVS does.
func (v *variant) codecsShown() string {
	video, audio, both := strings.Cut(v.codecs, ",")
	if kind, profile, ok := strings.Cut(video, "."); ok && kind == "avc1" {
		video = kind + "." + strings.ToUpper(profile)
	}
	if both {
		return video + "," + audio
	}
	return video
}

// ranges is the byte-range playlist of v: the same media in groups of pictures, to
// seek among. A group that was cut into several live segments is one entry, for
// a player can begin nowhere else in it.
//
// While the recording goes on it is a copy as of some moment, whole in itself:
// EXT-X-PLAYLIST-TYPE:VOD promises that it does not change, and it is stored too
// seldom to be followed. Therefore it always has EXT-X-ENDLIST.
func (p *playlists) ranges(v *variant) []byte {
	gaps := false
	for i := range p.objects {
		gaps = gaps || slices.Contains(p.objects[i].of[v.index].sizes, 0)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:%d\n#EXT-X-TARGETDURATION:%d\n#EXT-X-PLAYLIST-TYPE:VOD\n", p.version(4, gaps), p.target)
	marks, mapped := p.marks, -1
	for i := range p.objects {
		o := &p.objects[i]
		name, of := p.objectName(o.N), &o.of[v.index]
		mapped = p.begin(&b, v, i, mapped, true)
		marks = adBreaks(&b, marks, o.N)
		at, offset := o.Time, int64(0)
		for n, piece := range o.pieces {
			duration, size := media.Ticks(piece.Duration), int64(of.sizes[n])
			entry(&b, at.Add(time.Duration(piece.Late)*time.Millisecond), duration, size == 0)
			if size > 0 {
				fmt.Fprintf(&b, "#EXT-X-BYTERANGE:%d@%d\n", size, offset)
			}
			b.WriteString(name + "\n")
			at, offset = at.Add(duration.Duration(media.VideoRate)), offset+size
		}
	}
	if p.final {
		adBreaks(&b, marks, math.MaxInt)
	}
	b.WriteString("#EXT-X-ENDLIST\n")
	return b.Bytes()
}

// sourceName is the name of a channel's source, such as "720p30": the short side
// and the frame rate. It is empty while the frame rate is being measured, and has
// none when that came to nothing.
func (s *state) sourceName() string {
	rate := math.Round(s.frameRate())
	if rate == 0 && s.measured == nil {
		return ""
	}
	name := strconv.Itoa(min(s.Format.Width, s.Format.Height)) + "p"
	if rate > 0 {
		name += strconv.Itoa(int(rate))
	}
	return name
}

func (channelLayout) thumbnail(n int) string {
	return fmt.Sprintf("%s/thumb%d.jpg", thumbnailsPath, n)
}

func (channelLayout) latest() string { return latestThumbnailPath + "/thumb.jpg" }
