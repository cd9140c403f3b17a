package recorder

import "slices"

// bands are the resolutions that a configuration may name: short sides above
// over, up to most, in pixels.
var bands = map[string]struct{ over, most int }{
	"FULL_HD": {720, 1080}, "HD": {480, 720}, "SD": {360, 480}, "LOWEST_RESOLUTION": {159, 360},
}

// within says whether r has the resolution that a configuration names.
func (r *Rendition) within(resolution string) bool {
	b := bands[resolution] // of what is not known nothing is within
	return r.shortSide() > b.over && r.shortSide() <= b.most
}

// renditions are all of the stream, best first.
func (s *Stream) renditions() []Rendition {
	f := formatOf(s.Description)
	if len(s.Renditions) == 0 {
		return []Rendition{{Width: f.Width, Height: f.Height, FrameRate: f.FrameRate}}
	}
	all := slices.Clone(s.Renditions)
	for i := range all {
		if all[i].isSource() {
			all[i] = Rendition{Width: f.Width, Height: f.Height, FrameRate: f.FrameRate}
		}
	}
	return all
}

// selected are the renditions of the stream that its configuration wants
// recorded, best first, by their index. CUSTOM names resolutions: all that the
// stream has of one, else the best of the stream.
func (s *Stream) selected() (indices []int) {
	all, rule := s.renditions(), s.Configuration.Rendition
	if rule.Selection == "NONE" {
		return nil
	}
	custom := rule.Selection == "CUSTOM" && len(all) > 1 && len(rule.Renditions) > 0
	best := custom && slices.ContainsFunc(rule.Renditions, func(resolution string) bool {
		return !slices.ContainsFunc(all, func(r Rendition) bool { return r.within(resolution) })
	})
	for i := range all {
		if !custom || best && i == 0 || slices.ContainsFunc(rule.Renditions, all[i].within) {
			indices = append(indices, i)
		}
	}
	return indices
}

// recorded are the renditions that selected names.
func (s *Stream) recorded() (recorded []Rendition) {
	all := s.renditions()
	for _, i := range s.selected() {
		recorded = append(recorded, all[i])
	}
	return recorded
}
