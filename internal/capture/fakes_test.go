package capture

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/recorder"
	"anabranch/internal/rtc"
)

// guest is a publisher, its network and a reader of it in one: what is sent comes at
// once, unless the guest says otherwise. It lives in a synctest bubble.
type guest struct {
	t          *testing.T
	frames     chan rtc.Frame
	closed     chan struct{}
	broken     bool // the reader panics at the end
	connection uint64
	sound      bool // negotiated
	pictures   bool

	size   *media.VideoParams
	number uint32 // of the newest picture
	asked  int    // for key frames
	obeys  bool   // sends a key frame when asked
	key    bool   // is to be next

	voice *fakeVoice
	take  *fakeTake
	stop  context.CancelFunc
	over  chan struct{}
}

// newGuest begins a publication that is captured.
func newGuest(t *testing.T, k keep) *guest {
	fake := &fakeTake{t: t, target: 2 * media.VideoRate, bare: !k.media}
	g := publishInto(t, k, fake)
	g.take = fake
	return g
}

// publishInto begins a publication that is captured into a take.
func publishInto(t *testing.T, k keep, into take) *guest {
	g := &guest{
		t: t, frames: make(chan rtc.Frame, 64), closed: make(chan struct{}), connection: 1, sound: true, pictures: true,
		size: size(640, 0), obeys: true, key: true, over: make(chan struct{}),
	}
	g.voice = &fakeVoice{}
	c := newCapture(k, 2*media.VideoRate, slog.New(slog.NewTextHandler(io.Discard, nil)))
	c.reader, c.outlet.take = g, into
	c.negotiated = func() (sound, pictures bool) { return g.sound, g.pictures }
	c.sound.open = func(out func(media.Frame)) voice {
		g.voice.out = out
		return g.voice
	}
	var ctx context.Context
	ctx, g.stop = context.WithCancel(t.Context())
	go func() {
		defer close(g.over)
		c.run(ctx)
	}()
	return g
}

// Next is the reader's: what is there comes before any end.
func (g *guest) Next(ctx context.Context) (rtc.Frame, error) {
	select {
	case f := <-g.frames:
		return f, nil
	default:
	}
	select {
	case f := <-g.frames:
		return f, nil
	case <-ctx.Done():
		return rtc.Frame{}, ctx.Err()
	case <-g.closed:
		if g.broken {
			panic("at the end")
		}
		return rtc.Frame{}, io.EOF
	}
}

func (g *guest) WantKeyFrame() {
	g.asked++
	g.key = g.key || g.obeys
}

func (g *guest) Close() {}

// send sends a frame that was captured now.
func (g *guest) send(f rtc.Frame) {
	f.Connection, f.Arrived = g.connection, time.Now()
	if f.Time.IsZero() {
		f.Time = f.Arrived
	}
	select {
	case g.frames <- f:
	case <-g.over:
	}
	synctest.Wait()
}

// picture sends one. Its payload tells its number, and whether it is a key frame:
// decoders need all from that on.
func (g *guest) picture() {
	f := rtc.Frame{Kind: media.Video, Key: g.key, Video: g.size}
	g.key = false
	g.number++
	f.Payload = binary.BigEndian.AppendUint32(nil, g.number)
	g.send(f)
}

// packet sends one of sound.
func (g *guest) packet() {
	g.send(rtc.Frame{Kind: media.Audio, Key: true, Payload: []byte{0xfc}})
}

// publish sends sound and pictures for a while, 50 packets and 25 pictures a second.
func (g *guest) publish(d time.Duration, sound, pictures bool) {
	for n := range d / (20 * time.Millisecond) {
		if sound {
			g.packet()
		}
		if pictures && n%2 == 0 {
			g.picture()
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// both sends both for a while.
func (g *guest) both(d time.Duration) { g.publish(d, true, true) }

// leave ends the publication.
func (g *guest) leave() {
	g.stop()
	<-g.over
}

// size describes pictures of a width, a multiple of 16, by a sequence parameter set of
// Baseline (ITU-T H.264 §7.3.2.1.1); other tells apart those of one size.
func size(width, other int) *media.VideoParams {
	var bits []byte
	ue := func(n int) { // Exp-Golomb (§9.1)
		text := strconv.FormatInt(int64(n+1), 2)
		bits = append(bits, strings.Repeat("0", len(text)-1)+text...)
	}
	height := width * 9 / 16 / 16 * 16
	for _, n := range []int{0, 0, 2, 1} { // id, frame numbers, order of output, references
		ue(n)
	}
	bits = append(bits, '0')
	ue(width/16 - 1)
	ue(height/16 - 1)
	bits = append(bits, "11001"...) // frames, direct, not cropped, no usability information; the end
	for len(bits)%8 != 0 {
		bits = append(bits, '0')
	}
	sps := []byte{0x67, 66, 0xc0, byte(31 + other)}
	for ; len(bits) > 0; bits = bits[8:] {
		n, _ := strconv.ParseUint(string(bits[:8]), 2, 8)
		sps = append(sps, byte(n))
	}
	v, err := media.ParseH264(sps, []byte{0x68, 0xce, 0x3c, 0x80})
	if err != nil || v.Width != width {
		panic(fmt.Sprint("sequence parameter set: ", v, err))
	}
	return v
}

// fakeVoice makes a frame for each 1024 samples. Those of silence are empty.
type fakeVoice struct {
	out    func(media.Frame)
	dead   bool
	closed bool
	begun  bool
	next   media.Ticks // DTS of the next frame
	filled media.Ticks
}

func (v *fakeVoice) Write(_ []byte, at media.Ticks) {
	if !v.begun {
		v.begun, v.next, v.filled = true, at, at
	}
	v.fill(at, nil)
	v.fill(at+960, []byte{1})
}

func (v *fakeVoice) Silence(until media.Ticks) {
	if !v.begun {
		v.begun, v.next, v.filled = true, until, until
	}
	v.fill(until, nil)
}

func (v *fakeVoice) fill(until media.Ticks, payload []byte) {
	v.filled = max(v.filled, until)
	for v.next+1024 <= v.filled {
		v.make(payload)
	}
}

func (v *fakeVoice) make(payload []byte) {
	f := media.Frame{Kind: media.Audio, DTS: v.next, PTS: v.next, Duration: 1024, Key: true, Payload: payload}
	v.next += 1024
	if !v.dead {
		v.out(f)
	}
}

func (v *fakeVoice) Close() {
	if v.begun && v.next < v.filled {
		v.make([]byte{1})
	}
	v.closed = true
}

// fakeTake keeps what is recorded, and knows its objects as the recorder does.
type fakeTake struct {
	t       *testing.T
	target  media.Ticks
	bare    bool
	chunks  []*packager.Chunk
	blank   []bool
	objects []media.Ticks // how long they are
	losses  []recorder.Loss
	told    int // losses whose part has come
	ended   bool
	err     error
	// loose lets sound that was not offered at first begin within a frame's time.
	loose bool

	until  time.Time     // what is recorded
	atRisk time.Duration // the most that was not, ever
}

func (k *fakeTake) Write(c *packager.Chunk, all []recorder.Rendered) error {
	if k.err != nil {
		return k.err
	}
	if k.until.IsZero() {
		k.until = c.Time
	}
	if len(all) != 1 || k.bare != (all[0].Chunk == nil) {
		k.t.Errorf("%d renditions are recorded, bare %v", len(all), k.bare)
	}
	for ; k.told < len(k.losses); k.told++ {
		if at := k.losses[k.told].From.Sub(c.Time); at < -time.Microsecond || at >= c.Duration.Duration(media.VideoRate) { // ticks are rounded
			k.t.Errorf("a loss is told %v before its part", at)
		}
	}
	kept := c
	if all[0].Chunk != nil {
		kept = all[0].Chunk
	}
	k.chunks, k.blank = append(k.chunks, kept.Clone()), append(k.blank, all[0].Blank)
	open := k.Open()
	if k.objects == nil || c.Discontinuity || c.Segment && c.Independent && open >= k.target || open+c.Duration > 2*k.target {
		k.objects = append(k.objects, 0)
	}
	k.objects[len(k.objects)-1] += c.Duration
	k.atRisk = max(k.atRisk, time.Since(k.until))
	k.until = c.Time.Add(c.Duration.Duration(media.VideoRate))
	return nil
}

func (k *fakeTake) Lost(l recorder.Loss) { k.losses = append(k.losses, l) }

func (k *fakeTake) Open() media.Ticks {
	if k.bare || k.objects == nil {
		return 0
	}
	return k.objects[len(k.objects)-1]
}

func (k *fakeTake) End() { k.ended = true }

// recorded is what a take has, in words.
type recorded struct {
	length           time.Duration // of the media
	stretches        int
	pictures, copies int // the publisher's, and those in place of them
	black            int // pictures
	sound            time.Duration
	longest          time.Duration // picture
	away             time.Duration // was left out
}

// check holds what is recorded against what is true of every recording: both tracks
// from the first sample to the last, in step with the clock, and nothing that cannot be
// decoded. It returns what is recorded.
func (k *fakeTake) check() (r recorded) {
	t := k.t
	t.Helper()
	if !k.ended {
		t.Error("the take has not ended")
	}
	if len(k.chunks) == 0 {
		return r
	}
	first := k.chunks[0]
	date := first.Time // of the first, less what was left out since
	objects, away := 0, 0
	for _, c := range k.chunks {
		if off := c.Time.Sub(date) - (c.Start - first.Start).Duration(media.VideoRate); c.Discontinuity && off > time.Second {
			date = date.Add(off)
			r.away += off
			away++
		}
	}
	for i, o := range k.objects[:len(k.objects)-1] {
		if o < media.VideoRate {
			objects++
			if objects > away {
				t.Errorf("object %d is %v long", i, o.Duration(media.VideoRate))
			}
		}
	}
	date = first.Time
	at := first.Start
	var seen, heard media.Ticks // up to where
	var number uint32
	var begun media.Ticks
	for n, c := range k.chunks {
		if c.Start != at {
			t.Errorf("part %d begins at %d, %d behind the one before", n, c.Start, c.Start-at)
		}
		at = c.End()
		off := c.Time.Sub(date) - (c.Start - first.Start).Duration(media.VideoRate)
		left := c.Discontinuity && off > time.Second
		if left {
			date, off = date.Add(off), 0
		}
		if off.Abs() > time.Millisecond {
			t.Errorf("part %d is dated %v too late", n, off)
		}
		if c.Discontinuity || n == 0 {
			if n > 0 && c.Start-begun < media.VideoRate && !left {
				t.Errorf("a stretch is %v long", (c.Start - begun).Duration(media.VideoRate))
			}
			begun = c.Start
			r.stretches++
			if len(c.Video) > 0 && (!c.Video[0].Key || c.Video[0].DTS != c.Start) {
				t.Errorf("a stretch begins at %d without its key frame", c.Start)
			}
		} else if !c.Params.Equal(k.chunks[n-1].Params) {
			t.Errorf("part %d is of another kind, without a discontinuity", n)
		}
		for _, f := range c.Video {
			if seen != 0 && f.DTS != seen {
				t.Errorf("a picture at %d is %d behind the end of the one before", f.DTS, f.DTS-seen)
			}
			seen = f.DTS + f.Duration
			r.longest = max(r.longest, f.Duration.Duration(media.VideoRate))
			switch {
			case c.Params.Video == blackStill.params:
				r.black++
				if !k.blank[n] {
					t.Errorf("part %d is black, but not told to be", n)
				}
				continue
			case k.blank[n]:
				t.Errorf("part %d is told to be black", n)
			}
			of := binary.BigEndian.Uint32(f.Payload)
			if f.Key && of <= number {
				r.copies++
				number = of
				continue
			}
			if !f.Key && of != number+1 {
				t.Errorf("picture %d is behind picture %d: it cannot be decoded", of, number)
			}
			number = of
			r.pictures++
		}
		if c.Params.Audio == nil {
			continue
		}
		for _, f := range c.Audio {
			if gap := f.DTS - heard; heard != 0 && gap != 0 && !(k.loose && max(gap, -gap) < 1024) {
				t.Errorf("sound at %d is %d samples behind that before", f.DTS, f.DTS-heard)
			}
			if heard = f.DTS + f.Duration; f.Duration != 1024 && !k.loose {
				t.Errorf("sound at %d lasts %d samples", f.DTS, f.Duration)
			}
			if len(f.Payload) == 1 {
				r.sound += f.Duration.Duration(soundRate)
			}
		}
	}
	if first.Params.Video != nil && seen != at {
		t.Errorf("pictures end at %d, the media at %d", seen, at)
	}
	if off := heard.Rescale(soundRate, media.VideoRate) - at; first.Params.Audio != nil && (off < 0 || off > 2000) {
		t.Errorf("sound ends %d ticks behind the media", off)
	}
	r.length = (at - first.Start).Duration(media.VideoRate)
	return r
}

func (r recorded) String() string {
	return fmt.Sprintf("%v in %d, %d pictures + %d copies + %d black, %v of sound, %v left out", r.length, r.stretches, r.pictures, r.copies, r.black, r.sound, r.away)
}
