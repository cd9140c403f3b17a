package metrics

import "github.com/prometheus/client_golang/prometheus"

// What players ask for. The kinds are "multivariant", "playlist" and "media";
// the statuses "2xx" to "5xx", and "gone" for a player who left before the
// answer.
var (
	PlaybackRequests = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "anabranch_playback_requests_total",
		Help: "Requests of players.",
	}, []string{"kind", "status"})
	PlaybackBytes = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "anabranch_playback_bytes_total",
		Help: "Bytes of answers to players, without headers.",
	}, []string{"kind"})
	PlaybackBlocked = factory.NewHistogram(prometheus.HistogramOpts{
		Name:    "anabranch_playback_blocked_seconds",
		Help:    "How long blocking playlist requests waited.",
		Buckets: []float64{.001, .01, .05, .1, .2, .3, .4, .6, 1, 2, 4, 5.5},
	})
)
