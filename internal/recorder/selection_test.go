package recorder

import (
	"slices"
	"strings"
	"testing"

	"anabranch/internal/media"
	"anabranch/internal/resource"
)

// Which renditions of a stream are recorded.
func TestSelection(t *testing.T) {
	rung := func(name string, width, height int) Rendition {
		return Rendition{Name: name, Width: width, Height: height}
	}
	source := []Rendition{{}}
	standard := []Rendition{{}, rung("720p60", 1280, 720), rung("480p30", 852, 480), rung("360p30", 640, 360), rung("160p30", 284, 160)}
	portrait := []Rendition{{}, rung("720p60", 720, 1280), rung("480p30", 480, 852), rung("360p30", 360, 640), rung("160p30", 160, 284)}
	advanced := []Rendition{rung("480p30", 852, 480), rung("360p30", 640, 360), rung("160p30", 284, 160), rung("audio_only", 0, 0)}
	for _, tt := range []struct {
		name      string
		all       []Rendition
		selection string
		custom    []string
		want      []int
	}{
		{"all", standard, "ALL", nil, []int{0, 1, 2, 3, 4}},
		{"all, and sound", advanced, "ALL", nil, []int{0, 1, 2, 3}},
		{"all, whatever is listed", standard, "ALL", []string{"SD"}, []int{0, 1, 2, 3, 4}},
		{"none", standard, "NONE", nil, nil},
		{"none of one", nil, "NONE", nil, nil},
		{"full hd", standard, "CUSTOM", []string{"FULL_HD"}, []int{0}},
		{"hd", standard, "CUSTOM", []string{"HD"}, []int{1}},
		{"sd", standard, "CUSTOM", []string{"SD"}, []int{2}},
		{"lowest are two", standard, "CUSTOM", []string{"LOWEST_RESOLUTION"}, []int{3, 4}},
		{"best first", standard, "CUSTOM", []string{"LOWEST_RESOLUTION", "HD"}, []int{1, 3, 4}},
		{"twice", standard, "CUSTOM", []string{"SD", "SD"}, []int{2}},
		{"by the short side", portrait, "CUSTOM", []string{"HD", "SD"}, []int{1, 2}},
		{"full hd of a lower one", advanced, "CUSTOM", []string{"FULL_HD"}, []int{0}},
		{"the best only once", advanced, "CUSTOM", []string{"FULL_HD", "HD", "SD"}, []int{0}},
		{"no sound", advanced, "CUSTOM", []string{"FULL_HD", "HD", "SD", "LOWEST_RESOLUTION"}, []int{0, 1, 2}},
		{"custom of one", source, "CUSTOM", []string{"SD"}, []int{0}},
		{"custom of one that is not told", nil, "CUSTOM", []string{"SD"}, []int{0}},
		{"sound that is all", []Rendition{rung("audio_only", 0, 0)}, "CUSTOM", []string{"SD"}, []int{0}},
		{"an unknown resolution", standard, "CUSTOM", []string{"8K"}, []int{0}},
		{"none listed", standard, "CUSTOM", nil, []int{0, 1, 2, 3, 4}},
	} {
		s := newCamera(0).stream
		s.Description.Video = &media.VideoParams{Width: 1920, Height: 1080}
		if tt.name == "by the short side" {
			s.Description.Video = &media.VideoParams{Width: 1080, Height: 1920}
		}
		s.Renditions, s.Configuration.Rendition = tt.all, resource.RenditionConfiguration{Selection: tt.selection, Renditions: tt.custom}
		if got := s.selected(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	for h, want := range map[int]string{
		159: "", 160: "LOWEST_RESOLUTION", 360: "LOWEST_RESOLUTION", 361: "SD", 480: "SD", 481: "HD", 720: "HD", 721: "FULL_HD", 1080: "FULL_HD", 1081: "",
	} {
		var got []string
		for name := range bands {
			if r := rung("x", h*16/9, h); r.within(name) {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%d is %q, want %q", h, got, want)
		}
	}
}
