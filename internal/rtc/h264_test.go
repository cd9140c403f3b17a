package rtc

import (
	"slices"
	"testing"
)

// aggregate is a STAP-A.
func aggregate(nalus ...[]byte) []byte {
	b := []byte{0x78}
	for _, n := range nalus {
		b = append(b, 0, byte(len(n)))
		b = append(b, n...)
	}
	return b
}

func TestPictures(t *testing.T) {
	set := sps["1280x720"]
	tests := map[string]struct {
		payload       []byte
		key           bool
		width, height int
	}{
		"parameter set":           {set, true, 1280, 720},
		"upright":                 {sps["720x1280"], true, 720, 1280},
		"cropped":                 {sps["1920x1080"], true, 1920, 1080},
		"torn parameter set":      {set[:6], true, 0, 0},
		"IDR":                     {idr, true, 0, 0},
		"slice":                   {slice, false, 0, 0},
		"SEI":                     {sei, false, 0, 0},
		"aggregate":               {aggregate([]byte{0x09, 0xf0}, set, []byte{0x68, 0xce}), true, 1280, 720},
		"aggregate, larger first": {aggregate(set, sps["320x180"]), true, 1280, 720},
		"aggregate, larger last":  {aggregate(sps["320x180"], set), true, 1280, 720},
		"aggregate of no key":     {aggregate(sei, slice), false, 0, 0},
		"aggregate beyond":        {[]byte{0x78, 0, 5, 0x65, 1}, false, 0, 0},
		"aggregate of nothing":    {[]byte{0x78, 0, 0, 0x65}, false, 0, 0},
		"first fragment of IDR":   {[]byte{0x7c, 0x85, 1, 2}, true, 0, 0},
		"second fragment of IDR":  {[]byte{0x7c, 0x05, 1, 2}, false, 0, 0},
		"first fragment of slice": {[]byte{0x5c, 0x81, 1, 2}, false, 0, 0},
		"empty fragment":          {[]byte{0x7c, 0x85}, true, 0, 0},
		"no fragment":             {[]byte{0x7c}, false, 0, 0},
		"parameter set in one":    {slices.Concat([]byte{0x7c, 0x87}, set[1:]), true, 1280, 720},
		"nothing":                 {nil, false, 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := isKey(tt.payload); got != tt.key {
				t.Errorf("key frame: %v, want %v", got, tt.key)
			}
			width, height, _ := pictures(tt.payload, Limits{})
			if width != tt.width || height != tt.height {
				t.Errorf("picture %d × %d; want %d × %d", width, height, tt.width, tt.height)
			}
		})
	}
}

// However a parameter set is sent, it is held against the limit; one that cannot be
// read is above any there is.
func TestPicturesWithin(t *testing.T) {
	small, large := sps["1280x720"], sps["1920x1080"]
	wide := unhex("6742001fda004031") // 4096 × 16: fewer samples, and above the limit
	fragment := func(nalu []byte, size int) []byte {
		return slices.Concat([]byte{0x7c, 0x80 | nalu[0]&0x1f}, nalu[1:1+size])
	}
	tests := map[string]struct {
		payload []byte
		within  bool
	}{
		"none":                    {slice, true},
		"small":                   {small, true},
		"large":                   {large, false},
		"small ones":              {aggregate(small, sps["320x180"]), true},
		"large, then small":       {aggregate(large, small), false},
		"small, then large":       {aggregate(small, large), false},
		"wide hides behind large": {aggregate(wide, small), false},
		"torn":                    {small[:6], false},
		"torn beside small":       {aggregate(small, small[:6]), false},
		"small as a fragment":     {fragment(small, len(small)-1), true},
		"large as a fragment":     {fragment(large, len(large)-1), false},
		"a first fragment":        {fragment(small, 5), false},
		"an empty first fragment": {fragment(small, 0), false},
		"fragment of a picture":   {fragment(idr, 2), true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, _, within := pictures(tt.payload, Limits{Width: 1280, Height: 720}); within != tt.within {
				t.Errorf("within: %v, want %v", within, tt.within)
			}
			if _, _, within := pictures(tt.payload, Limits{}); !within {
				t.Error("beyond no limit")
			}
		})
	}
}
