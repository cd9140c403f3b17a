package app

import (
	"log/slog"
	"runtime"

	"anabranch/internal/transcode"
)

// cpusPerLadder is how many processors a stream of 1080p60 keeps busy with the
// encoder that is the default.
const cpusPerLadder = 2

// transcodeConfig is what the settings say about transcoding.
func transcodeConfig(cfg *Config, log *slog.Logger) transcode.Config {
	capacity := cfg.TranscodeCapacity
	if capacity < 0 {
		capacity = max(1, runtime.NumCPU()/cpusPerLadder)
	}
	return transcode.Config{FFmpeg: cfg.FFmpeg, Encoder: cfg.TranscodeEncoder, Capacity: capacity, Log: log}
}
