package app

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"anabranch/internal/resource"
)

// RecordingExport is `anabranch recording export`.
type RecordingExport struct {
	ID     string `arg:"" help:"The recording."`
	Output string `short:"o" placeholder:"FILE" help:"The file to write; <id>.mp4 when not given."`
	Force  bool   `help:"Replace a file of that name."`
}

// Run writes the file. It appears under its name when it is whole, and of a
// recording that goes on it has what is stored now.
//
// The objects of a recording are one stream: time stamps and counters go on
// across them, at joins too. So they are fed to ffmpeg one behind the other, as
// if they were one file, which it puts into another container.
func (e *RecordingExport) Run(ctx context.Context, cfg *Config, of *Recording) error {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		return errors.New("recording export needs ffmpeg, which is missing; install it (apt install ffmpeg, dnf install ffmpeg, brew install ffmpeg) and try again")
	}
	c, err := connect(ctx, cfg, of.Endpoint)
	if err != nil {
		return err
	}
	if e.Output == "" {
		e.Output = path.Base(e.ID) + ".mp4"
	}
	if err := e.vacant(); err != nil {
		return err
	}
	x := &export{client: c, id: e.ID}
	if err := x.open(ctx); err != nil {
		return err
	}

	partial := filepath.Join(filepath.Dir(e.Output), "."+filepath.Base(e.Output)+"."+resource.RandomID(8))
	file, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	defer os.Remove(partial) // fails once renamed
	if err := file.Close(); err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	if err := x.remux(ctx, ffmpeg, partial); err != nil {
		return fmt.Errorf("export recording %s: %w", e.ID, err)
	}
	if err := wholeMP4(partial); err != nil {
		return fmt.Errorf("export recording %s: %w", e.ID, err)
	}
	if err := e.vacant(); err != nil { // it was when this began
		return err
	}
	if err := os.Rename(partial, e.Output); err != nil {
		return fmt.Errorf("name file: %w", err)
	}
	so := ""
	if x.recording.State == "RECORDING_STARTED" {
		so = " so far; the recording goes on"
	}
	fmt.Printf("%s: %s%s\n", e.Output, length(x.total), so)
	return nil
}

// vacant says whether the file may be written.
func (e *RecordingExport) vacant() error {
	info, err := os.Stat(e.Output)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look for file: %w", err)
	case info.IsDir():
		return fmt.Errorf("%s is a folder", e.Output)
	case !e.Force:
		return fmt.Errorf("%s exists; give --force to replace it", e.Output)
	}
	return nil
}

// export is one export under way.
type export struct {
	*client
	id        string
	recording *shelved
	media     string // path of the folder of the playlists and objects
	header    string // the initialization segment; empty for MPEG-TS
	objects   []string
	ends      []float64 // of each object, in seconds from the beginning
	total     float64   // seconds
}

// mediaRoot is what the path of a playback URL begins with. The server's own
// URL may be another one than that by which this client reaches it.
const mediaRoot = "/recordings/media/"

// maxList bounds a playlist, in bytes: 48 hours have some 2 MB.
const maxList = 64 << 20

// open finds the objects.
func (x *export) open(ctx context.Context) error {
	if err := x.renew(ctx); err != nil {
		return err
	}
	variants, err := x.lines(ctx, "master.m3u8")
	if err != nil {
		return err
	}
	variant := ""
	for _, line := range variants {
		if line != "" && line[0] != '#' {
			variant = line
			break
		}
	}
	x.media = path.Dir(variant)
	lines, err := x.lines(ctx, variant)
	if err != nil {
		return err
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		switch {
		case name == "#EXTINF":
			seconds, _, _ := strings.Cut(value, ",")
			d, _ := strconv.ParseFloat(seconds, 64) // only to show how far it is
			x.total += d
		case name == "#EXT-X-MAP" && x.header == "":
			// Later ones differ in what stands in the media as well.
			_, uri, _ := strings.Cut(value, `URI="`)
			x.header, _, _ = strings.Cut(uri, `"`)
		case line == "" || line[0] == '#':
		default:
			x.objects, x.ends = append(x.objects, line), append(x.ends, x.total)
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

// remux feeds the objects to ffmpeg, which writes file.
func (x *export) remux(ctx context.Context, ffmpeg, file string) error {
	ctx, cancel := context.WithCancel(ctx) // ends ffmpeg with this function
	defer cancel()
	format := "mpegts"
	if x.header != "" {
		format = "mp4"
	}
	cmd := exec.CommandContext(ctx, ffmpeg, "-v", "error", "-nostats", "-f", format, "-i", "pipe:0",
		"-map", "0:v:0?", "-map", "0:a:0?", "-c", "copy", "-movflags", "+faststart", "-f", "mp4", "-y", "file:"+file)
	var said bytes.Buffer
	cmd.Stderr, cmd.WaitDelay = &tail{&said}, time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start ffmpeg: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start ffmpeg: %w", err)
	}
	fed := x.feed(ctx, stdin)
	if fed != nil {
		cancel() // or it would go on to finish what is of no use
	}
	stdin.Close()
	err = cmd.Wait()
	var unread *fs.PathError // ffmpeg ended: it says why
	switch {
	case fed != nil && !errors.As(fed, &unread):
		return fed
	case err != nil || fed != nil:
		return fmt.Errorf("ffmpeg: %w: %s", errors.Join(err, fed), bytes.TrimSpace(said.Bytes()))
	}
	return nil
}

// wholeMP4 says whether a file is a row of whole boxes, with a movie among them
// (ISO 14496-12 §4.2). Where a disk is full in the end, ffmpeg 5 says so and
// exits as if all were well.
func wholeMP4(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	movie := false
	for at := int64(0); at < info.Size(); {
		var head [16]byte // of which a box has 8 at least
		if n, err := file.ReadAt(head[:], at); n < 8 {
			return fmt.Errorf("ffmpeg wrote a torn file; is the disk full?: %w", err)
		}
		size := int64(binary.BigEndian.Uint32(head[:]))
		if size == 1 {
			size = int64(binary.BigEndian.Uint64(head[8:]))
		}
		if size < 8 || size > info.Size()-at {
			return errors.New("ffmpeg wrote a torn file; is the disk full?")
		}
		movie = movie || string(head[4:8]) == "moov"
		at += size
	}
	if !movie {
		return errors.New("ffmpeg wrote a file without a movie; is the disk full?")
	}
	return nil
}

// feed writes all media to w, and says how far it is.
func (x *export) feed(ctx context.Context, w io.Writer) error {
	if x.header != "" {
		if err := x.copy(ctx, w, x.header); err != nil {
			return err
		}
	}
	shown := isTerminal(os.Stderr)
	if shown {
		defer fmt.Fprint(os.Stderr, "\r\033[K")
	}
	for i, name := range x.objects {
		if err := x.copy(ctx, w, name); err != nil {
			return err
		}
		if shown {
			fmt.Fprintf(os.Stderr, "\r%s of %s (%d%%)\033[K", length(x.ends[i]), length(x.total), int(100*x.ends[i]/x.total))
		}
	}
	return nil
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

// tail keeps the last of what is written.
type tail struct{ *bytes.Buffer }

func (t *tail) Write(b []byte) (int, error) {
	const most = 4 << 10
	t.Buffer.Write(b)
	t.Next(max(0, t.Len()-most))
	return len(b), nil
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&fs.ModeCharDevice != 0
}
