package ingest

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch/internal/broadcast"
	"anabranch/internal/media"
)

var (
	aacStereo = []byte{0x11, 0x90} // AAC-LC, 48 kHz, stereo
	aacMono   = []byte{0x12, 0x08} // AAC-LC, 44.1 kHz, mono
)

func avcConfig() []byte {
	return append([]byte{0x17, 0, 0, 0, 0}, record(4, [][]byte{testSPS}, [][]byte{testPPS})...)
}

func avcFrame(offset int, nals ...[]byte) []byte {
	return append([]byte{0x27, 1, byte(offset >> 16), byte(offset >> 8), byte(offset)}, lengthPrefixed(4, nals...)...)
}

func aacConfig(config []byte) []byte { return append([]byte{0xaf, 0}, config...) }
func aacFrame(au ...byte) []byte     { return append([]byte{0xaf, 1}, au...) }

func TestTagsRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		body []byte
		want string
	}{
		{"HEVC", []byte{0x1c, 0, 0, 0, 0, 1}, "video codec HEVC is not supported: send H.264"},
		{"VP6", []byte{0x14, 0}, "video codec VP6"},
		{"unknown video", []byte{0x1f, 0}, "video codec number 15"},
		{"enhanced HEVC", append([]byte{0x90}, "hvc1...."...), "video codec HEVC"},
		{"enhanced AV1", append([]byte{0x91}, "av01...."...), "video codec AV1"},
		{"enhanced unknown", append([]byte{0x91}, "\x00\xffab"...), `video codec "\x00\xffab"`},
		{"multitrack video", append([]byte{0x96, 0x00}, "avc1\x00"...), "multitrack video"},
		{"ModEx", []byte{0x97, 0}, "ModEx"},
		{"short", []byte{0x17, 0, 0, 0}, "too short"},
		{"short enhanced", []byte{0x90, 'a', 'v'}, "too short"},
		{"short enhanced frames", []byte{0x91, 'a', 'v', 'c', '1', 0}, "too short"},
		{"bad configuration", []byte{0x17, 0, 0, 0, 0, 1, 2}, "AVC configuration is too short"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &flvDemuxer{in: &intake{feed: newRecordedFeed()}}
			expectRejected(t, d.video(0, tt.body, time.Time{}), tt.want)
		})
	}
	for _, tt := range []struct {
		name string
		body []byte
		want string
	}{
		{"MP3", []byte{0x2f, 1, 2}, "audio codec MP3 is not supported: send AAC-LC"},
		{"Speex", []byte{0xb2, 1}, "audio codec Speex"},
		{"unknown", []byte{0xc2, 1}, "audio codec number 12"},
		{"enhanced Opus", append([]byte{0x90}, "Opus"...), `audio codec "Opus"`},
		{"enhanced AC-3", append([]byte{0x91}, "ac-3"...), "audio codec AC-3"},
		{"multitrack audio", []byte{0x95, 0}, "multitrack audio"},
		{"short", []byte{0xaf}, "too short"},
		{"HE-AAC", aacConfig([]byte{0x2b, 0x11, 0x88, 0x00}), "HE-AAC"},
		{"HE-AAC v2", aacConfig([]byte{0xeb, 0x09, 0x88, 0x00}), "HE-AAC"},
		{"AAC Main", aacConfig([]byte{0x09, 0x90}), "object type"},
		{"5.1", aacConfig([]byte{0x11, 0xb0}), "neither mono nor stereo"},
		{"short configuration", aacConfig([]byte{0x11}), "AudioSpecificConfig"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &flvDemuxer{in: &intake{feed: newRecordedFeed()}}
			expectRejected(t, d.audio(0, tt.body, time.Time{}), tt.want)
		})
	}
}

func expectRejected(t *testing.T, err error, want string) {
	t.Helper()
	var refused *broadcast.Refused
	if !errors.As(err, &refused) || refused.Code != broadcast.CodeRejected || !strings.Contains(refused.Reason, want) {
		t.Errorf("error %v, want a rejection with %q", err, want)
	}
}

func TestTagsIgnored(t *testing.T) {
	feed := newRecordedFeed()
	d := &flvDemuxer{in: &intake{feed: feed}}
	for _, body := range [][]byte{
		nil, {0x57, 0}, {0x17, 2, 0, 0, 0}, {0x17, 9, 0, 0, 0}, avcFrame(0, testIDR),
		append([]byte{0x92}, "avc1"...), append([]byte{0x94}, "avc1...."...),
	} {
		if err := d.video(0, body, time.Time{}); err != nil {
			t.Errorf("video % x: %v", body, err)
		}
	}
	for _, body := range [][]byte{nil, aacConfig(nil), aacFrame(), aacFrame(1), {0xaf, 7, 1}, append([]byte{0x92}, "mp4a"...)} {
		if err := d.audio(0, body, time.Time{}); err != nil {
			t.Errorf("audio % x: %v", body, err)
		}
	}
	if len(feed.descriptions)+len(d.in.held) > 0 {
		t.Error("something became of it")
	}
}

func TestFrames(t *testing.T) {
	arrived := time.Unix(1700000000, 0)
	for _, enhanced := range []bool{false, true} {
		feed := newRecordedFeed()
		d := &flvDemuxer{in: &intake{feed: feed}}
		video := [][]byte{avcConfig(), avcFrame(80, testIDR), avcFrame(-40&0xffffff, testP)}
		audio := [][]byte{aacConfig(aacStereo), aacFrame(1, 2)}
		if enhanced {
			video = [][]byte{
				slices.Concat([]byte("\x90avc1"), avcConfig()[5:]),
				slices.Concat([]byte("\x91avc1\x00\x00\x50"), lengthPrefixed(4, testIDR)),
				slices.Concat([]byte("\x91avc1\xff\xff\xd8"), lengthPrefixed(4, testP)),
			}
			audio = [][]byte{slices.Concat([]byte("\x90mp4a"), aacStereo), []byte("\x91mp4a\x01\x02")}
		}
		ms := time.Millisecond
		for i, err := range []error{
			d.video(0, video[0], arrived), d.audio(0, audio[0], arrived),
			d.video(1<<32*ms-ms, video[1], arrived), d.audio(5*ms, audio[1], arrived), d.video(32*ms, video[2], arrived),
		} {
			if err != nil {
				t.Fatalf("message %d: %v", i, err)
			}
		}
		want := []media.Frame{
			{Kind: media.Video, DTS: (1<<32 - 1) * 90, PTS: (1<<32-1)*90 + 7200, Key: true, Captured: arrived,
				Payload: lengthPrefixed(4, testSPS, testPPS, testIDR)},
			{Kind: media.Audio, DTS: 450, PTS: 450, Key: true, Captured: arrived, Payload: []byte{1, 2}},
			{Kind: media.Video, DTS: 2880, PTS: 2880 - 3600, Captured: arrived, Payload: lengthPrefixed(4, testP)},
		}
		expectFrames(t, feed.frames, want)
		if d := feed.last(t); len(feed.descriptions) != 1 || d.Video.Width != 320 || d.Audio.SampleRate != 48000 || d.Audio.Channels != 2 {
			t.Errorf("described %d times, last %+v", len(feed.descriptions), d)
		}
	}
}

func expectFrames(t *testing.T, got, want []media.Frame) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d frames, want %d", len(got), len(want))
	}
	for i := range got {
		g, w := got[i], want[i]
		if !slices.Equal(g.Payload, w.Payload) {
			t.Errorf("frame %d: payload % x, want % x", i, g.Payload, w.Payload)
		}
		g.Payload, w.Payload = nil, nil
		if g.Kind != w.Kind || g.DTS != w.DTS || g.PTS != w.PTS || g.Key != w.Key || !g.Captured.Equal(w.Captured) {
			t.Errorf("frame %d: %+v, want %+v", i, g, w)
		}
	}
}

func TestAudioTooLong(t *testing.T) {
	d := &flvDemuxer{in: &intake{feed: newRecordedFeed()}}
	if err := d.audio(0, aacConfig(aacMono), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := d.audio(0, aacFrame(make([]byte, maxAAC)...), time.Time{}); err != nil {
		t.Errorf("longest access unit: %v", err)
	}
	expectRejected(t, d.audio(0, aacFrame(make([]byte, maxAAC+1)...), time.Time{}), "too long")
}

func FuzzTags(f *testing.F) {
	for _, b := range [][]byte{avcConfig(), avcFrame(0, testIDR), []byte("\x90avc1"), []byte("\x91avc1\x00\x00\x50"), {0x1c, 0}} {
		f.Add(b, aacConfig(aacStereo))
	}
	f.Add(avcFrame(-1&0xffffff, testP), aacFrame(1, 2, 3))
	f.Add([]byte{}, []byte("\x90mp4a\x11\x90"))
	f.Fuzz(func(t *testing.T, video, audio []byte) {
		d := &flvDemuxer{in: &intake{feed: newRecordedFeed()}}
		for _, err := range []error{
			d.video(0, avcConfig(), time.Time{}), d.video(0, video, time.Time{}), d.audio(0, audio, time.Time{}),
			d.audio(0, aacFrame(1), time.Time{}), d.video(time.Minute, avcFrame(0, testIDR), time.Time{}),
		} {
			var refused *broadcast.Refused
			if err != nil && !errors.As(err, &refused) {
				t.Fatalf("error without a reason for the publisher: %v", err)
			}
		}
	})
}
