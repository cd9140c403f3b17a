package audit

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
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
	content, ok := b[strings.TrimPrefix(key, prefix+"/")]
	if !ok {
		return nil, fmt.Errorf("read: %w", objectstore.ErrNotFound)
	}
	return &objectstore.Piece{Body: io.NopCloser(bytes.NewReader(content)), Size: int64(len(content))}, nil
}

func (b bucket) Walk(_ context.Context, _, below string, f func(objectstore.Object) bool) error {
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if key := prefix + "/" + name; strings.HasPrefix(key, below) && !f(objectstore.Object{Key: key, Size: int64(len(b[name]))}) {
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

// sample is the recording in a bucket, that ended.
func sample(fragmented bool) bucket {
	b := bucket{"events/ivs-check": {}}
	b.tell(resource.RecordingStarted, "")
	b.tell(resource.RecordingEnded, `"duration_ms":20000,`)
	for _, name := range []string{"playlist.m3u8", "byte-range-variant.m3u8"} {
		master := map[string]string{"playlist.m3u8": "master.m3u8", "byte-range-variant.m3u8": "byte-range-multivariant.m3u8"}[name]
		b["media/hls/"+master] = []byte("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000,VIDEO=\"720p30\"\n720p30/" + name + "\n")
	}
	whole, ranges := "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:12\n", "#EXTM3U\n#EXT-X-VERSION:4\n"
	extension := ".ts"
	writer := writerOf(fragmented)
	if fragmented {
		extension = ".mp4"
		b[folder+"/init-0.mp4"] = initSegment()
		whole += "#EXT-X-MAP:URI=\"init-0.mp4\"\n"
		ranges += "#EXT-X-MAP:URI=\"init-0.mp4\"\n"
	}
	at := 10 * time.Second
	for i, length := range lengths {
		name := fmt.Sprint(i, extension)
		content := writer(at, at, length)
		at += length
		b[folder+"/"+name] = content
		lead := ""
		if i == 2 {
			lead = "#EXT-X-DISCONTINUITY\n"
		}
		lead += "#EXT-X-PROGRAM-DATE-TIME:" + dates[i] + "\n"
		whole += fmt.Sprintf("%s#EXTINF:%.3f,\n%s\n", lead, length.Seconds(), name)
		ranges += fmt.Sprintf("%s#EXTINF:%.3f,\n#EXT-X-BYTERANGE:100@0\n%s\n", lead, 1.5, name)
		ranges += fmt.Sprintf("#EXT-X-PROGRAM-DATE-TIME:2026-03-01T12:30:00Z\n#EXTINF:%.3f,\n#EXT-X-BYTERANGE:%d@100\n%s\n",
			length.Seconds()-1.5, len(content)-100, name)
	}
	b[folder+"/playlist.m3u8"] = []byte(whole + "#EXT-X-ENDLIST\n")
	b[folder+"/byte-range-variant.m3u8"] = []byte(ranges + "#EXT-X-ENDLIST\n")
	return b
}

// tell writes the metadata of a state.
func (b bucket) tell(state resource.RecordingState, more string) {
	b[stateNames[state]] = []byte(`{"recording_status":"` + string(state) + `","media":{"hls":{` + more +
		`"path":"media/hls","playlist":"master.m3u8","byte_range_playlist":"byte-range-multivariant.m3u8",` +
		`"renditions":[{"path":"720p30","playlist":"playlist.m3u8","byte_range_playlist":"byte-range-variant.m3u8"}]}}}`)
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

// tsPES is a packet in which a PES packet begins, and one in which it goes on.
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
			copy(p[4:], append([]byte{0, 0, 1, stream, 0, 0, 0x80, 0xC0, 10}, append(stamp(0x30, pts), stamp(0x10, dts)...)...))
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
func fragments(video, audio, length time.Duration) (b []byte) {
	for at := time.Duration(0); at < length; at += time.Second {
		f, err := mp4.CreateMultiTrackFragment(1, []uint32{1, 2})
		if err != nil {
			panic(err)
		}
		for track, scale := range map[uint32]time.Duration{1: 90_000, 2: 48_000} {
			sample := mp4.Sample{Dur: uint32(scale), Size: 1000}
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
	return Recording{Bucket: "vod", Prefix: prefix, State: resource.RecordingEnded, Duration: 20 * time.Second}
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
