package metrics

import "github.com/prometheus/client_golang/prometheus"

// PackagerDropped counts frames that could not be packaged, by kind ("video",
// "audio") and reason: "order" (not after the track's frame before), "key"
// (before the first key frame), "end" (audio after the last video frame),
// "overflow" (audio for which no video came), "track" (no such track).
var PackagerDropped = factory.NewCounterVec(prometheus.CounterOpts{
	Name: "anabranch_packager_frames_dropped_total",
	Help: "Frames that could not be packaged.",
}, []string{"kind", "reason"})
