package recorder

import (
	"encoding/binary"
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
	Format    format             `json:"format"` // of the first stream
	Codecs    string             `json:"codecs"`
	// Bare recordings have no renditions, because their configuration says so.
	Bare bool `json:"bare,omitempty"`
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
}

// settled says whether the provisional stream stays in the recording.
type settled struct {
	Keep bool `json:"keep"`
}

// left says that the stream ended.
type left struct {
	At time.Time `json:"at"`
}

// header holds the initialization segment for the objects that follow.
type header struct {
	Data []byte `json:"data"`
}

// opened begins an object.
type opened struct {
	N             int  `json:"n"`
	Discontinuity bool `json:"discontinuity,omitempty"`
	Header        int  `json:"header"` // index of its initialization segment
}

// part says what the last bytes of the open object are.
type part struct {
	Object int
	// Size is in bytes; the part lies behind the one before it.
	Size int64
	// Start is on the run timeline, and like Duration in 90 kHz ticks.
	Start, Duration media.Ticks
	Time            time.Time // of Start, to the millisecond
	Segment         bool      // begins a live segment
	Independent     bool      // begins with a key frame
	// Tail is how far pictures are shown beyond the part's end, in 90 kHz ticks:
	// see [packager.Chunk].
	Tail media.Ticks
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

// done says that a step towards the outside was taken.
type done struct {
	What string `json:"what"`
	N    int    `json:"n,omitempty"`
}

// The steps of a done record.
const (
	probed       = "probed"    // the bucket takes objects
	told         = "told"      // the ledger knows the first N streams
	toldFailure  = "failed"    // the ledger knows that the recording failed
	announced    = "announced" // recording-started.json is stored
	storedHeader = "header"    // initialization segment N is stored
	storedObject = "object"    // object N is stored
	syncedObject = "synced"    // all objects up to N are on the disk
)

// ending says that no stream will join any more.
type ending struct {
	At time.Time `json:"at"`
	// Failure says why the recording failed; empty when it did not.
	Failure string `json:"failure,omitempty"`
	// Refused recordings never started: the bucket turned them away.
	Refused bool `json:"refused,omitempty"`
}

const (
	kindBegun    = 'b'
	kindJoined   = 'j'
	kindSettled  = 's'
	kindLeft     = 'l'
	kindMeasured = 'm'
	kindHeader   = 'h'
	kindOpened   = 'o'
	kindPart     = 'p'
	kindClosed   = 'c'
	kindCut      = 'x'
	kindDone     = 'd'
	kindEnding   = 'e'
	kindMarked   = 'a'
)

func (*begun) kind() byte    { return kindBegun }
func (*joined) kind() byte   { return kindJoined }
func (*settled) kind() byte  { return kindSettled }
func (*left) kind() byte     { return kindLeft }
func (*measured) kind() byte { return kindMeasured }
func (*header) kind() byte   { return kindHeader }
func (*opened) kind() byte   { return kindOpened }
func (*part) kind() byte     { return kindPart }
func (*closed) kind() byte   { return kindClosed }
func (*cut) kind() byte      { return kindCut }
func (*done) kind() byte     { return kindDone }
func (*ending) kind() byte   { return kindEnding }
func (*marked) kind() byte   { return kindMarked }

// encode is the record's form in the journal.
func encode(r record) ([]byte, error) {
	dst := []byte{r.kind()}
	if p, ok := r.(*part); ok {
		return p.append(dst), nil
	}
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode journal record %q: %w", r.kind(), err)
	}
	return append(dst, body...), nil
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
	case kindHeader:
		r = &header{}
	case kindOpened:
		r = &opened{}
	case kindClosed:
		r = &closed{}
	case kindCut:
		r = &cut{}
	case kindDone:
		r = &done{}
	case kindEnding:
		r = &ending{}
	case kindMarked:
		r = &marked{}
	default:
		return nil, fmt.Errorf("journal record %q is of no known kind", b[0])
	}
	if err := json.Unmarshal(b[1:], r); err != nil {
		return nil, fmt.Errorf("decode journal record %q: %w", b[0], err)
	}
	return r, nil
}

const (
	flagSegment = 1 << iota
	flagIndependent
	flagTail // it is not 0
)

// append packs p: flags, the numbers as varints, the five counters, the checksum.
func (p *part) append(dst []byte) []byte {
	var flags byte
	if p.Segment {
		flags |= flagSegment
	}
	if p.Independent {
		flags |= flagIndependent
	}
	if p.Tail != 0 {
		flags |= flagTail
	}
	dst = append(dst, flags)
	for _, n := range [...]int64{
		int64(p.Object), p.Size, int64(p.Start), int64(p.Duration), p.Time.UnixMilli(), int64(p.TS.Segments),
	} {
		dst = binary.AppendVarint(dst, n)
	}
	if p.Tail != 0 {
		dst = binary.AppendVarint(dst, int64(p.Tail))
	}
	dst = append(dst, p.TS.PAT, p.TS.PMT, p.TS.Video, p.TS.Audio, p.TS.Tag)
	return binary.LittleEndian.AppendUint32(dst, p.Sum)
}

func decodePart(b []byte) (*part, error) {
	torn := errors.New("decode journal record of a part: too short")
	if len(b) == 0 {
		return nil, torn
	}
	flags, b := b[0], b[1:]
	var n [7]int64
	for i := range n {
		if i == 6 && flags&flagTail == 0 {
			break
		}
		v, size := binary.Varint(b)
		if size <= 0 {
			return nil, torn
		}
		n[i], b = v, b[size:]
	}
	if len(b) != 9 {
		return nil, torn
	}
	return &part{
		Object: int(n[0]), Size: n[1],
		Start: media.Ticks(n[2]), Duration: media.Ticks(n[3]), Time: time.UnixMilli(n[4]).UTC(),
		Segment: flags&flagSegment != 0, Independent: flags&flagIndependent != 0, Tail: media.Ticks(n[6]),
		TS:  packager.TSState{PAT: b[0], PMT: b[1], Video: b[2], Audio: b[3], Tag: b[4], Segments: uint32(n[5])},
		Sum: binary.LittleEndian.Uint32(b[5:]),
	}, nil
}
