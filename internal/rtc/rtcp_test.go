package rtc

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/pion/rtcp"
)

// What is read of a compound packet, and what is passed over.
func TestParseRTCP(t *testing.T) {
	sent := []rtcp.Packet{
		&rtcp.SenderReport{SSRC: 1},
		rtcp.NewCNAMESourceDescription(1, "a"),
		&rtcp.ReceiverReport{SSRC: 1},
		&rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: 1e6, SSRCs: []uint32{2}},
		&rtcp.TransportLayerNack{MediaSSRC: 2, Nacks: []rtcp.NackPair{{PacketID: 1}}},
		&rtcp.PictureLossIndication{MediaSSRC: 2},
		&rtcp.FullIntraRequest{FIR: []rtcp.FIREntry{{SSRC: 2}}},
		&rtcp.Goodbye{Sources: []uint32{1}},
	}
	whole, err := rtcp.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	read, err := rtcp.Marshal([]rtcp.Packet{sent[0], sent[2], sent[4], sent[5], sent[6]})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := rtcp.Marshal(parseRTCP(whole)); err != nil || !bytes.Equal(got, read) {
		t.Errorf("read %x, %v; want %x", got, err, read)
	}
	if got := parseRTCP(whole[:len(whole)-1]); got != nil {
		t.Errorf("of a packet that is cut short it read %v", got)
	}
}

// Transport-wide feedback about millions of packets, which pion would list one by one.
func TestExpandingFeedback(t *testing.T) {
	b := make([]byte, 2000)
	b[0], b[1] = 0x80|rtcp.FormatTCC, byte(rtcp.TypeTransportSpecificFeedback)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)/4-1))
	binary.BigEndian.PutUint16(b[14:], 65535)
	for i := 20; i < len(b); i += 2 {
		binary.BigEndian.PutUint16(b[i:], 1<<13|8191) // so many came in time
	}
	if n := testing.AllocsPerRun(1, func() { parseRTCP(b) }); n > 100 {
		t.Errorf("%v allocations for one packet", n)
	}
}
