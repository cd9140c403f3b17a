package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

// heard is what a page of metadata.mjs tells.
type heard struct {
	Player string
	Time   float64 // of the video, in seconds
	Parsed []struct {
		Text string
		Type string
		Date float64 // in milliseconds since 1970
	}
	Cues []string
	Told []struct {
		Text string
		Late float64 // in seconds of the video
	}
	Errors []string
}

// listener is a browser that runs metadata.mjs.
type listener struct {
	t     *testing.T
	lines *bufio.Scanner
}

// listen plays videos until count pieces of metadata have been heard. A video
// is a player and a URL: "hls=http://…".
func listen(t *testing.T, site string, rate, count int, videos ...string) *listener {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node",
		append([]string{"metadata.mjs", browser(t), site, fmt.Sprint(rate), fmt.Sprint(count)}, videos...)...)
	cmd.Dir = "browser"
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Wait(); t.Failed() {
			t.Logf("metadata.mjs: %v\n%s", err, complaints.Bytes())
		}
	})
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	return &listener{t, lines}
}

// next is what the pages tell when all play, then when they have heard all.
func (l *listener) next() (pages []heard) {
	l.t.Helper()
	if !l.lines.Scan() {
		l.t.Fatalf("metadata.mjs does not answer: %v", l.lines.Err())
	}
	if err := json.Unmarshal(l.lines.Bytes(), &pages); err != nil {
		l.t.Fatalf("metadata.mjs printed %q: %v", l.lines.Bytes(), err)
	}
	for i, p := range pages {
		if p.Time < 0.5 || len(p.Errors) > 0 {
			l.t.Errorf("%s in page %d plays %.3f s: %v", p.Player, i, p.Time, p.Errors)
		}
	}
	return pages
}

// check compares what a page heard, in order, and returns the dates at which it
// lies. Behind a join hls.js may load a part again, and leap over what is to be
// told, but not over the last. The cues that it makes of its first fragment may be
// lost: Chromium empties the track when it has loaded, which may be after them.
func (h heard) check(t *testing.T, texts []string) (dates []time.Time) {
	t.Helper()
	var parsed []string
	for _, m := range h.Parsed {
		if m.Type != "https://aomedia.org/emsg/ID3" {
			t.Errorf("%.20q is of type %q", m.Text, m.Type)
		}
		if n := len(parsed); n == 0 || parsed[n-1] != m.Text {
			parsed, dates = append(parsed, m.Text), append(dates, time.UnixMicro(int64(m.Date*1000)))
		}
	}
	told := false
	for _, m := range h.Told {
		told = told || m.Text == texts[len(texts)-1]
		if m.Late < 0 {
			t.Errorf("%.20q is told %.3f s early", m.Text, -m.Late)
		}
	}
	cues := slices.Compact(h.Cues)
	if !told || !slices.Equal(parsed, texts) || len(cues) == 0 || len(cues) > len(texts) || !slices.Equal(cues, texts[len(texts)-len(cues):]) {
		t.Fatalf("hls.js parsed %.40q, found %.40q and told %.40v, not %.40q", parsed, cues, h.Told, texts)
	}
	return dates
}

// Timed metadata is told at one place of the stream: to every viewer, and in
// the recording, behind a join too. It disturbs no player.
func TestTimedMetadata(t *testing.T) {
	t.Parallel()
	const near = 40 * time.Millisecond // a picture, and rounding
	// How far off hls.js dates a stream with B-frames: it takes a fragment to begin
	// with its first picture shown, sometimes, and behind one torn off more so. The
	// boxes themselves are the same bytes live and recorded.
	const behind = 350 * time.Millisecond
	texts := []string{"goal", strings.Repeat("größer ", 113) + "goal!!!", `{"after":"the join"}`} // the second has 1024 bytes
	s := startServer(t)
	configuration := s.newRecordingConfiguration(60 * time.Second)
	site := serveBucket(t, s.bucketDir(""))

	var channels []*channel
	for _, format := range []types.ContainerFormat{types.ContainerFormatTs, types.ContainerFormatFragmentedMP4} {
		channels = append(channels, s.newChannel(recordTo(configuration), func(in *ivs.CreateChannelInput) { in.ContainerFormat = format }))
	}
	publishAll := func() (publishers []*publisher) {
		for i, c := range channels {
			p := testPicture()
			p.width, p.height, p.bFrames = 320, 180, 3*i
			publishers = append(publishers, publish(t, c.rtmp(), p))
		}
		for _, c := range channels {
			c.waitLive()
		}
		return publishers
	}
	var began, ended []time.Time
	putAll := func(text string) {
		t.Helper()
		began = append(began, time.Now())
		awsIVS[struct{}](s, "put-metadata", "--channel-arn", *channels[0].Arn, "--metadata", text)
		if _, err := s.ivs().PutMetadata(t.Context(), &ivs.PutMetadataInput{ChannelArn: channels[1].Arn, Metadata: &text}); err != nil {
			t.Fatal(err)
		}
		ended = append(ended, time.Now())
	}

	publishers := publishAll()
	for _, p := range publishers {
		p.waitSent(14 * time.Second) // Chromium's own player may fail to open a stream that has only begun
	}
	ts, fmp4 := *channels[0].PlaybackUrl, *channels[1].PlaybackUrl
	live := listen(t, site, 1, len(texts), "hls="+ts, "hls="+ts, "hls="+fmp4, "native="+ts)
	live.next()
	putAll(texts[0])
	putAll(texts[1])
	for _, p := range publishers {
		p.waitSent(p.progress().duration + time.Second)
		p.kill()
	}
	for _, c := range channels {
		c.waitOffline()
		_, err := s.ivs().PutMetadata(t.Context(), &ivs.PutMetadataInput{ChannelArn: c.Arn, Metadata: &texts[0]})
		if !isA[*types.ChannelNotBroadcasting](err) {
			t.Errorf("metadata for a channel that is offline: %v", err)
		}
	}
	publishers = publishAll()
	putAll(texts[2])
	pages := live.next()
	var dates [2][]time.Time // by channel
	dates[0], dates[1] = pages[0].check(t, texts), pages[2].check(t, texts)
	for i, date := range pages[1].check(t, texts) {
		if apart := dates[0][i].Sub(date); apart.Abs() > near {
			t.Errorf("%.20q is told %v apart to two viewers", texts[i], apart)
		}
	}
	for c := range dates {
		for i, date := range dates[c] {
			if date.Before(began[i].Add(-3*time.Second)) || date.After(ended[i].Add(time.Second)) {
				t.Errorf("%.20q lies at %v, and was put from %v to %v", texts[i], date, began[i], ended[i])
			}
		}
	}

	for i, c := range channels {
		publishers[i].quit()
		c.waitOffline()
		c.endRecording()
		r := c.waitRecordings(1)[0]
		r.check(t)
		recorded := listen(t, site, 4, len(texts), "hls="+site+"/"+r.prefix+"/media/hls/master.m3u8")
		recorded.next()
		for n, date := range recorded.next()[0].check(t, texts) {
			limit := near
			if i == 1 {
				limit = behind
			}
			if apart := date.Sub(dates[i][n]); apart.Abs() > limit {
				t.Errorf("%s: %.20q is %v from where it was live", c.ContainerFormat, texts[n], apart)
			}
		}
		if i == 0 {
			r.checkTags(t, texts)
		}
		file := filepath.Join(t.TempDir(), "export.mp4")
		if out, err := s.recordingCommand("export", path.Base(r.prefix), "-o", file); err != nil {
			t.Errorf("export: %v, %s", err, out)
		}
		decode(t, file)
	}
	if out, err := s.recordingCommand("verify", "--all", "--deep"); err != nil {
		t.Errorf("verify: %v, %s", err, out)
	}
}

// checkTags looks for the metadata in a recording's transport streams.
func (r recording) checkTags(t *testing.T, texts []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(r.dir, "media", "hls", "*", "*.ts"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no objects: %v", err)
	}
	var all []byte
	for _, file := range files {
		kind, err := exec.Command("ffprobe", "-v", "error", "-select_streams", "d", "-show_entries", "stream=codec_name,id", "-of", "csv=p=0", file).Output()
		if err != nil || !strings.Contains(string(kind), "timed_id3,0x102") {
			t.Errorf("%s has the data streams %q: %v", filepath.Base(file), kind, err)
		}
		tags, err := exec.Command("ffmpeg", "-v", "error", "-i", file, "-map", "0:d", "-c", "copy", "-f", "data", "-").Output()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, tags...)
	}
	for _, text := range texts {
		if n := bytes.Count(all, []byte("metadata.live-video.net\x00"+text)); n != 1 {
			t.Errorf("%.20q is %d times in the transport streams", text, n)
		}
	}
}
