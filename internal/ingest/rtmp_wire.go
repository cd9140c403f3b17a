package ingest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/bluenviron/gortmplib/pkg/bytecounter"
	"github.com/bluenviron/gortmplib/pkg/handshake"
	"github.com/bluenviron/gortmplib/pkg/rawmessage"
)

// Message types (RTMP 1.0 §5.4, §6.2, §7.1).
const (
	msgSetChunkSize  = 1
	msgAbort         = 2
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
	controlChunks = 2 // the chunk stream of protocol control messages
	statusChunks  = 5 // the one this server uses for a stream's status

	// theStream is the id of the one message stream of a connection, as it
	// stands on the wire: 1 in little-endian order (RTMP 1.0 §5.3.1.2.5).
	theStream = 1 << 24

	ackWindow    = 2_500_000 // bytes
	minAckWindow = 64 << 10  // bytes; with less, every chunk would be acknowledged
	outChunkSize = 4096
	// minInChunkSize bounds what small chunks cost; the specification says a
	// chunk size should be at least this.
	minInChunkSize = 128
	// maxEarlyChunkSize bounds chunks until publishing is accepted: the memory
	// of a chunk is taken before its bytes arrive.
	maxEarlyChunkSize = 256 << 10

	writeTimeout = 5 * time.Second
	// maxBeforePublish bounds what is read of a connection before it
	// publishes, in bytes.
	maxBeforePublish = 4 << 20
)

var errTooMuch = errors.New("too many bytes came before the publish command")

// wire reads and writes whole RTMP messages. It answers what the protocol
// itself asks: acknowledgements, pings, chunk sizes. It is used by one
// goroutine.
//
// Handshake, chunks and AMF are the library's. Its messages are not used: they
// end a connection at each type they do not know, decode AMF of any size, and
// tell commands, stream key included, in their errors.
//
// A message's body is a buffer of its own: nothing is read into it again.
type wire struct {
	conn  net.Conn
	count *bytecounter.Reader
	r     *rawmessage.Reader
	w     *rawmessage.Writer

	limited bool  // maxBeforePublish holds
	err     error // that the connection returned last
}

func newWire(conn net.Conn) *wire {
	w := &wire{conn: conn, limited: true}
	w.count = bytecounter.NewReader((*wireConn)(w))
	return w
}

// wireConn is the connection as the layers above the bytes see it.
type wireConn wire

func (w *wireConn) Read(b []byte) (int, error) {
	if w.limited && w.count.Count() > maxBeforePublish {
		w.err = errTooMuch
		return 0, w.err
	}
	n, err := w.conn.Read(b)
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

// received is the number of bytes read so far.
func (w *wire) received() uint64 { return w.count.Count() }

// open does the handshake (RTMP 1.0 §5.2).
func (w *wire) open() error {
	out := bytecounter.NewWriter((*wireConn)(w))
	keyIn, _, err := handshake.DoServer(&bytecounter.ReadWriter{Reader: w.count, Writer: out}, false)
	if err != nil {
		return fmt.Errorf("rtmp handshake: %w", err)
	}
	if keyIn != nil {
		return errors.New("rtmp handshake: RTMPE is not supported")
	}
	// The chunk layer takes a buffered reader as it is; with 4 kB, its own
	// size, it would read every chunk of most encoders in two calls.
	in := bufio.NewReaderSize(w.count, 16<<10)
	w.r = rawmessage.NewReader(in, w.count, w.acknowledge)
	w.w = rawmessage.NewWriter((*wireConn)(w), out, false)
	return nil
}

// read returns the next message that is not for the protocol itself. An error
// of the connection is returned as it is, one of the protocol is a refusal.
func (w *wire) read() (*rawmessage.Message, error) {
	for {
		m, err := w.r.Read()
		switch {
		case err != nil && w.err != nil:
			return nil, w.err
		case err != nil:
			return nil, rejected("malformed RTMP: " + err.Error())
		}
		mine, err := w.control(m)
		if err != nil || !mine {
			return m, err
		}
	}
}

// control handles a message of the protocol itself.
func (w *wire) control(m *rawmessage.Message) (mine bool, err error) {
	switch m.Type {
	case msgSetChunkSize, msgAbort, msgWindowAckSize:
		if len(m.Body) < 4 {
			return true, rejected("malformed RTMP: control message is too short")
		}
	case msgUserControl:
		if len(m.Body) >= 6 && binary.BigEndian.Uint16(m.Body) == eventPingRequest {
			return true, w.userControl(eventPingResponse, binary.BigEndian.Uint32(m.Body[2:]))
		}
		return true, nil
	default:
		return false, nil
	}
	switch v := binary.BigEndian.Uint32(m.Body); m.Type {
	case msgSetChunkSize:
		if v < minInChunkSize || w.limited && v > maxEarlyChunkSize || w.r.SetChunkSize(v) != nil {
			return true, rejected(fmt.Sprintf("RTMP chunk size %d is out of range", v))
		}
	case msgAbort:
		w.r.AbortChunkStream(v)
	case msgWindowAckSize:
		w.r.SetWindowAckSize(max(v, minAckWindow))
	}
	return true, nil
}

// control4 writes a control message whose body begins with a 32-bit number.
func (w *wire) control4(kind uint8, v uint32, more ...byte) error {
	return w.w.Write(&rawmessage.Message{
		ChunkStreamID: controlChunks, Type: kind, Body: append(binary.BigEndian.AppendUint32(nil, v), more...),
	})
}

func (w *wire) acknowledge(received uint32) error {
	const msgAcknowledge = 3
	return w.control4(msgAcknowledge, received)
}

func (w *wire) userControl(event uint16, v uint32) error {
	body := binary.BigEndian.AppendUint16(nil, event)
	return w.w.Write(&rawmessage.Message{
		ChunkStreamID: controlChunks, Type: msgUserControl, Body: binary.BigEndian.AppendUint32(body, v),
	})
}

// setChunkSize makes outgoing chunks that large.
func (w *wire) setChunkSize(v uint32) error {
	if err := w.control4(msgSetChunkSize, v); err != nil {
		return err
	}
	w.w.SetChunkSize(v)
	return nil
}
