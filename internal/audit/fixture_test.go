package audit

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch/internal/objectstore"
	"anabranch/internal/resource"

	"github.com/Eyevinn/mp4ff/mp4"
)

// bucket holds what is below a recording's prefix.
type bucket map[string][]byte

const prefix = "ivs/v1/1/c/2026/3/1/12/0/r"

func (b bucket) Read(_ context.Context, _, key string, _ objectstore.Reading) (*objectstore.Piece, error) {
	content, ok := b[strings.TrimPrefix(strings.TrimPrefix(key, prefix+"/"), guestPrefix+"/")]
	if !ok {
		return nil, fmt.Errorf("read: %w", objectstore.ErrNotFound)
	}
	return &objectstore.Piece{Body: io.NopCloser(bytes.NewReader(content)), Size: int64(len(content))}, nil
}

func (b bucket) Walk(_ context.Context, _, below string, f func(objectstore.Object) bool) error {
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if !f(objectstore.Object{Key: below + name, Size: int64(len(b[name]))}) {
			return nil
		}
	}
	return nil
}

const folder = "media/hls/720p30"

// The sample is a recording of three objects, of 10, 4 and 6 s; a join is
// before the last.
var (
	lengths = []time.Duration{10 * time.Second, 4 * time.Second, 6 * time.Second}
	dates   = []string{"2026-03-01T12:00:00.500Z", "2026-03-01T12:00:10.500Z", "2026-03-01T12:01:00.000Z"}
)

// rung is a rendition of a sample.
type rung struct {
	name          string
	width, height int
	// missing says how many of the two pieces of each object are missing, from
	// the first on.
	missing [3]int
}

// single is the rendition of a recording that has one.
var single = rung{name: "720p30"}

// ladder has holes: one rendition misses an object and the beginning of the
// next, sound alone begins with the second object.
var ladder = []rung{
	{name: "720p30", width: 1280, height: 720},
	{name: "480p30", width: 852, height: 480, missing: [3]int{0, 2, 1}},
	{name: "audio_only", missing: [3]int{2, 0, 0}},
}

// sample is the recording in a bucket, that ended.
func sample(fragmented bool) bucket { return recorded(fragmented, single) }

// recorded is a recording of several renditions, with thumbnails where there is
// more than one.
func recorded(fragmented bool, rungs ...rung) bucket {
	b := bucket{"events/ivs-check": {}}
	b.tell(resource.RecordingStarted, "", rungs...)
	b.tell(resource.RecordingEnded, `"duration_ms":20000,`, rungs...)
	for master, name := range map[string]string{"master.m3u8": "playlist.m3u8", "byte-range-multivariant.m3u8": "byte-range-variant.m3u8"} {
		text := "#EXTM3U\n"
		for _, r := range rungs {
			text += "#EXT-X-STREAM-INF:BANDWIDTH=1000"
			if r.width > 0 {
				text += fmt.Sprintf(",RESOLUTION=%dx%d,VIDEO=%q", r.width, r.height, r.name)
			}
			text += "\n" + r.name + "/" + name + "\n"
		}
		b["media/hls/"+master] = []byte(text)
	}
	for _, r := range rungs {
		b.record(fragmented, &r)
	}
	if len(rungs) > 1 {
		for i := range 3 {
			b[fmt.Sprintf("media/thumbnails/thumb%d.jpg", i)] = thumbnail()
		}
		b["media/latest_thumbnail/thumb.jpg"] = thumbnail()
	}
	return b
}

// record makes the media and playlists of a rendition.
func (b bucket) record(fragmented bool, r *rung) {
	folder := "media/hls/" + r.name
	versions, extension := [2]int{3, 4}, ".ts"
	writer := r.writer(fragmented)
	header := ""
	if fragmented {
		versions, extension = [2]int{7, 7}, ".mp4"
		b[folder+"/init-0.mp4"] = initSegment()
		header = "#EXT-X-MAP:URI=\"init-0.mp4\"\n"
	}
	if r.missing != [3]int{} {
		versions = [2]int{8, 8}
	}
	whole := fmt.Sprintf("#EXTM3U\n#EXT-X-VERSION:%d\n#EXT-X-TARGETDURATION:12\n", versions[0])
	ranges := fmt.Sprintf("#EXTM3U\n#EXT-X-VERSION:%d\n", versions[1])
	at := 10 * time.Second
	for i, length := range lengths {
		name := fmt.Sprint(i, extension)
		lead := ""
		if i == 2 {
			lead = "#EXT-X-DISCONTINUITY\n"
		}
		offset, gap := 0, "#EXT-X-GAP\n"
		var content []byte
		if r.missing[i] < 2 {
			gap = ""
			lead, header = lead+header, ""
			late := [2]time.Duration{0, firstPiece}[r.missing[i]]
			content = writer(at+late, at+late, length-late)
			b[folder+"/"+name] = content
		}
		at += length
		dated := lead + "#EXT-X-PROGRAM-DATE-TIME:" + dates[i] + "\n"
		whole += fmt.Sprintf("%s%s#EXTINF:%.3f,\n%s\n", dated, gap, length.Seconds(), name)
		for j, lasts := range []time.Duration{firstPiece, length - firstPiece} {
			size := 100
			if j == 1 {
				size = len(content) - offset
				dated = "#EXT-X-PROGRAM-DATE-TIME:2026-03-01T12:30:00Z\n"
			}
			told := fmt.Sprintf("#EXT-X-BYTERANGE:%d@%d\n", size, offset)
			if r.missing[i] > j {
				told, size = "#EXT-X-GAP\n", 0
			}
			ranges += fmt.Sprintf("%s#EXTINF:%.3f,\n%s%s\n", dated, lasts.Seconds(), told, name)
			offset += size
		}
	}
	b[folder+"/playlist.m3u8"] = []byte(whole + "#EXT-X-ENDLIST\n")
	b[folder+"/byte-range-variant.m3u8"] = []byte(ranges + "#EXT-X-ENDLIST\n")
}

// firstPiece is how long the first byte range of each object lasts.
const firstPiece = 1500 * time.Millisecond

func (r *rung) writer(fragmented bool) func(video, audio, length time.Duration) []byte {
	switch write := writerOf(fragmented); {
	case r.name != "audio_only":
		return write
	case fragmented:
		return func(_, audio, length time.Duration) []byte {
			return fragmentsOf(mp4.SyncSampleFlags, 0, audio, length, 2)
		}
	default:
		counters := map[uint16]byte{}
		return func(_, audio, length time.Duration) (b []byte) {
			for at := time.Duration(0); at < length; at += time.Second {
				b = append(b, tsPES(counters, 0x100, 0xC0, audio+at, audio+at)...)
			}
			return b
		}
	}
}

func thumbnail() []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 16, 16)), nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// tell writes the metadata of a state.
func (b bucket) tell(state resource.RecordingState, more string, rungs ...rung) {
	if len(rungs) == 0 {
		rungs = []rung{single}
	}
	var renditions []string
	for _, r := range rungs {
		size := ""
		if r.width > 0 {
			size = fmt.Sprintf(`,"resolution_width":%d,"resolution_height":%d`, r.width, r.height)
		}
		renditions = append(renditions, `{"path":"`+r.name+`","playlist":"playlist.m3u8","byte_range_playlist":"byte-range-variant.m3u8"`+size+`}`)
	}
	stills := ""
	if len(rungs) > 1 {
		stills = `,"thumbnails":{"path":"media/thumbnails"},"latest_thumbnail":{"path":"media/latest_thumbnail/thumb.jpg"}`
	}
	b[stateNames[state]] = []byte(`{"recording_status":"` + string(state) + `","media":{"hls":{` + more +
		`"path":"media/hls","playlist":"master.m3u8","byte_range_playlist":"byte-range-multivariant.m3u8",` +
		`"renditions":[` + strings.Join(renditions, ",") + `]}` + stills + `}}`)
}

// lead is how much later than decoded the pictures are shown.
const lead = 66 * time.Millisecond

// writerOf makes media objects, each going on from the one before: pictures
// are shown from video on, sound is heard from audio on.
func writerOf(fragmented bool) func(video, audio, length time.Duration) []byte {
	if fragmented {
		return fragments
	}
	counters := map[uint16]byte{}
	return func(video, audio, length time.Duration) (b []byte) {
		for at := time.Duration(0); at < length; at += time.Second {
			b = append(b, tsPES(counters, 0x101, 0xE0, video+at, video+at-lead)...)
			b = append(b, tsPES(counters, 0x100, 0xC0, audio+at, audio+at)...)
		}
		return b
	}
}

// tsPES is a packet in which a PES packet of a key frame or sound begins, and one
// in which it goes on.
func tsPES(counters map[uint16]byte, pid uint16, stream byte, pts, dts time.Duration) []byte {
	b := make([]byte, 2*tsPacket)
	stamp := func(mark byte, at time.Duration) []byte {
		n := int64(at.Seconds()*tsClock+0.5) % tsWrap
		return []byte{mark | byte(n>>29)&0x0E | 1, byte(n >> 22), byte(n>>14) | 1, byte(n >> 7), byte(n<<1) | 1}
	}
	for i, p := range [][]byte{b[:tsPacket], b[tsPacket:]} {
		p[0] = 0x47
		binary.BigEndian.PutUint16(p[1:], pid)
		p[3] = 0x10 | counters[pid]
		counters[pid] = (counters[pid] + 1) % 16
		if i == 0 {
			p[1] |= 0x40
			payload := p[4:]
			if stream == 0xE0 {
				p[3] |= 0x20
				copy(p[4:], []byte{1, 0x40}) // random_access_indicator
				payload = p[6:]
			}
			copy(payload, append([]byte{0, 0, 1, stream, 0, 0, 0x80, 0xC0, 10}, append(stamp(0x30, pts), stamp(0x10, dts)...)...))
		}
	}
	return b
}

func initSegment() []byte {
	init := mp4.CreateEmptyInit()
	init.AddEmptyTrack(90_000, "video", "und")
	init.AddEmptyTrack(48_000, "audio", "und")
	return encoded(init)
}

// fragments is an object of a fragment a second.
func fragments(video, audio, length time.Duration) []byte {
	return fragmentsOf(mp4.SyncSampleFlags, video, audio, length, 1, 2)
}

func fragmentsOf(flags uint32, video, audio, length time.Duration, tracks ...uint32) (b []byte) {
	for at := time.Duration(0); at < length; at += time.Second {
		f, err := mp4.CreateMultiTrackFragment(1, tracks)
		if err != nil {
			panic(err)
		}
		for _, track := range tracks {
			scale := map[uint32]time.Duration{1: 90_000, 2: 48_000}[track]
			lasts := min(time.Second, length-at)
			sample := mp4.Sample{Flags: flags, Dur: uint32(scale * lasts / time.Second), Size: 1000}
			start := audio + at
			if track == 1 {
				start = video + at - lead
				sample.CompositionTimeOffset = int32(lead * scale / time.Second)
			}
			f.AddFullSampleToTrack(mp4.FullSample{Sample: sample, DecodeTime: uint64(start * scale / time.Second), Data: make([]byte, 1000)}, track)
		}
		b = append(b, encoded(f)...)
	}
	return b
}

func encoded(box interface{ Encode(io.Writer) error }) []byte {
	var b bytes.Buffer
	if err := box.Encode(&b); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// ended is what the database knows of the sample.
func ended() Recording {
	return Recording{Recording: resource.Recording{Bucket: "vod", Prefix: prefix, State: resource.RecordingEnded, Duration: 20 * time.Second}}
}

// found is the problems of an audit, one "code path" a line.
func found(t *testing.T, b bucket, r Recording) string {
	t.Helper()
	report, err := Run(t.Context(), b, r, true)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, p := range report.Problems {
		lines = append(lines, string(p.Code)+" "+strings.TrimPrefix(p.Path, folder+"/"))
		if p.Message == "" {
			t.Errorf("%v says nothing", p)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
