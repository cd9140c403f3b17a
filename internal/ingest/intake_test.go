package ingest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"anabranch/internal/media"
)

// TestIntake plays scripts. A step is one of
//
//	video, other, audio        parameters come
//	meta, mute                 metadata comes; the second says that there is no audio
//	I<ms>, P<ms>, A<ms>        a frame with that DTS: IDR, other picture, audio
//	+big                       the frame before had 2 MB
//
// and the outcome lists descriptions as [V], [VA] … and frames.
func TestIntake(t *testing.T) {
	for _, tt := range []struct{ name, script, want, err string }{
		{"video first", "video audio I0 A0 P40", "[VA] I0 A0 P40", ""},
		{"audio first", "audio A0 A21 video I0", "[VA] A0 A21 I0", ""},
		{"late audio configuration", "video I0 P40 P80 audio A90", "[VA] I0 P40 P80 A90", ""},
		{"video only", "video I0 P40 P960 P1000 P1040", "[V] I0 P40 P960 P1000 P1040", ""},
		{"video only, from anywhere", "video I90000 P90960 P91000", "[V] I90000 P90960 P91000", ""},
		{"audio after a second", "video I0 P1000 audio A1010 P1040", "[V] I0 P1000 [VA] A1010 P1040", ""},
		{"no audio by metadata", "mute video I0", "[V] I0", ""},
		{"no audio by late metadata", "video I0 mute P40", "[V] I0 P40", ""},
		{"metadata that does not matter", "meta video I0 P40", "", ""},
		{"metadata on air", "video audio I0 meta P40 meta", "[VA] I0 [VA] P40", ""},
		{"starts without a key frame", "video audio P0 A0 P40 I80 P120", "[VA] A0 I80 P120", ""},
		{"new video parameters", "video audio I0 P40 other P80 I120", "[VA] I0 P40 [VA] I120", ""},
		{"new video parameters while waiting", "video I0 P40 other P80 I120 audio", "[VA] I120", ""},
		{"clock jumps back while waiting", "video I60000 P40", "[V] I60000 P40", ""},
		{"too much video waits", "video I0+big P40+big P80", "[V] I0 P40 P80", ""},
		{"audio only", "audio A0 A4900 A5000", "", "no video"},
		{"too much audio waits", "audio A0+big A1+big A2", "", "no video"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			feed := newRecordedFeed()
			in := &intake{feed: feed}
			err := play(in, strings.Fields(tt.script))
			if tt.err == "" && err != nil {
				t.Fatal(err)
			}
			if tt.err != "" {
				expectRejected(t, err, tt.err)
			}
			if got := outcome(feed); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestManyTinyFrames: frames that wait are bounded by their number, too.
func TestManyTinyFrames(t *testing.T) {
	in := &intake{feed: newRecordedFeed()}
	if err := in.setAudio(&media.AudioParams{}); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		err := in.write(media.Frame{Kind: media.Audio, Key: true, Payload: []byte{1}})
		if err != nil {
			expectRejected(t, err, "no video came")
			return
		}
		if n > maxHeld/frameOverhead {
			t.Fatalf("%d frames wait", n)
		}
	}
}

func play(in *intake, script []string) (err error) {
	for _, step := range script {
		var ms int
		frame := media.Frame{Payload: make([]byte, 10)}
		if short, big := strings.CutSuffix(step, "+big"); big {
			step, frame.Payload = short, make([]byte, 2<<20)
		}
		switch step {
		case "video":
			err = in.setVideo(&media.VideoParams{SPS: []byte{1}})
		case "other":
			err = in.setVideo(&media.VideoParams{SPS: []byte{2}})
		case "audio":
			err = in.setAudio(&media.AudioParams{})
		case "meta":
			err = in.setMetadata(metadata{encoder: "x"})
		case "mute":
			err = in.setMetadata(metadata{noAudio: true})
		default:
			if _, err := fmt.Sscanf(step[1:], "%d", &ms); err != nil {
				return err
			}
			frame.DTS, frame.Key = media.Ticks(ms)*90, step[0] != 'P'
			if step[0] == 'A' {
				frame.Kind = media.Audio
			}
			err = in.write(frame)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func outcome(f *recordedFeed) string {
	var out []string
	for i, fr := range f.frames {
		out = append(out, describedBefore(f, i)...)
		letter := "P"
		switch {
		case fr.Kind == media.Audio:
			letter = "A"
		case fr.Key:
			letter = "I"
		}
		out = append(out, fmt.Sprint(letter, fr.DTS/90))
	}
	return strings.Join(append(out, describedBefore(f, len(f.frames))...), " ")
}

func describedBefore(f *recordedFeed, frame int) (out []string) {
	for i, at := range f.describedAt {
		if at != frame {
			continue
		}
		tracks := "[V]"
		if f.descriptions[i].Audio != nil {
			tracks = "[VA]"
		}
		out = append(out, tracks)
	}
	return slices.Clip(out)
}
