package playback_test

import (
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/broadcast"
	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/playback"
	"anabranch/internal/resource"
)

// rung is a rendition of a test channel.
type rung struct {
	name                string // "" is the source
	width, height, rate int    // 0: sound alone
	size                int    // bytes of a part, a third of a second
	unlisted, onRequest bool
	segments            int // of three parts; 0 is five, negative none
}

// Ladders as channels have them.
var (
	standard = []rung{
		{name: "", width: 1920, height: 1080, rate: 60, size: 9000},
		{name: "720p60", width: 1280, height: 720, rate: 60, size: 5000},
		{name: "480p30", width: 852, height: 480, rate: 30, size: 2000},
		{name: "160p30", width: 284, height: 160, rate: 30, size: 400},
		{name: "audio_only", size: 100, onRequest: true},
	}
	advanced = []rung{
		{name: "", width: 1920, height: 1080, rate: 30, size: 9000, unlisted: true},
		{name: "720p30", width: 1280, height: 720, rate: 30, size: 5000},
		{name: "480p30", width: 852, height: 480, rate: 30, size: 2000},
		{name: "audio_only", size: 100},
	}
)

// ladder puts a channel with renditions on air. Each part's bytes name the
// rendition.
func (st *station) ladder(id string, change func(*resource.Channel), rungs []rung) *broadcast.View {
	st.t.Helper()
	v := st.channel(id, 0, change)
	ladder := *v
	for _, r := range rungs {
		w := v.Window
		if r.name != "" {
			var err error
			if w, err = packager.OpenWindow(packager.WindowConfig{
				Dir: filepath.Join(st.t.TempDir(), r.name), MediaBase: playback.MediaBase(&v.Channel, r.name),
			}); err != nil {
				st.t.Fatal(err)
			}
			st.t.Cleanup(func() { w.Close() })
		}
		segments := r.segments
		if segments == 0 {
			segments = 5
		}
		for i := range segments * 3 {
			st.rungPart(w, r, i%3 == 0, i%3 == 2)
		}
		st.rungPart(w, r, true, false)
		if !r.unlisted {
			ladder.Renditions = append(ladder.Renditions, broadcast.Rendition{Name: r.name, Window: w, OnRequest: r.onRequest})
		}
	}
	st.put(id, &ladder)
	return &ladder
}

func (st *station) put(id string, v *broadcast.View) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.views[id] = v
}

// rungPart appends a part to a rendition.
func (st *station) rungPart(w *packager.Window, r rung, first, last bool) {
	sps, _ := hex.DecodeString("6742c01eda0280bfe5c044000003000400000300f03c58ba80")
	sps = append(sps, byte(r.height)) // another size is another set
	video, err := media.ParseH264(sps, []byte{0x68, 0xce, 0x0f, 0xc8})
	if err != nil {
		st.t.Fatal(err)
	}
	video.Width, video.Height = r.width, r.height
	audio, err := media.ParseAAC([]byte{0x11, 0x90})
	if err != nil {
		st.t.Fatal(err)
	}
	p := media.Params{Video: video, Audio: audio}
	if r.width == 0 {
		p.Video = nil
	}
	at, ok := w.Position()
	if !ok {
		at = packager.Origin
	}
	cmaf := fmt.Appendf(nil, "%s of %d at %d", r.name, r.height, at)
	c := &packager.Chunk{
		Params: p, Start: at, Duration: 30000, Time: time.Now(),
		Segment: first, SegmentEnd: last, Independent: first, Video: make([]media.Frame, r.rate/3),
	}
	if err := w.Append(c, append(cmaf, make([]byte, r.size-len(cmaf))...)); err != nil {
		st.t.Error(err)
	}
}

// variants asks for a multivariant playlist, and returns what it says: the paths
// of the media playlists by the renditions' names, and the tags in their order,
// with the names.
func (st *station) variants(id, query string) (lists map[string]string, tags []string) {
	st.t.Helper()
	path := playback.Path(place, id)
	res := st.get(path + query)
	text := body(st.t, res)
	if res.StatusCode != 200 {
		return nil, []string{regexp.MustCompile(`"error_code":"(.*?)"`).FindStringSubmatch(text)[1]}
	}
	lists = make(map[string]string)
	for _, m := range regexp.MustCompile(`(?m)^#EXT-X-STREAM-INF:(.*)\n(.*)$`).FindAllStringSubmatch(text, -1) {
		at := resolve(st.t, res, path, m[2])
		// /v/<session>/<id>/<rendition>/playlist.m3u8
		name := strings.TrimSuffix(strings.Join(strings.Split(at, "/")[4:], "/"), "playlist.m3u8")
		name = strings.TrimSuffix(name, "/")
		lists[name] = at
		tags = append(tags, name+" "+m[1])
	}
	return lists, tags
}

// What a multivariant playlist offers, to whom, and what it tells of it.
func TestVariants(t *testing.T) {
	const (
		source = ` BANDWIDTH=216000,AVERAGE-BANDWIDTH=216000,CODECS="avc1.42c01e,mp4a.40.2",RESOLUTION=1920x1080,FRAME-RATE=60.000`
		p720   = `720p60 BANDWIDTH=120000,AVERAGE-BANDWIDTH=120000,CODECS="avc1.42c01e,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=60.000`
		p480   = `480p30 BANDWIDTH=48000,AVERAGE-BANDWIDTH=48000,CODECS="avc1.42c01e,mp4a.40.2",RESOLUTION=852x480,FRAME-RATE=30.000`
		p160   = `160p30 BANDWIDTH=9600,AVERAGE-BANDWIDTH=9600,CODECS="avc1.42c01e,mp4a.40.2",RESOLUTION=284x160,FRAME-RATE=30.000`
		sound  = `audio_only BANDWIDTH=2400,AVERAGE-BANDWIDTH=2400,CODECS="mp4a.40.2"`
		half   = `720p30 BANDWIDTH=120000,AVERAGE-BANDWIDTH=120000,CODECS="avc1.42c01e,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=30.000`
	)
	with := func(rungs []rung, i int, change func(*rung)) []rung {
		rungs = slices.Clone(rungs)
		change(&rungs[i])
		return rungs
	}
	upright := []rung{
		{name: "", width: 1080, height: 1920, rate: 30, size: 9000},
		{name: "480p30", width: 480, height: 852, rate: 30, size: 2000},
	}
	for _, tt := range []struct {
		name           string
		rungs          []rung
		maximum, query string
		want           []string
	}{
		{"STANDARD", standard, "", "", []string{source, p720, p480, p160}},
		{"sound too", standard, "", "allow_audio_only=true", []string{source, p720, p480, p160, sound}},
		{"sound, among other parameters", standard, "", "player_version=1&allow_audio_only=true&x", []string{source, p720, p480, p160, sound}},
		{"sound, no", standard, "", "allow_audio_only=false", []string{source, p720, p480, p160}},
		{"sound, another word", standard, "", "allow_audio_only=1", []string{source, p720, p480, p160}},
		{"sound, another case", standard, "", "allow_audio_only=True", []string{source, p720, p480, p160}},
		{"sound, another name", standard, "", "Allow_Audio_Only=true", []string{source, p720, p480, p160}},
		{"sound, more than the word", standard, "", "allow_audio_only=true%20", []string{source, p720, p480, p160}},
		{"sound, nothing said", standard, "", "allow_audio_only", []string{source, p720, p480, p160}},
		{"FULL_HD", standard, "FULL_HD", "", []string{source, p720, p480, p160}},
		{"HD", standard, "HD", "", []string{p720, p480, p160}},
		{"SD", standard, "SD", "", []string{p480, p160}},
		{"SD, and sound", standard, "SD", "allow_audio_only=true", []string{p480, p160, sound}},
		{"upright", upright, "HD", "", []string{strings.Replace(p480, "852x480", "480x852", 1)}},
		{"ADVANCED", advanced, "", "", []string{half, p480, sound}},
		{"ADVANCED, HD", advanced, "HD", "", []string{half, p480, sound}},
		{"ADVANCED, SD", advanced, "SD", "", []string{p480, sound}},
		{"one has no segment yet", with(standard, 1, func(r *rung) { r.segments = -1 }), "", "", []string{source, p480, p160}},
		{"the source has none", with(standard, 0, func(r *rung) { r.segments = -1 }), "", "", []string{p720, p480, p160}},
		{"two are equal", with(standard, 1, func(r *rung) { r.width, r.height = 1920, 1080 }), "", "", []string{source, p480, p160}},
		{"two are equal but for the rate", with(standard, 1, func(r *rung) { r.width, r.height, r.rate = 1920, 1080, 30 }), "", "",
			[]string{source, strings.NewReplacer("1280x720", "1920x1080", "60.000", "30.000").Replace(p720), p480, p160}},
		{"no list", []rung{{name: "", width: 1920, height: 1080, rate: 60, size: 9000, unlisted: true}}, "", "", []string{source}},
		{"no list, SD", []rung{{name: "", width: 1920, height: 1080, rate: 60, size: 9000, unlisted: true}}, "SD", "", []string{"disallowed_resolution"}},
		{"too large, all", advanced[1:2], "SD", "", []string{"disallowed_resolution"}},
		{"sound alone is small", advanced[1:], "SD", "", []string{p480, sound}},
		{"nothing yet", with(advanced[:2], 1, func(r *rung) { r.segments = -1 }), "", "", []string{"transcode_does_not_exist"}},
		{"sound alone, which nobody asked for", standard[4:], "", "", []string{"transcode_does_not_exist"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			st := newStation(t)
			st.ladder("abc", private, tt.rungs)
			claims := ""
			if tt.maximum != "" {
				claims = `"aws:maximum-resolution":"` + tt.maximum + `"`
			}
			if _, tags := st.variants("abc", "?token="+st.rules.token(t, "abc", claims)+"&"+tt.query); !slices.Equal(tags, tt.want) {
				t.Errorf("offered:\n%s\nwant:\n%s", strings.Join(tags, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// Each rendition has a playlist and media of its own, for open and for restricted
// channels, below whatever path.
func TestRenditions(t *testing.T) {
	st := newStation(t)
	st.ladder("open", nil, standard)
	st.ladder("private", private, standard)
	for id, cache := range map[string]string{"open": "public", "private": "private"} {
		lists, _ := st.variants(id, "?allow_audio_only=true&token="+st.rules.token(t, id, ""))
		if len(lists) != len(standard) {
			t.Fatalf("%s: offered %v", id, lists)
		}
		for _, r := range standard {
			list := lists[r.name]
			folder := strings.TrimSuffix(list, "playlist.m3u8")
			if id == "open" {
				folder = strings.TrimSuffix("/live/open/"+r.name, "/") + "/"
			}
			for _, path := range append(st.uris(list), list) {
				name, ok := strings.CutPrefix(path, folder)
				if path != list && (!ok || strings.Contains(name, "/")) {
					t.Fatalf("media of %s at %s, not in %s", r.name, path, folder)
				}
				res := st.get(path, "Origin", "https://a.example")
				h := res.Header
				if res.StatusCode != 200 || h.Get("Access-Control-Allow-Origin") != "*" {
					t.Errorf("%s: %s %v", path, res.Status, h)
				}
				if head := st.do("HEAD", path, "Origin", "https://a.example"); head.StatusCode != 200 || body(t, head) != "" || !maps.EqualFunc(head.Header, h, slices.Equal) {
					t.Errorf("%s: HEAD: %s %v", path, head.Status, head.Header)
				}
				if pre := st.do("OPTIONS", path, "Origin", "https://a.example"); pre.StatusCode != 204 || pre.Header.Get("Access-Control-Allow-Origin") != "*" {
					t.Errorf("%s: preflight: %s %v", path, pre.Status, pre.Header)
				}
				if path == list {
					continue
				}
				if !strings.HasPrefix(h.Get("Cache-Control"), cache+", max-age=3600") {
					t.Errorf("%s: %v", path, h)
				}
				if is := fmt.Sprintf("%s of %d at ", r.name, r.height); !strings.HasPrefix(name, "init") && !strings.HasPrefix(body(t, res), is) {
					t.Errorf("%s is not %q", path, is)
				}
			}
			if got := st.get(list + "?_HLS_msn=946684800000").Header.Get("Cache-Control"); got != cache+", max-age=24" {
				t.Errorf("%s: held: Cache-Control %q", list, got)
			}
			// Sisters are where the reports say they are.
			for _, other := range standard {
				base, err := url.Parse("https://cdn.example/below/a/path" + list)
				if err != nil {
					t.Fatal(err)
				}
				at, err := base.Parse(playback.SisterURI(r.name, other.name))
				if err != nil || at.Path != "/below/a/path"+lists[other.name] {
					t.Errorf("from %q to %q: %v %v", r.name, other.name, at, err)
				}
			}
		}
	}
	// All playlists of a session are one view.
	if n := st.seen.Viewers(place.ARN(resource.KindChannel, "open")); n > 1 {
		t.Errorf("%d views by one session", n)
	}
}

// What a session may not watch, or the channel does not offer, is not found by
// guessing its path.
func TestRenditionsOutOfReach(t *testing.T) {
	st := newStation(t)
	st.ladder("private", private, standard)
	hidden := st.ladder("advanced", nil, advanced)
	st.ladder("closed", private, advanced)
	lists, _ := st.variants("private", "?token="+st.rules.token(t, "private", ""))
	names := make(map[string][]string) // of all renditions' media
	for name, list := range lists {
		for _, path := range st.uris(list) {
			names[name] = append(names[name], path[strings.LastIndex(path, "/")+1:])
		}
	}
	session := func(id, claims string) string {
		all, tags := st.variants(id, "?token="+st.rules.token(t, id, claims))
		for _, list := range all {
			return strings.Split(list, "/")[2]
		}
		t.Fatalf("%s: %v", id, tags)
		return ""
	}
	reaches := func(folder string, names []string, want string) {
		t.Helper()
		for _, name := range append([]string{"playlist.m3u8", "playlist.m3u8?_HLS_msn=0", "playlist.m3u8?_HLS_msn=946684800006"}, names...) {
			if strings.HasPrefix(folder, "/live/") && strings.HasPrefix(name, "playlist") {
				continue
			}
			res := st.get(folder+name, "Origin", "https://a.example")
			if got := said(t, res); got != want {
				t.Errorf("%s%s: %q, want %q", folder[:6]+"…"+folder[len(folder)-16:], name, got, want)
			}
			if head := st.do("HEAD", folder+name); head.StatusCode != res.StatusCode {
				t.Errorf("%s: %s, and to HEAD %s", name, res.Status, head.Status)
			}
		}
	}
	for maximum, want := range map[string]map[string]string{
		"SD":      {"": "disallowed_resolution", "720p60": "disallowed_resolution", "480p30": "", "160p30": ""},
		"HD":      {"": "disallowed_resolution", "720p60": "", "480p30": ""},
		"FULL_HD": {"": "", "720p60": "", "480p30": ""},
	} {
		s := session("private", `"aws:maximum-resolution":"`+maximum+`"`)
		for name, code := range want {
			folder := "/v/" + s + "/private/" + name + "/"
			if name == "" {
				folder = "/v/" + s + "/private/"
			}
			reaches(folder, names[name], code)
		}
		// Nor is it there for everybody.
		for name := range want {
			reaches(strings.TrimSuffix("/live/private/"+name, "/")+"/", names[name], "transcode_does_not_exist")
		}
	}
	// The source of a channel that re-encodes.
	text, err := hidden.Window.Playlist(t.Context(), packager.PlaylistRequest{MSN: -1, Part: -1})
	if err != nil {
		t.Fatal(err)
	}
	source := regexp.MustCompile(`(?:init-)?\d+(?:\.\d+)?\.m(?:4s|p4)`).FindAllString(string(text), -1)
	if len(source) < 10 {
		t.Fatalf("no media in\n%s", text)
	}
	reaches("/v/"+session("closed", "")+"/closed/", source, "media_does_not_exist")
	reaches("/v/"+session("advanced", "")+"/advanced/", source, "media_does_not_exist")
	reaches("/live/advanced/", source, "media_does_not_exist")

	// A name is one of those that there are, letter by letter.
	s := session("advanced", "")
	for _, name := range []string{
		"480P30", "480p30%20", "480p30%00", "480p30%2f", "%2f480p30", "480p3", "480p300", "source", "%2e%2e", "..%2fadvanced", "%20", "*", "{rendition}",
		"%ff%fe", "%22", "playlist.m3u8", "946684800000.m4s", "journal", "advanced", strings.Repeat("480p30", 500),
	} {
		for _, path := range []string{"/v/" + s + "/advanced/" + name + "/playlist.m3u8", "/v/" + s + "/advanced/" + name + "/" + source[1], "/live/advanced/" + name + "/" + source[1]} {
			if res := st.get(path); res.StatusCode != 404 || said(t, res) != "media_does_not_exist" {
				t.Errorf("%.90s: %s", path, res.Status)
			}
		}
	}
	for _, name := range []string{"journal", "..%2f480p30%2f" + source[1], "%2e%2e", "init-x.mp4"} {
		if res := st.get("/live/advanced/480p30/" + name); said(t, res) != "media_does_not_exist" {
			t.Errorf("%s: %s", name, res.Status)
		}
	}
}

// While players wait, a rendition goes or grows beyond what the session may see;
// who watches another one goes on.
func TestRenditionChangesWhileWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStation(t)
		v := st.ladder("abc", private, standard[:3])
		lists, _ := st.variants("abc", "?token="+st.rules.token(t, "abc", `"aws:maximum-resolution":"HD"`))
		const next, next1 = "946684800005.1.m4s", "playlist.m3u8?_HLS_msn=946684800005&_HLS_part=1"
		ask := func(name string) (wait func(want string)) {
			folder := strings.TrimSuffix(lists[name], "playlist.m3u8")
			var waiting sync.WaitGroup
			got := make([]string, 2)
			for i, path := range []string{next, next1} {
				waiting.Go(func() { got[i] = said(t, st.get(folder+path)) })
			}
			synctest.Wait()
			return func(want string) {
				t.Helper()
				waiting.Wait()
				if got[0] != want || got[1] != want {
					t.Errorf("%q: %q, want %q", name, got, want)
				}
			}
		}
		gone, stays := ask("720p60"), ask("480p30")
		// The publisher comes back with another size.
		less := *v
		less.Renditions = []broadcast.Rendition{v.Renditions[2]}
		st.put("abc", &less)
		v.Renditions[1].Window.Close()
		st.rungPart(v.Renditions[2].Window, standard[2], false, false)
		gone("media_does_not_exist")
		stays("")

		st.put("abc", v)
		st.rungPart(v.Renditions[2].Window, standard[2], false, true)
		larger := standard[2]
		larger.width, larger.height = 1920, 1080
		folder := strings.TrimSuffix(lists["480p30"], "playlist.m3u8")
		var waiting sync.WaitGroup
		for _, path := range []string{"946684800006.0.m4s", "playlist.m3u8?_HLS_msn=946684800006&_HLS_part=0"} {
			waiting.Go(func() {
				if got := said(t, st.get(folder+path)); got != "disallowed_resolution" {
					t.Errorf("%s grew: %q", path, got)
				}
			})
		}
		synctest.Wait()
		st.rungPart(v.Renditions[2].Window, larger, true, false)
		waiting.Wait()
	})
}

// A session of a server that knew one rendition goes on with the source.
func TestSessionOfBefore(t *testing.T) {
	st := newStation(t)
	st.channel("abc", 5, nil)
	list := st.tune("abc")
	st.ladder("abc", nil, standard)
	for _, path := range append(st.uris(list), list) {
		if res := st.get(path); res.StatusCode != 200 {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

// Media from before the publisher made the picture smaller stays out of reach of
// who may not watch it.
func TestLargerBefore(t *testing.T) {
	st := newStation(t)
	v := st.ladder("private", private, standard)
	free, _ := st.variants("private", "?token="+st.rules.token(t, "private", ""))
	var large []string
	for _, path := range st.uris(free[""]) {
		large = append(large, path[strings.LastIndex(path, "/")+1:])
	}
	sd, _ := st.variants("private", "?token="+st.rules.token(t, "private", `"aws:maximum-resolution":"SD"`))
	folder := "/v/" + strings.Split(sd["160p30"], "/")[2] + "/private/"
	for i := range 2 {
		st.rungPart(v.Window, rung{width: 640, height: 120, rate: 30, size: 400}, i == 0, false)
	}
	if res := st.get(folder + "playlist.m3u8"); res.StatusCode != 200 {
		t.Errorf("the playlist of what is small now: %s", res.Status)
	}
	for _, name := range large {
		if !strings.HasSuffix(name, "playlist.m3u8") {
			if res := st.get(folder + name); res.StatusCode == 200 {
				t.Errorf("%s: %s", name, res.Status)
			}
		}
	}
}
