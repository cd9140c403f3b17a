package rtc

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

func TestParse(t *testing.T) {
	good := []byte{0x80, 0xe0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3}
	with := func(change func(b []byte) []byte) []byte { return change(bytes.Clone(good)) }
	tests := map[string]struct {
		packet, payload []byte
		ok              bool
	}{
		"empty payload":    {good, nil, true},
		"payload":          {append(bytes.Clone(good), 7, 8), []byte{7, 8}, true},
		"padding":          {with(func(b []byte) []byte { b[0] |= 0x20; return append(b, 7, 0, 0, 3) }), []byte{7}, true},
		"padding alone":    {with(func(b []byte) []byte { b[0] |= 0x20; return append(b, 0, 2) }), nil, true},
		"too much padding": {with(func(b []byte) []byte { b[0] |= 0x20; return append(b, 7, 4) }), nil, false},
		"no padding":       {with(func(b []byte) []byte { b[0] |= 0x20; return append(b, 7, 0) }), nil, false},
		"contributors":     {with(func(b []byte) []byte { b[0] |= 2; return append(b, 1, 2, 3, 4, 5, 6, 7, 8, 9) }), []byte{9}, true},
		"no contributors":  {with(func(b []byte) []byte { b[0] |= 2; return append(b, 1, 2, 3, 4) }), nil, false},
		"extension":        {with(func(b []byte) []byte { b[0] |= 0x10; return append(b, 0xbe, 0xde, 0, 1, 0x10, 5, 0, 0, 9) }), []byte{9}, true},
		"extension beyond": {with(func(b []byte) []byte { b[0] |= 0x10; return append(b, 0xbe, 0xde, 0xff, 0xff, 0x10, 5, 0, 0) }), nil, false},
		"version 1":        {with(func(b []byte) []byte { b[0] = 0x40; return b }), nil, false},
		"short":            {good[:11], nil, false},
		"nothing":          {nil, nil, false},
		"longest":          {append(bytes.Clone(good), make([]byte, maxPacket-12)...), make([]byte, maxPacket-12), true},
		"too long":         {append(bytes.Clone(good), make([]byte, maxPacket-11)...), nil, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var p rtp.Packet
			err := parse(&p, tt.packet)
			if (err == nil) != tt.ok {
				t.Fatalf("error %v, want ok: %v", err, tt.ok)
			}
			if err == nil && !bytes.Equal(p.Payload, tt.payload) {
				t.Errorf("payload %x, want %x", p.Payload, tt.payload)
			}
		})
	}
}

// Whatever a publisher sends, subscribers get each number once, and only payloads
// that came.
func FuzzPackets(f *testing.F) {
	pack := func(packets ...[]byte) (all []byte) {
		for _, p := range packets {
			all = append(binary.BigEndian.AppendUint16(all, uint16(len(p))), p...)
		}
		return all
	}
	head := func(seq uint16, payload ...byte) []byte {
		b := binary.BigEndian.AppendUint16([]byte{0x80, 0xe0}, seq)
		return append(append(b, 0, 0, byte(seq), 2, 0, 0, 0, 3), payload...)
	}
	padding := append([]byte{0xa0}, head(3)[1:]...)
	f.Add(pack(head(1, sps["1280x720"]...), head(2, idr...), append(padding, 1), head(4, slice...), head(2, idr...), head(60000), head(60001, 9)))
	f.Add(pack(head(1, append([]byte{0x78, 0, 25}, sps["320x180"]...)...), head(2, 0x7c, 0x85, 1), head(3, 0x78, 0xff, 0xff), head(4, 0x78, 0, 0)))
	f.Add(pack(head(65535, 0x67), head(0, 0x67, 0x42, 0xc0), head(0, 0x7c, 0x87), head(1, 0x1c)))
	f.Fuzz(func(t *testing.T, data []byte) {
		for kind := range kinds {
			src := NewSource()
			layer := src.connect(Limits{Bitrate: 1000, Width: 1280, Height: 720}, [kinds]bool{true, true}, func([]rtcp.Packet) error { return nil }, func(error) {}).attach(inbound{kind: kind})
			var written [][]byte
			for rest := data; len(rest) >= 2; {
				n := min(int(binary.BigEndian.Uint16(rest)), len(rest)-2)
				layer.write(rest[2 : 2+n])
				written = append(written, rest[2:2+n])
				rest = rest[2+n:]
			}
			c := &layer.lane.cache
			numbers := map[uint64]bool{}
			for _, p := range c.since(nil, 0, c.head) {
				if numbers[p.number] {
					t.Fatalf("number %d twice", p.number)
				}
				numbers[p.number] = true
				if c.at(p.number) != nil && c.at(p.number) != p || binary.BigEndian.Uint16(p.bytes) != uint16(p.number) {
					t.Fatalf("packet %d is not under its number", p.number)
				}
				if !slices.ContainsFunc(written, func(w []byte) bool { return bytes.Contains(w, p.payload()) }) {
					t.Fatalf("payload %x never came", p.payload())
				}
			}
			layer.stats()
			src.Close()
		}
	})
}
