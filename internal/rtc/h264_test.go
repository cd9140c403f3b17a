package rtc

import "testing"

func TestPictures(t *testing.T) {
	set := sps["1280x720"]
	aggregate := func(nalus ...[]byte) []byte {
		b := []byte{0x78}
		for _, n := range nalus {
			b = append(b, 0, byte(len(n)))
			b = append(b, n...)
		}
		return b
	}
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
		"aggregate of no key":     {aggregate(sei, slice), false, 0, 0},
		"aggregate beyond":        {[]byte{0x78, 0, 5, 0x65, 1}, false, 0, 0},
		"aggregate of nothing":    {[]byte{0x78, 0, 0, 0x65}, false, 0, 0},
		"first fragment of IDR":   {[]byte{0x7c, 0x85, 1, 2}, true, 0, 0},
		"second fragment of IDR":  {[]byte{0x7c, 0x05, 1, 2}, false, 0, 0},
		"first fragment of slice": {[]byte{0x5c, 0x81, 1, 2}, false, 0, 0},
		"empty fragment":          {[]byte{0x7c, 0x85}, false, 0, 0},
		"nothing":                 {nil, false, 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := isKey(tt.payload); got != tt.key {
				t.Errorf("key frame: %v, want %v", got, tt.key)
			}
			width, height, found, ok := picture(tt.payload, nil)
			if width != tt.width || height != tt.height || ok != (tt.width > 0) {
				t.Errorf("picture %d × %d, %v; want %d × %d", width, height, ok, tt.width, tt.height)
			}
			if _, _, _, again := picture(tt.payload, found); again && found != nil {
				t.Error("a known parameter set was read again")
			}
		})
	}
}
