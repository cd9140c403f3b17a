package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
)

// What comes back with another picture does not belong to the recording that
// waits: both are whole, each below its own prefix.
func TestMismatchIsAnotherRecording(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.newRecordedChannel(60 * time.Second)

	first := c.publish(testPicture())
	first.waitSent(5 * time.Second)
	first.kill()
	c.waitOffline()
	smaller := testPicture()
	smaller.width, smaller.height = 320, 180
	second := c.publish(smaller)
	second.waitSent(5 * time.Second)
	second.quit()
	c.waitOffline()
	c.endRecording()

	recordings := c.waitRecordings(2)
	for i, p := range []*publisher{first, second} {
		checkLength(t, recordings[i], recordings[i].check(t), []sent{p.progress()}, 0)
	}
	ended, err := recordings[1].metadata("recording-ended.json")
	if err != nil {
		t.Fatal(err)
	}
	if r := ended.Media.HLS.Renditions[0]; r.Width != 320 || r.Height != 180 || r.Path != "180p30" {
		t.Errorf("the second recording is %+v", r)
	}
}

// A broadcaster who returns too late begins another recording. The first one
// ended when its window had passed, without anybody's doing.
func TestWindowExpires(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	const window = 3 * time.Second
	c := s.newRecordedChannel(window)

	first := c.publish(testPicture())
	first.waitSent(5 * time.Second)
	first.kill()
	c.waitOffline()
	gone := time.Now()
	c.waitRecordings(1)
	if since := time.Since(gone); since < window-time.Second {
		t.Errorf("the recording ended %v after its broadcaster left, the window is %v", since, window)
	}
	second := c.publish(testPicture())
	second.waitSent(5 * time.Second)
	second.quit()
	c.waitOffline()

	recordings := c.waitRecordings(2)
	for i, p := range []*publisher{first, second} {
		checkLength(t, recordings[i], recordings[i].check(t), []sent{p.progress()}, 0)
	}
	last := c.sessions()[0]
	eventually(t, 10*time.Second, "both ends are told", func() error {
		if got := c.events(last); !slices.Contains(got, "Recording End") {
			return fmt.Errorf("told were %v", got)
		}
		return nil
	})
	s.stop()
	all := c.stored()
	if n, m := len(named(all, "Recording Start")), len(named(all, "Recording End")); n != 2 || m != 2 {
		t.Errorf("%d × Recording Start, %d × Recording End", n, m)
	}
}

// While a recording goes on, its playlist can be played: what is there names
// only what is there.
func TestRecordingPlaysWhileLive(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.newRecordedChannel(0)
	p := c.publish(testPicture())
	var r recording
	eventually(t, 40*time.Second, "the recording has a playlist", func() error {
		found := c.recordings()
		if len(found) != 1 {
			return fmt.Errorf("there are %d recordings", len(found))
		}
		r = found[0]
		if !slices.Contains(r.files(t), "media/hls/360p30/playlist.m3u8") {
			return fmt.Errorf("it has %v", r.files(t))
		}
		return nil
	})
	growing := r.mediaPlaylist(t, "media/hls/360p30/playlist.m3u8")
	if growing.Ended || !growing.Event || len(growing.Segments) == 0 {
		t.Errorf("the playlist of a recording that goes on:\n%s", growing.Text)
	}
	for _, s := range growing.Segments {
		if !slices.Contains(r.files(t), "media/hls/360p30/"+s.URI) {
			t.Errorf("%s is listed but not there", s.URI)
		}
	}
	p.quit()
	c.waitOffline()
	checkLength(t, r, c.waitRecordings(1)[0].check(t), []sent{p.progress()}, 0)
}

// Deleting a channel ends its recording, and loses nothing of it.
func TestDeleteEndsRecording(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.newRecordedChannel(300 * time.Second)
	p := c.publish(testPicture())
	p.waitSent(5 * time.Second)
	p.kill()
	c.waitOffline()
	c.viewer.stop() // a channel's playlist goes with it
	if _, err := s.ivs().DeleteChannel(t.Context(), &ivs.DeleteChannelInput{Arn: aws.String(*c.Arn)}); err != nil {
		t.Fatal(err)
	}
	r := c.waitRecordings(1)[0]
	checkLength(t, r, r.check(t), []sent{p.progress()}, 0)
}
