package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
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
	// maxLate is how much later than its object a rendition's first picture may
	// be, where that is no key frame: some leave out every other picture of
	// sources with more than 36 a second.
	maxLate = time.Second / 36
)

// beginnings are the times of the first frames in an object; of a track that is
// not there, absent. They count modulo the reader's wrap.
type beginnings struct {
	decoded, shown time.Duration // the first picture
	heard          time.Duration
	key            bool // the first picture is a key frame
}

const absent = time.Duration(math.MinInt64)

// nowhere are the beginnings of nothing.
var nowhere = beginnings{decoded: absent, shown: absent, heard: absent}

// plus moves b in time.
func (b beginnings) plus(d time.Duration) beginnings {
	for _, t := range []*time.Duration{&b.decoded, &b.shown, &b.heard} {
		if *t != absent {
			*t += d
		}
	}
	return b
}

// behind is how much later b is than o. It is false where they have no track in
// common.
func (b beginnings) behind(o beginnings, wrap time.Duration) (late time.Duration, ok bool) {
	switch {
	case b.decoded != absent && o.decoded != absent:
		// Pictures are decoded one after the other; but where another stream
		// begins, it is shown behind the one before.
		decoded, shown := around(b.decoded-o.decoded, wrap), around(b.shown-o.shown, wrap)
		if decoded.Abs() < shown.Abs() {
			return decoded, true
		}
		return shown, true
	case b.decoded == absent && b.heard != absent && o.heard != absent:
		return around(b.heard-o.heard, wrap), true
	}
	return 0, false
}

// mediaReader reads the objects of a rendition one after the other, in order.
// Its errors of type [flaw] are the media's, others the store's.
type mediaReader interface {
	// read reads an object, and tells the times at which it goes on behind holes.
	read(r *bufio.Reader) (begin beginnings, holes []time.Duration, err error)
	// restart lets the next object begin anywhere.
	restart()
	// wrap is after how long times begin anew, 0 for never.
	wrap() time.Duration
}

// flaw is what is wrong in media.
type flaw string

func (f flaw) Error() string { return string(f) }

func flawf(format string, args ...any) error { return flaw(fmt.Sprintf(format, args...)) }

// checkMedia reads every object that the playlist names. With another rendition,
// first, it may have holes, and is to be cut as that one.
func (a *audit) checkMedia(r, first *rendition) error {
	var reader mediaReader
	var fragments *fmp4Reader
	if slices.ContainsFunc(r.objects, func(o Object) bool { return strings.HasSuffix(o.Name, ".mp4") }) {
		fragments = &fmp4Reader{torn: first != nil, exact: a.rec.OfParticipant()}
		reader = fragments
	} else {
		reader = &tsReader{}
	}
	c := course{audit: a, wrap: reader.wrap(), torn: first != nil}
	r.begins = make([]beginnings, len(r.objects))
	header := ""
	for i := range r.objects {
		o := &r.objects[i]
		r.begins[i] = nowhere
		if i > 0 && number(o.Name) != number(r.objects[i-1].Name)+1 {
			c.lose() // media is missing, as numbers and playlist tell
			if fragments != nil {
				fragments.restart()
			}
		}
		if o.Gap {
			c.pass(o.Duration)
			continue
		}
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
		begin, holes, err := a.readObject(name, reader)
		var f flaw
		switch {
		case errors.Is(err, objectstore.ErrNotFound):
			c.lose() // which was told before
			reader.restart()
			continue
		case errors.As(err, &f):
			a.problem(MediaBroken, name, "%v", f)
			reader.restart()
		case err != nil:
			return err
		}
		r.begins[i] = c.check(name, o, begin, holes)
		if fragments != nil && fragments.exact && err == nil {
			a.checkCover(r, i, begin, fragments)
		}
		if first != nil && r != first && i < len(first.begins) {
			late, ok := r.begins[i].behind(first.begins[i], c.wrap)
			if limit := tolerance(r.begins[i]); ok && late.Abs() > limit {
				a.problem(RenditionCut, name, "it begins %v %s that of %s", late.Abs().Round(time.Millisecond), side(late), path.Base(first.folder))
			}
		}
	}
	if fragments != nil && fragments.exact {
		a.checkSize(r, fragments.area)
	}
	return nil
}

// tolerance is by how much the beginnings of media may differ: sound by less
// than a frame.
func tolerance(b beginnings) time.Duration {
	if b.decoded == absent {
		return maxSkew
	}
	return maxGap
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
func (a *audit) readObject(name string, reader mediaReader) (begin beginnings, holes []time.Duration, err error) {
	ctx, cancel := context.WithCancel(a.ctx)
	defer cancel()
	piece, err := a.objects.Read(ctx, a.rec.Bucket, a.rec.Prefix+"/"+name, objectstore.Reading{})
	if err != nil {
		return nowhere, nil, err
	}
	defer piece.Body.Close()
	src := bufio.NewReaderSize(piece.Body, 64<<10)
	begin, holes, err = reader.read(src)
	if err != nil {
		if f := flaw(""); !errors.As(err, &f) {
			err = fmt.Errorf("read object %s: %w", name, err)
		}
		return begin, holes, err
	}
	_, err = io.Copy(io.Discard, src)
	return begin, holes, err
}
