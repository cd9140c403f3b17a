package playback

import (
	"net/http"

	"anabranch/internal/resource"
)

// Posters knows what channels look like.
type Posters interface {
	// Poster is a recent picture of a channel as a JPEG; false when there is none.
	Poster(channel resource.ARN) (jpeg []byte, ok bool)
}

// posterName is what the picture is called that lies beside a media playlist.
const posterName = "poster.jpg"

var (
	posterType = []string{"image/jpeg"}
	posterKeep = []string{"private, max-age=10"}
)

// poster answers with a recent picture of the channel, for whoever may watch it;
// with none where there is none, or where the viewer's token bounds what he may
// see, as the picture may be of the source.
func (s *Server) poster(w *answer, r *http.Request) error {
	v, err := s.enter(w, r)
	if err != nil {
		return err
	}
	var jpeg []byte
	some := s.Posters != nil && v.session.MaximumResolution == ""
	if some {
		jpeg, some = s.Posters.Poster(v.view.Channel.ARN)
	}
	h := w.Header()
	if !some {
		h["Cache-Control"] = noCache
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	h["Content-Type"] = posterType
	h["Cache-Control"] = posterKeep
	sendText(w, http.StatusOK, jpeg)
	return nil
}
