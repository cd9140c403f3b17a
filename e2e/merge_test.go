package e2e

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"anabranch/e2e/hls"
)

// breakage is how a stream is torn apart. It ends the publisher and leaves the
// server running.
type breakage func(s *server, p *publisher)

// The ways a stream breaks.
var (
	killPublisher breakage = func(_ *server, p *publisher) { p.kill() }

	// The server is told to stop after the publisher has gone.
	restartInGap breakage = func(s *server, p *publisher) {
		p.kill()
		s.stop()
		s.start()
	}

	killServerInGap breakage = func(s *server, p *publisher) {
		p.kill()
		eventually(s.t, 10*time.Second, "the server has seen the publisher go", func() error {
			if !strings.Contains(string(s.logTail(1<<20)), "publisher disconnected") {
				return errors.New("it has not")
			}
			return nil
		})
		s.kill()
		s.start()
	}

	// The server dies while media arrives, and takes the publisher with it.
	killServerOnAir breakage = func(s *server, p *publisher) {
		s.kill()
		p.waitEnd(10 * time.Second)
		s.start()
	}
)

// A broadcaster who drops and returns within the reconnect window goes on with
// one recording and one live playlist, whatever broke.
func TestMerge(t *testing.T) {
	const (
		stay   = 15 * time.Second // of each of the two streams
		gap    = 4 * time.Second
		window = 60 * time.Second
	)
	bFrames := testPicture()
	bFrames.bFrames = 3

	for _, tt := range []struct {
		name    string
		secure  bool // RTMPS
		format  types.ContainerFormat
		picture picture
		breaks  breakage
		lost    time.Duration // of media at most, by the breakage
	}{
		{name: "RTMP", picture: testPicture(), breaks: killPublisher},
		{name: "RTMPS", secure: true, picture: testPicture(), breaks: killPublisher},
		{name: "B-frames", picture: bFrames, breaks: killPublisher},
		{name: "fMP4", format: types.ContainerFormatFragmentedMP4, picture: testPicture(), breaks: killPublisher},
		{name: "server restarted in the gap", picture: testPicture(), breaks: restartInGap},
		{name: "server killed in the gap", picture: bFrames, breaks: killServerInGap},
		{name: "server killed on air", picture: testPicture(), breaks: killServerOnAir, lost: 500 * time.Millisecond},
		{name: "server killed on air, fMP4", format: types.ContainerFormatFragmentedMP4, picture: bFrames, breaks: killServerOnAir,
			lost: 500 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			c := s.newRecordedChannel(window, func(in *ivs.CreateChannelInput) { in.ContainerFormat = tt.format })
			url := c.rtmp
			if tt.secure {
				url = c.rtmps
			}
			viewer := c.watch()

			first := publish(t, url(), tt.picture)
			first.waitSent(stay)
			streams := []string{c.waitLive()}
			tt.breaks(s, first)
			broken := time.Now()
			c.waitOffline()

			eventually(t, 2*gap, "the gap is over", func() error {
				if since := time.Since(broken); since < gap {
					return fmt.Errorf("it has been %v", since)
				}
				return nil
			})
			second := publish(t, url(), tt.picture)
			second.waitSent(stay)
			streams = append(streams, c.waitLive())
			second.quit()
			c.waitOffline()

			eventually(t, 5*time.Second, "the viewer has seen the end", func() error {
				return near(viewer.Seen(), first.progress().duration+second.progress().duration, 500*time.Millisecond+tt.lost)
			})
			viewer.check(1)
			c.endRecording()
			r := c.waitRecordings(1)[0]
			p := r.check(t)

			if n := p.Count("EXT-X-DISCONTINUITY"); n != 1 {
				t.Errorf("%d × EXT-X-DISCONTINUITY, not 1:\n%s", n, p.Text)
			}
			checkTimes(t, p, gap)
			if fragmented := tt.format == types.ContainerFormatFragmentedMP4; fragmented != (p.Count("EXT-X-MAP") > 0) {
				t.Errorf("fragmented is %v:\n%s", fragmented, p.Text)
			}
			checkLength(t, r, p, []sent{first.progress(), second.progress()}, tt.lost)
			checkS3(t, s, r)
			checkEvents(t, c, r, streams)
		})
	}
}

// A stream may break wherever it likes: between a picture and the pictures
// shown before it, too, when there are B-frames.
func TestMergeOfManyPieces(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.newRecordedChannel(60 * time.Second)
	bFrames := testPicture()
	bFrames.bFrames = 3
	viewer := c.watch()

	var pieces []sent
	var lost time.Duration
	for i := range 10 {
		p := c.publish(bFrames)
		p.waitSent(2*time.Second + time.Duration(i)*time.Second/30)
		if i%4 == 3 {
			killServerOnAir(s, p)
			lost += 500 * time.Millisecond
		} else {
			p.kill()
		}
		c.waitOffline()
		pieces = append(pieces, p.progress())
	}
	eventually(t, 5*time.Second, "the viewer has seen the end", func() error {
		p, err := fetchPlaylist(t.Context(), viewer.PlaylistURL())
		if err == nil && p.Open.Number != viewer.newest().Open.Number {
			err = fmt.Errorf("there are more segments")
		}
		return err
	})
	viewer.check(len(pieces) - 1)
	c.endRecording()
	r := c.waitRecordings(1)[0]
	p := r.check(t)
	if n := p.Count("EXT-X-DISCONTINUITY"); n != len(pieces)-1 {
		t.Errorf("%d × EXT-X-DISCONTINUITY for %d pieces:\n%s", n, len(pieces), p.Text)
	}
	checkLength(t, r, p, pieces, lost)
}

// Who returns in another way than after a loss of some seconds: what is one
// recording, and what are two.
func TestMergeOrNot(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	configuration := s.newRecordingConfiguration(5 * time.Minute)
	kill := func(_ *channel, p *publisher) { p.kill() }
	same, small, mute := testPicture(), testPicture(), testPicture()
	small.width, small.height = 480, 270
	mute.audio = ""

	for _, tt := range []struct {
		name       string
		leaves     func(c *channel, p *publisher)
		returns    []picture // all at once; one of them stays
		recordings int
	}{
		{"at once", kill, []picture{same}, 1},
		{"by StopStream", stopStream, []picture{same}, 1},
		{"two race", kill, []picture{same, same}, 1},
		{"another size", kill, []picture{small}, 2},
		{"without sound", kill, []picture{mute}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := s.newChannel(recordTo(configuration))
			first := publish(t, c.rtmp(), same)
			first.waitSent(4 * time.Second)
			stream := c.waitLive()
			tt.leaves(c, first)
			var racing []*publisher
			for _, p := range tt.returns {
				racing = append(racing, publish(t, c.rtmp(), p))
			}
			eventually(t, 20*time.Second, "one of those who return is on air, the others are not", func() error {
				racing = slices.DeleteFunc(racing, (*publisher).hasEnded)
				if live, err := c.liveStream(); err != nil || live == stream || len(racing) > 1 {
					return fmt.Errorf("live is %s, %v; %d publish", live, err, len(racing))
				}
				return nil
			})
			if len(racing) == 0 {
				t.Fatal("nobody is left")
			}
			second := racing[0]
			second.waitSent(4 * time.Second)
			second.kill()
			c.waitOffline()

			c.endRecording()
			detached := time.Now()
			all := c.waitRecordings(tt.recordings)
			if took := time.Since(detached); took > 10*time.Second {
				t.Errorf("the recording ended %v after the channel was detached", took)
			}
			for i, r := range all {
				p := r.check(t)
				if n := p.Count("EXT-X-DISCONTINUITY"); n != 2-len(all) {
					t.Errorf("%d × EXT-X-DISCONTINUITY:\n%s", n, p.Text)
				}
				pieces := []sent{first.progress(), second.progress()}
				if len(all) == 1 {
					checkLength(t, r, p, pieces, 0)
				} else if err := near(p.Duration(), pieces[i].duration, 500*time.Millisecond); err != nil {
					t.Error(err)
				}
			}
			if got := c.sessions(); len(got) != 2 {
				t.Errorf("%d stream sessions", len(got))
			}
		})
	}
}

// stopStream ends the stream by the API, and returns when the publisher has
// noticed.
func stopStream(c *channel, p *publisher) {
	c.server.t.Helper()
	if _, err := c.server.ivs().StopStream(c.server.t.Context(), &ivs.StopStreamInput{ChannelArn: c.Arn}); err != nil {
		c.server.t.Fatal(err)
	}
	p.waitEnd(10 * time.Second)
}

// near says whether two durations are the same, give or take a tolerance.
func near(got, want, tolerance time.Duration) error {
	if d := (got - want).Abs(); d > tolerance {
		return fmt.Errorf("%v is not %v ± %v", got, want, tolerance)
	}
	return nil
}

// checkTimes checks EXT-X-PROGRAM-DATE-TIME: it goes on with the media, and
// tells a gap where the stream was broken.
func checkTimes(t *testing.T, p *hls.Playlist, gap time.Duration) {
	t.Helper()
	for i, s := range p.Segments[1:] {
		before := p.Segments[i]
		step := s.Time.Sub(before.Time)
		media := before.Duration
		if s.Discontinuity {
			if step < media+gap-time.Second {
				t.Errorf("%s begins %v after %s, which lasts %v: that is no gap of %v", s.URI, step, before.URI, media, gap)
			}
		} else if err := near(step, media, 500*time.Millisecond); err != nil {
			t.Errorf("%s begins %v after %s: %v", s.URI, step, before.URI, err)
		}
	}
}

// checkLength checks that a recording plays without a complaint, and has all
// that was sent, but for what may be lost.
func checkLength(t *testing.T, r recording, p *hls.Playlist, streams []sent, lost time.Duration) {
	t.Helper()
	tolerance := max(500, time.Duration(len(streams))*100) * time.Millisecond
	var frames int
	var duration time.Duration
	for _, s := range streams {
		frames += s.frames
		duration += s.duration
	}
	got := p.Duration()
	// With three B-frames each stream's first picture is shown two pictures longer.
	still := time.Duration(len(streams)) * 2 * time.Second / 30
	if got > duration+tolerance+still || got < duration-tolerance-lost {
		t.Errorf("the recording lasts %v; sent were %v", got, duration)
	}
	decoded := decode(t, r.master())
	if want := int(got.Seconds() * 30); decoded < want-15-4*len(streams) || decoded > want+15 {
		t.Errorf("ffmpeg decodes %d pictures, not about %d", decoded, want)
	}
	video, audio := timing(t, r.master(), "v:0"), timing(t, r.master(), "a:0")
	t.Logf("sent %d pictures in %v, recorded %v, decoded %d; video %v; audio %v", frames, duration, got, decoded, video, audio)
	for _, k := range []track{video, audio} {
		// A join is no gap in the timestamps. The widest step is where a stream was torn
		// off behind a key frame and the next P-frame, whose three B-frames are missing:
		// it is decoded five pictures before it is shown, and lasts four.
		if k.widest > 9.5/30 || math.Abs(k.end-k.start-got.Seconds()) > 0.5 {
			t.Errorf("the playlist lasts %v, but a track has %v", got, k)
		}
	}
}

// checkS3 checks that S3 tells what is in the bucket's folder.
func checkS3(t *testing.T, s *server, r recording) {
	t.Helper()
	var got []string
	for pages := s3.NewListObjectsV2Paginator(s.s3(), &s3.ListObjectsV2Input{Bucket: aws.String(s.bucket)}); pages.HasMorePages(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			got = append(got, aws.ToString(o.Key))
		}
	}
	var want []string
	for _, name := range r.files(t) {
		want = append(want, r.prefix+"/"+name)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("S3 lists\n%v\nthe folder has\n%v", got, want)
	}
}

// checkEvents checks that everything was told, and once.
func checkEvents(t *testing.T, c *channel, r recording, streams []string) {
	t.Helper()
	newestFirst := slices.Clone(streams)
	slices.Reverse(newestFirst)
	if got := c.sessions(); !slices.Equal(got, newestFirst) {
		t.Errorf("stream sessions are %v, not %v", got, newestFirst)
	}
	last := streams[len(streams)-1]
	eventually(t, 10*time.Second, "the recording's end is told", func() error {
		if got := c.events(last); !slices.Contains(got, "Recording End") {
			return fmt.Errorf("told were %v", got)
		}
		return nil
	})
	c.server.stop()
	all := c.stored()
	for _, stream := range streams {
		for _, name := range []string{"Session Created", "Stream Start", "Stream End", "Session Ended"} {
			var n int
			for _, e := range named(all, name) {
				if e.stream == stream {
					n++
				}
			}
			if n != 1 {
				t.Errorf("stream %s: %d × %s", stream, n, name)
			}
		}
	}
	starts, ends := named(all, "Recording Start"), named(all, "Recording End")
	if len(starts) != 1 || len(ends) != 1 {
		t.Fatalf("%d × Recording Start, %d × Recording End", len(starts), len(ends))
	}
	end := ends[0].detail
	if got := fmt.Sprint(end["recording_session_stream_ids"]); got != fmt.Sprint(streams) {
		t.Errorf("Recording End names the streams %v, not %v", got, streams)
	}
	if end["recording_s3_key_prefix"] != r.prefix || end["recording_session_id"] != starts[0].detail["recording_session_id"] {
		t.Errorf("Recording End %v\ndoes not belong to Recording Start %v\nand the prefix %s", end, starts[0].detail, r.prefix)
	}
	if len(named(all, "Stream Failure")) > 0 {
		t.Errorf("a stream failed: %v", named(all, "Stream Failure"))
	}
}
