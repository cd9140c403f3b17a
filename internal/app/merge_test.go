package app

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

// merge is a row of the tables: what happens, with what reconnect window in
// seconds, and what becomes of it.
type merge struct {
	name   string
	window int
	play   func(s *studio)
	want   []string // as [studio.recordings] tells them
	told   string   // nothing for: start 1, end …
}

func (tt merge) run(t *testing.T) {
	t.Run(tt.name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := newStudio(t, tt.window)
			tt.play(s)
			time.Sleep(10 * time.Minute)
			s.want(tt.want, tt.told)
		})
	})
}

var (
	merged = []string{"1 2: 3|3, ended 1m16s"}
	apart  = []string{"1: 3, ended 1m3s", "2: 3, ended 1m16s"}
)

const toldApart = "start 1, start 2, end 1, end 2"

// A stream that begins inside the window goes on with the recording.
func TestMergeWindow(t *testing.T) {
	after := func(d time.Duration) func(*studio) {
		return func(s *studio) {
			s.stream(plain, 3*sec)
			time.Sleep(d)
			s.stream(plain, 3*sec)
		}
	}
	const one = "start 1, end 1, start 2, end 2"
	for _, tt := range []merge{
		{name: "after 0.1 s", window: 60, play: after(100 * ms), want: []string{"1 2: 3|3, ended 1m6.1s"}},
		{name: "after 1 s", window: 60, play: after(sec), want: []string{"1 2: 3|3, ended 1m7s"}},
		{name: "after 9 s", window: 60, play: after(9 * sec), want: []string{"1 2: 3|3, ended 1m15s"}},
		{name: "1 s, inside", window: 1, play: after(999 * ms), want: []string{"1 2: 3|3, ended 7.999s"}},
		{name: "1 s, outside", window: 1, play: after(1001 * ms), want: []string{"1: 3, ended 4s", "2: 3, ended 8.001s"}, told: one},
		{name: "60 s, inside", window: 60, play: after(59_999 * ms), want: []string{"1 2: 3|3, ended 2m5.999s"}},
		{name: "60 s, to the instant", window: 60, play: after(60 * sec), want: []string{"1: 3, ended 1m3s", "2: 3, ended 2m6s"}, told: one},
		{name: "60 s, outside", window: 60, play: after(60_001 * ms), want: []string{"1: 3, ended 1m3s", "2: 3, ended 2m6.001s"}, told: one},
		{name: "300 s, inside", window: 300, play: after(299_999 * ms), want: []string{"1 2: 3|3, ended 10m5.999s"}},
		{name: "300 s, outside", window: 300, play: after(300_001 * ms), want: []string{"1: 3, ended 5m3s", "2: 3, ended 10m6.001s"}, told: one},
		{name: "none", window: 0, play: after(100 * ms), want: []string{"1: 3, ended 3s", "2: 3, ended 6.1s"}, told: one},
	} {
		tt.run(t)
	}
}

// What must be the same for a stream to go on with the recording: a second one
// begins after 13 s.
func TestMergeMatch(t *testing.T) {
	type change = func(e *encoder)
	toldBitrate := func(n int) change { return func(e *encoder) { e.toldBitrate = n } }
	size := func(n int) change { return func(e *encoder) { e.toldBitrate, e.size = 0, n } }
	rate := func(actual, told float64) change { return func(e *encoder) { e.rate, e.toldRate = actual, told } }
	for _, tt := range []struct {
		name          string
		first, second change
		fragmented    bool
		merged        bool
	}{
		{name: "the same", merged: true},
		{name: "the same, fragmented", fragmented: true, merged: true},
		{name: "width", second: func(e *encoder) { e.width = 1278 }},
		{name: "height", second: func(e *encoder) { e.height = 718 }},
		{name: "landscape to portrait", second: func(e *encoder) { e.width, e.height = e.height, e.width }},
		{name: "H.264 profile", second: func(e *encoder) { e.profile = 0x64 }, merged: true},
		{name: "H.264 profile, fragmented", second: func(e *encoder) { e.profile = 0x64 }, fragmented: true, merged: true},

		{name: "30 to 29.97 fps", second: rate(30, 29.97), merged: true},
		{name: "29.97 to 30 fps", first: rate(30, 29.97), second: rate(30, 30), merged: true},
		{name: "30 to 60 fps", second: rate(60, 60)},
		{name: "25 to 24 fps", first: rate(25, 25), second: rate(24, 24)},
		{name: "30 fps to not told", second: rate(30, 0), merged: true},
		{name: "30 fps to 60, not told", second: rate(60, 0)},
		{name: "not told to 30 fps", first: rate(30, 0), second: rate(30, 30), merged: true},
		{name: "not told to 60 fps", first: rate(30, 0), second: rate(60, 60)},

		{name: "bitrate 49 % less", second: toldBitrate(24_480), merged: true},
		{name: "bitrate 51 % less", second: toldBitrate(23_520)},
		{name: "bitrate 49 % more", second: toldBitrate(71_520), merged: true},
		{name: "bitrate 51 % more", second: toldBitrate(72_480)},
		{name: "bitrate not told, 49 % less", first: size(200), second: size(102), merged: true},
		{name: "bitrate not told, 51 % less", first: size(200), second: size(98)},
		{name: "bitrate not told, 49 % more", first: size(200), second: size(298), merged: true},
		{name: "bitrate not told, 51 % more", first: size(200), second: size(302)},
		{name: "bitrate told by the first alone, 51 % more", second: size(302)},
		{name: "bitrate told by the second alone, 51 % more", first: size(200), second: func(e *encoder) { e.size = 302 }},
		{name: "bitrate told by the second alone, and wrong", first: size(200), second: toldBitrate(1_000_000), merged: true},
		{name: "bitrate not told, 51 % more, fragmented", first: size(200), second: size(302), fragmented: true},

		{name: "sound lost", second: func(e *encoder) { e.sampleRate = 0 }},
		{name: "sound added", first: func(e *encoder) { e.sampleRate = 0 }},
		{name: "stereo to mono", second: func(e *encoder) { e.channels = 1 }, merged: true},
		{name: "stereo to mono, fragmented", second: func(e *encoder) { e.channels = 1 }, fragmented: true, merged: true},
		{name: "sample rate", second: func(e *encoder) { e.sampleRate = 44100 }, merged: true},
		{name: "sample rate, fragmented", second: func(e *encoder) { e.sampleRate = 44100 }, fragmented: true},
	} {
		row := merge{name: tt.name, window: 60, want: apart, told: toldApart}
		if tt.merged {
			row.want, row.told = merged, ""
		}
		row.play = func(s *studio) {
			if tt.fragmented {
				s.fragmented()
			}
			for i, change := range []change{tt.first, tt.second} {
				e := plain
				if change != nil {
					change(&e)
				}
				time.Sleep(time.Duration(i) * 10 * sec)
				s.stream(e, 3*sec)
			}
		}
		row.run(t)
	}
}

// What happens to channel, configuration and bucket in the gap, after 8 s.
func TestMergeAfterChange(t *testing.T) {
	between := func(what func(*studio)) func(*studio) {
		return func(s *studio) {
			s.stream(plain, 3*sec)
			time.Sleep(5 * sec)
			what(s)
			time.Sleep(5 * sec)
			s.stream(plain, 3*sec)
		}
	}
	update := func(change func(*ivs.UpdateChannelInput)) func(*studio) {
		return between(func(s *studio) { s.update(change) })
	}
	gone := func(b *bucket) { b.gone = true }
	cut := []string{"1: 3, ended 8s", "2: 3, ended 1m16s"}
	const toldCut = "start 1, end 1, start 2, end 2"
	for _, tt := range []merge{
		{name: "configuration detached", play: between(func(s *studio) { s.attach("") }), want: []string{"1: 3, ended 8s"}},
		{name: "configuration detached and attached", play: between(func(s *studio) {
			s.attach("")
			s.attach(*s.recording)
		}), want: cut, told: toldCut},
		{name: "another configuration", play: between(func(s *studio) { s.attach(*s.configuration("clips", 60)) }), want: cut, told: toldCut},
		{name: "another configuration and back", play: between(func(s *studio) {
			s.attach(*s.configuration("shows", 60))
			s.attach(*s.recording)
		}), want: cut, told: toldCut},
		{name: "the window made longer, by another configuration", play: between(func(s *studio) {
			s.attach(*s.configuration("clips", 120))
			if _, err := s.api.DeleteRecordingConfiguration(s.Context(), &ivs.DeleteRecordingConfigurationInput{Arn: s.recording}); err != nil {
				s.Error(err)
			}
		}), want: []string{"1: 3, ended 8s", "2: 3, ended 2m16s"}, told: toldCut},
		{name: "configuration that is in use deleted", play: between(func(s *studio) {
			_, err := s.api.DeleteRecordingConfiguration(s.Context(), &ivs.DeleteRecordingConfigurationInput{Arn: s.recording})
			if conflict := (*types.ConflictException)(nil); !errors.As(err, &conflict) {
				s.Errorf("got %v", err)
			}
		}), want: merged},
		{name: "channel deleted", play: func(s *studio) {
			s.stream(plain, 3*sec)
			time.Sleep(5 * sec)
			if _, err := s.api.DeleteChannel(s.Context(), &ivs.DeleteChannelInput{Arn: s.channel}); err != nil {
				s.Error(err)
			}
		}, want: []string{"1: 3, ended 8s"}},
		{name: "bucket deleted", play: func(s *studio) {
			s.stream(plain, 3*sec)
			time.Sleep(5 * sec)
			s.cable.set(gone)
			time.Sleep(30 * sec)
			s.stream(plain, 3*sec)
		}, want: []string{"1: 3, failed 10.333s"}, told: "start 1, fail 1, refuse 2"},
		{name: "bucket deleted, and back at once", play: func(s *studio) {
			s.stream(plain, 3*sec)
			time.Sleep(5 * sec)
			s.cable.set(gone)
			s.stream(plain, 3*sec)
		}, want: []string{"1 2: 3, failed 11s"}, told: "start 1, fail 1 2"},
		{name: "bucket deleted and made again", play: between(func(s *studio) {
			s.cable.set(gone)
			time.Sleep(sec)
			s.cable.set(func(b *bucket) { b.gone = false })
		}), want: []string{"1 2: 3|3, ended 1m17s"}},
		{name: "channel renamed", play: update(func(in *ivs.UpdateChannelInput) { in.Name = aws.String("other") }), want: merged},
		{name: "channel's type", play: update(func(in *ivs.UpdateChannelInput) { in.Type = types.ChannelTypeStandardChannelType }), want: merged},
		{name: "latency mode", play: update(func(in *ivs.UpdateChannelInput) { in.LatencyMode = types.ChannelLatencyModeNormalLatency }), want: merged},
		{name: "private", play: update(func(in *ivs.UpdateChannelInput) { in.Authorized = true }), want: merged},
		{name: "container format", play: between(func(s *studio) { s.fragmented() }), want: apart, told: toldApart},
		{name: "container format and back", play: between(func(s *studio) {
			s.fragmented()
			s.update(func(in *ivs.UpdateChannelInput) { in.ContainerFormat = types.ContainerFormatTs })
		}), want: merged},
	} {
		tt.window = 60
		tt.run(t)
	}
}
