package signaling

import (
	"net/http"
	"strings"
	"time"

	"anabranch/internal/stage"
)

// publish begins a session that brings media (RFC 9725 §4.2).
func (s *Server) publish(w http.ResponseWriter, r *http.Request) error {
	token, offer, err := offered(w, r)
	if err != nil {
		return err
	}
	answer, err := s.Rooms.Publish(r.Context(), token, client(r), offer)
	if err != nil {
		return err
	}
	s.created(w, &answer)
	return nil
}

// subscribe begins a session that fetches media: one for each participant that
// is subscribed to.
func (s *Server) subscribe(w http.ResponseWriter, r *http.Request) error {
	token, offer, err := offered(w, r)
	if err != nil {
		return err
	}
	answer, err := s.Rooms.Subscribe(r.Context(), token, r.PathValue("participant"), client(r), offer)
	if err != nil {
		return err
	}
	s.created(w, &answer)
	return nil
}

// offered is what a request for a session brings.
func offered(w http.ResponseWriter, r *http.Request) (token string, offer []byte, err error) {
	if token, err = bearer(r); err != nil {
		return "", nil, err
	}
	offer, err = body(w, r, typeSDP)
	return token, offer, err
}

// created answers with a session that has begun. Its Location has no host:
// whichever name the client has for the server reaches it. There is a Link
// header for each TURN server, as OBS reads no more than one from each.
func (s *Server) created(w http.ResponseWriter, a *stage.Answer) {
	h := w.Header()
	h.Set("Content-Type", typeSDP)
	h.Set("Location", s.path+"/whip/session/"+a.ParticipantID+"/"+a.SessionID)
	h.Set("ETag", a.ETag)
	h.Set("Accept-Patch", typeFragment)
	for _, link := range s.TURN.links(a.ParticipantID, time.Now()) {
		h.Add("Link", link)
	}
	w.WriteHeader(http.StatusCreated)
	w.Write(a.SDP) // the session ends by itself if the client has gone
}

// iceServers tells the TURN servers to who shows a token: before its offer, for
// clients whose candidates are relayed ones alone. They read one Link header,
// and take its commas apart.
func (s *Server) iceServers(w http.ResponseWriter, r *http.Request) error {
	token, err := bearer(r)
	if err != nil {
		return err
	}
	claims, err := s.Rooms.Authorize(r.Context(), token)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Accept-Post", typeSDP)
	if links := s.TURN.links(claims.ID, time.Now()); len(links) > 0 {
		h.Set("Link", strings.Join(links, ","))
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// patch hands on candidates, or restarts ICE (RFC 9725 §4.3).
func (s *Server) patch(w http.ResponseWriter, r *http.Request) error {
	token, err := bearer(r)
	if err != nil {
		return err
	}
	fragment, err := body(w, r, typeFragment)
	if err != nil {
		return err
	}
	answer, err := s.Rooms.Patch(r.Context(), token, r.PathValue("participant"), r.PathValue("session"), r.Header.Get("If-Match"), fragment)
	if err != nil {
		return err
	}
	if len(answer.SDP) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	w.Header().Set("Content-Type", typeFragment)
	w.Header().Set("ETag", answer.ETag)
	w.WriteHeader(http.StatusOK)
	w.Write(answer.SDP)
	return nil
}

// leave ends a session.
func (s *Server) leave(w http.ResponseWriter, r *http.Request) error {
	token, err := bearer(r)
	if err != nil {
		return err
	}
	if err := s.Rooms.Leave(r.Context(), token, r.PathValue("participant"), r.PathValue("session")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
