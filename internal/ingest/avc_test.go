package ingest

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
)

// NAL units of an x264 stream of 320x180 and of another one of 640x360.
var (
	testSPS  = []byte{0x67, 0x64, 0x00, 0x0c, 0xac, 0xd9, 0x41, 0x41, 0x9f, 0x9f, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x42, 0x99, 0x60}
	otherSPS = []byte{0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x32, 0x0f, 0x16, 0x2d, 0x96}
	testPPS  = []byte{0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0} // id 0, of sequence parameter set 0
	pps1     = []byte{0x68, 0x5a, 0xe3, 0xcb, 0x22, 0xc0} // id 1: 010, of 0: 1
	testIDR  = []byte{0x65, 0x88, 0x84, 0x00, 0x33}       // first_mb 0, type 7, parameter set 0
	idrPPS1  = []byte{0x65, 0x88, 0x44, 0x00, 0x33}       // of parameter set 1
	testP    = []byte{0x41, 0x9a, 0x24, 0x6c}
	testSEI  = []byte{0x06, 0x05, 0x01, 0xaa, 0x80}
	testAUD  = []byte{0x09, 0xf0}
	filler   = []byte{0x0c, 0xff, 0xff, 0x80}
)

// record makes an AVCDecoderConfigurationRecord.
func record(lengthSize int, sps, pps [][]byte) []byte {
	b := []byte{1, 0x64, 0, 0x0c, 0xfc | byte(lengthSize-1), 0xe0 | byte(len(sps))}
	for _, nal := range sps {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(nal))), nal...)
	}
	b = append(b, byte(len(pps)))
	for _, nal := range pps {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(nal))), nal...)
	}
	return b
}

// lengthPrefixed makes an access unit with NAL unit lengths of size bytes.
func lengthPrefixed(size int, nals ...[]byte) []byte {
	var b []byte
	for _, nal := range nals {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(nal)))
		b = append(append(b, n[4-size:]...), nal...)
	}
	return b
}

func configured(t testing.TB, lengthSize int, pps ...[]byte) *avcTrack {
	t.Helper()
	var track avcTrack
	if err := track.configure(record(lengthSize, [][]byte{testSPS}, pps)); err != nil {
		t.Fatal(err)
	}
	return &track
}

var accessUnits = []struct {
	name       string
	lengthSize int
	pps        [][]byte // in the configuration
	in         [][]byte
	want       [][]byte // nil: no picture
	idr        bool
}{
	{name: "P picture", lengthSize: 4, in: [][]byte{testP}, want: [][]byte{testP}},
	{name: "IDR gets the sets", lengthSize: 4, in: [][]byte{testIDR}, want: [][]byte{testSPS, testPPS, testIDR}, idr: true},
	{name: "IDR with sets of its own", lengthSize: 4, in: [][]byte{testSPS, testPPS, testSEI, testIDR},
		want: [][]byte{testSPS, testPPS, testSEI, testIDR}, idr: true},
	{name: "IDR with one of them", lengthSize: 4, in: [][]byte{testPPS, testIDR, testIDR},
		want: [][]byte{testSPS, testPPS, testIDR, testIDR}, idr: true},
	{name: "sets come before SEI", lengthSize: 4, in: [][]byte{testSEI, testSPS, testPPS, testIDR},
		want: [][]byte{testSPS, testPPS, testSEI, testIDR}, idr: true},
	{name: "two picture parameter sets", lengthSize: 4, pps: [][]byte{testPPS, pps1}, in: [][]byte{testPPS, testIDR},
		want: [][]byte{testSPS, testPPS, pps1, testIDR}, idr: true},
	{name: "lengths of 2", lengthSize: 2, in: [][]byte{testP, testP}, want: [][]byte{testP, testP}},
	{name: "lengths of 1", lengthSize: 1, in: [][]byte{testIDR}, want: [][]byte{testSPS, testPPS, testIDR}, idr: true},
	{name: "delimiter, filler and empty units", lengthSize: 4, in: [][]byte{testAUD, {}, testP, filler, {}}, want: [][]byte{testP}},
	{name: "set in a P picture stays", lengthSize: 4, in: [][]byte{pps1, testP}, want: [][]byte{pps1, testP}},
	{name: "no picture", lengthSize: 4, in: [][]byte{testSPS, testPPS, testSEI}},
	{name: "only filler", lengthSize: 2, in: [][]byte{filler}},
	{name: "nothing", lengthSize: 4},
}

func TestAccessUnit(t *testing.T) {
	for _, tt := range accessUnits {
		t.Run(tt.name, func(t *testing.T) {
			if tt.pps == nil {
				tt.pps = [][]byte{testPPS}
			}
			track := configured(t, tt.lengthSize, tt.pps...)
			got, idr, err := track.accessUnit(lengthPrefixed(tt.lengthSize, tt.in...))
			if err != nil {
				t.Fatal(err)
			}
			if want := lengthPrefixed(4, tt.want...); !bytes.Equal(got, want) || idr != tt.idr {
				t.Errorf("payload %x, idr %v; want %x, %v", got, idr, want, tt.idr)
			}
			if len(got) != cap(got) && idr {
				t.Errorf("payload of %d bytes has room for %d", len(got), cap(got))
			}
		})
	}
}

func TestAccessUnitWithoutCopy(t *testing.T) {
	au := lengthPrefixed(4, testSEI, testP)
	got, _, err := configured(t, 4, testPPS).accessUnit(au)
	if err != nil || &got[0] != &au[0] {
		t.Errorf("a finished access unit was copied (error %v)", err)
	}
}

func TestAccessUnitBroken(t *testing.T) {
	for name, au := range map[string][]byte{
		"unit longer than the access unit": {0, 0, 0, 9, 0x41, 1},
		"huge unit":                        {0xff, 0xff, 0xff, 0xff, 0x41},
		"half a length":                    {0, 0, 0, 1, 0x41, 0, 0},
		"picture parameter set without id": lengthPrefixed(4, []byte{0x68}),
		"sequence parameter set too short": lengthPrefixed(4, []byte{0x67, 0x64}),
		"endless parameter sets":           lengthPrefixed(4, append(bytes.Clone(testPPS), make([]byte, maxParameterSets)...)),
		"broken parameter set in use":      lengthPrefixed(4, []byte{0x67, 0x64, 0, 0x0c, 0xff}, testIDR),
	} {
		t.Run(name, func(t *testing.T) {
			if got, _, err := configured(t, 4, testPPS).accessUnit(au); err == nil {
				t.Errorf("accepted as %x", got)
			}
		})
	}
}

func TestParametersInUse(t *testing.T) {
	track := configured(t, 4, testPPS, pps1)
	first := track.params
	if first == nil || first.Width != 320 || first.Height != 180 || !bytes.Equal(first.PPS, testPPS) {
		t.Fatalf("configuration gives %+v", first)
	}
	unit := func(nals ...[]byte) {
		t.Helper()
		if _, _, err := track.accessUnit(lengthPrefixed(4, nals...)); err != nil {
			t.Fatal(err)
		}
	}
	unit(testSPS, testPPS, testIDR)
	unit(otherSPS, testP)
	if track.params != first {
		t.Error("parameters changed without an IDR picture that uses others")
	}
	unit(testIDR)
	if p := track.params; p == first || p.Width != 640 || p.Height != 360 {
		t.Errorf("after a new sequence parameter set: %+v", p)
	}
	unit(idrPPS1)
	if p := track.params; !bytes.Equal(p.PPS, pps1) {
		t.Errorf("an IDR picture that refers to set 1 is described by % x", p.PPS)
	}
	if err := track.configure(record(4, [][]byte{otherSPS}, [][]byte{testPPS})); err != nil {
		t.Fatal(err)
	}
	before := track.params
	if err := track.configure(record(4, [][]byte{otherSPS}, [][]byte{testPPS})); err != nil {
		t.Fatal(err)
	}
	if track.params != before {
		t.Error("the same configuration again changed the parameters")
	}
}

func TestConfigure(t *testing.T) {
	good := record(4, [][]byte{testSPS}, [][]byte{testPPS})
	for n := range good {
		if err := new(avcTrack).configure(good[:n]); err == nil {
			t.Errorf("the first %d of %d bytes were accepted", n, len(good))
		}
	}
	for _, tt := range []struct {
		name   string
		record []byte
		want   string // of the error; "" for none
	}{
		{"trailing extension", append(bytes.Clone(good), 0xfd, 0xf8, 0xf8, 0), ""},
		{"reserved bits zero", []byte{1, 0x64, 0, 0x0c, 3, 0, 0}, ""},
		{"no parameter sets", record(4, nil, nil), ""},
		{"lengths of 3", record(3, [][]byte{testSPS}, [][]byte{testPPS}), "3 bytes"},
		{"version", append([]byte{2}, good[1:]...), "version 2"},
		{"wrong type", record(4, [][]byte{testPPS}, [][]byte{testPPS}), "type 8"},
		{"bad sequence parameter set", record(4, [][]byte{{0x67, 0x64, 0, 0x0c, 0xff}}, [][]byte{testPPS}), "parse h264"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := new(avcTrack).configure(tt.record)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func FuzzAccessUnit(f *testing.F) {
	for _, tt := range accessUnits {
		f.Add(record(tt.lengthSize, [][]byte{testSPS}, [][]byte{testPPS}), lengthPrefixed(tt.lengthSize, tt.in...))
	}
	f.Fuzz(func(t *testing.T, config, au []byte) {
		track := configured(t, 4, testPPS)
		if err := track.configure(config); err != nil {
			return
		}
		before := bytes.Clone(au)
		payload, idr, err := track.accessUnit(au)
		if !bytes.Equal(au, before) {
			t.Fatal("the input was changed")
		}
		if err != nil || payload == nil {
			return
		}
		var nals h264.AVCC
		if err := nals.Unmarshal(payload); err != nil {
			t.Skip(err) // it bounds their number
		}
		slice, found := false, false
		for _, nal := range nals {
			switch h264.NALUType(nal[0] & 31) {
			case h264.NALUTypeAccessUnitDelimiter, h264.NALUTypeFillerData:
				t.Fatalf("% x was left in", nal)
			case h264.NALUTypeSPS, h264.NALUTypePPS:
				if slice && idr {
					t.Fatal("a parameter set follows the picture")
				}
			case h264.NALUTypeIDR:
				slice, found = true, true
			}
		}
		if found != idr {
			t.Fatalf("IDR picture: %v, told %v", found, idr)
		}
		// What was written is a fixed point.
		again := configured(t, 4, testPPS)
		again.sets = track.sets
		if twice, _, err := again.accessUnit(payload); err == nil && !bytes.Equal(twice, payload) {
			t.Fatalf("% x became % x", payload, twice)
		}
	})
}
