package metrics

import "github.com/prometheus/client_golang/prometheus"

// What live windows do.
var (
	WindowParts = factory.NewCounter(prometheus.CounterOpts{
		Name: "anabranch_window_parts_total",
		Help: "Partial segments published in live windows.",
	})
	WindowBytes = factory.NewCounter(prometheus.CounterOpts{
		Name: "anabranch_window_bytes_total",
		Help: "Bytes of partial segments published in live windows.",
	})
	WindowAppend = factory.NewHistogram(prometheus.HistogramOpts{
		Name:    "anabranch_window_append_seconds",
		Help:    "Time to write and publish a partial segment.",
		Buckets: []float64{.0001, .0003, .001, .003, .01, .03, .1, .3, 1},
	})
	PlaylistRenders = factory.NewCounter(prometheus.CounterOpts{
		Name: "anabranch_window_playlist_renders_total",
		Help: "Media playlists rendered; all readers of one share it.",
	})
)
