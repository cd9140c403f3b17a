package broadcast_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

// mediaBase is where the tests' media lies: elsewhere for restricted channels.
func mediaBase(ch *resource.Channel, rendition string) string {
	if ch.Restricted() {
		return "restricted/" + rendition
	}
	return "open/" + rendition
}

// Who may watch may change while the broadcaster is away. It counts at once, and
// the playlist goes on, with its media elsewhere.
func TestRestrictedInTheGap(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*resource.Channel)
	}{
		{"private", func(ch *resource.Channel) { ch.Authorized = true }},
		{"a policy", func(ch *resource.Channel) {
			ch.PlaybackRestrictionPolicyARN = place.ARN(resource.KindPlaybackRestrictionPolicy, "x")
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, t.TempDir()).withChannel(true, nil)
			defer s.stop()
			policy := resource.PlaybackRestrictionPolicy{ARN: place.ARN(resource.KindPlaybackRestrictionPolicy, "x")}
			policy.FillDefaults()
			if err := s.store.CreatePlaybackRestrictionPolicy(t.Context(), policy); err != nil {
				t.Fatal(err)
			}
			check := func(when string, restricted bool) {
				t.Helper()
				view, ok := s.m.Lookup(s.channel.ID())
				if !ok || view.Channel.Restricted() != restricted {
					t.Fatalf("%s, %s: restricted: %v, want %v", tt.name, when, ok && view.Channel.Restricted(), restricted)
				}
				text, err := view.Window.Playlist(context.Background(), packager.PlaylistRequest{MSN: -1, Part: -1})
				if err != nil {
					t.Fatal(err)
				}
				other := mediaBase(&resource.Channel{Authorized: !restricted}, "")
				if strings.Contains(string(text), other) || !strings.Contains(string(text), mediaBase(&view.Channel, "")) || strings.Contains(string(text), "ENDLIST") {
					t.Errorf("%s, %s:\n%s", tt.name, when, text)
				}
			}
			f := s.mustPublish()
			if err := send(t, f, 5); err != nil {
				t.Fatal(err)
			}
			f.Close(nil)
			check("before", false)
			s.update(tt.change)
			s.m.Changed(t.Context(), s.channel.ARN)
			check("changed", true)
			time.Sleep(2 * time.Second)
			check("later", true)
			f = s.mustPublish()
			if err := send(t, f, 2); err != nil {
				t.Fatal(err)
			}
			check("on air again", true)
			f.Close(nil)
		})
	}
}

// Of changes that come at once the last one counts, whoever is told of them
// first.
func TestChangedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir()).withChannel(true, nil)
		defer s.stop()
		f := s.mustPublish()
		if err := send(t, f, 2); err != nil {
			t.Fatal(err)
		}
		f.Close(nil)
		s.update(func(ch *resource.Channel) { ch.Name = "first" })
		s.failing.slow.Store(int64(time.Second))
		var changes sync.WaitGroup
		changes.Go(func() { s.m.Changed(t.Context(), s.channel.ARN) })
		synctest.Wait() // until it has read
		s.update(func(ch *resource.Channel) { ch.Authorized = true })
		changes.Go(func() { s.m.Changed(t.Context(), s.channel.ARN) })
		changes.Wait()
		if view, ok := s.m.Lookup(s.channel.ID()); !ok || !view.Channel.Authorized {
			t.Error("everybody may watch the channel, which is private")
		}
	})
}
