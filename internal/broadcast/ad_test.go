package broadcast_test

import (
	"context"
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

// withAds gives the station's channel an ad configuration with a post-roll of so
// many seconds, none when it is 0.
func (s *station) withAds(postRoll int) *station {
	s.t.Helper()
	c := resource.AdConfiguration{
		ARN: place.ARN(resource.KindAdConfiguration, resource.NewID()),
		MediaTailor: []resource.MediaTailorPlaybackConfiguration{
			{PlaybackConfigurationARN: "arn:aws:mediatailor:us-east-1:123456789012:playbackConfiguration/a"},
		},
		PostRoll: resource.PostRollConfiguration{Enabled: postRoll > 0, DurationSeconds: postRoll},
	}
	c.FillDefaults()
	if err := s.store.CreateAdConfiguration(s.t.Context(), c); err != nil {
		s.t.Fatal(err)
	}
	s.update(func(ch *resource.Channel) { ch.AdConfigurationARN = c.ARN })
	return s
}

func (s *station) livePlaylist() string {
	s.t.Helper()
	view, ok := s.m.Lookup(s.channel.ID())
	if !ok {
		s.t.Fatal("the channel is not on air")
	}
	text, err := view.Window.Playlist(s.t.Context(), packager.PlaylistRequest{MSN: -1, Part: -1})
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// sendOn is send for a stream that has gone on for so many seconds.
func sendOn(t *testing.T, f *broadcast.Feed, after, seconds int) error {
	t.Helper()
	for i := after * 30; i < (after+seconds)*30; i++ {
		nal := []byte{0, 0, 0, 4, 0x41, 1, 2, 3}
		if i%30 == 0 {
			nal[4] = 0x65
		}
		at := media.Ticks(i * 3000)
		if err := f.Write(media.Frame{DTS: at, PTS: at, Key: i%30 == 0, Payload: nal, Captured: time.Now()}); err != nil {
			return err
		}
		time.Sleep(time.Second / 30)
	}
	return nil
}

// An ad break takes a stream that can be played, one at a time. Its event is told
// once, with the time that its tag has then.
func TestInsertAdBreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir()).withChannel(true, nil).withAds(0)
		defer s.stop()
		insert := func(when string, want resource.Kind) (id string) {
			t.Helper()
			id, err := s.m.InsertAdBreak(t.Context(), s.channel.ARN, 4)
			if want == 0 && err != nil || want != 0 && kind(err) != want {
				t.Errorf("%s: %v, want kind %d", when, err, want)
			}
			return id
		}
		insert("never on air", resource.NotBroadcasting)
		f := s.mustPublish()
		insert("without media", resource.NotBroadcasting)
		sent := make(chan error, 1)
		go func() { sent <- send(t, f, 14) }()
		time.Sleep(5500 * time.Millisecond)
		id := insert("on air", 0)
		insert("before it begins", resource.Conflict)
		time.Sleep(3 * time.Second)
		insert("in a break", resource.Conflict)
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		text := s.livePlaylist()
		if strings.Count(text, `#EXT-X-DATERANGE:ID="`+id+`"`) != 2 {
			t.Errorf("there is no whole break %s:\n%s", id, text)
		}
		f.Close(nil)
		insert("in the gap", resource.NotBroadcasting)

		events, err := s.store.Events(t.Context(), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		told := 0
		for _, e := range events {
			if e.DetailType != resource.AdBreakStateChange {
				continue
			}
			told++
			detail, _ := e.Detail.(interface{ MarshalJSON() ([]byte, error) }).MarshalJSON()
			_, begins, _ := strings.Cut(text, `ID="`+id+`",START-DATE="`)
			want := `{"event_name":"Ad Break Inserted","channel_name":"","stream_id":"` + f.StreamID() +
				`","ad_break_id":"` + id + `","duration_seconds":4,"target_start_time":"` + begins[:len("2000-01-01T00:00:00")] + `Z"}`
			if string(detail) != want || e.StreamID != f.StreamID() {
				t.Errorf("event %s of %s\nwant  %s", detail, e.StreamID, want)
			}
		}
		if told != 1 || !slices.Contains(s.events(), resource.AdBreakInserted) {
			t.Errorf("%d breaks are told in the outbox, %q with the session", told, s.events())
		}
	})
}

// Of those who ask at once, one has a break.
func TestInsertAdBreaksAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir()).withChannel(true, nil)
		defer s.stop()
		f := s.mustPublish()
		defer f.Close(nil)
		if err := send(t, f, 3); err != nil {
			t.Fatal(err)
		}
		results := make(chan error)
		for range 10 {
			go func() {
				_, err := s.m.InsertAdBreak(context.Background(), s.channel.ARN, 30)
				results <- err
			}()
		}
		inserted := 0
		for range 10 {
			switch err := <-results; {
			case err == nil:
				inserted++
			case kind(err) != resource.Conflict:
				t.Error(err)
			}
		}
		if inserted != 1 {
			t.Errorf("%d breaks were inserted", inserted)
		}
		if told := s.events(); strings.Count(strings.Join(told, ", "), resource.AdBreakInserted) != 1 {
			t.Errorf("told were %q", told)
		}
	})
}

// A break whose end came while the server was away ends by its clock, and the
// next can follow.
func TestAdBreakOutlivesServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := start(t, dir).withChannel(true, nil)
		f := s.mustPublish()
		if err := send(t, f, 3); err != nil {
			t.Fatal(err)
		}
		if _, err := s.m.InsertAdBreak(t.Context(), s.channel.ARN, 5); err != nil {
			t.Fatal(err)
		}
		if err := sendOn(t, f, 3, 2); err != nil {
			t.Fatal(err)
		}
		s.stop()
		time.Sleep(10 * time.Second)

		channel, key := s.channel, s.key
		s = start(t, dir)
		defer s.stop()
		s.channel, s.key = channel, key
		f = s.mustPublish()
		defer f.Close(nil)
		if err := send(t, f, 2); err != nil {
			t.Fatal(err)
		}
		if text := s.livePlaylist(); !strings.Contains(text, `",DURATION=5,SCTE35-IN=`) {
			t.Errorf("the break goes on:\n%s", text)
		}
		if _, err := s.m.InsertAdBreak(t.Context(), s.channel.ARN, 5); err != nil {
			t.Error(err)
		}
	})
}

// The post-roll follows the broadcast, not each of its streams, also if the
// server was started meanwhile.
func TestPostRoll(t *testing.T) {
	for _, restart := range []bool{false, true} {
		for _, seconds := range []int{0, 20} {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				s := start(t, dir).withChannel(true, nil).withAds(seconds)
				for range 2 {
					f := s.mustPublish()
					if err := send(t, f, 2); err != nil {
						t.Fatal(err)
					}
					f.Close(nil)
					time.Sleep(5 * time.Second)
				}
				if text := s.livePlaylist(); strings.Contains(text, "DATERANGE") {
					t.Errorf("before the end:\n%s", text)
				}
				if restart {
					s.stop()
					channel := s.channel
					s = start(t, dir)
					s.channel = channel
				}
				defer s.stop()
				time.Sleep(20 * time.Second)
				_, end, _ := strings.Cut(s.livePlaylist(), ".m4s\n#EXT-X-DATERANGE:")
				if seconds == 0 && end != "" || seconds > 0 && (!strings.Contains(end, "PLANNED-DURATION=20,SCTE35-OUT=") || !strings.HasSuffix(end, "\n#EXT-X-ENDLIST\n")) {
					t.Errorf("post-roll of %d s, server started again: %v\n%s", seconds, restart, s.livePlaylist())
				}
			})
		}
	}
}
