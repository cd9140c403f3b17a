// Package packager turns frames into what players and recordings hold: partial
// segments, segments and playlists of Low-Latency HLS (RFC 8216bis), and an
// MPEG transport stream.
//
//	                           ┌→ CMAF ──┬→ Window → playlists, parts, segments
//	frames → Cutter → Chunk ───┤         └→ a recording in fragmented MP4
//	                           └→ TS ─────→ a recording in MPEG-TS
//
// Everything is cut once. The [Cutter] decides where parts and segments begin
// and end, fills in what only the next frame tells, and yields [Chunk]s, each
// the frames of one part. The writers give a chunk its form: [CMAF] as a movie
// fragment after the section [CMAFInit] makes, [TS] as transport packets. Both
// append to a buffer of the caller's and allocate nothing of their own. A
// [Window] keeps the last minute of chunks on disk and shows it to viewers as a
// playlist that grows while they wait.
//
//	frames → Cutter → Chunk ────────────────→ Window    the source
//	   ↓                ↓                        ↓ Follow
//	transcoder ───→ Follower → Chunk ───────→ Window    a rung
//
// Other renditions are not cut again. A [Follower] puts a rung's frames into chunks
// that begin and end where the source's do, and the rung's window follows the
// source's by [Window.Follow]: same segments, same numbers, same dates. What a
// rung lacks is a gap in its playlist, and nowhere else.
//
//	│←──────────────── segment ──────────────→│←── segment …
//	│←─ part ──→│←─ part ──→│←─ part ──→│part→│
//	 K p p p p p p p p p p p p p p p p p p p p K p p p     video, K a key frame
//	▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁    audio
//
// All times lie on a run's timeline: that of a channel's live playlist, which
// spans reconnects and restarts and never goes back. It starts at [Origin].
// Video counts 90 000 ticks a second, audio its samples, from the same zero.
// After a join the first picture's DTS is the end of the last chunk, so that
// media times are continuous whatever a player makes of EXT-X-DISCONTINUITY;
// the gap shows in EXT-X-PROGRAM-DATE-TIME alone.
//
// The package knows no channel and no network, and starts no goroutine.
package packager
