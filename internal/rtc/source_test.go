package rtc

import (
	"bytes"
	"encoding/hex"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// sps are sequence parameter sets as x264 makes them; the last one is what is left of
// such.
var sps = map[string][]byte{
	"1920x1080": unhex("6742c028d900780227e5c044000003000400000300f03c60c920"),
	"1280x720":  unhex("6742c01fd9005005bb0110000003001000000303c0f1832480"),
	"720x1280":  unhex("6742c01fd900b40a1b0110000003001000000303c0f1832480"),
	"640x360":   unhex("6742c01ed900a02ff970110000030001000003003c0f162e48"),
	"320x180":   unhex("6742c00dd901419f9f0110000003001000000303c0f142a480"),
	"torn":      unhex("6742c01fd900"),
}

var (
	idr   = []byte{0x65, 0x88, 1, 2, 3}
	slice = []byte{0x41, 0x9a, 4, 5, 6}
	pps   = unhex("68ce3c80")
	sei   = []byte{0x06, 0x05, 0x11, 0xaa, 0xbb}
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// publisher is a connection that publishes.
type publisher struct {
	*upstream
	t *testing.T

	mu       sync.Mutex
	asked    []ask
	exceeded []error
}

// ask is a request for a key frame.
type ask struct {
	ssrc uint32
	at   time.Time
}

func publish(t *testing.T, src *Source, limits Limits) *publisher {
	t.Helper()
	p := &publisher{t: t}
	p.upstream = src.connect(limits, [kinds]bool{true, true}, func(packets []rtcp.Packet) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, packet := range packets {
			p.asked = append(p.asked, ask{packet.(*rtcp.PictureLossIndication).MediaSSRC, time.Now()})
		}
		return nil
	}, func(err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.exceeded = append(p.exceeded, err)
	})
	return p
}

// asks are the requests so far.
func (p *publisher) asks() []ask {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// stream sends the packets of one layer.
type stream struct {
	*layer
	t *testing.T
	rtp.Header
}

func (p *publisher) stream(kind kind, ssrc uint32) *stream {
	return &stream{
		layer:  p.attach(inbound{kind: kind, ssrc: ssrc, extensions: extensionIDs{mid: 1, audioLevel: 2, orientation: 3}}),
		t:      p.t,
		Header: rtp.Header{Version: 2, SSRC: ssrc, PayloadType: 96, SequenceNumber: 100, Timestamp: 5000},
	}
}

// packet is the next packet, as bytes.
func (s *stream) packet(payload []byte) []byte {
	s.t.Helper()
	b, err := (&rtp.Packet{Header: s.Header, Payload: payload}).Marshal()
	if err != nil {
		s.t.Fatal(err)
	}
	s.SequenceNumber++
	return b
}

// send sends the packets of one picture.
func (s *stream) send(payloads ...[]byte) {
	s.t.Helper()
	for i, payload := range payloads {
		s.Marker = i == len(payloads)-1
		s.write(s.packet(payload))
	}
	s.Timestamp += 3000
	synctest.Wait()
}

// subscriber collects what it is sent.
type subscriber struct {
	*sender

	mu      sync.Mutex
	packets []*rtp.Packet
	reports []rtcp.Packet
}

var plain = outbound{kind: video, ssrc: 7, payloadType: 102}

func subscribe(src *Source, out outbound) *subscriber {
	s := &subscriber{}
	out.write = func(h *rtp.Header, payload []byte) (int, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.packets = append(s.packets, &rtp.Packet{Header: h.Clone(), Payload: bytes.Clone(payload)})
		return len(payload), nil
	}
	out.writeRTCP = func(packets []rtcp.Packet) (int, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.reports = append(s.reports, packets...)
		return 0, nil
	}
	s.sender = src.subscribe(out)
	synctest.Wait()
	return s
}

// got is what was received since the last time.
func (s *subscriber) got() []*rtp.Packet {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	packets := s.packets
	s.packets = nil
	return packets
}

func (s *subscriber) gotReports() []rtcp.Packet {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	reports := s.reports
	s.reports = nil
	return reports
}

// payloads are the payloads of packets, and fails where their numbers have a hole.
func payloads(t *testing.T, packets []*rtp.Packet) (all [][]byte) {
	t.Helper()
	for i, p := range packets {
		if want := packets[0].SequenceNumber + uint16(i); p.SequenceNumber != want {
			t.Errorf("packet %d has number %d, want %d", i, p.SequenceNumber, want)
		}
		all = append(all, p.Payload)
	}
	return all
}

func sameBytes(t *testing.T, got, want [][]byte) {
	t.Helper()
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("got payloads %x, want %x", got, want)
	}
}

// rig runs f on virtual time with a source.
func rig(t *testing.T, f func(t *testing.T, src *Source)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		src := NewSource()
		defer src.Close()
		f(t, src)
	})
}

// Payloads, markers and time steps pass untouched, SEI too; SSRC, payload type and
// the ids of extensions are the subscriber's own.
func TestForward(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		stream := publish(t, src, Limits{}).stream(video, 1)
		out := plain
		out.mid, out.extensions = "v", extensionIDs{mid: 9, orientation: 11}
		sub := subscribe(src, out)

		stream.send(sps["1280x720"], sei, idr)
		if err := stream.SetExtension(3, []byte{0x02}); err != nil {
			t.Fatal(err)
		}
		if err := stream.SetExtension(5, []byte{0xee}); err != nil { // of no use to subscribers
			t.Fatal(err)
		}
		stream.send(slice)
		got := sub.got()
		sameBytes(t, payloads(t, got), [][]byte{sps["1280x720"], sei, idr, slice})
		for i, p := range got {
			if p.SSRC != 7 || p.PayloadType != 102 || p.Marker != (i >= 2) || string(p.GetExtension(9)) != "v" {
				t.Errorf("packet %d: header %+v", i, p.Header)
			}
		}
		if step := got[3].Timestamp - got[2].Timestamp; step != 3000 || got[0].Timestamp != got[2].Timestamp {
			t.Errorf("time stamps %d, %d, %d", got[0].Timestamp, got[2].Timestamp, got[3].Timestamp)
		}
		if rotation := got[3].GetExtension(11); !bytes.Equal(rotation, []byte{2}) || len(got[3].Extensions) != 2 {
			t.Errorf("extensions %+v", got[3].Extensions)
		}

		// The mid is for finding the stream: not needed once the subscriber reports it.
		sub.feedback([]rtcp.Packet{&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{SSRC: 7}}}})
		stream.ClearExtensions()
		stream.send(slice)
		if got := sub.got(); len(got) != 1 || got[0].Extension {
			t.Errorf("after a report: %+v", got)
		}
	})
}

// What a publisher's network does to the order of packets, subscribers see as it is;
// what it does to their numbers they do not.
func TestNumbers(t *testing.T) {
	pad := -1 // in front of a number: a packet of padding alone
	tests := map[string]struct{ in, want []int }{
		"in order":                  {[]int{10, 11, 12}, []int{0, 1, 2}},
		"lost":                      {[]int{10, 13}, []int{0, 3}},
		"late":                      {[]int{10, 12, 11, 13}, []int{0, 2, 1, 3}},
		"twice":                     {[]int{10, 11, 11, 10, 12}, []int{0, 1, 2}},
		"wrapping":                  {[]int{65534, 65535, 0, 1}, []int{0, 1, 2, 3}},
		"late over the wrap":        {[]int{65534, 0, 65535, 1}, []int{0, 2, 1, 3}},
		"before the first":          {[]int{10, 9, 11}, []int{0, 1}},
		"padding":                   {[]int{10, pad, 11, 12}, []int{0, 1}},
		"much padding":              {[]int{10, pad, 11, pad, 12, pad, 13, 14}, []int{0, 1}},
		"padding twice":             {[]int{10, pad, 11, pad, 11, 12}, []int{0, 1}},
		"late before padding":       {[]int{10, pad, 12, 13, 11}, []int{0, 2, 1}},
		"late padding is no hole":   {[]int{10, 12, pad, 11, 13}, []int{0, 2, 1, 3}},
		"padding here and there":    {[]int{10, pad, 11, 12, pad, 13, pad, 14, 15}, []int{0, 1, 2}},
		"one packet from elsewhere": {[]int{10, 30000, 11}, []int{0, 1}},
		"begun anew":                {[]int{10, 30000, 30001, 30002}, []int{0, 1, 2}},
		"begun anew below":          {[]int{30000, 10, 11, 12}, []int{0, 1, 2}},
		"too old":                   {[]int{1000, 1300, 1010, 1301}, []int{0, 300, 301}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rig(t, func(t *testing.T, src *Source) {
				stream := publish(t, src, Limits{}).stream(audio, 1)
				sub := subscribe(src, outbound{kind: audio, ssrc: 7})
				for i := 0; i < len(tt.in); i++ {
					payload := []byte{1}
					if tt.in[i] == pad {
						i++
						payload = nil
						stream.Padding, stream.PaddingSize = true, 9
					}
					stream.SequenceNumber = uint16(tt.in[i])
					stream.write(stream.packet(payload))
					stream.Padding, stream.PaddingSize = false, 0
				}
				var got []int
				packets := sub.got()
				for _, p := range packets {
					got = append(got, int(int16(p.SequenceNumber-packets[0].SequenceNumber)))
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("got %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// A publisher who comes back on another connection goes on: numbers without a hole,
// time stamps by the time that passed, pictures from a key frame on.
func TestReconnect(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		first := publish(t, src, Limits{})
		old := first.stream(video, 1)
		sub := subscribe(src, plain)
		old.send(sps["1280x720"], idr)
		old.send(slice)
		before := sub.got()
		time.Sleep(3 * time.Second)

		second := publish(t, src, Limits{})
		stream := second.stream(video, 2)
		stream.SequenceNumber, stream.Timestamp = 40000, 1<<31
		stream.send(slice) // of no use without a key frame
		old.Timestamp += 3 * 90000
		old.send(slice) // the old one goes on meanwhile
		if got := sub.got(); len(got) != 1 {
			t.Fatalf("%d packets before the key frame, want that of the old connection", len(got))
		}
		if asks := second.asks(); len(asks) != 1 || asks[0].ssrc != 2 {
			t.Errorf("asked for key frames: %v", asks)
		}
		stream.send(sps["640x360"], idr)
		first.close()
		old.send(slice)
		stream.send(slice)
		got := sub.got()
		sameBytes(t, payloads(t, got), [][]byte{sps["640x360"], idr, slice})
		if n := got[0].SequenceNumber - before[len(before)-1].SequenceNumber; n != 2 {
			t.Errorf("numbers went on by %d, want 2", n)
		}
		if passed := got[0].Timestamp - before[len(before)-1].Timestamp; passed < 3*90000 || passed > 3*90000+2*3000 {
			t.Errorf("time stamps went on by %d, want 3 s", passed)
		}
		if got[0].SSRC != 7 {
			t.Errorf("another SSRC: %d", got[0].SSRC)
		}
	})
}

// Sound goes over at its first packet, and time stamps never go back, however soon.
func TestReconnectAudio(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		old := publish(t, src, Limits{}).stream(audio, 1)
		sub := subscribe(src, outbound{kind: audio, ssrc: 7})
		old.send([]byte{0})
		old.SequenceNumber++
		old.Timestamp += 960
		old.send([]byte{2})
		old.SequenceNumber -= 2
		old.Timestamp -= 2 * 3000 // late
		old.send([]byte{1})
		sent := sub.got()
		stream := publish(t, src, Limits{}).stream(audio, 2)
		stream.Timestamp = 17
		stream.send([]byte{3})
		old.send([]byte{4})
		got := sub.got()
		sameBytes(t, payloads(t, []*rtp.Packet{sent[0], sent[2], sent[1], got[0]}), [][]byte{{0}, {1}, {2}, {3}})
		if step := got[0].Timestamp - sent[1].Timestamp; len(got) != 1 || step != 960 {
			t.Errorf("time stamps went on by %d, want 960", step)
		}
	})
}

// Media of one connection: told when it came, and remembered.
func TestMedia(t *testing.T) {
	rig(t, func(t *testing.T, src *Source) {
		p := publish(t, src, Limits{})
		stream := p.stream(audio, 1)
		select {
		case <-p.flowing():
			t.Error("flows before the first packet")
		default:
		}
		stream.send([]byte{1})
		<-p.flowing()
		p.close()
		if audio, video := src.Media(); !audio || video {
			t.Errorf("audio %v, video %v", audio, video)
		}
	})
}

// Subscribers are told the end.
func TestSourceClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := NewSource()
		stream := publish(t, src, Limits{}).stream(video, 1)
		sub := subscribe(src, plain)
		stream.send(slice) // somebody is asking for key frames as the source ends
		src.Close()
		src.Close()
		stream.send(sps["1280x720"], idr)
		late := subscribe(src, plain)
		if got := append(sub.got(), late.got()...); len(got) != 0 {
			t.Errorf("got %v after the end", got)
		}
		reports := sub.gotReports()
		if len(reports) != 1 || reports[0].(*rtcp.Goodbye).Sources[0] != 7 {
			t.Errorf("got %v, want a BYE", reports)
		}
		sub.close()
		if again := sub.gotReports(); len(again) != 0 {
			t.Errorf("got %v after the BYE", again)
		}
	})
}
