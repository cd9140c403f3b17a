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
		begun: begun{
			Recording: resource.Recording{ChannelARN: place.ARN(resource.KindChannel, "Kq7mZ2xWc9Lb"), ContainerFormat: container},
			Account:   place.Account, Codecs: "avc1.4d401f,mp4a.40.2", Format: format{Width: 1280, Height: 720},
		},
		name: "720p30", rate: 30, target: 12, final: true, now: at.Add(25 * time.Second),
		objects: []object{
			{N: 0, Duration: 924_030, Size: 3_120_400, Time: at},
			{N: 1, Duration: 90_000, Size: 500_000, Time: at.Add(10267 * time.Millisecond)},
			{N: 2, Duration: 903_000, Size: 3_000_000, Time: at.Add(time.Minute), Discontinuity: true, Header: 1},
			{N: 4, Duration: 45_000, Size: 100_000, Time: at.Add(70 * time.Second), Header: 1},
		},
	}
}

const goldenMaster = `#EXTM3U
#EXT-X-SESSION-DATA:DATA-ID="net.live-video.customer.id",VALUE="111122223333"
#EXT-X-SESSION-DATA:DATA-ID="net.live-video.content.id",VALUE="Kq7mZ2xWc9Lb"
#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID="720p30",NAME="720p",AUTOSELECT=YES,DEFAULT=YES
#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=2432000,CODECS="avc1.4d401f,mp4a.40.2",RESOLUTION=1280x720,VIDEO="720p30",FRAME-RATE=30.000
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

func TestPlaylists(t *testing.T) {
	ts := golden(resource.TS)
	if got := string(ts.master()); got != goldenMaster {
		t.Errorf("multivariant playlist:\n%s\nwant:\n%s", got, goldenMaster)
	}
	if got := string(ts.media()); got != goldenTS {
		t.Errorf("media playlist:\n%s\nwant:\n%s", got, goldenTS)
	}
	mp4 := golden(resource.FragmentedMP4)
	if got := string(mp4.media()); !strings.Contains(got, goldenMP4Rest) || strings.Count(got, "#EXT-X-MAP") != 2 {
		t.Errorf("media playlist:\n%s", got)
	}
	mp4.objects, mp4.final = mp4.objects[:2], false
	if got := string(mp4.media()); got != goldenMP4 {
		t.Errorf("media playlist:\n%s\nwant:\n%s", got, goldenMP4)
	}
	for _, p := range []playlists{ts, mp4} {
		list, _, err := m3u8.DecodeFrom(strings.NewReader(string(p.media())), true)
		if err != nil {
			t.Fatal(err)
		}
		if got := list.(*m3u8.MediaPlaylist); int(got.Count()) != len(p.objects) || got.MediaType != m3u8.EVENT || got.Closed != p.final {
			t.Errorf("parsed: %+v", got)
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
		if got := s.rendition(); got != tt.name {
			t.Errorf("%dx%d at %v: %q, want %q", tt.w, tt.h, tt.rate, got, tt.name)
		}
		p := playlists{name: s.rendition()}
		if got := string(p.master()); tt.name != "" && !strings.Contains(got, fmt.Sprintf("GROUP-ID=%q,NAME=%q,", tt.name, tt.shown)) {
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
		objects: []object{{Duration: 924_030, Size: 1}, {N: 1, Duration: 903_000, Size: 1}},
	}
	for _, tt := range []struct {
		status resource.RecordingState
		ending *ending
		want   string
	}{
		{resource.RecordingStarted, nil, `{"version":"v1","recording_started_at":"2026-03-01T10:00:07Z","channel_arn":"arn:aws:ivs:us-west-2:111122223333:channel/Kq7mZ2xWc9Lb","recording_status":"RECORDING_STARTED","media":{"hls":{"path":"media/hls","playlist":"master.m3u8","renditions":[{"path":"720p30","playlist":"playlist.m3u8","resolution_width":1280,"resolution_height":720}]}}}`},
		{resource.RecordingEnded, &ending{At: time.Date(2026, 3, 1, 11, 0, 7, 999, time.UTC)}, `{"version":"v1","recording_started_at":"2026-03-01T10:00:07Z","recording_ended_at":"2026-03-01T11:00:07Z","channel_arn":"arn:aws:ivs:us-west-2:111122223333:channel/Kq7mZ2xWc9Lb","recording_status":"RECORDING_ENDED","media":{"hls":{"duration_ms":20300,"path":"media/hls","playlist":"master.m3u8","renditions":[{"path":"720p30","playlist":"playlist.m3u8","resolution_width":1280,"resolution_height":720}]}}}`},
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
	if got, want := prefix(place, "Kq7mZ2xWc9Lb", at, "h3Rk9Lq2Zw8T"), "ivs/v1/111122223333/Kq7mZ2xWc9Lb/2024/4/14/0/58/h3Rk9Lq2Zw8T"; got != want {
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
