package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"
)

// export is one export under way: what is known of the recording, and how its
// objects are read.
type export struct {
	*client
	id        string
	recording *shelved
	media     string   // path of the folder of the playlists and objects
	several   bool     // there are other renditions
	oneSize   bool     // all pictures are to have one size
	headers   []string // the initialization segments; none for MPEG-TS
	objects   []string
	ends      []float64 // of each object, in seconds from the beginning
	total     float64   // seconds
	absent    float64   // seconds of total that lie in holes
	// What a participant sent and did not arrive, in seconds.
	lostSound, lostPictures float64
	sizes                   []size   // of the pictures, each once, in their order; nil where one initialization segment is all
	makes                   []string // their parameter sets, likewise
}

// size is that of pictures, in pixels.
type size struct{ width, height int }

func (s size) area() int { return s.width * s.height }

func (s size) String() string { return fmt.Sprintf("%dx%d", s.width, s.height) }

// mediaRoot is what the path of a playback URL begins with. The server's own
// URL may be another one than that by which this client reaches it.
const mediaRoot = "/recordings/media/"

// maxList bounds a playlist, in bytes: 48 hours have some 2 MB.
const maxList = 64 << 20

// open finds the objects of a rendition; of the best one, which is the first,
// when wanted is empty.
func (x *export) open(ctx context.Context, wanted string) error {
	if err := x.renew(ctx); err != nil {
		return err
	}
	lines, err := x.lines(ctx, path.Base(x.recording.PlaybackURL))
	if err != nil {
		return err
	}
	variant := ""
	var names []string
	for _, line := range lines {
		if line == "" || line[0] == '#' {
			continue
		}
		name := path.Dir(line)
		if names = append(names, printable(name)); variant == "" && (wanted == "" || wanted == name) {
			variant = line
		}
	}
	if variant == "" {
		return fmt.Errorf("recording %s has no rendition %s; it has %s", x.id, wanted, strings.Join(names, ", "))
	}
	x.media, x.several = path.Dir(variant), len(names) > 1
	if lines, err = x.lines(ctx, variant); err != nil {
		return err
	}
	if err := x.read(lines); err != nil {
		return err
	}
	if err := x.measure(ctx); err != nil {
		return err
	}
	if x.recording.ByteRangePlaybackURL != "" {
		// It tells of holes that are shorter than an object, too.
		if lines, err = x.lines(ctx, path.Join(x.media, "byte-range-variant.m3u8")); err != nil {
			return err
		}
		ranges := &export{id: x.id}
		if err := ranges.read(lines); err != nil {
			return err
		}
		x.absent = ranges.absent
	}
	return nil
}

// read reads a media playlist.
func (x *export) read(lines []string) error {
	lasts, gap := 0.0, false
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		switch {
		case name == "#EXTINF":
			seconds, _, _ := strings.Cut(value, ",")
			lasts, _ = strconv.ParseFloat(seconds, 64) // only to tell how far it is
		case name == "#EXT-X-GAP":
			gap = true
		case name == "#EXT-X-MAP":
			_, uri, _ := strings.Cut(value, `URI="`)
			uri, _, _ = strings.Cut(uri, `"`)
			if !slices.Contains(x.headers, uri) {
				x.headers = append(x.headers, uri)
			}
		case name == "#EXT-X-DATERANGE":
			x.lose(value)
		case line == "" || line[0] == '#':
		default:
			if x.total += lasts; gap {
				x.absent += lasts
			} else {
				x.objects, x.ends = append(x.objects, line), append(x.ends, x.total)
			}
			gap = false
		}
	}
	for _, name := range slices.Concat(x.objects, x.headers) {
		if !objectName.MatchString(name) {
			return fmt.Errorf("playlist of recording %s: %.80q is not the name of an object", x.id, name)
		}
	}
	if len(x.objects) == 0 {
		return fmt.Errorf("playlist of recording %s names no objects", x.id)
	}
	return nil
}

var lossPattern = regexp.MustCompile(`(?:^|,)DURATION=([0-9.]+)`)

// lose adds up what did not arrive.
func (x *export) lose(attributes string) {
	m := lossPattern.FindStringSubmatch(attributes)
	if m == nil || !strings.Contains(attributes, `CLASS="anabranch.loss"`) {
		return
	}
	seconds, _ := strconv.ParseFloat(m[1], 64) // only to tell it
	if strings.Contains(attributes, `X-KIND="audio"`) {
		x.lostSound += seconds
	} else {
		x.lostPictures += seconds
	}
}

// maxHeader bounds an initialization segment, in bytes.
const maxHeader = 1 << 20

// measure looks for the sizes of pictures in the initialization segments.
func (x *export) measure(ctx context.Context) error {
	if len(x.headers) < 2 {
		return nil
	}
	for _, name := range x.headers {
		body, err := x.get(ctx, path.Join(x.media, name), 0)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		text, err := io.ReadAll(io.LimitReader(body, maxHeader))
		body.Close()
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		s, made, err := picturesOf(text)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if s.height > 0 && !slices.Contains(x.sizes, s) {
			x.sizes = append(x.sizes, s)
		}
		if made != "" && !slices.Contains(x.makes, made) {
			x.makes = append(x.makes, made)
		}
	}
	return nil
}

// picturesOf is the size of the pictures that an initialization segment tells of, and
// their parameter sets; zero of sound alone.
func picturesOf(header []byte) (s size, made string, err error) {
	file, err := mp4.DecodeFile(bytes.NewReader(header))
	if err != nil || file.Init == nil || file.Init.Moov == nil {
		return s, "", errors.New("it is no initialization segment")
	}
	for _, track := range file.Init.Moov.Traks {
		if track.Tkhd != nil {
			s = size{max(s.width, int(track.Tkhd.Width>>16)), max(s.height, int(track.Tkhd.Height>>16))}
		}
		if m := track.Mdia; m != nil && m.Minf != nil && m.Minf.Stbl != nil && m.Minf.Stbl.Stsd != nil {
			if avc := m.Minf.Stbl.Stsd.AvcX; avc != nil && avc.AvcC != nil {
				made = fmt.Sprintf("%x %x", avc.AvcC.SPSnalus, avc.AvcC.PPSnalus)
			}
		}
	}
	return s, made, nil
}

var objectName = regexp.MustCompile(`^[\w-]+\.(ts|mp4)$`)

// renew asks for a playback URL.
func (x *export) renew(ctx context.Context) (err error) {
	if x.recording, err = x.client.recording(ctx, x.id); err != nil {
		return err
	}
	if !strings.Contains(x.recording.PlaybackURL, mediaRoot) {
		return fmt.Errorf("recording %s has no media yet", x.id)
	}
	return nil
}

// get opens a file beside the multivariant playlist, from an offset on.
func (x *export) get(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	_, place, _ := strings.Cut(x.recording.PlaybackURL, mediaRoot)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, x.base+mediaRoot+path.Join(path.Dir(place), name), nil)
	if err != nil {
		return nil, err
	}
	if offset > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := x.do(r)
	if err != nil {
		return nil, err
	}
	if offset > 0 && resp.StatusCode != http.StatusPartialContent {
		resp.Body.Close()
		return nil, errors.New("the server does not go on amid an object")
	}
	return resp.Body, nil
}

func (x *export) lines(ctx context.Context, name string) ([]string, error) {
	body, err := x.get(ctx, name, 0)
	if err != nil {
		return nil, fmt.Errorf("read playlist %s: %w", name, err)
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxList))
	if err != nil {
		return nil, fmt.Errorf("read playlist %s: %w", name, err)
	}
	return strings.Split(strings.ReplaceAll(string(text), "\r", ""), "\n"), nil
}

// attempts is how often in a row an object is asked for that gives no byte.
const attempts = 5

// copy writes an object to w. When the server breaks off it goes on where it
// was.
func (x *export) copy(ctx context.Context, w io.Writer, name string) error {
	var done int64
	for try := 1; ; try++ {
		body, err := x.get(ctx, path.Join(x.media, name), done)
		if err == nil {
			var n int64
			counted := &writer{w: w}
			n, err = io.Copy(counted, body)
			body.Close()
			if err == nil || counted.err != nil {
				return err
			}
			if done += n; n > 0 {
				try = 0
			}
		}
		var answer *answerError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &answer) && answer.status == http.StatusForbidden && try < attempts:
			if err := x.renew(ctx); err != nil { // half a day has passed
				return err
			}
			continue
		case errors.As(err, &answer) && answer.status < 500, try == attempts:
			return fmt.Errorf("read %s: %w", name, err)
		}
		select {
		case <-time.After(time.Duration(try) * time.Second):
		case <-ctx.Done():
		}
	}
}

// writer remembers that it was w which failed, and not what was read.
type writer struct {
	w   io.Writer
	err error
}

func (w *writer) Write(b []byte) (n int, err error) {
	n, w.err = w.w.Write(b)
	return n, w.err
}
