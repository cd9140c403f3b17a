package ingest

import (
	"bytes"
	"iter"
)

// parts takes an aggregate message apart (RTMP 1.0 §7.1.6). Its body is a row
// of FLV tags (FLV E.4.1), without the file's header:
//
//	type        1 byte, that of the message
//	length      3 bytes
//	timestamp   3 bytes, then its upper 8 bits
//	stream      3 bytes, of no meaning
//	body
//	back        4 bytes, the length of all that, often wrong and not needed
//
// The aggregate's timestamp is that of the first; the others keep their
// distance. Each part has its own copy of its body, so that whoever keeps one
// does not keep the aggregate.
func (m *message) parts() iter.Seq2[message, error] {
	const header, back = 11, 4
	return func(yield func(message, error) bool) {
		var shift uint32
		for rest := m.body; len(rest) > 0; {
			if len(rest) < header {
				yield(message{}, malformed("aggregate message ends inside a header"))
				return
			}
			length := int(uint24(rest[1:]))
			stamp := uint24(rest[4:]) | uint32(rest[7])<<24
			if len(rest) == len(m.body) {
				shift = m.timestamp - stamp
			}
			part := message{kind: rest[0], timestamp: stamp + shift, stream: m.stream}
			if rest = rest[header:]; length > len(rest) {
				yield(message{}, malformed("aggregate message ends inside a message of %d bytes", length))
				return
			}
			part.body = bytes.Clone(rest[:length])
			if !yield(part, nil) {
				return
			}
			rest = rest[min(length+back, len(rest)):]
		}
	}
}
