package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// statusError is an answer other than 200.
type statusError struct {
	code int
	body string
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.code, e.body) }

// isA says whether err is, or wraps, an E.
func isA[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

// get fetches a URL. The error of an answer other than 200 is a *statusError.
func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", req.URL.Path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, &statusError{resp.StatusCode, string(body)}
	}
	return body, nil
}

// resolve makes ref, a URI in what base answered, absolute.
func resolve(base, ref string) (string, error) {
	b, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	u, err := b.Parse(ref)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

// playlist is a Media Playlist, as far as the tests look at it.
type playlist struct {
	url, text      string
	target         int     // EXT-X-TARGETDURATION, in seconds
	partTarget     float64 // in seconds; 0 where there are no parts
	sequence       uint64  // EXT-X-MEDIA-SEQUENCE
	discontinuity  uint64  // EXT-X-DISCONTINUITY-SEQUENCE
	control        attributes
	segments       []segment
	coming         []part // of the segment that is not whole yet
	hint           string // URI of EXT-X-PRELOAD-HINT
	event, endlist bool
}

// segment is a Media Segment that is whole.
type segment struct {
	number        uint64
	uri, init     string
	duration      float64 // in seconds
	time          time.Time
	discontinuity bool
	size, offset  int64 // EXT-X-BYTERANGE
	parts         []part
}

type part struct {
	uri      string
	duration float64 // in seconds
}

// attributes is an attribute list (RFC 8216bis §4.2), without quotation marks.
type attributes map[string]string

var attribute = regexp.MustCompile(`([A-Z0-9-]+)=("[^"]*"|[^,]*)`)

func parseAttributes(s string) attributes {
	a := attributes{}
	for _, m := range attribute.FindAllStringSubmatch(s, -1) {
		a[m[1]] = strings.Trim(m[2], `"`)
	}
	return a
}

// float is an attribute's number, -1 when it has none.
func (a attributes) float(name string) float64 {
	f, err := strconv.ParseFloat(a[name], 64)
	if err != nil {
		return -1
	}
	return f
}

func fetchPlaylist(ctx context.Context, url string) (*playlist, error) {
	text, err := get(ctx, url)
	if err != nil {
		return nil, err
	}
	p, err := parsePlaylist(string(text))
	if err != nil {
		return nil, fmt.Errorf("playlist %s: %w\n%s", url, err, text)
	}
	p.url = url
	return p, nil
}

// parsePlaylist is strict with what it knows, and skips the rest.
func parsePlaylist(text string) (*playlist, error) {
	p := &playlist{text: text}
	if !strings.HasPrefix(text, "#EXTM3U\n") {
		return nil, errors.New("is no playlist")
	}
	var next segment
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		tag, value, _ := strings.Cut(line, ":")
		var err error
		switch {
		case tag == "#EXT-X-TARGETDURATION":
			p.target, err = strconv.Atoi(value)
		case tag == "#EXT-X-PART-INF":
			p.partTarget = parseAttributes(value).float("PART-TARGET")
		case tag == "#EXT-X-SERVER-CONTROL":
			p.control = parseAttributes(value)
		case tag == "#EXT-X-MEDIA-SEQUENCE":
			p.sequence, err = strconv.ParseUint(value, 10, 64)
		case tag == "#EXT-X-DISCONTINUITY-SEQUENCE":
			p.discontinuity, err = strconv.ParseUint(value, 10, 64)
		case tag == "#EXT-X-PLAYLIST-TYPE":
			p.event = value == "EVENT"
		case tag == "#EXT-X-MAP":
			next.init = parseAttributes(value)["URI"]
		case tag == "#EXT-X-PROGRAM-DATE-TIME":
			next.time, err = time.Parse(time.RFC3339, value)
		case tag == "#EXT-X-DISCONTINUITY":
			next.discontinuity = true
		case tag == "#EXT-X-BYTERANGE":
			_, err = fmt.Sscanf(value, "%d@%d", &next.size, &next.offset)
		case tag == "#EXTINF":
			next.duration, err = strconv.ParseFloat(strings.TrimSuffix(value, ","), 64)
		case tag == "#EXT-X-PART":
			a := parseAttributes(value)
			next.parts = append(next.parts, part{a["URI"], a.float("DURATION")})
		case tag == "#EXT-X-PRELOAD-HINT":
			p.hint = parseAttributes(value)["URI"]
		case tag == "#EXT-X-ENDLIST":
			p.endlist = true
		case line != "" && !strings.HasPrefix(line, "#"):
			next.uri, next.number = line, p.sequence+uint64(len(p.segments))
			p.segments = append(p.segments, next)
			next = segment{init: next.init}
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
	}
	p.coming = next.parts
	return p, nil
}

// count is how many lines have a tag, such as "EXT-X-ENDLIST".
func (p *playlist) count(tag string) (n int) {
	for line := range strings.Lines(p.text) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "#"+tag {
			n++
		}
	}
	return n
}

// duration is the sum of the segments' durations, in seconds.
func (p *playlist) duration() (sum float64) {
	for _, s := range p.segments {
		sum += s.duration
	}
	return sum
}

// livePlaylist asks for the channel's Multivariant Playlist, as a player does,
// and returns what it tells of its only rendition, and the URL of that.
func (c *channel) livePlaylist(ctx context.Context) (variant attributes, url string, err error) {
	text, err := get(ctx, *c.PlaybackUrl)
	if err != nil {
		return nil, "", err
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if n := strings.Count(string(text), "#EXT-X-STREAM-INF:"); n != 1 || !strings.HasPrefix(lines[len(lines)-2], "#EXT-X-STREAM-INF:") {
		return nil, "", fmt.Errorf("no multivariant playlist of one rendition:\n%s", text)
	}
	url, err = resolve(*c.PlaybackUrl, lines[len(lines)-1])
	return parseAttributes(lines[len(lines)-2]), url, err
}
