package rtc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"

	"anabranch/internal/media"
)

// reading collects what a reader reads.
type reading struct {
	*Reader

	mu     sync.Mutex
	frames []given
	ended  error
}

// given is a frame and when the reader gave it out.
type given struct {
	Frame
	at time.Time
}

func read(t *testing.T, src *Source) *reading {
	t.Helper()
	r := &reading{Reader: src.Read()}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			f, err := r.Next(ctx)
			r.mu.Lock()
			if r.ended = err; err == nil {
				r.frames = append(r.frames, given{f, time.Now()})
			}
			r.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		r.Close()
	})
	return r
}

// got is what was read since the last time, after d.
func (r *reading) got(d time.Duration) []given {
	time.Sleep(d)
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	frames := r.frames
	r.frames = nil
	return frames
}

// units are the NAL units of a payload.
func units(t *testing.T, payload []byte) (all [][]byte) {
	t.Helper()
	for len(payload) > 0 {
		if len(payload) < 4 || int(binary.BigEndian.Uint32(payload)) > len(payload)-4 || binary.BigEndian.Uint32(payload) == 0 {
			t.Fatalf("no lengths before NAL units: %x", payload)
		}
		n := 4 + binary.BigEndian.Uint32(payload)
		all = append(all, payload[4:n])
		payload = payload[n:]
	}
	return all
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// stapA aggregates NAL units (RFC 6184 §5.7.1).
func stapA(nalus ...[]byte) []byte {
	b := []byte{naluSTAPA | 0x60}
	for _, nalu := range nalus {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(nalu))), nalu...)
	}
	return b
}

// fuA is a fragment of a NAL unit (RFC 6184 §5.8); flags are 0x80 for its start, 0x40
// for its end.
func fuA(nalu []byte, flags byte, from, to int) []byte {
	return append([]byte{nalu[0]&0xe0 | naluFUA, flags | nalu[0]&0x1f}, nalu[1+from:1+to]...)
}

func TestReaderPictures(t *testing.T) {
	small, large := sps["640x360"], sps["1280x720"]
	aud, filler, badSPS := []byte{9, 0xf0}, []byte{12, 0xff, 0x80}, sps["torn"]
	idr2, slice2 := []byte{0x65, 0x40, 7, 8}, []byte{0x41, 0x40, 9}
	begin := [][]byte{small, pps, idr}
	first := [][]byte{small, pps, idr}
	tests := map[string]struct {
		in   [][][]byte // pictures of packets
		want [][][]byte // pictures of NAL units
	}{
		"single units":                    {[][][]byte{begin, {slice}}, [][][]byte{first, {slice}}},
		"aggregated":                      {[][][]byte{{stapA(small, pps, idr)}, {stapA(sei, slice)}}, [][][]byte{first, {sei, slice}}},
		"in fragments":                    {[][][]byte{{stapA(small, pps), fuA(idr, 0x80, 0, 1), fuA(idr, 0, 1, 3), fuA(idr, 0x40, 3, 4)}}, [][][]byte{first}},
		"several slices":                  {[][][]byte{{small, pps, idr, idr2}, {slice, slice2}}, [][][]byte{{small, pps, idr, idr2}, {slice, slice2}}},
		"delimiters and filler":           {[][][]byte{{aud, small, pps, sei, idr, filler}, {aud, slice, filler}}, [][][]byte{{small, pps, sei, idr}, {slice}}},
		"parameter sets by themselves":    {[][][]byte{{small}, {pps}, {idr}, {slice}}, [][][]byte{first, {slice}}},
		"parameter sets once":             {[][][]byte{begin, {slice}, {idr}}, [][][]byte{first, {slice}, first}},
		"behind the first slice":          {[][][]byte{{small, pps, idr, pps, idr2}}, [][][]byte{{small, pps, idr, idr2}}},
		"other parameter sets":            {[][][]byte{begin, {stapA(large, pps), slice}, {idr}}, [][][]byte{first, {slice}, {large, pps, idr}}},
		"before the key frame":            {[][][]byte{{slice}, {slice2}, begin, {slice}}, [][][]byte{first, {slice}}},
		"no parameter sets":               {[][][]byte{{idr}, {idr}, {slice}, begin}, [][][]byte{first}},
		"no picture parameter set":        {[][][]byte{{small, idr}, {slice}, begin}, [][][]byte{first}},
		"parameter sets that are none":    {[][][]byte{{badSPS, pps, idr}, {slice}, begin, {badSPS, idr}, {slice}, begin}, [][][]byte{first, first}},
		"no start of fragments":           {[][][]byte{begin, {fuA(slice, 0, 0, 2), fuA(slice, 0x40, 2, 4)}, {slice}, begin}, [][][]byte{first, first}},
		"no end of fragments":             {[][][]byte{begin, {fuA(slice, 0x80, 0, 2)}, {slice}, begin}, [][][]byte{first, first}},
		"a start within fragments":        {[][][]byte{begin, {fuA(slice, 0x80, 0, 2), fuA(slice, 0x80, 0, 2), fuA(slice, 0x40, 2, 4)}, {slice}, begin}, [][][]byte{first, first}},
		"a unit within fragments":         {[][][]byte{begin, {fuA(slice, 0x80, 0, 2), slice, fuA(slice, 0x40, 2, 4)}, {slice}, begin}, [][][]byte{first, first}},
		"a unit in place of the end":      {[][][]byte{begin, {fuA(slice, 0x80, 0, 2), slice}, {slice}, begin}, [][][]byte{first, first}},
		"a fragment of nothing":           {[][][]byte{begin, {{naluFUA, 0x81}}, {slice}, begin}, [][][]byte{first, first}},
		"an aggregate that is torn":       {[][][]byte{begin, {stapA(slice, slice)[:12]}, {slice}, begin}, [][][]byte{first, first}},
		"an aggregate with an empty unit": {[][][]byte{begin, {stapA(slice, nil)}, {slice}, begin}, [][][]byte{first, first}},
		"kinds that there are not":        {[][][]byte{begin, {{25, 1, 2}, {0, 1}, {30, 1}, {31, 4}, slice}}, [][][]byte{first, {slice}}},
		"nothing but other things":        {[][][]byte{begin, {sei}, {aud}, {slice}}, [][][]byte{first, {slice}}},
		"the header alone":                {[][][]byte{begin, {{0x41}}, {slice}}, [][][]byte{first, {{0x41}}, {slice}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rig(t, func(t *testing.T, src *Source) {
				r := read(t, src)
				stream := publish(t, src, Limits{}).stream(video, 1)
				for _, picture := range tt.in {
					stream.send(picture...)
					time.Sleep(time.Second / 30)
				}
				var got [][][]byte
				var params []*media.VideoParams
				for _, f := range r.got(time.Second) {
					got = append(got, units(t, f.Payload))
					params = append(params, f.Video)
					if isIDR := slices.ContainsFunc(units(t, f.Payload), func(b []byte) bool { return b[0]&0x1f == 5 }); f.Kind != media.Video || f.Key != isIDR {
						t.Errorf("%v frame, key %v: %x", f.Kind, f.Key, f.Payload)
					}
				}
				if !slices.EqualFunc(got, tt.want, func(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }) {
					t.Errorf("got %x, want %x", got, tt.want)
				}
				for i := range params {
					if i > 0 && (params[i] == params[i-1]) != params[i].Equal(params[i-1]) {
						t.Errorf("parameters %d: another pointer", i)
					}
				}
			})
		})
	}
}

// A picture ends with its marker or where another time stamp begins. One that is shown
// no later than the one before is left out.
func TestReaderTimeStamps(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		r := read(t, src)
		stream := publish(t, src, Limits{}).stream(video, 1)
		put := func(stamp uint32, payloads ...[]byte) {
			stream.Marker, stream.Timestamp = false, stamp
			for _, payload := range payloads {
				stream.write(stream.packet(payload))
			}
		}
		at := uint32(0xffffff00)
		put(at, sps["640x360"], pps, idr)
		put(at+3000, slice)                         // over the wrap
		put(at+9000, []byte{0x41, 1})               // shown after
		put(at+6000, []byte{0x41, 2}, []byte{1, 3}) // this one
		put(at+12000, slice, slice)
		stream.Timestamp = at + 15000
		stream.send(slice)
		var got [][]byte
		frames := r.got(time.Second)
		for _, f := range frames {
			got = append(got, f.Payload[len(f.Payload)-2:])
			if passed := f.Time.Sub(frames[0].Time); len(got) == 2 && passed != time.Second/30-1 && passed != time.Second/30 {
				t.Errorf("the second picture is %v behind the first", passed)
			}
		}
		sameBytes(t, got, [][]byte{{2, 3}, {5, 6}, {0x41, 1}, {5, 6}, {5, 6}})
	})
}

// Packets come out in their order as soon as it is known; one that is missing is
// awaited until Patience after the one behind it came.
func TestReaderOrder(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	type packet struct {
		number int
		at     time.Duration
		gap    time.Duration // of what was sent: the silence before it; of what was read: what is lost
	}
	tests := map[string]struct{ in, want []packet }{
		"in order":   {[]packet{{0, 0, 0}, {1, 20 * ms, 0}, {2, 40 * ms, 0}}, []packet{{0, 0, 0}, {1, 20 * ms, 0}, {2, 40 * ms, 0}}},
		"late":       {[]packet{{0, 0, 0}, {2, 40 * ms, 0}, {1, 50 * ms, 0}}, []packet{{0, 0, 0}, {1, 50 * ms, 0}, {2, 50 * ms, 0}}},
		"twice":      {[]packet{{0, 0, 0}, {1, 20 * ms, 0}, {1, 30 * ms, 0}, {0, 35 * ms, 0}, {2, 40 * ms, 0}}, []packet{{0, 0, 0}, {1, 20 * ms, 0}, {2, 40 * ms, 0}}},
		"very late":  {[]packet{{0, 0, 0}, {2, 40 * ms, 0}, {1, 3039 * ms, 0}}, []packet{{0, 0, 0}, {1, 3039 * ms, 0}, {2, 3039 * ms, 0}}},
		"too late":   {[]packet{{0, 0, 0}, {2, 40 * ms, 0}, {1, 3041 * ms, 0}}, []packet{{0, 0, 0}, {2, 3040 * ms, 20 * ms}}},
		"two lost":   {[]packet{{0, 0, 0}, {3, 60 * ms, 0}, {4, 80 * ms, 0}}, []packet{{0, 0, 0}, {3, 3060 * ms, 40 * ms}, {4, 3060 * ms, 0}}},
		"one of two": {[]packet{{0, 0, 0}, {3, 60 * ms, 0}, {2, 1 * s, 0}}, []packet{{0, 0, 0}, {2, 3060 * ms, 20 * ms}, {3, 3060 * ms, 0}}},
		"here and there": {
			[]packet{{0, 0, 0}, {2, 40 * ms, 0}, {4, 80 * ms, 0}, {5, 100 * ms, 0}},
			[]packet{{0, 0, 0}, {2, 3040 * ms, 20 * ms}, {4, 3080 * ms, 20 * ms}, {5, 3080 * ms, 0}},
		},
		"silence that is not sent": {[]packet{{0, 0, 0}, {1, 400 * ms, 380 * ms}, {2, 900 * ms, 860 * ms}}, []packet{{0, 0, 0}, {1, 400 * ms, 0}, {2, 900 * ms, 0}}},
		"lost in such silence":     {[]packet{{0, 0, 0}, {2, 400 * ms, 360 * ms}}, []packet{{0, 0, 0}, {2, 3400 * ms, 20 * ms}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rig(t, func(t *testing.T, src *Source) {
				r := read(t, src)
				stream := publish(t, src, Limits{}).stream(audio, 1)
				for range 5 { // the clock is found
					stream.write(stream.packet([]byte{0x08, 0xff}))
					stream.Timestamp += 48 * 200
					time.Sleep(200 * ms)
				}
				r.got(0)
				began, number, stamp := time.Now(), stream.SequenceNumber, stream.Timestamp
				for _, p := range tt.in {
					time.Sleep(p.at - time.Since(began))
					stream.SequenceNumber, stream.Timestamp = number+uint16(p.number), stamp+uint32(p.number)*960+ticks(p.gap, audio)
					stream.write(stream.packet([]byte{0x08, byte(p.number)}))
				}
				var got []packet
				for _, f := range r.got(5 * s) {
					got = append(got, packet{int(f.Payload[1]), f.at.Sub(began), f.Lost.Round(ms)})
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("got %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// After a loss pictures go on with a key frame, for which the publisher is asked. How
// long they were missing is told.
func TestReaderLoss(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		r := read(t, src)
		pub := publish(t, src, Limits{})
		stream := pub.stream(video, 1)
		key := [][]byte{sps["640x360"], pps, idr}
		picture := func(payloads ...[]byte) {
			stream.send(payloads...)
			time.Sleep(time.Second / 30)
		}
		picture(key...)
		for range 59 {
			picture(slice)
		}
		before := r.got(0)
		if len(before) != 60 || len(pub.asks()) != 0 {
			t.Fatalf("%d frames, asked %v", len(before), pub.asks())
		}
		stream.SequenceNumber++ // a part of this one
		for range 120 {
			picture(slice)
			if len(pub.asks()) > 0 {
				break
			}
		}
		if got, asks := r.got(0), pub.asks(); len(got) != 0 || len(asks) != 1 || asks[0].at.Sub(before[59].Arrived).Round(100*time.Millisecond) != Patience {
			t.Fatalf("%d frames after a loss, asked %v", len(got), asks)
		}
		picture(slice, slice)
		picture(key...)
		got := r.got(0)
		if len(got) != 1 || !got[0].Key {
			t.Fatalf("got %v, want the key frame", got)
		}
		if missing := got[0].Time.Sub(before[59].Time) - time.Second/30; (got[0].Lost - missing).Abs() > time.Millisecond {
			t.Errorf("lost %v, missing are %v", got[0].Lost, missing)
		}

		// Of a key frame the first packet is lost, and the parameter sets with it.
		stream.SequenceNumber++
		picture(idr)
		picture(slice)
		picture(key...)
		picture(slice)
		asked := len(pub.asks())
		got = r.got(Patience)
		if len(got) != 2 || !got[0].Key || got[0].Lost == 0 || got[1].Lost != 0 {
			t.Errorf("got %v, want what begins with the key frame that is whole", got)
		}
		if asks := pub.asks(); len(asks) != asked {
			t.Errorf("asked %v when a key frame was there already", asks)
		}
	})
}

// Who begins where no key frame is kept any more has the publisher asked for one, as
// has who wants one.
func TestReaderWantsKeyFrame(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		pub := publish(t, src, Limits{})
		stream := pub.stream(video, 1)
		stream.send(sps["640x360"], pps, idr)
		time.Sleep(time.Second)
		for range cachePackets[video] {
			stream.send(slice)
		}
		asked := len(pub.asks())
		r := read(t, src)
		r.got(firstLook)
		if asks := pub.asks()[asked:]; len(asks) == 0 {
			t.Fatal("not asked for a first key frame")
		}
		stream.send(sps["640x360"], pps, idr)
		if got := r.got(time.Second); len(got) != 1 {
			t.Fatalf("got %v", got)
		}
		asked = len(pub.asks())
		for range 10 {
			r.WantKeyFrame()
			time.Sleep(100 * time.Millisecond)
		}
		if asks := pub.asks()[asked:]; len(asks) < 2 || len(asks) > 3 {
			t.Errorf("asked %v in a second", asks)
		}
	})
}

// Every connection of the publisher has its number and its own clock. What the one
// before sends is not read any more.
func TestReaderConnections(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		first := publish(t, src, Limits{})
		old := first.stream(audio, 1)
		old.send([]byte{0x08, 1})
		second := publish(t, src, Limits{})
		r := read(t, src)
		stream := second.stream(audio, 2)
		stream.Timestamp = 1 << 31
		for n := range 30 {
			stream.send([]byte{0x08, byte(n)})
			stream.Timestamp -= 3000 - 960
			time.Sleep(20 * time.Millisecond)
		}
		got := r.got(0)
		if len(got) != 30 || got[0].Connection != 2 {
			t.Fatalf("got %d frames: %v", len(got), got)
		}
		for i, f := range got[1:] {
			if step := f.Time.Sub(got[i].Time); step < 19*time.Millisecond || step > 21*time.Millisecond || f.Lost != 0 {
				t.Errorf("frame %d: %v behind the one before, lost %v", i+1, step, f.Lost)
			}
		}
		second.close()
		old.send([]byte{0x08, 2})
		third := publish(t, src, Limits{})
		next := third.stream(audio, 3)
		next.send([]byte{0x08, 3})
		got = r.got(time.Second)
		if len(got) != 1 || got[0].Connection != 3 || got[0].Lost != 0 {
			t.Errorf("got %v, want what the third connection sent", got)
		}
	})
}

// A layer's own reports tell its times at once where it takes its turn, however far its
// time stamps and its network are from the other's.
func TestReaderLayers(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		r := read(t, src)
		pub := publish(t, src, Limits{})
		low, high := pub.stream(video, 1), pub.stream(video, 2)
		low.Timestamp, high.Timestamp = 77, 1<<31
		lag := 100 * time.Millisecond // of the large layer
		began := time.Now()
		var lagging []func()
		for i := range 200 {
			captured := time.Since(began)
			low.send(sps["320x180"], pps, stampedIDR(captured))
			if i%30 == 20 {
				ntp := ntpTicks(captured + time.Hour)
				low.senderReport(&rtcp.SenderReport{NTPTime: ntp, RTPTime: low.Timestamp - 3000})
				high.senderReport(&rtcp.SenderReport{NTPTime: ntp, RTPTime: high.Timestamp})
			}
			if n := i / 40; n%2 == 1 {
				stamp, number := high.Timestamp, high.SequenceNumber
				high.SequenceNumber += 3
				lagging = append(lagging, func() {
					h := *high
					h.Timestamp, h.SequenceNumber = stamp, number
					h.send(sps["1280x720"], pps, stampedIDR(captured))
				})
			}
			high.Timestamp += 3000
			time.Sleep(time.Second / 30)
			if len(lagging) > 0 && (len(lagging) > int(lag*30/time.Second) || i/40%2 == 0) {
				lagging[0]()
				lagging = lagging[1:]
			}
		}
		sizes, last, since := map[int]int{}, 0, 0
		for _, f := range r.got(time.Second) {
			if since++; f.Video.Width != last {
				last, since = f.Video.Width, 0
			}
			captured := time.Duration(binary.BigEndian.Uint64(f.Payload[len(f.Payload)-8:]) &^ (1 << 63))
			sizes[f.Video.Width]++
			// What the large layer shows first was captured before what the small one showed last.
			if off := f.Time.Sub(began) - captured; off.Abs() > 5*time.Millisecond && since > 3 {
				t.Errorf("picture %v of width %d is off by %v", captured, f.Video.Width, off)
			}
		}
		if sizes[320] < 50 || sizes[1280] < 50 {
			t.Errorf("pictures by width: %v", sizes)
		}
	})
}

func stampedIDR(captured time.Duration) []byte {
	return binary.BigEndian.AppendUint64([]byte{0x65, 0x88}, uint64(captured)|1<<63)
}

// The end of a connection leaves nothing to wait for.
func TestReaderEnds(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		r, closed := read(t, src), read(t, src)
		pub := publish(t, src, Limits{})
		stream := pub.stream(audio, 1)
		stream.send([]byte{0x08, 1})
		stream.SequenceNumber++
		stream.send([]byte{0x08, 3})
		closed.Close()
		closed.Close()
		synctest.Wait()
		if len(closed.got(0)) != 0 || !errors.Is(closed.ended, io.EOF) {
			t.Errorf("a closed reader: %v", closed.ended)
		}
		if got := r.got(0); len(got) != 0 {
			t.Fatalf("got %v before the clock is found", got)
		}
		pub.close()
		if got := r.got(0); len(got) != 2 || got[1].Payload[1] != 3 {
			t.Fatalf("got %v at the connection's end", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		empty := NewSource()
		other := empty.Read()
		defer other.Close()
		if _, err := other.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v after a second", err)
		}
		empty.Close()
		if _, err := other.Next(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("got %v of a source that is closed", err)
		}
		stream = publish(t, src, Limits{}).stream(audio, 2)
		stream.send([]byte{0x08, 4})
		src.Close()
		if got := r.got(0); len(got) != 1 || !errors.Is(r.ended, io.EOF) {
			t.Errorf("got %v and %v at the source's end", got, r.ended)
		}
		r.Close()
		if n := src.readers.Load(); n != 0 {
			t.Errorf("%d readers", n)
		}
	})
}

func TestNegotiated(t *testing.T) {
	src := NewSource()
	defer src.Close()
	if sound, pictures := src.Negotiated(); sound || pictures {
		t.Error("negotiated before there is a connection")
	}
	src.connect(Limits{}, [kinds]bool{audio: true}, nil, nil)
	if sound, pictures := src.Negotiated(); !sound || pictures {
		t.Errorf("sound %v, pictures %v; want sound alone", sound, pictures)
	}
}
