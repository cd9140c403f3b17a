// Package audit finds out whether a recording is whole, from what its bucket
// holds.
//
//	              ┌→ renditions ─→ playlists ─→ objects ─→ (deep) media
//	events/*.json ┤                    ↑            ↑
//	              │               the journal   the bucket's list
//	              └→ thumbnails ────────────────────┘
//
// Everything is compared with whatever else tells of it: the state in the
// metadata with that in the database, one kind of playlist with the other and
// both with the journal while there is one, a rendition's cuts with those of the
// others, names and sizes with what the bucket lists. A deep audit reads the
// media as well: every packet and fragment counts on from the one before, every
// object begins where the playlist says that the last one ended, and thumbnails
// are pictures.
//
// A rendition may have holes, where the others go on: objects and byte ranges
// with EXT-X-GAP, of which there is nothing. The group of pictures before a hole
// may be torn off; media begins again where one begins.
//
// A participant's recording has one rendition, and no holes: stretches of media,
// each with an initialization segment of its own, cover it in every track. What
// its publisher sent and did not arrive is told by EXT-X-DATERANGE.
//
// What does not fit is a [Problem], not an error. A recording that is being
// written is audited as far as it goes.
package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"anabranch/internal/objectstore"
	"anabranch/internal/resource"
)

// Objects is what is needed of a store of objects. Read's error is
// [objectstore.ErrNotFound] for an object that is not there.
type Objects interface {
	Read(ctx context.Context, bucket, key string, want objectstore.Reading) (*objectstore.Piece, error)
	// Walk lists the objects below a prefix until f returns false.
	Walk(ctx context.Context, bucket, prefix string, f func(objectstore.Object) bool) error
}

// Recording is what is known of a recording without its bucket.
type Recording struct {
	resource.Recording // as the database has it
	// Open recordings are being written: more may come, and the state may be
	// another one in a moment.
	Open bool
	// Stored is the media that the journal knows to be in the bucket, by the
	// names of the renditions' folders; nil when there is no journal any more.
	Stored map[string][]Object
}

// Object is one media file as something tells of it.
type Object struct {
	Name          string // below the rendition's folder
	Size          int64  // in bytes; 0 when not told
	Duration      time.Duration
	Time          time.Time // of its beginning
	Discontinuity bool
	Gap           bool    // there is no such file: the rendition has a hole
	header        string  // the initialization segment, of fragmented MP4
	pieces        []piece // as the byte ranges tell, if they do
	added         bool    // Time was not told, but is where the object before ends
}

// piece is a group of pictures in an object.
type piece struct {
	duration time.Duration
	gap      bool
}

// Report is what an audit found.
type Report struct {
	Objects    int   // below the prefix
	Bytes      int64 // in them
	Duration   time.Duration
	Renditions []Rendition // best first
	Thumbnails int         // those that are numbered
	Problems   []Problem   // at most [MaxProblems]
}

// Rendition is one of a recording's renditions.
type Rendition struct {
	Name   string
	Bytes  int64         // of its media
	Absent time.Duration // how much of it lies in holes, as its playlists tell
	// LostSound and LostPictures are how much of what a participant sent did not
	// arrive: silence and still pictures are in its place.
	LostSound, LostPictures time.Duration
}

// MaxProblems is how many problems are told.
const MaxProblems = 100

// Problem is something that does not fit.
type Problem struct {
	Code    Code   `json:"code"`
	Path    string `json:"path"` // below the prefix
	Message string `json:"message"`
}

// Code is the sort of a problem.
type Code string

// The sorts of problem.
const (
	ObjectMissing    Code = "object-missing"    // it is named, but not there
	ObjectSize       Code = "object-size"       // it is not as long as it is told to be
	ObjectForeign    Code = "object-foreign"    // nothing names it
	NumberGap        Code = "number-gap"        // objects are left out, and nothing tells of it
	PlaylistMissing  Code = "playlist-missing"  //
	PlaylistInvalid  Code = "playlist-invalid"  // it cannot be read
	PlaylistMismatch Code = "playlist-mismatch" // it tells another story than something else
	PlaylistEnd      Code = "playlist-end"      // it is closed and should not be, or the other way round
	RenditionCut     Code = "rendition-cut"     // it is cut otherwise than the best one
	MetadataMissing  Code = "metadata-missing"  //
	MetadataInvalid  Code = "metadata-invalid"  // it cannot be read
	StateMismatch    Code = "state-mismatch"    // the bucket is in another state than the database
	DurationMismatch Code = "duration-mismatch" // the length is another one
	ObjectShort      Code = "object-short"      // it ends before it should
	MediaBroken      Code = "media-broken"      // packets or fragments are torn, missing or in disorder
	MediaGap         Code = "media-gap"         // an object does not begin where the last one ends, or has less than it should
	MediaSkew        Code = "media-skew"        // sound and picture begin apart
	ThumbnailBroken  Code = "thumbnail-broken"  // it is not a whole JPEG
)

// Bounds of what is read into memory.
const (
	maxPlaylist = 64 << 20 // a byte-range playlist of 48 hours has some 12 MB
	maxMetadata = 64 << 10
	// maxListed is of objects: 48 hours have some 17,000 in each rendition, and
	// up to 172,800 thumbnails.
	maxListed = 400_000
)

// Run audits r; with deep it reads the media, too. An error is the store's.
func Run(ctx context.Context, objects Objects, r Recording, deep bool) (*Report, error) {
	a := &audit{
		ctx: ctx, objects: objects, rec: r,
		sizes: make(map[string]int64), known: map[string]bool{"events/ivs-check": true},
	}
	if r.OfParticipant() {
		a.rec.Stored = make(map[string][]Object)
		for name, objects := range r.Stored {
			a.rec.Stored[name] = solid(objects)
		}
	}
	m, err := a.readMetadata()
	if err != nil {
		return nil, err
	}
	renditions, err := a.readRenditions(m)
	if err != nil {
		return nil, err
	}
	// After the playlists: what they name was there before them.
	if err := a.list(); err != nil {
		return nil, err
	}
	for i := range renditions {
		a.checkObjects(&renditions[i])
	}
	if err := a.checkThumbnails(m, deep); err != nil {
		return nil, err
	}
	a.checkForeign(renditions)
	if deep {
		var first *rendition // nil for the only one
		if len(renditions) > 1 {
			first = &renditions[0]
		}
		for i := range renditions {
			if err := a.checkMedia(&renditions[i], first); err != nil {
				return nil, err
			}
		}
	}
	return &a.Report, nil
}

// audit is one audit under way.
type audit struct {
	ctx     context.Context
	objects Objects
	rec     Recording
	Report
	sizes map[string]int64 // of what the bucket holds
	known map[string]bool  // what has a right to be there
}

// rendition is a folder of media and what its playlists tell of it.
type rendition struct {
	folder   string
	playlist string        // the path of the one of whole objects
	objects  []Object      // with what sizes are told
	duration time.Duration // 0 when only the byte ranges can be read
	unread   bool          // no playlist can be read
	begins   []beginnings  // of the objects, once their media was read
	target   time.Duration // EXT-X-TARGETDURATION
	// lost are the sums of what a participant's playlist tells.
	lost     map[lossKind]time.Duration
	variants []variant // as the multivariant playlist of a participant's recording tells
}

func (a *audit) problem(code Code, path, format string, args ...any) {
	if len(a.Problems) < MaxProblems {
		a.Problems = append(a.Problems, Problem{code, path, fmt.Sprintf(format, args...)})
	}
}

// fetch reads a small object; nil when there is none.
func (a *audit) fetch(name string, most int64) ([]byte, error) {
	piece, err := a.objects.Read(a.ctx, a.rec.Bucket, a.rec.Prefix+"/"+name, objectstore.Reading{})
	if errors.Is(err, objectstore.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer piece.Body.Close()
	text, err := io.ReadAll(io.LimitReader(piece.Body, most+1))
	if err != nil {
		return nil, fmt.Errorf("read object %s: %w", name, err)
	}
	if int64(len(text)) > most {
		return text[:0], nil // which is neither a playlist nor JSON
	}
	return text, nil
}

// list takes down what the bucket holds.
func (a *audit) list() error {
	err := a.objects.Walk(a.ctx, a.rec.Bucket, a.rec.Prefix+"/", func(o objectstore.Object) bool {
		a.Objects++
		a.Bytes += o.Size
		a.sizes[strings.TrimPrefix(o.Key, a.rec.Prefix+"/")] = o.Size
		return a.Objects < maxListed
	})
	if a.Objects == maxListed {
		a.problem(ObjectForeign, "", "there are %d objects or more; the others are not looked at", maxListed)
	}
	return err
}

// checkObjects checks that what is named is there, and as long as is told.
func (a *audit) checkObjects(r *rendition) {
	told := Rendition{Name: path.Base(r.folder), LostSound: r.lost[lostSound], LostPictures: r.lost[lostPictures]}
	header := ""
	for i := range r.objects {
		o := &r.objects[i]
		told.Absent += o.absent()
		if o.Gap {
			continue // what is there all the same is foreign
		}
		name := path.Join(r.folder, o.Name)
		a.checkObject(name, o.Size)
		told.Bytes += a.sizes[name]
		if o.header != header {
			header = o.header
			a.checkObject(path.Join(r.folder, header), 0)
		}
	}
	stored := a.rec.Stored[told.Name]
	for _, o := range stored[min(len(r.objects), len(stored)):] {
		if !o.Gap {
			a.checkObject(path.Join(r.folder, o.Name), o.Size)
		}
	}
	a.Renditions = append(a.Renditions, told)
}

// absent is how much of an object lies in a hole.
func (o *Object) absent() (sum time.Duration) {
	if o.Gap {
		return o.Duration
	}
	for _, p := range o.pieces {
		if p.gap {
			sum += p.duration
		}
	}
	return sum
}

func (a *audit) checkObject(name string, told int64) {
	a.known[name] = true
	switch size, there := a.sizes[name]; {
	case !there:
		a.problem(ObjectMissing, name, "it is told of, but not in the bucket")
	case told > 0 && size != told:
		a.problem(ObjectSize, name, "it has %d bytes and should have %d", size, told)
	case size == 0:
		a.problem(ObjectSize, name, "it is empty")
	}
}

// checkForeign looks for what nothing tells of.
func (a *audit) checkForeign(renditions []rendition) {
	for name := range a.sizes {
		if !a.known[name] && !a.coming(name, renditions) {
			a.problem(ObjectForeign, name, "nothing tells of it")
		}
	}
}

// coming says whether name is what a recording may have though no playlist
// tells of it: the next media while it is open, and the initialization segment
// of a stream that broke off before its first part.
func (a *audit) coming(name string, renditions []rendition) bool {
	folder, file := path.Split(name)
	for i := range renditions {
		r := &renditions[i]
		if folder != r.folder+"/" || number(file) < 0 {
			continue
		}
		last, header := -1, -1
		for _, o := range r.objects {
			last = max(last, number(o.Name))
			header = max(header, number(o.header))
		}
		if strings.HasPrefix(file, "init-") {
			return a.rec.Open || r.unread || number(file) <= header+1
		}
		return (a.rec.Open || r.unread) && number(file) > last
	}
	return false
}
