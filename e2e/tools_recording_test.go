package e2e

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"

	"anabranch/e2e/hls"
)

// publishShots publishes a piece with the options of an encoder.
func publishShots(t testing.TB, url string, piece int, encoder string) *publisher {
	t.Helper()
	source := fmt.Sprintf("testsrc2=size=320x180:rate=%d[picture];%s[shot];[picture][shot]overlay,format=yuv420p", shotRate, shotBlocks(piece, 320, 180))
	args := []string{"-re", "-f", "lavfi", "-i", source, "-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
		"-c:v", "libx264", "-threads", "1", "-b:v", "300k", "-maxrate", "300k", "-bufsize", "300k", "-sc_threshold", "0", "-c:a", "aac", "-b:a", "64k"}
	return publishArguments(t, url, append(args, strings.Fields(encoder)...))
}

// The ways a piece ends.
func killPublishers(_ *server, all []*publisher) {
	for _, p := range all {
		p.kill()
	}
}

func quitPublishers(_ *server, all []*publisher) {
	for _, p := range all {
		p.quit()
	}
}

func killServerUnder(s *server, all []*publisher) {
	s.kill()
	for _, p := range all {
		p.waitEnd(10 * time.Second)
	}
	s.start()
}

// jointed is a recording with joins whose server is gone: what is left is its
// folder in the bucket.
type jointed struct {
	recording
	lists []playlists
	sent  []sent // by the publisher of each piece
}

// playlists are a Multivariant Playlist and the Media Playlist it names.
type playlists struct{ name, master, media string }

// recordPieces makes a recording of five pieces in each container: the
// publisher's connection breaks, and again; the server is killed; the connection
// breaks; the broadcaster ends. Each piece has an encoder of its own, and so
// parameter sets and groups of pictures of its own, and all but the first have
// B-frames.
func recordPieces(t *testing.T, containers ...types.ContainerFormat) (made []*jointed) {
	t.Helper()
	encoders := []struct {
		options string
		stay    time.Duration
		ends    func(s *server, all []*publisher)
	}{
		{"-preset ultrafast -tune zerolatency -g 30", 5 * time.Second, killPublishers},
		{"-preset superfast -bf 3 -b_strategy 0 -g 60", 12 * time.Second, killPublishers},
		{"-preset superfast -bf 2 -b_strategy 0 -x264-params b-pyramid=none -profile:v main -g 75", 6500 * time.Millisecond, killServerUnder},
		{"-preset superfast -bf 3 -refs 3 -g 60", 5700 * time.Millisecond, killPublishers},
		{"-preset superfast -bf 3 -b_strategy 0 -g 45", 6 * time.Second, quitPublishers},
	}
	s := startServer(t)
	configuration := s.newRecordingConfiguration(60 * time.Second)
	var channels []*channel
	for _, format := range containers {
		channels = append(channels, s.newChannel(recordTo(configuration), func(in *ivs.CreateChannelInput) { in.ContainerFormat = format }))
		made = append(made, &jointed{})
	}
	for piece, e := range encoders {
		var publishers []*publisher
		for _, c := range channels {
			publishers = append(publishers, publishShots(t, c.rtmp(), piece, e.options))
		}
		for i, c := range channels {
			publishers[i].waitSent(e.stay)
			c.waitLive()
		}
		e.ends(s, publishers)
		for i, c := range channels {
			c.waitOffline()
			made[i].sent = append(made[i].sent, publishers[i].progress())
		}
	}
	for i, c := range channels {
		c.endRecording()
		made[i].recording = c.waitRecordings(1)[0]
		if n, want := made[i].check(t).Count("EXT-X-DISCONTINUITY"), len(encoders)-1; n != want {
			t.Fatalf("%s has %d joins, not %d", made[i].prefix, n, want)
		}
	}
	s.stop()
	for _, r := range made {
		r.findPlaylists(t)
	}
	return made
}

// findPlaylists reads what recording-ended.json tells, as a tool would.
func (r *jointed) findPlaylists(t *testing.T) {
	t.Helper()
	m, err := r.metadata("recording-ended.json")
	if err != nil {
		t.Fatal(err)
	}
	list, rendition := m.Media.HLS, m.Media.HLS.Renditions[0]
	r.lists = []playlists{{"objects", path.Join(list.Path, list.Playlist), path.Join(list.Path, rendition.Path, rendition.Playlist)}}
	if list.ByteRange != "" {
		r.lists = append(r.lists, playlists{"byte ranges", path.Join(list.Path, list.ByteRange), path.Join(list.Path, rendition.Path, rendition.ByteRange)})
	}
}

// joins are where the pieces begin, but for the first, in seconds from the
// beginning.
func joins(p *hls.Playlist) (at []float64) {
	end := time.Duration(0)
	for _, s := range p.Segments {
		if s.Discontinuity {
			at = append(at, end.Seconds())
		}
		end += s.Duration
	}
	return at
}

// serveBucket serves a bucket's folder as S3 would, to pages of any origin,
// until the test ends. Below /page/ it has pages that play what they are asked
// for.
func serveBucket(t *testing.T, folder string) string {
	t.Helper()
	objects := http.FileServer(http.Dir(folder))
	types := map[string]string{
		".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t", ".mp4": "video/mp4", ".json": "application/json",
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", types[path.Ext(r.URL.Path)])
		w.Header().Set("Access-Control-Allow-Origin", "*")
		objects.ServeHTTP(w, r)
	})
	servePages(mux)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// servePages adds the pages that play what they are asked for.
func servePages(mux *http.ServeMux) {
	const page = `<!DOCTYPE html><video muted playsinline></video>`
	mux.HandleFunc("/page/native", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, page) })
	mux.HandleFunc("/page/hls", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, page, `<script src="hls.js"></script>`)
	})
	mux.HandleFunc("/page/hls.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, "../internal/console/assets/vendor/hls.min.js")
	})
}

// showing is a picture that a tool showed, and when, in seconds from the
// beginning.
type showing struct {
	at float64
	shot
}

// shotList is what a recording shows, as the first tool saw it. Later ones must see
// the same.
type shotList []showing

// when is the picture shown at a time.
func (f shotList) when(at float64) int {
	const slack = 0.002 // of rounding
	n := 0
	for n+1 < len(f) && f[n+1].at <= at+slack {
		n++
	}
	return n
}

// index is where a picture is, -1 if it is not there.
func (f shotList) index(s shot) int {
	for i := range f {
		if f[i].shot == s {
			return i
		}
	}
	return -1
}

// near says whether s is what is shown at a time, give or take some pictures.
func (f shotList) near(at float64, s shot, pictures int) error {
	want, got := f.when(at), f.index(s)
	if got < 0 || int(math.Abs(float64(want-got))) > pictures {
		return fmt.Errorf("the picture at %.3f s is %v, not %v", at, s, f[want].shot)
	}
	return nil
}

// folder is that of the bucket the recording is in.
func (r *jointed) folder() string {
	return strings.TrimSuffix(r.dir, filepath.FromSlash(r.prefix))
}
