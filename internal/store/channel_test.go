package store

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"

	"anabranch/internal/resource"
)

func TestChannelIsReadAsWritten(t *testing.T) {
	f := open(t)
	rc, policy, ads := f.configuration(), f.policy(), f.ads()
	plain := func(*resource.Channel) {}
	for name, alter := range map[string]func(*resource.Channel){
		"defaults": plain,
		"nothing":  func(ch *resource.Channel) { *ch = resource.Channel{ARN: ch.ARN, Tags: resource.Tags{}} },
		"everything": func(ch *resource.Channel) {
			ch.Name, ch.Type, ch.LatencyMode = "studio-a", resource.AdvancedHD, resource.NormalLatency
			ch.Preset, ch.ContainerFormat = resource.ConstrainedBandwidth, resource.FragmentedMP4
			ch.Authorized, ch.InsecureIngest = true, true
			ch.Multitrack = resource.MultitrackInputConfiguration{Enabled: true, Policy: "REQUIRE", MaximumResolution: "HD"}
			ch.RecordingConfigurationARN, ch.PlaybackRestrictionPolicyARN, ch.AdConfigurationARN = rc.ARN, policy.ARN, ads.ARN
			ch.Tags = resource.Tags{"it's": `"quoted" \u0041 <&> ü 🎥`, "empty": ""}
		},
		"awkward text": func(ch *resource.Channel) { ch.Name = `'; DROP TABLE channels; -- ? \' "` },
	} {
		t.Run(name, func(t *testing.T) {
			want, key := f.channel("", alter)
			got, err := f.Channel(t.Context(), want.ARN)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("channel is\n%+v, %v; want\n%+v", got, err, want)
			}
			if got, err := f.ChannelByStreamKey(t.Context(), key.Value); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("by key it is\n%+v, %v; want\n%+v", got, err, want)
			}
			if got, err := f.StreamKey(t.Context(), key.ARN); err != nil || !reflect.DeepEqual(got, key) {
				t.Errorf("key is %+v, %v; want %+v", got, err, key)
			}
		})
	}
}

// What depends on where the server listens is not kept.
func TestChannelKeepsNoEndpoints(t *testing.T) {
	f := open(t)
	ch, key := f.channel("", func(ch *resource.Channel) {
		ch.IngestEndpoint, ch.PlaybackURL, ch.SRT.Endpoint = "ingest.example", "https://play.example", "srt.example"
	})
	got, err := f.Channel(t.Context(), ch.ARN)
	f.must(err)
	for _, ch := range []resource.Channel{got, f.begin(key, noon).Channel} {
		if ch.IngestEndpoint != "" || ch.PlaybackURL != "" || ch.SRT.Endpoint != "" || ch.SRT.Passphrase == "" {
			t.Errorf("channel is %+v", ch)
		}
	}
}

func TestReferencesMustExist(t *testing.T) {
	f := open(t)
	existing, _ := f.channel("")
	for _, c := range []struct {
		name  string
		alter func(*resource.Channel)
	}{
		{"recording configuration", func(ch *resource.Channel) {
			ch.RecordingConfigurationARN = place.ARN(resource.KindRecordingConfiguration, "missing")
		}},
		{"playback restriction policy", func(ch *resource.Channel) {
			ch.PlaybackRestrictionPolicyARN = place.ARN(resource.KindPlaybackRestrictionPolicy, "missing")
		}},
		{"ad configuration", func(ch *resource.Channel) {
			ch.AdConfigurationARN = place.ARN(resource.KindAdConfiguration, "missing")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ch := existing
			ch.ARN = place.ARN(resource.KindChannel, resource.NewID())
			c.alter(&ch)
			key := resource.NewStreamKey(place, ch.ARN, nil)
			wantKind(t, f.CreateChannel(t.Context(), ch, key), resource.NotFound)
			_, err := f.Channel(t.Context(), ch.ARN)
			wantKind(t, err, resource.NotFound)
			_, err = f.StreamKey(t.Context(), key.ARN)
			wantKind(t, err, resource.NotFound)

			_, err = f.UpdateChannel(t.Context(), existing.ARN, func(ch *resource.Channel) error {
				c.alter(ch)
				return nil
			})
			wantKind(t, err, resource.NotFound)
			if got, err := f.Channel(t.Context(), existing.ARN); err != nil || !reflect.DeepEqual(got, existing) {
				t.Errorf("channel is %+v, %v", got, err)
			}
		})
	}
}

func TestChannelsReadsThoseThatExist(t *testing.T) {
	f := open(t)
	a, _ := f.channel("a")
	b, _ := f.channel("b")
	missing := place.ARN(resource.KindChannel, "missing")
	for _, c := range []struct {
		name string
		ask  []resource.ARN
		want []string
	}{
		{"none", nil, nil},
		{"missing only", []resource.ARN{missing}, nil},
		{"some", []resource.ARN{b.ARN, missing, a.ARN, b.ARN}, []string{"a", "b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := f.Channels(t.Context(), c.ask)
			found := names(got, func(ch resource.Channel) string { return ch.Name })
			slices.Sort(found)
			if err != nil || !slices.Equal(found, c.want) {
				t.Errorf("found %v, %v; want %v", found, err, c.want)
			}
			keys, err := f.StreamKeys(t.Context(), c.ask)
			if err != nil || len(keys) > 0 {
				t.Errorf("channel ARNs name stream keys: %v, %v", keys, err)
			}
		})
	}
}

func TestUpdateChannel(t *testing.T) {
	rename := func(ch *resource.Channel) error { ch.Name = "renamed"; return nil }
	refusal := resource.Errorf(resource.Invalid, "type: no")
	fault := errors.New("boom")
	for _, c := range []struct {
		name   string
		before func(f *fixture, key resource.StreamKey)
		change func(*resource.Channel) error
		kind   resource.Kind
		err    error
	}{
		{name: "offline", change: rename},
		{name: "its ARN stays", change: func(ch *resource.Channel) error {
			ch.ARN = place.ARN(resource.KindChannel, "other")
			return rename(ch)
		}},
		{name: "after a stream", change: rename, before: func(f *fixture, key resource.StreamKey) { f.end(f.begin(key, noon), noon) }},
		{name: "live", change: rename, before: func(f *fixture, key resource.StreamKey) { f.begin(key, noon) }, kind: resource.Conflict},
		{name: "refused by the caller", change: func(ch *resource.Channel) error { rename(ch); return refusal }, kind: resource.Invalid, err: refusal},
		{name: "failed by the caller", change: func(ch *resource.Channel) error { rename(ch); return fault }, err: fault},
		{name: "deleted", change: rename, before: func(f *fixture, key resource.StreamKey) {
			f.must(f.DeleteChannel(f.t.Context(), key.ChannelARN))
		}, kind: resource.NotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := open(t)
			ch, key := f.channel("original")
			if c.before != nil {
				c.before(f, key)
			}
			got, err := f.UpdateChannel(t.Context(), ch.ARN, c.change)
			if c.kind != resource.Internal {
				wantKind(t, err, c.kind)
			}
			if c.err != nil && !errors.Is(err, c.err) {
				t.Errorf("error is %v, want %v", err, c.err)
			}
			want := ch
			if c.kind == resource.Internal && c.err == nil {
				want.Name = "renamed"
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("answer is %+v, %v; want %+v", got, err, want)
				}
			}
			if c.kind == resource.NotFound {
				return
			}
			if stored, err := f.Channel(t.Context(), ch.ARN); err != nil || !reflect.DeepEqual(stored, want) {
				t.Errorf("stored is %+v, %v; want %+v", stored, err, want)
			}
		})
	}
}

// Attaching and detaching go by the reference alone.
func TestUpdateChannelReferences(t *testing.T) {
	f := open(t)
	rc := f.configuration()
	ch, _ := f.channel("")
	for _, want := range []resource.ARN{rc.ARN, "", rc.ARN} {
		got, err := f.UpdateChannel(t.Context(), ch.ARN, func(ch *resource.Channel) error {
			ch.RecordingConfigurationARN = want
			return nil
		})
		if err != nil || got.RecordingConfigurationARN != want {
			t.Errorf("attached to %q, %v; want %q", got.RecordingConfigurationARN, err, want)
		}
		listed, _, err := f.ListChannels(t.Context(), resource.ChannelFilter{RecordingConfigurationARN: rc.ARN}, resource.Page{Size: 1})
		if err != nil || (len(listed) == 1) != (want != "") {
			t.Errorf("the configuration's channels are %v, %v", listed, err)
		}
	}
}

// Changes of one channel do not overwrite each other.
func TestConcurrentUpdates(t *testing.T) {
	const writers = 10
	f := open(t)
	ch, _ := f.channel("")
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			_, err := f.UpdateChannel(t.Context(), ch.ARN, func(ch *resource.Channel) error {
				ch.Name += "x"
				ch.Tags[fmt.Sprint(i)] = ""
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := f.Channel(t.Context(), ch.ARN)
	if err != nil || len(got.Name) != writers || len(got.Tags) != writers {
		t.Errorf("channel is %+v, %v", got, err)
	}
}

func TestDeleteChannel(t *testing.T) {
	f := open(t)
	ch, key := f.channel("")
	session := f.begin(key, noon)
	f.must(f.StartRecording(t.Context(), resource.Recording{ID: "rec", ChannelARN: ch.ARN, StreamIDs: []string{session.StreamID}, StartedAt: noon}))
	wantKind(t, f.DeleteChannel(t.Context(), ch.ARN), resource.Conflict)
	if _, err := f.StreamKey(t.Context(), key.ARN); err != nil {
		t.Errorf("a refused deletion took the key: %v", err)
	}
	f.end(session, noon)
	events := f.told()
	f.must(f.DeleteChannel(t.Context(), ch.ARN))

	_, err := f.Channel(t.Context(), ch.ARN)
	wantKind(t, err, resource.NotFound)
	_, err = f.StreamKey(t.Context(), key.ARN)
	wantKind(t, err, resource.NotFound)
	_, err = f.ChannelByStreamKey(t.Context(), key.Value)
	wantKind(t, err, resource.NotFound)
	_, _, err = f.ListStreamKeys(t.Context(), ch.ARN, resource.Page{Size: 1})
	wantKind(t, err, resource.NotFound)
	_, err = f.LiveStream(t.Context(), ch.ARN)
	wantKind(t, err, resource.NotFound)
	wantKind(t, f.DeleteChannel(t.Context(), ch.ARN), resource.NotFound)

	// History stays.
	if got, err := f.StreamSession(t.Context(), ch.ARN, ""); err != nil || got.StreamID != session.StreamID {
		t.Errorf("session is %+v, %v", got, err)
	}
	if got, _, err := f.ListStreamSessions(t.Context(), ch.ARN, resource.Page{Size: 1}); err != nil || len(got) != 1 {
		t.Errorf("sessions are %+v, %v", got, err)
	}
	if got, err := f.Recording(t.Context(), "rec"); err != nil || got.State != resource.RecordingStarted {
		t.Errorf("recording is %+v, %v", got, err)
	}
	if got := f.told(); !slices.Equal(got, events) {
		t.Errorf("events are %v, want %v", got, events)
	}
}
