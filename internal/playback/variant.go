package playback

import (
	"bytes"
	"fmt"
	"math"

	"anabranch/internal/broadcast"
	"anabranch/internal/media"
	"anabranch/internal/packager"
)

// variant is a rendition in a multivariant playlist.
type variant struct {
	info packager.WindowInfo
	path string // of its media playlist, behind session and channel
}

// variants are the renditions of a broadcast that players can play and that are
// not above a maximum resolution, best first. Those on request are among them for
// who asked: audioOnly.
//
// Where players begin: hls.js takes the BANDWIDTH of the first for its first
// estimate, 5 Mbit/s at most, and begins with the best that fits in. AVPlayer goes
// by an estimate of its own since iOS 13, and began with the first before;
// Chromium's own player begins with the smallest. So where a connection carries
// the best, the usual case, hls.js has nothing to change; elsewhere it comes down
// within some seconds. With a middle one first it would always begin with a
// change, and at one that falls on a segment's end hls.js 1.7 may load nothing more
// for 5 s, where segments have a second key frame inside.
func variants(view *broadcast.View, maximum string, audioOnly bool) ([]variant, error) {
	var playable, allowed []variant
	for _, r := range renditions(view) {
		v := variant{info: r.Window.Info(), path: SisterURI("", r.Name)}
		if v.info.Playable && (!r.OnRequest || audioOnly) {
			playable = append(playable, v)
		}
	}
	for _, v := range playable {
		if !isAbove(v.info.Params, maximum) && !v.isAmong(allowed) {
			allowed = append(allowed, v)
		}
	}
	switch {
	case len(playable) == 0:
		return nil, errOffline
	case len(allowed) == 0:
		return nil, errResolution(maximum)
	}
	return allowed, nil
}

// isAmong says whether viewers would not know a rendition from one of others: it
// has the same size and, within half a frame a second, the same rate.
func (v *variant) isAmong(others []variant) bool {
	for i := range others {
		a, b := v.info.Params.Video, others[i].info.Params.Video
		switch {
		case a == nil || b == nil:
			if a == b {
				return true
			}
		case a.Width == b.Width && a.Height == b.Height && math.Abs(v.info.FrameRate-others[i].info.FrameRate) < 0.5:
			return true
		}
	}
	return false
}

// multivariantPlaylist tells of variants whose paths are below base (RFC 8216bis
// §4.4.6.2).
func multivariantPlaylist(variants []variant, base string) []byte {
	var b bytes.Buffer
	b.WriteString("#EXTM3U\n#EXT-X-VERSION:6\n")
	for _, v := range variants {
		fmt.Fprintf(&b, "#EXT-X-STREAM-INF:BANDWIDTH=%d,AVERAGE-BANDWIDTH=%d,CODECS=%q",
			max(1, v.info.PeakBandwidth), max(1, v.info.AverageBandwidth), v.info.Params.Codecs())
		if p := v.info.Params.Video; p != nil {
			fmt.Fprintf(&b, ",RESOLUTION=%dx%d,FRAME-RATE=%.3f", p.Width, p.Height, v.info.FrameRate)
		}
		fmt.Fprintf(&b, "\n%s%s\n", base, v.path)
	}
	return b.Bytes()
}

// renditions are what a broadcast offers: at least the source.
func renditions(view *broadcast.View) []broadcast.Rendition {
	if len(view.Renditions) == 0 {
		return []broadcast.Rendition{{Window: view.Window}}
	}
	return view.Renditions
}

// rendition finds the window of a rendition by its name in a path. Names come from
// outside; they are compared with those that there are, and used for nothing
// else. What a broadcast does not offer, its source too, is out of reach.
func rendition(view *broadcast.View, name string) (*packager.Window, error) {
	if len(view.Renditions) == 0 && name == "" {
		return view.Window, nil
	}
	for i := range view.Renditions {
		if view.Renditions[i].Name == name {
			return view.Renditions[i].Window, nil
		}
	}
	return nil, errNoRendition
}

// isAbove says whether a rendition is above a maximum resolution: SD, HD or
// FULL_HD, which is as large as streams may be. Empty is none. A picture held
// upright is no larger, so the smaller edge counts.
func isAbove(p media.Params, maximum string) bool {
	if p.Video == nil {
		return false
	}
	edge := min(p.Video.Width, p.Video.Height)
	return maximum == "SD" && edge > 480 || maximum == "HD" && edge > 720
}

var errNoRendition = &refusal{code: codeNoMedia, reason: "Can not find rendition"}

func errResolution(maximum string) error {
	return &refusal{code: codeResolution, reason: fmt.Sprintf("the channel has nothing in %s or below", maximum)}
}
