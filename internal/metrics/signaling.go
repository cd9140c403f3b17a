package metrics

import "github.com/prometheus/client_golang/prometheus"

var (
	// SignalingRequests counts what participants asked for. A kind is publish,
	// subscribe, session or events; an outcome is ok, gone, or the status of a
	// refusal.
	SignalingRequests = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "anabranch_signaling_requests_total",
		Help: "Requests of participants of stages.",
	}, []string{"kind", "outcome"})
	// SignalingSockets is how many events sockets are open.
	SignalingSockets = factory.NewGauge(prometheus.GaugeOpts{
		Name: "anabranch_signaling_sockets",
		Help: "Events sockets that are open.",
	})
)
