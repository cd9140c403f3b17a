package audit

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"time"
)

const (
	tsPacket = 188
	tsClock  = 90_000  // ticks a second
	tsWrap   = 1 << 33 // of time stamps, in ticks
	nullPID  = 0x1FFF
)

// tsReader reads an MPEG transport stream (ISO 13818-1) that goes on from one
// object to the next.
type tsReader struct {
	counters [nullPID + 1]int8 // the last continuity counter by PID, plus 1; 0 before the first
}

func (t *tsReader) restart() { clear(t.counters[:]) }

func (*tsReader) wrap() time.Duration { return ticks(tsWrap) }

func ticks(n int64) time.Duration {
	return time.Duration(n/tsClock)*time.Second + time.Duration(n%tsClock)*time.Second/tsClock
}

func (t *tsReader) read(r *bufio.Reader) (begin beginnings, holes []time.Duration, err error) {
	begin = nowhere
	var wrong error // the first
	var p [tsPacket]byte
	for n := 0; ; n++ {
		switch _, err := io.ReadFull(r, p[:]); {
		case err == io.EOF && n == 0:
			return begin, nil, flawf("it is empty")
		case err == io.EOF:
			return begin, nil, wrong
		case errors.Is(err, io.ErrUnexpectedEOF):
			return begin, nil, flawf("it ends within packet %d", n)
		case err != nil:
			return begin, nil, err
		case p[0] != 0x47 || p[1]&0x80 != 0:
			return begin, nil, flawf("packet %d is none", n)
		}
		pid := binary.BigEndian.Uint16(p[1:]) & 0x1FFF
		payload := p[4:]
		random := false     // random_access_indicator: it begins with a key frame
		if p[3]&0x20 != 0 { // adaptation field
			random = p[4] > 0 && p[5]&0x40 != 0
			payload = payload[min(int(p[4])+1, len(payload)):]
		}
		if p[3]&0x10 == 0 || pid == nullPID {
			continue // no payload, which is not counted
		}
		counter := int8(p[3]&0x0F) + 1
		if last := t.counters[pid]; last != 0 && counter != last%16+1 && wrong == nil {
			wrong = flawf("packet %d of PID %#x counts %d behind %d", n, pid, counter-1, last-1)
		}
		t.counters[pid] = counter
		if p[1]&0x40 == 0 {
			continue // no PES packet begins in it
		}
		switch id, pts, dts := parsePES(payload); {
		case pts < 0:
		case id&0xF0 == 0xE0 && begin.decoded == absent:
			begin.decoded, begin.shown, begin.key = dts, pts, random
		case id&0xE0 == 0xC0 && begin.heard == absent:
			begin.heard = pts
		}
	}
}

// parsePES reads stream id and times of a PES packet (§2.4.3.7); the times are
// negative where there are none.
func parsePES(b []byte) (id byte, pts, dts time.Duration) {
	if len(b) < 19 || b[0] != 0 || b[1] != 0 || b[2] != 1 || b[6]&0xC0 != 0x80 {
		return 0, -1, -1
	}
	switch b[7] >> 6 {
	case 2:
		pts = parseStamp(b[9:])
		return b[3], pts, pts
	case 3:
		return b[3], parseStamp(b[9:]), parseStamp(b[14:])
	}
	return b[3], -1, -1
}

func parseStamp(b []byte) time.Duration {
	return ticks(int64(b[0]&0x0E)<<29 | int64(b[1])<<22 | int64(b[2]&0xFE)<<14 | int64(b[3])<<7 | int64(b[4])>>1)
}
