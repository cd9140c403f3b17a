package metrics

import "github.com/prometheus/client_golang/prometheus"

// What stills cost, and how many there are not.
var (
	StillSeconds = factory.NewHistogram(prometheus.HistogramOpts{
		Name:    "anabranch_still_seconds",
		Help:    "Time it took to make a still, such as a thumbnail, of a key frame.",
		Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10},
	})
	StillCPU = factory.NewCounter(prometheus.CounterOpts{
		Name: "anabranch_still_cpu_seconds_total",
		Help: "CPU time of the processes that make stills.",
	})
	StillsFailed = factory.NewCounter(prometheus.CounterOpts{
		Name: "anabranch_stills_failed_total",
		Help: "Stills that could not be made.",
	})
	StillsReplaced = factory.NewCounter(prometheus.CounterOpts{
		Name: "anabranch_stills_replaced_total",
		Help: "Stills that were not made because a newer one of the same stream was due.",
	})
	StillsRefused = factory.NewCounter(prometheus.CounterOpts{
		Name: "anabranch_stills_refused_total",
		Help: "Stills that were not made because too many others waited.",
	})
)
