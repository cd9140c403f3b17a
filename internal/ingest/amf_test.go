package ingest

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/bluenviron/gortmplib/pkg/amf0"
)

// nested is a null inside depth strict arrays.
func nested(depth int) []byte {
	return append(bytes.Repeat([]byte{amfStrictArray, 0, 0, 0, 1}, depth), amfNull)
}

var amfTests = []struct {
	name string
	in   string
	want amf0.Data // as the library has it
	err  string
}{
	{"nothing", "", nil, ""},
	{"number", "\x00\x40\x45\x00\x00\x00\x00\x00\x00", amf0.Data{42.0}, ""},
	{"booleans", "\x01\x01\x01\x00\x01\x07", amf0.Data{true, false, true}, ""},
	{"strings", "\x02\x00\x02ab\x02\x00\x00\x0c\x00\x00\x00\x02cd", amf0.Data{"ab", "", "cd"}, ""},
	{"XML", "\x0f\x00\x00\x00\x04<a/>", amf0.Data{"<a/>"}, ""},
	{"null and undefined", "\x05\x06", amf0.Data{nil, amf0.Undefined{}}, ""},
	{"date", "\x0b\x40\x45\x00\x00\x00\x00\x00\x00\xff\xc4\x05", amf0.Data{42.0, nil}, ""},
	{"object", "\x03\x00\x01a\x05\x00\x01b\x01\x01\x00\x00\x09\x05", amf0.Data{amf0.Object{{Key: "a"}, {Key: "b", Value: true}}, nil}, ""},
	{"array with names", "\x08\xff\xff\xff\xff\x00\x01a\x05\x00\x00\x09", amf0.Data{amf0.ECMAArray{{Key: "a"}}}, ""},
	{"array", "\x0a\x00\x00\x00\x02\x05\x01\x01\x05", amf0.Data{amf0.StrictArray{nil, true}, nil}, ""},
	{"empty compounds", "\x03\x00\x00\x09\x08\x00\x00\x00\x00\x00\x00\x09\x0a\x00\x00\x00\x00",
		amf0.Data{amf0.Object{}, amf0.ECMAArray{}, amf0.StrictArray{}}, ""},
	{"inside each other", "\x03\x00\x01a\x0a\x00\x00\x00\x01\x03\x00\x00\x09\x00\x00\x09",
		amf0.Data{amf0.Object{{Key: "a", Value: amf0.StrictArray{amf0.Object{}}}}}, ""},

	{"deepest", string(nested(maxAMFDepth)), nil, ""},
	{"too deep", string(nested(maxAMFDepth + 1)), nil, "nested more than 16 deep"},
	{"much too deep", strings.Repeat("\x03\x00\x01a", maxAMF/4), nil, "nested more than"},
	{"most values", strings.Repeat("\x05", maxAMFValues), nil, ""},
	{"too many values", strings.Repeat("\x05", maxAMFValues+1), nil, "more than 1024 values"},
	{"claims billions", "\x0a\xff\xff\xff\xff" + strings.Repeat("\x05", 2*maxAMFValues), nil, "more than 1024 values"},
	{"claims billions and has none", "\x0a\xff\xff\xff\xff", nil, "ends inside"},
	{"longest", "\x0c\x00\x00\x3f\xfb" + strings.Repeat("x", maxAMF-5), nil, ""},
	{"too long", strings.Repeat("x", maxAMF+1), nil, "longer than 16384 bytes"},
	{"string that claims much", "\x0c\xff\xff\xff\xffabc", nil, "ends inside"},
	{"short number", "\x00\x40\x45", nil, "ends inside"},
	{"short date", "\x0b\x40\x45\x00\x00\x00\x00\x00\x00\x00", nil, "ends inside"},
	{"short boolean", "\x01", nil, "ends inside"},
	{"short string", "\x02\x00\x03ab", nil, "ends inside"},
	{"short length", "\x02\x00", nil, "ends inside"},
	{"short count", "\x08\x00\x00", nil, "ends inside"},
	{"object without end", "\x03\x00\x01a\x05", nil, "ends inside"},
	{"object with half an end", "\x03\x00\x00", nil, "ends inside"},
	{"object with a strange end", "\x03\x00\x00\x05", nil, "without a name"},
	{"movie clip", "\x04", nil, "type 4 is not supported"},
	{"reference", "\x07\x00\x00", nil, "type 7 is not supported"},
	{"stray end", "\x09", nil, "type 9 is not supported"},
	{"typed object", "\x10\x00\x01a\x00\x00\x09", nil, "type 16 is not supported"},
	{"AMF3", "\x11\x01", nil, "type 17 is not supported"},
}

func TestAMF(t *testing.T) {
	for _, tt := range amfTests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decodeAMF0([]byte(tt.in))
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if tt.want != nil && !bytes.Equal(marshal(t, got), marshal(t, tt.want)) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// FuzzAMF compares with the library's decoder, which has no bounds and knows
// fewer types.
func FuzzAMF(f *testing.F) {
	for _, tt := range amfTests {
		f.Add([]byte(tt.in))
	}
	for _, tt := range metadataTests {
		f.Add(marshal(f, tt.in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := decodeAMF0(in)
		if err != nil && got != nil {
			t.Fatalf("%v with error %v", got, err)
		}
		values, depth := measure(got)
		if values > maxAMFValues || depth > maxAMFDepth {
			t.Fatalf("%d values, %d deep", values, depth)
		}
		if len(in) > maxAMF {
			return
		}
		want, libErr := amf0.Unmarshal(in)
		if libErr != nil {
			return
		}
		if err == nil {
			if !bytes.Equal(marshal(t, got), marshal(t, want)) {
				t.Fatalf("got %v, the library %v", got, want)
			}
		} else if values, depth := measure(want); values <= maxAMFValues && depth <= maxAMFDepth {
			t.Fatalf("%v, the library %v", err, want)
		}
	})
}

// measure counts values, and how deep they are.
func measure(values []any) (count, depth int) {
	for _, v := range values {
		var inner []any
		o, compound := object(v)
		for _, e := range o {
			inner = append(inner, e.Value)
		}
		if a, ok := v.(amf0.StrictArray); ok {
			inner, compound = a, true
		}
		n, d := measure(inner)
		if compound {
			d++
		}
		count, depth = count+1+n, max(depth, d)
	}
	return count, depth
}

// TestMetadataOfEncoders has what the library's types cannot say: a date, a
// long string and XML among the fields, AMF3 behind them.
func TestMetadataOfEncoders(t *testing.T) {
	body := slices.Concat([]byte("\x02\x00\x0aonMetaData\x08\x00\x00\x00\x04"),
		[]byte("\x00\x04date\x0b\x42\x78\x00\x00\x00\x00\x00\x00\x00\x00"),
		[]byte("\x00\x03xmp\x0f\x00\x00\x00\x04<x/>"),
		[]byte("\x00\x07encoder\x0c\x00\x00\x00\x03abc"),
		[]byte("\x00\x09framerate\x00\x40\x39\x00\x00\x00\x00\x00\x00\x00\x00\x09"))
	if m, ok := parseMetadata(body); !ok || m.encoder != "abc" || m.frameRate != 25 {
		t.Errorf("got %+v, %v", m, ok)
	}
	if m, ok := parseMetadata(append(body, 0x11, 1)); ok || math.IsNaN(m.frameRate) {
		t.Errorf("with AMF3 behind it, %+v", m)
	}
}
