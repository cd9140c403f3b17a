package recorder

import (
	"slices"
	"testing"

	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

// rung is a rendition that the camera delivers besides its source.
type rung struct {
	Rendition
	params media.Params
	hole   bool // it delivers nothing
}

// video480p is another track than video720p, as far as it matters here.
var video480p = &media.VideoParams{
	SPS: video720p.SPS, PPS: []byte{0x68, 0xce, 0x0f, 0xc9}, Width: 852, Height: 480,
	Profile: video720p.Profile, Constraints: video720p.Constraints, Level: video720p.Level,
}

// climb gives the camera a ladder: its source, 480p30 and sound alone.
func (c *camera) climb() *camera {
	audio := c.stream.Description.Audio
	c.rungs = []*rung{
		{Rendition: Rendition{Name: "480p30", Width: 852, Height: 480, FrameRate: 30}, params: media.Params{Video: video480p, Audio: audio}},
		{Rendition: Rendition{Name: "audio_only"}, params: media.Params{Audio: audio}},
	}
	c.stream.Renditions = []Rendition{{Width: 1280, Height: 720, FrameRate: 30}}
	for _, r := range c.rungs {
		c.stream.Renditions = append(c.stream.Renditions, r.Rendition)
	}
	return c
}

// custom has some resolutions recorded alone.
func (c *camera) custom(resolutions ...string) {
	c.stream.Configuration.Rendition = resource.RenditionConfiguration{Selection: "CUSTOM", Renditions: resolutions}
}

// render is a chunk in all of the camera's renditions. Its frames are the same in
// all of them, as sound where there is no picture.
func (c *camera) render(t *testing.T, ch *packager.Chunk) (all []Rendered) {
	t.Helper()
	if c.stream.Participant != nil {
		return c.publish(t, ch)
	}
	add := func(ch *packager.Chunk) {
		data, err := c.cmaf.Append(nil, ch)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, Rendered{Chunk: ch, CMAF: data})
	}
	add(ch)
	for _, r := range c.rungs {
		if r.hole {
			all = append(all, Rendered{})
			continue
		}
		of := *ch
		of.Params = r.params
		if r.params.Video == nil {
			of.Video, of.Audio = nil, slices.Clone(ch.Video)
			for i := range of.Audio {
				f := &of.Audio[i]
				f.Kind, f.Key = media.Audio, true
				for _, at := range []*media.Ticks{&f.DTS, &f.PTS, &f.Duration} {
					*at = at.Rescale(media.VideoRate, r.params.Audio.SampleRate)
				}
			}
		}
		add(&of)
	}
	return all
}
