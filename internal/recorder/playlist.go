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
)

// playlists renders a recording's playlists (RFC 8216).
type playlists struct {
	begun
	variants []variant // best first
	target   int       // EXT-X-TARGETDURATION in seconds
	objects  []object
	marks    []marked // of ad breaks
	final    bool     // no object will follow
	now      time.Time
}

// timeFormat is ISO 8601 to the millisecond, in UTC.
const timeFormat = "2006-01-02T15:04:05.000Z"

// media is the media playlist of v. It only ever grows (EXT-X-PLAYLIST-TYPE:EVENT),
// so that it can be played while the recording goes on.
func (p *playlists) media(v *variant) []byte {
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

// version is EXT-X-VERSION (RFC 8216bis §8): byte ranges need 4, EXT-X-MAP 6,
// EXT-X-GAP 8.
func (p *playlists) version(least int, gaps bool) int {
	switch {
	case gaps:
		return 8
	case p.fragmented():
		return 7
	}
	return least
}

// begin writes what object i of v begins with in a playlist, and returns the
// initialization segment that is in force there; mapped was before, -1 for none.
// Where byte ranges follow the initialization segment has one, too: ffmpeg 5 goes
// on with the last range that it read, and waits for bytes that do not come.
func (p *playlists) begin(b *bytes.Buffer, v *variant, i, mapped int, ranged bool) int {
	o := &p.objects[i]
	if o.Discontinuity && i > 0 {
		b.WriteString("#EXT-X-DISCONTINUITY\n")
	}
	of := &o.of[v.index]
	if !p.fragmented() || of.Size == 0 || of.Header == mapped {
		return mapped
	}
	fmt.Fprintf(b, "#EXT-X-MAP:URI=%q", headerName(of.Header))
	if ranged {
		fmt.Fprintf(b, ",BYTERANGE=\"%d@0\"", len(v.headers[of.Header].Data))
	}
	b.WriteByte('\n')
	return of.Header
}

// entry writes what is told of every piece of media. There may be tens of
// thousands, twice a minute.
func entry(b *bytes.Buffer, at time.Time, d media.Ticks, gap bool) {
	line := append(b.AvailableBuffer(), "#EXT-X-PROGRAM-DATE-TIME:"...)
	line = at.UTC().AppendFormat(line, timeFormat)
	if gap {
		line = append(line, "\n#EXT-X-GAP"...)
	}
	line = append(line, "\n#EXTINF:"...)
	line = strconv.AppendFloat(line, seconds(d), 'f', 3, 64)
	b.Write(append(line, ",\n"...))
}

// master is the multivariant playlist of the media playlists called name.
func (p *playlists) master(name string) []byte {
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

// key is where the variant's playlist called name is stored.
func (v *variant) key(name string) string { return "media/hls/" + v.name + "/" + name }

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

// bandwidth is the peak bitrate of v in bit/s, rounded up to a thousand. Objects
// shorter than half of the target duration do not count (RFC 8216 §4.1), unless
// there are no others; nor do holes.
func (p *playlists) bandwidth(v *variant) int {
	var peak, sum float64
	var total media.Ticks
	for i := range p.objects {
		o := &p.objects[i]
		size := float64(8 * o.of[v.index].Size)
		if size == 0 {
			continue
		}
		total += o.Duration
		sum += size
		if 2*o.Duration >= media.Ticks(p.target)*media.VideoRate {
			peak = max(peak, size/seconds(o.Duration))
		}
	}
	if peak == 0 && total > 0 {
		peak = sum / seconds(total)
	}
	return int(math.Ceil(peak/1000)) * 1000
}

func seconds(t media.Ticks) float64 { return float64(t) / media.VideoRate }
