package recorder

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
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
	losses   []lost
	final    bool // no object will follow
	now      time.Time
}

// timeFormat is ISO 8601 to the millisecond, in UTC.
const timeFormat = "2006-01-02T15:04:05.000Z"

// media is the media playlist of v.
func (p *playlists) media(v *variant) []byte { return p.layout().media(p, v) }

// master is the multivariant playlist of the media playlists called name.
func (p *playlists) master(name string) []byte { return p.layout().master(p, name) }

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

// key is where the variant's playlist called name is stored.
func (v *variant) key(name string) string { return "media/hls/" + v.name + "/" + name }

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
