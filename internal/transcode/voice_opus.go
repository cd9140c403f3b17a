package transcode

import "anabranch/internal/media"

// shortestOpus is the shortest Opus packet, in samples at 48 kHz (RFC 6716 §2.1.4).
const shortestOpus media.Ticks = 120

// silentOpus is the longest Opus packet of silence that lasts no longer than room,
// which is [shortestOpus] at least: a CELT frame whose first symbol says silence
// (RFC 6716 §4.3, "silence").
func silentOpus(room media.Ticks) (packet []byte, duration media.Ticks) {
	for i := len(silentPackets) - 1; ; i-- {
		if duration = shortestOpus << i; duration <= room || i == 0 {
			return silentPackets[i], duration
		}
	}
}

// silentPackets are of 2.5, 5, 10 and 20 ms, fullband, mono.
var silentPackets = [...][]byte{{0xE0, 0xFF, 0xFE}, {0xE8, 0xFF, 0xFE}, {0xF0, 0xFF, 0xFE}, {0xF8, 0xFF, 0xFE}}
