package metrics

import "github.com/prometheus/client_golang/prometheus"

// What captures of participants count. A kind is "audio" or "video".
var (
	CapturesLive = factory.NewGauge(prometheus.GaugeOpts{
		Name: "anabranch_captures_live",
		Help: "Publications of participants that are recorded now.",
	})
	CaptureLost = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "anabranch_capture_lost_seconds_total",
		Help: "Media of participants that the network lost for good, by kind.",
	}, []string{"kind"})
	CapturePicturesDropped = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "anabranch_capture_pictures_dropped_total",
		Help: "Pictures of participants that are not in their recording: torn (no key frame since a gap), late (a copy of the one before is in their place), or changed (too soon after another change).",
	}, []string{"why"})
	CaptureCopies = factory.NewCounter(prometheus.CounterOpts{
		Name: "anabranch_capture_copies_total",
		Help: "Pictures put in where participants sent none.",
	})
	CaptureStretches = factory.NewCounter(prometheus.CounterOpts{
		Name: "anabranch_capture_stretches_total",
		Help: "Stretches of captured media, each behind a discontinuity but the first.",
	})
)
