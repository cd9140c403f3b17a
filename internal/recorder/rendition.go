package recorder

import (
	"fmt"

	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

// Rendition is one form of a stream's media. No two of a stream have the same
// name.
type Rendition struct {
	// Name is that of its folder, such as "480p30" or "audio_only". Empty is the
	// source, which is named by its short side and its frame rate.
	Name string `json:"name,omitempty"`
	// Width and Height are in pixels, 0 for sound alone. Those of the source are
	// as its description says.
	Width  int `json:"width,omitempty"`
	Height int `json:"height,omitempty"`
	// FrameRate is in frames a second, 0 when not known. That of the source is as
	// its description says.
	FrameRate float64 `json:"frameRate,omitempty"`
}

// Rendered is a part in one rendition.
type Rendered struct {
	Chunk *packager.Chunk // nil where the rendition has a hole
	CMAF  []byte          // the chunk, for recordings that keep that form
	// Blank says that the pictures are not the publisher's: no thumbnail is made of
	// them.
	Blank bool
}

func (r *Rendition) isSource() bool { return r.Name == "" }

func (r *Rendition) soundAlone() bool { return r.Name != "" && r.Height == 0 }

// shortSide is what names and resolutions go by, in pixels.
func (r *Rendition) shortSide() int { return min(r.Width, r.Height) }

// alike says whether the media of both may be in one folder.
func (r Rendition) alike(o Rendition) bool {
	return r.Name == o.Name && r.Width == o.Width && r.Height == o.Height
}

// described says of what a rendition is, as it is known now. It comes with the
// first media; the codecs of a channel's source are known before.
type described struct {
	Rendition int    `json:"rendition"`
	Codecs    string `json:"codecs"` // RFC 6381
	// What follows is 0 where the rendition has been chosen by it.
	Width     int `json:"width,omitempty"` // of the largest pictures, and Height
	Height    int `json:"height,omitempty"`
	FrameRate int `json:"frameRate,omitempty"` // the highest, in frames a second
}

func (d *described) apply(s *state) error {
	if d.Rendition < 0 || d.Rendition >= len(s.described) {
		return fmt.Errorf("there is no rendition %d", d.Rendition)
	}
	s.described[d.Rendition] = *d
	return nil
}

// renditions are those that are recorded, best first. The journals of a source
// alone do not list it.
func (b *begun) renditions() []Rendition {
	switch {
	case b.Bare:
		return nil
	case len(b.Renditions) == 0:
		return []Rendition{{Width: b.Format.Width, Height: b.Format.Height}}
	}
	return b.Renditions
}

// several says that objects have more than one file.
func (b *begun) several() bool { return len(b.Renditions) > 1 }

// variant is a rendition as playlists and metadata tell of it.
type variant struct {
	Rendition
	index   int      // among the recording's
	name    string   // of its folder
	codecs  string   // RFC 6381
	headers []header // its initialization segments
}

// variants are the renditions that have media in the objects.
func (s *state) variants(objects []object) (with []variant) {
	for i, r := range s.renditions() {
		for n := range objects {
			if objects[n].of[i].Size > 0 {
				with = append(with, s.variant(i, r))
				break
			}
		}
	}
	return with
}

func (s *state) variant(i int, r Rendition) variant {
	v := variant{Rendition: r, index: i, name: s.folder(i)}
	if i < len(s.headers) {
		d := &s.described[i]
		v.codecs, v.headers = d.Codecs, s.headers[i]
		if d.Width > 0 {
			v.Width, v.Height, v.FrameRate = d.Width, d.Height, float64(d.FrameRate)
		}
	}
	if r.isSource() {
		v.Width, v.Height, v.FrameRate = s.Format.Width, s.Format.Height, s.frameRate()
	}
	return v
}

// recordedMedia is what a recording of these objects consists of, as the ledger is
// told.
func (s *state) recordedMedia(objects []object) (m resource.RecordedMedia) {
	m.Thumbnail = s.thumbnailName()
	if !s.named() {
		return m
	}
	for _, v := range s.variants(objects) {
		m.Renditions = append(m.Renditions, resource.RecordedRendition{Name: v.name, Width: v.Width, Height: v.Height})
	}
	return m
}

// named says whether all renditions have names.
func (s *state) named() bool {
	for i := range s.renditions() {
		if s.folder(i) == "" {
			return false
		}
	}
	return true
}

// folder is the name of a rendition's folder.
func (s *state) folder(i int) string {
	if len(s.Renditions) > 0 && !s.Renditions[i].isSource() {
		return s.Renditions[i].Name
	}
	return s.sourceName()
}

// frameRate is that of the source, 0 while it is not known.
func (s *state) frameRate() float64 {
	if s.Format.FrameRate > 0 || s.measured == nil {
		return s.Format.FrameRate
	}
	return s.measured.FrameRate
}
