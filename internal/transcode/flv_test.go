package transcode

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"anabranch/internal/media"
)

// flvStream is the sample with sound or pictures, as it is written.
func flvStream(t testing.TB, kind media.Kind) (media.Params, []media.Frame, []byte) {
	in, frames, err := sample()
	if err != nil {
		t.Fatal(err)
	}
	if kind == media.Video {
		in.Audio = nil
	} else {
		in.Video = nil
	}
	frames = slices.DeleteFunc(frames, func(f media.Frame) bool { return f.Kind != kind })
	b := appendFLVHeader(nil, in, 29.97)
	for i, f := range frames {
		b = appendFrame(b, &f, int64(1<<24+i), int64(1<<24+2*i))
	}
	return in, frames, b
}

// What is written can be read.
func TestFLV(t *testing.T) {
	for _, kind := range []media.Kind{media.Video, media.Audio} {
		in, frames, b := flvStream(t, kind)
		r := newFLVReader(bytes.NewReader(b))
		for i, want := range frames {
			f, pts, err := r.next()
			if err != nil {
				t.Fatal(err)
			}
			if kind == media.Video { // the parameter sets come before it
				want.Payload = slices.Concat(appendNAL(appendNAL(nil, in.Video.SPS), in.Video.PPS), want.Payload)
			}
			if f.Kind != kind || f.Key != want.Key || !bytes.Equal(f.Payload, want.Payload) || pts != int64(1<<24+map[media.Kind]int{media.Video: 2 * i, media.Audio: i}[kind]) {
				t.Errorf("%s frame %d is %+v at %d", kind, i, f, pts)
			}
			if !r.params.Equal(in) {
				t.Errorf("%s: the track is %+v", kind, r.params)
			}
		}
		if _, _, err := r.next(); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
	}
}

// Pictures come out as media.Frame says, whatever else encoders put between them.
func TestFLVPictures(t *testing.T) {
	in, _, _ := flvStream(t, media.Video)
	sps, pps := hex.EncodeToString(appendNAL(nil, in.Video.SPS)), hex.EncodeToString(appendNAL(nil, in.Video.PPS))
	const (
		idr, inter, sei = "000000026588", "00000003419a22", "00000003060180"
		delimiter       = "0000000209f0"
		filler          = "000000030cff80"
		empty           = "00000000"
	)
	for _, tt := range []struct {
		name, au string
		want     string // empty: there is no picture
		key      bool
	}{
		{"a picture", inter, inter, false},
		{"a key frame", idr, sps + pps + idr, true},
		{"a key frame with parameter sets", sps + pps + idr, sps + pps + idr, true},
		{"with all there is", delimiter + sps + pps + sei + idr + filler + empty, sps + pps + sei + idr, true},
		{"a picture with a delimiter", delimiter + sei + inter, sei + inter, false},
		{"parameter sets alone", sps + pps, "", false},
		{"nothing", "", "", false},
	} {
		au, _ := hex.DecodeString(tt.au)
		b := appendFLVHeader(nil, in, 30)
		b = appendFrame(b, &media.Frame{Kind: media.Video, Payload: au}, 0, 0)
		f, _, err := newFLVReader(bytes.NewReader(b)).next()
		if tt.want == "" {
			if err != io.EOF {
				t.Errorf("%s: %+v, %v", tt.name, f, err)
			}
			continue
		}
		if got := hex.EncodeToString(f.Payload); err != nil || got != tt.want || f.Key != tt.key {
			t.Errorf("%s:\n got %s (key frame: %v), %v\nwant %s", tt.name, got, f.Key, err, tt.want)
		}
	}
}

// What cannot be right is refused, in words.
func TestFLVRefused(t *testing.T) {
	in, frames, whole := flvStream(t, media.Video)
	header := whole[:flvHeaderSize]
	tag := func(kind byte, body string) []byte {
		b, _ := hex.DecodeString(body)
		return appendTag(slices.Clone(header), kind, 0, nil, b)
	}
	truncated := frames[0]
	truncated.Payload = truncated.Payload[:len(truncated.Payload)-1]
	for _, tt := range []struct {
		name string
		b    []byte
		want string
	}{
		{"another format", []byte("#EXTM3U\nand so on"), "no FLV"},
		{"cut header", whole[:5], "header"},
		{"cut tag header", whole[:flvHeaderSize+3], "header"},
		{"cut tag", whole[:len(whole)-9], "unexpected EOF"},
		{"too long", append(slices.Clone(header), 9, 0x40, 0, 1, 0, 0, 0, 0, 0, 0, 0), "too long"},
		{"another video codec", tag(flvVideo, "1201000000"), "not H.264"},
		{"another audio codec", tag(flvAudio, "2f0100"), "not AAC"},
		{"no configuration of pictures", appendFrame(slices.Clone(header), &frames[0], 0, 0), "before the video"},
		{"no configuration of sound", tag(flvAudio, "af01211004"), "before the audio"},
		{"lengths of two bytes", tag(flvVideo, "17000000000142c00dfde1"), "lengths of four"},
		{"cut configuration", tag(flvVideo, "17000000000142c00dffe100ff67"), "picture parameter set"},
		{"HE-AAC", tag(flvAudio, "af002b920800"), "HE-AAC"},
		{"cut picture", appendFrame(appendFLVHeader(nil, in, 30), &truncated, 0, 0), "longer than its access unit"},
	} {
		r := newFLVReader(bytes.NewReader(tt.b))
		_, _, err := r.next()
		if err == nil || err == io.EOF || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want it to tell %q", tt.name, err, tt.want)
		}
	}
}

// An encoder's bytes are another process's: whatever they are, reading ends, and
// what it yields can be written again and means the same.
func FuzzFLV(f *testing.F) {
	for _, kind := range []media.Kind{media.Video, media.Audio} {
		_, _, b := flvStream(f, kind)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newFLVReader(bytes.NewReader(b))
		for {
			frame, pts, err := r.next()
			if err != nil {
				if len(b) == 0 && !errors.Is(err, io.EOF) {
					t.Errorf("of nothing: %v", err)
				}
				return
			}
			again := newFLVReader(bytes.NewReader(appendFrame(appendFLVHeader(nil, r.params, 30), &frame, pts, pts)))
			same, at, err := again.next()
			if err != nil || at != pts&(1<<32-1) || same.Key != frame.Key || !bytes.Equal(same.Payload, frame.Payload) {
				t.Fatalf("%+v at %d becomes %+v at %d: %v", frame, pts, same, at, err)
			}
		}
	})
}
