package e2e

import (
	"os"
	"slices"
	"time"
)

// benchTime is how long a benchmark measures: BENCHTIME, or a minute.
func benchTime() time.Duration {
	d, err := time.ParseDuration(os.Getenv("BENCHTIME"))
	if err != nil {
		return time.Minute
	}
	return d
}

// settle is how long what is measured runs before: connections are made, the
// first segments are written.
const settle = 3 * time.Second

// series is a number of measurements.
type series []float64

func (s *series) add(x float64) { *s = append(*s, x) }

// at is the value that a share of the measurements does not exceed; 0 when
// there are none.
func (s series) at(share float64) float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(int(share*float64(len(s))), len(s)-1)]
}

func (s series) mean() (sum float64) {
	for _, x := range s {
		sum += x / float64(len(s))
	}
	return sum
}

// waitPlayable waits until a player would find media, and returns the URL of
// the first rendition's Media Playlist.
func (c *channel) waitPlayable() (url string) {
	c.server.t.Helper()
	eventually(c.server.t, 20*time.Second, "the channel can be played", func() error {
		all, err := c.variants(c.server.t.Context(), "")
		if err == nil {
			url = all[0]["URI"]
		}
		return err
	})
	return url
}
