package e2e

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/gortmplib/pkg/codecs"
	"github.com/bluenviron/gortmplib/pkg/message"
)

// Publishers that are turned away learn why, in words.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	open := s.newChannel()
	closed := s.newChannel(func(in *ivs.CreateChannelInput) { in.InsecureIngest = false })
	mp3 := testPicture()
	mp3.audio = "libmp3lame -b:a 96k"
	flv1 := append(testPicture().arguments(), "-c:v", "flv1")

	for _, tt := range []struct {
		name      string
		url       string
		arguments []string
		reason    string // in what ffmpeg prints
	}{
		{"wrong key", open.rtmp() + "x", testPicture().arguments(), "stream key"},
		{"unknown application", "rtmp://" + s.at.RTMP + "/live/" + open.key, testPicture().arguments(), "application"},
		{"in the clear", closed.rtmp(), testPicture().arguments(), "insecureIngest"},
		{"MP3", open.rtmp(), mp3.arguments(), "MP3"},
		{"Sorenson video", open.rtmp(), flv1, "H.263"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := publishArguments(t, tt.url, tt.arguments)
			if err := p.waitEnd(15 * time.Second); err == nil {
				t.Error("ffmpeg is content")
			}
			if got := p.output(); !strings.Contains(got, tt.reason) {
				t.Errorf("ffmpeg prints\n%s\nwithout %q", got, tt.reason)
			}
		})
	}
	t.Run("HEVC", func(t *testing.T) {
		t.Parallel()
		if told := publishHEVC(t, open.rtmp()); !strings.Contains(told, "HEVC") {
			t.Errorf("the server tells %q", told)
		}
	})
}

// publishHEVC offers HEVC as enhanced RTMP does, which ffmpeg 5 cannot, until
// the server hangs up, and returns the last it told.
func publishHEVC(t *testing.T, target string) (told string) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	c := &gortmplib.Client{URL: u, Publish: true}
	if err := c.Initialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	track := &gortmplib.Track{Codec: &codecs.H265{}}
	w := &gortmplib.Writer{Conn: c, Tracks: []*gortmplib.Track{track}}
	err = w.Initialize()
	began := time.Now()
	for tick := time.NewTicker(33 * time.Millisecond); err == nil && time.Since(began) < 10*time.Second; <-tick.C {
		at := time.Since(began)
		err = w.WriteH265(track, at, at, [][]byte{{0x26, 0x01, 0xaf, 0x08}})
	}
	if err == nil {
		t.Fatal("the server does not hang up")
	}
	for {
		m, err := c.Read()
		if err != nil {
			return told
		}
		if status, ok := m.(*message.CommandAMF0); ok && status.Name == "onStatus" {
			told = fmt.Sprint(status.Arguments...)
		}
	}
}

// Who is on air stays on air: a second publisher is turned away while media of
// the first arrives.
func TestSecondPublisherIsRefused(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.newChannel()
	first := c.publish(testPicture())
	stream := c.waitLive()
	c.viewer.newest()
	second := publish(t, c.rtmp(), testPicture())
	if err := second.waitEnd(15 * time.Second); err == nil {
		t.Error("ffmpeg is content")
	}
	if got := second.output(); !strings.Contains(got, "Server error") {
		t.Errorf("ffmpeg prints\n%s", got)
	}
	t.Logf("told:\n%s", second.output())
	if got, err := c.liveStream(); err != nil || got != stream || first.hasEnded() {
		t.Errorf("live is %s, %v, not %s; %s", got, err, stream, first.output())
	}
}

// Who has fallen silent is replaced at once, however alive the connection
// looks.
func TestTakeOverOfSilentPublisher(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.newRecordedChannel(60 * time.Second)
	first := c.publish(testPicture())
	first.waitSent(5 * time.Second)
	silent := c.waitLive()
	first.stall()

	tap := newTap(t, s.at.RTMP)
	second := publish(t, strings.Replace(c.rtmp(), s.at.RTMP, tap.address, 1), testPicture())
	eventually(t, 15*time.Second, "the newcomer is on air", func() error {
		if got, err := c.liveStream(); err != nil || got == silent {
			return fmt.Errorf("live is %s, %v", got, err)
		}
		return nil
	})
	took := time.Since(tap.waitConnected())
	t.Logf("on air %v after the connection", took.Round(10*time.Millisecond))
	if took < 2*time.Second || took > 6*time.Second {
		t.Errorf("it took %v", took)
	}
	second.waitSent(5 * time.Second)
	second.quit()
	c.waitOffline()
	c.endRecording()
	if p := c.waitRecordings(1)[0].check(t); p.Count("EXT-X-DISCONTINUITY") != 1 {
		t.Errorf("the take-over is no join:\n%s", p.Text)
	}
	if got := c.sessions(); len(got) != 2 {
		t.Errorf("%d stream sessions", len(got))
	}
}

// StopStream ends a stream, and until then the channel cannot be changed.
func TestStopStream(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.newChannel()
	c.watch()
	p := publish(t, c.rtmps(), testPicture())
	stream := c.waitLive()
	p.waitSent(3 * time.Second)
	api := s.ivs()

	if _, err := api.DeleteChannel(t.Context(), &ivs.DeleteChannelInput{Arn: c.Arn}); !isA[*types.ConflictException](err) {
		t.Errorf("deleted while live: %v", err)
	}
	_, err := api.UpdateChannel(t.Context(), &ivs.UpdateChannelInput{Arn: c.Arn, Name: aws.String("other")})
	if !isA[*types.ConflictException](err) {
		t.Errorf("updated while live: %v", err)
	}
	if _, err := api.StopStream(t.Context(), &ivs.StopStreamInput{ChannelArn: c.Arn}); err != nil {
		t.Fatal(err)
	}
	if got, err := c.liveStream(); !isA[*types.ChannelNotBroadcasting](err) {
		t.Errorf("after StopStream %s is live, %v", got, err)
	}
	if err := p.waitEnd(10 * time.Second); err == nil {
		t.Error("the publisher does not notice")
	}
	if got := c.events(stream); fmt.Sprint(got) != "[Session Created Stream Start Stream End Session Ended]" {
		t.Errorf("told were %v", got)
	}
	c.viewer.stop() // a channel's playlist goes with it
	if _, err := api.DeleteChannel(t.Context(), &ivs.DeleteChannelInput{Arn: c.Arn}); err != nil {
		t.Errorf("delete after the stream: %v", err)
	}
}
