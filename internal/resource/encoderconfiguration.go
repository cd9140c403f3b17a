package resource

// EncoderConfiguration says how a composition is encoded. It never changes but
// for its tags.
type EncoderConfiguration struct {
	ARN   ARN    `json:"arn"`
	Name  string `json:"name"`
	Video Video  `json:"video"`
	Tags  Tags   `json:"tags"`
}

// Video is a picture's size and rates.
type Video struct {
	Width     int     `json:"width"`     // 2–1920, even
	Height    int     `json:"height"`    // 2–1920, even
	Framerate float64 `json:"framerate"` // 1–60 a second
	Bitrate   int     `json:"bitrate"`   // 1–8,500,000 bit/s
}

// maxEncodedPixels is the area of 1080p, lying or upright.
const maxEncodedPixels = 1920 * 1080

// FillDefaults sets every member left empty to its documented default.
func (c *EncoderConfiguration) FillDefaults() {
	if c.Video.Width == 0 {
		c.Video.Width = 1280
	}
	if c.Video.Height == 0 {
		c.Video.Height = 720
	}
	if c.Video.Framerate == 0 {
		c.Video.Framerate = 30
	}
	if c.Video.Bitrate == 0 {
		c.Video.Bitrate = 2_500_000
	}
	if c.Tags == nil {
		c.Tags = Tags{}
	}
}

// Validate checks the rules that the decoding of one member cannot. It runs
// after FillDefaults: a width alone has to go with the default height.
func (c *EncoderConfiguration) Validate() error {
	v := c.Video
	switch {
	case v.Width%2 != 0:
		return Errorf(Invalid, "video.width: must be even, not %d", v.Width)
	case v.Height%2 != 0:
		return Errorf(Invalid, "video.height: must be even, not %d", v.Height)
	case v.Width*v.Height > maxEncodedPixels:
		return Errorf(Invalid, "video: %dx%d has %d pixels, and may have %d", v.Width, v.Height, v.Width*v.Height, maxEncodedPixels)
	}
	return nil
}
