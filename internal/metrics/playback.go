package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	playbackRequests = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "anabranch_playback_requests_total",
		Help: "Requests of players.",
	}, []string{"kind", "status"})
	playbackBytes = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "anabranch_playback_bytes_total",
		Help: "Bytes of answers to players, without headers.",
	}, []string{"kind"})
	// PlaybackRefusals counts refusals by their error_code.
	PlaybackRefusals = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "anabranch_playback_refusals_total",
		Help: "Requests of players that were refused.",
	}, []string{"code"})
	// PlaybackViews is how many views all channels have together.
	PlaybackViews = factory.NewGauge(prometheus.GaugeOpts{
		Name: "anabranch_playback_views",
		Help: "Sessions that play a channel now.",
	})
	// PlaybackBlocked has how long blocking playlist requests waited.
	PlaybackBlocked = factory.NewHistogram(prometheus.HistogramOpts{
		Name:    "anabranch_playback_blocked_seconds",
		Help:    "How long blocking playlist requests waited.",
		Buckets: []float64{.001, .01, .05, .1, .2, .3, .4, .6, 1, 2, 4, 5.5},
	})
)

// The kinds of what players ask for.
var (
	PlaybackMultivariant = newPlayback("multivariant")
	PlaybackPlaylist     = newPlayback("playlist")
	PlaybackMedia        = newPlayback("media")
)

// Playback counts the requests of one kind. Its counters are found once, as
// finding them by their labels takes longer than counting.
type Playback struct {
	requests [6]prometheus.Counter // by the first digit of the status
	bytes    prometheus.Counter
}

func newPlayback(kind string) *Playback {
	p := &Playback{bytes: playbackBytes.WithLabelValues(kind)}
	p.requests[0] = playbackRequests.WithLabelValues(kind, "gone")
	for class := 2; class < len(p.requests); class++ {
		p.requests[class] = playbackRequests.WithLabelValues(kind, strconv.Itoa(class)+"xx")
	}
	return p
}

// Answered counts a request that was answered with a status of 200 to 599 and
// as many bytes. Any other status, such as 0, tells of a player who left before
// the answer.
func (p *Playback) Answered(status int, bytes int64) {
	class := status / 100
	if class < 2 || class >= len(p.requests) {
		class = 0
	}
	p.requests[class].Inc()
	p.bytes.Add(float64(bytes))
}
