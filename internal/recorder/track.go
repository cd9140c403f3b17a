package recorder

import (
	"anabranch/internal/media"
	"anabranch/internal/packager"
)

// track is a rendition of a take that is recorded.
type track struct {
	of     int          // its index among the stream's renditions
	params media.Params // of its last part; zero before the first
	ts     *packager.TS
	cmaf   packager.CMAF  // for moved chunks
	moved  packager.Chunk // reused

	// lost says that a part could not be packaged: what follows can be decoded from
	// the next key frame on.
	lost bool

	// What follows is of the part being written.
	chunk *packager.Chunk // nil for a hole
	given []byte          // its CMAF form, unless it was moved
}

// ready says whether there is anything to record yet. Pictures begin at a key
// frame; sound alone, which may be there before, would let a channel's recording
// begin amid a group of pictures, and measure half of it.
func (t *Take) ready(all []Rendered) bool {
	for i := range t.tracks {
		of := t.tracks[i].of
		if of < len(all) && all[of].Chunk != nil && (all[of].Chunk.Params.Video != nil || t.begins.layout().mixed()) {
			return true
		}
	}
	return len(t.tracks) == 0
}

// load takes in a part: c is the source's chunk.
func (t *Take) load(c *packager.Chunk, all []Rendered) {
	for i := range t.tracks {
		tr := &t.tracks[i]
		tr.chunk, tr.given = nil, nil
		tr.lost = tr.lost && !(c.Segment && c.Independent)
		switch {
		case tr.of >= len(all) || all[tr.of].Chunk == nil || tr.lost:
		case t.began && t.rec.provisional() != nil && !tr.params.Equal(all[tr.of].Chunk.Params):
			// A stream in doubt has one object, which can be moved: what begins in its
			// midst waits for the next.
		case t.by != 0:
			tr.chunk = all[tr.of].Chunk.Moved(t.by, &tr.moved)
		default:
			tr.chunk, tr.given = all[tr.of].Chunk, all[tr.of].CMAF
		}
	}
}

// changed says whether a rendition is made of something else than before the
// part; known leaves out those that had no media yet.
func (t *Take) changed(known bool) bool {
	for i := range t.tracks {
		tr := &t.tracks[i]
		if tr.chunk == nil || known && tr.params == (media.Params{}) {
			continue
		}
		if !tr.params.Equal(tr.chunk.Params) {
			return true
		}
	}
	return false
}

// pack is the part in rendition i as the recording's container has it, valid
// until the next call; nil for a hole. What cannot be packaged is one.
func (t *Take) pack(i int) []byte {
	tr := &t.tracks[i]
	var err error
	switch {
	case tr.chunk == nil:
		return nil
	case !t.rec.fragmented():
		t.buf, err = tr.ts.Append(t.buf[:0], tr.chunk)
	case tr.given == nil:
		t.buf, err = tr.cmaf.Append(t.buf[:0], tr.chunk)
	default:
		return tr.given
	}
	if err != nil {
		t.rec.log.Warn("part cannot be packaged and is left out", "stream", t.stream.ID, "rendition", i, "error", err)
		tr.lost = true
		return nil
	}
	return t.buf
}
