package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib/pkg/bytecounter"
	"github.com/bluenviron/gortmplib/pkg/rawmessage"

	"anabranch/internal/broadcast"
)

// newTestReader reads chunks of 4 bytes from b, up to 1 kB at once.
func newTestReader(b []byte) *chunkReader {
	r := newChunkReader(bufio.NewReader(bytes.NewReader(b)), 1<<10)
	r.chunkSize = 4
	return r
}

// TestChunks reads chunks byte for byte. A message is kind@time "body".
func TestChunks(t *testing.T) {
	const (
		head  = "\x06\x00\x00\x0a\x00\x00\x02\x09\x01\x00\x00\x00" // stream 6, time 10, 2 bytes of video
		long  = "\x06\x00\x00\x0a\x00\x00\x06\x09\x01\x00\x00\x00" // 6 bytes
		far   = "\x06\xff\xff\xff\x00\x00\x0a\x09\x01\x00\x00\x00\x01\x00\x00\x00"
		front = head + "ab"
	)
	for _, tt := range []struct{ name, in, want, err string }{
		{"type 0", head + "ab", `9@10 "ab"`, ""},
		{"type 1", front + "\x46\x00\x00\x05\x00\x00\x01\x08c", `9@10 "ab", 8@15 "c"`, ""},
		{"type 2", front + "\x86\x00\x00\x05cd", `9@10 "ab", 9@15 "cd"`, ""},
		{"type 3 after 2", front + "\x86\x00\x00\x05cd\xc6ef\xc6gh", `9@10 "ab", 9@15 "cd", 9@20 "ef", 9@25 "gh"`, ""},
		{"type 3 after 0", front + "\xc6cd\xc6ef", `9@10 "ab", 9@20 "cd", 9@30 "ef"`, ""},
		{"type 3 after 0 at zero", "\x06\x00\x00\x00\x00\x00\x01\x09\x01\x00\x00\x00a\xc6b", `9@0 "a", 9@0 "b"`, ""},
		{"goes back", front + "\x06\x00\x00\x01\x00\x00\x01\x09\x01\x00\x00\x00c", `9@10 "ab", 9@1 "c"`, ""},
		{"type 1 at first", "\x42\x00\x00\x05\x00\x00\x01\x04a", `4@5 "a"`, ""},

		{"several chunks", long + "abcd\xc6ef", `9@10 "abcdef"`, ""},
		{"whole chunks", "\x06\x00\x00\x0a\x00\x00\x08\x09\x01\x00\x00\x00abcd\xc6efgh", `9@10 "abcdefgh"`, ""},
		{"interleaved", long + "abcd" + "\x04\x00\x00\x07\x00\x00\x05\x08\x01\x00\x00\x00ABCD" + "\xc6ef" + "\xc4E",
			`9@10 "abcdef", 8@7 "ABCDE"`, ""},
		{"empty messages", "\x06\x00\x00\x01\x00\x00\x00\x09\x01\x00\x00\x00\xc6\xc6", `9@1 "", 9@2 "", 9@3 ""`, ""},

		{"stream 64", "\x00\x00" + head[1:] + "ab", `9@10 "ab"`, ""},
		{"stream 319", "\x00\xff" + head[1:] + "ab", `9@10 "ab"`, ""},
		{"stream 320 and 65599", "\x01\x00\x01" + long[1:] + "abcd" + "\x01\xff\xff" + long[1:] + "ABCD" + "\xc1\x00\x01ef\xc1\xff\xffEF",
			`9@10 "abcdef", 9@10 "ABCDEF"`, ""},
		{"stream 64 in both forms", "\x00\x00" + long[1:] + "abcd" + "\xc1\x00\x00ef", `9@10 "abcdef"`, ""},

		{"extended, repeated", far + "abcd\xc6\x01\x00\x00\x00efgh\xc6\x01\x00\x00\x00ij", `9@16777216 "abcdefghij"`, ""},
		{"extended, not repeated", far + "abcd\xc6efgh\xc6ij\xc6klmn\xc6opqr\xc6st", `9@16777216 "abcdefghij", 9@33554432 "klmnopqrst"`, ""},
		{"extended, zeros for it", far + "abcd\xc6\x00\x00\x00\x00efgh\xc6\x00\x00\x00\x00ij", `9@16777216 "abcdefghij"`, ""},
		{"extended delta", front + "\x46\xff\xff\xff\x00\x00\x06\x09\x01\x00\x00\x00abcd\xc6\x01\x00\x00\x00ef", `9@10 "ab", 9@16777226 "abcdef"`, ""},
		{"extended delta, time for it", front + "\x46\xff\xff\xff\x00\x00\x06\x09\x01\x00\x00\x00abcd\xc6\x01\x00\x00\x0aef",
			`9@10 "ab", 9@16777226 "abcdef"`, ""},
		{"extended delta, again", front + "\x86\xff\xff\xff\x01\x00\x00\x00cd\xc6\x01\x00\x00\x00ef", `9@10 "ab", 9@16777226 "cd", 9@33554442 "ef"`, ""},
		{"extended no more", far + "abcd\xc6\x01\x00\x00\x00efgh\xc6\x01\x00\x00\x00ij" + "\x46\x00\x00\x01\x00\x00\x06\x09abcd\xc6ef",
			`9@16777216 "abcdefghij", 9@16777217 "abcdef"`, ""},
		{"extended for nothing", "\x06\xff\xff\xff\x00\x00\x01\x09\x01\x00\x00\x00\x00\x00\x00\x05a", `9@5 "a"`, ""},
		{"wraps", "\x06\xff\xff\xff\x00\x00\x01\x09\x01\x00\x00\x00\xff\xff\xff\xffa\x86\x00\x00\x02b", `9@4294967295 "a", 9@1 "b"`, ""},

		{"type 2 at first", "\x86\x00\x00\x05ab", "", "chunk stream 6 begins without a length"},
		{"type 3 at first", "\xc1\xff\xff", "", "chunk stream 65599 begins without a length"},
		{"message in a message", long + "abcd" + head, "", "begins inside another one"},
		{"claims too much", "\x06\x00\x00\x00\x00\x04\x01\x09\x01\x00\x00\x00", "", "messages of 1025 bytes at once, more than 1024"},
		{"claims too much together", "\x06\x00\x00\x00\x00\x02\x00\x09\x01\x00\x00\x00abcd" + "\x04\x00\x00\x00\x00\x02\x01\x09\x01\x00\x00\x00", "", "messages of 1025 bytes"},
		{"claims too much under type 3", long + "abcd\xc6ef" + "\x04\x00\x00\x00\x00\x03\xff\x09\x01\x00\x00\x00abcd\xc6", `9@10 "abcdef"`, "messages of 1029 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newTestReader([]byte(tt.in))
			got, err := readAll(t, r)
			if got := strings.Join(got, ", "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if tt.err != "" {
				expectRejected(t, err, "malformed RTMP: ")
				expectRejected(t, err, tt.err)
			} else if err != io.EOF || r.assembling != 0 {
				t.Errorf("ended with %v, %d bytes in assembly", err, r.assembling)
			}
		})
	}
}

// readAll tells all messages and the error that ended them.
func readAll(t *testing.T, r *chunkReader) (got []string, err error) {
	t.Helper()
	for {
		m, err := r.next()
		expectBounded(t, r)
		if err != nil {
			return got, err
		}
		if len(m.body) != cap(m.body) {
			t.Errorf("a body of %d bytes has room for %d", len(m.body), cap(m.body))
		}
		got = append(got, fmt.Sprintf("%d@%d %q", m.kind, m.timestamp, m.body))
	}
}

// expectBounded checks what holds of a chunkReader whatever it reads.
func expectBounded(t testing.TB, r *chunkReader) {
	t.Helper()
	claimed := 0
	for id, s := range r.streams {
		if s.body == nil {
			continue
		}
		claimed += s.length
		if room := cap(s.body); room > s.length || room > max(firstRoom, s.largest, 2*len(s.body)) {
			t.Fatalf("chunk stream %d has room for %d bytes: %d of %d came, the longest so far had %d", id, room, len(s.body), s.length, s.largest)
		}
	}
	if claimed != r.assembling || claimed > r.limit || len(r.streams) > maxChunkStreams {
		t.Fatalf("%d bytes in assembly, counted as %d, limit %d; %d chunk streams", claimed, r.assembling, r.limit, len(r.streams))
	}
}

func TestAbort(t *testing.T) {
	long := chunk0(6, msgVideo, 6, []byte("abcd"))
	r := newTestReader(slices.Concat(long, long, []byte("\xc6ef")))
	if _, err := r.header(); err != nil {
		t.Fatal(err)
	}
	s := r.streams[6]
	if err := r.data(s); err != nil || r.assembling != 6 {
		t.Fatalf("%d bytes in assembly (error %v)", r.assembling, err)
	}
	r.abort(7)
	r.abort(6)
	r.abort(6)
	if r.assembling != 0 {
		t.Errorf("after the abort, %d bytes in assembly", r.assembling)
	}
	if got, err := readAll(t, r); err != io.EOF || !slices.Equal(got, []string{`9@0 "abcdef"`}) {
		t.Errorf("after the abort: %s, %v", got, err)
	}
}

func TestTooManyChunkStreams(t *testing.T) {
	var in []byte
	for id := range byte(maxChunkStreams) {
		in = append(in, 0, id)
		in = append(in, chunk0(0, msgVideo, 0, nil)[1:]...)
	}
	if got, err := readAll(t, newTestReader(in)); err != io.EOF || len(got) != maxChunkStreams {
		t.Errorf("%d messages, %v", len(got), err)
	}
	_, err := readAll(t, newTestReader(append(in, chunk0(6, msgVideo, 0, nil)...)))
	expectRejected(t, err, "malformed RTMP: more than 64 chunk streams")
}

// TestClaims begins as many messages as there may be, each with a little of
// what it claims, then sends the rest of one of them.
func TestClaims(t *testing.T) {
	const claim = maxAssembling / maxChunkStreams
	for _, little := range []int{1, firstRoom + 1} {
		var in bytes.Buffer
		for id := range byte(maxChunkStreams) {
			in.Write([]byte{0, id})
			in.Write(chunk0(0, msgVideo, claim, make([]byte, little))[1:])
		}
		r := newChunkReader(bufio.NewReader(&in), maxAssembling)
		r.chunkSize = little
		if _, err := r.next(); err != io.EOF {
			t.Fatal(err)
		}
		expectBounded(t, r)
		room := 0
		for _, s := range r.streams {
			room += cap(s.body)
		}
		if room > maxChunkStreams*max(firstRoom, 2*little) {
			t.Errorf("%d bytes of each of %d messages got %d", little, maxChunkStreams, room)
		}
		r.chunkSize = claim
		in.Write([]byte{0xc0, 63})
		in.Write(make([]byte, claim-little))
		if m, err := r.next(); err != nil || len(m.body) != claim {
			t.Errorf("message of %d bytes, %v", len(m.body), err)
		}
		expectBounded(t, r)
	}
}

// sample is what a publisher sends in ten seconds at 2.5 Mbit/s, 30 pictures
// and 47 sounds a second, in chunks of that size. It comes as messages, too.
func sample(t testing.TB, chunkSize int) (in []byte, messages int) {
	t.Helper()
	var out bytes.Buffer
	w := rawmessage.NewWriter(&out, nil, false)
	w.SetChunkSize(uint32(chunkSize))
	for i := range 300 {
		size := 9400
		if i%60 == 0 {
			size = 60_000
		}
		at := time.Duration(i) * time.Second / 30
		for _, m := range []rawmessage.Message{
			{ChunkStreamID: 6, Type: msgVideo, MessageStreamID: theStream, Timestamp: at, Body: make([]byte, size+i%7)},
			{ChunkStreamID: 4, Type: msgAudio, MessageStreamID: theStream, Timestamp: at, Body: make([]byte, 340+i%5)},
			{ChunkStreamID: 4, Type: msgAudio, MessageStreamID: theStream, Timestamp: at + 21*time.Millisecond, Body: make([]byte, 340+i%5)},
		} {
			if i%2 == 1 && m.Timestamp > at {
				continue
			}
			if err := w.Write(&m); err != nil {
				t.Fatal(err)
			}
			messages++
		}
	}
	return out.Bytes(), messages
}

// TestChunksAllocate: one allocation a message, however many chunks it has.
func TestChunksAllocate(t *testing.T) {
	for _, size := range []int{128, 4096} {
		in, messages := sample(t, size)
		source := bytes.NewReader(in)
		r := newChunkReader(bufio.NewReader(source), maxAssembling)
		r.chunkSize = size
		got := testing.AllocsPerRun(5, func() { // which warms up by a run of its own
			source.Reset(in)
			for {
				if _, err := r.next(); err != nil {
					break
				}
			}
		})
		if got > float64(messages)*1.01 { // others may allocate meanwhile
			t.Errorf("chunks of %d bytes: %v allocations for %d messages", size, got, messages)
		}
	}
}

func BenchmarkChunks(b *testing.B) {
	for _, size := range []int{128, 4096} {
		in, messages := sample(b, size)
		run := func(name string, read func(source io.Reader) error) {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(in)))
				for b.Loop() {
					if err := read(bytes.NewReader(in)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("own", func(source io.Reader) error {
			r := newChunkReader(bufio.NewReaderSize(source, 16<<10), maxAssembling)
			r.chunkSize = size
			for range messages {
				if _, err := r.next(); err != nil {
					return err
				}
			}
			return nil
		})
		run("library", func(source io.Reader) error {
			count := bytecounter.NewReader(source)
			r := rawmessage.NewReader(bufio.NewReaderSize(count, 16<<10), count, nil)
			if err := r.SetChunkSize(uint32(size)); err != nil {
				return err
			}
			for range messages {
				if _, err := r.Read(); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// FuzzChunks reads chunks of any kind.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("\x06\x00\x00\x0a\x00\x00\x06\x09\x01\x00\x00\x00abcd\xc6ef"))
	f.Add([]byte("\x06\xff\xff\xff\x00\x00\x0a\x09\x01\x00\x00\x00\x01\x00\x00\x00abcd\xc6\x01\x00\x00\x00efgh\xc6ij"))
	f.Add([]byte("\x01\xff\xff\x00\x00\x0a\x00\x00\x02\x09\x01\x00\x00\x00ab\x00\xff\x00\x00\x0a\x00\x00\x02\x09\x01\x00\x00\x00ab"))
	f.Add([]byte("\x42\x00\x00\x05\x00\x00\x01\x04a\x82\x00\x00\x01b\xc2c\xc2d"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := newTestReader(in)
		size := 0
		for {
			m, err := r.next()
			expectBounded(t, r)
			var refused *broadcast.Refused
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.As(err, &refused) {
				t.Fatalf("error without a reason for the publisher: %v", err)
			}
			if err != nil {
				break
			}
			if size += len(m.body) + 1; size > len(in) {
				t.Fatalf("%d bytes of messages came from %d", size, len(in))
			}
		}
	})
}

// FuzzChunksWritten reads what the library writes. A message takes five bytes
// of the plan: chunk stream, kind, length in two, and how far the time goes on;
// where the length is zero, the chunk size changes instead.
func FuzzChunksWritten(f *testing.F) {
	f.Add([]byte{6, 9, 1, 0, 40, 4, 8, 0, 90, 21, 6, 9, 1, 0, 40, 6, 9, 1, 0, 40})
	f.Add([]byte{6, 9, 0, 0, 200, 6, 9, 9, 9, 255, 6, 9, 9, 9, 254, 6, 9, 9, 9, 0, 7, 9, 1, 0, 255, 7, 9, 1, 0, 255})
	f.Add([]byte{2, 4, 0, 6, 1, 63, 18, 3, 0, 1, 6, 9, 0, 0, 0, 6, 9, 255, 255, 253})
	noise := make([]byte, 1<<16+251)
	for i := range noise {
		noise[i] = byte(i*7 + i>>8)
	}
	f.Fuzz(func(t *testing.T, plan []byte) {
		var (
			wire  bytes.Buffer
			want  []rawmessage.Message
			at    time.Duration
			total int
		)
		w := rawmessage.NewWriter(&wire, nil, false)
		type change struct{ at, size int }
		var changes []change
		for ; len(plan) >= 5 && total < 128<<10; plan = plan[5:] {
			length := int(plan[2])<<8 | int(plan[3])
			if length == 0 {
				size := minChunkSize << (plan[4] % 16)
				w.SetChunkSize(uint32(size))
				changes = append(changes, change{len(want), size})
				continue
			}
			at += [...]time.Duration{0, -time.Second, 5 * time.Hour, 1000 * time.Hour}[plan[4]>>6&3] + time.Duration(plan[4]&63)*time.Millisecond
			m := rawmessage.Message{
				ChunkStreamID: 2 + plan[0]%62, Type: plan[1], MessageStreamID: theStream, Body: noise[len(want)%251:][:length],
				Timestamp: time.Duration(uint32(max(at, 0)/time.Millisecond)) * time.Millisecond,
			}
			if err := w.Write(&m); err != nil {
				t.Fatal(err)
			}
			want = append(want, m)
			total += length
		}
		r := newChunkReader(bufio.NewReader(&wire), maxAssembling)
		for i, m := range want {
			for ; len(changes) > 0 && changes[0].at == i; changes = changes[1:] {
				r.chunkSize = changes[0].size
			}
			got, err := r.next()
			if err != nil {
				t.Fatalf("message %d: %v", i, err)
			}
			expectBounded(t, r)
			if got.kind != m.Type || got.stream != m.MessageStreamID || !bytes.Equal(got.body, m.Body) ||
				time.Duration(got.timestamp)*time.Millisecond != m.Timestamp {
				t.Fatalf("message %d: type %d at %d ms with %d bytes; want %d at %v with %d",
					i, got.kind, got.timestamp, len(got.body), m.Type, m.Timestamp, len(m.Body))
			}
		}
		if _, err := r.next(); err != io.EOF {
			t.Fatalf("after the last message: %v", err)
		}
	})
}
