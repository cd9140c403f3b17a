package rtc

import (
	"context"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"anabranch/internal/media"
)

// What a client publishes is read, and what it negotiated is known.
func TestReaderOfSession(t *testing.T) {
	e, src := listen(t, nil), newSource(t)
	pub := dial(t, nil)
	pictures, sound := pub.sends(webrtc.MimeTypeH264), pub.sends(webrtc.MimeTypeOpus)
	in, answer, err := e.Publish(t.Context(), pub.offer(), src, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	pub.answer(answer)
	wait(t, "publisher connected", in.Connected())
	if sound, pictures := src.Negotiated(); !sound || !pictures {
		t.Errorf("negotiated sound %v, pictures %v", sound, pictures)
	}
	r := src.Read()
	defer r.Close()
	done := make(chan struct{})
	var feeding sync.WaitGroup
	defer feeding.Wait()
	defer close(done)
	feeding.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		var v, a uint16
		for n := uint32(0); ; n++ {
			for i, payload := range [][]byte{sps["1280x720"], pps, idr} {
				_ = pictures.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: v, Timestamp: n * 900, Marker: i == 2}, Payload: payload})
				v++
			}
			_ = sound.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: a, Timestamp: n * 480}, Payload: []byte{0, 1, 2}})
			a++
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for seen := map[media.Kind]int{}; seen[media.Audio] < 5 || seen[media.Video] < 5; {
		f, err := r.Next(ctx)
		if err != nil {
			t.Fatalf("read %v: %v", seen, err)
		}
		if seen[f.Kind]++; f.Connection != 1 || f.Kind == media.Video && f.Video.Width != 1280 {
			t.Fatalf("read %+v", f)
		}
	}
}

// Publishers, subscribers and readers come and go at once.
func TestReaderRace(t *testing.T) {
	src := NewSource()
	var all sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	for id := range 2 {
		all.Go(func() {
			for ctx.Err() == nil {
				pub := publish(t, src, Limits{})
				streams := []*stream{pub.stream(video, uint32(2*id)), pub.stream(audio, uint32(2*id+1))}
				for n := range 200 {
					payload := [][]byte{sps["640x360"], pps, idr, slice, slice, slice}[n%6]
					for k, s := range streams {
						if k == 1 {
							payload = []byte{0x08}
						}
						s.Marker = n%6 > 1
						s.write(s.packet(payload))
						s.Timestamp += uint32(n % 6 / 2 * 480)
						s.SequenceNumber += uint16(n % 50 / 49)
						s.senderReport(&rtcp.SenderReport{NTPTime: ntpTicks(time.Duration(n) * time.Second), RTPTime: s.Timestamp})
					}
					time.Sleep(100 * time.Microsecond)
				}
				pub.close()
			}
		})
	}
	for range 3 {
		all.Go(func() {
			for ctx.Err() == nil {
				r := src.Read()
				short, stop := context.WithTimeout(ctx, 30*time.Millisecond)
				for {
					if _, err := r.Next(short); err != nil {
						break
					}
					r.WantKeyFrame()
				}
				stop()
				r.Close()
			}
		})
	}
	for range 2 {
		all.Go(func() {
			out := plain
			out.write = func(_ *rtp.Header, payload []byte) (int, error) { return len(payload), nil }
			out.writeRTCP = func([]rtcp.Packet) (int, error) { return 0, nil }
			sn := src.subscribe(out)
			<-ctx.Done()
			sn.close()
		})
	}
	all.Wait()
	src.Close()
}

// What a packet costs a reader, and the publisher that has one.
func BenchmarkReader(b *testing.B) {
	src := NewSource()
	defer src.Close()
	layer := src.connect(Limits{}, [kinds]bool{video: true}, func([]rtcp.Packet) error { return nil }, nil).attach(inbound{kind: video})
	r := src.Read()
	defer r.Close()
	payload := make([]byte, 1100)
	payload[0] = 0x41
	write := func(h rtp.Header, payload []byte) {
		packet, err := (&rtp.Packet{Header: h, Payload: payload}).Marshal()
		if err != nil {
			b.Fatal(err)
		}
		layer.write(packet)
	}
	h := rtp.Header{Version: 2}
	for _, first := range [][]byte{sps["1280x720"], pps, idr} {
		write(h, first)
		h.SequenceNumber++
	}
	packet, err := (&rtp.Packet{Header: h, Payload: payload}).Marshal()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	began, spent, frames := time.Now(), time.Duration(0), 0
	for n := 0; b.Loop(); n++ {
		binary.BigEndian.PutUint16(packet[2:], h.SequenceNumber)
		h.SequenceNumber++
		binary.BigEndian.PutUint32(packet[4:], h.Timestamp+3000)
		packet[1] &^= 0x80
		if n%8 == 7 { // packets of a picture
			packet[1] |= 0x80
			h.Timestamp += 3000
		}
		layer.write(packet)
		if n%8 == 7 {
			at := time.Now()
			_, _ = r.lanes[video].read(at.Add(firstLook), at)
			frames += len(r.frames)
			r.frames = r.frames[:0]
			spent += time.Since(at)
		}
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "ns/packet·reader")
	b.ReportMetric(float64(frames)/time.Since(began).Seconds(), "pictures/s")
}
