package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// A bucket that is away in every way, while the stream goes on, the server is
// killed and the broadcaster returns: viewers notice nothing of the bucket, and
// the recording is whole when it is back.
func TestStorageAwayInTheMiddle(t *testing.T) {
	t.Parallel()
	proxy := startS3Proxy(t, otherStorage(t))
	s := startServerOn(t, proxy.storage)
	c := s.newRecordedChannel(60 * time.Second)
	first := c.publish(testPicture())
	c.waitObjects(1)
	for _, f := range []fault{
		answerWith(500, "InternalError"), answerWith(503, "SlowDown"), answerWith(403, "AccessDenied"), cutOff, falsify, crawl,
	} {
		proxy.set(f)
		proxy.waitHit(1)
	}
	proxy.refuse()
	first.waitSent(first.progress().duration + 2*time.Second)
	proxy.set(hang)
	proxy.waitHit(1)

	s.kill()
	first.kill()
	s.start()
	second := c.publish(testPicture())
	second.waitSent(5 * time.Second)
	proxy.heal()
	second.waitSent(8 * time.Second)
	second.quit()
	c.waitOffline()
	c.endRecording()
	r := c.waitRecordings(1)[0]
	checkLength(t, r, r.check(t), []sent{first.progress(), second.progress()}, time.Second)
	c.waitSpool(0)
	s.stop()
	all := c.stored()
	if n, m := len(named(all, "Recording Start")), len(named(all, "Recording End")); n != 1 || m != 1 {
		t.Errorf("%d × Recording Start, %d × Recording End", n, m)
	}
}

// A bucket that is gone when the stream starts refuses the recording, not the
// stream. The next stream is recorded if the bucket is there again.
func TestBucketGoneAtTheStart(t *testing.T) {
	t.Parallel()
	s := startServerOn(t, otherStorage(t))
	s.bucket = "gone-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	c := s.newRecordedChannel(0)
	s.emptyBucket()
	if _, err := s.s3().DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &s.bucket}); err != nil {
		t.Fatal(err)
	}
	p := c.publish(testPicture())
	stream := c.waitLive()
	eventually(t, 10*time.Second, "it is told", func() error {
		if got := c.events(stream); !slices.Contains(got, "Recording Start Failure") {
			return fmt.Errorf("told were %v", got)
		}
		return nil
	})
	p.waitSent(p.progress().duration + 2*time.Second)
	p.quit()
	c.waitOffline()

	if _, err := s.s3().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &s.bucket}); err != nil {
		t.Fatal(err)
	}
	again := c.publish(testPicture())
	again.waitSent(3 * time.Second)
	again.quit()
	r := c.waitRecordings(1)[0]
	checkLength(t, r, r.check(t), []sent{again.progress()}, 0)
	s.stop()
	failures := named(c.stored(), "Recording Start Failure")
	if len(failures) != 1 || failures[0].stream != stream {
		t.Fatalf("told were %+v", failures)
	}
	if reason, _ := failures[0].detail["recording_status_reason"].(string); !strings.HasPrefix(reason, "bucket "+s.bucket+" does not exist") {
		t.Errorf("the reason is %q", reason)
	}
}

// A spool that is full ends the recording, at once and with a reason, but not
// the stream; what is spooled is stored when the bucket is back, and the next
// stream is recorded again.
func TestSpoolFull(t *testing.T) {
	t.Parallel()
	proxy := startS3Proxy(t, otherStorage(t))
	s := startServerOn(t, proxy.storage, "--spool-max", "256KiB")
	c := s.newRecordedChannel(300 * time.Second)
	proxy.refuse()
	p := c.publish(testPicture())
	stream := c.waitLive()
	eventually(t, 90*time.Second, "the failure is told", func() error {
		if got := c.events(stream); !slices.Contains(got, "Recording End Failure") {
			return fmt.Errorf("told were %v", got)
		}
		return nil
	})
	if n := c.spooled(); n < 256<<10 {
		t.Errorf("%d bytes are spooled", n)
	}
	p.waitSent(p.progress().duration + 2*time.Second) // the stream goes on
	p.quit()
	c.waitOffline()
	late := c.publish(testPicture())
	refused := c.waitLive()
	eventually(t, 10*time.Second, "the refusal is told", func() error {
		if got := c.events(refused); !slices.Contains(got, "Recording Start Failure") {
			return fmt.Errorf("told were %v", got)
		}
		return nil
	})
	late.quit()
	c.waitOffline()

	s.stop() // the spool is kept, and counts
	s.start()
	if n := c.spooled(); n < 256<<10 {
		t.Errorf("%d bytes are spooled after a restart", n)
	}
	proxy.heal()
	c.waitSpool(0)
	var failed metadata
	eventually(t, 30*time.Second, "the failed recording is in the bucket", func() (err error) {
		all := c.recordings()
		if len(all) != 1 {
			return fmt.Errorf("there are %d recordings", len(all))
		}
		failed, err = all[0].metadata("recording-failed.json")
		return err
	})
	r := c.recordings()[0]
	rendition := failed.Media.HLS.Renditions[0]
	playlist := r.mediaPlaylist(t, failed.Media.HLS.Path+"/"+rendition.Path+"/"+rendition.Playlist)
	if failed.Status != "RECORDING_ENDED_WITH_FAILURE" || !playlist.Ended || playlist.Duration() < 30*time.Second || len(playlist.Segments) < 3 {
		t.Errorf("%+v\n%s", failed, playlist.Text)
	}
	decode(t, r.master())

	again := c.publish(testPicture())
	again.waitSent(3 * time.Second)
	again.quit()
	c.waitOffline()
	c.endRecording()
	eventually(t, 30*time.Second, "the next recording has ended", func() error {
		if all := c.recordings(); len(all) != 2 || !all[1].ended() {
			return fmt.Errorf("there are %d recordings", len(all))
		}
		return nil
	})
	s.stop()
	all := c.stored()
	ends := named(all, "Recording End Failure")
	if len(ends) != 1 || len(named(all, "Recording Start")) != 2 || len(named(all, "Recording End")) != 1 || len(named(all, "Recording Start Failure")) != 1 {
		t.Fatalf("told were %+v", all)
	}
	if reason, _ := ends[0].detail["recording_status_reason"].(string); !strings.HasPrefix(reason, "the spool is full: ") {
		t.Errorf("the reason is %q", reason)
	}
}

// waitObjects waits until n media objects of the channel are stored.
func (c *channel) waitObjects(n int) {
	c.server.t.Helper()
	eventually(c.server.t, 60*time.Second, fmt.Sprintf("%d objects are stored", n), func() error {
		if got := c.objects(); got < n {
			return fmt.Errorf("there are %d", got)
		}
		return nil
	})
}

// objects is how many media objects of the channel are stored.
func (c *channel) objects() (n int) {
	c.server.t.Helper()
	for _, r := range c.recordings() {
		found, err := filepath.Glob(filepath.Join(r.dir, "media", "hls", "*", "*.ts"))
		if err != nil {
			c.server.t.Fatal(err)
		}
		n += len(found)
	}
	return n
}

// spooled is how many bytes of media wait for upload, as the server tells.
func (c *channel) spooled() int64 {
	c.server.t.Helper()
	return int64(c.server.metric("anabranch_recording_spool_bytes"))
}

// waitSpool waits until n recordings are in the spool.
func (c *channel) waitSpool(n int) {
	c.server.t.Helper()
	eventually(c.server.t, 90*time.Second, fmt.Sprintf("the spool has %d recordings", n), func() error {
		entries, err := os.ReadDir(filepath.Join(c.server.dir, "spool"))
		if err == nil && len(entries) != n {
			err = fmt.Errorf("it has %d", len(entries))
		}
		return err
	})
}

// emptyBucket removes all that is in the server's bucket.
func (s *server) emptyBucket() {
	s.t.Helper()
	list, err := s.s3().ListObjectsV2(s.t.Context(), &s3.ListObjectsV2Input{Bucket: &s.bucket})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, o := range list.Contents {
		if _, err := s.s3().DeleteObject(s.t.Context(), &s3.DeleteObjectInput{Bucket: &s.bucket, Key: o.Key}); err != nil {
			s.t.Fatal(err)
		}
	}
}
