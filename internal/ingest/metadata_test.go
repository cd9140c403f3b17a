package ingest

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/bluenviron/gortmplib/pkg/amf0"
)

var metadataTests = []struct {
	name string
	in   amf0.Data
	want metadata
	no   bool // it is none
}{
	{
		name: "OBS",
		in: amf0.Data{"@setDataFrame", "onMetaData", amf0.ECMAArray{
			{Key: "duration", Value: 0.0}, {Key: "fileSize", Value: 0.0}, {Key: "width", Value: 1920.0}, {Key: "height", Value: 1080.0},
			{Key: "videocodecid", Value: 7.0}, {Key: "videodatarate", Value: 6000.0}, {Key: "framerate", Value: 60.0},
			{Key: "audiocodecid", Value: 10.0}, {Key: "audiodatarate", Value: 160.0}, {Key: "audiosamplerate", Value: 48000.0},
			{Key: "stereo", Value: true}, {Key: "encoder", Value: "obs-output module (libobs version 30.0.2)"},
		}},
		want: metadata{encoder: "obs-output module (libobs version 30.0.2)", frameRate: 60, videoBitrate: 6_000_000, audioBitrate: 160_000},
	},
	{
		name: "object, strings for numbers",
		in:   amf0.Data{"onMetaData", amf0.Object{{Key: "framerate", Value: " 29.97"}, {Key: "videodatarate", Value: "781.25"}}},
		want: metadata{frameRate: 29.97, videoBitrate: 781_250},
	},
	{
		name: "nonsense",
		in: amf0.Data{"onMetaData", amf0.Object{
			{Key: "framerate", Value: math.NaN()}, {Key: "videodatarate", Value: math.Inf(1)}, {Key: "audiodatarate", Value: -1.0},
			{Key: "encoder", Value: "a\x00b\xff\n" + strings.Repeat("é", 200)},
		}},
		want: metadata{encoder: "ab" + strings.Repeat("é", 126)},
	},
	{name: "no audio", in: amf0.Data{"onMetaData", amf0.Object{{Key: "hasAudio", Value: false}}}, want: metadata{noAudio: true}},
	{name: "audio", in: amf0.Data{"onMetaData", amf0.Object{{Key: "hasAudio", Value: true}}}},
	{name: "other message", in: amf0.Data{"onTextData", amf0.Object{}}, no: true},
	{name: "no object", in: amf0.Data{"@setDataFrame", "onMetaData", 1.0}, no: true},
	{name: "nothing after it", in: amf0.Data{"@setDataFrame"}, no: true},
	{name: "too long", in: amf0.Data{"onMetaData", amf0.Object{{Key: "x", Value: strings.Repeat("x", maxAMF)}}}, no: true},
	{name: "empty", no: true},
}

func TestMetadata(t *testing.T) {
	for _, tt := range metadataTests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := parseMetadata(marshal(t, tt.in))
			if got != tt.want || ok == tt.no {
				t.Errorf("got %+v, %v; want %+v", got, ok, tt.want)
			}
		})
	}
}

func marshal(t testing.TB, d amf0.Data) []byte {
	t.Helper()
	b, err := d.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzMetadata(f *testing.F) {
	for _, tt := range metadataTests {
		f.Add(marshal(f, tt.in))
	}
	f.Add(append([]byte{2, 0, 10}, "onMetaData\x0b\x00\x00"...)) // a date, which is not decoded
	f.Fuzz(func(t *testing.T, body []byte) {
		m, ok := parseMetadata(body)
		if !ok && m != (metadata{}) {
			t.Errorf("no metadata, but %+v", m)
		}
		if !utf8.ValidString(m.encoder) || utf8.RuneCountInString(m.encoder) > 128 {
			t.Errorf("encoder %q", m.encoder)
		}
		if !(m.frameRate >= 0 && m.frameRate <= 1000) || m.videoBitrate < 0 || m.videoBitrate > 1e9 || m.audioBitrate < 0 || m.audioBitrate > 1e9 {
			t.Errorf("out of range: %+v", m)
		}
	})
}
