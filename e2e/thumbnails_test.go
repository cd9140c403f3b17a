package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/jpeg"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

// thumbnails are those of a recording configuration, as often as that.
func thumbnails(interval time.Duration, storage ...types.ThumbnailConfigurationStorage) func(*ivs.CreateRecordingConfigurationInput) {
	return func(in *ivs.CreateRecordingConfigurationInput) {
		seconds := int64(interval / time.Second)
		in.ThumbnailConfiguration = &types.ThumbnailConfiguration{
			RecordingMode: types.RecordingModeInterval, TargetIntervalSeconds: &seconds, Storage: storage,
		}
	}
}

// greySeconds is a picture that is a little lighter each second, with two key frames a
// second.
func greySeconds(width, height int) []string {
	source := fmt.Sprintf("color=black:size=%dx%d:rate=10,geq=lum='20+7*mod(floor(T)\\,30)':cb=128:cr=128", width, height)
	return []string{
		"-re", "-f", "lavfi", "-i", source, "-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-threads", "1", "-b:v", "300k",
		"-g", "5", "-keyint_min", "5", "-sc_threshold", "0", "-c:a", "aac", "-b:a", "64k",
	}
}

// grey is a picture of one grey, from 0 to 255.
type grey struct {
	at    float64 // seconds into the recording
	level float64
}

// keyFrames are those of a recorded rendition.
func keyFrames(t testing.TB, r recording, folder string) (all []grey) {
	t.Helper()
	var media []byte
	for n := 0; ; n++ {
		object, err := os.ReadFile(filepath.Join(r.dir, folder, fmt.Sprintf("%d.ts", n)))
		if err != nil {
			break
		}
		media = append(media, object...)
	}
	file := filepath.Join(t.TempDir(), "media.ts")
	if err := os.WriteFile(file, media, 0o600); err != nil {
		t.Fatal(err)
	}
	packets, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-select_streams", "v:0",
		"-show_entries", "packet=dts_time,flags", "-of", "csv=p=0", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	first := math.NaN()
	for line := range strings.Lines(string(packets)) {
		dts, flags, found := strings.Cut(strings.TrimSpace(line), ",")
		at, err := strconv.ParseFloat(dts, 64)
		if !found || err != nil {
			continue
		}
		if math.IsNaN(first) {
			first = at
		}
		if strings.HasPrefix(flags, "K") {
			all = append(all, grey{at: at - first})
		}
	}
	// Four pixels of each: four bytes of luma, one of each chroma.
	const size = 6
	pixels, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-nostdin", "-skip_frame", "nokey", "-i", file,
		"-vf", "crop=2:2:100:100", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "pipe:1").Output()
	if err != nil || len(pixels) != size*len(all) {
		t.Fatalf("%d bytes of %d key frames can be decoded: %v", len(pixels), len(all), err)
	}
	for i := range all {
		all[i].level = float64(int(pixels[size*i])-16) * 255 / 219 // ITU-R BT.601: luma is 16 to 235
	}
	return all
}

// due are the key frames that thumbnails are due of.
func due(frames []grey, interval time.Duration) (all []grey) {
	next := 0.0
	for _, f := range frames {
		if f.at >= next-0.0001 {
			all = append(all, f)
			next = interval.Seconds() * (math.Floor(f.at/interval.Seconds()+0.0001) + 1)
		}
	}
	return all
}

// thumbnail is the grey of a JPEG of a size.
func thumbnail(t testing.TB, text []byte, width, height int) float64 {
	t.Helper()
	probe := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0", "-f", "image2pipe", "-i", "pipe:0")
	probe.Stdin = bytes.NewReader(text)
	if told, err := probe.CombinedOutput(); err != nil || strings.TrimSpace(string(told)) != fmt.Sprintf("mjpeg,%d,%d", width, height) {
		t.Errorf("ffprobe says %q (%v), want mjpeg of %dx%d", told, err, width, height)
	}
	img, err := jpeg.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	const points = 20
	for i := range points {
		r, g, b, _ := img.At((2*i+1)*width/(2*points), (2*i+1)*height/(2*points)).RGBA()
		sum += float64(r>>8+g>>8+b>>8) / 3
	}
	return sum / points
}

// sequence are the numbered thumbnails in the bucket.
func (r recording) sequence() (all [][]byte) {
	for n := 0; ; n++ {
		text, err := os.ReadFile(filepath.Join(r.dir, "media", "thumbnails", fmt.Sprintf("thumb%d.jpg", n)))
		if err != nil {
			return all
		}
		all = append(all, text)
	}
}

// still is what metadata tells of thumbnails.
type still struct {
	Path   string `json:"path"`
	Width  int    `json:"resolution_width"`
	Height int    `json:"resolution_height"`
}

func (r recording) stills(t testing.TB, name string) (sequential, latest *still) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, "events", name))
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Media struct {
			Thumbnails *still `json:"thumbnails"`
			Latest     *still `json:"latest_thumbnail"`
		} `json:"media"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m.Media.Thumbnails, m.Media.Latest
}

// Thumbnails show the recording's first key frame in each interval, whatever
// broke in between, and are in the bucket while the stream goes on.
func TestThumbnails(t *testing.T) {
	const sequential, latest = types.ThumbnailConfigurationStorageSequential, types.ThumbnailConfigurationStorageLatest
	for _, tt := range []struct {
		name     string
		interval time.Duration
		storage  []types.ThumbnailConfigurationStorage
		breaks   breakage
		lost     int // by the breakage
	}{
		{"both, and a drop", time.Second, []types.ThumbnailConfigurationStorage{sequential, latest}, killPublisher, 0},
		{"server killed on air", 2 * time.Second, []types.ThumbnailConfigurationStorage{sequential}, killServerOnAir, 1},
		{"latest, and a restart", time.Second, []types.ThumbnailConfigurationStorage{latest}, restartInGap, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const width, height = 426, 240
			s := startServer(t)
			c := s.newChannel(recordTo(s.newRecordingConfiguration(60*time.Second, thumbnails(tt.interval, tt.storage...))))
			first := publishArguments(t, c.rtmp(), greySeconds(width, height))
			first.waitSent(5500 * time.Millisecond)
			eventually(t, 10*time.Second, "thumbnails are stored while the stream goes on", func() error {
				if all := c.recordings(); len(all) == 0 || !hasThumbnails(all[0]) {
					return fmt.Errorf("of %d recordings", len(all))
				}
				return nil
			})
			checkPoster(t, c, width, height)
			late := int(s.metric("anabranch_stills_replaced_total"))
			tt.breaks(s, first)
			c.waitOffline()
			second := publishArguments(t, c.rtmp(), greySeconds(width, height))
			second.waitSent(5 * time.Second)
			second.quit()
			c.waitOffline()
			c.endRecording()
			r := c.waitRecordings(1)[0]

			numbered := r.sequence()
			want := due(keyFrames(t, r, filepath.Dir(r.mediaPath(t))), tt.interval)
			shown := match(t, numbered, want, width, height)
			if late += int(s.metric("anabranch_stills_replaced_total")) + tt.lost; tt.storage[0] == sequential && len(shown)+late < len(want) {
				t.Errorf("%d thumbnails, %d may not have been made in time, due are %v", len(shown), late, want)
			}
			if tt.storage[len(tt.storage)-1] == latest {
				text, err := os.ReadFile(filepath.Join(r.dir, "media", "latest_thumbnail", "thumb.jpg"))
				if err != nil {
					t.Fatal(err)
				}
				last := match(t, [][]byte{text}, want, width, height)
				if len(shown) > 0 && len(last) > 0 && last[0].level != shown[len(shown)-1].level {
					t.Errorf("the latest is %v, the last of all %v", last[0], shown[len(shown)-1])
				}
			}
			for _, name := range []string{"recording-started.json", "recording-ended.json"} {
				of, newest := r.stills(t, name)
				for _, told := range []struct {
					is   *still
					path string
					want bool
				}{
					{of, "media/thumbnails", len(numbered) > 0},
					{newest, "media/latest_thumbnail/thumb.jpg", tt.storage[len(tt.storage)-1] == latest},
				} {
					switch {
					case told.want != (told.is != nil):
						t.Errorf("%s tells of %s: %v", name, told.path, told.is)
					case told.want && *told.is != still{told.path, width, height}:
						t.Errorf("%s tells of %+v", name, *told.is)
					}
				}
			}
			checkShelved(t, s, width, height)
		})
	}
}

// match says of which key frames thumbnails are: of one due after the other, but
// for those that were not made.
func match(t testing.TB, thumbs [][]byte, due []grey, width, height int) (of []grey) {
	t.Helper()
	next := 0
	for i, text := range thumbs {
		level := thumbnail(t, text, width, height)
		for next < len(due) && math.Abs(level-due[next].level) > 3 {
			next++
		}
		if next == len(due) {
			t.Errorf("thumbnail %d of level %.0f is of none that is due: %v", i, level, due)
			return of
		}
		of = append(of, due[next])
		next++
	}
	return of
}

// mediaPath is where the first rendition's media playlist is below the prefix.
func (r recording) mediaPath(t testing.TB) string {
	t.Helper()
	m, err := r.metadata("recording-ended.json")
	if err != nil || len(m.Media.HLS.Renditions) == 0 {
		t.Fatalf("recording-ended.json: %+v, %v", m, err)
	}
	return filepath.Join(filepath.FromSlash(m.Media.HLS.Path), m.Media.HLS.Renditions[0].Path, m.Media.HLS.Renditions[0].Playlist)
}

func hasThumbnails(r recording) bool {
	for _, folder := range []string{"thumbnails", "latest_thumbnail"} {
		if found, _ := os.ReadDir(filepath.Join(r.dir, "media", folder)); len(found) > 0 {
			return true
		}
	}
	return false
}

// checkPoster fetches what the watch page shows before the picture moves.
func checkPoster(t testing.TB, c *channel, width, height int) {
	t.Helper()
	all, err := c.variants(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	poster := strings.TrimSuffix(all[0]["URI"], "playlist.m3u8") + "poster.jpg"
	kind, text := fetch(t, poster)
	if kind != "image/jpeg" {
		t.Fatalf("the poster is of type %q", kind)
	}
	thumbnail(t, text, width, height)
}

// checkShelved fetches the thumbnail that the API tells of.
func checkShelved(t testing.TB, s *server, width, height int) {
	t.Helper()
	out, err := s.recordingCommand("list", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var told struct{ ThumbnailURL string }
	if err := json.Unmarshal([]byte(out), &told); err != nil || told.ThumbnailURL == "" {
		t.Fatalf("no thumbnail in %s (%v)", out, err)
	}
	kind, text := fetch(t, told.ThumbnailURL)
	if kind != "image/jpeg" {
		t.Errorf("%s is of type %q", told.ThumbnailURL, kind)
	}
	thumbnail(t, text, width, height)
}

func fetch(t testing.TB, url string) (contentType string, body []byte) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, resp.Status, err)
	}
	return resp.Header.Get("Content-Type"), body
}

// A configuration that wants no rendition has thumbnails alone.
func TestThumbnailsAlone(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.newChannel(recordTo(s.newRecordingConfiguration(0, thumbnails(time.Second), func(in *ivs.CreateRecordingConfigurationInput) {
		in.RenditionConfiguration = &types.RenditionConfiguration{RenditionSelection: types.RenditionConfigurationRenditionSelectionNone}
	})))
	p := publishArguments(t, c.rtmp(), greySeconds(426, 240))
	p.waitSent(4500 * time.Millisecond)
	p.quit()
	c.waitOffline()
	r := c.waitRecordings(1)[0]
	all := r.sequence()
	if late := int(s.metric("anabranch_stills_replaced_total")); len(all)+late < 4 {
		t.Errorf("%d thumbnails of more than four seconds, %d were not made in time", len(all), late)
	}
	var want []grey // once a second
	for i := range 6 {
		want = append(want, grey{float64(i), float64(4+7*i) * 255 / 219})
	}
	match(t, all, want, 426, 240)
	for _, name := range r.files(t) {
		if strings.HasPrefix(name, "media/hls") {
			t.Errorf("there is %s", name)
		}
	}
}

// Thumbnails are made of the rendition whose resolution they are to have.
func TestThumbnailsOfRung(t *testing.T) {
	t.Parallel()
	s := startTranscoder(t, 1)
	c := s.newChannel(of(types.ChannelTypeStandardChannelType, ""), recordTo(s.newRecordingConfiguration(0, thumbnails(time.Second), func(in *ivs.CreateRecordingConfigurationInput) {
		in.ThumbnailConfiguration.Resolution = types.ThumbnailConfigurationResolutionLowestResolution
	})))
	p := publishArguments(t, c.rtmp(), greySeconds(854, 480))
	p.waitSent(6 * time.Second)
	p.quit()
	c.waitOffline()
	r := c.waitRecordings(1)[0]
	all := r.sequence()
	if len(all) == 0 {
		t.Fatal("there are none")
	}
	for _, text := range all {
		thumbnail(t, text, 284, 160)
	}
	if of, _ := r.stills(t, "recording-ended.json"); of == nil || *of != (still{"media/thumbnails", 284, 160}) {
		t.Errorf("recording-ended.json tells of %+v", of)
	}
}
