package ingest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// chunkReader puts RTMP messages together from the chunks they come in
// (RTMP 1.0 §5.3). A chunk is
//
//	basic header          1 to 3 bytes: type of the header that follows, chunk stream
//	message header        11, 7, 3 or 0 bytes: what is new since the stream's last message
//	extended timestamp    4 bytes, if the header's 24 bits cannot hold it
//	data                  up to the chunk size
//
// Messages of different chunk streams may be interleaved chunk by chunk, so
// that a long picture does not hold up the sound. Those of one stream follow
// each other.
//
// Lengths are claims. What a message claims counts against the limit at once,
// but its memory grows with the bytes that arrive.
type chunkReader struct {
	in        *bufio.Reader
	chunkSize int // of the data
	limit     int // of assembling
	streams   map[uint32]*chunkStream
	// assembling is the length of all messages that have begun and not ended,
	// in bytes.
	assembling int
}

// message is a whole RTMP message (RTMP 1.0 §6.1).
type message struct {
	kind      uint8
	timestamp uint32 // in milliseconds; wraps
	stream    uint32 // the message stream, as it stands on the wire
	body      []byte // of its own: nothing is read into it again
}

// chunkStream is what headers leave out because it is as before, and the
// message in assembly.
type chunkStream struct {
	message
	length   int    // of the message
	delta    uint32 // from one message to the next, in milliseconds
	extended bool   // the last timestamp or delta was too large for a header
	field    uint32 // that timestamp or delta

	// largest is the longest message so far. A buffer of that size is likely
	// enough for the next, and who has sent one may have it.
	largest int
}

const (
	defaultChunkSize = 128
	maxChunkSize     = 1<<31 - 1 // RTMP 1.0 §5.4.1
	// minChunkSize bounds what small chunks cost; the specification says a
	// chunk size should be at least this.
	minChunkSize = 128
	// maxChunkStreams bounds those with a state. Encoders use about five.
	maxChunkStreams = 64
	// firstRoom is what a message gets before anything of it has arrived, in
	// bytes.
	firstRoom = 4 << 10

	noTimestamp = 0xffffff // stands in a header for an extended timestamp
)

func newChunkReader(in *bufio.Reader, limit int) *chunkReader {
	return &chunkReader{in: in, chunkSize: defaultChunkSize, limit: limit, streams: make(map[uint32]*chunkStream)}
}

// next returns the next message that is whole. Chunks against the rules are a
// refusal; other errors are those of the reader below.
func (r *chunkReader) next() (message, error) {
	for {
		s, err := r.header()
		if err != nil {
			return message{}, err
		}
		if err := r.data(s); err != nil {
			return message{}, err
		}
		if len(s.body) == s.length {
			return r.take(s), nil
		}
	}
}

// header reads all headers of a chunk.
func (r *chunkReader) header() (*chunkStream, error) {
	format, id, err := r.basicHeader()
	if err != nil {
		return nil, err
	}
	s := r.streams[id]
	switch {
	case s == nil && format > 1:
		return nil, malformed("chunk stream %d begins without a length", id)
	case s == nil && len(r.streams) == maxChunkStreams:
		return nil, malformed("more than %d chunk streams", maxChunkStreams)
	case s == nil:
		// It should begin with a type 0 header, but librtmp sends pings
		// under one of type 1.
		s = new(chunkStream)
		r.streams[id] = s
	}
	if format < 3 {
		return s, r.messageHeader(s, format)
	}
	// The same as before, or the rest of a message (RTMP 1.0 §5.3.1.2.4).
	if s.body == nil {
		if err := r.begin(s, s.timestamp+s.delta); err != nil {
			return nil, err
		}
	}
	return s, r.repeated(s)
}

// basicHeader tells the type of a chunk's message header and the chunk stream
// (RTMP 1.0 §5.3.1.1).
func (r *chunkReader) basicHeader() (format byte, id uint32, err error) {
	b, err := r.in.ReadByte()
	if err != nil {
		return 0, 0, err
	}
	format, id = b>>6, uint32(b&63)
	if id > 1 {
		return format, id, nil
	}
	more, err := r.in.Peek(int(id) + 1)
	if err != nil {
		return 0, 0, err
	}
	if id = 64 + uint32(more[0]); len(more) == 2 {
		id += uint32(more[1]) << 8
	}
	_, err = r.in.Discard(len(more))
	return format, id, err
}

// messageHeader reads a header of type 0, 1 or 2 (RTMP 1.0 §5.3.1.2), which
// begins a message.
func (r *chunkReader) messageHeader(s *chunkStream, format byte) error {
	if s.body != nil {
		return malformed("a message begins inside another one")
	}
	size := [3]int{11, 7, 3}[format]
	h, err := r.in.Peek(size)
	if err != nil {
		return err
	}
	s.field = uint24(h)
	if format < 2 {
		s.length, s.kind = int(uint24(h[3:])), h[6]
	}
	if format == 0 {
		s.stream = binary.BigEndian.Uint32(h[7:])
	}
	if _, err := r.in.Discard(size); err != nil {
		return err
	}
	if s.extended = s.field == noTimestamp; s.extended {
		h, err := r.in.Peek(4)
		if err != nil {
			return err
		}
		s.field = binary.BigEndian.Uint32(h)
		if _, err := r.in.Discard(4); err != nil {
			return err
		}
	}
	// A timestamp of type 0 is the delta, too, of a message that follows
	// under type 3.
	s.delta = s.field
	if format == 0 {
		return r.begin(s, s.field)
	}
	return r.begin(s, s.timestamp+s.delta)
}

// repeated skips the extended timestamp of a type 3 chunk.
//
// It is there if the stream's last header had one (RTMP 1.0 §5.3.1.3). Before
// that edition it was not, and older librtmp still leaves it out. What differs
// from all that encoders put there is data: the field as it was, the message's
// time, or nothing but zeros.
func (r *chunkReader) repeated(s *chunkStream) error {
	if !s.extended {
		return nil
	}
	// A rest shorter than four bytes at the end of the connection is data.
	if b, err := r.in.Peek(4); err == nil {
		if v := binary.BigEndian.Uint32(b); v == s.field || v == s.timestamp || v == 0 {
			_, err = r.in.Discard(4)
			return err
		}
	}
	return nil
}

// begin starts a message in s.
func (r *chunkReader) begin(s *chunkStream, timestamp uint32) error {
	if r.assembling+s.length > r.limit {
		return malformed("messages of %d bytes at once, more than %d", r.assembling+s.length, r.limit)
	}
	r.assembling += s.length
	s.timestamp = timestamp
	s.body = make([]byte, 0, min(s.length, max(firstRoom, s.largest)))
	return nil
}

// data reads what a chunk holds of its message.
func (r *chunkReader) data(s *chunkStream) error {
	for left := min(s.length-len(s.body), r.chunkSize); left > 0; {
		if len(s.body) == cap(s.body) {
			s.body = append(make([]byte, 0, min(s.length, 2*cap(s.body))), s.body...)
		}
		at := len(s.body)
		s.body = s.body[:min(at+left, cap(s.body))]
		n, err := io.ReadFull(r.in, s.body[at:])
		if err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// take takes the finished message out of s.
func (r *chunkReader) take(s *chunkStream) message {
	m := s.message
	s.body, s.largest = nil, max(s.largest, s.length)
	r.assembling -= s.length
	return m
}

// abort drops the message in assembly on a chunk stream (RTMP 1.0 §5.4.2).
func (r *chunkReader) abort(id uint32) {
	if s := r.streams[id]; s != nil && s.body != nil {
		s.body, s.largest = nil, 0
		r.assembling -= s.length
	}
}

func uint24(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }

// malformed makes the error that ends a connection which breaks the protocol.
func malformed(format string, args ...any) error {
	return rejected("malformed RTMP: " + fmt.Sprintf(format, args...))
}
