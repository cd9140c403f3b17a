package audit

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"
)

// inter are fragments without key frames.
func inter(video, audio, length time.Duration) []byte {
	return fragmentsOf(mp4.NonSyncSampleFlags, video, audio, length, 1, 2)
}

// Holes end where a group of pictures begins, in each kind of media.
func TestFragmentHoles(t *testing.T) {
	first := lower + "/0.mp4"
	// from makes the first object: media goes on so far behind the beginning of
	// its second piece, after a second of the first.
	from := func(behind time.Duration, media func(_, _, _ time.Duration) []byte) []byte {
		at := 10*time.Second + firstPiece + behind
		return slices.Concat(fragments(10*time.Second, 10*time.Second, time.Second), media(at, at, 8*time.Second))
	}
	sized := func(content []byte) func(bucket) {
		return func(b bucket) {
			replace(lowerRanges, fmt.Sprintf("BYTERANGE:%d@100\n0.mp4", len(b[first])-100), fmt.Sprintf("BYTERANGE:%d@100\n0.mp4", len(content)-100))(b)
			b[first] = content
		}
	}
	for _, tt := range []struct {
		name   string
		damage func(bucket)
		want   string
	}{
		{"none", func(bucket) {}, ""},
		{"up to a group", sized(from(0, fragments)), ""},
		{"up to somewhere in a group", sized(from(200*time.Millisecond, fragments)), "media-gap " + first},
		{"up to another picture", sized(from(0, inter)), "media-broken " + first},
		{"back in time", sized(from(-600*time.Millisecond, fragments)), "media-broken " + first},
		{"in sound alone, up to a group", func(b bucket) {
			o := sound + "/1.mp4"
			content := append(fragmentsOf(mp4.SyncSampleFlags, 0, 20*time.Second, time.Second, 2),
				fragmentsOf(mp4.SyncSampleFlags, 0, 20*time.Second+firstPiece, time.Second, 2)...)
			replace(sound+"/byte-range-variant.m3u8", fmt.Sprintf("BYTERANGE:%d@100\n1.mp4", len(b[o])-100), fmt.Sprintf("BYTERANGE:%d@100\n1.mp4", len(content)-100))(b)
			b[o] = content
		}, ""},
		{"in sound alone, amid a group", func(b bucket) {
			o := sound + "/1.mp4"
			content := append(fragmentsOf(mp4.SyncSampleFlags, 0, 20*time.Second, time.Second, 2),
				fragmentsOf(mp4.SyncSampleFlags, 0, 20*time.Second+2*firstPiece, time.Second, 2)...)
			replace(sound+"/byte-range-variant.m3u8", fmt.Sprintf("BYTERANGE:%d@100\n1.mp4", len(b[o])-100), fmt.Sprintf("BYTERANGE:%d@100\n1.mp4", len(content)-100))(b)
			b[o] = content
		}, "media-gap " + sound + "/1.mp4"},
		{"in the sound of pictures", sized(slices.Concat(fragments(10*time.Second, 10*time.Second, time.Second),
			inter(11*time.Second, 10*time.Second+firstPiece, time.Second))), "media-broken " + first},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := recorded(true, ladder...)
			tt.damage(b)
			if got := found(t, b, ended()); got != tt.want {
				t.Errorf("found\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
	// The only rendition has none.
	b := sample(true)
	content := from(0, fragments)
	replace(ranges, fmt.Sprintf("BYTERANGE:%d@100\n0.mp4", len(b[folder+"/0.mp4"])-100), fmt.Sprintf("BYTERANGE:%d@100\n0.mp4", len(content)-100))(b)
	b[folder+"/0.mp4"] = content
	if got := found(t, b, ended()); got != "media-broken 0.mp4" {
		t.Errorf("in the only rendition found %s", got)
	}
}

// A rendition that leaves out every other picture has its first one later where
// an object begins amid a group of pictures, and only there.
func TestHalved(t *testing.T) {
	const shifted = "media-gap " + lower + "/1.mp4\nmedia-gap " + lower + "/2.mp4\nrendition-cut " + lower + "/1.mp4"
	for _, tt := range []struct {
		late       time.Duration
		key, inter string
	}{
		{0, "", ""},
		{17 * time.Millisecond, shifted, ""},
		{-5 * time.Millisecond, shifted, shifted},
		{40 * time.Millisecond, shifted, shifted},
	} {
		for want, media := range map[*string]func(_, _, _ time.Duration) []byte{&tt.key: fragments, &tt.inter: inter} {
			b := recorded(true, ladder[0], rung{name: "480p30", width: 852, height: 480})
			b[lower+"/1.mp4"] = media(20*time.Second+tt.late, 20*time.Second, lengths[1])
			if got := found(t, b, ended()); got != *want {
				t.Errorf("%v late: found\n%s\nwant\n%s", tt.late, got, *want)
			}
		}
	}
}

// Where an object is missing before one that begins amid a group of pictures,
// nothing can be said of where that begins.
func TestHalvedBehindMissing(t *testing.T) {
	b := recorded(true, ladder[0], rung{name: "480p30", width: 852, height: 480})
	delete(b, lower+"/0.mp4")
	b[lower+"/1.mp4"] = inter(20*time.Second+17*time.Millisecond, 20*time.Second, lengths[1])
	b[lower+"/2.mp4"] = inter(24*time.Second+17*time.Millisecond, 24*time.Second, lengths[2])
	if got := found(t, b, ended()); got != "object-missing "+lower+"/0.mp4" {
		t.Errorf("found %s", got)
	}
}

// Another stream may decode its pictures earlier before it shows them: behind
// those of the one before, at a join.
func TestReordering(t *testing.T) {
	b := sample(false)
	counters := map[uint16]byte{}
	write := single.writer(false)
	for _, length := range lengths[:2] { // for the counters
		for range len(write(0, 0, length)) / tsPacket / 4 {
			tsPES(counters, 0x101, 0xE0, 0, 0)
			tsPES(counters, 0x100, 0xC0, 0, 0)
		}
	}
	var o []byte
	for at := 24 * time.Second; at < 30*time.Second; at += time.Second {
		o = append(o, tsPES(counters, 0x101, 0xE0, at, at-2*lead)...)
		o = append(o, tsPES(counters, 0x100, 0xC0, at, at)...)
	}
	b[folder+"/2.ts"] = o
	if got := found(t, b, ended()); got != "" {
		t.Errorf("found %s", got)
	}
}

// Gaps and ranges of one object belong together.
func TestGapsBetweenRanges(t *testing.T) {
	text := "#EXTM3U\n#EXT-X-VERSION:8\n"
	for _, more := range []string{"#EXT-X-GAP\n", "#EXT-X-BYTERANGE:5@0\n", "#EXT-X-GAP\n", "#EXT-X-BYTERANGE:6@5\n"} {
		text += "#EXT-X-PROGRAM-DATE-TIME:" + dates[0] + "\n#EXTINF:2.000,\n" + more + "0.ts\n"
	}
	p, err := parsePlaylist([]byte(text), false)
	if err != nil {
		t.Fatal(err)
	}
	all := p.objects(func(msg string) { t.Error(msg) })
	if len(all) != 1 {
		t.Fatalf("%+v", all)
	}
	o := &all[0]
	first, told := o.first()
	if o.Gap || o.Size != 11 || o.Duration != 8*time.Second || o.absent() != 4*time.Second || first != 2*time.Second || !told {
		t.Errorf("%+v: media from %v on", o, first)
	}
	for at, want := range map[time.Duration]bool{0: false, 2 * time.Second: true, 3 * time.Second: false, 4 * time.Second: false, 6 * time.Second: true} {
		if o.begins(at) != want {
			t.Errorf("a group begins at %v: %v", at, !want)
		}
	}
}
