package metrics

import "github.com/prometheus/client_golang/prometheus"

// What ladders and voices do.
var (
	TranscodeLadders = factory.NewGauge(prometheus.GaugeOpts{
		Name: "anabranch_transcode_ladders",
		Help: "Streams that are being transcoded.",
	})
	// TranscodeRestarts is by reason: "start" (it could not be), "exit" (it ended
	// by itself), "behind" (it hung, or was too slow).
	TranscodeRestarts = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "anabranch_transcode_restarts_total",
		Help: "Processes of ffmpeg that were replaced.",
	}, []string{"reason"})
	TranscodeUnknown = factory.NewCounter(prometheus.CounterOpts{
		Name: "anabranch_transcode_unknown_pictures_total",
		Help: "Pictures that came out of ffmpeg and are none of the source's.",
	})
	TranscodeDelay = factory.NewHistogram(prometheus.HistogramOpts{
		Name:    "anabranch_transcode_delay_seconds",
		Help:    "Time from a picture's arrival to its coming out in the largest rung.",
		Buckets: []float64{.01, .02, .05, .1, .2, .3, .5, .7, 1, 2, 5},
	})
	TranscodeVoices = factory.NewGauge(prometheus.GaugeOpts{
		Name: "anabranch_transcode_voices",
		Help: "Participants whose sound is being transcoded.",
	})
	// TranscodeVoiceRestarts is by reason, as TranscodeRestarts.
	TranscodeVoiceRestarts = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "anabranch_transcode_voice_restarts_total",
		Help: "Processes of ffmpeg for participants' sound that were replaced.",
	}, []string{"reason"})
	// TranscodeVoiceDropped is by reason: "malformed", "order" (its place was filled
	// already), "overflow" (ffmpeg takes in less than comes).
	TranscodeVoiceDropped = factory.NewCounterVec(prometheus.CounterOpts{
		Name: "anabranch_transcode_voice_dropped_total",
		Help: "Opus packets that became silence.",
	}, []string{"reason"})
)
