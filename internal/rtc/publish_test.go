package rtc

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// published is a publication without a network: packets are put in as if they had
// been decrypted.
type published struct {
	*publication
	t   *testing.T
	src *Source
}

func newPublished(t *testing.T, lanes ...lanePlan) *published {
	t.Helper()
	src := newSource(t)
	s := &Session{begun: time.Now(), plan: &answer{lanes: lanes}, flowing: make(chan struct{})}
	s.ctx, s.close = context.WithCancelCause(t.Context())
	p := newPublication(s, src, Limits{})
	p.up = src.connect(Limits{}, [kinds]bool{true, true}, func([]rtcp.Packet) error { return nil }, func(error) {})
	t.Cleanup(p.up.close)
	return &published{p, t, src}
}

// send puts in a packet with header extensions.
func (p *published) send(h rtp.Header, payload []byte, extensions map[uint8]string) {
	p.t.Helper()
	h.Version = 2
	for _, id := range slices.Sorted(func(yield func(uint8) bool) {
		for id := range extensions {
			if !yield(id) {
				return
			}
		}
	}) {
		if err := h.SetExtension(id, []byte(extensions[id])); err != nil {
			p.t.Fatal(err)
		}
	}
	b, err := (&rtp.Packet{Header: h, Payload: payload}).Marshal()
	if err != nil {
		p.t.Fatal(err)
	}
	p.session.in.header = rtp.Header{}
	if _, err := p.session.in.header.Unmarshal(b); err != nil {
		p.t.Fatal(err)
	}
	p.rtp(b, time.Now())
}

func (p *published) packets(ssrc uint32) uint64 {
	if st := p.tracks[ssrc]; st != nil {
		return st.layer.stats().Packets
	}
	return 0
}

// A layer is told by its RID, its repairs by theirs; what is not negotiated is dropped.
func TestSimulcastIsToldByRID(t *testing.T) {
	p := newPublished(t, lanePlan{kind: video, payloadType: 96, rtx: 97, rids: []string{"hi", "low"}, rid: 2, repairedRID: 3, nack: true})
	h := func(ssrc uint32, pt uint8, n uint16) rtp.Header {
		return rtp.Header{SSRC: ssrc, PayloadType: pt, SequenceNumber: n}
	}
	p.send(h(1, 96, 9), idr, nil)                                                   // no RID yet
	p.send(h(1, 96, 10), idr, map[uint8]string{2: "mid"})                           // none that was offered
	p.send(h(1, 98, 10), idr, map[uint8]string{2: "hi"})                            // another codec
	p.send(h(7, 97, 1), append([]byte{0, 11}, slice...), map[uint8]string{3: "hi"}) // of no layer yet
	p.send(h(1, 96, 10), idr, map[uint8]string{2: "hi"})
	p.send(h(1, 96, 12), slice, nil)
	p.send(h(2, 96, 20), idr, map[uint8]string{2: "low"})
	p.send(h(7, 97, 2), append([]byte{0, 11}, slice...), map[uint8]string{3: "hi"})
	p.send(h(7, 97, 3), nil, nil) // padding
	if hi, low := p.packets(1), p.packets(2); hi != 3 || low != 1 || len(p.tracks) != 2 {
		t.Errorf("%d and %d packets on %d tracks, want 3, 1, 2", hi, low, len(p.tracks))
	}
	if missing := p.tracks[1].reception.missing; len(missing) != 0 {
		t.Errorf("repaired and still missing: %v", missing)
	}
	if st := p.stats(); st.Video.Layers["hi"].Packets != 3 || st.Video.Layers["low"].Packets != 1 || st.Video.Packets != 4 {
		t.Errorf("stats: %+v", st)
	}
	p.send(h(3, 96, 1), idr, map[uint8]string{2: "hi"}) // the encoder began anew
	if len(p.tracks) != 2 || p.tracks[1] != nil || p.packets(3) != 1 {
		t.Errorf("tracks: %v", p.tracks)
	}
}

// A repair is the packet that it repeats: number, SSRC, type, marker and payload.
func TestRestore(t *testing.T) {
	lane := lanePlan{kind: video, payloadType: 96, rtx: 97, repairs: map[uint32]uint32{2: 1}}
	for _, tt := range []struct {
		name      string
		extension bool
		padding   byte
		payload   []byte
		want      []byte
	}{
		{"plain", false, 0, []byte{1, 2, 0x65, 7}, []byte{0x65, 7}},
		{"with extensions", true, 0, []byte{1, 2, 0x65, 7}, []byte{0x65, 7}},
		{"with padding", true, 4, []byte{1, 2, 0x65, 7}, []byte{0x65, 7}},
		{"padding alone", false, 200, nil, nil},
		{"less than a number", false, 0, []byte{1}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPublished(t, lane)
			p.send(rtp.Header{SSRC: 1, PayloadType: 96, SequenceNumber: 0x101}, idr, nil)
			packet := rtp.Packet{Header: rtp.Header{
				Version: 2, SSRC: 2, PayloadType: 97, SequenceNumber: 5, Timestamp: 77, Marker: true,
				Padding: tt.padding > 0, PaddingSize: tt.padding,
			}, Payload: tt.payload}
			if tt.extension {
				_ = packet.SetExtension(4, []byte{1, 2, 3})
			}
			b, err := packet.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			restored, st := p.restore(&lane, b, &packet.Header)
			if st == nil != (tt.want == nil) {
				t.Fatalf("restored %x", restored)
			}
			if st == nil {
				return
			}
			var got rtp.Packet
			if err := got.Unmarshal(restored); err != nil {
				t.Fatal(err)
			}
			if got.SequenceNumber != 0x102 || got.SSRC != 1 || got.PayloadType != 96 || !got.Marker ||
				got.Timestamp != 77 || !bytes.Equal(got.Payload, tt.want) {
				t.Errorf("restored %v", got)
			}
		})
	}
}

// What is missing is asked for at once, again while it does not come, and no longer
// than anybody waits for it.
func TestMissingIsAskedFor(t *testing.T) {
	r := reception{ssrc: 1, clock: 90000}
	now := time.Unix(1000, 0)
	if r.receive(65534, 0, now) {
		t.Error("missing before the first")
	}
	if !r.receive(2, 0, now) { // 65535, 0 and 1 are missing
		t.Error("nothing missing")
	}
	ask := func(after time.Duration, want ...uint16) {
		t.Helper()
		if got := r.ask(now.Add(after), askFor); !slices.Equal(got, want) {
			t.Errorf("after %s asked for %v, want %v", after, got, want)
		}
	}
	ask(0, 65535, 0, 1)
	ask(askEvery - 1)
	if r.receive(0, 0, now) {
		t.Error("a repair leaves a gap")
	}
	ask(askEvery, 65535, 1)
	ask(askFor, 65535, 1)
	src := newSource(t)
	if got := src.waits(); got != askFor {
		t.Errorf("a source without readers waits for %v", got)
	}
	reader := src.Read()
	if got := src.waits(); got != askForRead || got >= Patience {
		t.Errorf("a reader waits for %v", got)
	}
	reader.Close()
	ask(askFor + 1)

	r = reception{ssrc: 1, clock: 90000}
	r.receive(0, 0, now)
	r.receive(1000, 0, now)
	if n := len(r.missing); n != maxMissing || r.missing[n-1].number&0xffff != 999 {
		t.Errorf("%d are missing, the last %v", n, r.missing[n-1])
	}
	if r.receive(40000, 0, now); len(r.missing) != maxMissing { // from elsewhere
		t.Errorf("%d are missing after one packet far off", len(r.missing))
	}
	if r.receive(40001, 0, now); len(r.missing) != 0 { // begun anew
		t.Errorf("%d are missing after a leap", len(r.missing))
	}
	if got := r.report(now); got.LastSequenceNumber != 40001 || got.TotalLost != 0 {
		t.Errorf("after a leap: report %+v", got)
	}
}

// RFC 3550 appendix A.3 and §6.4.1.
func TestReceptionReport(t *testing.T) {
	r := reception{ssrc: 9, clock: 90000}
	now := time.Unix(1000, 0)
	for n := range uint16(100) {
		if n%4 != 1 { // a quarter is lost
			r.receive(65500+n, uint32(n)*900, now.Add(time.Duration(n)*10*time.Millisecond))
		}
	}
	r.reported(&rtcp.SenderReport{SSRC: 9, NTPTime: 0x1111222233334444}, now)
	got := r.report(now.Add(1500 * time.Millisecond))
	want := rtcp.ReceptionReport{
		SSRC: 9, FractionLost: 64, TotalLost: 25, LastSequenceNumber: 1<<16 + 63, LastSenderReport: 0x22223333, Delay: 3 << 15,
	}
	if got != want {
		t.Errorf("report %+v\nwant   %+v", got, want)
	}
	for n := range uint16(4) { // none is lost
		r.receive(64+n, 0, now)
	}
	if got := r.report(now); got.FractionLost != 0 || got.TotalLost != 25 {
		t.Errorf("second report %+v", got)
	}
}

// Time stamps that come unevenly are jitter: A.8's own example is a running mean.
func TestJitter(t *testing.T) {
	r := reception{ssrc: 1, clock: 90000}
	now := time.Unix(1000, 0)
	for n := range uint16(1000) { // every other one is 10 ms late
		late := time.Duration(n%2) * 10 * time.Millisecond
		r.receive(n, uint32(n)*900, now.Add(time.Duration(n)*10*time.Millisecond+late))
	}
	if got := r.report(now).Jitter; got < 880 || got > 900 {
		t.Errorf("jitter of %d ticks, want 900", got)
	}
}

// A client with transport-wide feedback is told of every packet, padding too.
func TestArrivalsAreRecorded(t *testing.T) {
	p := newPublished(t, lanePlan{kind: video, payloadType: 96, rtx: 97, transportCC: 5})
	for n := range uint16(10) {
		id := string(binary.BigEndian.AppendUint16(nil, n))
		p.send(rtp.Header{SSRC: 1 + uint32(n%2), PayloadType: 96 + uint8(n%2), SequenceNumber: n}, nil, map[uint8]string{5: id})
	}
	told := 0
	for _, packet := range p.arrivals.BuildFeedbackPacket() {
		told += int(packet.(*rtcp.TransportLayerCC).PacketStatusCount)
	}
	if told != 10 {
		t.Errorf("told of %d packets, want 10", told)
	}
}

// A client that goes to and fro between SSRCs leaves nothing behind.
func TestReplacedTracksAreForgotten(t *testing.T) {
	p := newPublished(t, lanePlan{kind: video, payloadType: 96})
	for i := range 100 {
		p.send(rtp.Header{PayloadType: 96, SSRC: uint32(i % 2), SequenceNumber: uint16(i)}, idr, nil)
	}
	if len(p.tracks) != 1 || len(p.up.layers) != 1 || len(p.src.lanes[video].layers) != 1 {
		t.Errorf("%d tracks, %d and %d layers", len(p.tracks), len(p.up.layers), len(p.src.lanes[video].layers))
	}
}
