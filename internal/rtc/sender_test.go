package rtc

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// Who joins begins with a key frame: the last one, with all since, when that is
// little; else the next one, for which the publisher is asked.
func TestJoin(t *testing.T) {
	tests := map[string]struct {
		since int // packets since the last key frame
		asks  bool
	}{
		"at a key frame":       {0, false},
		"soon after":           {50, false},
		"long after":           {pumpBacklog, true},
		"it is cached no more": {2 * cachePackets[video], true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rig(t, func(t *testing.T, src *Source) {
				pub := publish(t, src, Limits{})
				stream := pub.stream(video, 1)
				stream.send(sps["320x180"], idr)
				stream.send(slice)
				stream.send(sps["1280x720"], idr)
				for range tt.since {
					stream.send(slice)
				}
				asked := len(pub.asks())
				sub := subscribe(src, plain)
				time.Sleep(keyFrameInterval)
				got := payloads(t, sub.got())
				if asks := len(pub.asks()) > asked; asks != tt.asks {
					t.Errorf("asked for a key frame: %v, want %v", asks, tt.asks)
				}
				if tt.asks {
					if len(got) != 0 {
						t.Errorf("got %d packets before a key frame", len(got))
					}
					stream.send(slice)
					stream.send(sps["640x360"], idr)
					sameBytes(t, payloads(t, sub.got()), [][]byte{sps["640x360"], idr})
					return
				}
				if len(got) != 2+tt.since {
					t.Fatalf("got %d packets at once, want %d", len(got), 2+tt.since)
				}
				sameBytes(t, got[:2], [][]byte{sps["1280x720"], idr})
				stream.send(slice)
				if got := sub.got(); len(got) != 1 {
					t.Errorf("got %d packets, want 1", len(got))
				}
			})
		})
	}
}

// Pictures begin with a key frame in the middle of a batch, too.
func TestBeginInABatch(t *testing.T) {
	var got [][]byte
	sn := &sender{out: outbound{kind: video, write: func(_ *rtp.Header, payload []byte) (int, error) {
		got = append(got, payload)
		return len(payload), nil
	}}}
	batch := []*packet{newPacket(slice), newPacket(idr), newPacket(slice)}
	batch[1].key = true
	sn.forward(batch[:1], 0, reference{})
	sn.forward(batch, 0, reference{})
	sameBytes(t, got, [][]byte{idr, slice})
}

// Nothing old is sent of somebody who publishes no more.
func TestJoinBetweenConnections(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		pub := publish(t, src, Limits{})
		pub.stream(video, 1).send(sps["1280x720"], idr)
		pub.close()
		if got := subscribe(src, plain).got(); len(got) != 0 {
			t.Errorf("got %d packets", len(got))
		}
	})
}

// However many subscribers want a key frame, and however often: the publisher is
// asked every half second at most, until there is one.
func TestKeyFrameRequests(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		pub := publish(t, src, Limits{})
		stream := pub.stream(video, 1)
		stream.send(sps["1280x720"], idr)
		time.Sleep(time.Second)
		var subs []*subscriber
		for range 20 {
			subs = append(subs, subscribe(src, plain))
		}
		began := len(pub.asks())
		start := time.Now()
		want := func() {
			subs[0].feedback([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: 8}}) // another's
			for _, sub := range subs[1:10] {
				sub.feedback([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: 7}})
			}
			for _, sub := range subs[10:] {
				sub.feedback([]rtcp.Packet{&rtcp.FullIntraRequest{FIR: []rtcp.FIREntry{{SSRC: 7}}}})
			}
		}
		for range 12 {
			want()
			time.Sleep(100 * time.Millisecond)
		}
		var at []time.Duration
		for _, a := range pub.asks()[began:] {
			at = append(at, a.at.Sub(start))
		}
		if want := []time.Duration{0, keyFrameInterval, 2 * keyFrameInterval}; !slices.Equal(at, want) {
			t.Errorf("asked after %v, want %v", at, want)
		}
		stream.send(sps["1280x720"], idr)
		asked := len(pub.asks())
		time.Sleep(time.Minute)
		if more := pub.asks()[asked:]; len(more) != 0 {
			t.Errorf("asked %d times after the key frame", len(more))
		}
	})
}

// One subscriber cannot have a publisher make key frames all the time.
func TestKeyFrameBudget(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		pub := publish(t, src, Limits{})
		stream := pub.stream(video, 1)
		stream.send(sps["1280x720"], idr)
		sub := subscribe(src, plain)
		for range 600 {
			sub.feedback([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: 7}})
			time.Sleep(100 * time.Millisecond)
			if asked := len(pub.asks()); asked > int(stream.stats().KeyFrames) {
				stream.send(sps["1280x720"], idr)
			}
		}
		if asked := len(pub.asks()); asked < 20 || asked > 40 {
			t.Errorf("asked %d times in a minute, want about 34", asked)
		}
	})
}

func nack(ssrc uint32, numbers ...uint16) []rtcp.Packet {
	return []rtcp.Packet{&rtcp.TransportLayerNack{MediaSSRC: ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(numbers)}}
}

// What a subscriber misses is sent again, as RFC 4588 has it, or as it was.
func TestRepair(t *testing.T) {
	withRTX := plain
	withRTX.rtxSSRC, withRTX.rtxPayloadType = 70, 103
	for name, out := range map[string]outbound{"RTX": withRTX, "plain": plain} {
		t.Run(name, func(t *testing.T) {
			rig(t, func(t *testing.T, src *Source) {
				stream := publish(t, src, Limits{}).stream(video, 1)
				stream.SequenceNumber = 65530
				sub, other := subscribe(src, out), subscribe(src, out)
				stream.send(sps["1280x720"], sei, idr)
				for i := range 20 {
					stream.send([]byte{0x41, byte(i)})
				}
				sent := sub.got()
				other.got()
				first := sent[0].SequenceNumber
				sub.feedback(nack(8, first))
				sub.feedback(nack(7, first+1, first+2, first+9, first+1000))
				got := sub.got()
				if len(got) != 3 {
					t.Fatalf("%d packets sent again, want 3", len(got))
				}
				for i, n := range []uint16{1, 2, 9} {
					want := *sent[n]
					if out.rtxSSRC != 0 {
						want.SSRC, want.PayloadType = 70, 103
						want.SequenceNumber = got[0].SequenceNumber + uint16(i)
						want.Payload = append(binary.BigEndian.AppendUint16(nil, first+n), sent[n].Payload...)
					}
					sameBytes(t, [][]byte{got[i].Payload}, [][]byte{want.Payload})
					if got[i].SSRC != want.SSRC || got[i].PayloadType != want.PayloadType || got[i].SequenceNumber != want.SequenceNumber ||
						got[i].Timestamp != want.Timestamp || got[i].Marker != want.Marker {
						t.Errorf("got %v, want %v", got[i], want)
					}
				}
				if got := other.got(); len(got) != 0 {
					t.Errorf("another subscriber got %v", got)
				}
				if s := sub.stats(); s.Repaired != 3 || s.Packets != 23 {
					t.Errorf("stats %+v", s)
				}
			})
		})
	}
}

// A packet is not sent again twice within a round trip.
func TestRepairOnceInARoundTrip(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		stream := publish(t, src, Limits{}).stream(video, 1)
		sub := subscribe(src, plain)
		stream.send(sps["1280x720"], idr)
		first := sub.got()[0].SequenceNumber
		sub.mu.Lock()
		sub.roundTrip = 80 * time.Millisecond
		sub.mu.Unlock()
		for i, want := range []int{1, 0, 0, 0, 1, 0} { // 20 ms apart
			sub.feedback(nack(7, first))
			if got := len(sub.got()); got != want {
				t.Errorf("asked at %d ms: sent %d times, want %d", i*20, got, want)
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
}

// A subscriber that asks for everything all the time gets what its budget has.
func TestRepairBudget(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		stream := publish(t, src, Limits{}).stream(video, 1)
		sub := subscribe(src, plain)
		stream.send(sps["1280x720"], idr)
		payload := make([]byte, 1200)
		payload[0] = 0x41
		for range 1000 {
			stream.send(payload)
		}
		var numbers []uint16
		for _, p := range sub.got() {
			numbers = append(numbers, p.SequenceNumber)
		}
		start, bytes := time.Now(), 0
		for time.Since(start) < 10*time.Second {
			sub.feedback(nack(7, numbers...))
			for _, p := range sub.got() {
				bytes += len(p.Payload)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if most := int(repairBudget.depth + 10*repairBudget.refill); bytes > most || bytes < most*9/10 {
			t.Errorf("%d bytes sent again in 10 s, want %d", bytes, most)
		}
	})
}

// Sender reports of subscribers say of each lane which time stamp belongs to which
// instant of the publisher's clock, whatever the lanes did to time stamps.
func TestSenderReports(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		old := publish(t, src, Limits{})
		old.stream(audio, 1).send([]byte{1})
		old.stream(video, 2).send(sps["1280x720"], idr)
		time.Sleep(1234 * time.Millisecond)
		old.close()

		// Both lanes begin at one instant; the publisher's clock is years behind.
		pub := publish(t, src, Limits{})
		sound, pictures := pub.stream(audio, 3), pub.stream(video, 4)
		sound.Timestamp, pictures.Timestamp = 1000, 4_000_000_000
		const ntp = uint64(1) << 60
		hear := subscribe(src, outbound{kind: audio, ssrc: 6, cname: "ana"})
		see := subscribe(src, plain)
		soundAt, picturesAt := sound.Timestamp, pictures.Timestamp
		sound.send([]byte{1})
		time.Sleep(700 * time.Millisecond) // the camera is slower
		pictures.Timestamp += 63000
		pictures.send(sps["1280x720"], idr)
		heard, seen := hear.got()[0].Timestamp, see.got()[0].Timestamp

		sound.senderReport(&rtcp.SenderReport{NTPTime: ntp, RTPTime: soundAt})
		pictures.senderReport(&rtcp.SenderReport{NTPTime: ntp + 1<<32, RTPTime: picturesAt + 90000})
		a, v := hear.gotReports(), see.gotReports()
		if len(a) != 2 || len(v) != 1 {
			t.Fatalf("got reports %v and %v", a, v)
		}
		if cname := a[1].(*rtcp.SourceDescription).Chunks[0]; cname.Source != 6 || cname.Items[0].Text != "ana" {
			t.Errorf("description %v", cname)
		}
		ar, vr := a[0].(*rtcp.SenderReport), v[0].(*rtcp.SenderReport)
		if ar.SSRC != 6 || vr.SSRC != 7 || ar.PacketCount != 1 || vr.PacketCount != 2 || ar.OctetCount != 1 {
			t.Errorf("reports %v %v", ar, vr)
		}
		// Of both first packets: when was it, on the publisher's clock?
		at := func(sr *rtcp.SenderReport, timestamp uint32, rate int64) time.Duration {
			return time.Duration((int64(sr.NTPTime-ntp)*1000>>32)+int64(int32(timestamp-sr.RTPTime))*1000/rate) * time.Millisecond
		}
		if soundTime := at(ar, heard, 48000); soundTime != 0 {
			t.Errorf("the first sound was at %v, want 0", soundTime)
		}
		if pictureTime := at(vr, seen, 90000); pictureTime != 700*time.Millisecond {
			t.Errorf("the first picture was at %v, want 700ms", pictureTime)
		}

		// A subscriber that comes later is told the same, of its own instant.
		time.Sleep(time.Second)
		late := subscribe(src, plain)
		reports := late.gotReports()
		if len(reports) != 1 {
			t.Fatalf("a new subscriber got reports %v", reports)
		}
		lr := reports[0].(*rtcp.SenderReport)
		if passed := lr.NTPTime - vr.NTPTime; passed != 1<<32 || lr.RTPTime-vr.RTPTime != 90000 {
			t.Errorf("a second later: %d and %d on", passed, lr.RTPTime-vr.RTPTime)
		}

		// A publisher that reports all the time is not multiplied.
		for range 100 {
			pictures.senderReport(&rtcp.SenderReport{NTPTime: ntp + 2<<32, RTPTime: picturesAt + 180000})
		}
		if got := see.gotReports(); len(got) != 1 {
			t.Errorf("%d reports at one instant", len(got))
		}
	})
}

func TestReceiverReports(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		stream := publish(t, src, Limits{}).stream(video, 1)
		sub := subscribe(src, plain)
		stream.send(sps["1280x720"], idr)
		stream.senderReport(&rtcp.SenderReport{NTPTime: 0x1122334455667788, RTPTime: 1})
		sr := sub.gotReports()[0].(*rtcp.SenderReport)
		time.Sleep(150 * time.Millisecond)
		report := rtcp.ReceptionReport{
			SSRC: 7, FractionLost: 64, TotalLost: 12,
			LastSenderReport: uint32(sr.NTPTime >> 16), Delay: 65536 / 10,
		}
		other := report
		other.SSRC, other.TotalLost = 8, 99
		sub.feedback([]rtcp.Packet{&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{report, other}}})
		s := sub.stats()
		if s.Lost != 12 || s.FractionLost != 0.25 || s.RoundTrip.Round(time.Millisecond) != 50*time.Millisecond {
			t.Errorf("stats %+v", s)
		}
		report.LastSenderReport++ // never sent
		report.TotalLost = 1<<24 - 3
		sub.feedback([]rtcp.Packet{&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{report}}})
		if s := sub.stats(); s.Lost != 0 || s.RoundTrip.Round(time.Millisecond) != 50*time.Millisecond {
			t.Errorf("stats %+v", s)
		}
	})
}

// An encoder that begins anew leapt in time, perhaps: what the publisher reported
// before does not count any more.
func TestReportBeforeRestart(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		stream := publish(t, src, Limits{}).stream(video, 1)
		stream.send(sps["1280x720"], idr)
		stream.senderReport(&rtcp.SenderReport{NTPTime: 1 << 60, RTPTime: 5000})
		stream.SequenceNumber += 30000
		stream.send(slice, sps["1280x720"], idr)
		sub := subscribe(src, plain)
		if got, reports := sub.got(), sub.gotReports(); len(got) != 2 || len(reports) != 0 {
			t.Errorf("got %d packets, reports %v", len(got), reports)
		}
	})
}

// A subscriber whose writes hang holds up no publisher, and when it goes on, it goes
// on with a key frame.
func TestSlowSubscriber(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		pub := publish(t, src, Limits{})
		stream := pub.stream(video, 1)
		hang, went := make(chan struct{}), []byte(nil)
		out := plain
		out.write = func(_ *rtp.Header, payload []byte) (int, error) {
			<-hang
			went = append(went, payload[0])
			return 0, nil
		}
		out.writeRTCP = func([]rtcp.Packet) (int, error) { return 0, nil }
		sn := src.subscribe(out)
		stream.send(sps["1280x720"], idr)
		for range cachePackets[video] + 100 {
			stream.send(slice)
		}
		asked := len(pub.asks())
		close(hang)
		time.Sleep(keyFrameInterval)
		if len(pub.asks()) == asked {
			t.Error("not asked for a key frame")
		}
		went = nil
		stream.send(slice)
		stream.send(idr)
		if string(went) != string(idr[:1]) {
			t.Errorf("went on with % x", went)
		}
		if skipped := sn.stats().Skipped; skipped == 0 {
			t.Error("nothing skipped")
		}
		sn.close()
		stream.send(slice)
		if len(went) != 1 {
			t.Errorf("sent % x after close", went)
		}
	})
}

// Large audiences have several pumps, and everyone gets everything.
func TestManySubscribers(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		stream := publish(t, src, Limits{}).stream(video, 1)
		var subs []*subscriber
		for range 3 * pumpSenders {
			subs = append(subs, subscribe(src, plain))
		}
		stream.send(sps["1280x720"], idr)
		for i, sub := range subs {
			if i%3 == 0 {
				sub.close()
			}
		}
		stream.send(slice)
		for i, sub := range subs {
			want := 3
			if i%3 == 0 {
				want = 2
			}
			if got := sub.got(); len(got) != want {
				t.Errorf("subscriber %d got %d packets, want %d", i, len(got), want)
			}
		}
	})
}
