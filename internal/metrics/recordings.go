package metrics

// PlaybackRecording counts requests for the media of recordings.
var PlaybackRecording = newPlayback("recording")
