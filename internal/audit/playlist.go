package audit

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// playlist is a media playlist (RFC 8216).
type playlist struct {
	entries []entry
	ended   bool
	version int
	target  int    // EXT-X-TARGETDURATION in seconds, 0 without
	kind    string // EXT-X-PLAYLIST-TYPE
	losses  []loss
}

// entry is a media segment: an object, or a byte range of one.
type entry struct {
	Object
	ranged bool
	offset int64
	mapped bool // behind an EXT-X-MAP of its own
}

// gapVersion is the EXT-X-VERSION of playlists with EXT-X-GAP (RFC 8216bis §8).
const gapVersion = 8

// parsePlaylist reads a media playlist as recordings have them: numbered
// objects in the playlist's own folder, each with its date. Participants' are
// told in stretches: only the first object of each has a date, and a map.
func parsePlaylist(text []byte, stretches bool) (*playlist, error) {
	p := &playlist{version: 1}
	var next entry
	header := ""
	first := true
	for raw := range bytes.Lines(text) {
		line := strings.TrimRight(string(raw), "\r\n")
		if first && line != "#EXTM3U" {
			return nil, errors.New("it does not begin with #EXTM3U")
		}
		first = false
		name, value, _ := strings.Cut(line, ":")
		var err error
		switch {
		case name == "#EXTINF":
			next.Duration, err = parseDuration(value)
		case name == "#EXT-X-PROGRAM-DATE-TIME":
			next.Time, err = time.Parse(time.RFC3339, value)
		case name == "#EXT-X-BYTERANGE":
			_, err = fmt.Sscanf(value, "%d@%d", &next.Size, &next.offset)
			next.ranged = true
		case name == "#EXT-X-DISCONTINUITY":
			next.Discontinuity = true
		case name == "#EXT-X-GAP":
			next.Gap = true
		case name == "#EXT-X-VERSION":
			p.version, err = strconv.Atoi(value)
		case name == "#EXT-X-TARGETDURATION":
			p.target, err = strconv.Atoi(value)
		case name == "#EXT-X-PLAYLIST-TYPE":
			p.kind = value
		case name == "#EXT-X-DATERANGE" && stretches:
			err = p.lose(value)
		case name == "#EXT-X-MAP":
			header, err = parseMap(value)
			next.mapped = true
		case name == "#EXT-X-ENDLIST":
			p.ended = true
		case line == "" || strings.HasPrefix(line, "#"):
		default:
			next.Name, next.header = line, header
			if stretches {
				err = p.stretch(&next)
			}
			if err == nil {
				err = p.check(&next)
			}
			p.entries = append(p.entries, next)
			next = entry{}
		}
		if err != nil {
			return nil, fmt.Errorf("%.80q: %w", line, err)
		}
	}
	if first {
		return nil, errors.New("it is empty, or too large")
	}
	return p, nil
}

var (
	objectPattern = regexp.MustCompile(`^(\d{1,9})\.(ts|mp4)$`)
	headerPattern = regexp.MustCompile(`^init-(\d{1,9})\.mp4$`)
)

func (p *playlist) check(e *entry) error {
	switch {
	case !objectPattern.MatchString(e.Name):
		return errors.New("not the name of an object")
	case e.Duration <= 0:
		return errors.New("without EXTINF")
	case e.Time.IsZero():
		return errors.New("without EXT-X-PROGRAM-DATE-TIME")
	case e.ranged && (e.Size <= 0 || e.offset < 0 || e.Gap):
		return errors.New("not a byte range")
	case e.Gap && p.version < gapVersion:
		return fmt.Errorf("EXT-X-GAP in version %d", p.version)
	}
	return nil
}

func parseDuration(value string) (time.Duration, error) {
	text, _, _ := strings.Cut(value, ",")
	s, err := strconv.ParseFloat(text, 64)
	if err != nil || !(s > 0 && s < 3600) {
		return 0, errors.New("not a duration")
	}
	return time.Duration(math.Round(s*1e6)) * time.Microsecond, nil
}

func parseMap(value string) (string, error) {
	_, rest, _ := strings.Cut(value, `URI="`)
	uri, _, _ := strings.Cut(rest, `"`)
	if !headerPattern.MatchString(uri) {
		return "", errors.New("not the name of an initialization segment")
	}
	return uri, nil
}

// number is that in the name of an object or an initialization segment, -1
// for any other name.
func number(name string) int {
	for _, pattern := range []*regexp.Regexp{objectPattern, headerPattern} {
		if m := pattern.FindStringSubmatch(name); m != nil {
			n, _ := strconv.Atoi(m[1]) // at most nine digits
			return n
		}
	}
	return -1
}

// objects puts byte ranges together, and gaps with the ranges of their object.
// It tells of those that leave bytes out.
func (p *playlist) objects(wrong func(msg string)) []Object {
	var all []Object
	for i := range p.entries {
		e := &p.entries[i]
		if n := len(all); n > 0 && all[n-1].Name == e.Name && (e.ranged || e.Gap) {
			o := &all[n-1]
			if e.ranged && e.offset != o.Size || e.Discontinuity {
				wrong(fmt.Sprintf("a range of %s begins at %d, the one before ends at %d", e.Name, e.offset, o.Size))
			}
			o.Size += e.Size
			o.Duration += e.Duration
			if o.pieces = append(o.pieces, piece{e.Duration, e.Gap}); !e.Gap {
				o.Gap, o.header = false, e.header
			}
			continue
		}
		if e.offset != 0 {
			wrong(fmt.Sprintf("the first range of %s begins at %d", e.Name, e.offset))
		}
		o := e.Object
		if e.ranged || e.Gap {
			o.pieces = []piece{{e.Duration, e.Gap}}
		}
		all = append(all, o)
	}
	return all
}

// variant is an entry of a multivariant playlist.
type variant struct {
	uri        string
	resolution string // such as 1280x720; empty when not told
}

// parseMultivariant returns what a multivariant playlist leads to.
func parseMultivariant(text []byte) (all []variant, err error) {
	if !bytes.HasPrefix(text, []byte("#EXTM3U\n")) {
		return nil, errors.New("it does not begin with #EXTM3U")
	}
	var next variant
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if attributes, found := strings.CutPrefix(line, "#EXT-X-STREAM-INF:"); found {
			if m := resolutionPattern.FindStringSubmatch(attributes); m != nil {
				next.resolution = m[1]
			}
		}
		if line != "" && line[0] != '#' {
			next.uri = line
			all, next = append(all, next), variant{}
		}
	}
	return all, nil
}

var resolutionPattern = regexp.MustCompile(`(?:^|,)RESOLUTION=(\d+x\d+)(?:,|$)`)
