package transcode

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/resource"
)

// checkTime is how long an encoder may take for its first picture, be it that a
// device must be woken.
const checkTime = 30 * time.Second

// Check says why transcoding does not work here, if so, and takes the capacity
// away then. It makes a ladder of one black picture and some silence, with the
// encoder and all else that a stream needs.
func (t *Transcoder) Check(ctx context.Context) error {
	if err := t.check(ctx); err != nil {
		t.mu.Lock()
		t.capacity = 0
		t.mu.Unlock()
		return fmt.Errorf("transcode with %s and its encoder %s: %w", t.cfg.FFmpeg, t.cfg.Encoder, err)
	}
	return nil
}

func (t *Transcoder) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	in, frames, err := sample()
	if err != nil {
		return err
	}
	rungs := PlanOf(resource.AdvancedHD, resource.HigherBandwidth, in, 60).Rungs

	patient := New(t.cfg)
	patient.bounds.startPatience, patient.bounds.finish = checkTime, checkTime
	var mu sync.Mutex // guards missing
	missing := make(map[int]bool)
	for i := range rungs {
		missing[i] = true
	}
	l := patient.Start(in, rungs, slog.New(slog.NewTextHandler(io.Discard, nil)), func(rung int, _ media.Params, f media.Frame) {
		mu.Lock()
		defer mu.Unlock()
		if f.Key && (f.Kind == media.Video) == (rungs[rung].Width > 0) {
			delete(missing, rung)
		}
	})
	for _, f := range frames {
		l.Write(f)
	}
	l.Finish()
	select {
	case <-l.Done():
	case <-ctx.Done():
		l.Kill()
		return fmt.Errorf("nothing came of it: %w", ctx.Err())
	}
	switch {
	case l.err != nil:
		return l.err
	case len(missing) > 0: // the ladder is done, and calls no more
		return errors.New("no picture came of it")
	}
	return nil
}

// A black picture of 640x360 in H.264, and a frame of silence in AAC of two
// channels at 48 kHz, each with what describes its track.
const (
	sampleSPS     = "674d401eeca05017fcb80880000003008000001e078b16cb"
	samplePPS     = "68ebe3cb20"
	samplePicture = "000000586588840027fffef5b17c0a6ae9ea8a0ce8322ee19724c9aeb622e26d00c0000003000003000030fbabce58ca9653" +
		"f60000030041800fc069c3d02ba22e21023833c4b0850e919400000300000300000300000300000301fb"
	sampleAAC     = "1190"
	sampleSilence = "211004608c1c"
)

// sample is a stream of these.
func sample() (in media.Params, frames []media.Frame, err error) {
	raw := func(s string) []byte {
		b, _ := hex.DecodeString(s) // they are constants
		return b
	}
	if in.Video, err = media.ParseH264(raw(sampleSPS), raw(samplePPS)); err != nil {
		return in, nil, err
	}
	if in.Audio, err = media.ParseAAC(raw(sampleAAC)); err != nil {
		return in, nil, err
	}
	frames = append(frames, media.Frame{Kind: media.Video, Key: true, Payload: raw(samplePicture)})
	for i := range media.Ticks(4) {
		at := i * media.SamplesPerFrame
		frames = append(frames, media.Frame{Kind: media.Audio, DTS: at, PTS: at, Key: true, Payload: raw(sampleSilence)})
	}
	return in, frames, nil
}
