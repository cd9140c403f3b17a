package ingest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// flvTag is a message as it stands in an aggregate.
func flvTag(kind byte, stamp uint32, body string, back string) string {
	return string([]byte{
		kind, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body)),
		byte(stamp >> 16), byte(stamp >> 8), byte(stamp), byte(stamp >> 24), 0, 0, 0,
	}) + body + back
}

func TestAggregate(t *testing.T) {
	const back = "\x00\x00\x00\x0d"
	video, audio := flvTag(9, 1000, "ab", back), flvTag(8, 1023, "cde", back)
	for _, tt := range []struct {
		name      string
		timestamp uint32
		in        string
		want, err string
	}{
		{"nothing", 5, "", "", ""},
		{"one", 1000, video, `9@1000 "ab"`, ""},
		{"moved", 5000, video + audio, `9@5000 "ab", 8@5023 "cde"`, ""},
		{"goes back", 10, video + flvTag(8, 995, "c", back), `9@10 "ab", 8@5 "c"`, ""},
		{"goes back below zero", 2, video + flvTag(8, 995, "c", back), `9@2 "ab", 8@4294967293 "c"`, ""},
		{"upper bits", 0, flvTag(9, 0x01000000, "a", back) + flvTag(9, 0x02000000, "b", back), `9@0 "a", 9@16777216 "b"`, ""},
		{"wrong back pointers", 0, flvTag(9, 0, "a", "\xff\xff\xff\xff") + flvTag(8, 1, "b", "\x00\x00\x00\x00"), `9@0 "a", 8@1 "b"`, ""},
		{"no last back pointer", 0, flvTag(9, 0, "a", back) + flvTag(8, 1, "b", ""), `9@0 "a", 8@1 "b"`, ""},
		{"half a last back pointer", 0, flvTag(9, 0, "a", "\x00\x00"), `9@0 "a"`, ""},
		{"empty parts", 7, flvTag(9, 1, "", back) + flvTag(8, 2, "", back), `9@7 "", 8@8 ""`, ""},
		{"half a header", 1000, video + audio[:10], `9@1000 "ab"`, "ends inside a header"},
		{"part longer than the rest", 1000, video + audio[:13], `9@1000 "ab"`, "ends inside a message of 3 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := message{kind: msgAggregate, timestamp: tt.timestamp, body: []byte(tt.in)}
			var parts []message
			var last error
			for part, err := range m.parts() {
				if last = err; err == nil {
					parts = append(parts, part)
				}
			}
			clear(m.body) // of which no part is a part
			var got []string
			for _, p := range parts {
				got = append(got, fmt.Sprintf("%d@%d %q", p.kind, p.timestamp, p.body))
			}
			if got := strings.Join(got, ", "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if tt.err != "" {
				expectRejected(t, last, "malformed RTMP: aggregate message "+tt.err)
			} else if last != nil {
				t.Error(last)
			}
		})
	}
}

func FuzzAggregate(f *testing.F) {
	f.Add(uint32(0), []byte(flvTag(9, 0, "ab", "\x00\x00\x00\x0d")+flvTag(8, 21, "cde", "")))
	f.Add(uint32(1<<31), []byte(flvTag(22, 1<<31, flvTag(9, 0, "a", ""), "\x00\x00")))
	f.Add(uint32(7), []byte(flvTag(9, 40, "", "\x00\x00\x00\x0b")+flvTag(18, 0, "ab", "")[:12]))
	f.Fuzz(func(t *testing.T, timestamp uint32, in []byte) {
		m := message{kind: msgAggregate, timestamp: timestamp, body: in}
		rest, first, began, broken := in, uint32(0), false, false
		for part, err := range m.parts() {
			if broken {
				t.Fatal("goes on behind an error")
			}
			if broken = err != nil; broken {
				expectRejected(t, err, "malformed RTMP: aggregate")
				continue
			}
			// Written back with the first time it had, it is what it was.
			if !began {
				began, first = true, uint24(rest[4:])|uint32(rest[7])<<24
			}
			tag := flvTag(part.kind, first+part.timestamp-timestamp, string(part.body), "")
			copy(rest[8:11], []byte{0, 0, 0})
			if !bytes.HasPrefix(rest, []byte(tag)) {
				t.Fatalf("part % x is not at the front of % x", tag, rest)
			}
			rest = rest[min(len(tag)+4, len(rest)):]
		}
		if !broken && len(rest) > 0 {
			t.Fatalf("% x is left", rest)
		}
	})
}
