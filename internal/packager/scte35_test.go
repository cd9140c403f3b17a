package packager

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"
)

// bitReader reads a section from its first bit on.
type bitReader struct {
	t    *testing.T
	data []byte
	at   int
}

func (b *bitReader) read(n int) (v uint64) {
	for range n {
		if b.at >= 8*len(b.data) {
			b.t.Fatalf("section ends at bit %d", b.at)
		}
		v = v<<1 | uint64(b.data[b.at/8]>>(7-b.at%8)&1)
		b.at++
	}
	return v
}

// want reads a field and compares it.
func (b *bitReader) want(name string, n int, want uint64) {
	b.t.Helper()
	if got := b.read(n); got != want {
		b.t.Errorf("%s is %#x, want %#x", name, got, want)
	}
}

// What is written is read field by field, as the tables of SCTE 35 §9.6 and §9.7
// have them.
func TestSpliceInsert(t *testing.T) {
	for _, tt := range []struct {
		name  string
		out   bool
		d     time.Duration
		ticks uint64
	}{
		{"out for a second", true, time.Second, 90_000},
		{"out for five minutes", true, 300 * time.Second, 27_000_000},
		{"out for so long that it takes 33 bits", true, 50_000 * time.Second, 4_500_000_000},
		{"in", false, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			section := appendSpliceInsert([]byte("before"), 0xCAFE0123, tt.out, tt.d)[len("before"):]
			if crc32MPEG(section) != 0 {
				t.Error("the checksum is wrong")
			}
			b := &bitReader{t: t, data: section}
			b.want("table_id", 8, 0xFC)
			b.want("section_syntax_indicator", 1, 0)
			b.want("private_indicator", 1, 0)
			b.want("sap_type", 2, 3)
			b.want("section_length", 12, uint64(len(section)-3))
			b.want("protocol_version", 8, 0)
			b.want("encrypted_packet", 1, 0)
			b.want("encryption_algorithm", 6, 0)
			b.want("pts_adjustment", 33, 0)
			b.want("cw_index", 8, 0)
			b.want("tier", 12, 0xFFF)
			length := int(b.read(12))
			b.want("splice_command_type", 8, 5)
			command := b.at / 8
			b.want("splice_event_id", 32, 0xCAFE0123)
			b.want("splice_event_cancel_indicator", 1, 0)
			b.want("reserved", 7, 0x7F)
			out := uint64(0)
			if tt.out {
				out = 1
			}
			b.want("out_of_network_indicator", 1, out)
			b.want("program_splice_flag", 1, 1)
			b.want("duration_flag", 1, out)
			b.want("splice_immediate_flag", 1, 1)
			b.want("reserved", 4, 0xF)
			if tt.out {
				b.want("auto_return", 1, 1)
				b.want("reserved", 6, 0x3F)
				b.want("duration", 33, tt.ticks)
			}
			b.want("unique_program_id", 16, 1)
			b.want("avail_num", 8, 0)
			b.want("avails_expected", 8, 0)
			if got := b.at/8 - command; got != length {
				t.Errorf("splice_command_length is %d, the command has %d bytes", length, got)
			}
			b.want("descriptor_loop_length", 16, 0)
			if rest := 8*len(section) - b.at; rest != 32 {
				t.Errorf("%d bits where the checksum is to be", rest)
			}
		})
	}
}

// The two messages of a break are of one event, those of two breaks are not.
func TestSpliceEvents(t *testing.T) {
	event := func(tag []byte) string {
		_, section, _ := strings.Cut(string(tag), "=0x")
		b, err := hex.DecodeString(strings.TrimSpace(section))
		if err != nil || len(b) < 18 {
			t.Fatalf("tag %s: %v", tag, err)
		}
		return string(b[14:18])
	}
	one, other := AdBreak{ID: "Zx81kQm0pLw4"}, AdBreak{ID: "Zx81kQm0pLw5"}
	if event(one.AppendOut(nil)) != event(one.AppendIn(nil)) {
		t.Error("a break ends with another event than it began with")
	}
	if event(one.AppendOut(nil)) == event(other.AppendOut(nil)) {
		t.Error("two breaks have the same event")
	}
}

// What has become of a break shows in new edges alone.
func TestPutLeavesOlderEdges(t *testing.T) {
	older := &edge{}
	older.put(adBreak{AdBreak: AdBreak{ID: "one"}})
	newer := older.copy()
	newer.put(adBreak{AdBreak: AdBreak{ID: "one"}, Out: 5})
	if older.breaks[0].Out != 0 || len(newer.breaks) != 1 || newer.breaks[0].Out != 5 {
		t.Errorf("older edge %+v, newer edge %+v", older.breaks, newer.breaks)
	}
}
