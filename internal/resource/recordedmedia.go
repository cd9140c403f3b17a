package resource

// RecordedMedia is what a recording consists of below its prefix.
type RecordedMedia struct {
	Renditions []RecordedRendition `json:"renditions,omitempty"` // best first
	// Thumbnail is the path below the prefix of one that is stored, empty when
	// none is.
	Thumbnail string `json:"thumbnail,omitempty"`
}

// RecordedRendition is one rendition of a recording.
type RecordedRendition struct {
	Name string `json:"name"` // of its folder in media/hls, such as "720p30"
	// Width and Height are in pixels, 0 for sound alone.
	Width  int `json:"width,omitempty"`
	Height int `json:"height,omitempty"`
}
