package metrics

import "github.com/prometheus/client_golang/prometheus"

// What cutters drop and add.
var (
	// PackagerDropped is by kind ("video", "audio") and reason: "order" (not
	// after the track's frame before, or before the first picture), "key" (video
	// before the first key frame), "end" (audio after the last picture),
	// "overflow" (audio for which no video came), "track" (no such track).
	PackagerDropped = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "anabranch_packager_frames_dropped_total",
		Help: "Frames that could not be packaged.",
	}, []string{"kind", "reason"})
	// RungDropped is by kind.
	RungDropped = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "anabranch_packager_rung_frames_dropped_total",
		Help: "Transcoded frames that came too late for their part, or too early.",
	}, []string{"kind"})
	PackagerSilence = factory.NewCounter(prometheus.CounterOpts{
		Name: "anabranch_packager_silence_frames_total",
		Help: "Audio frames of silence put in where a publisher's sound was missing.",
	})
)
