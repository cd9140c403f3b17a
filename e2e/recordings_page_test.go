package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivs"

	"anabranch/e2e/hls"
)

// shelf is the page of recordings in a browser.
type shelf struct{ *chromium }

// shelved is what it shows.
type shelved struct {
	Address   string
	Marked    bool // the page is the one that was opened
	Door      bool // it wants an access key
	Refused   string
	Missing   bool // what the address names is not there
	Status    string
	Rows      [][]string // what each row of the list says
	State     string     // of the recording that plays
	Curtain   string     // what is told over the picture
	When      string     // the wall clock at the picture
	Tip       string     // what the time bar tells of the place pointed to
	Command   string     // that exports
	Parts     []string
	Marks     []float64 // the joins on the time bar, from 0 to 1
	Qualities []string  // that are offered
	Height    int       // of the picture, in pixels
	Time      float64   // of the video in seconds
	Paused    bool
	Duration  float64 // of the recording in seconds
	Ended     bool    // nothing will be added
	KeptKeys  int     // entries in the browser's storage
	Position  float64 // on the time bar, in seconds
	Tiles     []shelfTile
	Lanes     []shelfLane
	Shots     []shelfShot          // when they were asked for
	Clocks    []map[string]float64 // of tiles, by name: dates in milliseconds
	Wide      bool                 // it is wider than the window
	Longest   float64              // seconds without a new position, when it was watched
	Errors    []string
	Problems  []string
}

func (b shelf) do(command string, values ...any) (now shelved) {
	b.t.Helper()
	line := map[string]any{"do": command}
	for i := 0; i < len(values); i += 2 {
		line[values[i].(string)] = values[i+1]
	}
	text, err := json.Marshal(line)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(b.stdin, "%s\n", text); err != nil {
		b.t.Fatal(err)
	}
	if !b.lines.Scan() {
		b.t.Fatalf("the browser does not answer to %s: %v", text, b.lines.Err())
	}
	if err := json.Unmarshal(b.lines.Bytes(), &now); err != nil {
		b.t.Fatal(err)
	}
	return now
}

// until waits until the page shows what is wanted; wrong tells what it lacks.
func (b shelf) until(limit time.Duration, what string, shows func(shelved) bool) (now shelved) {
	b.t.Helper()
	eventually(b.t, limit, what, func() error {
		if now = b.do("look"); !shows(now) {
			return fmt.Errorf("the page shows %+v", now)
		}
		return nil
	})
	return now
}

func (b shelf) signIn(id, secret string) shelved {
	b.t.Helper()
	b.do("fill", "selector", "#key", "text", id)
	b.do("fill", "selector", "#secret", "text", secret)
	return b.do("click", "selector", "#door button")
}

// picture saves screenshots for a desk and for a phone.
func (b shelf) picture(name string) {
	b.t.Helper()
	for device, size := range map[string][2]int{"desk": {1280, 900}, "phone": {390, 844}} {
		now := b.do("picture", "file", filepath.Join(b.files, fmt.Sprintf("%s-%s-%s.png", b.t.Name(), name, device)),
			"width", size[0], "height", size[1])
		if now.Wide {
			b.t.Errorf("%s is too wide for a %s", name, device)
		}
	}
}

// Who has the key of the API sees the recordings, and plays one while it is
// still being made: across its join, back and forth, and to its end.
func TestRecordingsPage(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.newRecordedChannel(60*time.Second, func(in *ivs.CreateChannelInput) { in.Name = aws.String("harbour") })
	credentials, err := s.config().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	page := shelf{startBrowser(t, "recordings.mjs")}

	first := c.publish(testPicture())
	page.do("open", "url", "http://"+s.at.HTTP+"/recordings?channel="+c.id())
	page.until(10*time.Second, "the page asks for a key", func(now shelved) bool { return now.Door && now.Refused == "" })
	for _, wrong := range []struct{ id, secret, told string }{
		{credentials.AccessKeyID, "not the secret", "does not match"},
		{"AKIDEXAMPLE", credentials.SecretAccessKey, "unknown access key id"},
	} {
		page.signIn(wrong.id, wrong.secret)
		page.until(5*time.Second, "the key is refused", func(now shelved) bool { return strings.Contains(now.Refused, wrong.told) })
	}
	page.picture("door")
	page.do("click", "selector", "#keep")
	page.signIn(credentials.AccessKeyID, credentials.SecretAccessKey)
	page.until(5*time.Second, "the recording is listed", func(now shelved) bool {
		return !now.Door && len(now.Rows) == 1 && now.Rows[0][0] == "recording now" && now.Rows[0][1] == "harbour"
	})

	// Its beginning, while it is made.
	page.do("click", "selector", "#list a")
	began := page.until(30*time.Second, "the recording plays", func(now shelved) bool { return now.Time > 0.5 && !now.Paused })
	if began.Duration < 9 || began.Ended || len(began.Marks) > 0 {
		t.Errorf("at first the page shows %+v", began)
	}
	first.waitSent(13 * time.Second)
	first.kill()
	c.waitOffline()
	gone := time.Now()
	eventually(t, 5*time.Second, "the gap is over", func() error {
		if since := time.Since(gone); since < 3*time.Second {
			return fmt.Errorf("it has been %v", since)
		}
		return nil
	})
	second := c.publish(testPicture())

	// The join, as soon as it is stored. Meanwhile the URL expires, in effect:
	// the page gets another one, and plays on.
	page.do("refuse")
	grown := page.until(45*time.Second, "the join is on the time bar", func(now shelved) bool {
		return now.Duration >= began.Duration+9 && len(now.Marks) == 1
	})
	if grown.Ended || grown.State != "recording now" || len(grown.Errors) != 1 || grown.Time < began.Time {
		t.Errorf("the recording is still being made, but the page shows %+v", grown)
	}
	joined := func(now shelved) float64 { return now.Marks[0] * now.Duration }
	join := joined(grown)
	now := page.do("key", "selector", "#bar", "text", "Home")
	if now.Time > 1 {
		t.Errorf("after Home the page shows %+v", now)
	}
	page.until(5*time.Second, "it plays from the start", func(now shelved) bool { return now.Time > 0.3 && now.Time < 5 })
	page.do("seek", "at", (join-2)/grown.Duration)
	page.until(5*time.Second, "it plays before the join", func(now shelved) bool { return now.Time > join-2 && now.Time < join })
	now = page.do("watch", "seconds", 3.5)
	if now.Time < join+1 || now.Longest > 1 {
		t.Errorf("across the join at %.2f s it stood still for %.2f s, and came to %.2f s", join, now.Longest, now.Time)
	}
	page.picture("being-made")
	second.waitSent(13 * time.Second)
	second.quit()
	c.waitOffline()
	c.endRecording()
	r := c.waitRecordings(1)[0]
	p := r.check(t)

	// The end, without another page.
	ended := page.until(30*time.Second, "the page shows the end", func(now shelved) bool {
		return now.Ended && now.State == "complete" && now.Rows[0][0] == "complete"
	})
	if !ended.Marked || math.Abs(ended.Duration-p.Duration().Seconds()) > 0.1 {
		t.Errorf("of %v the page shows %+v", p.Duration(), ended)
	}
	checkJoin(t, page, ended, p)
	if id := filepath.Base(r.dir); ended.Command != "anabranch recording export "+id {
		t.Errorf("the recording %s is exported by %q", id, ended.Command)
	}
	page.picture("ended")

	// A deep link, while the key is kept.
	page.do("load")
	page.until(15*time.Second, "it plays again", func(now shelved) bool { return !now.Door && now.Time > 0.3 })
	page.do("click", "selector", "#leave")
	left := page.until(5*time.Second, "the page asks for a key", func(now shelved) bool { return now.Door })
	if left.KeptKeys != 0 || left.State != "" || len(left.Rows) > 0 {
		t.Errorf("after the viewer left the page shows %+v", left)
	}
	if len(ended.Errors) != 1 || len(left.Errors)+len(left.Problems) > 0 { // the one is our doing
		t.Errorf("errors of the player: %v, after it was loaded again: %v; of the page: %v", ended.Errors, left.Errors, left.Problems)
	}
}

// checkJoin checks what the page tells of the one join that a playlist has, and
// plays both of its sides.
func checkJoin(t *testing.T, page shelf, now shelved, p *hls.Playlist) {
	t.Helper()
	i := slices.IndexFunc(p.Segments, func(s hls.Segment) bool { return s.Discontinuity })
	if i < 1 || len(now.Marks) != 1 {
		t.Fatalf("there is one join, the page shows %v\n%s", now.Marks, p.Text)
	}
	var at time.Duration
	for _, s := range p.Segments[:i] {
		at += s.Duration
	}
	join := at.Seconds()
	if told := now.Marks[0] * now.Duration; math.Abs(told-join) > 0.1 {
		t.Errorf("the join is at %.2f s, its mark at %.2f s", join, told)
	}
	zone := time.FixedZone("the browser's", 5*3600+1800)
	clock := func(at time.Time) string { return at.In(zone).Format("15:04:05") }
	gone, back := p.Segments[i-1].Time.Add(p.Segments[i-1].Duration), p.Segments[i].Time
	want := fmt.Sprintf("left at %s, back %d s later", clock(gone), int(math.Round(back.Sub(gone).Seconds())))
	if tip := page.do("point", "at", now.Marks[0]).Tip; !strings.HasSuffix(tip, want) {
		t.Errorf("the join's mark tells %q, not %q", tip, want)
	}
	if len(now.Parts) != 2 || !strings.Contains(now.Parts[0], clock(p.Segments[0].Time)) || !strings.Contains(now.Parts[1], clock(back)) {
		t.Errorf("the parts are %q", now.Parts)
	}
	for _, to := range []float64{join - 5, join + 5} {
		page.do("seek", "at", to/now.Duration)
		page.until(5*time.Second, fmt.Sprintf("it plays from %.2f s", to), func(now shelved) bool { return now.Time > to+0.2 && now.Time < to+4 })
	}
}

// Public recordings are for everybody, on whatever page.
func TestPublicRecordingsPage(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--public-recordings")
	c := s.newRecordedChannel(0)
	p := publish(t, c.rtmp(), testPicture()) // unwatched: what is live ends with the server
	p.waitSent(5 * time.Second)
	p.quit()
	r := c.waitRecordings(1)[0]

	page := shelf{startBrowser(t, "recordings.mjs")}
	_, port, err := net.SplitHostPort(s.at.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	// Another name than the one the server gives in URLs, and in the clear.
	site := "http://media.example:" + port + "/recordings"
	page.do("open", "url", site+"#"+filepath.Base(r.dir))
	now := page.until(15*time.Second, "the recording plays", func(now shelved) bool { return now.Time > 0.3 })
	if now.Door || now.State != "complete" || len(now.Rows) != 1 || len(now.Marks) != 0 || len(now.Parts) != 1 {
		t.Errorf("the page shows %+v", now)
	}

	// The server goes, and comes back as one whose recordings are private.
	s.flags = nil
	s.stop()
	s.start()
	now = page.until(30*time.Second, "the page asks for a key", func(now shelved) bool { return now.Door })
	_, secure, err := net.SplitHostPort(s.at.RTMPS)
	if err != nil {
		t.Fatal(err)
	}
	if link := "https://media.example:" + secure + "/recordings"; !strings.Contains(now.Refused, link) {
		t.Errorf("a key cannot be used in the clear; the page says %q, without %s", now.Refused, link)
	}
	others := slices.DeleteFunc(now.Problems, func(text string) bool {
		return strings.Contains(text, "ERR_CONNECTION_REFUSED") || strings.Contains(text, "Failed to fetch")
	})
	if len(others) > 0 {
		t.Errorf("the page has problems: %v", others)
	}
}
