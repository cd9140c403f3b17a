// Package metrics has the counters and gauges the server tells Prometheus.
//
// Collectors are package variables, one file for each package that uses them.
// Labels come from short fixed lists, never from what a client sends.
package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Registry holds every collector of the server and of the Go runtime.
var Registry = prometheus.NewRegistry()

// factory registers what it makes with Registry.
var factory = promauto.With(Registry)

func init() {
	Registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}
