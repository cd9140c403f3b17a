package recorder

import (
	"bytes"
	"fmt"
	"math"
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
	objects []object
	final   bool // no object will follow
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
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:%d\n#EXT-X-TARGETDURATION:%d\n", version, p.target)
	fmt.Fprintf(&b, "#ID3-EQUIV-TDTG:%s\n", p.now.UTC().Format("2006-01-02T15:04:05"))
	b.WriteString("#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-MEDIA-SEQUENCE:0\n")
	fmt.Fprintf(&b, "#EXT-X-NET-LIVE-VIDEO-ELAPSED-SECS:0.000\n#EXT-X-NET-LIVE-VIDEO-TOTAL-SECS:%.3f\n", seconds(total))
	header := -1
	for i := range p.objects {
		o := &p.objects[i]
		if o.Discontinuity && i > 0 {
			b.WriteString("#EXT-X-DISCONTINUITY\n")
		}
		if p.fragmented() && o.Header != header {
			header = o.Header
			fmt.Fprintf(&b, "#EXT-X-MAP:URI=%q\n", headerName(header))
		}
		fmt.Fprintf(&b, "#EXT-X-PROGRAM-DATE-TIME:%s\n#EXTINF:%.3f,\n%s\n",
			o.Time.UTC().Format(timeFormat), seconds(o.Duration), p.objectName(o.N))
	}
	if p.final {
		b.WriteString("#EXT-X-ENDLIST\n")
	}
	return b.Bytes()
}

// master is the multivariant playlist.
func (p *playlists) master() []byte {
	var b bytes.Buffer
	b.WriteString("#EXTM3U\n")
	fmt.Fprintf(&b, "#EXT-X-SESSION-DATA:DATA-ID=\"net.live-video.customer.id\",VALUE=%q\n", p.Account)
	fmt.Fprintf(&b, "#EXT-X-SESSION-DATA:DATA-ID=\"net.live-video.content.id\",VALUE=%q\n", p.Recording.ChannelARN.ID())
	name := p.name
	if size, ok := strings.CutSuffix(name, "p30"); ok {
		name = size + "p" // a rate of 30 is left out
	}
	fmt.Fprintf(&b, "#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID=%q,NAME=%q,AUTOSELECT=YES,DEFAULT=YES\n",
		p.name, name)
	fmt.Fprintf(&b, "#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=%d,CODECS=%q,RESOLUTION=%dx%d,VIDEO=%q",
		p.bandwidth(), p.Codecs, p.Format.Width, p.Format.Height, p.name)
	if p.rate > 0 {
		fmt.Fprintf(&b, ",FRAME-RATE=%.3f", p.rate)
	}
	fmt.Fprintf(&b, "\n%s/playlist.m3u8\n", p.name)
	return b.Bytes()
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
