package broadcast_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/packager"
)

// What a publisher says of itself may change at any rate: the last word is what
// is told.
func TestChangingDescription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir()).withChannel(true, nil)
		defer s.stop()
		f := s.mustPublish()
		told := func() int {
			session, err := s.store.StreamSession(t.Context(), s.channel.ARN, "")
			if err != nil {
				t.Fatal(err)
			}
			return session.IngestConfiguration.Video.TargetBitrate
		}
		d := description(t)
		for d.VideoBitrate = range 100 {
			if err := f.Describe(d); err != nil {
				t.Fatal(err)
			}
		}
		if got := told(); got != 0 {
			t.Errorf("told %d at once, want the first", got)
		}
		time.Sleep(1100 * time.Millisecond)
		if got := told(); got != 99 {
			t.Errorf("told %d after a second, want the last", got)
		}
		d.VideoBitrate = 1234
		err := errors.Join(f.Describe(d), still(f))
		f.Close(nil)
		if got := told(); got != 1234 || err != nil {
			t.Errorf("told %d after the end, want the last; %v", got, err)
		}
	})
}

// A track that comes or changes is in force with the next key frame. Until then
// no picture is lost, and its frames are not put into the track before.
func TestAudioComesLater(t *testing.T) {
	for _, before := range []*media.AudioParams{nil, {Config: []byte{0x12, 0x10}, SampleRate: 44_100, Channels: 2}} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			s := start(t, dir).withChannel(true, nil)
			defer s.stop()
			f := s.mustPublish()
			d, sound := description(t), "sound before"
			d.Audio = before
			for i := range 300 {
				if i == 100 {
					sound = "sound after"
					d.Audio = &media.AudioParams{Config: []byte{0x11, 0x90}, SampleRate: 48_000, Channels: 2}
				}
				at := media.Ticks(i * 3000)
				err := f.Describe(d)
				for kind, payload := range []string{"\x00\x00\x00\x01\x41", sound} {
					err = errors.Join(err, f.Write(media.Frame{
						Kind: media.Kind(kind), DTS: at, PTS: at, Key: kind == 1 || i%60 == 0,
						Payload: []byte(payload), Captured: time.Now(),
					}))
				}
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second / 30)
			}
			f.Close(nil)
			v, _ := s.m.Lookup(s.channel.ID())
			if at, _ := v.Window.Position(); at != packager.Origin+300*3000 {
				t.Errorf("%d ticks of 10 s are missing", packager.Origin+300*3000-at)
			}
			heard := 0
			segments, _ := filepath.Glob(filepath.Join(dir, "live", s.channel.ID(), "*.m4s"))
			for _, name := range segments {
				media, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				heard += bytes.Count(media, []byte("sound after"))
			}
			// From the key frame 120, but for the sound right at the join.
			if heard != 179 {
				t.Errorf("%d of the 180 frames of audio behind the key frame are on air", heard)
			}
		})
	}
}
