package broadcast

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/packager"
)

// encoder is a publisher by virtual time. It captures pictures and sound by
// clocks that drift, stamps both in milliseconds of its own clock, and loses
// some of them.
type encoder struct {
	hours     float64
	frames    [2]int  // pictures in so many seconds: 30 in 1, 30000 in 1001
	rate      int     // samples a second
	audioPPM  float64 // how much faster sound is sampled than told
	serverPPM float64 // how much faster the publisher's clock runs than the server's
	stamp     int64   // of the beginning, in ms
	losses    bool    // frames of both kinds are lost, one by one and in runs
	jitter    time.Duration
}

// run sends the whole stream to send, in the order of capture.
func (e *encoder) run(send func(media.Frame)) {
	chance := rand.New(rand.NewPCG(1, 2))
	began := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	picture := float64(e.frames[1]) / float64(e.frames[0])
	sound := media.SamplesPerFrame / float64(e.rate) / (1 + e.audioPPM/1e6)
	var pictures, sounds, outage float64
	for {
		f := media.Frame{Kind: media.Video, Payload: make([]byte, 8)}
		at := pictures * picture
		if next := sounds * sound; next < at {
			f.Kind, at = media.Audio, next
			sounds++
		} else {
			f.Key = int(pictures)%(2*e.frames[0]/e.frames[1]) == 0
			pictures++
		}
		if at > e.hours*3600 {
			return
		}
		if e.losses && at > 1 {
			if chance.IntN(20_000) == 0 { // some ten minutes of frames
				outage = at + chance.Float64()*2.5
			}
			if at < outage || chance.IntN(500) == 0 {
				continue
			}
		}
		ms := e.stamp + int64(at*1000+.5) // as the publisher means it
		binary.BigEndian.PutUint64(f.Payload, uint64(ms))
		f.DTS = media.Ticks(ms%(1<<32)) * (media.SourceRate / 1000)
		f.PTS = f.DTS
		arrival := at / (1 + e.serverPPM/1e6)
		if e.jitter > 0 {
			arrival += chance.Float64() * e.jitter.Seconds()
		}
		f.Captured = began.Add(time.Duration(arrival * float64(time.Second)))
		send(f)
	}
}

// through is what comes of the encoder's frames behind clock and cutter.
type through struct {
	t       *testing.T
	rate    int
	lead    float64 // how far pictures are before their stamps, in seconds
	apart   float64 // the most that sound and picture were parted, in seconds
	sounds  int     // frames of audio that came through
	silence int     // and that the cutter put in
	next    media.Ticks
	wall    time.Time // program date and time of the last segment
	behind  time.Duration
	ahead   time.Duration
}

func (r *through) chunk(c *packager.Chunk) error {
	for _, f := range c.Video {
		r.lead = lead(f, media.VideoRate)
	}
	for _, f := range c.Audio {
		if r.next != 0 && f.DTS != r.next && r.rate >= fineRate {
			r.t.Errorf("audio at %d, want %d: the track has gaps", f.DTS, r.next)
		}
		r.next = f.DTS + media.SamplesPerFrame
		if len(f.Payload) != 8 {
			r.silence++
			continue
		}
		r.sounds++
		apart := lead(f, r.rate) - r.lead
		r.apart = max(r.apart, apart, -apart)
	}
	if c.Segment {
		if !c.Time.After(r.wall) {
			r.t.Errorf("PROGRAM-DATE-TIME %v is not after %v", c.Time, r.wall)
		}
		r.wall = c.Time
		if len(c.Video) > 0 && c.Video[0].DTS == c.Start {
			late := c.Video[0].Captured.Sub(c.Time)
			r.behind, r.ahead = max(r.behind, late), max(r.ahead, -late)
		}
	}
	return nil
}

// lead is how far f is from the stamp it carries, in seconds.
func lead(f media.Frame, rate int) float64 {
	return float64(f.DTS)/float64(rate) - float64(binary.BigEndian.Uint64(f.Payload))/1000
}

// Over hours sound and picture stay as far apart as their publisher stamped
// them, and the wall clock in the playlist stays near the server's, while no
// more sound is lost or silenced than the drift of its clock makes it.
func TestHours(t *testing.T) {
	const wrap32, wrap24 = 1 << 32, 1 << 24
	for _, e := range []encoder{
		{hours: 6, frames: [2]int{30, 1}, rate: 48_000, audioPPM: 100, losses: true},
		{hours: .5, frames: [2]int{30, 1}, rate: 44_100},
		{hours: .5, frames: [2]int{60, 1}, rate: 48_000, audioPPM: -100},
		{hours: .5, frames: [2]int{30000, 1001}, rate: 44_100, audioPPM: 100, losses: true},
		{hours: .5, frames: [2]int{30000, 1001}, rate: 48_000, audioPPM: -100, losses: true, stamp: wrap32 - 600_000},
		{hours: .5, frames: [2]int{60000, 1001}, rate: 44_100, audioPPM: -100, serverPPM: -100},
		{hours: .5, frames: [2]int{25, 1}, rate: 96_000, audioPPM: 100, serverPPM: 100},
		{hours: .5, frames: [2]int{25, 1}, rate: 32_000, audioPPM: 100, serverPPM: -500, jitter: 200 * time.Millisecond},
		{hours: .5, frames: [2]int{24, 1}, rate: 22_050, audioPPM: -100, stamp: wrap24 - 600_000},
		{hours: .5, frames: [2]int{50, 1}, rate: 8_000, audioPPM: -100, losses: true},
	} {
		t.Run(fmt.Sprintf("%d÷%d fps, %d Hz", e.frames[0], e.frames[1], e.rate), func(t *testing.T) {
			r := &through{t: t, rate: e.rate}
			cutter := packager.NewCutter(packager.Origin, r.chunk)
			cutter.Begin(media.Params{
				Video: &media.VideoParams{}, Audio: &media.AudioParams{SampleRate: e.rate, Channels: 2},
			})
			c := newClock(packager.Origin, e.rate)
			sent := 0
			e.run(func(f media.Frame) {
				if f.Kind == media.Audio {
					sent++
				}
				switch c.place(&f) {
				case use:
					if err := cutter.Write(f); err != nil {
						t.Fatal(err)
					}
				case jump:
					t.Fatalf("a jump at %d", f.DTS)
				}
			})
			cutter.Flush()

			t.Logf("%d sounds: %d lost, %d silent; %.1f ms apart; %v behind, %v ahead of the server's clock",
				sent, sent-r.sounds, r.silence, 1000*r.apart, r.behind, r.ahead)
			if r.apart > .040 {
				t.Errorf("sound and picture are %.1f ms further apart than stamped", 1000*r.apart)
			}
			if r.behind > time.Second || r.ahead > time.Second {
				t.Errorf("PROGRAM-DATE-TIME is %v behind and %v ahead of the server's clock", r.behind, r.ahead)
			}
			drift := int(e.hours*3600*100e-6*float64(e.rate)/media.SamplesPerFrame) + 1
			if e.audioPPM == 0 {
				drift = 0
			}
			if lost := sent - r.sounds; lost > drift+3 {
				t.Errorf("%d of %d frames of audio were lost, the drift makes %d", lost, sent, drift)
			}
			if !e.losses && r.silence > drift+3 {
				t.Errorf("%d frames of silence, the drift makes %d", r.silence, drift)
			}
		})
	}
}
