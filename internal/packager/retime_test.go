package packager

import (
	"bytes"
	"errors"
	"testing"

	"anabranch/internal/media"
)

// What was written and moved is as if it had been moved and written.
func TestRetime(t *testing.T) {
	cs := cut(t, testParams, interleave(pictures(90, 30, 30, true, 0), sounds(141, 48000, Origin), 48000))
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

		fragments, wanted := packFragments(t, cs), packFragments(t, moved)
		if err := RetimeCMAF(fragments, by, 48000); err != nil || !bytes.Equal(fragments, wanted) {
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
	var buf Chunk
	for range 2 {
		if c := cs[0].Moved(90, &buf); c.Video[0].DTS != before+90 || c.Audio[0].DTS != cs[0].Audio[0].DTS+48 || cs[0].Video[0].DTS != before {
			t.Fatalf("moved to %d and %d", c.Video[0].DTS, c.Audio[0].DTS)
		}
	}
	if n := testing.AllocsPerRun(10, func() { cs[0].Moved(90, &buf) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// Nothing that a disk may hold makes retiming fail otherwise than by an error.
func FuzzRetime(f *testing.F) {
	var m CMAF
	fragment, _ := m.Append(nil, &Chunk{Params: testParams, Video: pictures(2, 30, 2, false, 0), Audio: sounds(2, 48000, Origin)})
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
