package recorder

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"anabranch/internal/media"
)

// playlists renders a recording's playlists (RFC 8216).
type playlists struct {
	begun
	name    string  // of the rendition
	rate    float64 // frames a second, 0 when not known
	target  int     // EXT-X-TARGETDURATION in seconds
	headers []header
	objects []object
	marks   []marked // of ad breaks
	final   bool     // no object will follow
	now     time.Time
}

// timeFormat is ISO 8601 to the millisecond, in UTC.
const timeFormat = "2006-01-02T15:04:05.000Z"

// media is the media playlist. It only ever grows (EXT-X-PLAYLIST-TYPE:EVENT),
// so that it can be played while the recording goes on.
func (p *playlists) media() []byte {
	version := 3
	if p.fragmented() {
		version = 7
	}
	var total media.Ticks
	for i := range p.objects {
		total += p.objects[i].Duration
	}
	var b bytes.Buffer
	b.Grow(96 * (len(p.objects) + 4))
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:%d\n#EXT-X-TARGETDURATION:%d\n", version, p.target)
	fmt.Fprintf(&b, "#ID3-EQUIV-TDTG:%s\n", p.now.UTC().Format("2006-01-02T15:04:05"))
	b.WriteString("#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-MEDIA-SEQUENCE:0\n")
	fmt.Fprintf(&b, "#EXT-X-NET-LIVE-VIDEO-ELAPSED-SECS:0.000\n#EXT-X-NET-LIVE-VIDEO-TOTAL-SECS:%.3f\n", seconds(total))
	marks := p.marks
	for i := range p.objects {
		o := &p.objects[i]
		p.begin(&b, i, false)
		marks = adBreaks(&b, marks, o.N)
		entry(&b, o.Time, o.Duration)
		b.WriteString(p.objectName(o.N) + "\n")
	}
	if p.final {
		adBreaks(&b, marks, math.MaxInt)
		b.WriteString("#EXT-X-ENDLIST\n")
	}
	return b.Bytes()
}

// ranges is the byte-range playlist: the same media in groups of pictures, to
// seek among. A group that was cut into several live segments is one entry, for
// a player can begin nowhere else in it.
//
// While the recording goes on it is a copy as of some moment, whole in itself:
// EXT-X-PLAYLIST-TYPE:VOD promises that it does not change, and it is stored too
// seldom to be followed. Therefore it always has EXT-X-ENDLIST.
func (p *playlists) ranges() []byte {
	version := 4 // EXT-X-BYTERANGE
	if p.fragmented() {
		version = 7
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:%d\n#EXT-X-TARGETDURATION:%d\n#EXT-X-PLAYLIST-TYPE:VOD\n", version, p.target)
	marks := p.marks
	for i := range p.objects {
		o := &p.objects[i]
		name := p.objectName(o.N)
		p.begin(&b, i, true)
		marks = adBreaks(&b, marks, o.N)
		at, offset := o.Time, int64(0)
		for _, piece := range o.pieces {
			duration := media.Ticks(piece.Duration)
			entry(&b, at.Add(time.Duration(piece.Late)*time.Millisecond), duration)
			fmt.Fprintf(&b, "#EXT-X-BYTERANGE:%d@%d\n%s\n", piece.Size, offset, name)
			at, offset = at.Add(duration.Duration(media.VideoRate)), offset+int64(piece.Size)
		}
	}
	if p.final {
		adBreaks(&b, marks, math.MaxInt)
	}
	b.WriteString("#EXT-X-ENDLIST\n")
	return b.Bytes()
}

// begin writes what object i begins with in a playlist. Where byte ranges follow
// the initialization segment has one, too: ffmpeg 5 goes on with the last range
// that it read, and waits for bytes that do not come.
func (p *playlists) begin(b *bytes.Buffer, i int, ranged bool) {
	o := &p.objects[i]
	if o.Discontinuity && i > 0 {
		b.WriteString("#EXT-X-DISCONTINUITY\n")
	}
	if p.fragmented() && (i == 0 || o.Header != p.objects[i-1].Header) {
		fmt.Fprintf(b, "#EXT-X-MAP:URI=%q", headerName(o.Header))
		if ranged {
			fmt.Fprintf(b, ",BYTERANGE=\"%d@0\"", len(p.headers[o.Header].Data))
		}
		b.WriteByte('\n')
	}
}

// entry writes what is told of every piece of media. There may be tens of
// thousands, twice a minute.
func entry(b *bytes.Buffer, at time.Time, d media.Ticks) {
	line := append(b.AvailableBuffer(), "#EXT-X-PROGRAM-DATE-TIME:"...)
	line = at.UTC().AppendFormat(line, timeFormat)
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
	shown := p.name
	if size, ok := strings.CutSuffix(shown, "p30"); ok {
		shown = size + "p" // a rate of 30 is left out
	}
	fmt.Fprintf(&b, "#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID=%q,NAME=%q,AUTOSELECT=YES,DEFAULT=YES\n",
		p.name, shown)
	fmt.Fprintf(&b, "#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=%d,CODECS=%q,RESOLUTION=%dx%d,VIDEO=%q",
		p.bandwidth(), p.codecs(), p.Format.Width, p.Format.Height, p.name)
	if p.rate > 0 {
		fmt.Fprintf(&b, ",FRAME-RATE=%.3f", p.rate)
	}
	fmt.Fprintf(&b, "\n%s/%s\n", p.name, name)
	return b.Bytes()
}

// codecs writes the video's profile in capitals, as IVS does.
func (p *playlists) codecs() string {
	video, audio, found := strings.Cut(p.Codecs, ",")
	if kind, profile, ok := strings.Cut(video, "."); ok {
		video = kind + "." + strings.ToUpper(profile)
	}
	if found {
		return video + "," + audio
	}
	return video
}

// bandwidth is the peak bitrate in bit/s, rounded up to a thousand. Objects
// shorter than half of the target duration do not count (RFC 8216 §4.1), unless
// there are no others.
func (p *playlists) bandwidth() int {
	var peak, size float64
	var total media.Ticks
	for i := range p.objects {
		o := &p.objects[i]
		total += o.Duration
		size += float64(8 * o.Size)
		if 2*o.Duration >= media.Ticks(p.target)*media.VideoRate {
			peak = max(peak, float64(8*o.Size)/seconds(o.Duration))
		}
	}
	if peak == 0 && total > 0 {
		peak = size / seconds(total)
	}
	return int(math.Ceil(peak/1000)) * 1000
}

func seconds(t media.Ticks) float64 { return float64(t) / media.VideoRate }
