package recorder

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

// record is a change of a recording's state, as its journal keeps it: one byte
// that says what it is, then JSON. Only parts, three a second for up to two
// days, are packed tighter.
type record interface {
	kind() byte
	// apply makes the change. It is an error when s is not in a state in which
	// the change can happen; s is then as it was.
	apply(s *state) error
}

// begun is the first record: all that must be known to go on without the
// database.
type begun struct {
	Recording resource.Recording `json:"recording"`
	Account   string             `json:"account"`
	Format    format             `json:"format"` // of the first stream; zero of a participant, to whom it does not matter
	Codecs    string             `json:"codecs"` // of its source
	// Renditions are those that are recorded, best first; none for the source
	// alone.
	Renditions []Rendition `json:"renditions,omitempty"`
	// Bare recordings have no renditions, because their configuration says so.
	Bare bool `json:"bare,omitempty"`
	// Thumbnails is nil for none.
	Thumbnails *thumbnails `json:"thumbnails,omitempty"`
	// Participant is nil for a channel's recording.
	Participant *participantLayout `json:"participant,omitempty"`
}

// joined says that a stream's media follows.
type joined struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
	// Provisional streams are in doubt: a settled record follows.
	Provisional bool `json:"provisional,omitempty"`
	// Object is the number of the stream's first object.
	Object int `json:"object"`
	// PostRoll is how long the ad break is that follows the recording if this is
	// its last stream, 0 for none.
	PostRoll time.Duration `json:"postRoll,omitempty"`
	// StageSession is the session of a publication.
	StageSession string `json:"stageSession,omitempty"`
}

// settled says whether the provisional stream stays in the recording.
type settled struct {
	Keep bool `json:"keep"`
}

// left says that the stream ended.
type left struct {
	At time.Time `json:"at"`
	// Elapsed is how much media there was so far, of a recording that keeps
	// thumbnails alone.
	Elapsed media.Ticks `json:"elapsed,omitempty"`
}

// header holds the initialization segment of a rendition for the objects that
// follow.
type header struct {
	Data      []byte `json:"data"`
	Rendition int    `json:"rendition,omitempty"`
}

// opened begins an object.
type opened struct {
	N             int  `json:"n"`
	Discontinuity bool `json:"discontinuity,omitempty"`
	Header        int  `json:"header"` // index of its initialization segment
	// Headers are the same by rendition, where there are several.
	Headers []int `json:"headers,omitempty"`
}

// part says what the last bytes of the open object's files are. It is one record
// for all renditions, so that they have the same parts.
type part struct {
	Object int
	// Start is on the run timeline, and like Duration in 90 kHz ticks.
	Start, Duration media.Ticks
	Time            time.Time // of Start, to the millisecond
	Segment         bool      // begins a live segment
	Independent     bool      // begins with a key frame
	// Tail is how far pictures are shown beyond the part's end, in 90 kHz ticks:
	// see [packager.Chunk].
	Tail media.Ticks
	Of   []share // by rendition
}

// share is what a rendition has of a part.
type share struct {
	// Size is in bytes, 0 where there is a hole; they lie behind those of the part
	// before.
	Size int64
	// TS is where the transport stream goes on behind the part.
	TS packager.TSState
	// Sum is the CRC32C of the bytes, 0 when it is not known. After a power cut a
	// file may have its size, but zeros where data was to come.
	Sum uint32
}

// closed ends the open object. Target is EXT-X-TARGETDURATION in seconds,
// fixed by the first object that closes.
type closed struct {
	Target int `json:"target"`
	// Tail is how much longer than its parts an object lasts whose stream was
	// torn off, in 90 kHz ticks.
	Tail media.Ticks `json:"tail,omitempty"`
}

// cut takes back the parts of an object that never reached the disk: all
// behind the first Parts. An object without parts is gone.
type cut struct {
	N     int `json:"n"`
	Parts int `json:"parts"`
}

// missing takes back what a rendition has of an object.
type missing struct {
	N         int `json:"n"`
	Rendition int `json:"rendition"`
}

// done says that a step towards the outside was taken.
type done struct {
	What      string `json:"what"`
	N         int    `json:"n,omitempty"`
	Rendition int    `json:"rendition,omitempty"`
}

// The steps of a done record.
const (
	probed       = "probed"    // the bucket takes objects
	told         = "told"      // the ledger knows the first N streams
	toldFailure  = "failed"    // the ledger knows that the recording failed
	announced    = "announced" // recording-started.json is stored
	storedHeader = "header"    // initialization segment N of a rendition is stored
	storedObject = "object"    // object N is stored, in all renditions
	syncedObject = "synced"    // all objects up to N are on the disk

	storedThumbnail  = "thumbnail"    // thumbnail N of the spool is stored
	droppedThumbnail = "no thumbnail" // it is not, and will not be
)

// ending says that no stream will join any more.
type ending struct {
	At time.Time `json:"at"`
	// Failure says why the recording failed; empty when it did not.
	Failure string                      `json:"failure,omitempty"`
	Code    resource.RecordingErrorCode `json:"code,omitempty"`
	// Refused recordings never started: the bucket turned them away.
	Refused bool `json:"refused,omitempty"`
}

// why says why the recording failed; zero when it did not.
func (e *ending) why() resource.RecordingFailure {
	why := resource.RecordingFailure{Code: e.Code, Reason: e.Failure}
	if why.Reason != "" && why.Code == "" {
		why.Code = resource.RecordingServerError
	}
	return why
}

const (
	kindBegun     = 'b'
	kindJoined    = 'j'
	kindSettled   = 's'
	kindLeft      = 'l'
	kindMeasured  = 'm'
	kindDescribed = 'v'
	kindHeader    = 'h'
	kindOpened    = 'o'
	kindPart      = 'p'
	kindClosed    = 'c'
	kindCut       = 'x'
	kindMissing   = 'y'
	kindDone      = 'd'
	kindEnding    = 'e'
	kindMarked    = 'a'
	kindThumbnail = 't'
	kindLost      = 'g'
)

func (*begun) kind() byte     { return kindBegun }
func (*joined) kind() byte    { return kindJoined }
func (*settled) kind() byte   { return kindSettled }
func (*left) kind() byte      { return kindLeft }
func (*measured) kind() byte  { return kindMeasured }
func (*described) kind() byte { return kindDescribed }
func (*header) kind() byte    { return kindHeader }
func (*opened) kind() byte    { return kindOpened }
func (*part) kind() byte      { return kindPart }
func (*closed) kind() byte    { return kindClosed }
func (*cut) kind() byte       { return kindCut }
func (*missing) kind() byte   { return kindMissing }
func (*done) kind() byte      { return kindDone }
func (*ending) kind() byte    { return kindEnding }
func (*marked) kind() byte    { return kindMarked }
func (*thumbnail) kind() byte { return kindThumbnail }
func (*lost) kind() byte      { return kindLost }

// encode is the record's form in the journal.
func encode(r record) ([]byte, error) {
	if p, ok := r.(*part); ok {
		return p.append(append(make([]byte, 0, 128), kindPart)), nil
	}
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode journal record %q: %w", r.kind(), err)
	}
	return append([]byte{r.kind()}, body...), nil
}

// decode reads what encode wrote.
func decode(b []byte) (record, error) {
	if len(b) == 0 {
		return nil, errors.New("journal record is empty")
	}
	var r record
	switch b[0] {
	case kindPart:
		return decodePart(b[1:])
	case kindBegun:
		r = &begun{}
	case kindJoined:
		r = &joined{}
	case kindSettled:
		r = &settled{}
	case kindLeft:
		r = &left{}
	case kindMeasured:
		r = &measured{}
	case kindDescribed:
		r = &described{}
	case kindHeader:
		r = &header{}
	case kindOpened:
		r = &opened{}
	case kindClosed:
		r = &closed{}
	case kindCut:
		r = &cut{}
	case kindMissing:
		r = &missing{}
	case kindDone:
		r = &done{}
	case kindEnding:
		r = &ending{}
	case kindMarked:
		r = &marked{}
	case kindThumbnail:
		r = &thumbnail{}
	case kindLost:
		r = &lost{}
	default:
		return nil, fmt.Errorf("journal record %q is of no known kind", b[0])
	}
	if err := json.Unmarshal(b[1:], r); err != nil {
		return nil, fmt.Errorf("decode journal record %q: %w", b[0], err)
	}
	return r, nil
}
