package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
	"time"
)

// loadClient is an HTTP/1.1 client of one connection that costs as little as
// can be: thousands of them run beside the server they load. It understands
// answers with a Content-Length, reads what it has to know, and lets the kernel
// throw away the rest.
type loadClient struct {
	conn *net.TCPConn
	raw  syscall.RawConn
	buf  []byte // what has been read
	used int    // how much of buf has been given out
	left int    // of the body, not yet in buf

	received int64 // bytes of all answers

	// discard is made once, as each making would allocate.
	discard func(fd uintptr) bool
	n       int
	err     error
}

// loadTimeout is how long an answer may take. Servers hold back the answer to
// a blocking request for some seconds.
const loadTimeout = 15 * time.Second

func dialLoad(address string) (*loadClient, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &loadClient{conn: conn.(*net.TCPConn), buf: make([]byte, 0, 4<<10)}
	if c.raw, err = c.conn.SyscallConn(); err != nil {
		return nil, err
	}
	c.discard = func(fd uintptr) bool {
		// To a TCP socket, MSG_TRUNC says that nobody wants the bytes (tcp(7)).
		c.n, _, c.err = syscall.Recvfrom(int(fd), nowhere[:min(c.left, len(nowhere))], syscall.MSG_TRUNC|syscall.MSG_DONTWAIT)
		return !errors.Is(c.err, syscall.EAGAIN)
	}
	return c, nil
}

// nowhere is never written to.
var nowhere [1 << 20]byte

func (c *loadClient) close() { c.conn.Close() }

// ask sends a request and reads the header of the answer, which must be 200.
// One of body and skip must follow.
func (c *loadClient) ask(request []byte) (header []byte, err error) {
	c.conn.SetDeadline(time.Now().Add(loadTimeout))
	if _, err := c.conn.Write(request); err != nil {
		return nil, err
	}
	c.buf = append(c.buf[:0], c.buf[c.used:]...)
	end := -1
	for end < 0 {
		if len(c.buf) == cap(c.buf) {
			return nil, errors.New("header of the answer is too long")
		}
		n, err := c.conn.Read(c.buf[len(c.buf):cap(c.buf)])
		if err != nil {
			return nil, err
		}
		c.buf = c.buf[:len(c.buf)+n]
		end = bytes.Index(c.buf, []byte("\r\n\r\n"))
	}
	header = c.buf[:end+2]
	length, err := contentLength(header)
	if err != nil {
		return nil, err
	}
	c.received += int64(end + 4 + length)
	c.used = min(end+4+length, len(c.buf))
	c.left = length - (c.used - (end + 4))
	if !bytes.HasPrefix(header, []byte("HTTP/1.1 200 ")) {
		body, _ := c.body()
		return nil, fmt.Errorf("%.60q is answered with %.40q %.200q", request, header, body)
	}
	return header, nil
}

// body is the rest of the answer.
func (c *loadClient) body() ([]byte, error) {
	start := bytes.Index(c.buf, []byte("\r\n\r\n")) + 4
	body := append(make([]byte, 0, c.used-start+c.left), c.buf[start:c.used]...)
	n, err := io.ReadFull(c.conn, body[len(body):cap(body)])
	c.left -= n
	return body[:len(body)+n], err
}

// skip waits for the rest of the answer.
func (c *loadClient) skip() error {
	for c.left > 0 {
		if err := c.raw.Read(c.discard); err != nil {
			return err
		}
		if c.err != nil {
			return c.err
		}
		if c.n == 0 {
			return io.ErrUnexpectedEOF
		}
		c.left -= c.n
	}
	return nil
}

func contentLength(header []byte) (int, error) {
	for line := range bytes.Lines(header) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			return strconv.Atoi(string(bytes.TrimSpace(value)))
		}
	}
	return 0, fmt.Errorf("answer without Content-Length: %.200q", header)
}

// appendRequest writes a GET request such as a player's.
func appendRequest(b []byte, host string, target ...string) []byte {
	b = append(b, "GET "...)
	for _, t := range target {
		b = append(b, t...)
	}
	b = append(append(b, " HTTP/1.1\r\nHost: "...), host...)
	return append(b, "\r\nUser-Agent: load\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n\r\n"...)
}
