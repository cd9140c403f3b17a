package ingest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/bluenviron/gortmplib/pkg/handshake"
	"github.com/bluenviron/gortmplib/pkg/rawmessage"
)

// Message types (RTMP 1.0 §5.4, §6.2, §7.1).
const (
	msgSetChunkSize  = 1
	msgAbort         = 2
	msgAcknowledge   = 3
	msgUserControl   = 4
	msgWindowAckSize = 5
	msgPeerBandwidth = 6
	msgAudio         = 8
	msgVideo         = 9
	msgDataAMF3      = 15
	msgCommandAMF3   = 17
	msgDataAMF0      = 18
	msgCommandAMF0   = 20
	msgAggregate     = 22
)

// User control events (RTMP 1.0 §7.1.7).
const (
	eventStreamBegin  = 0
	eventPingRequest  = 6
	eventPingResponse = 7
)

const (
	// The chunk streams of what this server sends.
	controlChunks = 2 // protocol control messages (RTMP 1.0 §5.4)
	commandChunks = 3 // commands and their answers
	statusChunks  = 5 // a stream's status

	// theStream is the id of the one message stream of a connection, as it
	// stands on the wire: 1 in little-endian order (RTMP 1.0 §5.3.1.2.5).
	theStream = 1 << 24

	ackWindow    = 2_500_000 // bytes
	minAckWindow = 64 << 10  // bytes; with less, every chunk would be acknowledged
	outChunkSize = 4096

	writeTimeout = 5 * time.Second
	// maxBeforePublish bounds what is read of a connection before it
	// publishes, in bytes.
	maxBeforePublish = 4 << 20
	// maxAssembling bounds the messages in assembly once it does, in bytes:
	// any one fits, as lengths have 24 bits.
	maxAssembling = 16 << 20
)

var (
	errTooMuch = malformed("more than %d bytes before the publish command", maxBeforePublish)
	errVersion = errors.New("rtmp handshake: not version 3 of the protocol")
)

// wire reads and writes whole RTMP messages. It answers what the protocol
// itself asks: acknowledgements, pings, chunk sizes. It is used by one
// goroutine.
//
// The handshake and the writing of chunks and AMF are the library's. What
// comes in is read here, because the library takes memory for what a message
// claims to be, knows 62 chunk streams of 65598, and tells commands, stream
// key included, in its errors.
type wire struct {
	conn   net.Conn
	chunks *chunkReader
	out    *rawmessage.Writer // nil before the handshake is done

	received  uint64 // bytes
	window    uint64 // of them to be acknowledged; 0 for none
	confirmed uint64 // of them acknowledged
	limited   bool   // maxBeforePublish holds
	// count takes the bytes that came since it was called last, once the
	// client publishes; its error ends the connection.
	count func(n int) error
	err   error // that the connection returned last
}

func newWire(conn net.Conn) *wire {
	w := &wire{conn: conn, limited: true}
	// Encoders write chunks of 4 kB and more: a buffer of that size would
	// read each in two calls.
	w.chunks = newChunkReader(bufio.NewReaderSize((*wireConn)(w), 16<<10), maxBeforePublish)
	return w
}

// wireConn is the connection as the layers above the bytes see it.
type wireConn wire

func (w *wireConn) Read(b []byte) (int, error) {
	if w.limited && w.received > maxBeforePublish {
		return 0, errTooMuch
	}
	n, err := w.conn.Read(b)
	w.received += uint64(n)
	if w.count != nil && n > 0 {
		if err := w.count(n); err != nil {
			return n, err
		}
	}
	if w.window > 0 && w.received-w.confirmed >= w.window && err == nil {
		// RTMP 1.0 §5.4.3. Here and not between messages: a publisher may
		// wait for it in the middle of a long one.
		w.confirmed = w.received
		err = (*wire)(w).control4(msgAcknowledge, uint32(w.received))
	}
	if err != nil {
		w.err = err
	}
	return n, err
}

func (w *wireConn) Write(b []byte) (int, error) {
	if err := w.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	n, err := w.conn.Write(b)
	if err != nil {
		w.err = err
	}
	return n, err
}

// open does the handshake (RTMP 1.0 §5.2).
func (w *wire) open() error {
	switch version, err := w.chunks.in.Peek(1); {
	case err != nil:
		return fmt.Errorf("rtmp handshake: %w", err)
	case version[0] != 3:
		return errVersion // 6 would be RTMPE, with costly key exchange
	}
	both := struct {
		io.Reader
		io.Writer
	}{w.chunks.in, (*wireConn)(w)}
	if _, _, err := handshake.DoServer(both, false); err != nil {
		return fmt.Errorf("rtmp handshake: %w", err)
	}
	w.out = rawmessage.NewWriter((*wireConn)(w), nil, false)
	return nil
}

// accepted lifts the limits that hold before publishing. From here every byte
// is told to count, whatever it is of: a limit that held for media alone would
// let a client send what it likes of anything else.
func (w *wire) accepted(count func(n int) error) {
	w.limited, w.chunks.limit, w.count = false, maxAssembling, count
}

// read returns the next message that is not for the protocol itself. An error
// of the connection is returned as it is, one of the protocol is a refusal.
func (w *wire) read() (message, error) {
	for {
		m, err := w.chunks.next()
		if err != nil && w.err != nil {
			err = w.err // and not what reading made of it
		}
		if err != nil {
			return m, err
		}
		mine, err := w.control(m)
		if err != nil || !mine {
			return m, err
		}
	}
}

// control handles a message of the protocol itself.
func (w *wire) control(m message) (mine bool, err error) {
	switch m.kind {
	case msgSetChunkSize, msgAbort, msgWindowAckSize:
		if len(m.body) < 4 {
			return true, malformed("control message is too short")
		}
	case msgUserControl:
		if len(m.body) >= 6 && binary.BigEndian.Uint16(m.body) == eventPingRequest {
			return true, w.userControl(eventPingResponse, binary.BigEndian.Uint32(m.body[2:]))
		}
		return true, nil
	case msgAcknowledge, msgPeerBandwidth:
		return true, nil // a server that only answers has no use for them
	default:
		return false, nil
	}
	switch v := binary.BigEndian.Uint32(m.body); m.kind {
	case msgSetChunkSize:
		if v < minChunkSize || v > maxChunkSize {
			return true, malformed("chunk size %d is out of range", v)
		}
		w.chunks.chunkSize = int(v)
	case msgAbort:
		w.chunks.abort(v)
	case msgWindowAckSize:
		w.window = uint64(max(v, minAckWindow))
	}
	return true, nil
}

// control4 writes a control message whose body begins with a 32-bit number.
func (w *wire) control4(kind uint8, v uint32, more ...byte) error {
	return w.write(controlChunks, 0, kind, append(binary.BigEndian.AppendUint32(nil, v), more...))
}

func (w *wire) userControl(event uint16, v uint32) error {
	body := binary.BigEndian.AppendUint16(nil, event)
	return w.write(controlChunks, 0, msgUserControl, binary.BigEndian.AppendUint32(body, v))
}

// setChunkSize makes outgoing chunks that large.
func (w *wire) setChunkSize(v uint32) error {
	if err := w.control4(msgSetChunkSize, v); err != nil {
		return err
	}
	w.out.SetChunkSize(v)
	return nil
}

func (w *wire) write(chunks uint8, stream uint32, kind uint8, body []byte) error {
	return w.out.Write(&rawmessage.Message{ChunkStreamID: chunks, MessageStreamID: stream, Type: kind, Body: body})
}
