package app

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"anabranch/internal/resource"
)

// RecordingExport is `anabranch recording export`.
type RecordingExport struct {
	ID        string `arg:"" help:"The recording."`
	Output    string `short:"o" placeholder:"FILE" help:"The file to write; when not given <id>.mp4, or <id>-<rendition>.mp4."`
	Rendition string `placeholder:"NAME" help:"The rendition, such as 480p30; the best one when not given."`
	OneSize   bool   `help:"Where the size of pictures changes, encode them anew, all in the largest; else players are left to cope."`
	Force     bool   `help:"Replace a file of that name."`
}

// Run writes the file. It appears under its name when it is whole, and of a
// recording that goes on it has what is stored now.
//
// The objects of a recording are one stream: time stamps and counters go on
// across them, at joins too. So they are fed to ffmpeg one behind the other, as
// if they were one file, which it puts into another container. Where pictures
// change their size, which those of participants do, the parameter sets before
// each key frame say so: the sample entry of such a file is "avc3" (ISO 14496-15
// §5.3.3.1).
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
		name := e.ID
		if e.Rendition != "" {
			name += "-" + e.Rendition
		}
		e.Output = path.Base(name) + ".mp4"
	}
	if err := e.vacant(); err != nil {
		return err
	}
	x := &export{client: c, id: e.ID, oneSize: e.OneSize}
	if err := x.open(ctx, e.Rendition); err != nil {
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
	fmt.Printf("%s: %s%s\n", e.Output, length(x.total), x.remarks())
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

// remarks is what there is to say of the file besides its length.
func (x *export) remarks() (text string) {
	if x.several {
		text += " of " + x.media
	}
	if x.recording.State == "RECORDING_STARTED" {
		text += " so far; the recording goes on"
	}
	if x.absent > 0 {
		text += fmt.Sprintf("; %.1fs of it are missing, where the rendition has holes", x.absent)
	}
	if lost := losses(x.lostSound, x.lostPictures); lost != "" {
		text += "; " + lost + " did not arrive"
	}
	if len(x.sizes) > 1 && !x.oneSize {
		text += fmt.Sprintf("; its pictures change their size (%s), which some players and editors do not take: --one-size encodes them anew", joined(x.sizes))
	}
	return text
}

func joined(sizes []size) string {
	var all []string
	for _, s := range sizes {
		all = append(all, s.String())
	}
	return strings.Join(all, ", ")
}

// coding are ffmpeg's options for the pictures.
func (x *export) coding() []string {
	switch {
	case len(x.makes) < 2:
		return []string{"-c", "copy"}
	case len(x.sizes) < 2 || !x.oneSize:
		return []string{"-c", "copy", "-tag:v", "avc3"}
	}
	largest := slices.MaxFunc(x.sizes, func(a, b size) int { return cmp.Compare(a.area(), b.area()) })
	width, height := (largest.width+1)/2*2, (largest.height+1)/2*2 // chroma has half of them
	fit := fmt.Sprintf("scale=%[1]d:%[2]d:force_original_aspect_ratio=decrease,pad=%[1]d:%[2]d:(ow-iw)/2:(oh-ih)/2,setsar=1,format=yuv420p", width, height)
	return []string{"-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-vf", fit, "-c:a", "copy"}
}

// remux feeds the objects to ffmpeg, which writes file.
func (x *export) remux(ctx context.Context, ffmpeg, file string) error {
	ctx, cancel := context.WithCancel(ctx) // ends ffmpeg with this function
	defer cancel()
	format := "mpegts"
	if len(x.headers) > 0 {
		format = "mp4"
	}
	// Where time stamps leap by more than 10 s ffmpeg would close the gap, in
	// MPEG-TS alone; they do so at holes.
	leap := strconv.Itoa(10 + int(math.Ceil(x.absent)))
	args := append([]string{"-v", "error", "-nostats", "-dts_delta_threshold", leap, "-f", format, "-i", "pipe:0", "-map", "0:v:0?", "-map", "0:a:0?"}, x.coding()...)
	cmd := exec.CommandContext(ctx, ffmpeg, append(args, "-movflags", "+faststart", "-f", "mp4", "-y", "file:"+file)...)
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
	if len(x.headers) > 0 { // what later ones say stands in the media, too
		if err := x.copy(ctx, w, x.headers[0]); err != nil {
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
