package rtc

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/srtp/v3"
	"github.com/pion/webrtc/v4"
)

// Garbage on a connected path is dropped: forged, replayed, cut and endless media.
func TestHostileMedia(t *testing.T) {
	e := listen(t, nil)
	_, in := onAir(t, e, newSource(t), nil)
	from := *in.path.Load()
	had := in.Stats()
	for n := range 2000 {
		b := make([]byte, 12+n%600)
		b[0], b[1] = 0x80|byte(n), byte(n>>3)
		b[2], b[8], b[11] = byte(n), byte(n>>4), byte(n) // another SSRC each time
		e.packet(from, b, time.Now())
	}
	for _, b := range [][]byte{{0x80}, {0x80, 200}, {0x80, 200, 0, 0, 0, 0, 0, 0}, {22}, {22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, {63}} {
		e.packet(from, b, time.Now())
	}
	if n := len(in.in.ssrcs); n > 4 {
		t.Errorf("%d SSRCs are kept that nobody authentic sent", n)
	}
	deadline := time.Now().Add(patience)
	for in.Stats().Audio.Packets < had.Audio.Packets+10 {
		if in.Err() != nil || time.Now().After(deadline) {
			t.Fatalf("media stands still: %v", in.Err())
		}
		time.Sleep(time.Millisecond)
	}
}

// A client may use so many SSRCs and no more, however authentic they are.
func TestSourcesAreBounded(t *testing.T) {
	key, salt := make([]byte, 16), make([]byte, 12)
	out, err := srtp.CreateContext(key, salt, srtp.ProtectionProfileAeadAes128Gcm)
	if err != nil {
		t.Fatal(err)
	}
	in, err := srtp.CreateContext(key, salt, srtp.ProtectionProfileAeadAes128Gcm, srtp.SRTPReplayProtection(64))
	if err != nil {
		t.Fatal(err)
	}
	p := newPublished(t, lanePlan{kind: audio, payloadType: 111})
	p.session.media = p
	p.session.in.start(in)
	for ssrc := range 1000 {
		b, err := out.EncryptRTP(nil, []byte{0x80, 111, 0, 1, 0, 0, 0, 1, 0, 0, byte(ssrc >> 8), byte(ssrc), 7}, nil)
		if err != nil {
			t.Fatal(err)
		}
		p.session.receive(b, time.Now())
	}
	if n := len(p.session.in.ssrcs); n != maxSources {
		t.Errorf("%d SSRCs", n)
	}
	if len(p.tracks) != 1 {
		t.Errorf("%d tracks of sound", len(p.tracks))
	}
}

// lossy drops one in so many packets of media that it sends.
type lossy struct {
	*net.UDPConn
	n, dropped atomic.Int64
}

func (l *lossy) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if len(b) > 0 && b[0] >= 128 && l.n.Add(1)%11 == 0 {
		l.dropped.Add(1)
		return len(b), nil
	}
	return l.UDPConn.WriteToUDPAddrPort(b, to)
}

// What the network loses on the way to a subscriber comes again when it asks.
func TestLossIsRepaired(t *testing.T) {
	var network *lossy
	e := listen(t, func(c *Config) {
		network = &lossy{UDPConn: c.UDP.(*net.UDPConn)}
		c.UDP = network
	})
	src := newSource(t)
	pub := dial(t, nil)
	pictures := pub.sends(webrtc.MimeTypeH264)
	in, answer, err := e.Publish(t.Context(), pub.offer(), src, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	pub.answer(answer)
	feed(t, pictures, nil)
	wait(t, "media flows", in.Flowing())
	sub := dial(t, nil)
	sub.receives(webrtc.RTPCodecTypeVideo)
	out, answer, err := e.Subscribe(t.Context(), sub.offer(), src)
	if err != nil {
		t.Fatal(err)
	}
	sub.answer(answer)
	track := wait(t, "a track", sub.tracks)
	const packets = 400
	seen := map[uint16]bool{}
	var first uint16
	complete := func() error {
		for n := range uint16(packets) {
			if !seen[first+n] {
				return fmt.Errorf("packet %d of %d is missing", n, packets)
			}
		}
		return nil
	}
	deadline := time.Now().Add(patience)
	for complete() != nil {
		p, _, err := track.ReadRTP()
		if err != nil || time.Now().After(deadline) {
			t.Fatal(err, complete())
		}
		if len(seen) == 0 {
			first = p.SequenceNumber
		}
		seen[p.SequenceNumber] = true
	}
	if st := out.Stats(); network.dropped.Load() < packets/20 || st.Video.Repaired == 0 {
		t.Errorf("%d lost, %d repaired", network.dropped.Load(), st.Video.Repaired)
	}
}
