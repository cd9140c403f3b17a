package e2e

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

// A live playlist is Low-Latency HLS by the book for as long as it goes on: when
// segments leave it, too, of which the server keeps what players may still want.
func TestLowLatencyHLS(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.newChannel()
	p := c.publish(testPicture())
	const window = 60 * time.Second // of the playlist, at least
	p.waitSent(5 * time.Second)
	first := c.viewer.newest()
	p.waitSent(soak(window + 12*time.Second))
	if told := c.viewer.newest(); told.Told() < window || told.Sequence == first.Sequence || told.Duration() > window+2*told.Target {
		t.Errorf("the playlist tells %v, from segment %d on, at first %d:\n%s", told.Told(), told.Sequence, first.Sequence, told.Text)
	}
	c.viewer.check(0)
}

// soak is how long a test goes on that could go on for ever: d, or SOAK if that
// is longer.
func soak(d time.Duration) time.Duration {
	if long, err := time.ParseDuration(os.Getenv("SOAK")); err == nil {
		return max(d, long)
	}
	return d
}

// A channel of ordinary latency has the same playlist, without parts.
func TestNormalLatency(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.newChannel(func(in *ivs.CreateChannelInput) { in.LatencyMode = types.ChannelLatencyModeNormalLatency })
	p := c.publish(testPicture())
	p.waitSent(12 * time.Second)
	if told := c.viewer.newest(); told.PartTarget != 0 || told.Count("EXT-X-PART") != 0 || told.Hint != "" {
		t.Errorf("there are parts:\n%s", told.Text)
	}
	c.viewer.check(0)
}

// The playlist of a broadcaster who does not return ends.
func TestLiveGraceEnds(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--live-grace", "2s")
	c := s.newChannel()
	p := c.publish(testPicture())
	c.viewer.ended = true
	p.waitSent(4 * time.Second)
	p.kill()
	gone := time.Now()
	eventually(t, 10*time.Second, "the playlist ends", func() error {
		if p := c.viewer.newest(); !p.Ended {
			return fmt.Errorf("it goes on:\n%s", p.Text)
		}
		return nil
	})
	if since := time.Since(gone); since < time.Second {
		t.Errorf("it ended %v after the broadcaster left", since)
	}
}

// RTMPS and HTTPS share a port; HTTPS speaks HTTP/2 there, as Low-Latency HLS
// on Apple's players needs it.
func TestHTTPSBesideRTMPS(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := s.newChannel()
	c.watch()
	p := publish(t, c.rtmps(), testPicture())
	p.waitSent(3 * time.Second)
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // the certificate is self-signed
		ForceAttemptHTTP2: true,
	}}
	defer client.CloseIdleConnections()
	_, path, _ := strings.Cut(*c.PlaybackUrl, "/api/")
	resp, err := client.Get("https://" + s.at.RTMPS + "/api/" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
		t.Errorf("%s %s", resp.Proto, resp.Status)
	}
	if resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Error("pages of other origins cannot play")
	}
}
