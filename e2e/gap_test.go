package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// player is one of the ways in which a browser plays a channel.
type player struct {
	name   string
	page   func(c *channel, elsewhere string) string
	native bool // the browser's own player, which keeps further behind
}

var (
	watchPage       = player{"watch page", func(c *channel, _ string) string { return c.watchURL() }, false}
	watchPageNative = player{"watch page, native", func(c *channel, _ string) string { return c.watchURL() + "?player=native" }, true}
	plainVideo      = player{"video element", func(c *channel, e string) string { return e + "/video?" + *c.PlaybackUrl }, true}
	plainHls        = player{"hls.js", func(c *channel, e string) string { return e + "/hls?" + *c.PlaybackUrl }, false}
	// What a page must do itself when the server may be away for longer than the
	// 3 s after which hls.js gives up.
	persistentHls = player{"hls.js, persistent", func(c *channel, e string) string { return e + "/persistent?" + *c.PlaybackUrl }, false}
)

func (c *channel) watchURL() string { return "http://" + c.server.at.HTTP + "/watch/" + c.id() }

// elsewhere serves pages of another origin, as others would write them.
func elsewhere(t *testing.T) string {
	t.Helper()
	const plain = `<video autoplay muted controls></video><script src="hls.js"></script><script>
		const hls = new Hls(), errors = [];
		hls.loadSource(location.search.slice(1));
		hls.attachMedia(document.querySelector('video'));
		hls.on('hlsError', (_, error) => errors.push(error));`
	pages := map[string]string{
		"/video": `<video autoplay muted controls crossorigin></video><script>document.querySelector('video').src = location.search.slice(1)</script>`,
		"/hls":   plain + `</script>`,
		"/persistent": plain + `
		hls.on('hlsError', (_, error) => { if (error.fatal) setTimeout(() => hls.startLoad(), 500); });</script>`,
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hls.js" {
			http.ServeFile(w, r, "../internal/console/assets/vendor/hls.min.js")
			return
		}
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, pages[r.URL.Path])
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// smallPicture leaves a machine that shows it several times some time for the
// rest.
func smallPicture() picture {
	p := testPicture()
	p.width, p.height, p.rate, p.gop, p.bitrate = 320, 180, 15, 15, "150k"
	return p
}

// viewers are players of one channel, in one browser.
type viewers struct {
	t       *testing.T
	list    string // URL of a Media Playlist
	tabs    []*tab
	players []player
	saw     []seen // by each, when last looked
}

// gather opens a page for each player and waits until all of them play.
func gather(t *testing.T, c *channel, players ...player) *viewers {
	t.Helper()
	list := c.waitPlayable()
	// It begins with the third segment from the end, and needs a key frame there.
	// The second segment of all has none.
	eventually(t, 20*time.Second, "Chromium's own player finds a key frame", func() error {
		text, err := get(t.Context(), list)
		if n := strings.Count(string(text), "#EXTINF:"); err == nil && n < 5 {
			err = fmt.Errorf("there are %d segments", n)
		}
		return err
	})
	a := &viewers{t: t, list: list, players: players, saw: make([]seen, len(players))}
	site, b := elsewhere(t), startChromium(t)
	for _, p := range players {
		a.tabs = append(a.tabs, b.open(p.page(c, site)))
	}
	a.waitPlaying(30*time.Second, func(player) float64 { return 3 })
	a.look("before")
	for i, s := range a.saw {
		if s.Variance < 100 || s.Width != 320 || s.AudioBytes == 0 || len(s.Problems) > 0 {
			t.Errorf("%s shows no picture, or has no sound: %+v", players[i].name, s)
		}
	}
	return a
}

// look takes note of what everybody sees.
func (a *viewers) look(when string) {
	a.t.Helper()
	for i, tab := range a.tabs {
		a.saw[i] = tab.picture(a.players[i].name + " " + when)
	}
}

// waitPlaying waits until everybody is some seconds further than when last
// looked.
func (a *viewers) waitPlaying(limit time.Duration, further func(player) float64) {
	a.t.Helper()
	began := time.Now()
	for i, tab := range a.tabs {
		tab.waitPlaying(limit-time.Since(began), a.saw[i].Time+further(a.players[i]))
	}
}

// playOn waits until everybody has seen some of what came after a gap, and
// checks how. waited says that all had come to the end of what was before it.
func (a *viewers) playOn(waited bool) {
	a.t.Helper()
	before := append([]seen(nil), a.saw...)
	a.waitPlaying(time.Minute, func(p player) float64 {
		if p.native && !waited {
			return 18 // more than it keeps behind
		}
		return 5
	})
	a.look("after")
	for i, s := range a.saw {
		name := a.players[i].name
		if !s.Marked || s.Variance < 100 || s.State != "" && s.State != "live" {
			a.t.Errorf("%s does not play on: %+v", name, s)
		}
		if s.AudioBytes <= before[i].AudioBytes {
			a.t.Errorf("%s has no sound after the return: %d bytes decoded, before %d", name, s.AudioBytes, before[i].AudioBytes)
		}
		if s.Latency != nil {
			a.t.Logf("%s is %.2f s behind the broadcaster", name, *s.Latency)
		}
	}
}

// check checks that nobody had to begin anew.
func (a *viewers) check() {
	a.t.Helper()
	for i, s := range a.saw {
		if len(s.Problems) > 0 || len(s.Errors) > 0 && a.players[i].name != persistentHls.name {
			a.t.Errorf("%s had to cope with %v %v", a.players[i].name, s.Problems, s.Errors)
		}
	}
}

// Viewers see the broadcaster drop and return, each on a page that is never
// loaded again.
func TestGap(t *testing.T) {
	for _, tt := range []struct {
		name   string
		breaks breakage
		gap    time.Duration
		hls    player // besides the others
	}{
		{"5 s", killPublisher, 5 * time.Second, plainHls},
		{"120 s", killPublisher, 120 * time.Second, plainHls},
		{"server restarted", restartInGap, 5 * time.Second, persistentHls},
		{"server killed on air", killServerOnAir, 5 * time.Second, persistentHls},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, "--live-grace", "180s")
			c := s.newChannel()
			first := publish(t, c.rtmp(), smallPicture())
			a := gather(t, c, watchPage, watchPageNative, plainVideo, tt.hls)

			broken := time.Now()
			tt.breaks(s, first)
			eventually(t, 2*tt.gap, "the gap is over", func() error {
				if since := time.Since(broken); since < tt.gap {
					return fmt.Errorf("it has been %v", since)
				}
				return nil
			})
			a.look("during")
			if state := a.saw[0].State; state != "reconnecting" {
				t.Errorf("the page says %q in the gap", state)
			}
			publish(t, c.rtmp(), smallPicture())
			a.playOn(tt.gap > 20*time.Second)
			a.check()
		})
	}
}

// A broadcaster whose network comes and goes keeps the viewers.
func TestManyGaps(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.newChannel()
	p := publish(t, c.rtmp(), smallPicture())
	a := gather(t, c, watchPage, watchPageNative, plainVideo, plainHls)
	for _, gap := range []time.Duration{1, 8, 3, 5, 2} {
		p.kill()
		broken := time.Now()
		eventually(t, 10*time.Second, "the gap is over", func() error {
			if since := time.Since(broken); since < gap*time.Second {
				return fmt.Errorf("it has been %v", since)
			}
			return nil
		})
		p = publish(t, c.rtmp(), smallPicture())
		p.waitSent(5 * time.Second)
	}
	a.look("during")
	a.playOn(false)
	a.check()
}

// When the broadcaster stays away the playlist ends, and is there for a minute
// more. Viewers see the end, and the watch page the next beginning, too.
func TestEnd(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--live-grace", "5s")
	c := s.newChannel()
	p := publish(t, c.rtmp(), smallPicture())
	a := gather(t, c, watchPage, watchPageNative, plainVideo, plainHls)
	p.kill()
	broken := time.Now()

	var end time.Time
	eventually(t, 15*time.Second, "the playlist has ended", func() error {
		text, err := get(t.Context(), a.list)
		if err != nil {
			return err
		}
		if end = time.Now(); !strings.HasSuffix(string(text), "\n#EXT-X-ENDLIST\n") {
			return fmt.Errorf("it is\n%s", text)
		}
		return nil
	})
	if grace := end.Sub(broken); grace < 4900*time.Millisecond {
		t.Errorf("the playlist ended after %v", grace)
	}
	for i, tab := range a.tabs {
		eventually(t, 40*time.Second, a.players[i].name+" has come to the end", func() error {
			if now := tab.look(); now.State != "ended" && !now.Ended {
				return fmt.Errorf("it shows %+v", now)
			}
			return nil
		})
	}
	a.look("ended")
	a.check()

	eventually(t, 70*time.Second, "the channel is gone", func() error {
		if _, err := get(t.Context(), a.list); err == nil {
			return fmt.Errorf("its playlist is there")
		}
		return nil
	})
	if after := time.Since(end); after < 58*time.Second {
		t.Errorf("the ended playlist was there for %v, not a minute", after)
	}
	for _, gone := range []string{a.list, *c.PlaybackUrl} {
		checkGone(t, gone)
	}

	publish(t, c.rtmp(), smallPicture())
	for i, tab := range a.tabs[:2] { // the watch page
		eventually(t, 30*time.Second, a.players[i].name+" plays again", func() error {
			if now := tab.look(); !now.Marked || now.State != "live" || now.Ended || now.Variance < 100 {
				return fmt.Errorf("it shows %+v", now)
			}
			return nil
		})
		tab.picture(a.players[i].name + " again")
	}
}

// checkGone checks what players are told of a channel that is off air.
func checkGone(t *testing.T, address string) {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got []map[string]string
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || len(got) != 1 || resp.StatusCode != http.StatusNotFound {
		t.Fatalf("%s: %s, %v %v", address, resp.Status, got, err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"url": u.Path, "error": "Can not find channel", "error_code": "transcode_does_not_exist", "type": "error"}
	if fmt.Sprint(got[0]) != fmt.Sprint(want) {
		t.Errorf("%s: %v, not %v", address, got[0], want)
	}
}
