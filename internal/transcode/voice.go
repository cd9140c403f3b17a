package transcode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/metrics"
)

// Voice makes AAC of the Opus that one participant sends, each packet at its place
// on a timeline that counts samples at 48 kHz. It keeps a process of ffmpeg going:
//
//	Write   ▂▂▂▂▂▂▂▂    ▂▂▂▂▂▂       ▂▂▂   packets at their places
//	fed     ▂▂▂▂▂▂▂▂────▂▂▂▂▂▂───────▂▂▂   and silent ones between (voice_feed.go)
//	out     ┊   ┊   ┊   ┊   ┊   ┊   ┊   ┊   frames of 1024 samples
//
// So what goes in lasts as long as the timeline says, but for residues of less than
// a packet, and the drift of the sender's clock: ffmpeg resamples these away, by two
// hundredths at most. What comes out counts the time by its samples.
//
// A process that dies or hangs is replaced. What it had been fed is a hole in the
// frames, which go on in step: every frame begins a multiple of 1024 samples after
// the first.
type Voice struct {
	t     *Transcoder
	log   *slog.Logger
	out   func(media.Frame)
	queue voiceQueue
	done  chan struct{} // closed when all has come out

	// Those of the goroutine that keeps the processes, and of theirs in turn.
	origin media.Ticks // where the first frame begins
	begun  bool        // origin is known
	held   *voicePiece // what the next process begins with

	next atomic.Int64 // where the next frame begins that may come out
}

const (
	voiceRate = 48_000
	// voiceBitrate is that of the AAC, in bit/s. Browsers send Opus of 64 kbit/s
	// or less unless asked for more.
	voiceBitrate = "128000"
	// opusLookahead is how much later than its time stamp says sound is heard, in
	// samples: what libopus, with which nearly all senders encode, looks ahead.
	opusLookahead media.Ticks = 312
	// voiceSlack is how much may have been written of which nothing has come out. If
	// more has, and nothing comes for the patience of the bounds, ffmpeg hangs.
	voiceSlack media.Ticks = 2 * voiceRate
	// maxLeap is how much silence is made at once. Where the timeline leaps further
	// another process begins behind.
	maxLeap media.Ticks = 60 * voiceRate
)

// VoiceParams describes what every [Voice] makes: AAC-LC of two channels at
// 48 kHz. It is always the same pointer.
func VoiceParams() *media.AudioParams { return voiceParams }

var voiceParams = &media.AudioParams{Config: []byte{0x11, 0x90}, SampleRate: voiceRate, Channels: 2}

// NewVoice begins a voice, whose frames are handed to out, one call at a time: DTS
// and PTS in samples on the timeline of [Voice.Write], Duration 1024. The first
// frame begins where the first call says, be it Write or Silence, or some
// milliseconds before. Frames come some 60 ms after the sound that is in them. A
// hole between two frames is a multiple of 1024 samples.
//
// No place of the [Transcoder]'s capacity is taken. End the voice with Close.
func (t *Transcoder) NewVoice(log *slog.Logger, out func(media.Frame)) *Voice {
	v := &Voice{t: t, log: log, out: out, done: make(chan struct{})}
	v.queue.wake = make(chan struct{}, 1)
	metrics.TranscodeVoices.Inc()
	go v.run()
	return v
}

// Write takes an Opus packet (RFC 6716 §3) that begins at a place of the timeline,
// in samples at 48 kHz. It never blocks, and keeps the packet. Left out, and silence
// therefore, is what is malformed, what comes at a place that has been filled, and
// what does not fit: the oldest of more than ten seconds that wait for ffmpeg.
func (v *Voice) Write(packet []byte, at media.Ticks) {
	duration := media.OpusDuration(packet)
	if duration == 0 {
		metrics.TranscodeVoiceDropped.WithLabelValues("malformed").Inc()
		return
	}
	at -= opusLookahead
	v.queue.push(voicePiece{packet: packet, at: at, end: at + duration})
}

// Silence says that nothing comes before until that has not been written: what lies
// between is silence.
func (v *Voice) Silence(until media.Ticks) {
	until -= opusLookahead
	v.queue.push(voicePiece{at: until, end: until})
}

// Close ends the voice: what is under way comes out first, for five seconds at
// most. When it returns nothing comes any more. It must not be called by out.
func (v *Voice) Close() {
	v.queue.close()
	<-v.done
}

// run keeps a process going until the voice is closed.
func (v *Voice) run() {
	defer close(v.done)
	defer metrics.TranscodeVoices.Dec()
	for young := 0; ; {
		piece, ok := v.piece(context.Background())
		if !ok {
			return
		}
		v.held = &piece
		began := time.Now()
		reason, err := v.serve(v.startFor(&piece))
		switch {
		case reason == "" && v.held != nil: // behind a leap
			continue
		case reason == "" || v.queue.over():
			if err != nil {
				v.log.Warn("the end of the sound is lost", "error", err)
			}
			return
		}
		metrics.TranscodeVoiceRestarts.WithLabelValues(reason).Inc()
		if time.Since(began) > v.t.bounds.healthy {
			young = 0
		}
		pause := pauseAfter(young)
		young++
		v.log.Warn("the sound goes on with another ffmpeg", "reason", reason, "error", err, "pause", pause)
		if !v.queue.rest(pause) {
			return
		}
	}
}

// startFor is where the frames of a process that begins with p begin: in step with
// those before it. That of another than the first is fed silence before p.
func (v *Voice) startFor(p *voicePiece) media.Ticks {
	if !v.begun {
		v.begun, v.origin = true, p.at
	} else {
		steps := (p.at - shortestOpus - v.origin) / media.SamplesPerFrame
		v.next.Store(max(v.next.Load(), int64(v.origin+steps*media.SamplesPerFrame)))
		return media.Ticks(v.next.Load())
	}
	v.next.Store(int64(v.origin))
	return v.origin
}

// serve runs one process whose frames begin at start, and returns why it must be
// replaced, or "" if the voice is at its end.
func (v *Voice) serve(start media.Ticks) (reason string, err error) {
	at := start - media.SamplesPerFrame // the encoder begins with a frame of nothing
	p := &process{log: v.log, header: matroskaHeader}
	err = p.start(v.t.cfg.FFmpeg, voiceArgs, 1, func(_ *process, _ int, track media.Params, f media.Frame, _ int64) error {
		if a := track.Audio; a == nil || a.SampleRate != voiceRate || a.Channels != voiceParams.Channels {
			return errors.New("what comes out is not sound of two channels at 48 kHz")
		}
		f.DTS, f.PTS, f.Duration = at, at, media.SamplesPerFrame
		if at += media.SamplesPerFrame; f.DTS >= start {
			v.next.Store(int64(at))
			v.out(f)
		}
		return nil
	})
	if err != nil {
		return "start", err
	}
	feeding, stop := context.WithCancel(context.Background())
	fed := make(chan error, 1)
	go func() {
		defer close(fed)
		fed <- v.feed(feeding, p, start)
	}()
	reason, err = p.watch(feeding, fed, v.t.bounds.finish, v.queue.over, v.stuck())
	stop()
	p.kill()
	for range fed { // until it is closed
	}
	if reason == "" && !p.fed {
		err = nil // it was not needed
	}
	return reason, err
}

// stuck tells of a process that delivers nothing, though it should. One that is slow
// is left alone: another would not be faster, and the queue forgets what is too old.
func (v *Voice) stuck() func(now time.Time) error {
	var (
		since time.Time // since when nothing comes
		last  int64
	)
	return func(now time.Time) error {
		next := v.next.Load()
		lag := v.queue.written() - media.Ticks(next)
		waits := next == last && lag > voiceSlack
		if last = next; lasts(&since, now, waits, v.t.bounds.voicePatience) {
			return fmt.Errorf("ffmpeg is %v behind", lag.Duration(voiceRate).Round(time.Millisecond))
		}
		return nil
	}
}

// voiceArgs are ffmpeg's. Nothing waits for more than it needs: a packet is decoded
// when it comes, a frame written when it is encoded. The resampler works from the
// first sample on, for it would click if it began when it is needed. ffmpeg's own
// decoder goes on after whatever it is fed.
var voiceArgs = []string{
	"-hide_banner", "-nostats", "-nostdin", "-loglevel", "error",
	"-protocol_whitelist", "pipe", "-probesize", "32", "-analyzeduration", "0", "-fflags", "nobuffer",
	"-threads", "1", "-filter_threads", "1", "-copyts",
	"-c:a", "opus", "-f", "matroska", "-i", "pipe:0",
	"-map", "0:a:0", "-af", "aresample=48000:async=1000:first_pts=0:flags=res",
	"-c:a", "aac", "-ac", "2", "-b:a", voiceBitrate, "-threads", "1",
	"-flush_packets", "1", "-flvflags", "no_duration_filesize+no_metadata", "-f", "flv", "pipe:3",
}
