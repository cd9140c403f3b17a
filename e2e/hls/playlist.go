package hls

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Playlist is a Media Playlist, as far as the rules look at it.
type Playlist struct {
	Text          string
	Version       int           // EXT-X-VERSION
	Target        time.Duration // EXT-X-TARGETDURATION
	PartTarget    time.Duration // EXT-X-PART-INF; 0 where there are no parts
	Sequence      uint64        // EXT-X-MEDIA-SEQUENCE
	Discontinuity uint64        // EXT-X-DISCONTINUITY-SEQUENCE
	Control       Attributes    // EXT-X-SERVER-CONTROL
	Skipped       int           // EXT-X-SKIP: how many segments a delta update leaves out
	Segments      []Segment     // those that are whole
	Open          Segment       // the one that is not yet, or may begin next
	Hint          string        // URI of EXT-X-PRELOAD-HINT
	Reports       []Attributes  // EXT-X-RENDITION-REPORT
	Event, Ended  bool          // EXT-X-PLAYLIST-TYPE:EVENT, EXT-X-ENDLIST
}

// Segment is a Media Segment.
type Segment struct {
	Number        uint64 // Media Sequence Number
	URI           string // empty while it is open
	Init          string // URI of EXT-X-MAP
	Duration      time.Duration
	Time          time.Time // EXT-X-PROGRAM-DATE-TIME
	Discontinuity bool
	Gap           bool  // EXT-X-GAP: it has no media
	Size, Offset  int64 // EXT-X-BYTERANGE
	Parts         []Part
}

// Part is a Partial Segment.
type Part struct {
	URI         string
	Duration    time.Duration
	Independent bool
	Gap         bool // GAP=YES: it has no media
}

// Attributes is an attribute list (RFC 8216bis §4.2), without quotation marks.
type Attributes map[string]string

var attribute = regexp.MustCompile(`([A-Z0-9-]+)=("[^"]*"|[^,]*)`)

// ParseAttributes takes an attribute list apart.
func ParseAttributes(s string) Attributes {
	a := Attributes{}
	for _, m := range attribute.FindAllStringSubmatch(s, -1) {
		a[m[1]] = strings.Trim(m[2], `"`)
	}
	return a
}

// Number is an attribute's decimal number, -1 when it has none.
func (a Attributes) Number(name string) float64 {
	f, err := strconv.ParseFloat(a[name], 64)
	if err != nil {
		return -1
	}
	return f
}

// Seconds is an attribute's duration, -1 when it has none.
func (a Attributes) Seconds(name string) time.Duration {
	d, err := seconds(a[name])
	if err != nil {
		return -1
	}
	return d
}

func seconds(s string) (time.Duration, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err == nil && !(f >= 0 && f <= 1e6) { // nor NaN
		err = errors.New("duration is out of range")
	}
	return time.Duration(math.Round(f * 1e9)), err
}

// Parse reads a Media Playlist. It is strict with what it knows, and skips the
// rest.
func Parse(text string) (*Playlist, error) {
	p := &Playlist{Text: text}
	if !strings.HasPrefix(text, "#EXTM3U\n") {
		return nil, errors.New("the first line is not #EXTM3U")
	}
	if !strings.HasSuffix(text, "\n") {
		return nil, errors.New("the last line is not whole")
	}
	var next Segment
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		tag, value, _ := strings.Cut(line, ":")
		var err error
		switch tag {
		case "#EXT-X-VERSION", "#EXT-X-TARGETDURATION", "#EXT-X-PART-INF", "#EXT-X-SERVER-CONTROL", "#EXT-X-MEDIA-SEQUENCE",
			"#EXT-X-DISCONTINUITY-SEQUENCE", "#EXT-X-SKIP", "#EXT-X-ENDLIST", "#EXT-X-PLAYLIST-TYPE":
			if seen[tag] {
				return nil, fmt.Errorf("%q: a second one", line)
			}
			seen[tag] = true
			err = p.playlistTag(tag, value)
		case "#EXT-X-PRELOAD-HINT":
			p.Hint = ParseAttributes(value)["URI"]
		case "#EXT-X-RENDITION-REPORT":
			p.Reports = append(p.Reports, ParseAttributes(value))
		default:
			err = next.tag(tag, value)
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if next.Duration <= 0 {
			return nil, fmt.Errorf("%q: no EXTINF before it", line)
		}
		next.URI, next.Number = line, p.Sequence+uint64(p.Skipped+len(p.Segments))
		p.Segments = append(p.Segments, next)
		next = Segment{Init: next.Init}
	}
	if next.Duration > 0 {
		return nil, errors.New("the last EXTINF has no URI")
	}
	next.Number = p.Sequence + uint64(p.Skipped+len(p.Segments))
	p.Open = next
	return p, nil
}

// playlistTag reads a tag that says something of all of the playlist.
func (p *Playlist) playlistTag(tag, value string) (err error) {
	switch tag {
	case "#EXT-X-VERSION":
		p.Version, err = strconv.Atoi(value)
	case "#EXT-X-TARGETDURATION":
		var n uint64
		n, err = strconv.ParseUint(value, 10, 16)
		p.Target = time.Duration(n) * time.Second
	case "#EXT-X-PART-INF":
		p.PartTarget, err = seconds(ParseAttributes(value)["PART-TARGET"])
	case "#EXT-X-SERVER-CONTROL":
		p.Control = ParseAttributes(value)
	case "#EXT-X-MEDIA-SEQUENCE":
		p.Sequence, err = strconv.ParseUint(value, 10, 64)
	case "#EXT-X-DISCONTINUITY-SEQUENCE":
		p.Discontinuity, err = strconv.ParseUint(value, 10, 64)
	case "#EXT-X-SKIP":
		var n uint64
		n, err = strconv.ParseUint(ParseAttributes(value)["SKIPPED-SEGMENTS"], 10, 16)
		p.Skipped = int(n)
	case "#EXT-X-PLAYLIST-TYPE":
		p.Event = value == "EVENT"
	case "#EXT-X-ENDLIST":
		p.Ended = true
	}
	return err
}

// tag reads a tag that says something of a segment, or of one part of it.
func (s *Segment) tag(tag, value string) (err error) {
	switch tag {
	case "#EXT-X-MAP":
		s.Init = ParseAttributes(value)["URI"]
	case "#EXT-X-PROGRAM-DATE-TIME":
		s.Time, err = time.Parse(time.RFC3339, value)
	case "#EXT-X-DISCONTINUITY":
		s.Discontinuity = true
	case "#EXT-X-GAP":
		s.Gap = true
	case "#EXT-X-BYTERANGE":
		_, err = fmt.Sscanf(value, "%d@%d", &s.Size, &s.Offset)
	case "#EXTINF":
		duration, _, _ := strings.Cut(value, ",")
		s.Duration, err = seconds(duration)
	case "#EXT-X-PART":
		a := ParseAttributes(value)
		part := Part{URI: a["URI"], Independent: a["INDEPENDENT"] == "YES", Gap: a["GAP"] == "YES"}
		if part.Duration, err = seconds(a["DURATION"]); err == nil && part.URI == "" {
			err = errors.New("no URI")
		}
		s.Parts = append(s.Parts, part)
	}
	return err
}

// Count is how many lines have a tag, such as "EXT-X-ENDLIST".
func (p *Playlist) Count(tag string) (n int) {
	for line := range strings.Lines(p.Text) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "#"+tag {
			n++
		}
	}
	return n
}

// Duration is the sum of all whole segments' durations.
func (p *Playlist) Duration() (sum time.Duration) {
	for _, s := range p.Segments {
		sum += s.Duration
	}
	return sum
}

// Told is the duration of everything the playlist tells of.
func (p *Playlist) Told() time.Duration { return p.Duration() + sum(p.Open.Parts) }

func sum(parts []Part) (d time.Duration) {
	for _, q := range parts {
		d += q.Duration
	}
	return d
}

// position is a place in the stream: before a part of a segment.
type position struct {
	number uint64
	part   int
}

func (a position) before(b position) bool {
	return a.number < b.number || a.number == b.number && a.part < b.part
}

func (a position) String() string { return fmt.Sprintf("segment %d part %d", a.number, a.part) }

// next is the part that comes next.
func (p *Playlist) next() position { return position{p.Open.Number, len(p.Open.Parts)} }

// all are the segments of the playlist, the open one last if it has begun.
func (p *Playlist) all() []Segment {
	if len(p.Open.Parts) == 0 {
		return p.Segments
	}
	return append(p.Segments[:len(p.Segments):len(p.Segments)], p.Open)
}

// line is the line that has uri, "" when there is none.
func (p *Playlist) line(uri string) string {
	for line := range strings.Lines(p.Text) {
		if line = strings.TrimSuffix(line, "\n"); line == uri || strings.Contains(line, `"`+uri+`"`) {
			return line
		}
	}
	return ""
}
