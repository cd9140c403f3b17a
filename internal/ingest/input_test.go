package ingest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/internal/media"
)

// inputs are the messages of which TestInputs makes streams.
var inputs = map[string]message{
	"avc":   {kind: msgVideo, body: avcConfig()},
	"avc2":  {kind: msgVideo, body: append([]byte{0x17, 0, 0, 0, 0}, record(4, [][]byte{otherSPS}, [][]byte{testPPS})...)},
	"avc0":  {kind: msgVideo, body: append([]byte{0x17, 0, 0, 0, 0}, record(4, nil, nil)...)},
	"short": {kind: msgVideo, body: append([]byte{0x17, 0, 0, 0, 0}, record(2, [][]byte{testSPS}, [][]byte{testPPS})...)},
	"hevc":  {kind: msgVideo, body: []byte("\x90hvc1....")},
	"I":     {kind: msgVideo, body: avcFrame(0, testIDR)},
	"I2":    {kind: msgVideo, body: avcFrame(0, otherSPS, testPPS, testIDR)},
	"P":     {kind: msgVideo, body: avcFrame(0, testP)},
	"B":     {kind: msgVideo, body: avcFrame(-40&0xffffff, testP)},
	"b":     {kind: msgVideo, body: avcFrame(1<<23-1, testP)},
	"shP":   {kind: msgVideo, body: append([]byte{0x27, 1, 0, 0, 0}, lengthPrefixed(2, testP)...)},
	"shI":   {kind: msgVideo, body: append([]byte{0x17, 1, 0, 0, 0}, lengthPrefixed(2, testIDR)...)},
	"sei":   {kind: msgVideo, body: avcFrame(0, testSEI)},
	"sps2":  {kind: msgVideo, body: avcFrame(0, otherSPS, testPPS)},
	"end":   {kind: msgVideo, body: []byte{0x17, 2, 0, 0, 0}},
	"vnone": {kind: msgVideo},
	"vtiny": {kind: msgVideo, body: []byte{0x17}},
	"aac":   {kind: msgAudio, body: aacConfig(aacStereo)},
	"aac2":  {kind: msgAudio, body: aacConfig(aacMono)},
	"mp3":   {kind: msgAudio, body: []byte{0x2f, 1, 2}},
	"A":     {kind: msgAudio, body: aacFrame(1, 2)},
	"anone": {kind: msgAudio},
	"atiny": {kind: msgAudio, body: []byte{0xaf}},
	"azero": {kind: msgAudio, body: aacFrame()},
	"other": {kind: msgDataAMF0, body: []byte{2, 0, 1, 'x'}},
}

// TestInputs plays what publishers send: a step is a name of the table above
// and a time in milliseconds. Of the outcome, a description is [width rate], the rate that of the sound,
// and a frame is its kind and time, and the presentation's distance to it.
func TestInputs(t *testing.T) {
	for _, tt := range []struct{ name, in, want, err string }{
		{"plain", "avc@0 aac@0 I@0 A@0 P@40 A@21", "[320 48000] I0 A0 P40 A21", ""},
		{"sound before the picture", "aac@0 A@0 A@21 avc@40 I@40", "[320 48000] A0 A21 I40", ""},
		{"begins anywhere", "avc@90000 aac@90000 I@90000 A@90007 P@90040", "[320 48000] I90000 A90007 P90040", ""},
		{"begins before its configuration", "I@0 A@0 avc@40 aac@40 P@40 I@80", "[320 48000] I80", ""},

		{"the same configuration again", "avc@0 aac@0 I@0 avc@40 aac@40 P@40", "[320 48000] I0 P40", ""},
		{"new picture by configuration", "avc@0 aac@0 I@0 A@0 avc2@40 A@21 P@40 I@80 P@120", "[320 48000] I0 A0 [640 48000] A21 I80 P120", ""},
		{"new picture in band", "avc@0 aac@0 I@0 P@40 I2@80 P@120", "[320 48000] I0 P40 [640 48000] I80 P120", ""},
		{"new picture in band, back again", "avc@0 aac@0 I@0 I2@40 avc@80 P@80 I@120", "[320 48000] I0 [640 48000] I40 [320 48000] I120", ""},
		{"parameters in band only", "avc0@0 aac@0 P@0 I2@40 P@80", "[640 48000] I40 P80", ""},
		{"parameters apart from the picture", "avc@0 aac@0 I@0 sps2@40 P@80 I@120", "[320 48000] I0 P80 [640 48000] I120", ""},
		{"configuration with other lengths", "avc@0 aac@0 I@0 short@40 shP@40 shI@80 avc@120 I@120", "[320 48000] I0 P40 I80 I120", ""},

		{"video only, then sound", "avc@0 I@0 P@1000 P@1040 aac@1050 A@1050 P@1080", "[320] I0 P1000 P1040 [320 48000] A1050 P1080", ""},
		{"sound without a configuration", "avc@0 A@0 I@0 A@21 P@1000 A@1021", "[320] I0 P1000", ""},
		{"sound that stops for a while", "avc@0 aac@0 I@0 A@0 P@40 P@5000 P@60000 A@60010", "[320 48000] I0 A0 P40 P5000 P60000 A60010", ""},
		{"sound only", "aac@0 A@0 A@4990 A@5000", "", "no video came"},
		{"new sound", "avc@0 aac@0 I@0 A@0 aac2@40 A@40", "[320 48000] I0 A0 [320 44100] A40", ""},

		{"wraps", "avc@4294967290 aac@4294967290 I@4294967290 A@4294967295 P@34 A@16", "[320 48000] I4294967290 A4294967295 P34 A16", ""},
		{"jumps", "avc@0 aac@0 I@0 A@0 P@90000000 A@90000000 P@4000000000", "[320 48000] I0 A0 P90000000 A90000000 P4000000000", ""},
		{"goes back", "avc@5000 aac@5000 I@5000 A@5000 P@40 A@0 I@0", "[320 48000] I5000 A5000 P40 A0 I0", ""},
		{"stands still", "avc@0 aac@0 I@0 P@0 P@0 A@0 A@0", "[320 48000] I0 P0 P0 A0 A0", ""},
		{"composition times", "avc@0 aac@0 I@0 b@40 B@80", "[320 48000] I0 P40+8388607 P80-40", ""},
		{"composition time before zero", "avc@0 aac@0 I@0 B@0", "[320 48000] I0 P0-40", ""},

		{"empty messages", "vnone@0 anone@0 avc@0 aac@0 azero@0 I@0 vnone@0 anone@0 azero@0 other@0 P@40", "[320 48000] I0 P40", ""},
		{"no picture in it", "avc@0 aac@0 I@0 sei@40 end@40 P@80", "[320 48000] I0 P80", ""},
		{"tiny video", "avc@0 aac@0 I@0 vtiny@40", "[320 48000] I0", "FLV tag is too short"},
		{"tiny audio", "avc@0 aac@0 I@0 atiny@40", "[320 48000] I0", "FLV tag is too short"},
		{"another video codec", "avc@0 aac@0 I@0 hevc@40", "[320 48000] I0", "video codec HEVC is not supported"},
		{"another audio codec", "avc@0 aac@0 I@0 mp3@40", "[320 48000] I0", "audio codec MP3 is not supported"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			feed := newRecordedFeed()
			c := &rtmpConn{feed: feed, demux: flvDemuxer{in: &intake{feed: feed}}}
			var err error
			for _, step := range strings.Fields(tt.in) {
				name, at, _ := strings.Cut(step, "@")
				m, known := inputs[name]
				ms, numErr := strconv.ParseUint(at, 10, 32)
				if !known || numErr != nil {
					t.Fatalf("no such step: %s", step)
				}
				m.timestamp = uint32(ms)
				if err = c.media(m, time.Time{}); err != nil {
					break
				}
			}
			if tt.err != "" {
				expectRejected(t, err, tt.err)
			} else if err != nil {
				t.Error(err)
			}
			if got := told(feed); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// told is what a feed got, in words.
func told(f *recordedFeed) string {
	var out []string
	describe := func(frame int) {
		for i, at := range f.describedAt {
			if d := f.descriptions[i]; at == frame && d.Audio != nil {
				out = append(out, fmt.Sprintf("[%d %d]", d.Video.Width, d.Audio.SampleRate))
			} else if at == frame {
				out = append(out, fmt.Sprintf("[%d]", d.Video.Width))
			}
		}
	}
	for i, fr := range f.frames {
		describe(i)
		letter := "P"
		switch {
		case fr.Kind == media.Audio:
			letter = "A"
		case fr.Key:
			letter = "I"
		}
		step := fmt.Sprint(letter, fr.DTS/90)
		if fr.PTS != fr.DTS {
			step += fmt.Sprintf("%+d", (fr.PTS-fr.DTS)/90)
		}
		out = append(out, step)
	}
	describe(len(f.frames))
	return strings.Join(out, " ")
}
