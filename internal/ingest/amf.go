package ingest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/bluenviron/gortmplib/pkg/amf0"
)

// Bounds of what is decoded as AMF. Messages of encoders are some hundred
// bytes with some dozen values, one object deep.
const (
	maxAMF       = 16 << 10 // bytes
	maxAMFDepth  = 16       // objects and arrays inside each other
	maxAMFValues = 1024
)

// Markers that begin a value (AMF 0 specification §2.1).
const (
	amfNumber      = 0x00
	amfBoolean     = 0x01
	amfString      = 0x02
	amfObject      = 0x03
	amfNull        = 0x05
	amfUndefined   = 0x06
	amfECMAArray   = 0x08
	amfObjectEnd   = 0x09
	amfStrictArray = 0x0a
	amfDate        = 0x0b
	amfLongString  = 0x0c
	amfXMLDocument = 0x0f
)

var errShortAMF = errors.New("AMF ends inside a value")

// decodeAMF0 reads all values of an AMF0 message, in the library's types: a
// date becomes the number of its milliseconds, XML a string. References, typed
// objects and AMF3 are errors. No error repeats what is in the message.
func decodeAMF0(body []byte) (amf0.Data, error) {
	if len(body) > maxAMF {
		return nil, fmt.Errorf("AMF is longer than %d bytes", maxAMF)
	}
	d := amfDecoder{rest: body}
	var values amf0.Data
	for len(d.rest) > 0 {
		v, err := d.value(0)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

type amfDecoder struct {
	rest   []byte
	values int
}

// value reads a value inside depth objects and arrays.
func (d *amfDecoder) value(depth int) (any, error) {
	marker, err := d.take(1)
	if err != nil {
		return nil, err
	}
	if d.values++; d.values > maxAMFValues {
		return nil, fmt.Errorf("AMF has more than %d values", maxAMFValues)
	}
	switch marker[0] {
	case amfNumber:
		return d.number()
	case amfBoolean:
		b, err := d.take(1)
		return err == nil && b[0] != 0, err
	case amfString:
		return d.string(2)
	case amfLongString, amfXMLDocument:
		return d.string(4)
	case amfDate:
		v, err := d.number()
		if err == nil {
			_, err = d.take(2) // the time zone, which is not in use
		}
		return v, err
	case amfNull:
		return nil, nil
	case amfUndefined:
		return amf0.Undefined{}, nil
	case amfObject, amfECMAArray, amfStrictArray:
		if depth == maxAMFDepth {
			return nil, fmt.Errorf("AMF is nested more than %d deep", maxAMFDepth)
		}
		return d.compound(marker[0], depth+1)
	}
	return nil, fmt.Errorf("AMF type %d is not supported", marker[0])
}

// compound reads an object or array behind its marker.
func (d *amfDecoder) compound(marker byte, depth int) (any, error) {
	if marker == amfObject {
		return d.fields(depth)
	}
	head, err := d.take(4)
	if err != nil {
		return nil, err
	}
	if marker == amfECMAArray { // its count is a hint
		fields, err := d.fields(depth)
		return amf0.ECMAArray(fields), err
	}
	array := amf0.StrictArray{}
	for range binary.BigEndian.Uint32(head) {
		v, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		array = append(array, v)
	}
	return array, nil
}

// fields reads names and values up to the end marker.
func (d *amfDecoder) fields(depth int) (amf0.Object, error) {
	fields := amf0.Object{}
	for {
		key, err := d.string(2)
		if err != nil {
			return nil, err
		}
		if key == "" {
			end, err := d.take(1)
			if err == nil && end[0] != amfObjectEnd {
				err = errors.New("AMF object has a field without a name")
			}
			return fields, err
		}
		v, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		fields = append(fields, amf0.ObjectEntry{Key: key, Value: v})
	}
}

func (d *amfDecoder) number() (float64, error) {
	b, err := d.take(8)
	if err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
}

// string reads a string behind its length, which has size bytes.
func (d *amfDecoder) string(size int) (string, error) {
	b, err := d.take(size)
	if err != nil {
		return "", err
	}
	var n uint32
	for _, c := range b {
		n = n<<8 | uint32(c)
	}
	if int64(n) > int64(len(d.rest)) {
		return "", errShortAMF
	}
	b, err = d.take(int(n))
	return string(b), err
}

// take cuts off the first n bytes.
func (d *amfDecoder) take(n int) ([]byte, error) {
	if n > len(d.rest) {
		return nil, errShortAMF
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b, nil
}

// object is v as an AMF object, which encoders also send as ECMA array.
func object(v any) (amf0.Object, bool) {
	switch v := v.(type) {
	case amf0.Object:
		return v, true
	case amf0.ECMAArray:
		return amf0.Object(v), true
	}
	return nil, false
}

// amf0 is the AMF0 part of a command or data message. The messages for AMF3
// carry AMF0 too, behind a zero byte, unless a value says otherwise.
func (m *message) amf0() []byte {
	amf3 := m.kind == msgCommandAMF3 || m.kind == msgDataAMF3
	if amf3 && len(m.body) > 0 && m.body[0] == 0 {
		return m.body[1:]
	}
	return m.body
}
