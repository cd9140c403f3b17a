package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"

	"anabranch/e2e/hls"
)

// adTag is an EXT-X-DATERANGE tag of a playlist.
type adTag struct {
	hls.Attributes
	before time.Time // EXT-X-PROGRAM-DATE-TIME of the media that it stands before, zero at the end
}

func (a adTag) date(t testing.TB, name string) time.Time {
	t.Helper()
	date, err := time.Parse(time.RFC3339, a.Attributes[name])
	if err != nil {
		t.Errorf("%s of %v: %v", name, a, err)
	}
	return date
}

// adTags are those of a playlist, in its order.
func adTags(text string) (tags []adTag) {
	placed := 0
	for line := range strings.Lines(text) {
		tag, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch tag {
		case "#EXT-X-DATERANGE":
			tags = append(tags, adTag{Attributes: hls.ParseAttributes(value)})
		case "#EXT-X-PROGRAM-DATE-TIME":
			date, _ := time.Parse(time.RFC3339, value)
			for ; placed < len(tags); placed++ {
				tags[placed].before = date
			}
		}
	}
	return tags
}

// find is the tag of a break that has an attribute.
func find(tags []adTag, id, attribute string) (adTag, bool) {
	i := slices.IndexFunc(tags, func(a adTag) bool { return a.Attributes["ID"] == id && a.Attributes[attribute] != "" })
	if i < 0 {
		return adTag{}, false
	}
	return tags[i], true
}

// newAdConfiguration makes one with a post-roll, which the SDK does not know yet.
func (s *server) newAdConfiguration(postRollSeconds int) (arn string) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.at.HTTP)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	_, err = conn.Write(newAPICaller(s).call(s.t, "CreateAdConfiguration", map[string]any{
		"mediaTailorPlaybackConfigurations": []any{map[string]any{
			"playbackConfigurationArn": "arn:aws:mediatailor:us-east-1:123456789012:playbackConfiguration/ads",
		}},
		"postRollConfiguration": map[string]any{"enabled": true, "durationSeconds": postRollSeconds},
	}))
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	var answer struct{ AdConfiguration struct{ ARN string } }
	if err := errors.Join(err, json.Unmarshal(body, &answer)); err != nil || answer.AdConfiguration.ARN == "" {
		s.t.Fatalf("CreateAdConfiguration answered %s: %v", body, err)
	}
	return answer.AdConfiguration.ARN
}

// knownAds is what a page of ads.mjs tells.
type knownAds struct {
	Player string
	Time   float64
	Ranges map[string]struct {
		Start, End float64 // in milliseconds since 1970
		Valid      bool
		Planned    float64 // in seconds
	}
	Cues []struct {
		Key   string
		Table int
	}
	Errors []string
}

// watchAds plays videos, each a player and a URL, until those with hls.js know
// the ends of count ad breaks. What they know is returned by wait.
func watchAds(t *testing.T, site string, count int, videos ...string) (wait func() []knownAds) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", append([]string{"ads.mjs", browser(t), site, fmt.Sprint(count)}, videos...)...)
	cmd.Dir = "browser"
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() (pages []knownAds) {
		t.Helper()
		if err := cmd.Wait(); err != nil {
			t.Fatalf("ads.mjs: %v\n%s", err, complaints.Bytes())
		}
		if err := json.Unmarshal(out.Bytes(), &pages); err != nil {
			t.Fatalf("ads.mjs printed %q: %v", out.Bytes(), err)
		}
		for i, p := range pages {
			if p.Time < 3 || len(p.Errors) > 0 {
				t.Errorf("%s in page %d played for %.3f s: %v", p.Player, i, p.Time, p.Errors)
			}
		}
		return pages
	}
}

// check looks for a whole break, in the playlist and among the cues.
func (k knownAds) check(t *testing.T, id string) {
	t.Helper()
	r, ok := k.Ranges[id]
	if !ok || !r.Valid || r.Planned != 4 || r.End-r.Start < 3900 || r.End-r.Start > 6100 {
		t.Errorf("%s knows of break %s: %+v", k.Player, id, r)
	}
	for _, key := range []string{"SCTE35-OUT", "SCTE35-IN"} {
		if !slices.ContainsFunc(k.Cues, func(c struct {
			Key   string
			Table int
		}) bool {
			return c.Key == key && c.Table == 0xFC
		}) {
			t.Errorf("%s has no cue of %s: %v", k.Player, key, k.Cues)
		}
	}
}

// An ad break is told to every viewer and in the recording, at the same place:
// one that ends, and one in which the broadcaster drops and leaves. A post-roll
// follows the broadcast.
func TestAdBreaks(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--live-grace", "2s")
	const window = 8 * time.Second
	ads := s.newAdConfiguration(15)
	c := s.newChannel(recordTo(s.newRecordingConfiguration(window)),
		func(in *ivs.CreateChannelInput) { in.AdConfigurationArn = &ads })
	site := serveBucket(t, s.bucketDir(""))
	insert := func(seconds int32) (id string, err error) {
		out, err := s.ivs().InsertAdBreak(t.Context(), &ivs.InsertAdBreakInput{ChannelArn: c.Arn, DurationSeconds: &seconds})
		if err != nil {
			return "", err
		}
		return aws.ToString(out.AdBreakId), nil
	}
	if _, err := insert(4); !isA[*types.ChannelNotBroadcasting](err) {
		t.Errorf("a break while offline: %v", err)
	}

	first := c.publish(testPicture())
	first.waitSent(14 * time.Second) // Chromium's own player keeps 12 s behind, and may give up where there is less
	c.viewer.ended = true
	stream := c.waitLive()
	watched := watchAds(t, site, 1, "hls="+*c.PlaybackUrl, "native="+*c.PlaybackUrl)
	asked := time.Now()
	one, err := insert(4)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := insert(4); !isA[*types.ConflictException](err) {
		t.Errorf("a break before the other begins: %v", err)
	}
	_, address, err := c.livePlaylist(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	live := func(id, attribute string) (found adTag) {
		t.Helper()
		eventually(t, 20*time.Second, fmt.Sprintf("break %s has %s", id, attribute), func() error {
			text, err := get(t.Context(), address)
			if err != nil {
				return err
			}
			var ok bool
			if found, ok = find(adTags(string(text)), id, attribute); !ok {
				return fmt.Errorf("there is\n%s", text)
			}
			return nil
		})
		return found
	}
	out := live(one, "SCTE35-OUT")
	if _, err := insert(4); !isA[*types.ConflictException](err) {
		t.Errorf("a break in the other: %v", err)
	}
	in := live(one, "SCTE35-IN")
	start, end := out.date(t, "START-DATE"), in.date(t, "END-DATE")
	if start.Before(asked.Add(-2*time.Second)) || start.After(asked.Add(4*time.Second)) || !start.Equal(out.before) || out.Seconds("PLANNED-DURATION") != 4*time.Second {
		t.Errorf("asked for at %v, the break begins as %v", asked.UTC(), out)
	}
	if d := in.Seconds("DURATION"); d < 3900*time.Millisecond || d > 6100*time.Millisecond || start.Add(d) != end ||
		!in.date(t, "START-DATE").Equal(start) || (in.before.Sub(end)).Abs() > 20*time.Millisecond {
		t.Errorf("begun as %v, the break ends as %v", out, in)
	}
	for _, page := range watched() {
		if page.Player == "hls" {
			page.check(t, one)
		}
	}

	two, err := insert(60)
	if err != nil {
		t.Fatal(err)
	}
	live(two, "SCTE35-OUT")
	first.kill()
	c.waitOffline()
	if _, err := insert(4); !isA[*types.ChannelNotBroadcasting](err) {
		t.Errorf("a break in the gap: %v", err)
	}
	second := c.publish(testPicture())
	second.waitSent(4 * time.Second)
	if _, err := insert(4); !isA[*types.ConflictException](err) {
		t.Errorf("a break in one that outlived its stream: %v", err)
	}
	second.quit()
	c.waitOffline()
	var told string
	eventually(t, window+10*time.Second, "the playlist has ended", func() error {
		text, err := get(t.Context(), address)
		if told = string(text); err == nil && !strings.HasSuffix(told, "#EXT-X-ENDLIST\n") {
			err = errors.New("it has not")
		}
		return err
	})
	tags := adTags(told)
	closed, ok := find(tags, two, "SCTE35-IN")
	last := tags[len(tags)-1]
	if !ok || !closed.before.IsZero() || closed.Seconds("DURATION") > 60*time.Second {
		t.Errorf("the break that outlived its broadcast ends as %v", closed)
	}
	if !last.before.IsZero() || last.Seconds("PLANNED-DURATION") != 15*time.Second || last.Attributes["SCTE35-OUT"] == "" {
		t.Errorf("the post-roll is %v:\n%s", last, told)
	}
	c.viewer.check(1)

	r := c.waitRecordings(1)[0]
	p := r.check(t)
	decode(t, r.master())
	rendition := r.mediaPlaylistFolder(t)
	for name, recorded := range map[string]*hls.Playlist{
		"playlist.m3u8": p, "byte-range-variant.m3u8": r.mediaPlaylist(t, path.Join(rendition, "byte-range-variant.m3u8")),
	} {
		tags := adTags(recorded.Text)
		if len(tags) != 5 {
			t.Fatalf("%s has %d tags, not 5:\n%s", name, len(tags), recorded.Text)
		}
		for i, want := range []adTag{out, in} {
			if fmt.Sprint(tags[i].Attributes) != fmt.Sprint(want.Attributes) || (tags[i].before.Sub(want.before)).Abs() > 20*time.Millisecond {
				t.Errorf("%s: tag %d is %v, live it was %v", name, i, tags[i], want)
			}
		}
		if closed, ok := find(tags, two, "SCTE35-IN"); !ok || !closed.before.IsZero() || tags[4].Seconds("PLANNED-DURATION") != 15*time.Second {
			t.Errorf("%s: the last tags are %v and %v", name, closed, tags[4])
		}
	}
	master := site + "/" + r.prefix + "/media/hls/master.m3u8"
	for _, page := range watchAds(t, site, 1, "hls="+master, "native="+master)() {
		if page.Player == "hls" {
			page.check(t, one)
		}
	}

	s.stop()
	inserted := named(c.stored(), "Ad Break Inserted")
	if len(inserted) != 2 {
		t.Fatalf("%d breaks are told", len(inserted))
	}
	detail := inserted[0].detail
	target, err := time.Parse("2006-01-02T15:04:05Z", fmt.Sprint(detail["target_start_time"]))
	if err != nil || detail["ad_break_id"] != one || detail["duration_seconds"] != 4.0 || detail["stream_id"] != stream ||
		detail["channel_name"] != *c.Name || start.Sub(target).Abs() > 4*time.Second {
		t.Errorf("break %s, which began at %v, is told as %v: %v", one, start, detail, err)
	}
}

// mediaPlaylistFolder is where the playlists of the recording's only rendition lie.
func (r recording) mediaPlaylistFolder(t testing.TB) string {
	t.Helper()
	m, err := r.metadata("recording-ended.json")
	if err != nil {
		t.Fatal(err)
	}
	return path.Join(m.Media.HLS.Path, m.Media.HLS.Renditions[0].Path)
}
