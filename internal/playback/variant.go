package playback

import (
	"fmt"

	"anabranch/internal/broadcast"
	"anabranch/internal/media"
	"anabranch/internal/packager"
)

// variant is a rendition in a multivariant playlist.
type variant struct {
	info packager.WindowInfo
	path string // of its media playlist, behind session and channel
}

// variants are the renditions of a broadcast that players can begin with and
// that are not above a maximum resolution.
func variants(view *broadcast.View, maximum string) ([]variant, error) {
	all := []variant{{info: view.Window.Info(), path: "playlist.m3u8"}}
	var playable, allowed []variant
	for _, v := range all {
		if v.info.Playable {
			playable = append(playable, v)
		}
	}
	for _, v := range playable {
		if !isAbove(v.info.Params, maximum) {
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

func errResolution(maximum string) error {
	return &refusal{code: codeResolution, reason: fmt.Sprintf("the channel has nothing in %s or below", maximum)}
}
