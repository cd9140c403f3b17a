package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"

	"anabranch/e2e/hls"
)

// transcoding bounds the servers that transcode at the same time: the machine may
// be small, and other tests run beside them.
var transcoding = make(chan struct{}, 2)

// startTranscoder starts a server that may transcode so many streams, once there
// are processors for it, with the encoder's fastest preset.
func startTranscoder(t testing.TB, streams int, flags ...string) *server {
	t.Helper()
	transcoding <- struct{}{}
	t.Cleanup(func() { <-transcoding })
	return startServer(t, append([]string{"--transcode-capacity", fmt.Sprint(streams), "--transcode-encoder", "libx264:ultrafast"}, flags...)...)
}

// of makes a channel of a type and preset.
func of(kind types.ChannelType, preset types.TranscodePreset) func(*ivs.CreateChannelInput) {
	return func(in *ivs.CreateChannelInput) { in.Type, in.Preset = kind, preset }
}

// ladder is a channel type's renditions for what is published.
type ladder struct {
	name    string
	kind    types.ChannelType
	preset  types.TranscodePreset
	format  types.ContainerFormat
	reel    reel
	first   time.Duration // of the reel, before the publisher drops; 5 s when 0
	source  bool          // the source is a rendition, too
	rungs   []rung
	onAsked bool // sound alone is there for who asks for it
}

// rung is a transcoded rendition; without a size it is sound alone.
type rung struct {
	name          string
	width, height int
	halved        bool
}

// The ladders of all channel types, live and recorded: each rendition shows the
// source's pictures at the source's times, with key frames where it has them; all
// are cut at the same instants; sound and picture stay together, also across a
// drop and a return.
func TestLadders(t *testing.T) {
	const (
		higher      = types.TranscodePresetHigherBandwidthTranscodePreset
		constrained = types.TranscodePresetConstrainedBandwidthTranscodePreset
	)
	slow := func(width, height int) reel {
		return reel{width: width, height: height, rate: 15, gop: 15, sampleRate: 48000}
	}
	p720, p480, p360, p160 := rung{"720p15", 1280, 720, false}, rung{"480p15", 852, 480, false}, rung{"360p15", 640, 360, false}, rung{"160p15", 284, 160, false}
	sound := rung{name: "audio_only"}

	bFrames := slow(1280, 720)
	bFrames.rate, bFrames.gop, bFrames.bFrames = 30, 30, 2
	fast := slow(854, 480)
	fast.rate, fast.gop = 60, 31
	longGOP := slow(1280, 720)
	longGOP.gop = 75
	reordered := slow(854, 480)
	reordered.bFrames, reordered.gop = 2, 30
	cd := slow(1280, 720)
	cd.sampleRate = 44100

	for _, l := range []ladder{
		{name: "BASIC", kind: types.ChannelTypeBasicChannelType, reel: slow(854, 480), source: true, onAsked: true},
		{name: "STANDARD 720p30 with B-frames", kind: types.ChannelTypeStandardChannelType, reel: bFrames, first: 12 * time.Second, source: true, onAsked: true,
			rungs: []rung{{"480p30", 852, 480, false}, {"360p30", 640, 360, false}, {"160p30", 284, 160, false}}},
		{name: "STANDARD 480p60, a key frame every 31", kind: types.ChannelTypeStandardChannelType, reel: fast, source: true, onAsked: true,
			rungs: []rung{{"360p30", 640, 360, true}, {"160p30", 284, 160, true}}},
		{name: "ADVANCED_SD, a key frame every 5 s", kind: types.ChannelTypeAdvancedSDChannelType, preset: higher, reel: longGOP, first: 7 * time.Second,
			rungs: []rung{p480, p360, p160, sound}},
		{name: "ADVANCED_SD constrained, B-frames", kind: types.ChannelTypeAdvancedSDChannelType, preset: constrained, reel: reordered,
			rungs: []rung{{"480p15", 854, 480, false}, p360, p160, sound}},
		{name: "ADVANCED_HD, fMP4", kind: types.ChannelTypeAdvancedHDChannelType, preset: higher, reel: slow(1280, 720), format: types.ContainerFormatFragmentedMP4,
			rungs: []rung{p720, p480, p360, p160, sound}},
		{name: "ADVANCED_HD constrained, 44.1 kHz", kind: types.ChannelTypeAdvancedHDChannelType, preset: constrained, reel: cd,
			rungs: []rung{p720, p480, p360, p160, sound}},
	} {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			if l.first == 0 {
				l.first = 5 * time.Second
			}
			l.reel.length = l.first + 3*time.Second
			film := l.reel.shoot(t)
			const speeds = 4
			s := startTranscoder(t, speeds)
			// A machine that is too slow has gaps, and tells them. There is one speed
			// at which it has none.
			speed := 1.
			for range speeds {
				if l.show(t, s, film, speed) || t.Failed() {
					return
				}
				t.Logf("there are gaps at a speed of %g", speed)
				speed /= 2
			}
			t.Error("there are gaps even in slow motion")
		})
	}
}

// show broadcasts the reel, with a drop and a return, and compares all that there
// is to see then. It is false, and there may be less, when there were gaps.
func (l ladder) show(t *testing.T, s *server, film *reel, speed float64) (complete bool) {
	t.Helper()
	const second = 4 * time.Second // of the reel
	c := s.newRecordedChannel(time.Minute, of(l.kind, l.preset), func(in *ivs.CreateChannelInput) { in.ContainerFormat = l.format })
	c.watch(func(cfg *hls.Config) { cfg.Latency = time.Hour })
	for i, d := range []time.Duration{l.first, second} {
		p := c.play(film, speed)
		p.waitSlow(d, speed)
		c.waitLive()
		if i > 0 {
			p.quit()
		} else if !c.checkVariants(l) {
			p.kill()
			return false
		}
		p.kill()
		c.waitOffline()
	}
	c.waitAllSeen()
	live := c.watched()
	c.endRecording()
	recordings := c.waitRecordings(1)
	r := recordings[0]
	r.check(t)
	s.wholeRecording(s.shelf("--channel", c.id())[0].ID)
	recorded := r.recorded(t)
	alsoMissing(recorded, live)

	complete = l.compare(t, film, "live", live, false)
	return l.compare(t, film, "recorded", recorded, true) && complete && checkLiveCuts(t, c)
}

// compare compares renditions with what was published, and with the first of them.
func (l ladder) compare(t *testing.T, film *reel, where string, all []*view, named bool) (complete bool) {
	t.Helper()
	want := l.rungs
	if l.source {
		name := ""
		if named {
			name = fmt.Sprintf("%dp%d", film.height, film.rate)
		}
		want = append([]rung{{name: name, width: film.width, height: film.height}}, want...)
	}
	if len(all) != len(want) {
		t.Fatalf("%s are %d renditions, not %d: %+v", where, len(all), len(want), want)
	}
	complete = true
	for i, v := range all {
		t.Logf("%s %s: %s", where, v.name, &v.sight)
		w := want[i]
		if v.name != w.name || v.width != w.width || v.height != w.height {
			t.Errorf("%s: rendition %d is %s of %dx%d, not %+v", where, i, v.name, v.width, v.height, w)
		}
		if v.audioCodec != "aac" || w.width > 0 && v.videoCodec != "h264" {
			t.Errorf("%s %s: %s and %s", where, v.name, v.videoCodec, v.audioCodec)
		}
		if len(v.holes) > 0 {
			complete = false
		}
	}
	if len(all[0].holes) > 0 {
		if l.source {
			t.Errorf("%s: the source has gaps: %v", where, all[0].holes)
		}
		return false
	}
	var wrong []string
	wrong = append(wrong, all[0].compareReel(film)...)
	for i, v := range all {
		wrong = append(wrong, v.compare(all[0], want[i].halved, !l.source)...)
		if len(v.joins) != 1 && v.holes == nil {
			wrong = append(wrong, fmt.Sprintf("%q: %d joins", v.name, len(v.joins)))
		}
	}
	if len(wrong) > 0 {
		t.Errorf("%s:\n%s", where, strings.Join(wrong, "\n"))
	}
	return complete
}

// checkVariants checks what the Multivariant Playlist tells while the stream is
// live. It is false when there is a rendition that cannot be played: all of it is
// a gap.
func (c *channel) checkVariants(l ladder) bool {
	t := c.server.t
	t.Helper()
	var want []string
	if l.source {
		want = append(want, fmt.Sprintf("%dx%d", l.reel.width, l.reel.height))
	}
	for _, r := range l.rungs {
		want = append(want, r.resolution())
	}
	all, err := c.variants(t.Context(), "")
	if err == nil && len(all) < len(want) {
		return false
	}
	if err != nil {
		t.Error(err)
	}
	asked, err := c.variants(t.Context(), "?allow_audio_only=true")
	if err != nil {
		t.Error(err)
	}
	wantAsked := want
	if l.onAsked {
		wantAsked = append(slices.Clone(want), "")
	}
	for _, told := range []struct {
		variants []hls.Attributes
		want     []string
	}{{all, want}, {asked, wantAsked}} {
		var got []string
		for _, v := range told.variants {
			got = append(got, v["RESOLUTION"])
			if video := strings.Contains(v["CODECS"], "avc1."); video != (v["RESOLUTION"] != "") || !strings.Contains(v["CODECS"], "mp4a.40.2") {
				t.Errorf("variant %v", v)
			}
		}
		if !slices.Equal(got, told.want) {
			t.Errorf("the variants are of %q, not %q", got, told.want)
		}
	}
	return true
}

func (r rung) resolution() string {
	if r.width == 0 {
		return ""
	}
	return fmt.Sprintf("%dx%d", r.width, r.height)
}

// waitAllSeen waits until the viewer, whose channel is offline, has seen each
// rendition to its end.
func (c *channel) waitAllSeen() {
	t := c.server.t
	t.Helper()
	eventually(t, 20*time.Second, "the viewer has seen the end", func() error {
		var end uint64
		for i, r := range c.viewer.Renditions() {
			p, err := fetchPlaylist(t.Context(), r.URL())
			if err != nil {
				return err
			}
			seen := r.Newest()
			if i == 0 {
				end = p.Open.Number
			}
			if seen == nil || seen.Open.Number != p.Open.Number || len(p.Open.Parts) > 0 || p.Open.Number != end {
				return fmt.Errorf("%s goes on", r.Name())
			}
		}
		return nil
	})
}

// checkLiveCuts checks that all renditions were cut at the same instants, part by
// part, and numbered alike.
func checkLiveCuts(t testing.TB, c *channel) bool {
	t.Helper()
	var first []hls.Segment
	for i, r := range c.viewer.Renditions() {
		segments := r.Segments()
		if i == 0 {
			first = segments
			continue
		}
		from := slices.IndexFunc(first, func(s hls.Segment) bool { return s.Number == segments[0].Number })
		if from < 0 {
			t.Errorf("%s begins with segment %d", r.Name(), segments[0].Number)
			continue
		}
		if d := cuts(first[from:], segments); d != "" {
			t.Errorf("%s is not cut as the first: %s", r.Name(), d)
			continue
		}
		for i, s := range segments {
			if d := partCuts(first[from+i].Parts, s.Parts); d != "" {
				t.Errorf("%s, segment %d: %s", r.Name(), s.Number, d)
			}
		}
	}
	return true
}

func partCuts(a, b []hls.Part) string {
	lengths := func(parts []hls.Part) (all []time.Duration) {
		for _, p := range parts {
			all = append(all, p.Duration)
		}
		return all
	}
	if x, y := lengths(a), lengths(b); len(x) > 0 && len(y) > 0 && !slices.Equal(x, y) {
		return fmt.Sprintf("parts of %v are of %v", x, y)
	}
	return ""
}

// waitSlow waits until d of media has been sent at a speed.
func (p *publisher) waitSlow(d time.Duration, speed float64) {
	p.t.Helper()
	eventually(p.t, time.Duration(float64(d)/speed)+15*time.Second, fmt.Sprintf("%v of media has been sent", d), func() error {
		if p.hasEnded() {
			p.t.Fatalf("the publisher ended: %v\n%s", p.err, p.output())
		}
		if got := p.progress().duration; got < d {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
}
