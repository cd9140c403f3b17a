package recorder

import (
	"math"
	"slices"
	"strings"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

const (
	// rateTolerance is by how much frame rates may differ, as a fraction.
	rateTolerance = 0.005
	// bitrateTolerance is by how much video bitrates may differ, as a fraction
	// of the first stream's.
	bitrateTolerance = 0.5
	// maxGOP is where measuring stops when no key frame comes, in 90 kHz ticks.
	// An object is not cut before, so a stream in doubt never closes one.
	maxGOP = minObject
)

// format is what the streams of one recording have in common, as far as a
// publisher tells it.
type format struct {
	Width        int     `json:"width"`
	Height       int     `json:"height"`
	VideoCodec   string  `json:"videoCodec"` // such as "avc1"
	AudioCodec   string  `json:"audioCodec"` // such as "mp4a"; empty without audio
	SampleRate   int     `json:"sampleRate"`
	FrameRate    float64 `json:"frameRate"`    // 0 when not told
	VideoBitrate int     `json:"videoBitrate"` // in bit/s, 0 when not told
}

func formatOf(d media.Description) format {
	f := format{FrameRate: d.NominalFrameRate(), VideoBitrate: d.VideoBitrate}
	if v := d.Video; v != nil {
		f.Width, f.Height = v.Width, v.Height
		f.VideoCodec, _, _ = strings.Cut(v.Codec(), ".")
	}
	if a := d.Audio; a != nil {
		f.SampleRate = a.SampleRate
		f.AudioCodec, _, _ = strings.Cut(a.Codec(), ".")
	}
	return f
}

// measured is what a stream's first group of pictures shows. It stands in for
// what the publisher does not tell; zero when nothing could be measured.
type measured struct {
	FrameRate    float64 `json:"frameRate"`
	VideoBitrate float64 `json:"videoBitrate"` // in bit/s
}

// verdict says whether a stream may join a recording.
type verdict int

const (
	different verdict = iota
	undecided         // only its first group of pictures will tell
	same
)

// match says whether a stream belongs to the recording s: one that would begin a
// recording as other. seen is what was measured of it, nil at its beginning.
func (s *state) match(other *begun, seen *measured, now time.Time) verdict {
	of, is := s.Format, other.Format
	switch r, o := &s.Recording, &other.Recording; {
	case !s.configuredAs(other), r.Bucket != o.Bucket, r.ContainerFormat != o.ContainerFormat:
		return different
	case seen == nil && len(s.streams) >= s.layout().streams(),
		seen == nil && now.Sub(r.StartedAt) > resource.MaxRecordingAge:
		return different
	case s.Bare:
		return same
	case of.Width != is.Width, of.Height != is.Height,
		of.VideoCodec != is.VideoCodec, of.AudioCodec != is.AudioCodec:
		return different
	case !slices.EqualFunc(s.renditions(), other.renditions(), Rendition.alike):
		return different
	case r.ContainerFormat == resource.FragmentedMP4 && of.SampleRate != is.SampleRate:
		return different // the sample rate is the audio track's timescale, which stays
	}
	var first measured
	if s.measured != nil {
		first = *s.measured
	}
	if seen == nil {
		seen = &measured{FrameRate: math.NaN(), VideoBitrate: math.NaN()}
	}
	return min(
		compare(of.FrameRate, is.FrameRate, first.FrameRate, seen.FrameRate, func(a, b float64) bool {
			return math.Abs(a-b) <= rateTolerance*a || math.Round(a) == math.Round(b)
		}),
		compare(float64(of.VideoBitrate), float64(is.VideoBitrate), first.VideoBitrate, seen.VideoBitrate, func(a, b float64) bool {
			return math.Abs(a-b) <= bitrateTolerance*a
		}))
}

// configuredAs says whether both are made by the same configuration, in the same
// layout.
func (b *begun) configuredAs(o *begun) bool {
	if b.Participant != nil && o.Participant != nil {
		return *b.Participant == *o.Participant && b.Recording.StorageConfigurationARN == o.Recording.StorageConfigurationARN
	}
	return b.Participant == o.Participant && b.Recording.RecordingConfigurationARN == o.Recording.RecordingConfigurationARN
}

// compare judges a property by what both streams tell, else by what was
// measured of both: NaN is still to come, 0 will never be known and does not
// stand against a merge.
func compare(told, tells, seen, sees float64, near func(a, b float64) bool) verdict {
	a, b := told, tells
	if a == 0 || b == 0 {
		a, b = seen, sees
	}
	switch {
	case a == 0 || b == 0:
		return same
	case math.IsNaN(b):
		return undecided
	case near(a, b):
		return same
	}
	return different
}

// gop measures the first group of pictures of a stream.
type gop struct {
	frames int
	bytes  int64 // of video
	span   media.Ticks
}

// complete says whether c is behind the group.
func (g *gop) complete(c *packager.Chunk) bool {
	return g.span > 0 && (c.Segment && c.Independent || c.Discontinuity || g.span+c.Duration > maxGOP)
}

func (g *gop) add(c *packager.Chunk) {
	g.span += c.Duration
	g.frames += len(c.Video)
	for i := range c.Video {
		g.bytes += int64(len(c.Video[i].Payload))
	}
}

func (g *gop) measure() measured {
	if g.span == 0 {
		return measured{}
	}
	seconds := float64(g.span) / media.VideoRate
	return measured{FrameRate: float64(g.frames) / seconds, VideoBitrate: float64(8*g.bytes) / seconds}
}
