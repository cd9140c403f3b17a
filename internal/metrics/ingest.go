package metrics

import "github.com/prometheus/client_golang/prometheus"

// What publishers' connections count. A protocol is "RTMP" or "RTMPS".
var (
	IngestConnections = factory.NewGaugeVec(prometheus.GaugeOpts{
		Name: "anabranch_ingest_connections",
		Help: "Connections of publishers, on air or not yet.",
	}, []string{"protocol"})
	IngestBytes = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "anabranch_ingest_bytes_total",
		Help: "Bytes received from publishers, protocol overhead included.",
	}, []string{"protocol"})
	IngestOverLimit = factory.NewCounter(prometheus.CounterOpts{
		Name: "anabranch_ingest_over_limit_total",
		Help: "Connections closed at once because too many were open.",
	})
)
