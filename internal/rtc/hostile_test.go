package rtc

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/stun/v3"
)

// quiet is an engine without a network.
func quiet(tb testing.TB) *Engine {
	tb.Helper()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { udp.Close() })
	e, err := New(Config{UDP: udp})
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// Whatever comes from anywhere is answered or dropped, and opens nothing.
func FuzzPacket(f *testing.F) {
	e := quiet(f)
	src := NewSource()
	f.Cleanup(src.Close)
	s, _, err := e.Publish(f.Context(), []byte(base), src, Limits{})
	if err != nil {
		f.Fatal(err)
	}
	local := s.ice.present.local
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(local.ufrag+":abcd"), useCandidate,
		stun.NewShortTermIntegrity("another"), stun.Fingerprint)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m.Raw)
	f.Add([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1})
	f.Add([]byte{0x80, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0x65})
	f.Add([]byte{0x80, 200, 0, 6, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1})
	known := path{addr: netip.MustParseAddrPort("127.0.0.1:9")}
	e.mu.Lock()
	e.byPath[known] = s
	e.mu.Unlock()
	unknown := path{addr: netip.MustParseAddrPort("127.0.0.1:10")}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, from := range []path{known, unknown} {
			e.packet(from, append([]byte{}, b...), time.Now())
		}
		if s.path.Load() != nil || e.sessionOn(unknown) != nil || s.Err() != nil {
			t.Fatalf("a packet nobody signed changed something: %x", b)
		}
	})
}

// A client that is let in may still send anything: none of it breaks the server.
func FuzzMedia(f *testing.F) {
	head := rtp.Header{Version: 2, PayloadType: 96, SSRC: 1, SequenceNumber: 1}
	_ = head.SetExtension(2, []byte("hi"))
	_ = head.SetExtension(5, []byte{0, 1})
	for _, payload := range [][]byte{nil, idr, {0, 1, 0x65}} {
		for _, pt := range []uint8{96, 97, 111} {
			head.PayloadType = pt
			b, err := (&rtp.Packet{Header: head, Payload: payload}).Marshal()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	report, err := rtcp.Marshal([]rtcp.Packet{
		&rtcp.SenderReport{SSRC: 1, NTPTime: 1 << 40, Reports: []rtcp.ReceptionReport{{SSRC: 2, FractionLost: 9}}},
		&rtcp.TransportLayerNack{MediaSSRC: 2, Nacks: []rtcp.NackPair{{PacketID: 1, LostPackets: 0xffff}}},
		&rtcp.FullIntraRequest{FIR: []rtcp.FIREntry{{SSRC: 2}}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(report)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > maxDatagram {
			return
		}
		p := newPublished(t,
			lanePlan{kind: video, payloadType: 96, rtx: 97, rids: []string{"hi", "low"}, rid: 2, repairedRID: 3, transportCC: 5},
			lanePlan{kind: audio, payloadType: 111})
		p.session.in.header = rtp.Header{}
		if _, err := p.session.in.header.Unmarshal(b); err == nil {
			for range 2 {
				p.rtp(append([]byte{}, b...), time.Now())
			}
		}
		sn := p.src.subscribe(outbound{
			kind: video, ssrc: 2, payloadType: 96,
			write:     func(*rtp.Header, []byte) (int, error) { return 0, nil },
			writeRTCP: func([]rtcp.Packet) (int, error) { return 0, nil },
		})
		packets := parseRTCP(b)
		p.rtcp(packets, time.Now())
		sn.feedback(packets)
		p.receptions(time.Now())
		if p.arrivals != nil {
			_, _ = rtcp.Marshal(p.arrivals.BuildFeedbackPacket())
		}
		sn.close()
	})
}

// A fragment is taken or refused, and only credentials that are well formed are.
func FuzzFragment(f *testing.F) {
	f.Add([]byte("a=ice-ufrag:efgh\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\nm=audio 9 X 1\r\na=mid:0\r\na=candidate:1 1 udp 1 ::1 9 typ host\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		found, err := parseFragment(text)
		if err != nil {
			checkRefusal(t, err)
		} else if found.ufrag != "" && !isICE(found.ufrag, 4) || found.pwd != "" && !isICE(found.pwd, 22) {
			t.Errorf("took %q", found)
		}
	})
}
