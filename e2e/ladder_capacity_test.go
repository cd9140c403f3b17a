package e2e

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

// When as many streams are transcoded as may be, the next one is delivered as it
// is, and the log says so. A stream keeps its place while its broadcaster is away
// for a moment, and leaves it when its playlist ends.
func TestTranscodeCapacity(t *testing.T) {
	t.Parallel()
	film := reel{width: 854, height: 480, rate: 15, gop: 15, sampleRate: 48000, length: 2 * time.Minute}.shoot(t)
	s := startTranscoder(t, 1, "--live-grace", "3s")
	standard := of(types.ChannelTypeStandardChannelType, "")
	first, second := s.newChannel(standard), s.newChannel(standard)

	p := first.play(film, 1)
	first.waitRungs(3)
	q := second.play(film, 1)
	second.waitRungs(1)
	if log := string(s.logTail(1 << 20)); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "as many streams are transcoded as may be") {
		t.Error("the log does not say that a stream has its source alone")
	}
	p.kill()
	first.waitOffline()
	p = first.play(film, 1)
	first.waitLive()
	first.waitRungs(3)

	q.kill()
	second.waitOffline()
	p.kill()
	first.waitEnded()
	q = second.play(film, 1)
	second.waitRungs(3)
	q.quit()
}

// With --transcode-overflow=refuse the stream that is one too many ends, and
// everybody is told why.
func TestTranscodeRefused(t *testing.T) {
	t.Parallel()
	film := reel{width: 854, height: 480, rate: 15, gop: 15, sampleRate: 48000, length: 2 * time.Minute}.shoot(t)
	s := startTranscoder(t, 1, "--transcode-overflow", "refuse")
	standard := of(types.ChannelTypeStandardChannelType, "")
	first, second := s.newChannel(standard), s.newChannel(standard)
	basic := s.newChannel()
	p := first.play(film, 1)
	first.waitRungs(3)

	q := second.play(film, 1)
	if err := q.waitEnd(15 * time.Second); err == nil {
		t.Error("the publisher is content")
	}
	const reason = "as many streams are transcoded as may be"
	if got := q.output(); !strings.Contains(got, "Server error") {
		t.Errorf("the publisher is told %q", got)
	}
	if _, err := second.variants(t.Context(), ""); err == nil {
		t.Error("the stream that was refused can be played")
	}
	// What needs no transcoding needs no place.
	basic.play(film, 1)
	basic.waitRungs(1)
	if p.hasEnded() {
		t.Errorf("the first publisher ended: %s", p.output())
	}
	s.stop()
	failures := named(second.stored(), "Stream Failure")
	if len(failures) != 1 || !strings.Contains(failures[0].detail["reason"].(string), reason) {
		t.Errorf("told are %v", failures)
	}
	if all := first.stored(); len(named(all, "Stream Failure")) > 0 {
		t.Errorf("of the first, told are %v", all)
	}
}

// waitEnded waits until the channel's playlist has ended.
func (c *channel) waitEnded() {
	c.server.t.Helper()
	eventually(c.server.t, 30*time.Second, "the playlist has ended", func() error {
		all, err := c.variants(c.server.t.Context(), "")
		if err != nil {
			return err
		}
		p, err := fetchPlaylist(c.server.t.Context(), all[0]["URI"])
		if err == nil && !p.Ended {
			err = errors.New("it goes on")
		}
		return err
	})
}
