package packager

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"anabranch/internal/media"
)

// What was written and moved is as if it had been moved and written.
func TestRetime(t *testing.T) {
	cs := cut(t, testParams, interleave(pictures(90, 30, 30, true, 0), sounds(141, 48000, Origin), 48000))
	cs[0].Metadata = []Metadata{{cs[0].Start + 3000, []byte("a")}, {cs[0].Start + 6000, []byte("b")}}
	cs[3].Metadata = []Metadata{{cs[3].Start, bytes.Repeat([]byte("c"), 1024)}}
	for _, by := range []media.Ticks{0, 3 * media.VideoRate, -7 * media.VideoRate, (1<<33/media.VideoRate - 10) * media.VideoRate} {
		var moved chunks
		for i := range cs {
			if err := moved.emit(cs[i].Moved(by, new(Chunk))); err != nil {
				t.Fatal(err)
			}
		}
		if got := moved[0].Start - cs[0].Start; got != by {
			t.Errorf("moved by %d, not %d", got, by)
		}
		stream := packTS(t, NewTS(TSState{}), cs)
		RetimeTS(stream, by)
		want := packTS(t, NewTS(TSState{}), moved)
		if !bytes.Equal(untagged(stream), untagged(want)) {
			t.Errorf("the transport stream differs when moved by %d", by)
		}
		_, got, _, _ := parseTS(t, stream, TSState{})
		_, tags, _, _ := parseTS(t, want, TSState{})
		for i := range tags {
			if got[i].pts != tags[i].pts {
				t.Errorf("tag %d is at %d, not %d", i, got[i].pts, tags[i].pts)
			}
		}
		if n := len(cs.segments()) + 3; len(tags) != n || len(got) != n {
			t.Errorf("%d and %d tags, not %d", len(got), len(tags), n)
		}

		fragments, wanted := packFragments(t, cs), packFragments(t, moved)
		if err := RetimeCMAF(fragments, by, 48000); err != nil || !bytes.Equal(untold(t, fragments), untold(t, wanted)) {
			t.Errorf("fragments differ when moved by %d: %v", by, err)
		}
	}
}

// untagged leaves out the tags, whose text tells a time too.
func untagged(stream []byte) (rest []byte) {
	for p := stream; len(p) > 0; p = p[packetSize:] {
		if p[2] != 0x02 {
			rest = append(rest, p[:packetSize]...)
		}
	}
	return rest
}

// untold leaves out what the segments' events tell, but not their times.
func untold(t *testing.T, fragments []byte) (rest []byte) {
	t.Helper()
	for b := fragments; len(b) > 0; {
		box := b[:binary.BigEndian.Uint32(b)]
		b = b[len(box):]
		if bytes.Contains(box, []byte("segmentmetadata")) {
			box = box[boxHeader : eventHeader+len(eventScheme)]
		}
		rest = append(rest, box...)
	}
	return rest
}

func packFragments(t *testing.T, cs chunks) (fragments []byte) {
	t.Helper()
	var m CMAF
	for i := range cs {
		var err error
		if fragments, err = m.Append(fragments, &cs[i]); err != nil {
			t.Fatal(err)
		}
	}
	return fragments
}

// A chunk is moved in a buffer, and stays as it is.
func TestMovedTwice(t *testing.T) {
	cs := cut(t, testParams, interleave(pictures(30, 30, 30, false, 0), sounds(47, 48000, Origin), 48000))
	before := cs[0].Video[0].DTS
	cs[0].Metadata = []Metadata{{PTS: 7}}
	var buf Chunk
	for range 2 {
		if c := cs[0].Moved(90, &buf); c.Video[0].DTS != before+90 || c.Audio[0].DTS != cs[0].Audio[0].DTS+48 || cs[0].Video[0].DTS != before {
			t.Fatalf("moved to %d and %d", c.Video[0].DTS, c.Audio[0].DTS)
		}
		if c := cs[0].Moved(90, &buf); c.Metadata[0].PTS != 97 || cs[0].Metadata[0].PTS != 7 {
			t.Fatalf("metadata moved to %d, from %d", c.Metadata[0].PTS, cs[0].Metadata[0].PTS)
		}
		if c := cs[0].Moved(90, &buf); c.NextKey != 0 || cs[0].NextKey != 0 {
			t.Fatalf("no key frame moved to %d, from %d", c.NextKey, cs[0].NextKey)
		}
		if c := cs[len(cs)-1].Moved(90, &buf); c.NextKey != c.End() {
			t.Fatalf("the stream's end moved to %d, the chunk's to %d", c.NextKey, c.End())
		}
	}
	if n := testing.AllocsPerRun(10, func() { cs[0].Moved(90, &buf) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// Nothing that a disk may hold makes retiming fail otherwise than by an error.
func FuzzRetime(f *testing.F) {
	var m CMAF
	fragment, _ := m.Append(nil, &Chunk{Params: testParams, Video: pictures(2, 30, 2, false, 0), Audio: sounds(2, 48000, Origin), Metadata: testMetadata})
	f.Add(fragment)
	f.Add(fragment[:len(fragment)-1])
	f.Add(bytes.Repeat([]byte{0x47, 0x41, 0x01, 0x30, 0xFF}, 80))
	f.Fuzz(func(t *testing.T, b []byte) {
		RetimeTS(bytes.Clone(b), 90)
		if err := RetimeCMAF(b, 90, 48000); err != nil && !errors.Is(err, errNotCMAF) {
			t.Error(err)
		}
	})
}
