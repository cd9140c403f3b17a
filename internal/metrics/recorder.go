package metrics

import "github.com/prometheus/client_golang/prometheus"

// What recordings count.
var (
	RecordingsOpen = factory.NewGauge(prometheus.GaugeOpts{
		Name: "anabranch_recordings_open",
		Help: "Recordings that are not all stored and told yet.",
	})
	RecordingBytesSpooled = factory.NewCounter(prometheus.CounterOpts{
		Name: "anabranch_recording_spooled_bytes_total",
		Help: "Bytes of media written to the spool.",
	})
	RecordingSpoolBytes = factory.NewGauge(prometheus.GaugeOpts{
		Name: "anabranch_recording_spool_bytes",
		Help: "Bytes of media in the spool that wait for upload.",
	})
	RecordingSpoolMaxBytes = factory.NewGauge(prometheus.GaugeOpts{
		Name: "anabranch_recording_spool_max_bytes",
		Help: "Bound of the media in the spool; 0 when there is none.",
	})
	RecordingBytesUploaded = factory.NewCounter(prometheus.CounterOpts{
		Name: "anabranch_recording_uploaded_bytes_total",
		Help: "Bytes stored in buckets: media, playlists and metadata.",
	})
	RecordingUploadFailures = factory.NewCounter(prometheus.CounterOpts{
		Name: "anabranch_recording_upload_failures_total",
		Help: "Uploads that went wrong and are tried again.",
	})
	RecordingThumbnailsLost = factory.NewCounter(prometheus.CounterOpts{
		Name: "anabranch_recording_thumbnails_lost_total",
		Help: "Thumbnails that were due and could not be made or kept.",
	})
	RecordingUploadLag = factory.NewHistogram(prometheus.HistogramOpts{
		Name:    "anabranch_recording_upload_lag_seconds",
		Help:    "Time from the end of a media object to its being stored.",
		Buckets: []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 14400},
	})
)
