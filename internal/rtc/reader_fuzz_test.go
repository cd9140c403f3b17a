package rtc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"anabranch/internal/media"
)

// FuzzReader feeds a reader whatever packets and reports in whatever order. An
// instruction is four bytes: what to do, a step of the number, a step of the time
// stamp, and how many of the bytes behind it are the payload.
func FuzzReader(f *testing.F) {
	whole := join([]byte{0, 1, 0, byte(len(sps["640x360"]))}, sps["640x360"], []byte{0, 1, 0, byte(len(pps))}, pps, []byte{1, 1, 30, 5}, idr)
	f.Add(whole)
	f.Add(join(whole, []byte{1, 3, 30, 5}, slice, []byte{7, 0, 0, 0}, whole))
	f.Add(join(whole, []byte{0, 1, 30, 6}, fuA(slice, 0x80, 0, 4), []byte{1, 1, 0, 6}, fuA(slice, 0x40, 0, 4)))
	f.Add(join([]byte{2, 1, 20, 2, 0x08, 1, 2, 255, 20, 2, 0x08, 2, 2, 5, 20, 2, 0x08, 3, 3, 9, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0}, whole))
	f.Add(bytes.Repeat([]byte{6, 200, 200, 1, 0x41}, 40))
	f.Fuzz(func(t *testing.T, in []byte) {
		src := NewSource()
		defer src.Close()
		r := src.Read()
		defer r.Close()
		pub := src.connect(Limits{}, [kinds]bool{true, true}, func([]rtcp.Packet) error { return nil }, nil)
		var layers [kinds]*layer
		var headers [kinds]rtp.Header
		connect := func() {
			for k := range kinds {
				layers[k] = pub.attach(inbound{kind: k, ssrc: uint32(k)})
				headers[k] = rtp.Header{Version: 2, SSRC: uint32(k), Timestamp: uint32(len(in)) << 20}
			}
		}
		connect()
		now := time.Now
		var last [2]Frame
		check := func(later time.Duration) {
			for _, l := range r.lanes {
				for again := time.Duration(0); again == 0; {
					again, _ = l.read(now().Add(later), now().Add(later))
				}
			}
			for _, f := range r.frames {
				if before := last[f.Kind]; before.Connection > f.Connection || before.Connection == f.Connection && !f.Time.After(before.Time) {
					t.Fatalf("%v: %v of connection %d after %v of %d", f.Kind, f.Time, f.Connection, before.Time, before.Connection)
				}
				if d := f.Time.Sub(f.Arrived); d.Abs() > maxDelay+time.Second || f.Lost < 0 {
					t.Fatalf("%v: %v from its arrival, lost %v", f.Kind, d, f.Lost)
				}
				last[f.Kind] = f
				if f.Kind == media.Audio {
					if media.OpusDuration(f.Payload) == 0 || !f.Key {
						t.Fatalf("a packet of sound is none: %x", f.Payload)
					}
					continue
				}
				sets, pictures, all := 0, 0, units(t, f.Payload)
				for i, nalu := range all {
					switch nalu[0] & 0x1f {
					case 7, 8:
						if sets++; i > 1 {
							t.Fatalf("a parameter set is unit %d", i)
						}
					case 1, 5:
						pictures++
					}
				}
				if pictures == 0 || f.Key != (sets == 2) || f.Video == nil || len(f.Payload) > maxPicture+2*maxSet+8 {
					t.Fatalf("a picture of %d bytes, key %v: %d parameter sets, %d slices", len(f.Payload), f.Key, sets, pictures)
				}
			}
			r.frames = r.frames[:0]
		}
		for n := 0; len(in) >= 4 && n < 2000; n++ {
			do, number, stamp, size := in[0]%8, int8(in[1]), int8(in[2]), min(int(in[3]), len(in)-4)
			payload := in[4 : 4+size]
			in = in[4+size:]
			k := video
			if do == 2 || do == 3 {
				k = audio
			}
			h := &headers[k]
			switch do {
			case 3, 4: // a report
				layers[k].senderReport(&rtcp.SenderReport{NTPTime: uint64(number) << 56, RTPTime: h.Timestamp + uint32(stamp)<<16})
				continue
			case 5: // another connection, or layer
				if number < 0 {
					pub.close()
				}
				if stamp >= 0 {
					pub = src.connect(Limits{}, [kinds]bool{true, true}, func([]rtcp.Packet) error { return nil }, nil)
				}
				connect()
				continue
			case 6: // far away
				h.SequenceNumber += uint16(number) << 7
				h.Timestamp += uint32(stamp) << 24
			case 7: // what is missing is given up
				check(2 * Patience)
				continue
			}
			h.SequenceNumber += uint16(number)
			h.Timestamp += uint32(int32(stamp)) * 100
			h.Marker = do&1 == 1
			b, err := (&rtp.Packet{Header: *h, Payload: payload}).Marshal()
			if err != nil {
				t.Fatal(err)
			}
			layers[k].write(b)
			if n%3 == 0 {
				check(0)
			}
		}
		src.Close()
		check(0)
		if _, err := r.Next(context.Background()); !errors.Is(err, io.EOF) {
			t.Fatalf("got %v at the end", err)
		}
	})
}

// What another's packetizer (RFC 6184) took apart is put together again, byte by byte,
// however long the units are, and whatever order the packets come in.
func FuzzReaderPackets(f *testing.F) {
	f.Add(uint64(1), 3, 4000, 1200)
	f.Add(uint64(2), 1, 1, 100)
	f.Add(uint64(3), 8, 100000, 1200)
	f.Fuzz(func(t *testing.T, seed uint64, count, longest, mtu int) {
		if count < 1 || count > 20 || longest < 1 || longest > 150_000 || mtu < 50 || mtu > 1400 {
			t.Skip()
		}
		random := rand.New(rand.NewPCG(seed, 2))
		src := NewSource()
		defer src.Close()
		r := src.Read()
		defer r.Close()
		layer := src.connect(Limits{}, [kinds]bool{video: true}, func([]rtcp.Packet) error { return nil }, nil).attach(inbound{kind: video})
		var want, packets [][]byte
		h := rtp.Header{Version: 2, SequenceNumber: uint16(seed)}
		payloader := &codecs.H264Payloader{}
		for picture := range 3 {
			all := [][]byte{sps["640x360"], pps}
			kind := byte(0x65)
			if picture > 0 {
				all, kind = nil, 0x41
			}
			for range count {
				nalu := make([]byte, 1+random.IntN(longest))
				for i := range nalu {
					nalu[i] = byte(1 + random.UintN(255)) // no start codes
				}
				nalu[0] = kind
				all = append(all, nalu)
			}
			var stream, payload []byte
			for _, nalu := range all {
				stream = append(append(stream, 0, 0, 0, 1), nalu...)
				payload = append(binary.BigEndian.AppendUint32(payload, uint32(len(nalu))), nalu...)
			}
			want = append(want, payload)
			payloads := payloader.Payload(uint16(mtu), stream)
			for i, p := range payloads {
				h.Marker = i == len(payloads)-1
				b, err := (&rtp.Packet{Header: h, Payload: p}).Marshal()
				if err != nil {
					t.Fatal(err)
				}
				packets = append(packets, b)
				h.SequenceNumber++
			}
			h.Timestamp += 3000
		}
		if len(packets) > cachePackets[video]/2 {
			t.Skip()
		}
		random.Shuffle(len(packets)-1, func(i, j int) { // the first is where it begins
			if i/50 == j/50 {
				packets[i+1], packets[j+1] = packets[j+1], packets[i+1]
			}
		})
		var got [][]byte
		for i, b := range packets {
			layer.write(b)
			if i%20 == 0 || i == len(packets)-1 {
				for again := time.Duration(0); again == 0; {
					again, _ = r.lanes[video].read(time.Now().Add(firstLook), time.Now())
				}
			}
		}
		for _, f := range r.frames {
			got = append(got, f.Payload)
		}
		sameBytes(t, got, want)
	})
}
