package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"strings"
	"time"

	"anabranch/internal/objectstore"
)

const (
	// maxGap is by how much the beginning of an object may differ from the end
	// of the one before: playlists are rounded to the millisecond.
	maxGap = 2 * time.Millisecond
	// maxSkew is how far apart sound and picture may begin in an object.
	maxSkew = 40 * time.Millisecond
)

// beginnings are the times of the first frames in an object; of a track that is
// not there, absent. They count modulo the reader's wrap.
type beginnings struct {
	decoded, shown time.Duration // the first picture
	heard          time.Duration
}

const absent = time.Duration(math.MinInt64)

// mediaReader reads the objects of a rendition one after the other, in order.
// Its errors of type [flaw] are the media's, others the store's.
type mediaReader interface {
	read(r *bufio.Reader) (beginnings, error)
	// restart lets the next object begin anywhere.
	restart()
	// wrap is after how long times begin anew, 0 for never.
	wrap() time.Duration
}

// flaw is what is wrong in media.
type flaw string

func (f flaw) Error() string { return string(f) }

func flawf(format string, args ...any) error { return flaw(fmt.Sprintf(format, args...)) }

// checkMedia reads every object that the playlist names.
func (a *audit) checkMedia(r *rendition) error {
	var reader mediaReader
	var fragments *fmp4Reader
	if len(r.objects) > 0 && strings.HasSuffix(r.objects[0].Name, ".mp4") {
		fragments = &fmp4Reader{}
		reader = fragments
	} else {
		reader = &tsReader{}
	}
	header := ""
	var last *beginnings // of the object before; nil: this one may begin anywhere
	var lasted time.Duration
	for i := range r.objects {
		o := &r.objects[i]
		if fragments != nil && o.header != header {
			header = o.header
			text, err := a.fetch(path.Join(r.folder, header), maxBox)
			if err != nil {
				return err
			}
			if err := fragments.init(text); err != nil {
				a.problem(MediaBroken, path.Join(r.folder, header), "%v", err)
				return nil // nothing can be said of what follows
			}
		}
		name := path.Join(r.folder, o.Name)
		if i > 0 && number(o.Name) != number(r.objects[i-1].Name)+1 {
			last = nil // media is missing, as numbers and playlist tell
		}
		begin, err := a.readObject(name, reader)
		var f flaw
		switch {
		case errors.Is(err, objectstore.ErrNotFound):
			last = nil // which was told before
			reader.restart()
			continue
		case errors.As(err, &f):
			a.problem(MediaBroken, name, "%v", f)
			reader.restart()
		case err != nil:
			return err
		}
		if begin.decoded == absent {
			last = nil
			continue
		}
		if last != nil {
			// Pictures are decoded one after the other; but where another stream
			// begins, it is shown behind the one before.
			decoded := around(begin.decoded-last.decoded-lasted, reader.wrap())
			shown := around(begin.shown-last.shown-lasted, reader.wrap())
			if min(decoded.Abs(), shown.Abs()) > maxGap {
				a.problem(MediaGap, name, "its pictures begin %v %s the end of the object before", shown.Abs().Round(time.Millisecond), side(shown))
			}
		}
		if begin.heard != absent {
			// An object that begins amid a group of pictures does not show first
			// what it decodes first.
			early := around(begin.heard-begin.decoded, reader.wrap())
			late := around(begin.heard-begin.shown, reader.wrap())
			if skew := max(late, 0) + min(early, 0); skew.Abs() > maxSkew {
				a.problem(MediaSkew, name, "its sound begins %v %s its pictures", skew.Abs().Round(time.Millisecond), side(skew))
			}
		}
		last, lasted = &begin, o.Duration
	}
	return nil
}

func side(d time.Duration) string {
	if d < 0 {
		return "before"
	}
	return "after"
}

// around is d, a difference of times modulo wrap, as the one closest to 0.
func around(d, wrap time.Duration) time.Duration {
	if wrap == 0 {
		return d
	}
	d %= wrap
	switch {
	case d > wrap/2:
		return d - wrap
	case d < -wrap/2:
		return d + wrap
	}
	return d
}

// readObject reads one object to its end.
func (a *audit) readObject(name string, reader mediaReader) (beginnings, error) {
	ctx, cancel := context.WithCancel(a.ctx)
	defer cancel()
	piece, err := a.objects.Read(ctx, a.rec.Bucket, a.rec.Prefix+"/"+name, objectstore.Reading{})
	if err != nil {
		return beginnings{absent, absent, absent}, err
	}
	defer piece.Body.Close()
	src := bufio.NewReaderSize(piece.Body, 64<<10)
	begin, err := reader.read(src)
	if err != nil {
		if f := flaw(""); !errors.As(err, &f) {
			err = fmt.Errorf("read object %s: %w", name, err)
		}
		return begin, err
	}
	_, err = io.Copy(io.Discard, src)
	return begin, err
}
