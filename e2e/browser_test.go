package e2e

import (
	"fmt"
	"testing"
	"time"
)

// A viewer in Chromium sees the broadcaster drop and return, on one page that
// is never loaded again.
func TestBrowserPlaysOn(t *testing.T) {
	for _, tt := range []struct {
		name   string
		breaks breakage
	}{
		{"publisher killed", killPublisher},
		{"server restarted", restartInGap},
		{"server killed on air", killServerOnAir},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			c := s.newChannel()
			tab := openTab(t, "http://"+s.at.HTTP+"/watch/"+c.id())

			first := publish(t, c.rtmp(), testPicture())
			before := tab.waitPlaying(20*time.Second, 0)
			tab.waitPlaying(10*time.Second, before.Time+4)
			if before = tab.picture("before"); before.Variance < 100 || before.Width != 640 || before.AudioBytes == 0 {
				t.Errorf("no picture or no sound: %+v", before)
			}

			tt.breaks(s, first)
			broken := time.Now()
			eventually(t, 8*time.Second, "the gap is over", func() error {
				if since := time.Since(broken); since < 4*time.Second {
					return fmt.Errorf("it has been %v", since)
				}
				return nil
			})
			during := tab.picture("during")
			if during.State != "reconnecting" {
				t.Errorf("the page says %q in the gap", during.State)
			}

			back := time.Now()
			publish(t, c.rtmp(), testPicture())
			tab.waitPlaying(20*time.Second, during.Time+1)
			t.Logf("playing %v after the publisher's return", time.Since(back).Round(10*time.Millisecond))
			tab.waitPlaying(20*time.Second, during.Time+6)
			after := tab.picture("after")
			if !after.Marked {
				t.Error("the page was loaded again")
			}
			if after.Latency != nil {
				t.Logf("%.2f s behind the broadcaster", *after.Latency)
			}
			if after.Variance < 100 || after.State != "live" {
				t.Errorf("after the return: %+v", after)
			}
			if after.AudioBytes <= during.AudioBytes {
				t.Errorf("no sound after the return: %d bytes decoded, before %d", after.AudioBytes, during.AudioBytes)
			}
			// Before the channel was live, nothing could be played.
			if errors := after.Errors[len(before.Errors):]; len(after.Problems) > 0 || len(errors) > 0 {
				t.Errorf("the page had to cope with %v %v", after.Problems, errors)
			}
		})
	}
}

// Browsers that play HLS by themselves keep further behind, and play on, too:
// this one comes to the end of what there is, waits, and goes on.
func TestBrowserPlaysOnNatively(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--live-grace", "60s")
	c := s.newChannel()
	first := publish(t, c.rtmp(), testPicture())
	first.waitSent(6 * time.Second)
	tab := openTab(t, "http://"+s.at.HTTP+"/watch/"+c.id()+"?player=native")
	tab.waitPlaying(20*time.Second, 1)
	first.kill()

	var during seen
	since := time.Now()
	eventually(t, 40*time.Second, "the video has come to its end", func() error {
		if now := tab.look(); now.Time != during.Time {
			during, since = now, time.Now()
		}
		if d := time.Since(since); d < 3*time.Second {
			return fmt.Errorf("it went on %v ago", d)
		}
		return nil
	})
	publish(t, c.rtmp(), testPicture())
	after := tab.waitPlaying(30*time.Second, during.Time+8)
	if !after.Marked || after.Variance < 100 || after.AudioBytes <= during.AudioBytes {
		t.Errorf("after the return: %+v", after)
	}
	if len(after.Problems) > 0 || len(after.Errors) > 0 {
		t.Errorf("the page had to cope with %v %v", after.Problems, after.Errors)
	}
}
