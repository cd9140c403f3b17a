package app

import (
	"log/slog"
	"runtime"

	"anabranch/internal/transcode"
)

// cpusPerLadder is how many processors there are to be for each stream that is
// transcoded: one of 1080p60 keeps about one busy with the encoder that is the
// default, and pictures that are hard to encode take more.
const cpusPerLadder = 2

// transcodeConfig is what the settings say about transcoding.
func transcodeConfig(cfg *Config, log *slog.Logger) transcode.Config {
	capacity := cfg.TranscodeCapacity
	if capacity < 0 {
		capacity = max(1, runtime.GOMAXPROCS(0)/cpusPerLadder)
	}
	return transcode.Config{FFmpeg: cfg.FFmpeg, Encoder: cfg.TranscodeEncoder, Capacity: capacity, Log: log}
}
