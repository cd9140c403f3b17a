package playback

import (
	"net/http"
)

// forGood lets caches keep media as long as anybody may ask for it: it never
// changes under its name.
var forGood = []string{"public, max-age=3600, immutable"}

// live answers with a part, a segment or an init section of a public channel.
func (s *Server) live(w *answer, r *http.Request) error {
	id, name := r.PathValue("channel"), r.PathValue("name")
	view, ok := s.Channels.Lookup(id)
	if !ok || view.Window == nil || view.Channel.Authorized {
		return errOffline
	}
	m, err := view.Window.Open(r.Context(), name)
	if err != nil {
		return s.closed(id, err)
	}
	defer m.Close()
	h := w.Header()
	h["Content-Type"] = mediaType
	h["Cache-Control"] = forGood
	h["Etag"] = []string{`"` + name + `"`}
	return send(w, r, m.Content)
}
