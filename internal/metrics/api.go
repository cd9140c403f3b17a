package metrics

import "github.com/prometheus/client_golang/prometheus"

// APICalls has the time of API calls by operation (empty: none of that name)
// and class of status ("2xx").
var APICalls = factory.NewHistogramVec(prometheus.HistogramOpts{
	Name:    "anabranch_api_call_seconds",
	Help:    "Time of API calls, from their headers' arrival to the answer.",
	Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5},
}, []string{"operation", "class"})
