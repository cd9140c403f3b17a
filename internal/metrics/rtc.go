package metrics

import "github.com/prometheus/client_golang/prometheus"

// What WebRTC sessions count. A kind is "publish" or "subscribe".
var (
	RTCSessions = factory.NewGaugeVec(prometheus.GaugeOpts{
		Name: "anabranch_rtc_sessions",
		Help: "WebRTC sessions, connected or not yet.",
	}, []string{"kind"})
	RTCHalfOpen = factory.NewGauge(prometheus.GaugeOpts{
		Name: "anabranch_rtc_half_open",
		Help: "WebRTC sessions whose clients have not connected yet.",
	})
	RTCEnded = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "anabranch_rtc_ended_total",
		Help: "WebRTC sessions that ended, by why.",
	}, []string{"kind", "why"})
	RTCDropped = factory.NewCounter(prometheus.CounterOpts{
		Name: "anabranch_rtc_dropped_total",
		Help: "Packets that the network did not take: a full buffer, or a slow client over TCP.",
	})
)
