package audit

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"
)

// maxBox bounds the boxes that are read into memory, in bytes.
const maxBox = 1 << 20

// fmp4Reader reads fragments (ISO 14496-12 §8.8) that go on from one object to
// the next.
type fmp4Reader struct {
	tracks map[uint32]*fmp4Track // by id
	torn   bool                  // there may be holes before key frames
	exact  bool                  // each track goes on in every object where it ended in the one before
	area   int                   // of the largest pictures, in pixels
}

type fmp4Track struct {
	timescale int64
	video     bool
	extends   *mp4.TrexBox
	end       int64 // of its last sample
	begun     bool  // it has one
}

// restart lets the next object begin anywhere.
func (f *fmp4Reader) restart() {
	for _, t := range f.tracks {
		t.begun = false
	}
}

func (*fmp4Reader) wrap() time.Duration { return 0 }

// init reads an initialization segment. Tracks that were there stay what they
// were.
func (f *fmp4Reader) init(text []byte) error {
	file, err := mp4.DecodeFile(bytes.NewReader(text))
	if err != nil || file.Init == nil || file.Init.Moov == nil || file.Init.Moov.Mvex == nil {
		return flawf("it is no initialization segment")
	}
	before := f.tracks
	f.tracks = make(map[uint32]*fmp4Track)
	for _, trak := range file.Init.Moov.Traks {
		if trak.Tkhd == nil || trak.Mdia == nil || trak.Mdia.Mdhd == nil || trak.Mdia.Hdlr == nil || trak.Mdia.Mdhd.Timescale == 0 {
			return flawf("a track of it is incomplete")
		}
		t := &fmp4Track{timescale: int64(trak.Mdia.Mdhd.Timescale), video: trak.Mdia.Hdlr.HandlerType == "vide"}
		t.extends, _ = file.Init.Moov.Mvex.GetTrex(trak.Tkhd.TrackID)
		if t.video {
			f.area = max(f.area, int(trak.Tkhd.Width>>16)*int(trak.Tkhd.Height>>16))
		}
		if was := before[trak.Tkhd.TrackID]; was != nil && (was.timescale != t.timescale || was.video != t.video) {
			return flawf("track %d is another one than before", trak.Tkhd.TrackID)
		}
		f.tracks[trak.Tkhd.TrackID] = t
	}
	if f.exact && before != nil && len(before) != len(f.tracks) {
		return flawf("it has %d tracks, and the one before %d", len(f.tracks), len(before))
	}
	return nil
}

func (f *fmp4Reader) read(r *bufio.Reader) (begin beginnings, holes []time.Duration, err error) {
	begin = nowhere
	for boxes := 0; ; boxes++ {
		head, err := r.Peek(8)
		if errors.Is(err, io.EOF) && len(head) == 0 && boxes > 0 {
			return begin, holes, nil
		}
		if errors.Is(err, io.EOF) {
			return begin, holes, flawf("it ends within a box")
		}
		if err != nil {
			return begin, holes, err
		}
		size, kind := int64(binary.BigEndian.Uint32(head)), string(head[4:8])
		if size < 8 {
			return begin, holes, flawf("a box of it has %d bytes", size)
		}
		if kind != "moof" {
			switch _, err := io.CopyN(io.Discard, r, size); {
			case errors.Is(err, io.EOF):
				return begin, holes, flawf("it ends within a box %q", kind)
			case err != nil:
				return begin, holes, err
			}
			continue
		}
		if size > maxBox {
			return begin, holes, flawf("a moof of it has %d bytes", size)
		}
		text := make([]byte, size)
		switch _, err := io.ReadFull(r, text); {
		case errors.Is(err, io.ErrUnexpectedEOF):
			return begin, holes, flawf("it ends within a moof")
		case err != nil:
			return begin, holes, err
		}
		hole, err := f.fragment(text, &begin)
		if err != nil {
			return begin, holes, err
		}
		if hole != absent {
			holes = append(holes, hole)
		}
	}
}

// time is a time on the track's clock.
func (t *fmp4Track) time(n int64) time.Duration {
	return time.Duration(n/t.timescale)*time.Second + time.Duration(n%t.timescale)*time.Second/time.Duration(t.timescale)
}

// fragment reads a moof, and returns where it goes on behind a hole; absent
// without one.
func (f *fmp4Reader) fragment(text []byte, begin *beginnings) (hole time.Duration, err error) {
	hole = absent
	box, err := mp4.DecodeBox(0, bytes.NewReader(text))
	moof, ok := box.(*mp4.MoofBox)
	if err != nil || !ok {
		return hole, flawf("a moof of it cannot be read")
	}
	torn, key := false, true // so is sound alone
	for _, traf := range moof.Trafs {
		if traf.Tfhd == nil || traf.Tfdt == nil {
			return hole, flawf("a fragment of it is incomplete")
		}
		t := f.tracks[traf.Tfhd.TrackID]
		if t == nil {
			return hole, flawf("it has a track %d, of which the initialization segment does not tell", traf.Tfhd.TrackID)
		}
		at := int64(traf.Tfdt.BaseMediaDecodeTime())
		length := int64(0)
		for _, run := range traf.Truns {
			length += int64(run.AddSampleDefaultValues(traf.Tfhd, t.extends))
		}
		shown := at
		if len(traf.Truns) > 0 && len(traf.Truns[0].Samples) > 0 {
			first := &traf.Truns[0].Samples[0]
			shown += int64(first.CompositionTimeOffset)
			key = key && (!t.video || first.IsSync())
		}
		switch {
		case f.exact && t.begun && at != t.end:
			return hole, flawf("a fragment of track %d begins at %d, the one before ends at %d", traf.Tfhd.TrackID, at, t.end)
		case t.video && begin.decoded == absent:
			begin.decoded, begin.shown, begin.key = t.time(at), t.time(shown), key
		case !t.video && begin.heard == absent:
			begin.heard = t.time(shown)
		case at > t.end && f.torn:
			if torn = true; t.video || begin.decoded == absent {
				hole = t.time(at)
			}
		case at != t.end:
			return hole, flawf("a fragment of track %d begins at %d, the one before ends at %d", traf.Tfhd.TrackID, at, t.end)
		}
		t.end, t.begun = at+length, true
	}
	if torn && !key {
		return hole, flawf("behind a hole it does not go on with a key frame")
	}
	return hole, nil
}
