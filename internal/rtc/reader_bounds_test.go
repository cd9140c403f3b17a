package rtc

import (
	"testing"
	"time"
)

// begun is a stream of sound whose clock the reader has found.
func begun(t *testing.T, src *Source) (*reading, *stream) {
	t.Helper()
	r := read(t, src)
	stream := publish(t, src, Limits{}).stream(audio, 1)
	for range 2 {
		stream.write(stream.packet([]byte{0x08, 0xff}))
		stream.Timestamp += 48 * 500
		time.Sleep(500 * time.Millisecond)
	}
	r.got(0)
	return r, stream
}

// Who never gets a packet, as of a session that is never set up, takes no room for
// those that wait.
func TestReaderIsSmallUntilPacketsCome(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		r := src.Read()
		defer r.Close()
		publish(t, src, Limits{}).stream(audio, 1)
		r.read()
		room := 0
		for _, l := range r.lanes {
			room += cap(l.waiting)
		}
		if room > 0 {
			t.Errorf("there is room for %d packets", room)
		}
	})
}

// What waits behind a missing packet is bounded: beyond, that one is given up.
func TestReaderWaitingIsBounded(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		r, stream := begun(t, src)
		stream.SequenceNumber++
		stream.Timestamp += 960
		for range waitingAudio + 10 {
			stream.write(stream.packet([]byte{0x08, 1}))
			stream.Timestamp += 48
			time.Sleep(time.Millisecond)
		}
		got := r.got(0)
		if len(got) != waitingAudio+10 || got[0].Lost.Round(time.Millisecond) != 20*time.Millisecond || got[1].Lost != 0 {
			t.Fatalf("%d of %d frames, the first behind a loss of %v", len(got), waitingAudio+10, got[0].Lost)
		}
	})
}

// A reader that was not called for longer than the cache holds has lost what came
// meanwhile, and waits for none of it.
func TestReaderFallsBehind(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		stream := publish(t, src, Limits{}).stream(audio, 1)
		r := src.Read()
		defer r.Close()
		next := func() Frame {
			f, err := r.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		put := func(n int) {
			for range n {
				stream.write(stream.packet([]byte{0x80, 1})) // 2.5 ms
				stream.Timestamp += 120
				time.Sleep(2500 * time.Microsecond)
			}
		}
		put(cachePackets[audio] / 2)
		for range cachePackets[audio] / 2 {
			next()
		}
		put(cachePackets[audio] + 100)
		began := time.Now()
		if f := next(); f.Lost.Round(time.Millisecond) != 250*time.Millisecond {
			t.Errorf("lost %v of 250 ms", f.Lost)
		}
		for range cachePackets[audio] - 1 {
			if f := next(); f.Lost != 0 {
				t.Errorf("lost %v", f.Lost)
			}
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("waited for %v", waited)
		}
	})
}

// When a picture arrived is its own, whichever was repaired before.
func TestReaderArrivals(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		r := read(t, src)
		stream := publish(t, src, Limits{}).stream(video, 1)
		began := time.Now()
		stream.Timestamp += 3000
		stream.send(sps["640x360"], pps, idr)
		late := stream.packet(slice)
		late[1] |= 0x80
		stream.Timestamp += 3000
		stream.send(slice)
		time.Sleep(time.Second)
		stream.write(late)
		for i, f := range r.got(time.Second) {
			if want := []time.Duration{0, time.Second, 0}[i]; f.Arrived.Sub(began) != want {
				t.Errorf("picture %d arrived after %v, want %v", i, f.Arrived.Sub(began), want)
			}
		}
	})
}

// No time stamp is believed to be far from when it came: not a repaired packet's, and
// not a connection's first.
func TestReaderTimesAreBounded(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		r, stream := begun(t, src)
		stream.SequenceNumber++
		stream.write(stream.packet([]byte{0x08, 2}))
		stream.SequenceNumber -= 2
		stream.Timestamp += 1 << 30
		stream.write(stream.packet([]byte{0x08, 1}))
		other := publish(t, src, Limits{}).stream(audio, 2)
		other.write(other.packet([]byte{0x08, 3}))
		other.Timestamp += 1 << 30
		other.write(other.packet([]byte{0x08, 4}))
		got := r.got(time.Second)
		if len(got) != 3 {
			t.Fatalf("%d packets, want 3: one is not later than the one before", len(got))
		}
		for _, f := range got {
			if d := f.Time.Sub(f.Arrived); d.Abs() > maxDelay {
				t.Errorf("packet %x: %v from its arrival", f.Payload, d)
			}
		}
	})
}

// The parameter sets of one layer are not those of another.
func TestReaderForgetsParameterSets(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		r := read(t, src)
		pub := publish(t, src, Limits{})
		pub.stream(video, 1).send(sps["640x360"], pps, idr)
		stream := publish(t, src, Limits{}).stream(video, 2)
		stream.send(idr)
		stream.send(slice)
		stream.send(sps["1280x720"], pps, idr)
		got := r.got(time.Second)
		if len(got) != 2 || got[1].Video.Width != 1280 {
			t.Errorf("got %d pictures, want those with parameter sets", len(got))
		}
	})
}

// A picture is as large as can be, and has as many units; beyond it is none.
func TestAssemblyIsBounded(t *testing.T) {
	var a assembly
	a.renew()
	put := func(payload []byte) {
		if !a.begun {
			a.begin(1, &stretch{})
		}
		p := newPacket(payload)
		a.add(p)
	}
	put(sps["640x360"])
	for range maxPicture/10_000 + 1 {
		if !a.whole() {
			t.Fatalf("torn at %d bytes", len(a.buf))
		}
		put(append([]byte{0x41}, make([]byte, 10_000)...))
		if len(a.buf) > maxPicture {
			t.Fatalf("%d bytes", len(a.buf))
		}
	}
	if a.whole() {
		t.Error("a picture without end")
	}
	if a.end(); a.buf != nil {
		t.Error("the room of a large picture is kept")
	}
	a.suspect = false
	for range maxUnits + 2 {
		put(slice)
	}
	if a.whole() {
		t.Error("units without end")
	}
	a.end()
	a.suspect = false
	put(append([]byte{0x67}, make([]byte, maxSet)...))
	if string(a.sps) != string(sps["640x360"]) {
		t.Errorf("a parameter set of %d bytes", len(a.sps))
	}
}
