package e2e

import (
	"slices"
	"strings"
	"testing"
)

// What a rendition may not do is noticed.
func TestCompareRenditions(t *testing.T) {
	const frame, sound = ticks / 25, 1920
	source := func() *view {
		v := &view{sight: sight{width: 640, height: 360}}
		for i := range 100 {
			v.pictures = append(v.pictures, shown{span{int64(i) * frame, frame}, i%25 == 0, i % 16})
		}
		for i := int64(0); i*sound < 100*frame; i++ {
			v.sound = append(v.sound, span{i * sound, sound})
		}
		v.beeps = []int64{0, ticks, 2 * ticks, 3 * ticks}
		return v
	}
	for _, tt := range []struct {
		name          string
		breaks        func(v *view)
		halved, fresh bool
		wrong         string
	}{
		{name: "all is well", breaks: func(*view) {}},
		{name: "halved", breaks: halve, halved: true},
		{name: "a key frame more", breaks: func(v *view) { v.pictures[30].key = true }, fresh: true},
		{name: "a gap that is told", breaks: func(v *view) {
			v.pictures = slices.Delete(v.pictures, 25, 50)
			v.sound = slices.DeleteFunc(v.sound, func(s span) bool { return s.at >= ticks && s.at < 2*ticks })
			v.holes = []span{{ticks, ticks}}
		}},
		{name: "torn off before a key frame", breaks: func(v *view) { v.torn, v.pictures = true, slices.Delete(v.pictures, 45, 50) }},
		{name: "torn off for long", breaks: func(v *view) { v.torn, v.pictures = true, slices.Delete(v.pictures, 35, 50) }, wrong: "16 behind a key frame, is there: false"},
		{name: "halved in secret", breaks: halve, wrong: "1 behind a key frame, is there: false"},
		{name: "not halved", breaks: func(*view) {}, halved: true, wrong: "1 behind a key frame, is there: true"},
		{name: "a picture is missing", breaks: func(v *view) { v.pictures = slices.Delete(v.pictures, 30, 31) }, wrong: "5 behind a key frame, is there: false"},
		{name: "a picture has moved", breaks: func(v *view) { v.pictures[30].at += 9 }, wrong: "none of the source's"},
		{name: "another picture", breaks: func(v *view) { v.pictures[30].number++ }, wrong: "has the number"},
		{name: "a key frame is none", breaks: func(v *view) { v.pictures[50].key = false }, wrong: "is a key frame: false"},
		{name: "a key frame more than the source has", breaks: func(v *view) { v.pictures[30].key = true }, wrong: "is a key frame: true"},
		{name: "few key frames", breaks: func(v *view) {
			for _, i := range []int{25, 50, 75} {
				v.pictures[i].key = false
			}
		}, fresh: true, wrong: "no key frame for 2."},
		{name: "sound is missing", breaks: func(v *view) { v.sound = slices.Delete(v.sound, 30, 31) }, wrong: "the sound at 0.6400 s is missing"},
		{name: "sound beside the grid", breaks: func(v *view) { v.sound[30].at += 180 }, wrong: "is not the source's"},
		{name: "sound twice", breaks: func(v *view) { v.sound = slices.Insert(v.sound, 30, v.sound[30]) }, wrong: "is not the source's"},
		{name: "late beep", breaks: func(v *view) { v.beeps[1] += ticks / 20 }, wrong: "it beeps at 1.0500 s"},
		{name: "no beep", breaks: func(v *view) { v.beeps = v.beeps[1:] }, wrong: "it beeps 3 times"},
		{name: "late sound", breaks: func(v *view) { v.sound = v.sound[3:] }, wrong: "sound begins 0.0640 s after"},
		{name: "sound ends late", breaks: func(v *view) { v.pictures = v.pictures[:97] }, wrong: "sound ends 0.1"},
		{name: "sound ends early", breaks: func(v *view) { v.sound = v.sound[:len(v.sound)-4] }, wrong: "sound ends -0."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := source()
			tt.breaks(v)
			wrong := strings.Join(v.compare(source(), tt.halved, tt.fresh), "\n")
			if tt.wrong == "" && wrong != "" || !strings.Contains(wrong, tt.wrong) {
				t.Errorf("said is %q, not %q", wrong, tt.wrong)
			}
		})
	}
}

func halve(v *view) {
	var half []shown
	for i, p := range v.pictures {
		if i%25%2 == 0 {
			half = append(half, p)
		}
	}
	v.pictures = half
}

// What is not what was published is noticed.
func TestCompareReel(t *testing.T) {
	film := &reel{}
	for i := range int64(50) {
		film.shown.pictures = append(film.shown.pictures, shown{span{100 + i*3600, 3600}, i%25 == 0, int(i) % 16})
	}
	film.shown.beeps = []int64{100, 100 + ticks}
	for _, tt := range []struct {
		name   string
		breaks func(v *view)
		wrong  string
	}{
		{"all is well", func(*view) {}, ""},
		{"torn off among B-frames", func(v *view) { v.pictures = slices.Delete(v.pictures, 48, 49) }, ""},
		{"a picture is missing", func(v *view) { v.pictures = slices.Delete(v.pictures, 70, 71) }, "but the 20th that is there"},
		{"a picture has moved", func(v *view) { v.pictures[70].at += 90 }, "no picture was sent"},
		{"another picture", func(v *view) { v.pictures[70].number++ }, "has the number"},
		{"no key frame", func(v *view) { v.pictures[75].key = false }, "is no key frame"},
		{"early beep", func(v *view) { v.beeps[2] -= ticks / 20 }, "it beeps at 1.9"},
		{"nothing behind the join", func(v *view) { v.pictures = v.pictures[:55] }, "5 pictures from"},
		{"nothing", func(v *view) { v.pictures = nil }, "nothing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := &view{joins: []int64{2 * ticks}}
			for _, offset := range []int64{-100, 2*ticks - 100} {
				one := sight{pictures: slices.Clone(film.shown.pictures), beeps: slices.Clone(film.shown.beeps)}
				one.shift(offset)
				v.pictures, v.beeps = append(v.pictures, one.pictures...), append(v.beeps, one.beeps...)
			}
			v.pictures[50].at -= 5 // shown as soon as it is decoded
			tt.breaks(v)
			wrong := strings.Join(v.compareReel(film), "\n")
			if tt.wrong == "" && wrong != "" || !strings.Contains(wrong, tt.wrong) {
				t.Errorf("said is %q, not %q", wrong, tt.wrong)
			}
		})
	}
}
