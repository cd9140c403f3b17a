package playback

import (
	"net/http"

	"anabranch/internal/packager"
)

// Media never changes under its name, so it may be kept as long as anybody may
// ask for it: everybody's by caches, a viewer's own by the player.
var (
	forGood        = []string{"public, max-age=3600, immutable"}
	forGoodForSelf = []string{"private, max-age=3600, immutable"}
)

// live answers with a part, a segment or an init section of a channel that
// everybody may watch.
func (s *Server) live(w *answer, r *http.Request) error {
	id := r.PathValue("channel")
	view, err := s.view(id)
	if err != nil {
		return err
	}
	if view.Channel.Restricted() {
		return errOffline
	}
	window, err := rendition(view, r.PathValue("rendition"))
	if err != nil {
		return err
	}
	m, err := window.Open(r.Context(), r.PathValue("name"))
	if err != nil {
		return s.closed(r, err)
	}
	defer m.Close()
	if now, ok := s.Channels.Lookup(id); ok && now.Channel.Restricted() {
		return errOffline // since it was asked for
	}
	return sendMedia(w, r, m, forGood)
}

// private answers with the same to those who were let in. It does so for an
// open channel too, as players may still have the playlist of when it was not.
func (s *Server) private(w *answer, r *http.Request) error {
	v, err := s.enter(w, r)
	if err != nil {
		return err
	}
	m, err := v.window.Open(r.Context(), r.PathValue("name"))
	if err != nil {
		return s.closed(r, err)
	}
	defer m.Close()
	if err := s.stay(w, r, &v); err != nil {
		return err
	}
	// The publisher may have made the picture smaller since.
	if maximum := v.session.MaximumResolution; v.view.Channel.Restricted() && isAbove(m.Params, maximum) {
		return errResolution(maximum)
	}
	return sendMedia(w, r, m, forGoodForSelf)
}

func sendMedia(w *answer, r *http.Request, m *packager.Media, keep []string) error {
	h := w.Header()
	h["Content-Type"] = mediaType
	h["Cache-Control"] = keep
	h["Etag"] = []string{`"` + r.PathValue("name") + `"`}
	return send(w, r, m.Content)
}
