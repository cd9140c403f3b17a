package rtc

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

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

// A publisher's report is taken without waiting for any subscriber to be sent its own.
func TestReportsDoNotWait(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		stream := publish(t, src, Limits{}).stream(video, 1)
		hang, went := make(chan struct{}), 0
		out := plain
		out.write = func(*rtp.Header, []byte) (int, error) { return 0, nil }
		out.writeRTCP = func([]rtcp.Packet) (int, error) { <-hang; went++; return 0, nil }
		sn := src.subscribe(out)
		stream.send(sps["1280x720"], idr)
		for range 3 {
			stream.senderReport(&rtcp.SenderReport{NTPTime: 1 << 60, RTPTime: 5000})
			time.Sleep(reportInterval)
		}
		close(hang)
		synctest.Wait()
		if went != 2 { // what it is late for comes as one
			t.Errorf("sent %d reports, want 2", went)
		}
		sn.close()
	})
}
