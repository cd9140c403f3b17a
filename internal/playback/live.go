package playback

import (
	"net/http"
	"time"
)

// live answers with a part, a segment or an init section of a public channel.
func (s *Server) live(w http.ResponseWriter, r *http.Request) error {
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
	h.Set("Content-Type", "video/mp4")
	h.Set("Cache-Control", "public, max-age=3600, immutable")
	h.Set("ETag", `"`+name+`"`)
	http.ServeContent(w, r, "", time.Time{}, m.Content)
	return nil
}
