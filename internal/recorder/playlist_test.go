package recorder

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	m3u8 "github.com/Eyevinn/hls-m3u8/m3u8"

	"anabranch/internal/media"
	"anabranch/internal/resource"
)

// golden is a recording of two streams, as the playlists see it.
func golden(container resource.ContainerFormat) playlists {
	at := time.Date(2026, 3, 1, 10, 0, 7, 412_600_000, time.UTC)
	return playlists{
		variants: []variant{{
			Rendition: Rendition{Width: 1280, Height: 720, FrameRate: 30}, name: "720p30", codecs: "avc1.4d401f,mp4a.40.2",
			headers: []header{{Data: make([]byte, 900)}, {Data: make([]byte, 901)}},
		}},
		begun: begun{
			Recording: resource.Recording{ChannelARN: place.ARN(resource.KindChannel, "Kq7mZ2xWc9Lb"), ContainerFormat: container},
			Account:   place.Account,
		},
		target: 12, final: true, now: at.Add(25 * time.Second),
		objects: []object{
			{N: 0, Duration: 924_030, Time: at, pieces: []piece{{900_000, 0}, {24_030, 41}}, of: []held{{Size: 3_120_400, sizes: []uint32{3_000_000, 120_400}}}},
			{N: 1, Duration: 90_000, Time: at.Add(10267 * time.Millisecond), pieces: []piece{{90_000, 0}}, of: []held{{Size: 500_000, sizes: []uint32{500_000}}}},
			{N: 2, Duration: 903_000, Time: at.Add(time.Minute), Discontinuity: true, pieces: []piece{{903_000, 0}}, of: []held{{Size: 3_000_000, sizes: []uint32{3_000_000}, Header: 1}}},
			{N: 4, Duration: 45_000, Time: at.Add(70 * time.Second), pieces: []piece{{45_000, 0}}, of: []held{{Size: 100_000, sizes: []uint32{100_000}, Header: 1}}},
		},
	}
}

const goldenMaster = `#EXTM3U
#EXT-X-SESSION-DATA:DATA-ID="net.live-video.customer.id",VALUE="111122223333"
#EXT-X-SESSION-DATA:DATA-ID="net.live-video.content.id",VALUE="Kq7mZ2xWc9Lb"
#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID="720p30",NAME="720p",AUTOSELECT=YES,DEFAULT=YES
#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=2432000,CODECS="avc1.4D401F,mp4a.40.2",RESOLUTION=1280x720,VIDEO="720p30",FRAME-RATE=30.000
720p30/playlist.m3u8
`

const goldenTS = `#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:12
#ID3-EQUIV-TDTG:2026-03-01T10:00:32
#EXT-X-PLAYLIST-TYPE:EVENT
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-NET-LIVE-VIDEO-ELAPSED-SECS:0.000
#EXT-X-NET-LIVE-VIDEO-TOTAL-SECS:21.800
#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:00:07.412Z
#EXTINF:10.267,
0.ts
#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:00:17.679Z
#EXTINF:1.000,
1.ts
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:01:07.412Z
#EXTINF:10.033,
2.ts
#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:01:17.412Z
#EXTINF:0.500,
4.ts
#EXT-X-ENDLIST
`

const goldenRanges = `#EXTM3U
#EXT-X-VERSION:4
#EXT-X-TARGETDURATION:12
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:00:07.412Z
#EXTINF:10.000,
#EXT-X-BYTERANGE:3000000@0
0.ts
#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:00:17.453Z
#EXTINF:0.267,
#EXT-X-BYTERANGE:120400@3000000
0.ts
#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:00:17.679Z
#EXTINF:1.000,
#EXT-X-BYTERANGE:500000@0
1.ts
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:01:07.412Z
#EXTINF:10.033,
#EXT-X-BYTERANGE:3000000@0
2.ts
#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:01:17.412Z
#EXTINF:0.500,
#EXT-X-BYTERANGE:100000@0
4.ts
#EXT-X-ENDLIST
`

const goldenMP4 = `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:12
#ID3-EQUIV-TDTG:2026-03-01T10:00:32
#EXT-X-PLAYLIST-TYPE:EVENT
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-NET-LIVE-VIDEO-ELAPSED-SECS:0.000
#EXT-X-NET-LIVE-VIDEO-TOTAL-SECS:11.267
#EXT-X-MAP:URI="init-0.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:00:07.412Z
#EXTINF:10.267,
0.mp4
#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:00:17.679Z
#EXTINF:1.000,
1.mp4
`

const goldenMP4Rest = `#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="init-1.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:01:07.412Z
#EXTINF:10.033,
2.mp4
`

const goldenRangesMP4 = `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:12
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-MAP:URI="init-0.mp4",BYTERANGE="900@0"
#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:00:07.412Z
#EXTINF:10.000,
#EXT-X-BYTERANGE:3000000@0
0.mp4
#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:00:17.453Z
#EXTINF:0.267,
#EXT-X-BYTERANGE:120400@3000000
0.mp4
#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:00:17.679Z
#EXTINF:1.000,
#EXT-X-BYTERANGE:500000@0
1.mp4
#EXT-X-ENDLIST
`

func TestPlaylists(t *testing.T) {
	ts := golden(resource.TS)
	mp4 := golden(resource.FragmentedMP4)
	if got := string(mp4.media(&mp4.variants[0])); !strings.Contains(got, goldenMP4Rest) || strings.Count(got, "#EXT-X-MAP") != 2 {
		t.Errorf("media playlist:\n%s", got)
	}
	mp4.objects, mp4.final = mp4.objects[:2], false
	for _, tt := range []struct {
		name, want string
		got        []byte
		typ        m3u8.MediaType
		entries    int
		closed     bool
	}{
		{"media", goldenTS, ts.media(&ts.variants[0]), m3u8.EVENT, 4, true},
		{"byte ranges", goldenRanges, ts.ranges(&ts.variants[0]), m3u8.VOD, 5, true},
		{"media so far, fMP4", goldenMP4, mp4.media(&mp4.variants[0]), m3u8.EVENT, 2, false},
		{"byte ranges so far, fMP4", goldenRangesMP4, mp4.ranges(&mp4.variants[0]), m3u8.VOD, 3, true},
	} {
		if string(tt.got) != tt.want {
			t.Errorf("%s:\n%s\nwant:\n%s", tt.name, tt.got, tt.want)
		}
		// The library does not take the quotation marks that BYTERANGE has there.
		text := strings.Replace(string(tt.got), `,BYTERANGE="900@0"`, "", 1)
		list, _, err := m3u8.DecodeFrom(strings.NewReader(text), true)
		if err != nil {
			t.Fatal(err)
		}
		if got := list.(*m3u8.MediaPlaylist); int(got.Count()) != tt.entries || got.MediaType != tt.typ || got.Closed != tt.closed {
			t.Errorf("%s: parsed: %+v", tt.name, got)
		}
	}
	if got := string(ts.master("playlist.m3u8")); got != goldenMaster {
		t.Errorf("multivariant playlist:\n%s\nwant:\n%s", got, goldenMaster)
	}
	want := strings.ReplaceAll(goldenMaster, "playlist.m3u8", "byte-range-variant.m3u8")
	if got := string(ts.master("byte-range-variant.m3u8")); got != want {
		t.Errorf("multivariant playlist:\n%s\nwant:\n%s", got, want)
	}
}

// wantRanges checks that the byte-range playlist of an ended recording cuts the
// objects of its media playlist into pieces that leave nothing out.
func wantRanges(t *testing.T, w *world, r resource.Recording, whole string) {
	t.Helper()
	const folder = "media/hls/720p30/"
	text := w.object(r, folder+rangesName)
	if !strings.Contains(w.object(r, "media/hls/"+rangeMasterName), "\n720p30/"+rangesName+"\n") || !strings.HasSuffix(text, "#EXT-X-ENDLIST\n") {
		t.Errorf("byte-range playlist:\n%s", text)
	}
	if a, b := strings.Count(text, "#EXT-X-DISCONTINUITY\n"), strings.Count(whole, "#EXT-X-DISCONTINUITY\n"); a != b {
		t.Errorf("byte-range playlist has %d discontinuities, want %d:\n%s", a, b, text)
	}
	ends := make(map[string]int64)
	for _, m := range regexp.MustCompile(`#EXT-X-BYTERANGE:(\d+)@(\d+)\n(.*)\n`).FindAllStringSubmatch(text, -1) {
		var size, offset int64
		fmt.Sscan(m[1]+" "+m[2], &size, &offset)
		if offset != ends[m[3]] {
			t.Errorf("a piece of %s begins at %d, the one before ends at %d", m[3], offset, ends[m[3]])
		}
		ends[m[3]] = offset + size
		if data := w.object(r, folder+m[3]); int64(len(data)) < offset+size {
			t.Errorf("a piece of %s ends at %d of %d bytes", m[3], offset+size, len(data))
		} else if data = data[offset:]; strings.HasSuffix(m[3], ".ts") && (data[0] != 0x47 || data[1]&0x1F != 0 || data[2] != 0) {
			t.Errorf("the piece of %s at %d does not begin with the PAT", m[3], offset)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^\d+\.(ts|mp4)$`).FindAllString(whole, -1) {
		if size := int64(len(w.object(r, folder+m))); ends[m] != size {
			t.Errorf("the pieces of %s end at %d of %d bytes", m, ends[m], size)
		}
	}
	sum := func(text string) (d float64) {
		for _, m := range extinf.FindAllStringSubmatch(text, -1) {
			var seconds float64
			fmt.Sscan(m[1], &seconds)
			d += seconds
		}
		return d
	}
	if a, b := sum(text), sum(whole); math.Abs(a-b) > 0.001*float64(strings.Count(text, "#EXTINF")) {
		t.Errorf("the pieces last %.3f s, the objects %.3f s", a, b)
	}
}

// wantPieces checks that the pieces of an object are all of it.
func wantPieces(t *testing.T, o *object) {
	t.Helper()
	var duration media.Ticks
	for _, p := range o.pieces {
		duration += media.Ticks(p.Duration)
	}
	if duration != o.Duration {
		t.Errorf("object %d lasts %d ticks, its pieces %d", o.N, o.Duration, duration)
	}
	for i, of := range o.of {
		var size int64
		for _, s := range of.sizes {
			size += int64(s)
		}
		if size != of.Size || len(of.sizes) != len(o.pieces) {
			t.Errorf("object %d has %d bytes of rendition %d, its %d pieces have %d", o.N, of.Size, i, len(of.sizes), size)
		}
	}
}

// The rendition's name, and how the multivariant playlist shows it.
func TestRenditionName(t *testing.T) {
	for _, tt := range []struct {
		w, h  int
		rate  float64
		seen  *measured
		name  string
		shown string
	}{
		{1280, 720, 30, nil, "720p30", "720p"},
		{1280, 720, 29.97, nil, "720p30", "720p"},
		{1920, 1080, 60, nil, "1080p60", "1080p60"},
		{1920, 1080, 59.94, nil, "1080p60", "1080p60"},
		{720, 1280, 25, nil, "720p25", "720p25"},
		{1280, 720, 0, nil, "", ""},
		{1280, 720, 0, &measured{FrameRate: 30.02}, "720p30", "720p"},
		{1280, 720, 0, &measured{}, "720p", "720p"},
	} {
		s := state{begun: begun{Format: format{Width: tt.w, Height: tt.h, FrameRate: tt.rate}}, measured: tt.seen}
		if got := s.folder(0); got != tt.name {
			t.Errorf("%dx%d at %v: %q, want %q", tt.w, tt.h, tt.rate, got, tt.name)
		}
		p := playlists{variants: []variant{s.variant(0, s.renditions()[0])}}
		if got := string(p.master(mediaName)); tt.name != "" && !strings.Contains(got, fmt.Sprintf("GROUP-ID=%q,NAME=%q,", tt.name, tt.shown)) {
			t.Errorf("%s:\n%s", tt.name, got)
		}
	}
}

func TestMetadata(t *testing.T) {
	s := state{
		begun: begun{
			Recording: resource.Recording{
				ChannelARN: place.ARN(resource.KindChannel, "Kq7mZ2xWc9Lb"), StartedAt: time.Date(2026, 3, 1, 10, 0, 7, 0, time.UTC),
			},
			Format: format{Width: 1280, Height: 720, FrameRate: 30},
		},
		objects: []object{{Duration: 924_030, of: []held{{Size: 1}}}, {N: 1, Duration: 903_000, of: []held{{Size: 1}}}},
	}
	for _, tt := range []struct {
		status resource.RecordingState
		ending *ending
		want   string
	}{
		{resource.RecordingStarted, nil, `{"version":"v1","recording_started_at":"2026-03-01T10:00:07Z","channel_arn":"arn:aws:ivs:us-west-2:111122223333:channel/Kq7mZ2xWc9Lb","recording_status":"RECORDING_STARTED","media":{"hls":{"path":"media/hls","playlist":"master.m3u8","byte_range_playlist":"byte-range-multivariant.m3u8","renditions":[{"path":"720p30","playlist":"playlist.m3u8","byte_range_playlist":"byte-range-variant.m3u8","resolution_width":1280,"resolution_height":720}]}}}`},
		{resource.RecordingEnded, &ending{At: time.Date(2026, 3, 1, 11, 0, 7, 999, time.UTC)}, `{"version":"v1","recording_started_at":"2026-03-01T10:00:07Z","recording_ended_at":"2026-03-01T11:00:07Z","channel_arn":"arn:aws:ivs:us-west-2:111122223333:channel/Kq7mZ2xWc9Lb","recording_status":"RECORDING_ENDED","media":{"hls":{"duration_ms":20300,"path":"media/hls","playlist":"master.m3u8","byte_range_playlist":"byte-range-multivariant.m3u8","renditions":[{"path":"720p30","playlist":"playlist.m3u8","byte_range_playlist":"byte-range-variant.m3u8","resolution_width":1280,"resolution_height":720}]}}}`},
		{resource.RecordingFailed, &ending{At: time.Date(2026, 3, 1, 11, 0, 7, 0, time.UTC), Failure: "disk"}, `{"version":"v1","recording_started_at":"2026-03-01T10:00:07Z","recording_ended_at":"2026-03-01T11:00:07Z","channel_arn":"arn:aws:ivs:us-west-2:111122223333:channel/Kq7mZ2xWc9Lb","recording_status":"RECORDING_ENDED_WITH_FAILURE","recording_status_message":"disk","media":{"hls":{"duration_ms":20300,"path":"media/hls","playlist":"master.m3u8","renditions":[{"path":"720p30","playlist":"playlist.m3u8","resolution_width":1280,"resolution_height":720}]}}}`},
	} {
		s.ending = tt.ending
		got, err := s.metadata(tt.status)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != tt.want {
			t.Errorf("%s:\n%s\nwant:\n%s", tt.status, got, tt.want)
		}
	}
	s.objects = nil
	if got, _ := s.metadata(resource.RecordingFailed); !strings.Contains(string(got), `"duration_ms":0,"path":"media/hls","playlist":"master.m3u8","renditions":[]`) {
		t.Errorf("without media: %s", got)
	}
}

func TestPrefix(t *testing.T) {
	at := time.Date(2024, 4, 14, 0, 58, 9, 0, time.UTC)
	b := begun{Account: place.Account, Recording: resource.Recording{ID: "h3Rk9Lq2Zw8T", ChannelARN: place.ARN(resource.KindChannel, "Kq7mZ2xWc9Lb")}}
	if got, want := b.layout().prefix(&b, at), "ivs/v1/111122223333/Kq7mZ2xWc9Lb/2024/4/14/0/58/h3Rk9Lq2Zw8T"; got != want {
		t.Errorf("prefix %s, want %s", got, want)
	}
}

var extinf = regexp.MustCompile(`#EXTINF:([0-9.]+),`)

// Objects hold whole groups of pictures of at least ten seconds; none is longer
// than the target duration.
func TestObjectDurations(t *testing.T) {
	for _, tt := range []struct {
		name   string
		gops   []int // in chunks of a third of a second; the last repeats
		chunks int
		want   string // first durations
		target int
	}{
		{"1 s", []int{3}, 120, "10 10 10 10", 12},
		{"2 s", []int{6}, 120, "10 10 10 10", 12},
		{"3 s", []int{9}, 120, "12 12 12 4", 13},
		{"4 s", []int{12}, 120, "12 12 12 4", 14},
		{"10 s", []int{30}, 120, "10 10 10 10", 20},
		{"15 s", []int{45}, 120, "15 15 10", 20},
		{"none", []int{1000}, 150, "20 20 10", 20},
		{"short", []int{6}, 15, "5", 12},
		{"grows", []int{6, 6, 6, 6, 6, 60}, 120, "10 12 18", 12},
	} {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, func(t *testing.T, w *world, r *Recorder) {
				c := newCamera(0)
				take := r.Begin(c.stream)
				for n, next := 0, 0; n < tt.chunks; n++ {
					if c.n == 0 {
						c.gop = tt.gops[min(next, len(tt.gops)-1)]
						next++
					}
					if err := c.shoot(t, take, 1); err != nil {
						t.Fatal(err)
					}
				}
				take.End()
				synctest.Wait()
				playlist := wantWhole(t, w, w.recordings()[0])
				var got []string
				for _, m := range extinf.FindAllStringSubmatch(playlist, -1) {
					var d float64
					fmt.Sscan(m[1], &d)
					if d > float64(tt.target) {
						t.Errorf("object of %v s exceeds the target duration %d", d, tt.target)
					}
					got = append(got, fmt.Sprint(math.Round(1000*d)/1000))
				}
				if !strings.HasPrefix(strings.Join(got, " "), tt.want) && tt.name != "grows" {
					t.Errorf("durations %v, want %s", got, tt.want)
				}
				if !strings.Contains(playlist, fmt.Sprintf("#EXT-X-TARGETDURATION:%d\n", tt.target)) {
					t.Errorf("target duration is not %d:\n%s", tt.target, playlist)
				}
			})
		})
	}
}

// A jump of the publisher's clock and new parameter sets begin new objects
// behind a discontinuity, and new parameter sets a new header.
func TestDiscontinuityInside(t *testing.T) {
	for _, container := range []resource.ContainerFormat{resource.TS, resource.FragmentedMP4} {
		t.Run(string(container), func(t *testing.T) {
			virtual(t, func(t *testing.T, w *world, r *Recorder) {
				c := newCamera(60)
				c.stream.Channel.ContainerFormat = container
				take := r.Begin(c.stream)
				c.shoot(t, take, 12)
				c.fresh, c.n = true, 0
				c.shoot(t, take, 12)
				c.stream.Description.Audio = &media.AudioParams{Config: []byte{0x11, 0x88}, SampleRate: 48000, Channels: 1}
				c.fresh, c.n = true, 0
				c.shoot(t, take, 12)
				take.End()
				again := c.again() // with the parameter sets that were the last
				again.broadcast(t, r, 12)
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				rec := w.recordings()[0]
				playlist := wantWhole(t, w, rec)
				if got := strings.Count(playlist, "#EXT-X-DISCONTINUITY\n"); got != 3 {
					t.Errorf("%d discontinuities, want 3:\n%s", got, playlist)
				}
				headers := strings.Count(playlist, "#EXT-X-MAP")
				if want := map[resource.ContainerFormat]int{resource.FragmentedMP4: 2}[container]; headers != want {
					t.Errorf("%d headers, want %d:\n%s", headers, want, playlist)
				}
				for n := range headers {
					if w.object(rec, "media/hls/720p30/"+headerName(n)) == "" {
						t.Errorf("%s is missing", headerName(n))
					}
				}
			})
		})
	}
}

// The continuity counters of a transport stream go on from object to object,
// across joins and restarts.
func TestContinuity(t *testing.T) {
	outer := t
	w := newWorld()
	var spool string
	var c *camera
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := open(t, w, dir)
		stop := run(t, r)
		c = newCamera(60)
		c.broadcast(t, r, 40)
		c = c.again()
		take := r.Begin(c.stream)
		c.shoot(t, take, 10)
		spool = copyTree(outer, dir)
		w.fault = func(int, string) error { return errNetwork }
		stop()
	})
	w.fault = nil
	synctest.Test(t, func(t *testing.T) {
		r := open(t, w, spool)
		stop := run(t, r)
		c = c.again()
		c.broadcast(t, r, 40)
		time.Sleep(2 * time.Minute)
		stop()
	})
	rec := w.recordings()[0]
	wantContinuous(t, w, rec)
}

// wantContinuous checks the continuity counters of an ended recording.
func wantContinuous(t *testing.T, w *world, rec resource.Recording) {
	t.Helper()
	next := make(map[int]byte)
	for _, m := range regexp.MustCompile(`(?m)^\d+\.ts$`).FindAllString(wantWhole(t, w, rec), -1) {
		data := w.object(rec, "media/hls/720p30/"+m)
		if pid := int(data[1]&0x1f)<<8 | int(data[2]); pid != 0 {
			t.Errorf("%s does not begin with the PAT", m)
		}
		for p := 0; p < len(data); p += 188 {
			pid := int(data[p+1]&0x1f)<<8 | int(data[p+2])
			counter, payload := data[p+3]&0x0f, data[p+3]&0x10 != 0
			if want, ok := next[pid]; ok && payload && counter != want {
				t.Fatalf("%s: packet %d of PID %#x has counter %d, want %d", m, p/188, pid, counter, want)
			}
			if payload {
				next[pid] = (counter + 1) & 0x0f
			}
		}
	}
}
