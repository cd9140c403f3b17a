// Package capture makes a recording of what a participant of a stage publishes: of
// packets that come late, twice or never, by clocks that run apart, from networks
// that change, it makes one stretch of media after the other that any player shows.
//
//	rtc.Source ─ Reader ─→ Capture ┬ pictures ────────────────┬→ packager.Cutter → recorder.Take
//	                               └ Opus → Voice → AAC ──────┘
//
// A [Manager] has a capture for each publication. It reads frames, each of which
// tells when it was captured on the server's clock, and that alone says where it is
// on the recording's timeline: while a publication lasts, media time is wall time.
// So sound and pictures are in step, EXT-X-PROGRAM-DATE-TIME is true for every
// sample, and the recordings of a stage's participants can be laid side by side.
//
// # What is known
//
// A packet that is missing may still come: the reader waits for it. Until then
// nobody can say what is in its place. So each kind is known up to its newest frame,
// or, where none comes, up to [patience] ago; where nothing comes at all, up to
// [quiet] ago, for the publisher may be gone, and would leave a tail of nothing. The
// media is cut as far as both kinds are known, in parts of a third of a second, each of
// which is in the spool before the next is cut. What is not is lost when the server is
// killed: half a second while both kinds flow, or only one is offered (a second and a
// half without pictures, of which one comes a second), and the patience and up to two
// seconds more while one that is offered pauses.
//
//	sound     ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁  ← newest
//	pictures  K p p p p p p                 ?    ← known: newest − patience
//	recording ══════════════════════╡
//
// # What is there in place of nothing
//
// A recording of both kinds has both tracks from its first sample to its last, for
// players cannot follow a track that comes and goes.
//
//   - Sound that is missing, paused or not published is silence.
//   - A picture lasts until the next. Where none is known to follow within [lasting],
//     the last key frame is shown again, once a second or so; what comes then goes on
//     with a key frame, which the publisher is asked for.
//   - Before the first picture its copy stands in. Where none comes, or none is
//     published, a black one does.
//
// # Stretches
//
// Where the pictures become others (another size, other parameter sets, another
// connection of the publisher) a stretch ends and the next begins, with a key frame
// and an initialization segment, behind EXT-X-DISCONTINUITY. The timeline and the
// sound go on. No stretch is shorter than [minStretch]: a publisher whose size changes
// more often loses pictures, the one before lasts on, and no sound is lost.
//
// What the network lost for good is silence, or a picture that stands still; the
// recording's playlist marks it.
//
// # Who waits for whom
//
// The reader's goroutine waits for frames, the voice's for ffmpeg, and the capture's
// for the disk. None of them is the publisher's or a subscriber's, and each queue in
// between has an end: the stage does not notice what becomes of its recordings.
package capture
