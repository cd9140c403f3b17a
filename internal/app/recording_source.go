package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// export is one export under way: what is known of the recording, and how its
// objects are read.
type export struct {
	*client
	id        string
	recording *shelved
	media     string // path of the folder of the playlists and objects
	several   bool   // there are other renditions
	header    string // the initialization segment; empty for MPEG-TS
	objects   []string
	ends      []float64 // of each object, in seconds from the beginning
	total     float64   // seconds
	absent    float64   // seconds of total that lie in holes
}

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
	lines, err := x.lines(ctx, "master.m3u8")
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
		case name == "#EXT-X-MAP" && x.header == "":
			// Later ones differ in what stands in the media as well.
			_, uri, _ := strings.Cut(value, `URI="`)
			x.header, _, _ = strings.Cut(uri, `"`)
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
	for _, name := range append(x.objects, x.header) {
		if name != "" && !objectName.MatchString(name) {
			return fmt.Errorf("playlist of recording %s: %.80q is not the name of an object", x.id, name)
		}
	}
	if len(x.objects) == 0 {
		return fmt.Errorf("playlist of recording %s names no objects", x.id)
	}
	return nil
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
