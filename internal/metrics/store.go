package metrics

import "github.com/prometheus/client_golang/prometheus"

// StoreChange tells how long changes to the database take.
var StoreChange = factory.NewHistogram(prometheus.HistogramOpts{
	Name:    "anabranch_store_change_seconds",
	Help:    "Time of a change to the database, from the wait for its turn to its commit.",
	Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5},
})
