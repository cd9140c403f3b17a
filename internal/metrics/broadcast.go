package metrics

import "github.com/prometheus/client_golang/prometheus"

// What broadcasts count.
var (
	StreamsLive = factory.NewGauge(prometheus.GaugeOpts{
		Name: "anabranch_streams_live",
		Help: "Streams on air now.",
	})
	StreamsStarving = factory.NewGauge(prometheus.GaugeOpts{
		Name: "anabranch_streams_starving",
		Help: "Streams on air whose media does not arrive as it should.",
	})
	LimitBreaches = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "anabranch_limit_breaches_total",
		Help: "Streams ended or refused for being over a limit, by the limit's name.",
	}, []string{"limit"})
	ClockJumps = factory.NewCounter(prometheus.CounterOpts{
		Name: "anabranch_clock_jumps_total",
		Help: "Jumps of publishers' clocks, each a discontinuity.",
	})
	PublishersRefused = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "anabranch_publishers_refused_total",
		Help: "Publishers turned away, by onStatus code.",
	}, []string{"code"})
	FramesDropped = factory.NewCounter(prometheus.CounterOpts{
		Name: "anabranch_frames_dropped_total",
		Help: "Frames that had no place on their broadcast's timeline.",
	})
	RenditionGaps = factory.NewCounter(prometheus.CounterOpts{
		Name: "anabranch_rendition_gaps_total",
		Help: "Parts that a transcoded rendition lacks, for it was late.",
	})
	TranscodeOverflows = factory.NewCounter(prometheus.CounterOpts{
		Name: "anabranch_transcode_overflows_total",
		Help: "Streams that were to be transcoded beyond the capacity.",
	})
	PartDelay = factory.NewHistogram(prometheus.HistogramOpts{
		Name:    "anabranch_part_delay_seconds",
		Help:    "Time from the arrival of a part's last frame to its place in the playlist.",
		Buckets: []float64{.002, .005, .01, .02, .05, .1, .2, .5, 1},
	})
)
