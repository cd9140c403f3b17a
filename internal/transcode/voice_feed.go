package transcode

import (
	"context"

	"anabranch/internal/media"
	"anabranch/internal/metrics"
)

const (
	// maxSurplus is how much more sound than time there may be, in samples. ffmpeg
	// takes a fiftieth of the time out by resampling; from 100 ms on it would cut.
	maxSurplus media.Ticks = 80 * voiceRate / 1000
	resampled              = voiceRate / 1000 // as aresample=async=1000 says
)

// feed writes what comes to p, whose clock begins at start, until the voice is
// closed, or p ends, or ctx. What is missing is filled with silence; what lies behind
// a leap is held for the next process.
func (v *Voice) feed(ctx context.Context, p *process, start media.Ticks) error {
	if err := p.begin(); err != nil {
		return err
	}
	place := start            // up to where p has been fed
	surplus := media.Ticks(0) // how much of it is still to be taken out
	for {
		s, ok := v.piece(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !ok:
			p.finish()
			return nil
		case s.at-place > maxLeap:
			v.held = &s
			p.finish()
			return nil
		}
		var err error
		if place, err = p.writeSilence(start, place, s.at); err != nil {
			return err
		}
		if s.packet == nil {
			continue
		}
		overlap := max(0, place-s.at)
		if s.at < start || surplus+overlap > maxSurplus {
			metrics.TranscodeVoiceDropped.WithLabelValues("order").Inc()
			continue
		}
		if err := p.writePacket(s.packet, s.at-start); err != nil {
			return err
		}
		advance := max(0, s.end-place)
		surplus = max(0, surplus+overlap-advance/resampled)
		place += advance
	}
}

// writeSilence feeds silent packets from place to at, as far as they fit between,
// and returns up to where.
func (p *process) writeSilence(start, place, at media.Ticks) (media.Ticks, error) {
	for at-place >= shortestOpus {
		packet, duration := silentOpus(at - place)
		if err := p.writePacket(packet, place-start); err != nil {
			return place, err
		}
		place += duration
	}
	return place, nil
}

// writePacket feeds an Opus packet that begins at a time of the process's clock, in
// samples. It blocks while the process has enough to do.
func (p *process) writePacket(packet []byte, at media.Ticks) error {
	p.buf = appendCluster(p.buf[:0], at, packet)
	return p.writeBuf()
}

// piece is what comes next. It waits for that until the voice is closed, or ctx
// ends.
func (v *Voice) piece(ctx context.Context) (voicePiece, bool) {
	if v.held != nil {
		s := *v.held
		v.held = nil
		return s, true
	}
	for {
		s, ok, closed := v.queue.take()
		if ok || closed {
			return s, ok
		}
		select {
		case <-v.queue.wake:
		case <-ctx.Done():
			return s, false
		}
	}
}
