package packager

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"

	"anabranch/internal/media"
)

// Metadata goes out once and in order, at the picture that was the newest, in
// the part which that is in.
func TestMetadataPlace(t *testing.T) {
	stereo := func(video []media.Frame) []media.Frame {
		return interleave(video, sounds(len(video)*2, 48000, Origin), 48000)
	}
	silent := media.Params{Video: testVideo}
	for _, tt := range []struct {
		name   string
		params media.Params
		frames []media.Frame
	}{
		{"30 fps", testParams, stereo(pictures(120, 30, 60, false, 0))},
		{"with jitter", testParams, stereo(pictures(120, 30, 60, false, 5e6))},
		{"B-frames", testParams, stereo(pictures(118, 30, 60, true, 0))},
		{"no sound", silent, pictures(120, 30, 60, false, 0)},
		{"no sound, B-frames", silent, pictures(118, 30, 60, true, 0)},
		{"sound comes late", testParams, lagging(pictures(120, 30, 60, false, 0), sounds(240, 48000, Origin), 48000, 45_000)},
		{"sound does not come", testParams, pictures(240, 30, 60, false, 0)},
		{"one picture a second", testParams, stereo(pictures(12, 1, 2, false, 0))},
		{"a long group of pictures", testParams, stereo(pictures(400, 30, 300, false, 0))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var cs chunks
			var want []Metadata
			put := func(c *Cutter, at media.Ticks) {
				m := Metadata{at, fmt.Appendf(nil, "%d", len(want))}
				if !c.PutMetadata(m.Payload) {
					t.Fatalf("%d are too many", len(want))
				}
				want = append(want, m)
			}
			c := NewCutter(Origin, cs.emit)
			if err := c.Begin(tt.params); err != nil {
				t.Fatal(err)
			}
			put(c, Origin) // before there is any picture
			for i, f := range tt.frames {
				if err := c.Write(f); err != nil {
					t.Fatal(err)
				}
				if f.Kind == media.Video && i%7 == 0 {
					put(c, f.DTS)
				}
				if f.Kind == media.Video && i%21 == 0 {
					put(c, f.DTS)
				}
			}
			if err := c.Flush(); err != nil {
				t.Fatal(err)
			}
			cs.check(t)
			cs.checkMetadata(t, want)

			// Nothing else depends on it.
			without := cut(t, tt.params, tt.frames)
			for i := range cs {
				cs[i].Metadata = nil
			}
			if got, want := fmt.Sprint(cs), fmt.Sprint(without); got != want {
				t.Error("parts are cut in another way with metadata")
			}
		})
	}
}

// checkMetadata compares the metadata in the chunks.
func (cs chunks) checkMetadata(t testing.TB, want []Metadata) {
	t.Helper()
	var all []Metadata
	for i := range cs {
		for _, m := range cs[i].Metadata {
			if m.PTS < cs[i].Start || m.PTS >= cs[i].End() {
				t.Errorf("%s at %d is in the chunk from %d to %d", m.Payload, m.PTS, cs[i].Start, cs[i].End())
			}
			all = append(all, m)
		}
	}
	if !slices.EqualFunc(all, want, func(a, b Metadata) bool { return a.PTS == b.PTS && bytes.Equal(a.Payload, b.Payload) }) {
		t.Errorf("metadata is %v, want %v", told(all), told(want))
	}
}

func told(all []Metadata) (texts []string) {
	for _, m := range all {
		texts = append(texts, fmt.Sprintf("%s at %d", m.Payload, m.PTS))
	}
	return texts
}

// What comes around a join stays with the stream that was on air, or goes out
// with the first part of the next.
func TestMetadataJoin(t *testing.T) {
	var cs chunks
	c := NewCutter(Origin, cs.emit)
	write := func(frames []media.Frame) {
		t.Helper()
		for _, f := range frames {
			if err := c.Write(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	begin := func() {
		t.Helper()
		if err := c.Begin(testParams); err != nil {
			t.Fatal(err)
		}
	}
	begin()
	write(interleave(pictures(40, 30, 30, true, 0), sounds(62, 48000, Origin), 48000))
	newest := pictures(40, 30, 30, true, 0)[39].DTS
	c.PutMetadata([]byte("last"))
	begin()
	join := c.End()
	c.PutMetadata([]byte("between"))
	begin()                                    // again, before any picture
	late := pictures(40, 30, 60, false, 0)[1:] // the key frame is missing
	write(shift(late, join-Origin))
	c.PutMetadata([]byte("without a picture"))
	begin()
	c.PutMetadata([]byte("after it"))
	write(shift(pictures(60, 30, 60, false, 0), join-Origin))
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	cs.check(t)
	cs.checkMetadata(t, []Metadata{
		{newest, []byte("last")}, {join, []byte("between")},
		{join, []byte("without a picture")}, {join, []byte("after it")},
	})
}

// What waits is bounded.
func TestMetadataBound(t *testing.T) {
	var cs chunks
	c := NewCutter(Origin, cs.emit)
	if err := c.Begin(testParams); err != nil {
		t.Fatal(err)
	}
	var want []Metadata
	for i := range maxMetadata {
		want = append(want, Metadata{Origin, fmt.Append(nil, i)})
		if !c.PutMetadata(want[i].Payload) {
			t.Fatalf("%d are too many", i)
		}
	}
	if c.PutMetadata(nil) {
		t.Error("one more than may wait")
	}
	for _, f := range interleave(pictures(30, 30, 30, false, 0), sounds(47, 48000, Origin), 48000) {
		if err := c.Write(f); err != nil {
			t.Fatal(err)
		}
	}
	if !c.PutMetadata(nil) {
		t.Error("none may wait after a part has ended")
	}
	cs.checkMetadata(t, want)
}

// The tag, byte by byte.
func TestMetadataTag(t *testing.T) {
	const owner = "metadata.live-video.net\x00" // 24 bytes
	for _, tt := range []struct{ payload, tag, frame string }{
		{"x", "00000023", "00000019"},
		{"größer", "0000002a", "00000020"},
		{strings.Repeat("x", 127-24), "00000109", "0000007f"},
		{strings.Repeat("x", 128-24), "0000010a", "00000100"},
		{strings.Repeat("x", 1024), "00000822", "00000818"},
	} {
		size := func(s string) string { return string(must(hex.DecodeString(s))) }
		want := "before" + "ID3\x04\x00\x00" + size(tt.tag) + "PRIV" + size(tt.frame) + "\x00\x00" + owner + tt.payload
		got := appendMetadataTag([]byte("before"), []byte(tt.payload))
		if string(got) != want {
			t.Errorf("%d bytes: %x, want %x", len(tt.payload), got, want)
		}
		if n := metadataTagSize([]byte(tt.payload)); n != len(got)-len("before") {
			t.Errorf("%d bytes: the tag has %d, not %d", len(tt.payload), len(got)-len("before"), n)
		}
	}
}

// testMetadata are two at one place and one beyond 2³² ticks.
var testMetadata = []Metadata{
	{Origin + 3000, []byte("first")}, {Origin + 3000, []byte("größer")}, {1<<32 + 5, bytes.Repeat([]byte("x"), 1024)},
}

// The box, byte by byte, and as another implementation reads it.
func TestMetadataEvent(t *testing.T) {
	got := appendEvents(nil, nil, &Chunk{Metadata: testMetadata[:1]})
	want := "\x00\x00\x00\x6f" + "emsg" + "\x01\x00\x00\x00" + // version, flags
		"\x00\x01\x5f\x90" + // timescale
		"\x00\x00\x00\x00\x00\x0d\xc7\x58" + // presentation_time
		"\xff\xff\xff\xff" + "\x00\x0d\xc7\x59" + // event_duration, id
		"https://aomedia.org/emsg/ID3\x00" + "\x00" + // scheme_id_uri, value
		string(appendMetadataTag(nil, []byte("first")))
	if string(got) != want {
		t.Errorf("got %x\nwant %x", got, want)
	}

	c := &Chunk{Params: testParams, Start: Origin, Segment: true, Time: epoch, Ready: epoch, Video: pictures(2, 30, 2, true, 0), Metadata: testMetadata}
	fragment, err := new(CMAF).Append(nil, c)
	if err != nil {
		t.Fatal(err)
	}
	events := parseEvents(t, fragment)
	if len(events) != 1+len(testMetadata) {
		t.Fatalf("%d events", len(events))
	}
	if tag := readID3(t, events[0].data); events[0].at != c.Video[0].PTS || tag != `TDEN=2026-03-01T10:00:00 TDTG=2026-03-01T10:00:00 TSSE=Anabranch `+
		`TXXX=segmentmetadata|{"cmd":"ld_lat_data","ingest_r":1772359200000,"transc_r":1772359200000,"stream_offset":0.000}` {
		t.Errorf("the segment's event at %d is %s", events[0].at, tag)
	}
	for i, m := range testMetadata {
		if e := events[1+i]; e.at != m.PTS || !bytes.Equal(e.data, appendMetadataTag(nil, m.Payload)) {
			t.Errorf("event %d at %d is %q", i, e.at, e.data)
		}
	}
	c.Segment = false
	if fragment, err = new(CMAF).Append(nil, c); err != nil || len(parseEvents(t, fragment)) != len(testMetadata) {
		t.Errorf("inside a segment there are %d events: %v", len(parseEvents(t, fragment)), err)
	}
}

type event struct {
	at   media.Ticks
	data []byte
}

// parseEvents reads the boxes before a moof with another implementation.
func parseEvents(t *testing.T, fragment []byte) (all []event) {
	t.Helper()
	seen := make(map[uint32]bool)
	for r := bytes.NewReader(fragment); ; {
		box, err := mp4.DecodeBox(0, r)
		if err != nil {
			t.Fatal(err)
		}
		e, ok := box.(*mp4.EmsgBox)
		if !ok {
			if box.Type() != "moof" {
				t.Errorf("the events are followed by a box %s", box.Type())
			}
			return all
		}
		if e.SchemeIDURI != "https://aomedia.org/emsg/ID3" || e.Value != "" || e.TimeScale != 90_000 || e.EventDuration != 0xFFFF_FFFF || seen[e.ID] {
			t.Errorf("event %d is %+v", len(all), e)
		}
		seen[e.ID] = true
		all = append(all, event{media.Ticks(e.PresentationTime), e.MessageData})
	}
}

// In a transport stream each is a PES packet at its place, behind the tables
// and the tag of the segment.
func TestMetadataTS(t *testing.T) {
	for _, segment := range []bool{true, false} {
		ts := NewTS(TSState{Tag: 15})
		ts.tables = true
		b, err := ts.Append(nil, &Chunk{Params: testParams, Start: Origin, Duration: 6000, Segment: segment, Video: pictures(2, 30, 2, false, 0), Metadata: testMetadata})
		if err != nil {
			t.Fatal(err)
		}
		_, tags, _, _ := parseTS(t, b, TSState{Tag: 15})
		if segment {
			tags = tags[1:]
		}
		if len(tags) != len(testMetadata) {
			t.Fatalf("%d tags", len(tags))
		}
		for i, m := range testMetadata {
			if tags[i].pts != m.PTS || !bytes.Equal(tags[i].data, appendMetadataTag(nil, m.Payload)) {
				t.Errorf("tag %d at %d is %q", i, tags[i].pts, tags[i].data)
			}
		}
	}
	many := &Chunk{Params: testParams, Metadata: slices.Repeat(testMetadata[2:], maxMetadata)}
	if b, err := NewTS(TSState{}).Append(nil, many); err != nil || tsSize(many) < len(b) {
		t.Errorf("%d bytes are more than the %d reckoned with: %v", len(b), tsSize(many), err)
	}
}

// ffmpeg reads media with metadata as it reads it without, and finds the tags
// in a transport stream.
func TestMetadataPlays(t *testing.T) {
	for _, src := range realSources(t)[:2] {
		t.Run(src.name, func(t *testing.T) {
			cs := cut(t, src.params, src.frames)
			segments, count := len(cs.segments()), 0
			for i := range cs {
				for range i % 3 {
					cs[i].Metadata = append(cs[i].Metadata, Metadata{cs[i].Start, bytes.Repeat([]byte("größer "), 1+i)})
					count++
				}
			}
			packets, _ := probe(t, "a.mp4", packCMAF(t, src.params, cs))
			comparePackets(t, packets["video"], cs.video())
			comparePackets(t, packets["audio"], cs.audio())
			packets, _ = probe(t, "a.ts", packTS(t, NewTS(TSState{}), cs))
			if got := len(packets["data"]); got != segments+count {
				t.Errorf("%d tags, want %d", got, segments+count)
			}
			if got, want := len(packets["video"]), len(cs.video()); got != want {
				t.Errorf("%d pictures, want %d", got, want)
			}
		})
	}
}
