package packager

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"

	"anabranch/internal/media"
)

// packTS writes all chunks with one writer.
func packTS(t testing.TB, ts *TS, cs chunks) (stream []byte) {
	t.Helper()
	for i := range cs {
		var err error
		if stream, err = ts.Append(stream, &cs[i]); err != nil {
			t.Fatal(err)
		}
	}
	return stream
}

// Players read the very pictures and times that the encoder made.
func TestTSPlays(t *testing.T) {
	for _, src := range realSources(t) {
		t.Run(src.name, func(t *testing.T) {
			cs := cut(t, src.params, src.frames)
			packets, streams := probe(t, "a.ts", packTS(t, NewTS(TSState{}), cs))
			v := streams["video"]
			if v.ID != "0x101" || v.Width != 320 || v.Height != 180 || v.FramesRead != strconv.Itoa(len(cs.video())) {
				t.Errorf("video stream is %+v, want %d frames", v, len(cs.video()))
			}
			tags, segments := packets["data"], cs.segments()
			if d := streams["data"]; d.ID != "0x102" || d.CodecName != "timed_id3" || len(tags) != len(segments) {
				t.Errorf("data stream is %+v with %d tags, want one in each of %d segments", d, len(tags), len(segments))
			}
			got, want := packets["video"], cs.video()
			for i := range want {
				if g, w := got[i], want[i]; g.PTS != w.PTS || g.DTS != w.DTS || g.Key != w.Key {
					t.Fatalf("picture %d is %+v, want DTS %d, PTS %d, key %v", i, g, w.DTS, w.PTS, w.Key)
				}
			}
			if src.params.Audio == nil {
				if _, ok := streams["audio"]; ok {
					t.Error("there is an audio stream")
				}
				return
			}
			if a := streams["audio"]; a.ID != "0x100" || a.SampleRate != strconv.Itoa(src.params.Audio.SampleRate) ||
				a.Channels != src.params.Audio.Channels || a.FramesRead != strconv.Itoa(len(cs.audio())) {
				t.Errorf("audio stream is %+v, want %d frames", a, len(cs.audio()))
			}
			for i, f := range cs.audio() {
				want := f.DTS.Rescale(src.params.Audio.SampleRate, media.VideoRate)
				if d := packets["audio"][i].PTS - want; d < -1 || d > 1 { // what ffmpeg adds up from the PES's PTS
					t.Fatalf("audio frame %d at %d, want %d", i, packets["audio"][i].PTS, want)
				}
			}
		})
	}
}

// A stream of sound alone has its clock with the sound, every 100 ms, and tags as
// any other has.
func TestTSSoundAlone(t *testing.T) {
	for _, src := range realSources(t) {
		if src.params.Audio == nil {
			continue
		}
		t.Run(src.name, func(t *testing.T) {
			pictured := cut(t, src.params, src.frames)
			cs := soundOnly(pictured)
			stream := packTS(t, NewTS(TSState{}), cs)
			units, tags, clocks, tables := parseTS(t, stream, TSState{})
			if want := len(pictured.segments()); tables != 2*want || len(tags) != want {
				t.Errorf("%d tables and %d tags in %d segments", tables, len(tags), want)
			}
			if clock := binary.BigEndian.Uint16(stream[packetSize+5+8:]) & 0x1FFF; clock != audioPID {
				t.Errorf("the PMT tells of a clock with PID %d", clock)
			}
			for i, u := range units {
				if u.pid != audioPID || !u.key || i > 0 && u.pts <= units[i-1].pts {
					t.Fatalf("unit %d is %d at %d", i, u.pid, u.pts)
				}
			}
			for i := 1; i < len(clocks); i++ {
				if d := clocks[i] - clocks[i-1]; d <= 0 || d > pcrInterval {
					t.Errorf("clock reference %d is %d ticks after the last", i, d)
				}
			}
			if clocks[0] != units[0].pts-pcrLead || clocks[len(clocks)-1] != units[len(units)-1].pts-pcrLead {
				t.Errorf("clock references from %d to %d, sound from %d to %d", clocks[0], clocks[len(clocks)-1], units[0].pts, units[len(units)-1].pts)
			}
			packets, streams := probe(t, "a.ts", stream)
			if a := streams["audio"]; len(streams) != 2 || a.ID != "0x100" || a.FramesRead != strconv.Itoa(len(cs.audio())) {
				t.Errorf("streams are %+v, want %d frames", streams, len(cs.audio()))
			}
			for i, f := range cs.audio() {
				want := f.DTS.Rescale(src.params.Audio.SampleRate, media.VideoRate)
				if d := packets["audio"][i].PTS - want; d < -1 || d > 1 {
					t.Fatalf("audio frame %d at %d, want %d", i, packets["audio"][i].PTS, want)
				}
			}

			// The times can be moved, as any other stream's.
			moved := slices.Clone(stream)
			RetimeTS(moved, 9000)
			later, _, ticks, _ := parseTS(t, moved, TSState{})
			for i := range later {
				if later[i].pts != units[i].pts+9000 {
					t.Fatalf("unit %d moved from %d to %d", i, units[i].pts, later[i].pts)
				}
			}
			for i := range ticks {
				if ticks[i] != clocks[i]+9000 {
					t.Fatalf("clock reference %d moved from %d to %d", i, clocks[i], ticks[i])
				}
			}
		})
	}
}

// The clock goes on evenly where AAC frames are longer than its interval, and where
// a chunk has none.
func TestTSSoundAloneClock(t *testing.T) {
	slow := must(media.ParseAAC([]byte{0x15, 0x88})) // 8 kHz, mono
	frames := interleave(pictures(60, 30, 30, true, 0), sounds(20, 8000, Origin), 8000)
	cs := soundOnly(cut(t, media.Params{Video: testVideo, Audio: slow}, frames))
	cs = slices.Insert(cs, 1, Chunk{Params: cs[0].Params, Start: cs[0].End(), Duration: 90})
	stream := packTS(t, NewTS(TSState{}), cs)
	_, _, clocks, _ := parseTS(t, stream, TSState{})
	for i := 1; i < len(clocks); i++ {
		if d := clocks[i] - clocks[i-1]; d <= 0 || d > pcrInterval {
			t.Errorf("clock reference %d is %d ticks after the last", i, d)
		}
	}
	for p := stream; len(p) > 0; p = p[packetSize:] {
		if pid := binary.BigEndian.Uint16(p[1:]) & 0x1FFF; pid == videoPID {
			t.Fatal("there is a packet of video")
		}
	}
}

// Another implementation reads the same access units.
func TestTSReader(t *testing.T) {
	for _, src := range realSources(t) {
		t.Run(src.name, func(t *testing.T) {
			cs := cut(t, src.params, src.frames)
			r := &mpegts.Reader{R: bytes.NewReader(packTS(t, NewTS(TSState{}), cs))}
			if err := r.Initialize(); err != nil {
				t.Fatal(err)
			}
			r.OnDecodeError(func(err error) { t.Error(err) })
			video, audio := cs.video(), cs.audio()
			for _, track := range r.Tracks() {
				if track.PID == audioPID {
					r.OnDataMPEG4Audio(track, func(pts int64, frames [][]byte) error {
						if want := audio[0].PTS.Rescale(src.params.Audio.SampleRate, media.VideoRate); media.Ticks(pts) != want {
							t.Errorf("audio at %d, want %d", pts, want)
						}
						for _, f := range frames {
							if !bytes.Equal(f, audio[0].Payload) {
								t.Error("audio frame differs")
							}
							audio = audio[1:]
						}
						return nil
					})
					continue
				}
				if track.PID == tagPID {
					continue // read below
				}
				r.OnDataH264(track, func(pts, dts int64, unit [][]byte) error {
					var want h264.AVCC
					if err := want.Unmarshal(video[0].Payload); err != nil {
						return err
					}
					// The reader leaves delimiters out.
					want = slices.DeleteFunc(want, func(nal []byte) bool { return nal[0]&0x1F == nalDelimiter })
					if !slices.EqualFunc(unit, want, bytes.Equal) {
						t.Errorf("access unit at %d differs: %d NAL units, want %d", dts, len(unit), len(want))
					}
					if media.Ticks(pts) != video[0].PTS || media.Ticks(dts) != video[0].DTS {
						t.Errorf("picture at %d/%d, want %d/%d", dts, pts, video[0].DTS, video[0].PTS)
					}
					video = video[1:]
					return nil
				})
			}
			for r.Read() == nil {
			}
			if len(video) > 0 || len(audio) > 0 {
				t.Errorf("%d pictures and %d audio frames were not read", len(video), len(audio))
			}
		})
	}
}

// unit is a PES packet put together again.
type unit struct {
	pid      uint16
	pts, dts media.Ticks
	key      bool
	data     []byte
}

// parseTS reads a transport stream strictly, and checks what ISO/IEC 13818-1
// wants of every packet. counters are those the stream goes on from.
func parseTS(t *testing.T, stream []byte, counters TSState) (units, tags []unit, clocks []media.Ticks, tables int) {
	t.Helper()
	next := map[uint16]*uint8{patPID: &counters.PAT, pmtPID: &counters.PMT, videoPID: &counters.Video, audioPID: &counters.Audio, tagPID: &counters.Tag}
	open := map[uint16]int{}
	var lengths []int
	stamp := func(b []byte) media.Ticks {
		if b[0]&1 != 1 || b[2]&1 != 1 || b[4]&1 != 1 {
			t.Error("marker bit is missing")
		}
		return media.Ticks(b[0]>>1&7)<<30 | media.Ticks(b[1])<<22 | media.Ticks(b[2]>>1)<<15 | media.Ticks(b[3])<<7 | media.Ticks(b[4]>>1)
	}
	if len(stream)%packetSize != 0 {
		t.Fatalf("stream of %d bytes", len(stream))
	}
	for at := 0; at < len(stream); at += packetSize {
		p := stream[at : at+packetSize]
		pid := binary.BigEndian.Uint16(p[1:]) & 0x1FFF
		counter := next[pid]
		if p[0] != syncByte || p[1]&0x80 != 0 || p[3]&0xC0 != 0 || counter == nil {
			t.Fatalf("packet %d begins with %x", at/packetSize, p[:4])
		}
		start, body := p[1]&0x40 != 0, p[4:]
		key := false
		if p[3]&0x20 != 0 {
			n := int(body[0])
			field := body[1 : 1+n]
			body = body[1+n:]
			if n > 0 {
				used := 1
				key = field[0]&flagRandomAccess != 0
				if field[0]&flagPCR != 0 {
					clocks = append(clocks, media.Ticks(binary.BigEndian.Uint32(field[1:]))<<1|media.Ticks(field[5]>>7))
					used = 7
				}
				if len(bytes.Trim(field[used:], "\xFF")) > 0 {
					t.Errorf("packet %d: stuffing is %x", at/packetSize, field[used:])
				}
			}
		}
		if p[3]&0x10 == 0 {
			if len(body) > 0 || p[3]&0x0F != (*counter-1)&0x0F {
				t.Errorf("packet %d without payload: %x", at/packetSize, p[:4])
			}
			continue
		}
		if len(body) == 0 || p[3]&0x0F != *counter&0x0F {
			t.Fatalf("packet %d: counter %d, want %d; %d bytes", at/packetSize, p[3]&0x0F, *counter&0x0F, len(body))
		}
		*counter++
		if pid == patPID || pid == pmtPID {
			n := int(binary.BigEndian.Uint16(body[2:])&0x0FFF) + 3
			section := body[1 : 1+n]
			if !start || body[0] != 0 || crc32MPEG(section) != 0 {
				t.Errorf("section %x", section)
			}
			tables++
			continue
		}
		if start {
			if !bytes.Equal(body[:3], []byte{0, 0, 1}) || body[6] != 0x84 {
				t.Fatalf("PES packet begins with %x", body[:9])
			}
			u := unit{pid: pid, key: key, pts: stamp(body[9:])}
			if u.dts = u.pts; body[7]&0x40 != 0 {
				u.dts = stamp(body[14:])
			}
			open[pid] = len(units)
			length := int(binary.BigEndian.Uint16(body[4:]))
			if length > 0 {
				length -= int(body[8]) + 3
			}
			lengths = append(lengths, length)
			units = append(units, u)
			body = body[9+body[8]:]
		}
		u := &units[open[pid]]
		u.data = append(u.data, body...)
	}
	for i, u := range units {
		if lengths[i] > 0 && lengths[i] != len(u.data) || u.pid != videoPID && lengths[i] == 0 {
			t.Errorf("PES packet of %d bytes tells %d", len(u.data), lengths[i])
		}
		if u.pid == tagPID {
			tags = append(tags, u)
		}
	}
	units = slices.DeleteFunc(units, func(u unit) bool { return u.pid == tagPID })
	return units, tags, clocks, tables
}

// The multiplex keeps to the rules: tables at each segment, a clock reference
// every 100 ms, units in the order of their decoding times but for sound that
// B-frames need early, delimiters.
func TestTSPackets(t *testing.T) {
	for _, src := range realSources(t) {
		t.Run(src.name, func(t *testing.T) {
			cs := cut(t, src.params, src.frames)
			units, tags, clocks, tables := parseTS(t, packTS(t, NewTS(TSState{}), cs), TSState{})
			if want := len(cs.segments()); tables != 2*want || len(tags) != want {
				t.Errorf("%d tables and %d tags in %d segments", tables, len(tags), want)
			}
			for i := 1; i < len(clocks); i++ {
				if d := clocks[i] - clocks[i-1]; d <= 0 || d > pcrInterval {
					t.Errorf("clock reference %d is %d ticks after the last", i, d)
				}
			}
			if end := cs[len(cs)-1].End() - pcrLead; clocks[len(clocks)-1] < end-pcrInterval {
				t.Errorf("last clock reference at %d, stream ends at %d", clocks[len(clocks)-1], end)
			}
			var last media.Ticks
			for i, u := range units {
				if u.pid == videoPID {
					if u.dts < last || i > 0 && u.dts < units[i-1].dts-maxPart {
						t.Errorf("picture %d at %d comes after one at %d, and sound at %d", i, u.dts, last, units[i-1].dts)
					}
					last = u.dts
				}
				if u.pid == audioPID {
					if len(u.data) > audioPES {
						t.Errorf("audio packet of %d bytes", len(u.data))
					}
					continue
				}
				if !bytes.HasPrefix(u.data, accessUnitDelimiter) || bytes.Contains(u.data[6:], []byte{0, 0, 1, nalDelimiter}) {
					t.Errorf("unit %d begins with %x", i, u.data[:6])
				}
				hasSPS := bytes.Contains(u.data, append([]byte{0, 0, 1}, src.params.Video.SPS...))
				if u.key != hasSPS {
					t.Errorf("unit %d: key %v, parameter sets %v", i, u.key, hasSPS)
				}
			}
		})
	}
}

// Each live segment begins with a tag that numbers it and tells its times.
func TestTSTags(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 0, 7, 412_000_000, time.UTC)
	picture := media.Frame{DTS: Origin + 90_000, PTS: Origin + 96_000, Duration: 3000, Key: true, Captured: at.Add(5 * time.Millisecond)}
	for _, tt := range []struct {
		name  string
		state TSState
		chunk Chunk
		pts   media.Ticks
		want  string
	}{
		{
			"first", TSState{}, Chunk{Start: Origin, Duration: 30_000, Time: at, Ready: at.Add(338 * time.Millisecond), Video: []media.Frame{picture}}, Origin + 96_000,
			`TRCK=0 TDEN=2026-03-01T10:00:07 TDTG=2026-03-01T10:00:07 TOFN=index-0000000000.ts TSSE=Anabranch ` +
				`TXXX=segmentmetadata|{"cmd":"ld_lat_data","ingest_r":1772359207417,"transc_r":1772359207412,"stream_offset":0.000}`,
		},
		{
			"no picture, no arrival", TSState{Segments: 4_294_967_295, Tag: 15}, Chunk{Start: Origin + 90_015, Duration: 90_000, Time: at}, Origin + 90_015,
			`TRCK=4294967295 TDEN=2026-03-01T10:00:07 TDTG=2026-03-01T10:00:08 TOFN=index-4294967295.ts TSSE=Anabranch ` +
				`TXXX=segmentmetadata|{"cmd":"ld_lat_data","transc_r":1772359207412,"stream_offset":1.000}`,
		},
	} {
		tt.chunk.Params, tt.chunk.Segment = testParams, true
		ts := NewTS(tt.state)
		b, err := ts.Append(nil, &tt.chunk)
		if err != nil {
			t.Fatal(err)
		}
		_, tags, _, _ := parseTS(t, b, tt.state)
		if len(tags) != 1 {
			t.Fatalf("%s: %d tags", tt.name, len(tags))
		}
		if got := readID3(t, tags[0].data); got != tt.want || tags[0].pts != tt.pts {
			t.Errorf("%s: at %d\n%s, want at %d\n%s", tt.name, tags[0].pts, got, tt.pts, tt.want)
		}
		if got, want := ts.State().Segments, tt.state.Segments+1; got != want {
			t.Errorf("%s: the next segment is %d, want %d", tt.name, got, want)
		}
		tt.chunk.Segment, tt.state = false, ts.State()
		if b, err = ts.Append(nil, &tt.chunk); err != nil {
			t.Fatal(err)
		}
		if _, tags, _, _ := parseTS(t, b, tt.state); len(tags) != 0 {
			t.Errorf("%s: a tag inside a segment", tt.name)
		}
	}
}

// readID3 reads a tag of text frames strictly.
func readID3(t *testing.T, b []byte) string {
	t.Helper()
	size := func(b []byte) int { return int(b[0])<<21 | int(b[1])<<14 | int(b[2])<<7 | int(b[3]) }
	if string(b[:6]) != "ID3\x04\x00\x00" || size(b[6:]) != len(b)-10 {
		t.Fatalf("tag of %d bytes begins with %x", len(b), b[:10])
	}
	var frames []string
	for b = b[10:]; len(b) > 0; {
		n := size(b[4:])
		text := string(b[10 : 10+n])
		if b[8] != 0 || b[9] != 0 || text[0] != 3 || text[n-1] != 0 {
			t.Fatalf("frame %q", b[:10+n])
		}
		frames = append(frames, string(b[:4])+"="+strings.ReplaceAll(text[1:n-1], "\x00", "|"))
		b = b[10+n:]
	}
	return strings.Join(frames, " ")
}

// A payload of any size ends in a full packet.
func TestTSStuffing(t *testing.T) {
	ts, audio := NewTS(TSState{}), sounds(1, 48000, Origin)[0]
	for size := range 600 {
		payload := append(binary.BigEndian.AppendUint32(nil, uint32(size+1)), bytes.Repeat([]byte{0x41}, size+1)...)
		video := media.Frame{Kind: media.Video, DTS: Origin, PTS: Origin + media.Ticks(size%2), Duration: 3000, Key: size%3 == 0, Payload: payload}
		audio.Payload = payload[:size]
		state := ts.State()
		b, err := ts.Append(nil, &Chunk{Params: testParams, Start: Origin, Duration: 3000,
			Segment: size%7 == 0, Video: []media.Frame{video}, Audio: []media.Frame{audio}})
		if err != nil {
			t.Fatal(err)
		}
		units, _, _, _ := parseTS(t, b, state)
		if len(units) != 2 {
			t.Fatalf("%d units", len(units))
		}
		for _, u := range units {
			if want := size + 7; u.pid == audioPID && (len(u.data) != want || !bytes.Equal(u.data[7:], audio.Payload)) {
				t.Fatalf("audio unit of %d bytes, want %d", len(u.data), want)
			}
			if want := size + 11; u.pid == videoPID && (len(u.data) != want || !bytes.Equal(u.data[10:], payload[4:])) {
				t.Fatalf("video unit of %d bytes, want %d", len(u.data), want)
			}
		}
	}
}

// Large pictures leave the PES length open; broken ones are cut short.
func TestTSPayloads(t *testing.T) {
	large := append(binary.BigEndian.AppendUint32(nil, 100_000), bytes.Repeat([]byte{0x65}, 100_000)...)
	for _, tt := range []struct {
		name    string
		payload []byte
		want    int // bytes after the delimiter
	}{
		{"large", large, 100_004},
		{"length beyond the end", append([]byte{0, 0, 0, 1, 0x41}, large[:100]...), 5},
		{"no length", []byte{0, 0, 1}, 0},
		{"empty", nil, 0},
		{"empty units", []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x41, 0, 0, 0, 0}, 5},
		{"delimiter within", []byte{0, 0, 0, 2, 9, 0x10, 0, 0, 0, 1, 0x41}, 5},
	} {
		frame := media.Frame{Kind: media.Video, DTS: Origin, PTS: Origin, Duration: 3000, Payload: tt.payload}
		b, err := NewTS(TSState{}).Append(nil, &Chunk{Params: testParams, Start: Origin, Duration: 3000, Video: []media.Frame{frame}})
		if err != nil {
			t.Fatal(err)
		}
		units, _, _, _ := parseTS(t, b, TSState{})
		if n := len(units[0].data) - len(accessUnitDelimiter); n != tt.want {
			t.Errorf("%s: %d bytes, want %d", tt.name, n, tt.want)
		}
	}
}

// The stream goes on where it was, across a restart and past 2³³ ticks.
func TestTSContinues(t *testing.T) {
	src := realSources(t)[1]
	const wrap = 1 << 33
	shift := wrap - 3*media.VideoRate - Origin
	var frames []media.Frame
	for _, f := range src.frames {
		d := shift.Rescale(media.VideoRate, src.params.Rate(f.Kind))
		f.DTS, f.PTS = f.DTS+d, f.PTS+d
		frames = append(frames, f)
	}
	cs := cut(t, src.params, frames)
	cs.check(t)
	whole := NewTS(TSState{})
	stream := packTS(t, whole, cs)

	half := slices.IndexFunc(cs[1:], func(c Chunk) bool { return c.Segment }) + 1
	first := NewTS(TSState{})
	parts := packTS(t, first, cs[:half])
	second := NewTS(first.State())
	parts = append(parts, packTS(t, second, cs[half:])...)
	if !bytes.Equal(parts, stream) {
		t.Error("a second writer does not go on where the first was")
	}
	if whole.State() != second.State() {
		t.Errorf("state is %+v, want %+v", second.State(), whole.State())
	}

	units, _, clocks, _ := parseTS(t, stream, TSState{})
	video, audio := cs.video(), cs.audio()
	for _, u := range units {
		if u.pid == audioPID {
			n := 0
			for rest := u.data; len(rest) > 0; n++ {
				size := int(rest[3]&3)<<11 | int(rest[4])<<3 | int(rest[5])>>5
				rest = rest[size:]
			}
			if want := audio[0].PTS.Rescale(44100, 90000) % wrap; u.pts != want {
				t.Fatalf("audio at %d, want %d", u.pts, want)
			}
			audio = audio[n:]
			continue
		}
		if u.pts != video[0].PTS%wrap || u.dts != video[0].DTS%wrap {
			t.Fatalf("picture at %d/%d, want %d/%d modulo 2³³", u.dts, u.pts, video[0].DTS, video[0].PTS)
		}
		video = video[1:]
	}
	wrapped := false
	for i := 1; i < len(clocks); i++ {
		wrapped = wrapped || clocks[i] < clocks[i-1]
		if d := (clocks[i] - clocks[i-1]) & (wrap - 1); d > pcrInterval {
			t.Errorf("clock reference %d is %d ticks after the last", i, d)
		}
	}
	if !wrapped {
		t.Error("the clock did not wrap")
	}
	packets, _ := probe(t, "a.ts", stream) // complains of nothing
	if len(packets["video"]) != len(cs.video()) {
		t.Errorf("%d pictures, want %d", len(packets["video"]), len(cs.video()))
	}
}

// A chunk without pictures still carries the clock.
func TestTSGaps(t *testing.T) {
	audio := sounds(10, 48000, Origin)
	for i := range audio {
		audio[i].Duration = media.SamplesPerFrame
	}
	ts := NewTS(TSState{Video: 5})
	b, err := ts.Append(nil, &Chunk{Params: testParams, Start: Origin, Duration: maxPart, Audio: audio})
	if err != nil {
		t.Fatal(err)
	}
	units, _, clocks, _ := parseTS(t, b, TSState{Video: 5})
	if len(units) != 1 || len(clocks) != 4 {
		t.Errorf("%d units, %d clock references; want 1, 4", len(units), len(clocks))
	}
	if ts.State().Video != 5 {
		t.Error("packets without payload count")
	}
	rate := &media.AudioParams{SampleRate: 44_000, Channels: 2}
	if b, err := ts.Append([]byte{1}, &Chunk{Params: media.Params{Video: testVideo, Audio: rate}, Audio: audio}); err == nil || len(b) != 1 {
		t.Errorf("odd sample rate: error %v, %d bytes", err, len(b))
	}
}

// The PMT's version tells when the streams change.
func TestTSTables(t *testing.T) {
	ts := NewTS(TSState{})
	versions := ""
	for i, p := range []media.Params{testParams, testParams, {Video: testVideo}, {Video: testVideo}, testParams, {Audio: testStereo}} {
		b, err := ts.Append(nil, &Chunk{Params: p, Start: Origin, Duration: 1, Segment: true})
		if err != nil {
			t.Fatal(err)
		}
		parseTS(t, b, TSState{PAT: uint8(i), PMT: uint8(i), Tag: uint8(2 * i)})
		pmt := b[packetSize+5:]
		versions += fmt.Sprintf("%d/%d ", pmt[5]>>1&0x1F, pmt[2])
	}
	if want := "0/60 0/60 1/55 1/55 0/60 2/55 "; versions != want {
		t.Errorf("versions and lengths are %s, want %s", versions, want)
	}
}

func BenchmarkTS(b *testing.B) {
	cs := benchmarkChunks(b)
	ts := NewTS(TSState{})
	var dst []byte
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		var err error
		if dst, err = ts.Append(dst[:0], &cs[i%len(cs)]); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(dst)))
	}
}

// Behind a join all pictures of the first part come before its sound; elsewhere
// sound comes in between.
func TestTSJoin(t *testing.T) {
	for _, join := range []bool{false, true} {
		c := cut(t, testParams, interleave(pictures(75, 30, 30, true, 0), sounds(117, 48_000, Origin), 48_000))[1]
		c.Discontinuity = join
		units, _, _, _ := parseTS(t, must(NewTS(TSState{}).Append(nil, &c)), TSState{})
		first := slices.IndexFunc(units, func(u unit) bool { return u.pid == audioPID })
		if behind := first == len(c.Video); behind != join {
			t.Errorf("join is %v: sound comes after %d of %d pictures", join, first, len(c.Video))
		}
	}
}
