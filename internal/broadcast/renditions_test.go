package broadcast_test

import (
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/broadcast"
	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

// skeleton is what a playlist has in common with those of all other renditions.
func skeleton(playlist, rendition string) string {
	playlist = regexp.MustCompile(`(?m)^#EXT-X-RENDITION-REPORT.*\n|,INDEPENDENT=YES`).ReplaceAllString(playlist, "")
	return strings.ReplaceAll(playlist, `open/`+rendition, `open/`)
}

// checkTogether checks that all renditions have the same playlist, and no gap.
func checkTogether(t *testing.T, v *broadcast.View) {
	t.Helper()
	lead := skeleton(playlistOf(t, v.Window), "")
	if strings.Contains(lead, "GAP") {
		t.Errorf("the lead has a gap:\n%s", lead)
	}
	for _, r := range v.Renditions {
		if got := skeleton(playlistOf(t, r.Window), r.Name); got != lead {
			t.Errorf("%q differs from the lead:\n%s\nlead:\n%s", r.Name, got, lead)
		}
	}
}

// on is a station that transcodes, with a channel of a type.
func on(t *testing.T, dir string, kind resource.ChannelType, capacity int) (*station, *copier) {
	t.Helper()
	c := &copier{capacity: capacity}
	window := 30
	s := startWith(t, dir, broadcast.Config{Transcode: c}).withChannel(true, &window).withType(kind)
	t.Cleanup(func() {
		if n := c.living(); n > 0 {
			t.Errorf("%d transcoders live on", n)
		}
	})
	return s, c
}

// All renditions are published together, as soon as the last one is there.
func TestRenditionsTogether(t *testing.T) {
	for _, tt := range []struct {
		kind  resource.ChannelType
		names []string
		sound bool
	}{
		{resource.Basic, []string{"source"}, false},
		{resource.Basic, []string{"source", "audio_only?"}, true},
		{resource.Standard, []string{"source", "480p30", "360p30", "160p30"}, false},
		{resource.Standard, []string{"source", "480p30", "360p30", "160p30", "audio_only?"}, true},
		{resource.AdvancedSD, []string{"480p30", "360p30", "160p30", "audio_only"}, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, _ := on(t, t.TempDir(), tt.kind, 1)
			defer s.stop()
			f := s.mustPublish()
			began := time.Now()
			if err := sendTracks(t, f, 0, 1, tt.sound); err != nil {
				t.Fatal(err)
			}
			if got := names(s.view()); !slices.Equal(got, tt.names) {
				t.Errorf("%s: %q, want %q", tt.kind, got, tt.names)
			}
			for _, r := range s.view().Renditions {
				if !r.Window.Info().Playable {
					t.Errorf("%s: %q cannot be played %v after the start", tt.kind, r.Name, time.Since(began))
				}
			}
			if err := sendTracks(t, f, 30, 9, tt.sound); err != nil {
				t.Fatal(err)
			}
			time.Sleep(delay)
			synctest.Wait()
			checkTogether(t, s.view())
			f.Close(nil)
			checkTogether(t, s.view())
			want, _ := s.view().Window.Position()
			for _, r := range s.view().Renditions {
				if got, _ := r.Window.Position(); got != want {
					t.Errorf("%s: %q ends at %d, the lead at %d", tt.kind, r.Name, got, want)
				}
				if text := playlistOf(t, r.Window); strings.Contains(text, "PRELOAD-HINT") {
					t.Errorf("%s: %q promises more after the end:\n%s", tt.kind, r.Name, text)
				}
			}
		})
	}
}

// sendTracks writes seconds of 30 fps video from picture first on, and sound of
// 48 kHz beside it if there is to be some, in step with the clock.
func sendTracks(t *testing.T, f *broadcast.Feed, first, seconds int, sound bool) error {
	t.Helper()
	if err := f.Describe(tracks(t, sound)); err != nil {
		return err
	}
	heard := (first*1600 + media.SamplesPerFrame - 1) / media.SamplesPerFrame
	for i := first; i < first+seconds*30; i++ {
		if err := f.Write(picture(media.Ticks(i*3000), i%30 == 0, 100)); err != nil {
			return err
		}
		for ; sound && heard*media.SamplesPerFrame < (i+1)*1600; heard++ {
			at := media.Ticks(heard * media.SamplesPerFrame * 90 / 48)
			if err := f.Write(media.Frame{Kind: media.Audio, DTS: at, PTS: at, Payload: []byte{0x21, 0x10, 4}, Captured: time.Now()}); err != nil {
				return err
			}
		}
		time.Sleep(time.Second / 30)
	}
	return nil
}

// tracks are those of a stream with or without sound.
func tracks(t *testing.T, sound bool) media.Description {
	t.Helper()
	d := description(t)
	if sound {
		audio, err := media.ParseAAC([]byte{0x11, 0x90})
		if err != nil {
			t.Fatal(err)
		}
		d.Audio = audio
	}
	return d
}

// Nobody sees a stream before its first part is there in all renditions.
func TestNothingBeforeTheFirstSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := on(t, t.TempDir(), resource.Standard, 1)
		defer s.stop()
		f := s.mustPublish()
		if err := f.Describe(description(t)); err != nil {
			t.Fatal(err)
		}
		c.newest().set(1, lost)
		began := time.Now()
		var seen time.Duration
		for i := range 150 {
			if err := f.Write(picture(media.Ticks(i*3000), i%30 == 0, 100)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second / 30)
			v, ok := s.m.Lookup(s.channel.ID())
			if ok && seen == 0 {
				seen = time.Since(began)
			}
			if ok && !v.Renditions[1].Window.Info().Playable {
				t.Fatal("a rendition is offered before it can be played")
			}
		}
		// The first part is cut after 0.33 s, and held for 3 s.
		if seen < 3300*time.Millisecond || seen > 3400*time.Millisecond {
			t.Errorf("on air after %v", seen)
		}
		f.Close(nil)
	})
}

// A rendition that is late has a gap, which is its own, and is back at a key frame.
func TestLateRendition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := on(t, t.TempDir(), resource.Standard, 1)
		defer s.stop()
		f := s.mustPublish()
		if err := sendTracks(t, f, 0, 5, false); err != nil {
			t.Fatal(err)
		}
		c.newest().set(1, lost)
		if err := sendTracks(t, f, 150, 3, false); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		lead, _ := s.view().Window.Position()
		if late := packager.Origin + 8*media.VideoRate - lead; late > media.VideoRate*3/2 {
			t.Errorf("the lead is %v behind", late.Duration(media.VideoRate))
		}
		c.newest().set(1, 0)
		if err := sendTracks(t, f, 240, 10, false); err != nil {
			t.Fatal(err)
		}
		f.Close(nil)
		v := s.view()
		lead2 := playlistOf(t, v.Window)
		for i, r := range v.Renditions {
			text := playlistOf(t, r.Window)
			if got, want := strings.Contains(text, "GAP"), i == 2; got != want {
				t.Errorf("%q has a gap: %v, want %v\n%s", r.Name, got, want, text)
			}
			if got, want := strings.Count(text, "#EXTINF"), strings.Count(lead2, "#EXTINF"); got != want {
				t.Errorf("%q has %d segments, the lead %d", r.Name, got, want)
			}
		}
		text := playlistOf(t, v.Renditions[2].Window)
		if after := text[strings.LastIndex(text, "GAP"):]; strings.Count(after, "#EXTINF") < 2 {
			t.Errorf("the rendition does not come back:\n%s", text)
		}
	})
}

// A transcoder that hangs, from the start or later, holds up neither the source
// nor the end of the stream.
func TestFrozenTranscoder(t *testing.T) {
	for _, after := range []int{0, 5} {
		synctest.Test(t, func(t *testing.T) {
			s, c := on(t, t.TempDir(), resource.Standard, 1)
			defer s.stop()
			f := s.mustPublish()
			if err := f.Describe(description(t)); err != nil {
				t.Fatal(err)
			}
			if err := sendTracks(t, f, 0, after, false); err != nil {
				t.Fatal(err)
			}
			c.newest().set(allRungs, frozen)
			if err := sendTracks(t, f, 30*after, 6, false); err != nil {
				t.Fatal(err)
			}
			closing := time.Now()
			f.Close(io.EOF)
			if took := time.Since(closing); took > 750*time.Millisecond {
				t.Errorf("the end took %v", took)
			}
			if got, want := playlistEnd(t, s), packager.Origin+media.Ticks(after+6)*media.VideoRate; got != want {
				t.Errorf("the lead ends at %d, want %d", got, want)
			}
			if text := playlistOf(t, s.view().Window); strings.Contains(text, "GAP") {
				t.Errorf("the lead has a gap:\n%s", text)
			}
		})
	}
}

// Viewers of a channel whose pictures are all transcoded are offered the source
// while nothing comes from the transcoder, and the next ladder's rungs again.
func TestNoPicturesFromTranscoder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := on(t, t.TempDir(), resource.AdvancedSD, 1)
		defer s.stop()
		for _, dead := range []bool{true, false} {
			f := s.mustPublish()
			if err := f.Describe(tracks(t, true)); err != nil {
				t.Fatal(err)
			}
			if dead {
				c.newest().set(allRungs, frozen)
			}
			if err := sendTracks(t, f, 0, 6, true); err != nil {
				t.Fatal(err)
			}
			if got := names(s.view())[0] == "source"; got != dead {
				t.Errorf("offered are %q, with a dead transcoder: %v", names(s.view()), dead)
			}
			f.Close(io.EOF)
		}
	})
}

func playlistEnd(t *testing.T, s *station) media.Ticks {
	t.Helper()
	at, ok := s.view().Window.Position()
	if !ok {
		t.Fatal("nothing was published")
	}
	return at
}

// Streams of one broadcast go on in the same windows, on both sides of a restart,
// with one place among those that are transcoded.
func TestRenditionsJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s, c := on(t, dir, resource.AdvancedSD, 1)
		for i, restart := range []bool{false, false, true} {
			if restart {
				before := names(s.view())
				s.stop()
				if c.inUse() != 0 {
					t.Error("a server that has stopped keeps its place")
				}
				channel, key := s.channel, s.key
				s = startWith(t, dir, broadcast.Config{Transcode: c})
				s.channel, s.key = channel, key
				if got := names(s.view()); !slices.Equal(got, before) {
					t.Errorf("%q after a restart, %q before", got, before)
				}
			}
			if i > 0 && c.inUse() != 1 {
				t.Errorf("%d places are taken while the publisher is away", c.inUse())
			}
			f := s.mustPublish()
			if err := sendTracks(t, f, 0, 4, true); err != nil {
				t.Fatal(err)
			}
			f.Close(io.EOF)
			checkTogether(t, s.view())
			if got := strings.Count(playlistOf(t, s.view().Renditions[3].Window), "#EXT-X-DISCONTINUITY\n"); got != i {
				t.Errorf("%d discontinuities after stream %d", got, i)
			}
			time.Sleep(3 * time.Second)
		}
		time.Sleep(30 * time.Second)
		for _, r := range s.view().Renditions {
			if !r.Window.Info().Ended {
				t.Errorf("%q has not ended", r.Name)
			}
		}
		if c.inUse() != 0 {
			t.Error("a broadcast that has ended keeps its place")
		}
		time.Sleep(2 * time.Minute)
		if left, _ := os.ReadDir(filepath.Join(dir, "live")); len(left) > 0 {
			t.Errorf("%v stays", left)
		}
		s.stop()
	})
}

// A change of the picture's size changes the ladder, in order: what has come is
// published before, renditions of the same name go on, the others are removed.
func TestChangedLadder(t *testing.T) {
	for _, tt := range []struct {
		width, height int
		late          bool // what is on its way does not come
		names         []string
		runs          int
	}{
		{852, 480, false, []string{"source", "360p30", "160p30"}, 2},
		{284, 160, false, []string{"source"}, 1},
		{284, 160, true, []string{"source"}, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			s, c := on(t, dir, resource.Standard, 1)
			defer s.stop()
			f := s.mustPublish()
			if err := sendTracks(t, f, 0, 4, false); err != nil {
				t.Fatal(err)
			}
			if tt.late {
				c.newest().set(allRungs, frozen)
			}
			if err := f.Describe(sized(t, tt.width, tt.height)); err != nil {
				t.Fatal(err)
			}
			for i := 120; i < 240; i++ {
				if err := f.Write(picture(media.Ticks(i*3000), i%30 == 0, 100)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second / 30)
			}
			f.Close(nil)
			v := s.view()
			if got := names(v); !slices.Equal(got, tt.names) {
				t.Errorf("%q, want %q", got, tt.names)
			}
			checkTogether(t, v)
			if got, want := playlistEnd(t, s), packager.Origin+8*media.VideoRate; got != want {
				t.Errorf("the lead ends at %d, want %d", got, want)
			}
			text := playlistOf(t, v.Window)
			if strings.Count(text, "#EXT-X-DISCONTINUITY\n") != 1 || strings.Count(text, "#EXT-X-MAP") != 2 {
				t.Errorf("not one size after the other:\n%s", text)
			}
			if _, err := os.Stat(filepath.Join(dir, "live", s.channel.ID(), "480p30")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the window that is gone: %v", err)
			}
			if len(c.runs) != tt.runs {
				t.Errorf("%d transcoders were started, want %d", len(c.runs), tt.runs)
			}
		})
	}
}

// A publisher whose parameters change all the time has two transcoders at most.
func TestRestlessPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := on(t, t.TempDir(), resource.Standard, 1)
		defer s.stop()
		f := s.mustPublish()
		for i := range 20 {
			if err := f.Describe(sized(t, 1280, 700+2*i)); err != nil {
				t.Fatal(err)
			}
			c.newest().set(allRungs, frozen)
			for k := range 3 {
				if err := f.Write(picture(media.Ticks((3*i+k)*3000), k == 0, 100)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second / 30)
			}
			synctest.Wait()
			if n := c.living(); n > 2 {
				t.Fatalf("%d transcoders", n)
			}
		}
		f.Close(nil)
		if got, want := playlistEnd(t, s), packager.Origin+6*media.VideoRate/3; got != want {
			t.Errorf("the lead ends at %d, want %d", got, want)
		}
	})
}

// A part that is late is published when its time is over, even if the publisher
// stalls just then.
func TestLateWhilePublisherStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := on(t, t.TempDir(), resource.Standard, 1)
		defer s.stop()
		f := s.mustPublish()
		if err := sendTracks(t, f, 0, 4, false); err != nil {
			t.Fatal(err)
		}
		c.newest().set(0, lost)
		for i := range 3 {
			if err := sendTracks(t, f, 120+30*i, 1, false); err != nil {
				t.Fatal(err)
			}
			time.Sleep(700 * time.Millisecond)
			synctest.Wait()
			// The newest picture waits for the next, and the part that it is in.
			if behind := packager.Origin + media.Ticks(5+i)*media.VideoRate - playlistEnd(t, s); behind > media.VideoRate/2 {
				t.Errorf("the lead is %v behind", behind.Duration(media.VideoRate))
			}
		}
		f.Close(nil)
	})
}

// Each rendition reports on those that its viewers may change to.
func TestReports(t *testing.T) {
	for _, tt := range []struct {
		kind resource.ChannelType
		want map[string][]string // URIs by rendition
	}{
		{resource.Basic, map[string][]string{"": nil, "audio_only": {"audio_only-"}}},
		{resource.Standard, map[string][]string{
			"":           {"-480p30", "-360p30", "-160p30"},
			"480p30":     {"480p30-", "480p30-360p30", "480p30-160p30"},
			"audio_only": {"audio_only-", "audio_only-480p30", "audio_only-360p30", "audio_only-160p30"},
		}},
		{resource.AdvancedSD, map[string][]string{"480p30": {"480p30-360p30", "480p30-160p30", "480p30-audio_only"}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			s, c := on(t, dir, tt.kind, 1)
			f := s.mustPublish()
			if err := sendTracks(t, f, 0, 4, true); err != nil {
				t.Fatal(err)
			}
			f.Close(nil)
			check := func(when string) {
				for _, r := range s.view().Renditions {
					want, listed := tt.want[r.Name]
					var got []string
					for _, m := range regexp.MustCompile(`REPORT:URI="([^"]*)"`).FindAllStringSubmatch(playlistOf(t, r.Window), -1) {
						got = append(got, m[1])
					}
					if listed && !slices.Equal(got, want) {
						t.Errorf("%s, %s: %q reports on %q, want %q", tt.kind, when, r.Name, got, want)
					}
				}
			}
			check("on air")
			before := names(s.view())
			s.stop()
			channel, key := s.channel, s.key
			s = startWith(t, dir, broadcast.Config{Transcode: c})
			defer s.stop()
			s.channel, s.key = channel, key
			if got := names(s.view()); !slices.Equal(got, before) {
				t.Errorf("%s: %q after a restart, %q before", tt.kind, got, before)
			}
			check("after a restart")
		})
	}
}

// A jump of the publisher's clock is none of the transcoder's business.
func TestJumpKeepsLadder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := on(t, t.TempDir(), resource.Standard, 1)
		defer s.stop()
		f := s.mustPublish()
		if err := sendTracks(t, f, 0, 4, false); err != nil {
			t.Fatal(err)
		}
		if err := sendTracks(t, f, 30_000, 4, false); err != nil {
			t.Fatal(err)
		}
		f.Close(nil)
		checkTogether(t, s.view())
		if len(c.runs) != 1 {
			t.Errorf("%d transcoders were started", len(c.runs))
		}
	})
}

// What a channel is, counts from its next stream.
func TestChangedType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := on(t, t.TempDir(), resource.Standard, 1)
		defer s.stop()
		for _, tt := range []struct {
			kind   resource.ChannelType
			names  []string
			places int
		}{
			{resource.Standard, []string{"source", "480p30", "360p30", "160p30"}, 1},
			{resource.AdvancedSD, []string{"480p30", "360p30", "160p30"}, 1},
			{resource.Basic, []string{"source"}, 0},
			{resource.Standard, []string{"source", "480p30", "360p30", "160p30"}, 1},
		} {
			s.withType(tt.kind)
			s.m.Changed(t.Context(), s.channel.ARN)
			f := s.mustPublish()
			if err := sendTracks(t, f, 0, 3, false); err != nil {
				t.Fatal(err)
			}
			if got := names(s.view()); !slices.Equal(got, tt.names) {
				t.Errorf("%s: %q, want %q", tt.kind, got, tt.names)
			}
			f.Close(nil)
			if got := c.inUse(); got != tt.places {
				t.Errorf("%s: %d places are taken, want %d", tt.kind, got, tt.places)
			}
			time.Sleep(time.Second)
		}
	})
}

// A stream for which there is no place has its source alone, or is refused.
func TestTranscodeCapacity(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := &copier{capacity: 1}
			s := startWith(t, t.TempDir(), broadcast.Config{Transcode: c, RefuseOverflow: refuse}).withChannel(true, nil)
			defer s.stop()
			first := s.mustPublish()
			if err := sendTracks(t, first, 0, 2, false); err != nil {
				t.Fatal(err)
			}
			channel, key := s.channel, s.key
			s.withChannel(true, nil)
			second := s.mustPublish()
			err := sendTracks(t, second, 0, 2, false)
			second.Close(err)
			if refuse {
				if refusal(err) == nil || !slices.Contains(s.events(), "Stream Failure") {
					t.Errorf("%v, events %q", err, s.events())
				}
			} else if got := names(s.view()); err != nil || !slices.Equal(got, []string{"source"}) {
				t.Errorf("%v, %q", err, got)
			}

			// The first one keeps its place through a reconnect, until its window closes.
			first.Close(io.EOF)
			time.Sleep(5 * time.Second)
			third := s.mustPublish()
			if err := third.Describe(description(t)); (refusal(err) != nil) != refuse {
				t.Errorf("while the first one waits: %v", err)
			}
			third.Close(nil)
			time.Sleep(11 * time.Second)
			s.channel, s.key = channel, key
			if !s.view().Window.Info().Ended || c.inUse() != 0 {
				t.Errorf("%d places are taken when the first one has ended", c.inUse())
			}
		})
	}
}

// Sound that never comes is silence: it costs no pictures.
func TestRenditionWithoutSound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := on(t, t.TempDir(), resource.AdvancedSD, 1)
		defer s.stop()
		f := s.mustPublish()
		if err := f.Describe(tracks(t, true)); err != nil {
			t.Fatal(err)
		}
		c.newest().set(0, mute)
		if err := sendTracks(t, f, 0, 10, true); err != nil {
			t.Fatal(err)
		}
		f.Close(nil)
		checkTogether(t, s.view())
	})
}

// A server without a transcoder delivers the source alone, whatever the type.
func TestNoTranscoder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir()).withChannel(true, nil).withType(resource.AdvancedHD)
		defer s.stop()
		f := s.mustPublish()
		if err := sendTracks(t, f, 0, 3, true); err != nil {
			t.Fatal(err)
		}
		if got := names(s.view()); !slices.Equal(got, []string{"source", "audio_only?"}) {
			t.Errorf("%q", got)
		}
		f.Close(nil)
	})
}

// Whatever goes wrong on the transcoder's goroutines ends the stream, and that
// alone.
func TestFailureOfPublishing(t *testing.T) {
	for _, tt := range []struct {
		name string
		harm func(live string, c *copier)
	}{
		{"panic", func(_ string, c *copier) { c.newest().set(allRungs, broken) }},
		{"disk", func(live string, c *copier) { os.RemoveAll(live) }},
	} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			s, c := on(t, dir, resource.Standard, 1)
			defer s.stop()
			f := s.mustPublish()
			if err := sendTracks(t, f, 0, 3, false); err != nil {
				t.Fatal(err)
			}
			tt.harm(filepath.Join(dir, "live", s.channel.ID()), c)
			_ = sendTracks(t, f, 90, 6, false)
			select {
			case <-f.Done():
			default:
				t.Fatalf("%s: the stream goes on", tt.name)
			}
			f.Close(nil)
			if got := s.events(); !slices.Contains(got, "Session Ended") {
				t.Errorf("%s: events %q", tt.name, got)
			}
			if c.living() != 0 {
				t.Errorf("%s: the transcoder lives on", tt.name)
			}
			f = s.mustPublish()
			f.Close(nil)
		})
	}
}

// A recording has the renditions that its first stream began with, as viewers are
// offered them, but for those on request. What becomes of the ladder later is no
// reason to begin another one.
func TestRecordedRenditions(t *testing.T) {
	for _, tt := range []struct {
		kind resource.ChannelType
		want []string
	}{
		{resource.Basic, []string{"720p30"}},
		{resource.Standard, []string{"160p30", "360p30", "480p30", "720p30"}},
		{resource.AdvancedSD, []string{"160p30", "360p30", "480p30", "audio_only"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, _ := on(t, t.TempDir(), tt.kind, 1)
			f := s.mustPublish()
			if err := sendTracks(t, f, 0, 4, true); err != nil {
				t.Fatal(err)
			}
			small := sized(t, 640, 360)
			small.Audio = tracks(t, true).Audio
			if err := f.Describe(small); err != nil {
				t.Fatal(err)
			}
			for i := range 120 {
				if err := f.Write(picture(media.Ticks((120+i)*3000), i%30 == 0, 100)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second / 30)
			}
			f.Close(nil)
			time.Sleep(time.Minute)
			s.stop()
			folders := make(map[string]int)
			recordings := make(map[string]bool)
			for _, key := range s.bucket.keys {
				before, object, ok := strings.Cut(key, "/media/hls/")
				if !ok {
					continue
				}
				recordings[before] = true
				if folder, name, _ := strings.Cut(object, "/"); strings.HasSuffix(name, ".ts") {
					folders[folder]++
				}
			}
			if got := slices.Sorted(maps.Keys(folders)); !slices.Equal(got, tt.want) || len(recordings) != 1 {
				t.Errorf("%s: %q in %d recordings, want %q", tt.kind, got, len(recordings), tt.want)
			}
		})
	}
}
