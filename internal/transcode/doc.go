// Package transcode makes a stream's other renditions, stills of it, and AAC of what
// participants say, with ffmpeg.
//
//	            ┌→ Rung 720p60 ─┐
//	frames → Ladder ─→ 480p30 ──┤→ Output: frames with the times of the source's
//	   │    │ ↑ └→ audio_only ──┘
//	   FLV, stdin│ FLV, a pipe for each track
//	        ↓ │
//	       ffmpeg
//
// [PlanOf] says which renditions a channel's type gives a stream: its [Rung]s. A
// [Ladder] makes them, all with one process that decodes once. The publisher never
// waits for it: frames go into a queue, and what does not fit is left out.
//
// Time stamps are identity. A frame goes in with a whole millisecond that no other
// has, and what comes out with it is the same picture: it gets the source's own
// PTS back, to the tick (stamps.go). So rungs are cut where the source is cut,
// whatever ffmpeg rounds. Rungs have no B-frames, and nothing is held back for a
// look ahead: a picture comes out some milliseconds after it went in.
//
// ffmpeg is a program that may die, hang or be too slow. None of it is the
// stream's business: the process is replaced, and the next begins with the next
// key frame, started before that comes. How many streams are transcoded at once is
// bounded by the places that a [Transcoder] gives.
//
// [Stills] makes JPEGs of key frames, on the side. A [Voice] makes AAC of the Opus that
// one participant sends, for the recording: there, samples are identity, and count the
// time.
package transcode
