// Package recorder turns streams into recordings in a bucket.
//
//	broadcast ┬→ Take.Write ┬→ <spool>/<recording>/0.ts 1.ts …  media (0/0.ts 0/1.ts … of several renditions)
//	capture   ┘             └→ <spool>/<recording>/journal      what the media is
//	                                  │
//	             Recorder.Run: drive ─┴→ Objects  media, playlists, metadata
//	                                  └→ Ledger   the recording's row and its events
//
// A stream is a channel's, or a publication of a stage's participant. What their
// recordings look like differs, and so does what may be merged: see [layout]. All
// that follows is the same for both, but that of a participant there is one
// rendition, and that it may be anything from one stretch to the next.
//
// A recording outlives what feeds it. Its streams come and go: a broadcaster
// who drops and is back within the reconnect window goes on with the same
// recording, behind an EXT-X-DISCONTINUITY, even if a stream that did not match
// made another in between. Its process comes and goes, too: every part is in
// the spool before the next one is cut, and [Open] takes up each recording where
// a stop, a crash or a power cut left it. And its bucket comes and goes: uploads
// are tried again for as long as it takes. Only the spool has an end: when it is
// full, the recordings fail whose buckets do not keep up, and what there is of
// them is stored whenever that can be done.
//
// # One life
//
// [Recorder.Begin] finds the recording a stream belongs to, and the first
// [Take.Write] makes a new one if there is none to join. From then on two
// sides work on it. The publisher's goroutine writes parts: the media with one
// write(2), then a journal record with another, and nothing slower. The
// recording's own goroutine drives it forward: it probes the bucket, tells the
// ledger of the start, syncs and uploads objects, refreshes the playlists, and
// when the window has passed without a new stream it closes everything:
//
//	last object → playlists with EXT-X-ENDLIST → recording-ended.json → Ledger.EndRecording → spool removed
//
// # Renditions
//
// A stream may come in several renditions, and a recording keeps those that its
// configuration selects. It has one list of objects: where they begin, how long
// they last and what their dates are the source decides for all. Each rendition
// has a file of every object, under the same number. What a rendition misses is a
// hole (EXT-X-GAP) in that one: nothing of it moves, and nothing of the others.
//
//	source     0.ts  1.ts  2.ts  3.ts
//	480p30     0.ts   gap  2.ts  3.ts     its encoder died and came back
//	audio_only 0.ts  1.ts  2.ts  3.ts
//
// One journal record tells of a part in all renditions, one rename moves all files
// of an object, and what a kill or a power cut left of some is cut back to what it
// left of all.
//
// # The tree
//
// This is what a bucket holds below the prefix of a channel's recording:
//
//	events/ivs-check                        a probe, empty
//	       recording-started.json           where everything lies
//	       recording-ended.json             the same, at the end; or recording-failed.json
//	media/hls/master.m3u8                   names each playlist.m3u8
//	          byte-range-multivariant.m3u8  names each byte-range-variant.m3u8
//	          720p30/                       a folder for each rendition
//	                 playlist.m3u8          an entry for each object; it grows
//	                 byte-range-variant.m3u8  one for each group of pictures, as of some moment
//	                 0.ts 1.ts …            or init-0.mp4 0.mp4 1.mp4 …
//	media/thumbnails/thumb0.jpg thumb1.jpg …  one for each interval: see thumbnail.go
//	media/latest_thumbnail/thumb.jpg        the newest of them
//
// and of a participant's:
//
//	events/recording-started.json           the same, and the probe
//	       recording-ended.json             or recording-failed.json, also alone: it could not start
//	media/hls/multivariant.m3u8             names the playlist
//	          high/
//	               playlist.m3u8            an entry for each object; it grows
//	               init-0.mp4 init-1.mp4 …  one for each stretch of one make
//	               0.mp4 1.mp4 …
//	media/thumbnails/high/1.jpg 2.jpg …     one for each interval
//	media/latest_thumbnail/high/thumb.jpg   the newest of them
//
// A playlist is stored after all that it names.
//
// # State
//
// What is known of a recording is the sum of its journal's records, live as
// well as after a restart: a change is a record, appended first and applied to
// the state second. What the driver does next follows from the state alone, so
// a restart at any point goes on with the step that was under way. Every step
// may be done twice.
package recorder
